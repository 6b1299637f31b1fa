//! Jars: small ones for the stub, written here, and the sample's, built by Maven.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// What both applications call their main class: by this slotd tells that two jars are the same application.
const START_CLASS: &str = "com.example.webservice.WebserviceApplication";

/// The stub as an executable; built when `cargo test` was asked for one test binary alone and has left it out.
pub(crate) fn stub_binary() -> PathBuf {
    let stub = Path::new(env!("CARGO_BIN_EXE_slotd")).with_file_name("examples").join("stub_app");
    let source = root().join("examples/stub_app.rs");
    let _one = lock("stub");
    if modified(&stub) < modified(&source) {
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // the profile of whoever asks: another one would build every dependency again
        let profile = if cfg!(debug_assertions) { "test" } else { "release" };
        build.args(["build", "--quiet", "--profile", profile, "--example", "stub_app"]).current_dir(root());
        assert!(build.status().unwrap().success(), "the stub does not build");
    }
    stub
}

/// A zip that is as good as a jar to everybody but a JVM; orders are faults for the stub.
pub(crate) fn stub_jar(folder: &Path, version: &str, orders: &[(&str, &str)]) -> PathBuf {
    let orders = orders.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<Vec<_>>().concat();
    let manifest = format!(
        "Manifest-Version: 1.0\r\nMain-Class: stub.Launcher\r\nStart-Class: {START_CLASS}\r\nImplementation-Version: {version}\r\n{orders}\r\n"
    );
    let path = folder.join(format!("webservice-{version}.jar"));
    fs::write(&path, zip(&[("META-INF/MANIFEST.MF", manifest.as_bytes()), ("version.txt", version.as_bytes())])).unwrap();
    path
}

/// A zip whose entries are stored as they are.
fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut local, mut central) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let common = common_header(name, content);
        let offset = u32::try_from(local.len()).unwrap();
        local.extend([&b"PK\x03\x04"[..], &common, name.as_bytes(), content].concat());
        // made by 2.0; no comment, disk 0, no attributes
        central.extend([&b"PK\x01\x02\x14\0"[..], &common, &[0; 10], &offset.to_le_bytes(), name.as_bytes()].concat());
    }
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    let (size, start) = (u32::try_from(central.len()).unwrap(), u32::try_from(local.len()).unwrap());
    let end = [&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &size.to_le_bytes(), &start.to_le_bytes(), &[0, 0]].concat();
    [local, central, end].concat()
}

/// What the two headers of an entry share: needs 2.0, no flags, stored, 1980-01-01, check sum, sizes, name length, no extra.
fn common_header(name: &str, content: &[u8]) -> Vec<u8> {
    let mut sum = flate2::Crc::new();
    sum.update(content);
    let size = u32::try_from(content.len()).unwrap().to_le_bytes();
    let name = u16::try_from(name.len()).unwrap().to_le_bytes();
    [&[0x14, 0, 0, 0, 0, 0, 0, 0, 0x21, 0][..], &sum.sum().to_le_bytes(), &size, &size, &name, &[0, 0]].concat()
}

/// The version that the sample carries when it is built with this stamp.
pub(crate) fn real_version(stamp: &str) -> String {
    format!("1.0.1-SNAPSHOT-{stamp}")
}

/// The sample built with this stamp: once for a checkout, and again when its sources have changed.
pub(crate) fn real_jar(stamp: &str) -> PathBuf {
    let name = format!("webservice-{}.jar", real_version(stamp));
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
    let _one = lock("maven");
    if modified(&kept) < newest(&sample().join("src")).max(modified(&sample().join("pom.xml"))) {
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "-DskipTests", "package"]).arg(format!("-Dstamp={stamp}")).current_dir(sample());
        assert!(maven.status().expect("Maven is not installed").success(), "the sample does not build");
        let aside = kept.with_extension("new");
        fs::copy(sample().join("target").join(name), &aside).unwrap();
        fs::rename(aside, &kept).unwrap();
    }
    kept
}

/// The sample as a war, as Spring Boot's plug-ins write one: the same classes, libraries and launcher, laid out for the launcher of
/// wars, with one page at its root.
pub(crate) fn real_war(stamp: &str, folder: &Path) -> PathBuf {
    let (war, content) = (folder.join(format!("webservice-{stamp}.war")), folder.join("war"));
    fs::create_dir(&content).unwrap();
    jar_tool(&content, &["--extract", "--file"], &[&real_jar(stamp)]);
    fs::rename(content.join("BOOT-INF"), content.join("WEB-INF")).unwrap();
    fs::write(content.join("page.html"), "a page of the war").unwrap();
    let manifest = content.join("META-INF/MANIFEST.MF");
    let text = fs::read_to_string(&manifest).unwrap().replace("BOOT-INF/", "WEB-INF/").replace("JarLauncher", "WarLauncher");
    let indexed = |line: &&str| !line.contains("Index:");
    let lines: Vec<&str> = text.lines().filter(indexed).chain([""]).collect();
    fs::write(&manifest, lines.join("\r\n")).unwrap();
    // Stored as it is: the launcher reads no library that is packed.
    jar_tool(&content, &["--create", "--no-compress", "--manifest"], &[&manifest, Path::new("--file"), &war, Path::new(".")]);
    war
}

/// The `jar` of the JDK.
fn jar_tool(folder: &Path, words: &[&str], more: &[&Path]) {
    let status = Command::new("jar").args(words).args(more).current_dir(folder).status();
    assert!(status.expect("there is no `jar`, which a JDK has").success(), "jar {words:?} {more:?}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sample() -> PathBuf {
    root().join("examples/spring-boot")
}

/// One builder at a time, over all test processes of this checkout.
fn lock(name: &str) -> File {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(folder).unwrap();
    let file = File::create(folder.join(format!("{name}.lock"))).unwrap();
    file.lock().unwrap();
    file
}

/// The beginning of time for what is not there.
fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn newest(folder: &Path) -> SystemTime {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { newest(&path) } else { modified(&path) }).max().unwrap_or(SystemTime::UNIX_EPOCH)
}
