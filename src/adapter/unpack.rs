//! A Spring Boot jar unpacked beside itself: `STATE/artifacts/<sha256>/unpacked/app.jar` and `…/lib/*.jar`, written once, never changed.
//!
//! The libraries are copied as they are. The application's own jar holds its classes and what stood at the root of the jar it was
//! built as; its manifest is that jar's, with the application's class as `Main-Class` and the libraries as `Class-Path`. So
//! `java -jar unpacked/app.jar` has the same classes and resources in the same order, and every other attribute of the manifest
//! counts as before; only the launcher, which reads jars inside a jar, is gone. Spring Boot's own `-Djarmode=tools extract` (3.3
//! and later) makes the same.
//!
//! **Folders have entries of their own in the application's jar**, also where the build left them out: without them component
//! scanning finds nothing, and every controller answers 404.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::adapter::archive::ARCHIVES;
use crate::adapter::artifact_store::{INCOMING, JAR, io_error, store_stamp};
use crate::adapter::boot_jar::{self, BootJar, Part};
use crate::adapter::jar::MANIFEST;
use crate::adapter::zip_writer::{Head, Unwritten, ZipWriter};
use crate::adapter::{LinuxHost, files};
use crate::host::artifacts::ArtifactError;
use crate::model::boot::Layout;
use crate::model::id::Digest;

/// The folder of an unpacked jar.
pub(super) const UNPACKED: &str = "unpacked";
/// Why a jar that looked well could not be unpacked; it is not tried again.
const OPAQUE: &str = "opaque";
/// What the inodes of an unpacked jar said when it was written.
const STAMPS: &str = "stamps";
/// Where an unpacked jar goes that somebody has changed.
const DAMAGED: &str = "unpacked.damaged";

/// Readable by the user that the slot runs as, writable by nobody.
const FILE_MODE: u32 = 0o444;
const FOLDER_MODE: u32 = 0o755;

/// A line of a manifest has at most 72 bytes with its end ("Notes on Manifest and Signature Files", JAR File Specification).
const LINE: usize = 70;

/// With the 8 KiB of the library a jar of 24 MB takes three times as long.
const CHUNK: usize = 256 * 1024;

impl LinuxHost {
    /// How a jar can be started; looked into only once, for its bytes do not change.
    pub(super) fn layout_of(&self, digest: &Digest, source: Option<&Path>) -> Layout {
        let folder = self.folder(digest);
        if folder.join(UNPACKED).is_dir() {
            return Layout::Unpacked;
        }
        if let Ok(why) = fs::read_to_string(folder.join(OPAQUE)) {
            return Layout::Opaque { why };
        }
        if let Some(known) = self.layouts.borrow().get(digest) {
            return known.clone();
        }
        let stored = self.stored_jar(digest);
        let looked_into = inspect(if stored.is_file() { &stored } else { source.unwrap_or(&stored) });
        self.layouts.borrow_mut().insert(digest.clone(), looked_into.clone());
        looked_into
    }

    /// Unpacks a stored jar, or writes down why that cannot be.
    pub(super) fn unpack_stored(&self, digest: &Digest) -> Result<(), ArtifactError> {
        self.clear_leftovers();
        let folder = self.folder(digest);
        if folder.join(UNPACKED).is_dir() {
            return Ok(());
        }
        // What was made for other files, of other times, no JVM takes any more.
        let archives = folder.join(ARCHIVES);
        files::or_absent(fs::remove_dir_all(&archives)).map_err(io_error("remove", &archives))?;
        let jar = self.whole_jar(digest)?;
        let file = File::open(&jar).map_err(io_error("read", &jar))?;
        match boot_jar::open(file).map_err(Unwritten::Content).and_then(|boot| place(&boot, &folder)) {
            Ok(()) => Ok(()),
            Err(Unwritten::Content(why)) => {
                files::replace(&folder.join(OPAQUE), why.as_bytes(), 0o600).map_err(io_error("write into", &folder))
            }
            Err(Unwritten::Host(error)) => Err(io_error("unpack", &jar)(error)),
        }
    }

    /// The application's own jar of an unpacked one, proven to be as it was written just before it is started.
    pub(super) fn proven_unpacked(&self, digest: &Digest) -> Result<PathBuf, ArtifactError> {
        let folder = self.folder(digest);
        let unpacked = folder.join(UNPACKED);
        let recorded = fs::read_to_string(unpacked.join(STAMPS)).map_err(io_error("read", &unpacked))?;
        if stamps(&unpacked).map_err(io_error("read", &unpacked))? == recorded {
            return Ok(unpacked.join(JAR));
        }
        // The next pass finds it missing, and unpacks again.
        let aside = folder.join(DAMAGED);
        files::or_absent(fs::remove_dir_all(&aside)).map_err(io_error("remove", &aside))?;
        fs::rename(&unpacked, &aside).map_err(io_error("put aside", &unpacked))?;
        let changed = io::Error::new(io::ErrorKind::InvalidData, format!("it was changed; it is {DAMAGED} now"));
        Err(io_error("trust", &unpacked)(changed))
    }
}

fn inspect(path: &Path) -> Layout {
    let looked_into = File::open(path).map_err(|e| format!("it cannot be read ({e})")).and_then(boot_jar::open);
    looked_into.map_or_else(|why| Layout::Opaque { why }, |_| Layout::Packed)
}

/// Writes everything into a folder of another name, which gets its own when it is whole and safe on the disk.
fn place(boot: &BootJar, folder: &Path) -> Result<(), Unwritten> {
    let temp = tempfile::Builder::new().prefix(INCOMING).permissions(Permissions::from_mode(FOLDER_MODE)).tempdir_in(folder)?;
    // Whoever clears leftovers can tell by this that we are still at it.
    let held = File::open(temp.path())?;
    held.lock()?;
    let libs = temp.path().join("lib");
    fs::DirBuilder::new().mode(FOLDER_MODE).create(&libs)?;
    boot.libs
        .iter()
        .try_for_each(|lib| durable(&libs.join(&lib.head.name), |out| pour(boot, lib, out)).map_err(misnamed(lib)))?;
    durable(&temp.path().join(JAR), |out| own_jar(boot, out))?;
    // The umask had a say when they were made.
    for path in [&libs, temp.path()] {
        fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE))?;
    }
    let stamps = stamps(temp.path())?;
    durable(&temp.path().join(STAMPS), |out| Ok(out.write_all(stamps.as_bytes())?))?;
    [&libs, temp.path()].into_iter().try_for_each(files::sync_dir)?;
    fs::rename(temp.keep(), folder.join(UNPACKED))?;
    Ok(files::sync_dir(folder)?)
}

/// A name that the file system does not take is no fault of the moment (`ENAMETOOLONG`: 255 bytes as a rule, fewer on some).
fn misnamed(lib: &Part) -> impl FnOnce(Unwritten) -> Unwritten {
    move |error| match error {
        Unwritten::Host(host) if host.kind() == io::ErrorKind::InvalidFilename => {
            Unwritten::Content(format!("{} in it has a name that no file can have here", lib.head.name))
        }
        Unwritten::Host(_) | Unwritten::Content(_) => error,
    }
}

/// A file that is on the disk before anybody learns its name.
fn durable(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<(), Unwritten>) -> Result<(), Unwritten> {
    let file = File::options().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    let mut out = BufWriter::with_capacity(CHUNK, file);
    write(&mut out)?;
    Ok(out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?)
}

/// The packed bytes of a part, as they are: so many as the jar's directory promises.
fn pour(boot: &BootJar, part: &Part, out: &mut impl Write) -> Result<(), Unwritten> {
    let Head { name, packed: promised, .. } = &part.head;
    let unread = |e: rawzip::Error| Unwritten::Content(format!("{name} in it cannot be read ({e})"));
    let mut packed = boot.archive.get_entry(part.place).map_err(unread)?.reader();
    let (mut buffer, mut written) = (vec![0; CHUNK], 0);
    loop {
        let count = packed.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        out.write_all(&buffer[..count])?;
        written += count as u64;
    }
    if written == u64::from(*promised) {
        return Ok(());
    }
    Err(Unwritten::Content(format!("{name} in it has {written} bytes where {promised} were promised")))
}

fn own_jar(boot: &BootJar, out: &mut BufWriter<File>) -> Result<(), Unwritten> {
    let mut writer = ZipWriter::new(out);
    let manifest = manifest(boot);
    let mut folders = BTreeSet::new();
    add_folders(&mut writer, &mut folders, MANIFEST)?;
    writer.add(&Head::plain(MANIFEST, manifest.as_bytes()), |out| out.write_all(manifest.as_bytes()))?;
    for part in &boot.own {
        add_folders(&mut writer, &mut folders, &part.head.name)?;
        if part.head.name.ends_with('/') {
            let own = Head { time: part.head.time, stamp: part.head.stamp.clone(), ..Head::plain(&part.head.name, &[]) };
            if folders.insert(part.head.name.clone()) {
                writer.add(&own, |_| Ok::<_, io::Error>(()))?;
            }
        } else {
            writer.add(&part.head, |out| pour(boot, part, out))?;
        }
    }
    writer.finish().map(drop)
}

/// An entry for each folder above a name that has none yet.
fn add_folders<W: Write>(writer: &mut ZipWriter<W>, known: &mut BTreeSet<String>, name: &str) -> Result<(), Unwritten> {
    let path = name.strip_suffix('/').unwrap_or(name);
    for (at, _) in path.match_indices('/') {
        let folder = &path[..=at];
        if known.insert(folder.to_owned()) {
            writer.add(&Head::plain(folder, &[]), |_| Ok::<_, io::Error>(()))?;
        }
    }
    Ok(())
}

/// The manifest of the jar as it was built, with what leads to the unpacked jars in the place of what led to the launcher.
fn manifest(boot: &BootJar) -> String {
    let replaced = |line: &str| {
        let name = line.split_once(':').map_or("", |(name, _)| name);
        ["Main-Class", "Class-Path"].iter().any(|other| name.eq_ignore_ascii_case(other)) || name.starts_with("Spring-Boot-")
    };
    let (mut text, mut drops, mut in_main) = (String::new(), false, true);
    for line in boot.manifest.lines() {
        if in_main && line.is_empty() {
            in_main = false;
            text.push_str(&ours(boot));
        }
        drops = in_main && if line.starts_with(' ') { drops } else { replaced(line) };
        if !drops {
            text.push_str(line);
            text.push_str("\r\n");
        }
    }
    if in_main {
        text.push_str(&ours(boot));
    }
    text.push_str("\r\n");
    text
}

fn ours(boot: &BootJar) -> String {
    let libs: Vec<_> = boot.libs.iter().map(|lib| format!("lib/{}", lib.head.name)).collect();
    format!("{}{}", attribute("Main-Class", &boot.start_class), attribute("Class-Path", &libs.join(" ")))
}

/// An attribute in lines of a length that is allowed.
fn attribute(name: &str, value: &str) -> String {
    let mut text = String::new();
    let mut room = LINE - name.len() - 2;
    text.push_str(name);
    text.push_str(": ");
    for c in value.chars() {
        if room < c.len_utf8() {
            text.push_str("\r\n ");
            room = LINE - 1;
        }
        room -= c.len_utf8();
        text.push(c);
    }
    text.push_str("\r\n");
    text
}

/// What the inodes of the files say, by name; with their number, so that one more is seen too.
fn stamps(unpacked: &Path) -> io::Result<String> {
    let mut paths = Vec::new();
    for folder in [unpacked.to_owned(), unpacked.join("lib")] {
        let entries: Vec<_> = fs::read_dir(&folder)?.collect::<Result<_, _>>()?;
        let files = entries.into_iter().map(|entry| entry.path()).filter(|path| !path.is_dir() && !path.ends_with(STAMPS));
        paths.extend(files);
    }
    paths.sort();
    let mut text = String::new();
    for path in paths {
        let name = path.strip_prefix(unpacked).unwrap_or(&path);
        // Writing into a text cannot fail.
        let _ = write!(text, "{} {}", name.display(), store_stamp(&path)?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
