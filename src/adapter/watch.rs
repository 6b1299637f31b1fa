//! Notices that something in a folder was written: a reason to look, nothing more.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A watch on a folder. The folder is watched and not the file in it, because editors and deployments replace files by renaming.
#[derive(Debug)]
pub struct FolderWatch {
    fd: AsyncFd<Watched>,
}

/// An inotify descriptor that tokio can wait for.
#[derive(Debug)]
struct Watched(Inotify);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl FolderWatch {
    /// Begins to watch. Call it inside a tokio runtime.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let flags = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CREATE;
        inotify.add_watch(folder, flags)?;
        Ok(Self { fd: registered(Watched(inotify))? })
    }

    /// Returns when something was written, renamed into the folder or created in it since the last call.
    pub async fn changed(&self) -> io::Result<()> {
        loop {
            let mut ready = self.fd.readable().await?;
            match self.fd.get_ref().0.read_events() {
                Ok(_) => return Ok(()),
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "its successor is `unsafe` for the sake of types whose descriptor changes or closes; `Watched` owns its one descriptor"
)]
fn registered(watched: Watched) -> io::Result<AsyncFd<Watched>> {
    AsyncFd::with_interest(watched, Interest::READABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test);
    }

    #[test]
    fn a_file_that_is_replaced_by_a_rename_is_noticed() {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            let watch = FolderWatch::new(folder.path()).unwrap();
            let aside = tempfile::NamedTempFile::new_in(std::env::temp_dir()).unwrap();
            let target = folder.path().join("desired.yaml");
            std::fs::copy(aside.path(), &target).unwrap();
            watch.changed().await.unwrap();
        });
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        run(async { assert!(FolderWatch::new(Path::new("/nonexistent/folder")).is_err()) });
    }
}
