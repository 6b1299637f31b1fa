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

pub mod drift;
pub mod hold;
pub mod person;
pub mod step;
pub mod view;

use serde::{Deserialize, Serialize};

use crate::model::id::ServiceName;
use crate::model::status::Status;
use crate::plan::drift::Drift;
use crate::plan::hold::Hold;
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
    /// What a person should know besides.
    pub notes: Vec<String>,
    /// What `status` shows.
    pub view: View,
}

/// What a pass does about a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// This step.
    Step(Step),
    /// Nothing, because of the holds.
    Hold,
    /// Nothing is left to do.
    Nothing,
}
