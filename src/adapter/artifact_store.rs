//! Jars, wars and env files under their digest: `STATE/artifacts/<sha256>/app.jar`, `…/app.war` or `…/env`, written once, never changed.
//!
//! A JVM reads its jar lazily for as long as it runs, and dies of one that is overwritten under it; so a jar gets a name of its
//! own, and another one gets another name.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use tempfile::NamedTempFile;

use crate::adapter::{LinuxHost, env_file, files, jar};
use crate::host::artifacts::{ArtifactError, Artifacts};
use crate::host::processes::ProcessError;
use crate::model::boot::{Archive, Layout};
use crate::model::id::{ArchiveId, Digest};
use crate::model::ledger::JarStamp;
use crate::model::observed::Observation;

pub(super) const JAR: &str = "app.jar";
/// Spring Boot serves the pages of a war only when its name ends in `.war` (`DocumentRoot.getWarFileDocumentRoot`).
const WAR: &str = "app.war";
const ENV: &str = "env";
const STAMP: &str = "stamp";
/// What a jar or war is called from then on whose bytes are no longer those of its digest.
const DAMAGED: &str = "damaged";
pub(super) const INCOMING: &str = ".incoming-";

/// Readable by the user that the slot runs as, writable by nobody.
const JAR_MODE: u32 = 0o444;
/// Holds secrets; slotd alone reads it, and hands its lines over.
const ENV_MODE: u32 = 0o400;

impl Artifacts for LinuxHost {
    fn stamp(&self, path: &Path) -> Observation<JarStamp> {
        match fs::metadata(path) {
            Ok(meta) if meta.is_file() => Observation::Known(stamp_of(&meta)),
            Ok(_) => Observation::Unknown(format!("{} is no file", path.display())),
            Err(error) if is_missing(&error) => Observation::Absent,
            Err(error) => Observation::Unknown(format!("cannot look at {}: {error}", path.display())),
        }
    }

    fn digest(&self, path: &Path) -> Result<(Digest, JarStamp), ArtifactError> {
        let (mut file, before) = open(path)?;
        let whole = jar::whole(&file);
        file.rewind().map_err(io_error("read", path))?;
        let digest = copy(&mut file, &mut io::sink()).map_err(io_error("read", path))?;
        unchanged(path, &before)?;
        whole.map_err(|why| ArtifactError::NotAJar { path: path.to_owned(), why })?;
        Ok((digest, before))
    }

    fn env_file(&self, path: &Path) -> Result<Digest, ArtifactError> {
        let (mut file, before) = open(path)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(io_error("read", path))?;
        unchanged(path, &before)?;
        check_env(path, &content)?;
        Ok(Digest::new(hex::encode(ring::digest::digest(&SHA256, &content))))
    }

    fn stored(&self, digest: &Digest) -> bool {
        let folder = self.folder(digest);
        [JAR, WAR, ENV].iter().any(|name| folder.join(name).is_file())
    }

    fn install(&self, source: &Path, expected: &Digest) -> Result<(), ArtifactError> {
        self.clear_leftovers();
        if self.stored(expected) {
            return Ok(());
        }
        let folder = self.folder(expected);
        let taken = self.take(source, expected, &folder);
        if taken.is_err() {
            // Only succeeds while it is empty: nothing of the store's is lost.
            drop(fs::remove_dir(&folder));
        }
        taken
    }

    fn layout(&self, digest: &Digest, source: Option<&Path>) -> Layout {
        self.layout_of(digest, source)
    }

    fn unpack(&self, digest: &Digest) -> Result<(), ArtifactError> {
        self.unpack_stored(digest)
    }

    fn archives(&self, digest: &Digest) -> BTreeMap<ArchiveId, Archive> {
        self.archives_of(digest)
    }

    fn retrain(&self, digest: &Digest) -> Result<(), ArtifactError> {
        self.forgive(digest)
    }

    fn untrainable(&self, digest: &Digest) -> Option<String> {
        self.why_untrainable(digest)
    }

    fn list(&self) -> Vec<Digest> {
        let Ok(entries) = fs::read_dir(self.artifacts()) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut all: Vec<_> =
            names.filter(|name| is_digest(name)).map(Digest::new).filter(|digest| self.stored(digest)).collect();
        all.sort();
        all
    }

    fn discard(&self, digest: &Digest) -> Result<(), ArtifactError> {
        let folder = self.folder(digest);
        files::or_absent(fs::remove_dir_all(&folder)).map_err(io_error("remove", &folder))
    }
}

impl LinuxHost {
    pub(super) fn folder(&self, digest: &Digest) -> PathBuf {
        self.artifacts().join(digest.as_str())
    }

    /// Copies into a temporary file of the same folder and gives it its name once it is proven.
    fn take(&self, source: &Path, expected: &Digest, folder: &Path) -> Result<(), ArtifactError> {
        let (mut file, before) = open(source)?;
        files::private_dir(folder).map_err(io_error("create", folder))?;
        let into_folder = || io_error("write into", folder);
        let mut temp = tempfile::Builder::new().prefix(INCOMING).tempfile_in(folder).map_err(into_folder())?;
        // Whoever clears leftovers can tell by this that we are still at it.
        temp.as_file().lock().map_err(into_folder())?;
        let found = copy(&mut file, temp.as_file_mut()).map_err(io_error("copy", source))?;
        unchanged(source, &before)?;
        if found != *expected {
            return Err(ArtifactError::Digest { path: source.to_owned(), expected: expected.clone(), found });
        }
        let (name, mode) = kind(source, temp.path())?;
        let path = folder.join(name);
        settle(temp, &path, mode).map_err(into_folder())?;
        if name != ENV {
            record(&path).map_err(into_folder())?;
        }
        files::sync_dir(&self.artifacts()).map_err(into_folder())
    }

    /// Removes what installations left that were killed; one that is under way holds a lock on its file.
    pub(super) fn clear_leftovers(&self) {
        let Ok(folders) = fs::read_dir(self.artifacts()) else { return };
        for folder in folders.flatten() {
            let Ok(entries) = fs::read_dir(folder.path()) else { continue };
            let incoming = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(INCOMING));
            incoming.map(|entry| entry.path()).filter(|path| is_abandoned(path)).for_each(|path| remove(&path));
            drop(fs::remove_dir(folder.path()));
        }
    }

    /// Where a jar or war lies in the store, if it is there.
    pub(super) fn stored_jar(&self, digest: &Digest) -> PathBuf {
        let folder = self.folder(digest);
        let war = folder.join(WAR);
        if war.is_file() { war } else { folder.join(JAR) }
    }

    /// The stored jar, proven to be the one of its name just before it is started. Reading it costs about 40 ms for 24 MB, so
    /// it is read again only when its inode says that somebody has touched it.
    pub(super) fn whole_jar(&self, digest: &Digest) -> Result<PathBuf, ArtifactError> {
        let path = self.stored_jar(digest);
        let fault = |act| io_error(act, &path);
        let now = store_stamp(&path).map_err(fault("read"))?;
        if fs::read_to_string(path.with_file_name(STAMP)).is_ok_and(|recorded| recorded == now) {
            return Ok(with_its_ending(path));
        }
        let mut file = File::open(&path).map_err(fault("read"))?;
        if copy(&mut file, &mut io::sink()).map_err(fault("read"))? == *digest {
            record(&path).map_err(fault("record the stamp of"))?;
            return Ok(with_its_ending(path));
        }
        // A JVM that runs from it keeps it under its new name; the next pass finds it missing and installs it again.
        for name in [JAR, WAR] {
            let aside = path.with_file_name(format!("{name}.{DAMAGED}"));
            files::or_absent(fs::rename(path.with_file_name(name), aside)).map_err(fault("put aside"))?;
        }
        let changed = format!("it was changed; its name ends in .{DAMAGED} now");
        Err(fault("trust")(io::Error::new(io::ErrorKind::InvalidData, changed)))
    }

    /// The lines of a stored env file, proven like a jar; it is small, so it is always read.
    pub(super) fn proven_env(&self, digest: &Digest) -> Result<Vec<(String, String)>, ProcessError> {
        let path = self.folder(digest).join(ENV);
        let content = fs::read(&path).map_err(file_error("read", &path))?;
        let invalid = |why: &str| file_error("trust", &path)(io::Error::new(io::ErrorKind::InvalidData, why.to_owned()));
        if hex::encode(ring::digest::digest(&SHA256, &content)) != digest.as_str() {
            drop(fs::remove_file(&path));
            return Err(invalid("it was changed, and was removed"));
        }
        env_file::parse(&content).map_err(|bad| invalid(&format!("line {} is not KEY=VALUE", bad.line)))
    }
}

/// What the copy turned out to be; an executable jar begins with a script, so the first bytes do not tell.
fn kind(source: &Path, copy: &Path) -> Result<(&'static str, u32), ArtifactError> {
    let file = File::open(copy).map_err(io_error("read", copy))?;
    let Err(why) = jar::whole(&file) else {
        let is_war = ends_like_a_war(source) || jar::is_war(&file);
        return Ok((if is_war { WAR } else { JAR }, JAR_MODE));
    };
    let content = fs::read(copy).map_err(io_error("read", copy))?;
    match env_file::parse(&content) {
        Ok(_) => Ok((ENV, ENV_MODE)),
        Err(_) => Err(ArtifactError::NotAJar { path: source.to_owned(), why }),
    }
}

/// As Spring Boot compares it.
fn ends_like_a_war(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("war"))
}

/// A war that an older slotd stored as `app.jar` gets the name of a war beside it: a JVM that runs from the old name goes on reading it.
fn with_its_ending(path: PathBuf) -> PathBuf {
    let is_misnamed = path.ends_with(JAR) && File::open(&path).is_ok_and(|file| jar::is_war(&file));
    let war = path.with_file_name(WAR);
    // Where the file system refuses, the application starts without its pages, as the older slotd started it: better than not at all.
    if is_misnamed && fs::hard_link(&path, &war).is_ok() { war } else { path }
}

/// Content first, then the name, then the folder: in this order a power loss leaves no name with half a jar behind it.
fn settle(temp: NamedTempFile, path: &Path, mode: u32) -> io::Result<()> {
    temp.as_file().set_permissions(Permissions::from_mode(mode))?;
    temp.as_file().sync_all()?;
    match temp.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => return Err(error.error),
        // Somebody else was faster, with the same bytes: it is there under its digest.
        Ok(_) | Err(_) => {}
    }
    files::sync_dir(path.parent().unwrap_or(path))
}

/// Hashes while copying. Each byte of a new jar is hashed twice before its JVM starts, and on a processor without instructions for it
/// ring needs half of what sha2 does (55 and 115 ms for 21 MB); with them they are equal.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<Digest> {
    let mut hash = Context::new(&SHA256);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(Digest::new(hex::encode(hash.finish())));
        }
        hash.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
    }
}

fn open(path: &Path) -> Result<(File, JarStamp), ArtifactError> {
    let file = File::open(path).map_err(io_error("read", path))?;
    let meta = file.metadata().map_err(io_error("read", path))?;
    if !meta.is_file() {
        return Err(ArtifactError::NotAJar { path: path.to_owned(), why: "it is no file".to_owned() });
    }
    Ok((file, stamp_of(&meta)))
}

/// Asks the path, not the open file: one that was replaced meanwhile is to be read anew too.
fn unchanged(path: &Path, before: &JarStamp) -> Result<(), ArtifactError> {
    let now = fs::metadata(path).map_err(io_error("read", path))?;
    if stamp_of(&now) == *before { Ok(()) } else { Err(ArtifactError::Growing { path: path.to_owned() }) }
}

fn check_env(path: &Path, content: &[u8]) -> Result<(), ArtifactError> {
    let fault = |bad: env_file::BadLine| ArtifactError::NotAnEnvFile { path: path.to_owned(), line: bad.line, found: bad.found };
    env_file::parse(content).map(drop).map_err(fault)
}

fn stamp_of(meta: &Metadata) -> JarStamp {
    let mtime = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
    JarStamp { len: meta.len(), mtime, inode: meta.ino() }
}

/// With the change time too, which nobody can set: the store's own files have no reason to change at all.
pub(super) fn store_stamp(path: &Path) -> io::Result<String> {
    let meta = fs::metadata(path)?;
    let JarStamp { len, mtime, inode } = stamp_of(&meta);
    Ok(format!("{len} {mtime} {inode} {}.{:09}\n", meta.ctime(), meta.ctime_nsec()))
}

fn record(jar: &Path) -> io::Result<()> {
    files::replace(&jar.with_file_name(STAMP), store_stamp(jar)?.as_bytes(), 0o600)
}

/// What a killed installation or unpacking left. Not worth failing for: the next one tries again.
fn remove(path: &Path) {
    drop(if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) });
}

fn is_abandoned(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock().is_ok())
}

fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

pub(super) fn io_error(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ArtifactError {
    let path = path.to_owned();
    move |source| if is_missing(&source) { ArtifactError::Missing { path } } else { ArtifactError::Io { act, path, source } }
}

fn file_error(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ProcessError {
    let path = path.to_owned();
    move |source| ProcessError::File { act, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::jar::tests::jar;
    use tempfile::TempDir;

    struct Place {
        host: LinuxHost,
        dir: TempDir,
    }

    fn place() -> Place {
        let dir = tempfile::tempdir().unwrap();
        Place { host: LinuxHost::new(dir.path().join("state")), dir }
    }

    impl Place {
        fn file(&self, name: &str, content: &[u8]) -> PathBuf {
            let path = self.dir.path().join(name);
            fs::write(&path, content).unwrap();
            path
        }

        fn installed(&self) -> Digest {
            let source = self.file("a.jar", &jar("Start-Class: a.B\n", b"x"));
            let (digest, _) = self.host.digest(&source).unwrap();
            self.host.install(&source, &digest).unwrap();
            digest
        }
    }

    #[test]
    fn an_installed_jar_is_read_only_and_can_be_discarded() {
        let place = place();
        let digest = place.installed();
        let stored = place.host.folder(&digest).join(JAR);
        assert_eq!(fs::metadata(&stored).unwrap().permissions().mode() & 0o777, 0o444);
        assert_eq!(fs::metadata(place.host.state()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(place.host.list(), std::slice::from_ref(&digest));
        place.host.discard(&digest).unwrap();
        assert!(!place.host.stored(&digest) && place.host.list().is_empty());
        place.host.discard(&digest).unwrap();
    }

    /// A war by its content, whatever it is called.
    fn war() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
        archive.new_dir("WEB-INF/classes/").create().unwrap();
        archive.finish().unwrap();
        bytes
    }

    #[test]
    fn a_war_is_stored_and_started_under_its_own_ending() {
        for (name, content, stored) in [
            ("a.jar", jar("A: b\n", b"x"), "app.jar"),
            ("a.war", war(), "app.war"),
            ("a.WAR", jar("A: b\n", b"x"), "app.war"),
            ("a.jar", war(), "app.war"),
        ] {
            let place = place();
            let source = place.file(name, &content);
            let (digest, _) = place.host.digest(&source).unwrap();
            place.host.install(&source, &digest).unwrap();
            assert!(place.host.stored(&digest) && place.host.list() == std::slice::from_ref(&digest), "{name}");
            assert_eq!(place.host.whole_jar(&digest).unwrap(), place.host.folder(&digest).join(stored), "{name}");
        }
    }

    #[test]
    fn a_war_that_an_older_slotd_stored_as_a_jar_gets_its_ending_and_keeps_its_old_name_for_whoever_runs_from_it() {
        let place = place();
        let source = place.file("a.war", &war());
        let (digest, _) = place.host.digest(&source).unwrap();
        let folder = place.host.folder(&digest);
        fs::create_dir_all(&folder).unwrap();
        fs::copy(&source, folder.join("app.jar")).unwrap();
        for _again in 0..2 {
            assert_eq!(place.host.whole_jar(&digest).unwrap(), folder.join("app.war"));
            assert!(folder.join("app.jar").exists());
        }
        fs::write(folder.join("app.war"), b"other bytes").unwrap();
        assert!(matches!(place.host.whole_jar(&digest), Err(ArtifactError::Io { act: "trust", .. })));
        assert!(!place.host.stored(&digest), "neither name is left");
        place.host.install(&source, &digest).unwrap();
        assert_eq!(place.host.whole_jar(&digest).unwrap(), folder.join("app.war"));
    }

    #[test]
    fn other_bytes_than_expected_leave_no_trace() {
        let place = place();
        let source = place.file("a.jar", &jar("A: b\n", b"x"));
        let wrong = Digest::new("0".repeat(64));
        assert!(matches!(place.host.install(&source, &wrong), Err(ArtifactError::Digest { .. })));
        assert!(fs::read_dir(place.host.artifacts()).unwrap().next().is_none());
    }

    #[test]
    fn a_truncated_jar_is_refused_and_a_missing_one_is_named_missing() {
        let place = place();
        let bytes = jar("A: b\n", b"x");
        let source = place.file("a.jar", &bytes[..bytes.len() - 7]);
        assert!(matches!(place.host.digest(&source), Err(ArtifactError::NotAJar { .. })));
        let none = place.dir.path().join("none.jar");
        assert!(matches!(place.host.digest(&none), Err(ArtifactError::Missing { .. })));
        assert!(place.host.stamp(&none).is_absent());
        assert!(!place.host.state().exists(), "looking makes no folder");
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_growing() {
        let place = place();
        let source = place.file("a.jar", &jar("A: b\n", b"x"));
        let (_, before) = open(&source).unwrap();
        fs::OpenOptions::new().append(true).open(&source).unwrap().write_all(b"more").unwrap();
        assert!(matches!(unchanged(&source, &before), Err(ArtifactError::Growing { .. })));
    }

    #[test]
    fn an_env_file_is_kept_from_others_under_its_own_digest() {
        let place = place();
        let source = place.file("env", b"A=1\n");
        let digest = place.host.env_file(&source).unwrap();
        place.host.install(&source, &digest).unwrap();
        let stored = place.host.folder(&digest).join(ENV);
        assert_eq!(fs::metadata(stored).unwrap().permissions().mode() & 0o777, 0o400);
        assert_eq!(place.host.proven_env(&digest).unwrap(), [("A".to_owned(), "1".to_owned())]);
        let bad = place.file("bad", b"A=1\nsecret-without-key\n");
        assert!(matches!(place.host.env_file(&bad), Err(ArtifactError::NotAnEnvFile { line: 2, .. })));
    }

    #[test]
    fn what_a_killed_installation_left_is_removed_by_the_next_but_not_one_under_way() {
        let place = place();
        let digest = place.installed();
        let folder = place.host.folder(&Digest::new("f".repeat(64)));
        fs::create_dir(&folder).unwrap();
        let (dead, alive) = (folder.join(".incoming-dead"), folder.join(".incoming-alive"));
        fs::write(&dead, b"half").unwrap();
        fs::write(&alive, b"half").unwrap();
        let writer = File::open(&alive).unwrap();
        writer.lock().unwrap();
        place.host.install(Path::new("unused"), &digest).unwrap();
        assert!(!dead.exists() && alive.exists());
        writer.unlock().unwrap();
        place.host.install(Path::new("unused"), &digest).unwrap();
        assert!(!folder.exists());
    }

    #[test]
    fn a_stored_jar_that_was_tampered_with_is_put_aside_before_a_start() {
        let place = place();
        let digest = place.installed();
        let path = place.host.whole_jar(&digest).unwrap();
        fs::remove_file(path.with_file_name(STAMP)).unwrap();
        place.host.whole_jar(&digest).expect("without a stamp it is read again");
        assert!(path.with_file_name(STAMP).exists());
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        place.host.whole_jar(&digest).expect("the same bytes");
        fs::write(&path, b"other bytes").unwrap();
        assert!(matches!(place.host.whole_jar(&digest), Err(ArtifactError::Io { act: "trust", .. })));
        assert!(!place.host.stored(&digest));
    }
}
