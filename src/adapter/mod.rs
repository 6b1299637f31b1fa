//! `host` for Linux: the only place that touches files, processes, sockets and the clock.
//!
//! It reports and acts, and never decides: what a fact means is the planner's business. Only the composition root makes a
//! [`LinuxHost`]; everybody else knows the traits of `host`.

#![expect(clippy::disallowed_methods, reason = "the bans of .clippy.toml send everybody here")]

mod archive;
pub mod artifact_store;
mod boot_jar;
pub mod clock;
mod direct;
mod env_file;
mod files;
mod http;
mod jar;
mod jvm;
pub mod launch;
pub mod ledger_file;
pub mod lock;
mod log_files;
mod nginx;
mod outstanding;
pub mod process;
pub mod sockets;
pub mod start_logs;
pub mod surroundings;
pub mod training;
mod unpack;
pub mod watch;
mod zip_writer;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Child;

use crate::model::boot::Layout;
use crate::model::id::Digest;

/// The machine that slotd runs on, with one state folder.
#[derive(Debug)]
pub struct LinuxHost {
    /// STATE, absolute. Made at the first write, so that a dry run leaves nothing behind.
    state: PathBuf,
    /// The slotd that a start runs through (see [`launch`]).
    launcher: PathBuf,
    /// What we started, only so that it does not stay a zombie for as long as we live; nothing is read from it.
    children: RefCell<Vec<Child>>,
    /// Which sockets were seen before.
    sockets: RefCell<sockets::Memory>,
    /// What jars that are not unpacked were found to be.
    layouts: RefCell<BTreeMap<Digest, Layout>>,
    nginx: nginx::Memory,
    http: http::Clients,
    outstanding: outstanding::Outstanding,
}

impl LinuxHost {
    /// A machine with this state folder; nothing is touched or made.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        let state = state.into();
        Self {
            // A relative STATE must not move when somebody changes the working folder.
            state: std::path::absolute(&state).unwrap_or(state),
            // The running program itself, even after its file was replaced by a newer one (proc(5)).
            launcher: PathBuf::from("/proc/self/exe"),
            children: RefCell::default(),
            sockets: RefCell::default(),
            layouts: RefCell::default(),
            nginx: nginx::Memory::default(),
            http: http::Clients::default(),
            outstanding: outstanding::Outstanding::default(),
        }
    }

    /// The same with another slotd to start processes through: a test of the library is no slotd itself.
    #[must_use]
    pub fn with_launcher(self, launcher: impl Into<PathBuf>) -> Self {
        Self { launcher: launcher.into(), ..self }
    }

    /// STATE, absolute.
    pub fn state(&self) -> &Path {
        &self.state
    }

    fn artifacts(&self) -> PathBuf {
        self.state.join("artifacts")
    }

    fn services(&self) -> PathBuf {
        self.state.join("services")
    }

    /// Takes the exit status of children that have ended; the status itself means nothing to us, because after a restart of
    /// slotd the slots are somebody else's children.
    fn reap(&self) {
        self.children.borrow_mut().retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }
}
