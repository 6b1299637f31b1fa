//! The documents of `-o json`. Their fields are part of the contract: a later 1.x adds, and never renames, removes or re-types.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::id::SlotName;
use crate::model::past::Starts;
use crate::model::status::{HoldKind, Reason, Status};
use crate::plan::hold::Hold;
use crate::plan::view::{RollbackKind, Running, SlotState, SlotView, View};
use crate::plan::{Plan, ServicePlan};
use crate::report::drain::{self, ConnectionsDocument};
use crate::report::summary::{Ending, Outcome, Said};
use crate::report::wording;

/// Rises only when a program that read the former documents could misread the new ones.
pub const FORMAT_VERSION: u32 = 1;

/// What `status -o json` prints; with `outcome`, what `apply -o json` and its like end with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(title = "slotd status")]
pub struct StatusDocument {
    /// 1; later 1.x only add.
    pub format_version: u32,
    /// How the verb ended; only where the verb changes something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What a person decided; only where there is something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decided: Vec<Decided>,
    /// What failed, each with the chain of its causes; only where something did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// What a person should know besides the services, such as why the manifest is not used; only where there is something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// By name.
    pub services: Vec<ServiceDocument>,
}

/// What was decided about a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Decided {
    /// Which.
    pub service: String,
    /// One sentence.
    pub decision: String,
    /// Why what was asked for is not so, in one sentence; only where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// How one service stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ServiceDocument {
    /// Which.
    pub name: String,
    /// How it stands.
    pub status: Status,
    /// What the manifest asks for; null for an orphan.
    pub desired: Option<ReleaseDocument>,
    /// What users reach; null when nothing is routed.
    pub live: Option<LiveDocument>,
    /// Every place, in the order of the manifest.
    pub slots: Vec<SlotDocument>,
    /// What each witness says.
    pub route: RouteDocument,
    /// What `slotd rollback` would be.
    pub rollback: RollbackDocument,
    /// Why something is not done now.
    pub holds: Vec<HoldDocument>,
    /// What a person should know besides; only where there is something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReleaseDocument {
    /// What people call it.
    pub version: String,
    /// Of the jar; null while it cannot be read.
    pub sha256: Option<String>,
    /// Its identity.
    pub release: Option<String>,
}

/// The slot that users reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LiveDocument {
    /// Its name.
    pub slot: String,
    /// Its port.
    pub port: u16,
    /// Its process; null when none of ours runs there.
    pub pid: Option<u32>,
    /// What people call what runs there.
    pub version: Option<String>,
    /// Of the jar; null for a process that others started.
    pub sha256: Option<String>,
    /// Its identity; null for a process that others started.
    pub release: Option<String>,
    /// Whether it answers as it should; null: not asked, or unknown.
    pub ready: Option<bool>,
}

/// One place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SlotDocument {
    /// Its name.
    pub slot: String,
    /// Its port.
    pub port: u16,
    /// What it is.
    pub state: SlotState,
    /// Its process.
    pub pid: Option<u32>,
    /// What people call what runs there.
    pub version: Option<String>,
    /// Its identity.
    pub release: Option<String>,
    /// What is open towards it; only on a slot that drains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<ConnectionsDocument>,
}

/// What each witness of the route says; null: unknown or absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RouteDocument {
    /// The include with its flags.
    pub include: Option<String>,
    /// What nginx has loaded.
    pub loaded: Option<String>,
    /// What answers through the proxy.
    pub proxied: Option<String>,
    /// Why a witness is unknown; only where one is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// What a rollback would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RollbackDocument {
    /// How fast.
    pub kind: RollbackKind,
    /// To which version.
    pub version: Option<String>,
    /// Milliseconds that the last rollback of this kind took on this host, from the command to nginx's proof; only where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ms: Option<u64>,
    /// Why there is none, in a few words; only where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Why something is not done now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HoldDocument {
    /// Who ends it.
    pub kind: HoldKind,
    /// One of a closed list.
    pub reason: Reason,
    /// The evidence, in one sentence.
    pub detail: String,
    /// What ends it, in one sentence.
    pub until: String,
}

/// What `plan -o json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(title = "slotd plan")]
pub struct PlanDocument {
    /// 1; later 1.x only add.
    pub format_version: u32,
    /// For `apply --plan`.
    pub id: String,
    /// By name.
    pub services: Vec<ServicePlanDocument>,
}

/// The plan for one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ServicePlanDocument {
    /// Which.
    pub name: String,
    /// How it stands.
    pub status: Status,
    /// What differs.
    pub drift: Vec<DriftDocument>,
    /// From here to converged.
    pub steps: Vec<StepDocument>,
    /// Why nothing, or not everything, is done now.
    pub holds: Vec<HoldDocument>,
    /// How long starts took on this host; only where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<StartsDocument>,
    /// What the way behind the steps comes to, where that is not converged; only then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ahead: Vec<HoldDocument>,
    /// What a person should know besides; only where there is something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The last starts on this host: milliseconds from the start of a process to the traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StartsDocument {
    /// How many; five at most.
    pub count: usize,
    /// The one in the middle.
    pub median_ms: u64,
    /// The fastest.
    pub fastest_ms: u64,
    /// The slowest.
    pub slowest_ms: u64,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DriftDocument {
    /// Which setting or part.
    pub path: String,
    /// What the manifest asks for.
    pub desired: String,
    /// What the host shows.
    pub observed: String,
    /// How that is known.
    pub evidence: String,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StepDocument {
    /// `install`, `start`, `cutover` …
    pub kind: String,
    /// What is done, in one sentence.
    pub does: String,
    /// Why, in one sentence.
    pub why: String,
    /// What the host shows afterwards, in one sentence.
    pub expect: String,
}

/// The status document of a plan, with what a person should know besides.
pub fn status(plan: &Plan, notes: &[String]) -> StatusDocument {
    StatusDocument {
        format_version: FORMAT_VERSION,
        outcome: None,
        decided: Vec::new(),
        errors: Vec::new(),
        notes: notes.to_vec(),
        services: plan.services.iter().map(service).collect(),
    }
}

/// The status document at the end of a verb that changes something.
pub fn ending(ending: &Ending) -> StatusDocument {
    let decided = |said: &Said| Decided {
        service: said.service.to_string(),
        decision: said.decision.clone(),
        missing: said.missing.clone(),
    };
    StatusDocument {
        outcome: Some(ending.outcome),
        decided: ending.decided.iter().map(decided).collect(),
        errors: ending.errors.clone(),
        ..status(&ending.plan, &ending.notes)
    }
}

/// The plan document.
pub fn plan(plan: &Plan) -> PlanDocument {
    PlanDocument {
        format_version: FORMAT_VERSION,
        id: plan.id.clone(),
        services: plan.services.iter().map(service_plan).collect(),
    }
}

fn service(plan: &ServicePlan) -> ServiceDocument {
    let view = &plan.view;
    ServiceDocument {
        name: plan.name.to_string(),
        status: plan.status,
        desired: desired(view),
        live: live(view),
        slots: view.slots.iter().map(|place| slot(place, view)).collect(),
        route: route(view),
        rollback: rollback(view),
        holds: holds(&plan.holds),
        notes: plan.notes.clone(),
    }
}

fn desired(view: &View) -> Option<ReleaseDocument> {
    let unread = || Some(ReleaseDocument { version: view.desired_version.clone()?, sha256: None, release: None });
    view.desired.as_ref().map(release).or_else(unread)
}

fn release(running: &Running) -> ReleaseDocument {
    ReleaseDocument {
        version: running.version.clone(),
        sha256: running.sha256.as_ref().map(ToString::to_string),
        release: running.release.as_ref().map(ToString::to_string),
    }
}

fn live(view: &View) -> Option<LiveDocument> {
    let slot = wording::live(view)?;
    let running = slot.running.as_ref().map(release);
    Some(LiveDocument {
        slot: slot.slot.to_string(),
        port: slot.port.0,
        pid: slot.pid,
        version: running.as_ref().map(|r| r.version.clone()),
        sha256: running.as_ref().and_then(|r| r.sha256.clone()),
        release: running.and_then(|r| r.release),
        ready: slot.ready,
    })
}

fn slot(slot: &SlotView, view: &View) -> SlotDocument {
    let running = slot.running.as_ref();
    SlotDocument {
        slot: slot.slot.to_string(),
        port: slot.port.0,
        state: slot.state,
        pid: slot.pid,
        version: running.map(|r| r.version.clone()),
        release: running.and_then(|r| r.release.as_ref()).map(ToString::to_string),
        connections: view.drain.as_ref().filter(|drain| drain.slot == slot.slot).map(drain::connections),
    }
}

fn route(view: &View) -> RouteDocument {
    let name = |slot: &Option<SlotName>| slot.as_ref().map(ToString::to_string);
    let route = &view.route;
    RouteDocument {
        include: name(&route.include),
        loaded: name(&route.loaded),
        proxied: name(&route.proxied),
        unknown: route.unknown.clone(),
    }
}

fn rollback(view: &View) -> RollbackDocument {
    RollbackDocument {
        kind: view.rollback.kind,
        version: view.rollback.version.clone(),
        last_ms: wording::last_rollback(view).map(millis),
        why: view.rollback.why.clone(),
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn holds(holds: &[Hold]) -> Vec<HoldDocument> {
    let one = |hold: &Hold| HoldDocument {
        kind: hold.kind(),
        reason: hold.reason,
        detail: hold.detail.clone(),
        until: hold.until.clone(),
    };
    holds.iter().map(one).collect()
}

fn service_plan(plan: &ServicePlan) -> ServicePlanDocument {
    ServicePlanDocument {
        name: plan.name.to_string(),
        status: plan.status,
        drift: plan.drift.iter().map(drift).collect(),
        steps: plan.steps.iter().map(step).collect(),
        holds: holds(&plan.holds),
        starts: plan.view.past.starts.as_ref().map(starts),
        ahead: holds(&plan.ahead),
        notes: plan.notes.clone(),
    }
}

fn starts(starts: &Starts) -> StartsDocument {
    StartsDocument {
        count: starts.count,
        median_ms: millis(starts.median),
        fastest_ms: millis(starts.fastest),
        slowest_ms: millis(starts.slowest),
    }
}

fn drift(drift: &crate::plan::drift::Drift) -> DriftDocument {
    DriftDocument {
        path: drift.path.clone(),
        desired: drift.desired.clone(),
        observed: drift.observed.clone(),
        evidence: drift.evidence.clone(),
    }
}

fn step(step: &crate::plan::step::Step) -> StepDocument {
    StepDocument {
        kind: step.act.kind().to_owned(),
        does: step.act.to_string(),
        why: step.why.clone(),
        expect: step.expect.clone(),
    }
}
