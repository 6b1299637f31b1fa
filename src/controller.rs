//! The loop around the pass: coalesces triggers, looks again when a hold says so, and stops when told.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::event::Sink;
use crate::host::Host;
use crate::plan::Plan;
use crate::reconcile::{Goal, ReconcileError};

/// A reason to look; carries no facts.
#[derive(Clone, Debug)]
pub enum Trigger {
    /// Look again (timer, SIGHUP).
    Look,
    /// The manifest was read anew and is good: this is the goal from now on.
    Goal(Goal),
    /// End; the slots go on serving.
    Stop,
}

/// How `apply` ended.
#[derive(Clone, Debug)]
pub enum End {
    /// Everything is as the manifest asks (what the controller does later may be left: see the plan's holds).
    Converged(Plan),
    /// A person must decide, the world did not change in time, or a newer manifest was accepted.
    Held(Plan),
    /// A step failed for a reason that is nobody's decision, and went on failing.
    Failed(Plan, Vec<String>),
}

/// Reconciles until converged or held. `expected`: the id that the first plan, under the lock, must have.
/// `timeout` bounds the whole; `None`: the longest of the services' health deadline + drain + 60 s.
pub async fn converge<H: Host>(
    _host: &H,
    _goal: &Goal,
    _expected: Option<&str>,
    _timeout: Option<Duration>,
    _sink: &mut dyn Sink,
) -> Result<End, ReconcileError> {
    todo!()
}

/// Reconciles until told to stop, at least every `interval`.
pub async fn run<H: Host>(
    _host: &H,
    _goal: Goal,
    _interval: Duration,
    _triggers: mpsc::Receiver<Trigger>,
    _sink: &mut dyn Sink,
) -> Result<(), ReconcileError> {
    todo!()
}
