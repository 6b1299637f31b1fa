//! Starting a training run (see [`training`]), and seeing whether one is under way.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::adapter::archive::{self, ARCHIVES};
use crate::adapter::process::fault;
use crate::adapter::process::start::{self, file_error, start_error};
use crate::adapter::{LinuxHost, files, jvm, training};
use crate::host::processes::{ProcessError, StartOrder};
use crate::model::id::ArchiveId;

/// Locked for as long as a training is under way.
const LOCK: &str = "training";

impl LinuxHost {
    /// Whether a training is under way. A lock that cannot be looked at counts as held: the next one can wait.
    pub(in crate::adapter) fn is_training(&self) -> bool {
        match File::open(self.state.join(LOCK)) {
            Ok(file) => file.try_lock_shared().is_err(),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    pub(super) fn begin_training(&self, order: &StartOrder, archive: &ArchiveId, limit: Duration) -> Result<(), ProcessError> {
        self.reap();
        let java = fault::program(&order.launch.java).map_err(start_error(&order.launch.java))?;
        let unknown = || io::Error::new(io::ErrorKind::NotFound, "it belongs to no Java runtime that says its version");
        let runtime = jvm::jvm(&order.launch.java).ok_or_else(unknown).map_err(start_error(&order.launch.java))?;
        let app = self.proven_unpacked(&order.digest)?;
        let folder = self.folder(&order.digest).join(ARCHIVES);
        // Beside the archive: it is no start of a slot, and its output is of use only if it fails.
        let order = &StartOrder { log: archive::named(&folder, archive.as_str(), "log"), ..order.clone() };
        let lock = self.training_lock()?;
        make_room(&folder, archive.as_str(), order).map_err(file_error("prepare", &folder))?;
        let arguments = arguments(
            order,
            &folder,
            archive.as_str(),
            (runtime.feature, limit),
            &[&[java.into_os_string()][..], &start::command_line(order, &app, None)].concat(),
        );
        let mut command = self.command(order, training::SUBCOMMAND, arguments)?;
        // Read by nobody: what is handed over is the lock.
        command.stdin(Stdio::from(lock)).env_remove("SLOTD_SLOT").env("SERVER_PORT", "0");
        let child = command.spawn().map_err(start_error(&order.launch.java))?;
        self.children.borrow_mut().push(child);
        Ok(())
    }

    fn training_lock(&self) -> Result<File, ProcessError> {
        let path = self.state.join(LOCK);
        let open = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = open.map_err(file_error("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                Err(file_error("lock", &path)(io::Error::new(io::ErrorKind::WouldBlock, "another training is under way")))
            }
            Err(TryLockError::Error(error)) => Err(file_error("lock", &path)(error)),
        }
    }
}

/// The folder of the archives, a fresh one for the JVM to write into, and the note that the training was begun.
fn make_room(folder: &Path, id: &str, order: &StartOrder) -> io::Result<()> {
    let scratch = training::scratch(folder, id);
    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    files::or_absent(fs::remove_dir_all(&scratch))?;
    files::or_absent(fs::remove_file(&order.log))?;
    DirBuilder::new().mode(0o700).create(&scratch)?;
    if let Some(user) = &order.launch.user {
        start::give(&scratch, user)?;
    }
    archive::begin(folder, id)
}

/// What the hidden subcommand is told.
fn arguments(
    order: &StartOrder,
    folder: &Path,
    id: &str,
    (feature, limit): (u32, Duration),
    command: &[OsString],
) -> Vec<OsString> {
    let user = order.launch.user.iter().flat_map(|user| [OsString::from("--user"), user.into()]);
    let seconds = limit.as_secs().max(1).to_string();
    user.chain([feature.to_string().into(), folder.into(), id.into(), seconds.into(), "--".into()])
        .chain(command.iter().cloned())
        .collect()
}
