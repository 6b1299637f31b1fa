//! A Spring Boot jar taken apart: what stands where in it, and whether it may be started from unpacked jars instead.
//!
//! It may where that makes no difference to the application but time. What would make one, or is not understood, has a reason, as
//! a sentence about "it"; then the jar is started as it was built. Layout: Spring Boot reference, "The Executable Jar Format" (2.x and
//! 3.x, layered or not); which entries stand at the root and which below `BOOT-INF/classes/` is decided by
//! `RepackagingLayout` of its build plug-ins.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use rawzip::time::DosDateTime;
use rawzip::{CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveEntryWayfinder, ZipFileHeaderRecord};

use crate::adapter::jar::{self, MANIFEST, WAR_FOLDER};
use crate::adapter::zip_writer::Head;

const CLASSES: &str = "BOOT-INF/classes/";
const LIBS: &str = "BOOT-INF/lib/";
const INDEX: &str = "BOOT-INF/classpath.idx";
/// The launcher of before and since 3.2. `PropertiesLauncher` finds its class path by settings, `WarLauncher` is a war's.
const LAUNCHERS: [&str; 2] =
    ["org.springframework.boot.loader.JarLauncher", "org.springframework.boot.loader.launch.JarLauncher"];
/// The launcher's own classes, which nothing needs once the jars lie in a folder.
const LAUNCHER_CLASSES: &str = "org/springframework/boot/loader/";
/// The launcher's own provider: without its classes the JVM would fail to list its file systems.
const LAUNCHER_SERVICE: &str = "META-INF/services/java.nio.file.spi.FileSystemProvider";

/// An entry, and where its packed bytes are.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) head: Head,
    pub(super) place: ZipArchiveEntryWayfinder,
}

/// What an application is started from when it is unpacked.
pub(super) struct BootJar {
    pub(super) archive: ZipArchive<FileReader>,
    /// As it was built.
    pub(super) manifest: String,
    /// The application's own class.
    pub(super) start_class: String,
    /// What the application's own jar holds, under the names that it is to have there.
    pub(super) own: Vec<Part>,
    /// Its libraries in the order of the class path, under their names without a folder.
    pub(super) libs: Vec<Part>,
}

/// Takes a jar apart; the error says why it can only be started as it was built.
pub(super) fn open(file: File) -> Result<BootJar, String> {
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_file(file, &mut buffer).map_err(|e| format!("it cannot be read ({e})"))?;
    let mut sorted = Sorted::default();
    for part in parts(&archive, &mut buffer)? {
        sorted.put(part)?;
    }
    let text = |part: &Option<Part>| part.as_ref().map(|part| read(&archive, part)).transpose();
    let manifest = text(&sorted.manifest)?.ok_or("it has no manifest")?;
    let start_class = start_class(&manifest)?;
    let libs = in_order(sorted.libs, text(&sorted.index)?.as_deref())?;
    let own = own(sorted.root, sorted.classes, &archive)?;
    Ok(BootJar { archive, manifest, start_class, own, libs })
}

/// The entries by what they are.
#[derive(Default)]
struct Sorted {
    manifest: Option<Part>,
    index: Option<Part>,
    root: Vec<Part>,
    classes: Vec<Part>,
    libs: Vec<Part>,
}

impl Sorted {
    fn put(&mut self, part: Part) -> Result<(), String> {
        let name = part.head.name.clone();
        let is_folder = name.ends_with('/');
        if let Some(why) = foreign(&name) {
            return Err(why);
        }
        match name.as_str() {
            MANIFEST => self.manifest = Some(part),
            INDEX => self.index = Some(part),
            _ if name.starts_with(LAUNCHER_CLASSES) => {}
            _ if name.starts_with(LIBS) => self.libs.extend((!is_folder).then_some(part)),
            _ if name.starts_with(CLASSES) => self.classes.extend(below(part, CLASSES)),
            _ if name.starts_with("BOOT-INF/") => {}
            _ => self.root.extend((!is_folder).then_some(part)),
        }
        Ok(())
    }
}

/// Why an entry of this name keeps the jar from being unpacked.
fn foreign(name: &str) -> Option<String> {
    let is_signature = name.strip_prefix("META-INF/").is_some_and(|file| {
        !file.contains('/') && [".SF", ".RSA", ".DSA", ".EC"].iter().any(|end| file.to_ascii_uppercase().ends_with(end))
    });
    let inner = name.strip_prefix(CLASSES).unwrap_or(name);
    Some(if is_signature {
        format!("it is signed ({name}), and would not be any more")
    } else if name.starts_with(WAR_FOLDER) {
        "it is a war".to_owned()
    } else if inner.starts_with("META-INF/versions/") {
        format!("it has classes for single versions of Java ({name})")
    } else if name == "META-INF/INDEX.LIST" {
        format!("it has an index of other jars ({name})")
    } else {
        return None;
    })
}

/// The part under its name below a folder; the folder itself is none.
fn below(part: Part, folder: &str) -> Option<Part> {
    let name = part.head.name.strip_prefix(folder).filter(|name| !name.is_empty())?.to_owned();
    Some(Part { head: Head { name, ..part.head }, ..part })
}

fn parts(archive: &ZipArchive<FileReader>, buffer: &mut [u8]) -> Result<Vec<Part>, String> {
    let mut all = Vec::new();
    let mut names = BTreeSet::new();
    let mut entries = archive.entries(buffer);
    while let Some(entry) = entries.next_entry().map_err(|e| format!("its directory cannot be read ({e})"))? {
        let part = part(&entry)?;
        if !names.insert(part.head.name.clone()) {
            return Err(format!("it has two entries called {}", part.head.name));
        }
        all.push(part);
    }
    Ok(all)
}

fn part(entry: &ZipFileHeaderRecord<'_>) -> Result<Part, String> {
    let raw = entry.file_path();
    let name = std::str::from_utf8(raw.as_ref()).ok().filter(|name| is_plain(name)).map(str::to_owned);
    let name = name.ok_or_else(|| format!("it has an entry called {:?}", String::from_utf8_lossy(raw.as_ref())))?;
    let method = entry.compression_method();
    if method != CompressionMethod::STORE && method != CompressionMethod::DEFLATE {
        return Err(format!("{name} in it is packed in a way that jars do not use"));
    }
    let size = |bytes: u64| u32::try_from(bytes).map_err(|_| format!("{name} in it is larger than 4 GiB"));
    let (packed, whole) = (size(entry.compressed_size_hint())?, size(entry.uncompressed_size_hint())?);
    let stamps = entry.extra_fields().filter(|(id, _)| *id == rawzip::extra_fields::ExtraFieldId::EXTENDED_TIMESTAMP);
    let stamp = stamps.map(|(_, data)| data.to_vec()).next();
    let time = packed_time(entry.last_modified_dos());
    Ok(Part { place: entry.wayfinder(), head: Head { name, method, time, stamp, sum: entry.crc32(), packed, whole } })
}

/// Time and date as DOS packs them: 5, 6, 5 bits of hour, minute and half seconds; 7, 4, 5 bits of year since 1980, month and day.
fn packed_time(time: DosDateTime) -> (u16, u16) {
    let date = (time.year().saturating_sub(1980) << 9) | (u16::from(time.month()) << 5) | u16::from(time.day());
    let clock = (u16::from(time.hour()) << 11) | (u16::from(time.minute()) << 5) | (u16::from(time.second()) / 2);
    (clock, date)
}

/// A path that leads down, and nowhere else.
fn is_plain(name: &str) -> bool {
    let path = name.strip_suffix('/').unwrap_or(name);
    !name.contains(['\\', '\0', '\n', '\r']) && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn read(archive: &ZipArchive<FileReader>, part: &Part) -> Result<String, String> {
    jar::text(archive, part.place, part.head.method).map_err(|e| format!("{} in it cannot be read ({e})", part.head.name))
}

/// The application's own class, where the manifest says what Spring Boot's plug-ins write.
fn start_class(manifest: &str) -> Result<String, String> {
    let attribute = |name| jar::attribute(manifest, name);
    let launcher = attribute("Main-Class").ok_or("its manifest names no Main-Class")?;
    if !LAUNCHERS.contains(&launcher.as_str()) {
        return Err(format!("its Main-Class is {launcher}, and not the JarLauncher of Spring Boot"));
    }
    for (name, usual) in [("Spring-Boot-Classes", CLASSES), ("Spring-Boot-Lib", LIBS), ("Spring-Boot-Classpath-Index", INDEX)] {
        if let Some(found) = attribute(name).filter(|found| found != usual) {
            return Err(format!("its manifest says {name}: {found}"));
        }
    }
    if let Some(others) = attribute("Class-Path") {
        return Err(format!("its manifest adds {others} to the class path"));
    }
    attribute("Start-Class").ok_or_else(|| "its manifest names no Start-Class".to_owned())
}

/// The libraries in the order of the index, those that it leaves out behind them as they stand in the jar; without an index as they
/// stand in the jar.
fn in_order(libs: Vec<Part>, index: Option<&str>) -> Result<Vec<Part>, String> {
    let mut rest: Vec<Part> = libs.into_iter().map(lib).collect::<Result<_, _>>()?;
    if rest.is_empty() {
        return Err(format!("it has no libraries below {LIBS}"));
    }
    let mut ordered = Vec::new();
    for name in index.unwrap_or_default().lines().filter_map(indexed) {
        let at = rest.iter().position(|lib| lib.head.name == name);
        ordered.push(rest.remove(at.ok_or_else(|| format!("{INDEX} in it names {name}, which is not there once"))?));
    }
    Ok(ordered.into_iter().chain(rest).collect())
}

/// `- "BOOT-INF/lib/a.jar"`; 2.3 wrote the name alone.
fn indexed(line: &str) -> Option<&str> {
    let name = line.trim().strip_prefix('-')?.trim().trim_matches('"');
    Some(name.strip_prefix(LIBS).unwrap_or(name))
}

/// The launcher takes any file; the tools that read a class path want the ending.
fn is_jar(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == "jar")
}

/// A library under its own name. Stored, as the launcher wants it: one that is packed the application could not be started with.
fn lib(part: Part) -> Result<Part, String> {
    let name = part.head.name.clone();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+~".contains(c);
    let own = below(part, LIBS).filter(|lib| lib.head.name.chars().all(plain) && is_jar(&lib.head.name));
    // A Class-Path is a list of URLs: what is plain needs no escapes, which not every reader of one understands.
    let own = own.ok_or_else(|| format!("it has a library called {name}"))?;
    if own.head.method != CompressionMethod::STORE {
        return Err(format!("{name} in it is packed"));
    }
    if own.head.name.starts_with("spring-boot-devtools-") {
        return Err(format!("it has {}, which would take the host for a workplace", own.head.name));
    }
    Ok(own)
}

/// What the application's own jar holds: its classes, and what stands at the root of the jar (static files, `persistence.xml`, the
/// build's properties), which the launcher's class path has too.
fn own(root: Vec<Part>, classes: Vec<Part>, archive: &ZipArchive<FileReader>) -> Result<Vec<Part>, String> {
    let names: BTreeSet<String> = classes.iter().map(|part| part.head.name.clone()).collect();
    let mut all = Vec::new();
    for part in root {
        if names.contains(&part.head.name) {
            return Err(format!("{} stands twice in it, at its root and below {CLASSES}", part.head.name));
        }
        let is_launchers =
            part.head.name == LAUNCHER_SERVICE && read(archive, &part)?.trim().starts_with("org.springframework.boot.loader.");
        all.extend((!is_launchers).then_some(part));
    }
    if names.contains(MANIFEST) {
        return Err(format!("it has a second manifest below {CLASSES}"));
    }
    Ok(classes.into_iter().chain(all).collect())
}
