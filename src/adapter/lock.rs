//! Who may work on a state folder: `STATE/lock` for one pass, `STATE/controller.json` for as long as a controller runs.
//!
//! Both are flocks on files that are never removed: a lock on a removed file excludes nobody. The descriptors are closed at exec,
//! so a slot never inherits one (it would hold the lock long after we were killed).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::adapter::process::stat;
use crate::adapter::{LinuxHost, clock, files};
use crate::host::lock::{Lock, LockError};
use crate::model::id::Identity;

/// Between two attempts. Passes take some milliseconds; a longer pause makes `apply` beside a controller sluggish.
const ATTEMPT: Duration = Duration::from_millis(20);

impl Lock for LinuxHost {
    type Guard = LockGuard;

    async fn lock(&self, timeout: Duration) -> Result<LockGuard, LockError> {
        let path = self.state.join("lock");
        let fault = |source| LockError::Io { path: path.clone(), source };
        files::private_dir(&self.state).map_err(fault)?;
        let attempts = async {
            loop {
                if let Some(file) = attempt(&path)? {
                    return io::Result::Ok(file);
                }
                tokio::time::sleep(ATTEMPT).await;
            }
        };
        match tokio::time::timeout(timeout, attempts).await {
            Ok(file) => Ok(LockGuard(file.map_err(fault)?)),
            Err(_elapsed) => Err(LockError::Held { state: self.state.clone(), pid: holder(&path) }),
        }
    }
}

/// The lock of a state folder; given back when dropped.
#[derive(Debug)]
pub struct LockGuard(File);

impl Drop for LockGuard {
    fn drop(&mut self) {
        // Explicitly, not by closing: between fork and exec a child has a copy of the descriptor.
        drop(self.0.unlock());
    }
}

/// Takes a lock if it is free. The file may have been replaced between our open and our lock (by a person who cleans up), and
/// then we have locked what nobody else looks at.
fn attempt(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        Err(fs::TryLockError::Error(error)) => return Err(error),
    }
    let inode = |meta: fs::Metadata| (meta.dev(), meta.ino());
    let named = fs::metadata(path).ok().map(inode);
    Ok((named == Some(inode(file.metadata()?))).then_some(file))
}

fn overwrite(file: &mut File, content: &[u8]) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(content)
}

/// Who holds the lock, as the kernel says (proc_locks(5)); for a message only. Writing our pid into the file instead would change
/// it at every pass, and a pass with nothing to do writes nothing.
fn holder(path: &Path) -> Option<u32> {
    let inode = fs::metadata(path).ok()?.ino();
    let table = fs::read_to_string("/proc/locks").ok()?;
    let rows = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let mut ours = rows.filter(|row| row.get(5).is_some_and(|file| file.rsplit(':').next() == Some(&inode.to_string())));
    ours.find_map(|row| row.get(4)?.parse().ok())
}

/// A controller at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controller {
    /// Its process.
    pub process: Identity,
    /// The manifest that it follows, absolute.
    pub manifest: PathBuf,
}

/// Why this process cannot be the controller of a state folder.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// Another one is.
    #[error("a controller runs on {state} already: pid {}, manifest {}", controller.process.pid, controller.manifest.display())]
    Runs {
        /// The state folder.
        state: PathBuf,
        /// Which.
        controller: Box<Controller>,
    },
    /// Another one is just starting or ending.
    #[error("{path} is locked by another controller")]
    Busy {
        /// Which file.
        path: PathBuf,
    },
    /// The file system said no.
    #[error("cannot write {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// While it lives this process is the controller; the kernel ends that when the process dies.
#[derive(Debug)]
pub struct ControllerGuard(File);

impl Drop for ControllerGuard {
    fn drop(&mut self) {
        drop(self.0.set_len(0));
        drop(self.0.unlock());
    }
}

/// Makes this process the controller of a state folder.
///
/// # Errors
/// When another process is, or the file cannot be written.
pub fn claim_controller(state: &Path, manifest: &Path) -> Result<ControllerGuard, ControllerError> {
    let path = state.join("controller.json");
    let fault = |source| ControllerError::Io { path: path.clone(), source };
    files::private_dir(state).map_err(fault)?;
    let Some(file) = attempt(&path).map_err(fault)? else {
        return Err(match controller(state) {
            Some(other) => ControllerError::Runs { state: state.to_owned(), controller: Box::new(other) },
            None => ControllerError::Busy { path },
        });
    };
    let mut guard = ControllerGuard(file);
    let me = Controller { process: myself().map_err(fault)?, manifest: manifest.to_owned() };
    let content = serde_json::to_vec(&me).map_err(|e| fault(e.into()))?;
    overwrite(&mut guard.0, &content).map_err(fault)?;
    Ok(guard)
}

/// The controller of a state folder, proven alive by boot, pid and start time; `None` where none runs.
pub fn controller(state: &Path) -> Option<Controller> {
    let mut content = String::new();
    File::open(state.join("controller.json")).ok()?.read_to_string(&mut content).ok()?;
    let known: Controller = serde_json::from_str(&content).ok()?;
    let now = stat::read(known.process.pid).ok().filter(|now| !now.is_dead())?;
    let same = now.start == known.process.start && clock::boot_id().is_ok_and(|boot| boot == known.process.boot);
    same.then_some(known)
}

fn myself() -> io::Result<Identity> {
    let pid = std::process::id();
    Ok(Identity { boot: clock::boot_id()?, pid, start: stat::read(pid)?.start, cookie: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_lock_waits_for_the_first_and_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (LinuxHost::new(dir.path()), LinuxHost::new(dir.path()));
        let held = one.lock(Duration::ZERO).await.unwrap();
        match two.lock(Duration::from_millis(1)).await {
            Err(LockError::Held { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        let (second, ()) = tokio::join!(two.lock(Duration::from_secs(20)), async { drop(held) });
        second.unwrap();
    }

    #[tokio::test]
    async fn a_lock_on_a_file_that_was_replaced_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let old = attempt(&path).unwrap().unwrap();
        fs::remove_file(&path).unwrap();
        let new = attempt(&path).unwrap().unwrap();
        assert!(attempt(&path).unwrap().is_none());
        drop((old, new));
    }

    #[test]
    fn there_is_one_controller_and_it_is_known_while_it_lives() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(controller(dir.path()), None);
        let guard = claim_controller(dir.path(), Path::new("/etc/slotd/desired.yaml")).unwrap();
        let known = controller(dir.path()).unwrap();
        assert_eq!((known.process.pid, known.manifest.as_path()), (std::process::id(), Path::new("/etc/slotd/desired.yaml")));
        let again = claim_controller(dir.path(), Path::new("/other"));
        assert!(matches!(again, Err(ControllerError::Runs { controller, .. }) if *controller == known));
        drop(guard);
        assert_eq!(controller(dir.path()), None);
        claim_controller(dir.path(), Path::new("/other")).unwrap();
    }

    #[test]
    fn a_record_of_a_dead_controller_is_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = myself().unwrap();
        process.start += 1;
        let record = Controller { process, manifest: PathBuf::from("/m") };
        fs::write(dir.path().join("controller.json"), serde_json::to_vec(&record).unwrap()).unwrap();
        assert_eq!(controller(dir.path()), None);
    }
}
