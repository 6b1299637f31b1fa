//! `rollback`, `promote`, `pause`, `resume`, `retry`, `restart`, `down`: takes a person's decision, then carries it out.
//!
//! A decision is about what was accepted last, not about a manifest that was changed since and never applied: going back must not
//! deploy something else on the way.

use std::io::Write;

use crate::cli::accepted::{self, Basis};
use crate::cli::context::Context;
use crate::cli::ending;
use crate::cli::exit::{CliError, Exit};
use crate::cli::wire;
use crate::controller::{self, End};
use crate::host::Host;
use crate::model::id::ServiceName;
use crate::model::status::{HoldKind, Reason};
use crate::observe::watch::Watch;
use crate::plan::person::Decision;
use crate::plan::{Next, Orphans, Plan, ServicePlan};
use crate::reconcile::{self, Goal};
use crate::report::summary::{Ending, Outcome};

use super::args::Patience;

/// Takes the decision and carries it out.
pub(super) async fn carry_out<H: Host>(
    host: &H,
    context: &mut Context,
    services: &[ServiceName],
    decision: &Decision,
    patience: Patience,
) -> Result<Exit, CliError> {
    let Basis { desired, manifest, note } = accepted::basis(host, context)?;
    accepted::warn(context, note.as_deref())?;
    let follow = context.follow(manifest.as_ref())?;
    let (goal, changed) = as_accepted(host, context.goal(desired, services, Orphans::Keep))?;
    let mut watch = Watch::default();
    let decided = reconcile::decide(host, &goal, decision, &mut watch).await?;
    let mut sink = wire::sink(context);
    let end = controller::converge(host, &goal, follow, patience.timeout, watch, &mut *sink).await?;
    drop(sink);
    for service in changed {
        writeln!(context.console.err, "{service}: the manifest was changed and not applied; `slotd apply` does that")?;
    }
    ending::show(context, &Ending { notes: note.into_iter().collect(), ..ending::of(settled(end, decision), decided) })
}

/// Takes a decision that leaves nothing to carry out.
pub(super) async fn only_note<H: Host>(
    host: &H,
    context: &mut Context,
    services: &[ServiceName],
    decision: &Decision,
) -> Result<Exit, CliError> {
    let Basis { desired, note, .. } = accepted::basis(host, context)?;
    accepted::warn(context, note.as_deref())?;
    let (goal, _) = as_accepted(host, context.goal(desired, services, Orphans::Keep))?;
    let mut watch = Watch::default();
    let decided = reconcile::decide(host, &goal, decision, &mut watch).await?;
    let plan = reconcile::look(host, &goal, &mut watch).await?;
    let notes = note.into_iter().collect();
    ending::show(context, &Ending { plan, outcome: Outcome::Done, decided, errors: Vec::new(), notes })
}

/// The goal with the accepted state of each service, and the services whose manifest is ahead of it.
fn as_accepted<H: Host>(host: &H, mut goal: Goal) -> Result<(Goal, Vec<ServiceName>), CliError> {
    let mut changed = Vec::new();
    let known = host.names().map_err(reconcile::ReconcileError::from)?;
    for name in known {
        let Some(spec) = goal.desired.services.get_mut(&name) else { continue };
        let ledger = host.load(&name).map_err(reconcile::ReconcileError::from)?;
        let Some(accepted) = ledger.accepted.filter(|accepted| accepted != spec) else { continue };
        *spec = accepted;
        if goal.only.as_ref().is_none_or(|only| only.contains(&name)) {
            changed.push(name);
        }
    }
    Ok((goal, changed))
}

/// A hold that is the decision itself is what was asked for: a rollback that has arrived is done, though its release is held.
fn settled(end: End, decision: &Decision) -> End {
    match (end, aim(decision)) {
        (End::Held(plan), Some(aim)) if is_settled(&plan, aim) => End::Converged(plan),
        (end, _) => end,
    }
}

fn aim(decision: &Decision) -> Option<Reason> {
    match decision {
        Decision::Rollback { .. } => Some(Reason::RolledBack),
        Decision::Pause => Some(Reason::Paused),
        Decision::Down => Some(Reason::Down),
        Decision::Promote | Decision::Resume | Decision::Retry | Decision::Restart => None,
    }
}

fn is_settled(plan: &Plan, aim: Reason) -> bool {
    let one = |service: &ServicePlan| {
        let others = service.holds.iter().filter(|hold| hold.reason != aim && hold.kind() != HoldKind::Progress);
        !matches!(service.next, Next::Step(_)) && others.count() == 0
    };
    plan.services.iter().all(one)
}
