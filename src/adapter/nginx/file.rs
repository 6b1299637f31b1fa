//! Files that nginx reads: replaced whole or not at all, under their real name, with their mode and owner kept.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::host::proxy::ProxyError;

/// A chain of links that is longer leads in a circle.
const MOST_LINKS: usize = 16;
/// nginx's own user reads it on some hosts, and a person always does.
const NEW_FILE: u32 = 0o644;
/// The most texts of one service that are kept for a person.
const MOST_KEPT: u32 = 10_000;

/// Names what was tried on which file.
pub(super) fn io_error(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ProxyError {
    let path = path.to_owned();
    move |source| ProxyError::Io { act, path, source }
}

fn refused(path: &Path, why: &'static str) -> ProxyError {
    io_error("write", path)(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// A file under the name that it really has: a rename over a link would replace the link and leave the file.
#[derive(Clone, Debug)]
pub(super) struct Real {
    /// The file, which need not be there.
    pub(super) path: PathBuf,
    folder: PathBuf,
    name: OsString,
}

impl Real {
    /// Follows links to the file, also to one that is not there yet.
    pub(super) fn of(path: &Path) -> Result<Self, ProxyError> {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            let Ok(to) = fs::read_link(&path) else { return Self::plain(&path) };
            path = path.parent().unwrap_or(Path::new("/")).join(to);
        }
        Err(refused(&path, "its links lead in a circle"))
    }

    fn plain(path: &Path) -> Result<Self, ProxyError> {
        let parts = path.parent().zip(path.file_name());
        let (folder, name) = parts.ok_or_else(|| refused(path, "it is not the name of a file"))?;
        let folder = fs::canonicalize(folder).map_err(io_error("open", folder))?;
        Ok(Self { path: folder.join(name), folder, name: name.to_owned() })
    }

    /// Everybody could put another file in the place of ours.
    pub(super) fn check_folder(&self) -> Result<(), ProxyError> {
        let meta = fs::metadata(&self.folder).map_err(io_error("open", &self.folder))?;
        if meta.mode() & 0o1002 == 0o002 { Err(refused(&self.path, "its folder is writable by everybody")) } else { Ok(()) }
    }

    /// The bytes that are there; `None`: no file.
    pub(super) fn read(&self) -> Result<Option<Vec<u8>>, ProxyError> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("read", &self.path)(error)),
        }
    }

    /// Begins with a dot and ends in `.tmp`, so no pattern of a configuration names it.
    fn temporary_prefix(&self) -> String {
        format!(".slotd-{}.", self.name.to_string_lossy())
    }

    /// Removes what a crash left.
    pub(super) fn sweep(&self) -> Result<(), ProxyError> {
        let prefix = self.temporary_prefix();
        let ours = |name: &OsString| {
            name.to_str().is_some_and(|name| {
                name.strip_prefix(&prefix).is_some_and(|rest| rest.rsplit_once('.').is_some_and(|(_, end)| end == "tmp"))
            })
        };
        for entry in fs::read_dir(&self.folder).map_err(io_error("open", &self.folder))?.flatten() {
            if ours(&entry.file_name()) {
                fs::remove_file(entry.path()).map_err(io_error("remove", &entry.path()))?;
            }
        }
        Ok(())
    }

    /// Puts these bytes there, if what is there still is `expected`.
    pub(super) fn replace(&self, expected: Option<&[u8]>, bytes: &[u8]) -> Result<(), ProxyError> {
        let before = fs::metadata(&self.path).ok();
        let mut builder = tempfile::Builder::new();
        let prefix = self.temporary_prefix();
        let mut temporary =
            builder.prefix(&prefix).suffix(".tmp").tempfile_in(&self.folder).map_err(io_error("write into", &self.folder))?;
        let filled = temporary.write_all(bytes).and_then(|()| dressed(temporary.as_file(), before.as_ref()));
        filled.and_then(|()| temporary.as_file().sync_all()).map_err(io_error("write", temporary.path()))?;
        if self.read()?.as_deref() != expected {
            return Err(ProxyError::Changed { path: self.path.clone() });
        }
        temporary.persist(&self.path).map_err(|failed| io_error("replace", &self.path)(failed.error))?;
        sync_folder(&self.folder)
    }

    /// Puts back what was there before, if what is there still is `ours`.
    pub(super) fn put_back(&self, ours: &[u8], before: Option<&[u8]>) -> Result<(), ProxyError> {
        if let Some(before) = before {
            return self.replace(Some(ours), before);
        }
        if self.read()?.as_deref() != Some(ours) {
            return Err(ProxyError::Changed { path: self.path.clone() });
        }
        fs::remove_file(&self.path).map_err(io_error("remove", &self.path))?;
        sync_folder(&self.folder)
    }
}

fn dressed(file: &File, before: Option<&Metadata>) -> io::Result<()> {
    let Some(before) = before else { return file.set_permissions(Permissions::from_mode(NEW_FILE)) };
    let now = file.metadata()?;
    if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
        fchown(file, Some(before.uid()), Some(before.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(before.mode() & 0o7777))
}

/// Without this a rename, a new name or a removal may be undone by a power loss.
pub(super) fn sync_folder(folder: &Path) -> Result<(), ProxyError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("sync", folder))
}

/// Keeps a text as `hand-edited-<n>.inc` and gives the place; the same text again is not kept twice.
pub(super) fn keep(folder: &Path, text: &str) -> Result<PathBuf, ProxyError> {
    fs::create_dir_all(folder).map_err(io_error("create", folder))?;
    for n in 1..MOST_KEPT {
        let path = folder.join(format!("hand-edited-{n}.inc"));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io_error("write", &path))?;
                sync_folder(folder)?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::read(&path).is_ok_and(|kept| kept == text.as_bytes()) {
                    return Ok(path);
                }
            }
            Err(error) => return Err(io_error("create", &path)(error)),
        }
    }
    Err(refused(folder, "it holds too many hand-edited texts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_link_stays_a_link_and_the_file_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("real/a.inc"), dir.path().join("a.inc"));
        fs::create_dir(dir.path().join("real")).unwrap();
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("real/a.inc", &link).unwrap();
        Real::of(&link).unwrap().replace(Some(b"old"), b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(names(&dir.path().join("real")), ["a.inc"]);
    }

    #[test]
    fn a_new_file_can_be_read_by_everybody() {
        let dir = tempfile::tempdir().unwrap();
        let real = Real::of(&dir.path().join("a.inc")).unwrap();
        real.replace(None, b"new").unwrap();
        assert_eq!(fs::metadata(&real.path).unwrap().mode() & 0o7777, 0o644);
        real.put_back(b"new", None).unwrap();
        assert_eq!(names(dir.path()), Vec::<String>::new());
    }

    #[test]
    fn what_somebody_else_wrote_meanwhile_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let real = Real::of(&dir.path().join("a.inc")).unwrap();
        fs::write(&real.path, "theirs").unwrap();
        for result in [real.replace(Some(b"old"), b"new"), real.replace(None, b"new"), real.put_back(b"new", None)] {
            assert!(matches!(result, Err(ProxyError::Changed { .. })), "{result:?}");
        }
        assert_eq!(fs::read_to_string(&real.path).unwrap(), "theirs");
        assert_eq!(names(dir.path()), ["a.inc"]);
    }

    #[test]
    fn leftovers_of_a_crash_go_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".slotd-a.inc.x1.tmp", ".slotd-b.inc.x1.tmp", "a.inc.tmp"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        Real::of(&dir.path().join("a.inc")).unwrap().sweep().unwrap();
        assert_eq!(names(dir.path()), [".slotd-b.inc.x1.tmp", "a.inc.tmp"]);
    }

    #[test]
    fn a_folder_that_everybody_can_write_is_refused_unless_sticky() {
        let dir = tempfile::tempdir().unwrap();
        let real = Real::of(&dir.path().join("a.inc")).unwrap();
        let with = |mode| {
            fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            real.check_folder().is_ok()
        };
        assert_eq!((with(0o777), with(0o1777), with(0o775)), (false, true, true));
    }

    #[test]
    fn a_hand_edited_text_is_kept_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |text| keep(dir.path(), text).unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(
            [at("a"), at("b"), at("a"), at("c")],
            ["hand-edited-1.inc", "hand-edited-2.inc", "hand-edited-1.inc", "hand-edited-3.inc"]
        );
    }
}
