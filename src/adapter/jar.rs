//! Jars as zip archives: whether one is whole, and which class it starts.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rawzip::{CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveEntryWayfinder};

pub(super) const MANIFEST: &str = "META-INF/MANIFEST.MF";

/// What a war has its classes and libraries below (Jakarta Servlet Specification, "Web Applications").
pub(super) const WAR_FOLDER: &str = "WEB-INF/";

/// A Spring Boot manifest has about 500 bytes and an index of the class path about 100 for a library; what unpacks to more than
/// this is an attempt to fill our memory.
const TEXT_LIMIT: u64 = 256 * 1024;

/// Checks that a file is one whole zip archive; the error says what is wrong.
pub(super) fn whole(file: &File) -> Result<(), String> {
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let copy = file.try_clone().map_err(|e| e.to_string())?;
    let archive = ZipArchive::from_file(copy, &mut buffer).map_err(|e| format!("no end of the zip directory ({e})"))?;
    if archive.end_offset() != length {
        return Err("there are bytes behind its end: it is cut off or not finished".to_owned());
    }
    let (promised, mut seen, mut first) = (archive.entries_hint(), 0, u64::MAX);
    let mut entries = archive.entries(&mut buffer);
    while let Some(entry) = entries.next_entry().map_err(|e| format!("its directory cannot be read ({e})"))? {
        seen += 1;
        first = first.min(entry.local_header_offset());
    }
    if seen == 0 || seen != promised {
        return Err(format!("its directory has {seen} entries where {promised} were promised"));
    }
    begins_there(file, first)
}

/// A Spring Boot jar holds other jars uncompressed, so a file that was cut off right behind one of them ends like a whole
/// archive. Only where its first entry is tells the difference; the start script of an executable jar may stand before it.
fn begins_there(file: &File, first: u64) -> Result<(), String> {
    let mut head = [0; 4];
    file.read_exact_at(&mut head, 0).map_err(|e| e.to_string())?;
    match (&head, first) {
        (b"PK\x03\x04", 0) => Ok(()),
        (b"PK\x03\x04", _) => Err("only an archive inside it is whole: it is cut off".to_owned()),
        (script, _) if script.starts_with(b"#!") => Ok(()),
        (_neither, _) => Err("it does not begin like a zip archive".to_owned()),
    }
}

/// Whether an archive is a war. One that cannot be read is none.
pub(super) fn is_war(file: &File) -> bool {
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let Ok(copy) = file.try_clone() else { return false };
    let Ok(archive) = ZipArchive::from_file(copy, &mut buffer) else { return false };
    let mut entries = archive.entries(&mut buffer);
    while let Ok(Some(entry)) = entries.next_entry() {
        if entry.file_path().as_ref().starts_with(WAR_FOLDER.as_bytes()) {
            return true;
        }
    }
    false
}

/// `Start-Class` of the manifest: the application's own class in a Spring Boot jar, whose `Main-Class` is always the same
/// launcher (Spring Boot reference, "The Executable Jar Format"). `Ok(None)`: the jar names none.
pub(super) fn start_class(path: &Path) -> io::Result<Option<String>> {
    let manifest = manifest(File::open(path)?)?;
    Ok(manifest.and_then(|text| attribute(&text, "Start-Class")))
}

/// The class that `java -jar` comes to in the end: the same for a Spring Boot jar, and for the jar that Spring Boot's own tools
/// make of its classes, whose `Main-Class` it is.
pub(super) fn application_class(path: &Path) -> io::Result<Option<String>> {
    let manifest = manifest(File::open(path)?)?;
    Ok(manifest.and_then(|text| attribute(&text, "Start-Class").or_else(|| attribute(&text, "Main-Class"))))
}

fn manifest(file: File) -> io::Result<Option<String>> {
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_file(file, &mut buffer).map_err(io::Error::other)?;
    let mut entries = archive.entries(&mut buffer);
    let mut found = None;
    while let Some(entry) = entries.next_entry().map_err(io::Error::other)? {
        if entry.file_path().as_ref() == MANIFEST.as_bytes() {
            found = Some((entry.wayfinder(), entry.compression_method()));
            break;
        }
    }
    found.map(|(place, method)| text(&archive, place, method)).transpose()
}

/// A small text inside an archive.
pub(super) fn text(
    archive: &ZipArchive<FileReader>,
    place: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
) -> io::Result<String> {
    let packed = archive.get_entry(place).map_err(io::Error::other)?.reader();
    let mut text = Vec::new();
    match method {
        CompressionMethod::STORE => packed.take(TEXT_LIMIT).read_to_end(&mut text)?,
        CompressionMethod::DEFLATE => flate2::read::DeflateDecoder::new(packed).take(TEXT_LIMIT).read_to_end(&mut text)?,
        other => return Err(io::Error::other(format!("it is packed in a way that jars do not use: {other:?}"))),
    };
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// One attribute of the main section. A line holds 72 bytes; a longer value goes on in lines that begin with a blank
/// (JAR File Specification, "Notes on Manifest and Signature Files").
pub(super) fn attribute(manifest: &str, name: &str) -> Option<String> {
    let mut lines = manifest.lines().take_while(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        let Some((key, start)) = line.split_once(": ") else { continue };
        if !key.eq_ignore_ascii_case(name) {
            continue;
        }
        let mut value = start.to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with(' ')) {
            value.push_str(&more[1..]);
        }
        return Some(value.trim().to_owned());
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write;

    /// A jar with a packed manifest and one entry stored as it is.
    pub(in crate::adapter) fn jar(manifest: &str, inner: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
        let (mut entry, config) =
            archive.new_file("META-INF/MANIFEST.MF").compression_method(CompressionMethod::DEFLATE).start().unwrap();
        let mut writer = config.wrap(flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::default()));
        writer.write_all(manifest.as_bytes()).unwrap();
        let (encoder, descriptor) = writer.finish().unwrap();
        encoder.finish().unwrap();
        entry.finish(descriptor).unwrap();
        let (mut entry, config) = archive.new_file("BOOT-INF/lib/inner.jar").start().unwrap();
        let mut writer = config.wrap(&mut entry);
        writer.write_all(inner).unwrap();
        let (_, descriptor) = writer.finish().unwrap();
        entry.finish(descriptor).unwrap();
        archive.finish().unwrap();
        bytes
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn a_jar_cut_off_anywhere_is_not_whole() {
        let inner = jar("Start-Class: inner.App\n", b"x");
        let outer = jar("Start-Class: outer.App\n", &inner);
        whole(&file(&outer)).unwrap();
        for length in 0..outer.len() {
            whole(&file(&outer[..length])).expect_err(&format!("cut off after {length} of {} bytes", outer.len()));
        }
        whole(&file(&[&outer[..], b"tail"].concat())).unwrap_err();
    }

    #[test]
    fn an_executable_jar_with_a_script_before_it_is_whole() {
        let script = [&b"#!/bin/bash\nexec java\n"[..], &jar("Start-Class: a.B\n", b"x")].concat();
        whole(&file(&script)).unwrap();
    }

    #[test]
    fn a_start_class_is_read_over_continued_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jar");
        let text = "Manifest-Version: 1.0\r\nStart-Class: com.example.a.rather.long\r\n .name.App\r\nX: y\r\n\r\nName: s\r\n";
        std::fs::write(&path, jar(text, b"x")).unwrap();
        assert_eq!(start_class(&path).unwrap().as_deref(), Some("com.example.a.rather.long.name.App"));
        std::fs::write(&path, jar("Main-Class: a.B\n\nStart-Class: no.Main\n", b"x")).unwrap();
        assert_eq!(start_class(&path).unwrap(), None);
    }
}
