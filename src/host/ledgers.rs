//! Our memory: one ledger and one history a service, in the state folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::id::ServiceName;
use crate::model::ledger::Ledger;

/// How a deployment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It serves.
    Deployed,
    /// It serves, because a person went back to it.
    RolledBack,
    /// Its release was quarantined.
    Quarantined,
    /// Another release was asked for meanwhile.
    Superseded,
    /// It served, failed, and traffic went back.
    Reverted,
    /// The old slot was stopped while connections were open.
    NotClean,
}

/// One line of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryLine {
    /// When it began, milliseconds since 1970.
    pub began: i64,
    /// When it ended, milliseconds since 1970.
    pub ended: i64,
    /// What people call the release.
    pub version: String,
    /// Its identity.
    pub release: String,
    /// The slot.
    pub slot: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Milliseconds of each phase, in order.
    pub phases: Vec<(String, u64)>,
    /// One sentence, where there is more to say.
    pub why: Option<String>,
    /// What a stop of the old slot cut; only where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
}

/// Connections that were open when a slot was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// How many.
    pub connections: u32,
    /// Milliseconds that the oldest of them had been open at least; `None`: not known.
    pub oldest_ms: Option<u64>,
}

/// Ledgers and histories.
pub trait Ledgers {
    /// The services that have a ledger.
    fn names(&self) -> Result<Vec<ServiceName>, LedgerError>;

    /// The ledger of a service; a fresh one where there is none.
    fn load(&self, service: &ServiceName) -> Result<Ledger, LedgerError>;

    /// Replaces a ledger atomically; after a power loss the old or the new one is there, whole.
    fn commit(&self, service: &ServiceName, ledger: &Ledger) -> Result<(), LedgerError>;

    /// Appends a line to the history.
    fn append(&self, service: &ServiceName, line: &HistoryLine) -> Result<(), LedgerError>;

    /// The history, oldest first; a torn last line is left out.
    fn history(&self, service: &ServiceName) -> Result<Vec<HistoryLine>, LedgerError>;

    /// Gives a service another name.
    fn rename(&self, from: &ServiceName, to: &ServiceName) -> Result<(), LedgerError>;

    /// Forgets a service that is down; its history and logs stay, under `<name>.retired`.
    fn retire(&self, service: &ServiceName) -> Result<(), LedgerError>;

    /// Where the log of a start goes: STATE/services/NAME/logs/SLOT.N.log, N one more than the last.
    fn next_log(&self, service: &ServiceName, slot: &crate::model::id::SlotName) -> PathBuf;

    /// Keeps the newest logs of each slot and bounds their size, a running one's too; gives those that a process may be writing to.
    fn trim_logs(&self, service: &ServiceName) -> Result<Vec<PathBuf>, LedgerError>;

    /// Bounds one log: a look at its size, and a cut where it is too large. Gives how many bytes it may still grow.
    fn bound_log(&self, log: &Path) -> Result<u64, LedgerError>;
}

/// Why our memory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Not what we write.
    #[error("{path} is not a ledger that this slotd understands: {why}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The file system said no.
    #[error("cannot {act} {path}")]
    Io {
        /// `read`, `write`, …
        act: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
