//! What the host looks like at one instant. Every fact is known, absent, or unknown with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::boot::{Archives, Layout};
use crate::model::id::{Digest, Identity, Now, Port, ReleaseId, ServiceName, SlotName};
use crate::model::ledger::{JarStamp, Ledger};
use crate::model::route::Include;

/// A fact, with "it is not there" and "it could not be read" kept apart: only the first may lead to an act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation<T> {
    /// It was read.
    Known(T),
    /// It was looked for and is not there.
    Absent,
    /// It could not be read, and why.
    Unknown(String),
}

impl<T> Observation<T> {
    /// The fact, where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(fact) => Some(fact),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// Why it could not be read, where that is so.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Self::Unknown(why) => Some(why),
            Self::Known(_) | Self::Absent => None,
        }
    }

    /// Whether it was looked for and is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The same with another fact inside.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Observation<U> {
        match self {
            Self::Known(fact) => Observation::Known(f(fact)),
            Self::Absent => Observation::Absent,
            Self::Unknown(why) => Observation::Unknown(why),
        }
    }
}

/// The host at one instant, as far as the services of one state folder go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedState {
    /// That instant.
    pub now: Now,
    /// Memory that a new process could have without swapping out others, plus free swap, in bytes (`/proc/meminfo`).
    pub memory: Observation<u64>,
    /// Those of the manifest and those that only the ledger knows.
    pub services: BTreeMap<ServiceName, ObservedService>,
}

/// One service at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedService {
    /// What cannot be observed, read in the same instant.
    pub ledger: Ledger,
    /// The jar that the manifest names. `Absent`: no such file.
    pub jar: Observation<JarFact>,
    /// The content of `launch.env_file`; `Absent` also when the manifest names none.
    pub env_file: Observation<Digest>,
    /// Which digests, of those that the ledger or the manifest name, lie whole in the store.
    pub stored: BTreeSet<Digest>,
    /// How those of them that are jars can be started, and the manifest's jar where it is not stored yet. A jar that is not in
    /// here was not looked at, because the manifest asks for `java -jar` anyway.
    pub layouts: BTreeMap<Digest, Layout>,
    /// The archives of their classes; nothing of them is looked at while the manifest has no use for them.
    pub archives: Archives,
    /// Why `launch.java` or `launch.user` cannot be used; `None` when they can.
    pub launch_fault: Option<String>,
    /// The slots of the manifest, those the ledger knows, and an unnamed place that the include leads to.
    pub slots: BTreeMap<SlotName, ObservedSlot>,
    /// The way from users to a slot.
    pub route: ObservedRoute,
}

/// The jar at the manifest's path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JarFact {
    /// The digest that counts: the one resolved earlier for this (version, path, sha256), else that of the bytes there now.
    pub digest: Digest,
    /// What the file's inode said when it was hashed.
    pub stamp: JarStamp,
    /// The digest of other bytes that lie there now under an unchanged manifest: they deploy nothing.
    pub changed: Option<Digest>,
}

/// One place at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedSlot {
    /// Where its process listens or would: of the running process, else of the manifest, else of the ledger.
    pub port: Port,
    /// The process that is proven to be this slot's (ours by cookie, or adopted); zombies count as absent.
    pub process: Observation<ObservedProcess>,
    /// Why the process that the ledger records is gone, as far as its log tells; `Absent` while it runs or none is recorded.
    pub exit: Observation<Exit>,
    /// Others that keep the port from being bound: empty means that a bind on the JVM's own address succeeds, or that only
    /// the slot's own process holds it.
    pub occupants: Observation<Vec<Occupant>>,
    /// The last answers of the slot itself. `Absent`: there is no process to ask.
    pub probe: Observation<Probe>,
    /// Connections towards its port. `Absent`: not counted, because nothing asks for it.
    pub traffic: Observation<Traffic>,
}

/// A slot's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedProcess {
    /// Which process.
    pub identity: Identity,
    /// The release that its environment names; `None` for an adopted process.
    pub release: Option<ReleaseId>,
    /// Its descendants that carry its cookie too.
    pub family: Vec<Identity>,
    /// Whether the socket that listens on the slot's port belongs to it or to its family alone.
    pub listens: Observation<bool>,
    /// Resident memory in bytes (`/proc/PID/statm`).
    pub resident: u64,
    /// Whether it is stopped in place and does nothing until it is continued (state `T` of proc(5)).
    pub frozen: bool,
    /// Time since it started.
    pub age: Duration,
}

/// Why a process ended, read from the end of its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// What it was.
    pub cause: ExitCause,
    /// The last lines that it wrote, for a person.
    pub tail: Vec<String>,
}

/// What a log's end says about an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitCause {
    /// Its port was bound by somebody between our probe and its bind.
    AddressInUse,
    /// Nothing that the world around it explains.
    Itself,
}

/// What keeps a port from being bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occupant {
    /// The same application, started by others: a JVM under the slot's uid, with a jar of the same Start-Class.
    SameApp {
        /// Which process.
        identity: Identity,
        /// What shows it.
        evidence: String,
        /// Resident memory in bytes.
        resident: u64,
    },
    /// A listener of somebody else.
    Stranger {
        /// Who, as far as it can be seen.
        owner: Owner,
        /// The address it listens on, `127.0.0.1:8082` or `[::]:8082`.
        address: String,
    },
    /// A socket is bound but does not listen: it stands in no table of listeners, and nobody's name is known.
    BoundNotListening,
    /// An outgoing connection whose source port this is.
    Outgoing {
        /// Who, as far as it can be seen.
        owner: Owner,
        /// Where it leads.
        remote: String,
    },
    /// A listening descriptor of the slot's own former process that a child has inherited.
    Inherited {
        /// The child.
        owner: Owner,
    },
}

/// Who holds a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// A process that could be seen.
    Process {
        /// Its pid.
        pid: u32,
        /// The user it runs as.
        user: String,
        /// Its command line, shortened.
        command: String,
        /// Seconds that it has been running.
        seconds: u64,
    },
    /// Another user's process, another namespace's, or none any more.
    Unseen,
}

/// What a slot answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The last answer.
    pub answer: Answer,
    /// Good answers in a row up to now, from this very process.
    pub good: u32,
    /// Other answers in a row up to now, from this very process.
    pub bad: u32,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The status and the body that the manifest expects, from a socket of the slot's own process.
    Good,
    /// The right status with another body, or a socket that is not the slot's process's.
    WrongIdentity {
        /// What was found.
        found: String,
    },
    /// Another status.
    WrongStatus {
        /// Which.
        status: u16,
    },
    /// No answer.
    None {
        /// Why.
        why: String,
    },
}

/// Connections towards a slot's port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Open now: established, SYN received, CLOSE-WAIT on its side, SYN sent towards it.
    pub open: u32,
    /// How long nothing has been open, over the samples below.
    pub quiet: Duration,
    /// Samples in a row with nothing open.
    pub samples: u32,
    /// Those that have been open for longest, the longest first. For people: nothing is decided on it.
    #[serde(default)]
    pub longest: Vec<Connection>,
}

/// One open connection towards a slot's port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The caller's end.
    pub peer: SocketAddr,
    /// It, or the request that it carries, has been open for at least this long. Linux does not keep when a connection was made.
    pub age: Duration,
    /// Nothing has gone over it for this long; `None` where the kernel does not say.
    pub silent: Option<Duration>,
    /// The nginx worker that has made it, where that was looked for.
    pub worker: Option<u32>,
}

/// The way from users to a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedRoute {
    /// The include file.
    pub include: Observation<Include>,
    /// The flags that stand, in the order of the manifest. `Absent`: there is no folder of flags.
    pub flags: Observation<Vec<SlotName>>,
    /// The running nginx. `Absent`: none runs with this configuration.
    pub nginx: Observation<Nginx>,
    /// What nginx itself says that it would do, the same in every server that uses the variable.
    pub loaded: Observation<Loaded>,
    /// Which slot answers through the proxy.
    pub proxied: Observation<SlotName>,
    /// What stands in the way of a cutover by flag here, each a sentence of its own.
    pub faults: Vec<String>,
}

/// A verified nginx master and its workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nginx {
    /// The master.
    pub master: Identity,
    /// `1.22.1`
    pub version: String,
    /// Its workers of all generations.
    pub workers: Vec<Worker>,
}

/// One nginx worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Worker {
    /// Its pid.
    pub pid: u32,
    /// Its start time in clock ticks.
    pub start: u64,
    /// Whether it still accepts connections (its title does not say "shutting down").
    pub accepting: bool,
}

/// What nginx answers to the probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// The generation of the text that it has loaded.
    pub generation: u64,
    /// Where it would send a request now.
    pub slot: SlotName,
}
