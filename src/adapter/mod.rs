//! `host` for Linux: the only place that touches files, processes, sockets and the clock.

pub mod start_logs;
pub mod surroundings;
pub mod watch;

use std::path::PathBuf;

mod http;
mod nginx;

/// The machine that slotd runs on, with one state folder.
#[derive(Debug)]
pub struct LinuxHost {
    /// STATE, absolute.
    state: PathBuf,
    nginx: nginx::Memory,
    http: http::Clients,
}

impl LinuxHost {
    /// The machine with this state folder (absolute); touches nothing.
    pub fn new(state: PathBuf) -> Self {
        Self { state, nginx: nginx::Memory::default(), http: http::Clients::default() }
    }
}
