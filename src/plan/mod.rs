//! The decision: what to do next about each service, and the whole way from here to converged.
//!
//! [`plan`] is pure, total and deterministic: no clock, no randomness, no I/O; time comes in with the observed state. Everything
//! that decides is in here; execution has no policy. Whoever changes it must keep its laws (checked by `tests/`):
//!
//! 1. The same inputs give the same plan.
//! 2. Converged means no steps.
//! 3. No step stops or overwrites the live slot, unless a person said `down`.
//! 4. Traffic moves only to a slot that is known to be ready.
//! 5. An unknown makes a hold, never a stop and never a cutover.
//! 6. At most one step of a service is carried out in a pass, and so at most one change of its proxy.
//! 7. Every hold says why, what ends it and when to look again.
//! 8. After a crash behind any step the next plan goes on; nothing needs undoing.

mod after;
pub mod aim;
mod boot;
mod conflict;
mod deploy;
pub mod drift;
mod facts;
mod freeze;
mod heal;
pub mod hold;
mod lead;
mod pace;
pub mod person;
pub mod precondition;
mod project;
pub mod record;
mod ruling;
mod safety;
mod service;
mod show;
pub mod step;
mod target;
mod teardown;
mod upkeep;
pub mod view;
mod way_back;
mod words;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use sha2::{Digest as _, Sha256};

use crate::model::desired::{DesiredState, ServiceSpec};
use crate::model::id::ServiceName;
use crate::model::observed::{ObservedService, ObservedState};
use crate::model::status::Status;
use crate::model::wake::Wake;
use crate::plan::drift::Drift;
use crate::plan::facts::{Case, Standing};
use crate::plan::hold::Hold;
use crate::plan::ruling::Ruling;
use crate::plan::step::Step;
use crate::plan::view::View;

/// The plan for all services that were asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Hash of the desired state and of the facts that were decided on; no ages, no counters.
    pub id: String,
    /// By name.
    pub services: Vec<ServicePlan>,
}

/// The plan for one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePlan {
    /// Which.
    pub name: ServiceName,
    /// How it stands.
    pub status: Status,
    /// What differs.
    pub drift: Vec<Drift>,
    /// What this pass does.
    pub next: Next,
    /// Every step from here to converged, as far as the host goes along; the first is the one in `next`, if that is a step.
    pub steps: Vec<Step>,
    /// Why nothing, or not everything, is done now.
    pub holds: Vec<Hold>,
    /// What the way behind the steps comes to, where that is not converged: a port that is taken, a person's decision.
    pub ahead: Vec<Hold>,
    /// What a person should know besides.
    pub notes: Vec<String>,
    /// Whether what is asked for serves, proven: what is left is the controller's.
    pub serves: bool,
    /// When to look again at the latest, `None`: whenever the loop likes.
    pub again: Option<Duration>,
    /// What to look earlier for.
    pub wakes: Vec<Wake>,
    /// What `status` shows.
    pub view: View,
}

/// What a pass does about a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "one a service and pass; a box would only be in the reader's way")]
pub enum Next {
    /// This step.
    Step(Step),
    /// Nothing, because of the holds.
    Hold,
    /// Nothing is left to do.
    Nothing,
}

/// Whether services that no manifest mentions are to be retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphans {
    /// They go on serving and are reported.
    Keep,
    /// They are stopped and forgotten.
    Retire,
}

/// How far a plan is worked out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Far {
    /// To its end, with everything that differs, as a dry run shows it.
    Whole,
    /// To the first step that is worth saying, as a pass follows it.
    First,
}

/// Steps that the dry run walks at most; a deployment has about ten, so more means that it goes in circles.
const WALK: usize = 40;

/// While a new live slot proves itself it is looked at this often; `bake` has to notice that it stops being ready.
const BAKE_LOOK: Duration = Duration::from_secs(1);

/// The decision; see the laws above.
pub fn plan(desired: &DesiredState, observed: &ObservedState, orphans: Orphans) -> Plan {
    let asked = Asked { desired, observed, orphans };
    let services: Vec<_> = observed.services.iter().filter_map(|(name, seen)| asked.one(name, seen, Far::Whole)).collect();
    Plan { id: identify(desired, &services), services }
}

/// The same decision without what only a dry run shows, for a pass: `drift`, `ahead` and `id` are empty, and of `steps` no more than
/// the first is there. Working them out costs several times what the decision does, and nobody would read them.
pub fn first(desired: &DesiredState, observed: &ObservedState, orphans: Orphans) -> Plan {
    let asked = Asked { desired, observed, orphans };
    let services = observed.services.iter().filter_map(|(name, seen)| asked.one(name, seen, Far::First)).collect();
    Plan { id: String::new(), services }
}

/// [`first`] about one service.
pub fn next(desired: &DesiredState, observed: &ObservedState, orphans: Orphans, name: &ServiceName) -> Option<ServicePlan> {
    Asked { desired, observed, orphans }.one(name, observed.services.get(name)?, Far::First)
}

/// What the planner was asked.
struct Asked<'a> {
    desired: &'a DesiredState,
    observed: &'a ObservedState,
    orphans: Orphans,
}

impl Asked<'_> {
    fn one(&self, name: &ServiceName, seen: &ObservedService, far: Far) -> Option<ServicePlan> {
        let Self { desired, observed, orphans } = *self;
        let (spec, standing) = match (desired.services.get(name), orphans) {
            (Some(spec), _) => (spec, Standing::Wanted),
            (None, Orphans::Keep) => (seen.ledger.accepted.as_ref()?, Standing::Orphan),
            (None, Orphans::Retire) => (seen.ledger.accepted.as_ref()?, Standing::Pruned),
        };
        let wanted = target::release_of(spec, seen);
        let case = Case { spec, standing, seen, wanted: &wanted, now: &observed.now, memory: &observed.memory };
        Some(told(&case, name, far))
    }
}

/// The plan for one service, with everything that is shown of it.
fn told(case: &Case<'_>, name: &ServiceName, far: Far) -> ServicePlan {
    let decision = service::decide(case);
    let serves = decision.serves;
    let next = match &decision.ruling.step {
        Some(step) => Next::Step(step.clone()),
        None if decision.ruling.holds.is_empty() => Next::Nothing,
        None => Next::Hold,
    };
    let Way { steps, holds, ends } = walk(case, decision.ruling, far);
    let ahead = ends.into_iter().filter(|end| holds.iter().all(|hold| hold.reason != end.reason)).collect();
    ServicePlan {
        name: name.clone(),
        status: show::status(case, &holds, steps.len()),
        drift: if far == Far::Whole { show::drift(case) } else { Vec::new() },
        next,
        steps,
        notes: show::notes(case),
        serves,
        again: again(case, &holds),
        wakes: wakes(case, &holds),
        holds,
        ahead,
        view: show::view(case),
    }
}

/// When to look again: as the holds say, and often enough to see a new live slot fail.
fn again(case: &Case<'_>, holds: &[Hold]) -> Option<Duration> {
    let baking = case.live().is_some_and(|live| case.is_baking(live)).then_some(BAKE_LOOK);
    let policy = &case.spec.slot_policy;
    let standby = policy.standby_for.zip(case.cutover()).map(|(limit, c)| limit.saturating_sub(case.now.at.since(c.at)));
    let standby = standby.filter(|rest| !rest.is_zero());
    holds.iter().map(|h| h.again).chain(baking).chain(standby).min()
}

/// The end of the live process, and what the holds name.
fn wakes(case: &Case<'_>, holds: &[Hold]) -> Vec<Wake> {
    let live = case.live_identity().map(|identity| Wake::Exit(identity.clone()));
    let mut all: Vec<_> = holds.iter().flat_map(|h| h.wakes.clone()).collect();
    all.extend(live.filter(|wake| !all.contains(wake)));
    all
}

/// The way from here.
struct Way {
    steps: Vec<Step>,
    /// What holds it up at its beginning.
    holds: Vec<Hold>,
    /// The holds that it comes to and that no step and no wait of slotd's ends.
    ends: Vec<Hold>,
}

/// The whole way from here to converged, if the host goes along: each step is decided by the same rules on what the host would
/// show after the one before. What only keeps the ledger true is not said, so the holds are those behind it.
fn walk(case: &Case<'_>, first: Ruling, far: Far) -> Way {
    if far == Far::First && is_worth_saying(&first) {
        return Way { steps: first.step.into_iter().collect(), holds: first.holds, ends: Vec::new() };
    }
    let (mut seen, mut now, mut ruling) = (case.seen.clone(), case.now.clone(), first);
    let mut way = Way { steps: Vec::new(), holds: Vec::new(), ends: Vec::new() };
    let mut begun = false;
    for _ in 0..WALK {
        let live = Case { seen: &seen, now: &now, ..*case }.live().cloned();
        if !begun && is_worth_saying(&ruling) {
            (begun, way.holds) = (true, ruling.holds.clone());
        }
        way.steps.extend(ruling.step.clone().filter(|step| step.act.is_worth_saying()));
        if begun && far == Far::First {
            break;
        }
        if !project::goes_on(&mut seen, &ruling, case.spec, &mut now, live.as_ref()) {
            way.ends = if ruling.step.is_none() { ruling.holds } else { Vec::new() };
            break;
        }
        ruling = service::decide(&Case { seen: &seen, now: &now, ..*case }).ruling;
    }
    way
}

/// Whether a ruling is where the way that is shown begins.
fn is_worth_saying(ruling: &Ruling) -> bool {
    ruling.step.as_ref().is_none_or(|step| step.act.is_worth_saying())
}

/// Hash of what was decided on: the manifest, and of the host what the plans say of it. No ages, no counters.
fn identify(desired: &DesiredState, services: &[ServicePlan]) -> String {
    let facts: Vec<_> = services
        .iter()
        .map(|s| {
            (
                &s.name,
                &s.drift,
                s.steps.iter().map(|step| step.act.lasting()).collect::<Vec<_>>(),
                &s.view.slots,
                &s.view.route,
                s.holds.iter().chain(&s.ahead).map(|h| h.reason).collect::<Vec<_>>(),
            )
        })
        .collect();
    let text = serde_json::to_string(&(desired, facts)).unwrap_or_default();
    hex::encode(Sha256::digest(text.as_bytes()))[..16].to_owned()
}

/// The specification that a service is planned by: of the manifest, else the one accepted last.
pub fn spec_of<'a>(desired: &'a DesiredState, name: &ServiceName, seen: &'a ObservedService) -> Option<&'a ServiceSpec> {
    desired.services.get(name).or(seen.ledger.accepted.as_ref())
}
