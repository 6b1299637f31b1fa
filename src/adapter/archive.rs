//! Archives of loaded classes beside an unpacked jar: `STATE/artifacts/<sha256>/archives/<id>.jsa` (class-data sharing, JDK 13 and
//! later) or `<id>.aot` (the ahead-of-time cache of JDK 24 and later), with `<id>.stamp`, `<id>.failed` and `<id>.log`.
//!
//! A JVM that is given an archive of another JVM or another class path says nothing and starts without it. One that is given a
//! *damaged* archive is killed by a bus error (seen: JDK 17 with a file that was cut off, and with one page overwritten). So an
//! archive counts only while its inode says what it said when it was finished, and a JVM that died in the middle leaves none:
//! the name appears after the whole content is on the disk.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::adapter::artifact_store::{INCOMING, io_error, store_stamp};
use crate::adapter::unpack::UNPACKED;
use crate::adapter::{LinuxHost, clock, files};
use crate::host::artifacts::ArtifactError;
use crate::model::boot::Archive;
use crate::model::id::{ArchiveId, Digest};

/// The folder of a jar's archives.
pub(super) const ARCHIVES: &str = "archives";
/// The endings of the two kinds.
pub(super) const KINDS: [&str; 2] = ["jsa", "aot"];
const STAMP: &str = "stamp";
const FAILED: &str = "failed";
/// What stands in `<id>.failed` while a training is under way, before the boot that it was begun in.
const BEGUN: &str = "begun in boot ";

/// Archives of one jar that are kept: each takes 30 to 60 MB, and those of a runtime that was updated are of no use any more.
const KEPT: usize = 3;

impl LinuxHost {
    /// Which archives lie beside a jar, and which could not be made.
    pub(super) fn archives_of(&self, digest: &Digest) -> BTreeMap<ArchiveId, Archive> {
        let folder = self.folder(digest).join(ARCHIVES);
        let Ok(entries) = fs::read_dir(&folder) else { return BTreeMap::new() };
        let mut all = BTreeMap::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some((id, kind)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
            let id_of = || ArchiveId::new(id);
            if KINDS.contains(&kind) && is_whole(&folder, id, kind) {
                all.insert(id_of(), Archive::Ready);
            } else if kind == FAILED
                && let Some(why) = failure(&entry.path())
            {
                all.entry(id_of()).or_insert(Archive::Failed { why });
            }
        }
        all
    }

    /// Removes the notes of what could not be made; one that is being made keeps its own, which stands for it until it has ended.
    pub(super) fn forgive(&self, digest: &Digest) -> Result<(), ArtifactError> {
        let folder = self.folder(digest).join(ARCHIVES);
        if self.is_training() {
            return Ok(());
        }
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|kind| kind == FAILED) {
                files::or_absent(fs::remove_file(&path)).map_err(io_error("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Why no archive can be made for a jar that lies unpacked.
    pub(super) fn why_untrainable(&self, digest: &Digest) -> Option<String> {
        let libs = fs::read_dir(self.folder(digest).join(UNPACKED).join("lib")).ok()?;
        let mut names = libs.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let version = names.find_map(|name| name.strip_prefix("spring-context-")?.strip_suffix(".jar").map(str::to_owned));
        let Some(version) = version else { return Some("it has no spring-context, which ends the training".to_owned()) };
        let mut numbers = version.split('.').map_while(|part| part.parse::<u32>().ok());
        let ends = (numbers.next(), numbers.next()) >= (Some(6), Some(1));
        (!ends).then(|| {
            format!("its Spring Framework {version} cannot end a start before it serves; 6.1 (Spring Boot 3.2) and later can")
        })
    }

    /// The archive that a start is given, proven to be as it was finished.
    pub(super) fn proven_archive(&self, digest: &Digest, id: &ArchiveId) -> Result<PathBuf, ArtifactError> {
        let folder = self.folder(digest).join(ARCHIVES);
        let whole = KINDS.iter().find(|kind| is_whole(&folder, id.as_str(), kind));
        let changed = || io::Error::new(io::ErrorKind::InvalidData, "it is not as it was made");
        let kind = whole.ok_or_else(changed).map_err(io_error("trust", &folder.join(id.as_str())))?;
        Ok(named(&folder, id.as_str(), kind))
    }
}

pub(super) fn named(folder: &Path, id: &str, kind: &str) -> PathBuf {
    folder.join(format!("{id}.{kind}"))
}

/// Whether an archive is the one that was finished under this name.
fn is_whole(folder: &Path, id: &str, kind: &str) -> bool {
    let recorded = fs::read_to_string(named(folder, id, STAMP));
    store_stamp(&named(folder, id, kind)).ok().zip(recorded.ok()).is_some_and(|(now, recorded)| now == recorded)
}

/// Why an archive could not be made; `None` where the machine was restarted meanwhile, which is nobody's fault.
fn failure(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    match text.strip_prefix(BEGUN) {
        Some(boot) if clock::boot_id().is_ok_and(|now| now.as_str() != boot.trim()) => None,
        Some(_) => Some("its training ended without a word".to_owned()),
        None => Some(text),
    }
}

/// Notes a failure before there is one: a training that dies without a word is then not tried again and again.
pub(super) fn begin(folder: &Path, id: &str) -> io::Result<()> {
    let boot = clock::boot_id()?;
    fail(folder, id, &format!("{BEGUN}{boot}"))
}

/// Notes why an archive could not be made.
pub(super) fn fail(folder: &Path, id: &str, why: &str) -> io::Result<()> {
    files::replace(&named(folder, id, FAILED), why.as_bytes(), 0o600)
}

/// Takes what a JVM has made: a copy of our own, since the user that the JVM ran as may have other things in mind with that name.
pub(super) fn finish(folder: &Path, id: &str, kind: &str, made: &Path) -> io::Result<()> {
    let mut from = File::options().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(made)?;
    if !from.metadata()?.is_file() {
        return Err(io::Error::other("what it made is no file"));
    }
    let mut temp = tempfile::Builder::new().prefix(INCOMING).tempfile_in(folder)?;
    io::copy(&mut from, temp.as_file_mut())?;
    temp.as_file().set_permissions(Permissions::from_mode(0o444))?;
    temp.as_file().sync_all()?;
    let path = named(folder, id, kind);
    temp.persist(&path).map_err(|e| e.error)?;
    files::sync_dir(folder)?;
    files::replace(&named(folder, id, STAMP), store_stamp(&path)?.as_bytes(), 0o600)?;
    files::or_absent(fs::remove_file(named(folder, id, FAILED)))?;
    prune(folder)
}

/// Removes the eldest archives beyond those that are kept, and what killed trainings left.
fn prune(folder: &Path) -> io::Result<()> {
    let mut archives = Vec::new();
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(INCOMING) {
            files::or_absent(fs::remove_file(&path))?;
        } else if path.extension().is_some_and(|kind| KINDS.iter().any(|known| kind == *known)) {
            archives.push((entry.metadata()?.modified()?, path));
        }
    }
    archives.sort();
    for (_, path) in &archives[..archives.len().saturating_sub(KEPT)] {
        files::or_absent(fs::remove_file(path))?;
        files::or_absent(fs::remove_file(path.with_extension(STAMP)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    struct Place {
        host: LinuxHost,
        digest: Digest,
        _dir: tempfile::TempDir,
    }

    fn place() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let (host, digest) = (LinuxHost::new(dir.path().join("state")), Digest::new("d"));
        fs::create_dir_all(host.folder(&digest).join(ARCHIVES)).unwrap();
        Place { host, digest, _dir: dir }
    }

    impl Place {
        fn folder(&self) -> PathBuf {
            self.host.folder(&self.digest).join(ARCHIVES)
        }

        fn made(&self, id: &str) {
            let made = self.folder().join("made");
            fs::write(&made, "classes").unwrap();
            finish(&self.folder(), id, "jsa", &made).unwrap();
            fs::remove_file(made).unwrap();
        }

        fn state(&self, id: &str) -> Option<Archive> {
            self.host.archives_of(&self.digest).remove(&ArchiveId::new(id))
        }
    }

    #[test]
    fn an_archive_counts_while_it_is_as_it_was_finished_and_a_damaged_one_does_not() {
        let place = place();
        place.made("a");
        assert_eq!(place.state("a"), Some(Archive::Ready));
        let path = place.host.proven_archive(&place.digest, &ArchiveId::new("a")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let mut file = File::options().write(true).open(&path).unwrap();
        file.write_all(b"CLASSES").unwrap();
        assert_eq!(place.state("a"), None, "a JVM would be killed by it");
        place.host.proven_archive(&place.digest, &ArchiveId::new("a")).unwrap_err();
        place.made("a");
        assert_eq!(place.state("a"), Some(Archive::Ready), "made anew");
    }

    #[test]
    fn a_failure_stays_noted_and_one_that_the_machine_interrupted_does_not() {
        let place = place();
        begin(&place.folder(), "a").unwrap();
        assert_eq!(place.state("a"), Some(Archive::Failed { why: "its training ended without a word".to_owned() }));
        fail(&place.folder(), "a", "java ended with 1").unwrap();
        assert_eq!(place.state("a"), Some(Archive::Failed { why: "java ended with 1".to_owned() }));
        fail(&place.folder(), "a", &format!("{BEGUN}another")).unwrap();
        assert_eq!(place.state("a"), None);
        place.made("a");
        assert_eq!(place.state("a"), Some(Archive::Ready));
        assert!(!named(&place.folder(), "a", FAILED).exists());
    }

    #[test]
    fn what_a_jvm_put_there_in_the_place_of_a_file_is_not_followed() {
        let place = place();
        let (made, secret) = (place.folder().join("made"), place.folder().join("secret"));
        fs::write(&secret, "secret").unwrap();
        std::os::unix::fs::symlink(&secret, &made).unwrap();
        finish(&place.folder(), "a", "jsa", &made).unwrap_err();
        assert_eq!(place.state("a"), None);
    }

    #[test]
    fn a_training_that_failed_is_tried_again_when_a_person_asks() {
        let place = place();
        fail(&place.folder(), "a", "java ended with 1").unwrap();
        fs::write(place.folder().join("other"), "stays").unwrap();
        place.host.forgive(&place.digest).unwrap();
        assert_eq!((place.state("a"), place.folder().join("other").exists()), (None, true));
        place.host.forgive(&Digest::new("never unpacked")).unwrap();
    }

    #[test]
    fn the_newest_archives_are_kept() {
        let place = place();
        for (id, second) in ["a", "b", "c", "d"].into_iter().zip(1..) {
            place.made(id);
            let file = File::open(named(&place.folder(), id, "jsa")).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(second)).unwrap();
            files::replace(
                &named(&place.folder(), id, STAMP),
                store_stamp(&named(&place.folder(), id, "jsa")).unwrap().as_bytes(),
                0o600,
            )
            .unwrap();
        }
        place.made("e");
        let left: Vec<_> = place.host.archives_of(&place.digest).into_keys().collect();
        assert_eq!(left, ["c", "d", "e"].map(ArchiveId::new));
    }

    #[test]
    fn only_a_spring_framework_that_can_end_a_start_early_is_trained_with() {
        for (library, trainable) in [
            ("spring-context-6.2.12.jar", true),
            ("spring-context-6.1.0.jar", true),
            ("spring-context-7.0.1.jar", true),
            ("spring-context-6.0.23.jar", false),
            ("spring-context-5.3.39.jar", false),
            ("other-9.9.jar", false),
        ] {
            let place = place();
            let libs = place.host.folder(&place.digest).join(UNPACKED).join("lib");
            fs::create_dir_all(&libs).unwrap();
            fs::write(libs.join(library), "").unwrap();
            assert_eq!(place.host.why_untrainable(&place.digest).is_none(), trainable, "{library}");
        }
    }
}
