//! Processes and ports: finding, starting, signalling, and who is in the way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::host::artifacts::ArtifactError;
use crate::model::boot::{BootForm, Jvm};
use crate::model::desired::LaunchSpec;
use crate::model::id::{ArchiveId, Digest, Identity, Port, ReleaseId, ServiceName, SlotName};
use crate::model::observed::{Connection, Exit, Observation, Occupant};

/// A process that is proven to be the recorded one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub identity: Identity,
    /// Resident memory in bytes.
    pub resident: u64,
    /// Whether it is stopped in place.
    pub frozen: bool,
    /// Time since it started.
    pub age: Duration,
}

/// A process whose environment carries a cookie of slotd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// Which, with the cookie that it carries.
    pub found: Found,
    /// Its parent.
    pub parent: u32,
    /// `SLOTD_SERVICE`
    pub service: ServiceName,
    /// `SLOTD_SLOT`
    pub slot: SlotName,
    /// `SLOTD_RELEASE`
    pub release: ReleaseId,
}

/// What is asked about a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortQuestion {
    /// The port.
    pub port: Port,
    /// The address that the JVM will bind: `::` for the wildcard of both families.
    pub bind: String,
    /// The slot's own process and its family.
    pub own: Vec<Identity>,
    /// The cookies that the ledger knows for this slot: a child that carries one and holds the listener has inherited it.
    pub cookies: Vec<crate::model::id::Cookie>,
    /// What the same application looks like; `None`: nothing is taken for it.
    pub application: Option<Application>,
}

/// What the same application looks like: a JVM, this uid, a jar with this Start-Class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// The jar whose Start-Class counts: the stored one, else the manifest's.
    pub jar: PathBuf,
    /// The user that the slot would run as; `None`: ours.
    pub user: Option<String>,
}

/// Who holds a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortFact {
    /// Whether the slot's own process (or its family) alone listens there.
    pub own: bool,
    /// Everybody else who keeps it from being bound.
    pub occupants: Vec<Occupant>,
}

/// Everything that a start needs; strings are filled in already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartOrder {
    /// Into `SLOTD_SERVICE`.
    pub service: ServiceName,
    /// Into `SLOTD_SLOT`.
    pub slot: SlotName,
    /// Into `SLOTD_RELEASE`.
    pub release: ReleaseId,
    /// Into `SLOTD_COOKIE`.
    pub cookie: crate::model::id::Cookie,
    /// Into `SERVER_PORT`.
    pub port: Port,
    /// Which jar of the store.
    pub digest: Digest,
    /// How the JVM is started on it.
    pub boot: BootForm,
    /// Filled in.
    pub launch: LaunchSpec,
    /// The env file in the store.
    pub env_file: Option<Digest>,
    /// Where its output goes.
    pub log: PathBuf,
    /// Whether its optimizing compiler gives way to what serves, until [`Processes::give_back`].
    pub gives_way: bool,
}

/// What can be sent to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End, please.
    Term,
    /// End.
    Kill,
    /// Stop in place, which no process can refuse (STOP).
    Freeze,
    /// Go on (CONT).
    Thaw,
}

/// Processes and ports of the machine.
pub trait Processes {
    /// The recorded process, if it still is that process. `Absent`: it is gone, or a zombie, or its pid is another's now.
    fn find(&self, identity: &Identity) -> Observation<Found>;

    /// Every process that carries a cookie; a scan of the process table.
    fn bearers(&self) -> Observation<Vec<Bearer>>;

    /// Who holds a port.
    fn port(&self, question: &PortQuestion) -> Observation<PortFact>;

    /// Connections open towards each of these ports: established, SYN received, CLOSE-WAIT on its side, SYN sent towards it. All ports
    /// at once, because the kernel walks through every connection of the host for each question, however many ports are in it.
    fn open(&self, ports: &BTreeSet<Port>) -> BTreeMap<Port, Observation<Vec<Connection>>>;

    /// Which of these processes has made each of the connections open towards a port, by the caller's end; those that may not be
    /// looked at have made none.
    fn callers(&self, port: Port, among: &[u32]) -> BTreeMap<SocketAddr, u32>;

    /// Starts a process detached, so that it outlives us.
    fn start(&self, order: &StartOrder) -> Result<Identity, ProcessError>;

    /// Lets a process that gave way compete like any other; the same again changes nothing. It cannot fail in a way that matters: what
    /// could not have it back did not give way.
    fn give_back(&self, identity: &Identity);

    /// The Java runtime that a program belongs to, told without starting it; `None` where that cannot be told.
    fn jvm(&self, java: &str) -> Option<Jvm>;

    /// Whether an archive of classes is being trained.
    fn training(&self) -> bool;

    /// Begins to train an archive, in a process that outlives us, gives way to everything and is ended after `limit`. What comes of it
    /// lies beside the jar some time later. An error when one is being trained already.
    fn train(&self, order: &StartOrder, archive: &ArchiveId, limit: Duration) -> Result<(), ProcessError>;

    /// Signals exactly this process: pinned by a pidfd, compared, then signalled.
    fn signal(&self, identity: &Identity, signal: Signal) -> Result<(), ProcessError>;

    /// Why the process that wrote this log ended, as far as the log tells.
    fn exit(&self, log: &std::path::Path) -> Exit;

    /// Why this cannot be launched at all (no such java, no such user, not root); `None` when it can.
    fn launch_fault(&self, launch: &LaunchSpec) -> Option<String>;

    /// Memory that a new process could have, plus free swap, in bytes.
    fn memory(&self) -> Observation<u64>;
}

/// Why a process could not be started or signalled.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program could not be started.
    #[error("cannot start {program}")]
    Start {
        /// Which program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The process is gone, or its pid is another's now.
    #[error("process {pid} is not the one that was meant; nothing was signalled")]
    Gone {
        /// Which pid.
        pid: u32,
    },
    /// The kernel refused.
    #[error("cannot signal process {pid}")]
    Signal {
        /// Which pid.
        pid: u32,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The jar in the store is not what it was, or is not there.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A file that the start needs.
    #[error("cannot {act} {path}")]
    File {
        /// `open`, `create`, …
        act: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The environment that a start adds, in one place because both the start and the search for bearers need the names.
pub fn environment(order: &StartOrder) -> BTreeMap<String, String> {
    let mut env = order.launch.env.clone();
    env.insert("SERVER_PORT".to_owned(), order.port.to_string());
    env.insert("SLOTD_SERVICE".to_owned(), order.service.to_string());
    env.insert("SLOTD_SLOT".to_owned(), order.slot.to_string());
    env.insert("SLOTD_RELEASE".to_owned(), order.release.to_string());
    env.insert("SLOTD_COOKIE".to_owned(), order.cookie.to_string());
    env
}
