//! One pass: observe the host, plan against the desired state, execute at most one step a service, say when to look again.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::event::Sink;
use crate::host::Host;
use crate::host::ledgers::LedgerError;
use crate::host::lock::LockError;
use crate::model::desired::DesiredState;
use crate::model::id::ServiceName;
use crate::model::wake::Wake;
use crate::observe::Watch;
use crate::plan::Plan;
use crate::plan::person::{Decision, Refusal};

/// What a pass is about.
#[derive(Clone, Debug)]
pub struct Goal {
    /// The manifest's content.
    pub desired: DesiredState,
    /// Only these services; `None`: all, orphans too.
    pub only: Option<BTreeSet<ServiceName>>,
    /// Retire orphans.
    pub prune: bool,
    /// How long to wait for the lock.
    pub lock_timeout: Duration,
}

/// What a pass tells the loop.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The plan that was followed.
    pub plan: Plan,
    /// Steps that failed, with the chain of causes.
    pub failures: Vec<(ServiceName, String)>,
    /// Services whose accepted state is newer than this goal's.
    pub superseded: Vec<ServiceName>,
    /// When to look again.
    pub again: Duration,
    /// What to look earlier for.
    pub wakes: Vec<Wake>,
}

/// Why there was no pass.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Another slotd holds the lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Our memory cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A decision cannot be taken.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The host has moved since the plan was made.
    #[error("the plan {expected} is stale: the host or the manifest has changed since, and the plan is {found} now")]
    Stale {
        /// The id that was given.
        expected: String,
        /// The id of now.
        found: String,
    },
    /// `rollback nosuch`: no such service.
    #[error("there is no service {service} (known: {known})")]
    NoSuchService {
        /// What was asked for.
        service: ServiceName,
        /// What there is.
        known: String,
    },
}

/// Observes and plans; takes no lock and touches nothing.
pub async fn look<H: Host>(_host: &H, _goal: &Goal, _watch: &mut Watch) -> Result<Plan, ReconcileError> {
    todo!()
}

/// Makes the manifest the accepted state of its services; changes nothing when it is that already.
pub async fn accept<H: Host>(_host: &H, _goal: &Goal) -> Result<(), ReconcileError> {
    todo!()
}

/// One pass, under the lock.
pub async fn pass<H: Host>(_host: &H, _goal: &Goal, _watch: &mut Watch, _sink: &mut dyn Sink) -> Result<Outcome, ReconcileError> {
    todo!()
}

/// Takes a person's decision about each of the goal's services (all when `only` is `None`), under the lock; one sentence each.
pub async fn decide<H: Host>(
    _host: &H,
    _goal: &Goal,
    _decision: &Decision,
) -> Result<Vec<(ServiceName, String)>, ReconcileError> {
    todo!()
}
