//! What a person decides, as a change of the ledger that the planner then follows.

use crate::model::id::ServiceName;
use crate::model::ledger::Ledger;
use crate::plan::ServicePlan;

/// A verb of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Back to the previous good release, or to this version.
    Rollback {
        /// Which version.
        to: Option<String>,
    },
    /// Past the manual gate.
    Promote,
    /// No new deployments.
    Pause,
    /// Deployments again.
    Resume,
    /// Try what was quarantined, rolled back, stopped or edited again.
    Retry,
    /// The same release on the other slot.
    Restart,
    /// Stop the service and route nothing to it.
    Down,
}

/// Why a decision cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{service}: {why}")]
pub struct Refusal {
    /// Which service.
    pub service: ServiceName,
    /// One sentence, with what to do instead.
    pub why: String,
}

/// Changes the ledger as decided; gives one sentence that says what was decided.
pub fn decide(_decision: &Decision, _plan: &ServicePlan, _ledger: &mut Ledger) -> Result<String, Refusal> {
    todo!()
}
