//! How a service stands, worked out once for everybody who shows it.

use serde::{Deserialize, Serialize};

use crate::model::id::{Digest, Port, ReleaseId, SlotName};
use crate::model::observed::Connection;
use crate::model::past::Past;

/// What `status` shows of a service beside its status and holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// What the manifest asks for; `None` while its jar cannot be read, or for an orphan.
    pub desired: Option<Running>,
    /// What the manifest calls it, even while its jar cannot be read.
    pub desired_version: Option<String>,
    /// The slot that users reach.
    pub live: Option<SlotName>,
    /// Every place, in the order of the manifest.
    pub slots: Vec<SlotView>,
    /// What each witness says; `None`: unknown or absent.
    pub route: RouteView,
    /// What is open towards the slot that the last cutover left; `None`: nothing drains, or it was not counted.
    pub drain: Option<Drain>,
    /// What a rollback would be.
    pub rollback: Rollback,
    /// How long things took here before; the planner leaves it empty, for nothing is decided on it.
    pub past: Past,
}

/// What a draining slot still has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// Which slot.
    pub slot: SlotName,
    /// Connections open towards it.
    pub open: u32,
    /// Those that have been open for longest, the longest first.
    pub longest: Vec<Connection>,
}

/// A release as far as it is known; an adopted process has a version alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// What people call it.
    pub version: String,
    /// Its jar.
    pub sha256: Option<Digest>,
    /// Its identity.
    pub release: Option<ReleaseId>,
}

/// One place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotView {
    /// Its name.
    pub slot: SlotName,
    /// Its port.
    pub port: Port,
    /// What it is.
    pub state: SlotState,
    /// Its process.
    pub pid: Option<u32>,
    /// What runs there.
    pub running: Option<Running>,
    /// Whether it answers as it should; `None`: not asked or unknown.
    pub ready: Option<bool>,
}

/// What a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    /// nginx routes to it.
    Live,
    /// Idle, with an earlier release that served.
    Standby,
    /// The same, stopped in place.
    Frozen,
    /// Idle, with a release that is to serve.
    Candidate,
    /// Idle since the last cutover, still finishing.
    Draining,
    /// Told to end.
    Stopping,
    /// Nothing runs there.
    Empty,
    /// Somebody else holds its port.
    Occupied,
    /// It could not be read.
    Unknown,
}

/// What each witness says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteView {
    /// The include with its flags.
    pub include: Option<SlotName>,
    /// What nginx has loaded.
    pub loaded: Option<SlotName>,
    /// What answers through the proxy.
    pub proxied: Option<SlotName>,
    /// Why one of them is unknown, each a sentence.
    pub unknown: Vec<String>,
}

/// What a rollback would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// How fast.
    pub kind: RollbackKind,
    /// To which version.
    pub version: Option<String>,
    /// To which release.
    pub to: Option<ReleaseId>,
    /// From which release: the one that is held afterwards. `None`: nothing is known to go back from.
    pub away: Option<ReleaseId>,
    /// Why there is none, in a few words.
    pub why: Option<String>,
}

/// How fast a rollback would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RollbackKind {
    /// A ready standby: one cutover.
    Warm,
    /// A standby that is stopped in place: it is continued and asked, then one cutover.
    Frozen,
    /// A retained release: a start, then a cutover.
    Cold,
    /// There is none.
    None,
}
