//! One slotd at a time works on a state folder.

use std::path::PathBuf;
use std::time::Duration;

/// The lock of a state folder, held for one pass.
pub trait Lock {
    /// Gives the lock back when dropped; the kernel gives it back when the process dies.
    type Guard;

    /// Takes the lock, waiting at most `timeout`.
    async fn lock(&self, timeout: Duration) -> Result<Self::Guard, LockError>;
}

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another slotd holds it.
    #[error("another slotd works on {state} (pid {})", pid.map_or_else(|| "unknown".to_owned(), |p| p.to_string()))]
    Held {
        /// The state folder.
        state: PathBuf,
        /// Who, as the lock file says.
        pid: Option<u32>,
    },
    /// The file system said no.
    #[error("cannot lock {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
