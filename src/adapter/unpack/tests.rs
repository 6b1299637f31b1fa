//! Small jars of every layout, unpacked by the real store; that a JVM likes what comes out is shown end to end.

use std::collections::BTreeMap;

use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive};
use tempfile::TempDir;

use super::*;
use crate::adapter::jar;
use crate::host::artifacts::Artifacts;

const LAUNCHER: &str = "Main-Class: org.springframework.boot.loader.launch.JarLauncher\r\nStart-Class: com.example.App\r\n";
const OLD_LAUNCHER: &str = "Main-Class: org.springframework.boot.loader.JarLauncher\r\nStart-Class: com.example.App\r\n";

/// Entries by name, in their order; a library is stored and everything else packed, as the build does it.
type Entries<'a> = Vec<(&'a str, &'a [u8])>;

fn manifest_text(more: &str) -> String {
    format!("Manifest-Version: 1.0\r\nImplementation-Version: 1.0.1\r\n{more}\r\n")
}

/// What the build plug-ins of 2.x and 3.x write, but for the manifest and the index.
fn entries(manifest: &str) -> Entries<'_> {
    vec![
        ("META-INF/", b""),
        ("META-INF/MANIFEST.MF", manifest.as_bytes()),
        ("META-INF/build-info.properties", b"build"),
        (
            "META-INF/services/java.nio.file.spi.FileSystemProvider",
            b"org.springframework.boot.loader.nio.file.NestedFileSystemProvider\n",
        ),
        ("org/springframework/boot/loader/launch/JarLauncher.class", b"launcher"),
        ("BOOT-INF/classes/", b""),
        ("BOOT-INF/classes/com/", b""),
        ("BOOT-INF/classes/com/example/App.class", b"class"),
        ("BOOT-INF/classes/application.properties", b"a=b"),
        ("BOOT-INF/lib/", b""),
        ("BOOT-INF/lib/b-1.0.jar", b"b"),
        ("BOOT-INF/lib/a-1.0+x.jar", b"a"),
    ]
}

fn head(name: &str, content: &[u8]) -> (Head, Vec<u8>) {
    let plain = Head { time: (0x6000, 0x5b78), ..Head::plain(name, content) };
    if name.ends_with('/') || name.starts_with("BOOT-INF/lib/") {
        return (plain, content.to_vec());
    }
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    let packed = encoder.finish().unwrap();
    let method = CompressionMethod::DEFLATE;
    (Head { method, packed: u32::try_from(packed.len()).unwrap(), ..plain }, packed)
}

fn written(mut writer: ZipWriter<&mut Vec<u8>>, entries: &Entries<'_>) {
    for (name, content) in entries {
        let (head, packed) = head(name, content);
        writer.add(&head, |out| out.write_all(&packed)).unwrap();
    }
    writer.finish().unwrap();
}

fn built(entries: &Entries<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    written(ZipWriter::new(&mut bytes), entries);
    bytes
}

struct Place {
    host: LinuxHost,
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { host: LinuxHost::new(dir.path().join("state")), dir }
    }

    fn installed(&self, jar: &[u8]) -> Digest {
        let source = self.dir.path().join("a.jar");
        fs::write(&source, jar).unwrap();
        let (digest, _) = self.host.digest(&source).unwrap();
        assert_eq!(self.host.layout(&digest, Some(&source)), LinuxHost::new("/nonexistent").layout(&digest, Some(&source)));
        self.host.install(&source, &digest).unwrap();
        digest
    }

    /// The folder of an unpacked jar.
    fn unpacked(&self, jar: &[u8]) -> PathBuf {
        let digest = self.installed(jar);
        assert_eq!(self.host.layout(&digest, None), Layout::Packed);
        self.host.unpack(&digest).unwrap();
        assert_eq!(self.host.layout(&digest, None), Layout::Unpacked);
        self.host.proven_unpacked(&digest).unwrap().parent().unwrap().to_owned()
    }

    fn reason(&self, jar: &[u8]) -> String {
        let digest = self.installed(jar);
        let Layout::Opaque { why } = self.host.layout(&digest, None) else { panic!("it can be unpacked") };
        why
    }
}

/// The entries of a jar with their content, in their order.
fn content(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_file(File::open(path).unwrap(), &mut buffer).unwrap();
    let mut found = Vec::new();
    let mut all = archive.entries(&mut buffer);
    while let Some(entry) = all.next_entry().unwrap() {
        let name = String::from_utf8(entry.file_path().as_ref().to_vec()).unwrap();
        assert!(
            name.starts_with("META-INF/MANIFEST")
                || name.starts_with("META-INF/")
                || entry.last_modified_dos().year() == 2025
                || name.ends_with('/'),
            "{name}"
        );
        found.push((name, entry.wayfinder(), entry.compression_method()));
    }
    let read = |(name, place, method): (String, _, _)| {
        let text = jar::text(&archive, place, method).unwrap().into_bytes();
        (name, text)
    };
    found.into_iter().map(read).collect()
}

fn class_path(unpacked: &Path) -> Vec<String> {
    let manifest = content(&unpacked.join(JAR)).into_iter().find(|(name, _)| name == MANIFEST).unwrap().1;
    let manifest = String::from_utf8(manifest).unwrap();
    assert!(manifest.lines().all(|line| line.len() <= 72), "{manifest}");
    let attribute = |name| jar::attribute(&manifest, name).unwrap_or_default();
    assert_eq!((attribute("Main-Class"), attribute("Start-Class")), ("com.example.App".to_owned(), "com.example.App".to_owned()));
    assert_eq!(attribute("Implementation-Version"), "1.0.1");
    assert_eq!(attribute("Spring-Boot-Lib"), "");
    attribute("Class-Path").split(' ').map(str::to_owned).collect()
}

#[test]
fn the_libraries_stand_in_the_order_of_the_index_and_without_one_as_in_the_jar() {
    let index: &[(&str, &[u8])] = &[
        ("BOOT-INF/classpath.idx", b"- \"BOOT-INF/lib/a-1.0+x.jar\"\n- \"BOOT-INF/lib/b-1.0.jar\"\n"),
        ("BOOT-INF/classpath.idx", b"- \"a-1.0+x.jar\"\n"),
    ];
    let (old, new) = (
        manifest_text(OLD_LAUNCHER),
        manifest_text(&format!("{LAUNCHER}Spring-Boot-Lib: BOOT-INF/lib/\r\nSpring-Boot-Classes: BOOT-INF/classes/\r\n")),
    );
    let layered =
        [entries(&new), vec![index[0], ("BOOT-INF/layers.idx", b"- \"dependencies\":\n  - \"BOOT-INF/lib/\"\n")]].concat();
    for (jar, order) in [
        (entries(&old), ["lib/b-1.0.jar", "lib/a-1.0+x.jar"]),
        ([entries(&old), vec![index[1]]].concat(), ["lib/a-1.0+x.jar", "lib/b-1.0.jar"]),
        (entries(&new), ["lib/b-1.0.jar", "lib/a-1.0+x.jar"]),
        ([entries(&new), vec![index[0]]].concat(), ["lib/a-1.0+x.jar", "lib/b-1.0.jar"]),
        (layered, ["lib/a-1.0+x.jar", "lib/b-1.0.jar"]),
    ] {
        let place = Place::new();
        let unpacked = place.unpacked(&built(&jar));
        assert_eq!(class_path(&unpacked), order);
        assert_eq!(fs::read(unpacked.join("lib/a-1.0+x.jar")).unwrap(), b"a");
        let mode = |name: &str| fs::metadata(unpacked.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("app.jar"), mode("lib/b-1.0.jar"), mode("lib"), mode("")), (0o444, 0o444, 0o755, 0o755));
    }
}

#[test]
fn the_applications_jar_has_its_classes_what_stood_at_the_root_and_every_folder_but_not_the_launcher() {
    let (manifest, place) = (manifest_text(LAUNCHER), Place::new());
    let all: BTreeMap<_, _> = content(&place.unpacked(&built(&entries(&manifest))).join(JAR)).into_iter().collect();
    let names: Vec<_> = all.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "META-INF/",
            "META-INF/MANIFEST.MF",
            "META-INF/build-info.properties",
            "application.properties",
            "com/",
            "com/example/",
            "com/example/App.class"
        ]
    );
    assert_eq!(
        (all["com/example/App.class"].as_slice(), all["META-INF/build-info.properties"].as_slice()),
        (&b"class"[..], &b"build"[..])
    );
}

#[test]
fn an_executable_jar_is_unpacked_whether_or_not_its_offsets_count_the_script() {
    let (script, manifest) = (b"#!/bin/bash\nexec java -jar $0\n", manifest_text(LAUNCHER));
    let jar = entries(&manifest);
    let mut counted = script.to_vec();
    let length = counted.len();
    written(ZipWriter::behind(&mut counted, length), &jar);
    for executable in [[&script[..], &built(&jar)].concat(), counted] {
        let place = Place::new();
        assert_eq!(fs::read(place.unpacked(&executable).join("lib/b-1.0.jar")).unwrap(), b"b");
    }
}

#[test]
fn what_is_not_understood_says_why() {
    let with = |more: &str| manifest_text(&format!("{LAUNCHER}{more}"));
    let launcher =
        |name: &str| manifest_text(&format!("Main-Class: org.springframework.boot.loader.{name}\r\nStart-Class: a.B\r\n"));
    let (good, plain) = (with(""), manifest_text("Main-Class: a.B\r\n"));
    let no_start = manifest_text("Main-Class: org.springframework.boot.loader.JarLauncher\r\n");
    let (properties, war) = (launcher("PropertiesLauncher"), launcher("launch.WarLauncher"));
    let (elsewhere, more) = (with("Spring-Boot-Lib: lib/\r\n"), with("Class-Path: x.jar\r\n"));
    let add = |name, content: &'static [u8]| [entries(&good), vec![(name, content)]].concat();
    let without = |name: &str| entries(&good).into_iter().filter(|(n, _)| !n.starts_with(name)).collect();
    for (jar, reason) in [
        (entries(&plain), "its Main-Class is a.B"),
        (entries(&properties), "PropertiesLauncher, and not the JarLauncher"),
        (entries(&war), "WarLauncher"),
        (entries(&no_start), "no Start-Class"),
        (entries(&elsewhere), "Spring-Boot-Lib: lib/"),
        (entries(&more), "adds x.jar to the class path"),
        (without("META-INF/MANIFEST.MF"), "no manifest"),
        (without("BOOT-INF/lib/"), "no libraries"),
        (add("META-INF/APP.SF", b""), "signed"),
        (add("WEB-INF/web.xml", b""), "a war"),
        (add("BOOT-INF/classes/META-INF/versions/17/A.class", b""), "single versions of Java"),
        (add("META-INF/INDEX.LIST", b""), "index of other jars"),
        (add("BOOT-INF/classes/META-INF/build-info.properties", b""), "stands twice"),
        (add("BOOT-INF/lib/b-1.0.jar", b""), "two entries called"),
        (add("BOOT-INF/lib/spring-boot-devtools-3.5.7.jar", b""), "devtools"),
        (add("BOOT-INF/lib/b c.jar", b""), "a library called"),
        (add("BOOT-INF/lib/deep/b.jar", b""), "a library called"),
        (add("BOOT-INF/lib/native.so", b""), "a library called"),
        (add("BOOT-INF/classpath.idx", b"- \"BOOT-INF/lib/c.jar\"\n"), "names c.jar, which is not there"),
        (add("BOOT-INF/classes/../../../etc/passwd", b""), "an entry called"),
        (add("/etc/passwd", b""), "an entry called"),
        (add("BOOT-INF/lib/../../x.jar", b""), "an entry called"),
        (add("BOOT-INF\\lib\\x.jar", b""), "an entry called"),
    ] {
        let why = Place::new().reason(&built(&jar));
        assert!(why.contains(reason), "{reason}: {why}");
    }
}

#[test]
fn a_packed_library_is_not_understood_because_the_launcher_would_not_start_it() {
    let manifest = manifest_text(LAUNCHER);
    let mut bytes = Vec::new();
    let mut writer = ZipWriter::new(&mut bytes);
    for (name, content) in entries(&manifest) {
        let (head, packed) = head(if name.ends_with("b-1.0.jar") { "x" } else { name }, content);
        let name = if name.ends_with("b-1.0.jar") { name.to_owned() } else { head.name.clone() };
        writer.add(&Head { name, ..head }, |out| out.write_all(&packed)).unwrap();
    }
    writer.finish().unwrap();
    assert!(Place::new().reason(&bytes).ends_with("b-1.0.jar in it is packed"));
}

#[test]
fn a_jar_that_is_cut_off_is_not_looked_into_as_if_it_were_whole() {
    let manifest = manifest_text(LAUNCHER);
    let (bytes, place) = (built(&entries(&manifest)), Place::new());
    let source = place.dir.path().join("cut.jar");
    for length in 0..bytes.len() {
        fs::write(&source, &bytes[..length]).unwrap();
        assert!(matches!(place.host.digest(&source), Err(ArtifactError::NotAJar { .. })), "{length}");
        let fresh = LinuxHost::new("/nonexistent");
        assert!(matches!(fresh.layout(&Digest::new("0"), Some(&source)), Layout::Opaque { .. }), "{length}");
    }
}

#[test]
fn what_a_killed_unpacking_left_is_removed_by_the_next_and_nothing_half_has_the_name() {
    let (manifest, place) = (manifest_text(LAUNCHER), Place::new());
    let digest = place.installed(&built(&entries(&manifest)));
    let left = place.host.folder(&digest).join(".incoming-dead");
    fs::create_dir_all(left.join("lib")).unwrap();
    fs::write(left.join("lib/b-1.0.jar"), "half").unwrap();
    assert_eq!(place.host.layout(&digest, None), Layout::Packed, "half is not unpacked");
    place.host.unpack(&digest).unwrap();
    assert!(!left.exists());
    let before = fs::metadata(place.host.folder(&digest).join(UNPACKED)).unwrap().modified().unwrap();
    place.host.unpack(&digest).unwrap();
    assert_eq!(fs::metadata(place.host.folder(&digest).join(UNPACKED)).unwrap().modified().unwrap(), before, "once");
    place.host.discard(&digest).unwrap();
    assert!(!place.host.folder(&digest).exists());
}

#[test]
fn an_unpacked_jar_that_was_changed_is_put_aside_before_a_start_and_unpacked_again() {
    let spoil: [fn(&Path); 3] = [
        |lib| fs::write(lib.join("b-1.0.jar"), "other").unwrap(),
        |lib| fs::write(lib.join("more.jar"), "more").unwrap(),
        |lib| fs::remove_file(lib.join("b-1.0.jar")).unwrap(),
    ];
    for spoil in spoil {
        let (manifest, place) = (manifest_text(LAUNCHER), Place::new());
        let digest = place.installed(&built(&entries(&manifest)));
        place.host.unpack(&digest).unwrap();
        let lib = place.host.proven_unpacked(&digest).unwrap().parent().unwrap().join("lib");
        fs::set_permissions(lib.join("b-1.0.jar"), Permissions::from_mode(0o644)).unwrap();
        spoil(&lib);
        assert!(matches!(place.host.proven_unpacked(&digest), Err(ArtifactError::Io { act: "trust", .. })));
        assert_eq!(place.host.layout(&digest, None), Layout::Packed);
        place.host.unpack(&digest).unwrap();
        assert_eq!(fs::read(lib.join("b-1.0.jar")).unwrap(), b"b");
        place.host.proven_unpacked(&digest).unwrap();
    }
}

#[test]
fn content_that_turns_out_not_to_be_what_the_directory_says_is_a_reason_and_no_failure() {
    let (manifest, place) = (manifest_text(LAUNCHER), Place::new());
    let mut bytes = built(&entries(&manifest));
    let at = bytes.windows(9).position(|w| w == b"BOOT-INF/").unwrap();
    // The signature of the local header before the first folder of classes: its directory entry still looks well.
    let class = bytes.windows(38).position(|w| w == b"BOOT-INF/classes/com/example/App.class").unwrap();
    assert!(class > at);
    bytes[class - 30] = b'X';
    let digest = place.installed(&bytes);
    assert_eq!(place.host.layout(&digest, None), Layout::Packed);
    place.host.unpack(&digest).unwrap();
    assert!(matches!(place.host.layout(&digest, None), Layout::Opaque { .. }));
}

/// A jar of the usual layout with so many files of its own in folders that have no entries, written by another tool: with more than
/// 65,535 entries its directory is of the 64-bit kind.
fn with_files(count: usize, more: &[&str]) -> Vec<u8> {
    let manifest = manifest_text(LAUNCHER);
    let files: Vec<_> = (0..count).map(|n| format!("BOOT-INF/classes/static/{}/{n}.txt", n % 100)).collect();
    let all = entries(&manifest).into_iter().filter(|(name, _)| !name.ends_with('/'));
    let all = all.chain(files.iter().map(|name| (name.as_str(), &b""[..]))).chain(more.iter().map(|name| (*name, &b"x"[..])));
    let mut bytes = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
    for (name, content) in all {
        let (mut entry, config) = archive.new_file(name).start().unwrap();
        let mut writer = config.wrap(&mut entry);
        writer.write_all(content).unwrap();
        let (_, descriptor) = writer.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    bytes
}

/// Why a jar that looks well is started as it was built, once unpacking it was tried; nothing half of it is left.
fn reason_of_unpacking(jar: &[u8]) -> String {
    let place = Place::new();
    let digest = place.installed(jar);
    assert_eq!(place.host.layout(&digest, None), Layout::Packed);
    place.host.unpack(&digest).unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
    let left = fs::read_dir(place.host.folder(&digest)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.starts_with(INCOMING) || name == UNPACKED).count(), 0);
    let Layout::Opaque { why } = place.host.layout(&digest, None) else { panic!("it would be unpacked again and again") };
    why
}

#[test]
fn a_jar_with_more_entries_than_can_be_written_is_a_reason_and_no_failure() {
    assert!(reason_of_unpacking(&with_files(70_000, &[])).contains("comes to more than 65,535 entries"));
    // The folders are ours: the jar itself has fewer.
    assert!(reason_of_unpacking(&with_files(65_500, &[])).contains("comes to more than 65,535 entries"));
    let place = Place::new();
    place.unpacked(&with_files(65_400, &[]));
}

#[test]
fn a_library_whose_name_no_file_can_have_is_a_reason_and_no_failure() {
    let name = format!("BOOT-INF/lib/{}.jar", "x".repeat(300));
    assert!(reason_of_unpacking(&with_files(1, &[&name])).contains("has a name that no file can have here"));
}
