//! `host` for Linux: the only place that touches files, processes, sockets and the clock.

pub mod start_logs;
pub mod surroundings;
pub mod watch;

use std::path::PathBuf;

/// The machine that slotd runs on, with one state folder.
#[derive(Debug)]
pub struct LinuxHost {
    /// STATE, absolute.
    state: PathBuf,
}
