//! What cannot be observed, and is therefore remembered: generation, identity records, attempts, what a person decided.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::desired::ServiceSpec;
use crate::model::id::{BootId, Cookie, Digest, Generation, Identity, Moment, Port, ReleaseId, SlotName};
use crate::model::release::Release;
use crate::model::route::RouteText;

/// Version of the file; a newer one than ours is refused, an older one is read. It rises with every field that an older slotd would
/// drop by writing the file anew (`tests/integration/ledgers.rs` keeps a file of each format).
pub const FORMAT: u32 = 2;

/// The memory of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// [`FORMAT`]
    pub format: u32,
    /// Of the accepted specification.
    pub generation: Generation,
    /// The specification accepted last; what an orphan is healed and retired by.
    pub accepted: Option<ServiceSpec>,
    /// Every release that can still be started.
    pub releases: BTreeMap<ReleaseId, Release>,
    /// What a (version, path, sha256) was resolved to.
    pub jars: Vec<ResolvedJar>,
    /// What was started or adopted where.
    pub slots: BTreeMap<SlotName, SlotRecord>,
    /// The include as it was written last.
    pub route: Option<RouteText>,
    /// The slot that served when the include on disk was written, which counts until `proven` reaches that generation.
    pub leaving: Option<SlotName>,
    /// The generation that nginx was last seen to have loaded.
    pub proven: u64,
    /// The last cutover that was begun.
    pub cutover: Option<Cutover>,
    /// The last reload that was sent.
    pub reload: Option<Reload>,
    /// Failed starts and crashes, oldest first, the last twenty.
    pub failures: Vec<Failure>,
    /// Releases that are not tried again, and why.
    pub quarantine: BTreeMap<ReleaseId, String>,
    /// Releases that served and proved themselves, newest last, the last ten.
    pub good: Vec<ReleaseId>,
    /// Releases that are not safe to go back from (`jar.rollback_safe: false`); a ledger of before they were there has none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub one_way: BTreeMap<ReleaseId, OneWay>,
    /// What a person decided.
    pub person: Person,
    /// The deployment under way.
    pub deployment: Option<Deployment>,
    /// The `health` settings under which the live slot was last seen ready.
    pub proven_health: Option<crate::model::desired::HealthSpec>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            format: FORMAT,
            generation: Generation::default(),
            accepted: None,
            releases: BTreeMap::new(),
            jars: Vec::new(),
            slots: BTreeMap::new(),
            route: None,
            leaving: None,
            proven: 0,
            cutover: None,
            reload: None,
            failures: Vec::new(),
            quarantine: BTreeMap::new(),
            good: Vec::new(),
            one_way: BTreeMap::new(),
            person: Person::default(),
            deployment: None,
            proven_health: None,
        }
    }
}

impl Ledger {
    /// When the traffic was last moved away from a slot, by a cutover of ours.
    pub fn left(&self, slot: &SlotName) -> Option<Moment> {
        let last = self.cutover.as_ref().filter(|cutover| cutover.from.as_ref() == Some(slot));
        last.map(|cutover| cutover.at).or_else(|| self.slots.get(slot)?.left)
    }
}

/// A jar that was hashed once; later bytes at the same place deploy nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedJar {
    /// As the manifest said.
    pub version: String,
    /// As the manifest said, absolute.
    pub path: PathBuf,
    /// As the manifest said.
    pub sha256: Option<Digest>,
    /// What the bytes hashed to.
    pub digest: Digest,
    /// What the inode said then.
    pub stamp: JarStamp,
}

/// What an inode says of its content: while it is unchanged the digest is not computed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JarStamp {
    /// Bytes.
    pub len: u64,
    /// Nanoseconds since 1970.
    pub mtime: i128,
    /// Inode number.
    pub inode: u64,
}

/// What was started, or adopted, in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRecord {
    /// The port it was told to listen on.
    pub port: Port,
    /// `None` for an adopted process.
    pub release: Option<ReleaseId>,
    /// What people call what runs there.
    pub version: String,
    /// Written before the start, so that a process is found even when we die right after starting it.
    pub cookie: Option<Cookie>,
    /// `None` between that intent and the start, and again after a live process ended: then cookie and process are both `None`,
    /// and the record only says what served here.
    pub process: Option<Identity>,
    /// Why an adopted process was taken for ours.
    pub evidence: Option<String>,
    /// When it was started or adopted.
    pub since: Moment,
    /// The boot of `since`.
    pub boot: BootId,
    /// Whether traffic has been moved to it: an idle one is then a standby, else a candidate.
    pub served: bool,
    /// When TERM was sent.
    pub stopping: Option<Moment>,
    /// When KILL was sent.
    pub killing: Option<Moment>,
    /// Why it is to be stopped, although nobody has done so yet: it failed.
    pub condemned: Option<String>,
    /// When it was last continued after it had been stopped in place; a ledger of before that was possible has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thawed: Option<Moment>,
    /// When a cutover left it, once another cutover has followed that left another slot; a ledger of before that was noted has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Moment>,
    /// Its log file.
    pub log: PathBuf,
}

/// A cutover, written before the act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cutover {
    /// Where traffic went before; `None` at a first deployment.
    pub from: Option<SlotName>,
    /// Where it goes.
    pub to: SlotName,
    /// When.
    pub at: Moment,
    /// The boot of `at`.
    pub boot: BootId,
    /// Whether `bake` has passed well.
    pub settled: bool,
    /// Connections that the drain deadline cut.
    pub cut: Option<u32>,
}

/// A reload, written before the signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// The generation of the include that it should load.
    pub generation: u64,
    /// When.
    pub at: Moment,
    /// The boot of `at`.
    pub boot: BootId,
    /// The accepting workers of before, as (pid, start time): while one still accepts, the old route is in use.
    pub workers: Vec<(u32, u64)>,
    /// It did not take effect in time and the include was put back.
    pub failed: bool,
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A candidate ended or was not ready in time: spends an attempt.
    Start,
    /// A live process ended after `bake`: spends an attempt.
    Crash,
    /// The world prevented it (its port was taken): spends none.
    World,
}

/// One failure of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which release.
    pub release: ReleaseId,
    /// What failed.
    pub kind: FailureKind,
    /// When.
    pub at: Moment,
    /// The boot of `at`.
    pub boot: BootId,
    /// One sentence.
    pub why: String,
}

/// What a release that is not safe to go back from has done to those before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OneWay {
    /// Nothing: it has not taken the traffic yet.
    Ahead,
    /// It has taken the traffic, and these were known before it: they do not serve again.
    Behind(BTreeSet<ReleaseId>),
}

/// What a person decided; only a person, or a manifest that asks for another release, ends it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// No new deployments; healing goes on.
    pub paused: bool,
    /// Not this release but that one.
    pub rollback: Option<Rollback>,
    /// This release may go past the manual gate.
    pub promoted: Option<ReleaseId>,
    /// Stop the service and route nothing to it.
    pub down: bool,
    /// The same release on the other slot: the process that is to be replaced.
    pub restart: Option<Identity>,
    /// A hand-edited include may be overwritten.
    pub repair: bool,
}

/// A decided way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The release of the manifest that is held.
    pub away: ReleaseId,
    /// The release that serves instead.
    pub to: ReleaseId,
}

/// A deployment under way, for the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Which release.
    pub release: ReleaseId,
    /// What people call it.
    pub version: String,
    /// Where.
    pub slot: Option<SlotName>,
    /// Milliseconds since 1970.
    pub began: i64,
    /// When each phase was reached: `install`, `route`, `start`, `cutover`.
    pub phases: Vec<(String, Moment)>,
}
