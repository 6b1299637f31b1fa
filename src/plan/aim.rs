//! What a decision is for, and whether a plan shows that it is so.
//!
//! A verb ends well only where it is: a wait that ran out of time, or a hold of another reason, is no success of it.

use crate::model::id::ReleaseId;
use crate::model::status::Reason;
use crate::plan::ServicePlan;
use crate::plan::view::SlotView;

/// What a decision is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Nothing but that it is noted.
    Noted,
    /// That everything is as the manifest asks.
    Converged,
    /// That this release serves.
    Serves {
        /// Which.
        release: ReleaseId,
        /// What people call it.
        version: String,
    },
    /// That something serves again.
    Up,
    /// That another process of the same release serves.
    Renewed {
        /// The process that is not to serve any more.
        pid: u32,
        /// Its release; `None`: others started it.
        release: Option<ReleaseId>,
    },
    /// That nothing of the service runs and nothing is routed to it.
    Down,
}

impl Aim {
    /// Why it is not so, in one sentence; `None`: it is. `plan`: how the service stands, `None` where it is not known any more.
    pub fn missing(&self, plan: Option<&ServicePlan>) -> Option<String> {
        let Some(plan) = plan else { return (!self.ends_a_service()).then(|| "the service is not known any more".to_owned()) };
        match self {
            Self::Noted | Self::Converged => None,
            Self::Serves { release, version } => unserved(plan, release, version),
            Self::Up => (!plan.serves).then(|| "nothing of it is known to serve yet".to_owned()),
            Self::Renewed { pid, release } => unrenewed(plan, *pid, release.as_ref()),
            Self::Down => not_down(plan),
        }
    }

    /// Whether a service that is forgotten is what was asked for.
    fn ends_a_service(&self) -> bool {
        match self {
            Self::Noted | Self::Converged | Self::Down => true,
            Self::Serves { .. } | Self::Up | Self::Renewed { .. } => false,
        }
    }
}

fn live(plan: &ServicePlan) -> Option<&SlotView> {
    let live = plan.view.live.as_ref()?;
    plan.view.slots.iter().find(|slot| slot.slot == *live)
}

fn serving(plan: &ServicePlan) -> Option<&ReleaseId> {
    live(plan)?.running.as_ref()?.release.as_ref()
}

fn unserved(plan: &ServicePlan, release: &ReleaseId, version: &str) -> Option<String> {
    let other = || match live(plan).and_then(|slot| slot.running.as_ref()) {
        Some(running) => format!("{} does", running.version),
        None => "nothing of ours does".to_owned(),
    };
    if serving(plan) == Some(release) {
        return (!plan.serves).then(|| format!("{version} is not proven to serve yet"));
    }
    Some(format!("{version} does not serve yet, {}", other()))
}

fn unrenewed(plan: &ServicePlan, pid: u32, release: Option<&ReleaseId>) -> Option<String> {
    let now = live(plan).and_then(|slot| slot.pid);
    match now {
        Some(now) if now == pid => Some(format!("process {now} still serves")),
        Some(_) if release.is_some() && serving(plan) != release => Some("another release serves by now".to_owned()),
        Some(_) if plan.serves => None,
        Some(_) | None => Some(format!("nothing is proven to serve in the place of process {pid} yet")),
    }
}

fn not_down(plan: &ServicePlan) -> Option<String> {
    let runs = plan.view.slots.iter().find_map(|slot| Some((slot, slot.pid?)));
    if let Some((slot, pid)) = runs {
        return Some(format!("process {pid} still runs on {}", slot.slot));
    }
    // The last of the rules of going down says so, when nothing is left to do.
    let down = plan.holds.iter().any(|hold| hold.reason == Reason::Down);
    let why = plan.holds.iter().find(|hold| hold.reason != Reason::Down).map(|hold| hold.detail.clone());
    (!down).then(|| why.unwrap_or_else(|| "it is still going down".to_owned()))
}
