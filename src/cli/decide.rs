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
use crate::controller;
use crate::host::Host;
use crate::model::id::ServiceName;
use crate::observe::watch::Watch;
use crate::plan::aim::Aim;
use crate::plan::person::{Decided, Decision};
use crate::plan::{Orphans, Plan};
use crate::reconcile::{self, Goal};
use crate::report::summary::{Ending, Outcome, Said};

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
    let ending = judged(host, goal, ending::of(end), decided).await?;
    ending::show(context, &Ending { notes: note.into_iter().collect(), ..ending })
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
    let (decided, notes) = (said(&plan, decided), note.into_iter().collect());
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

/// How the verb ended: well only where every service is as the decision was to make it, however the wait for it ended. Where one is not,
/// the host is looked at once more, for the last step of the last pass may have done it.
async fn judged<H: Host>(
    host: &H,
    goal: Goal,
    mut ending: Ending,
    decided: Vec<(ServiceName, Decided)>,
) -> Result<Ending, CliError> {
    let is_missing = |plan: &Plan| decided.iter().any(|(service, decided)| missing(plan, service, &decided.aim).is_some());
    if is_missing(&ending.plan) {
        let left = ending.plan.services.iter().map(|service| service.name.clone()).collect();
        ending.plan = reconcile::look(host, &Goal { only: Some(left), ..goal }, &mut Watch::default()).await?;
    }
    let waits = decided.iter().any(|(_, decided)| decided.aim == Aim::Converged);
    ending.outcome = match ending.outcome {
        Outcome::Failed => Outcome::Failed,
        Outcome::Done | Outcome::Held if is_missing(&ending.plan) => Outcome::Held,
        Outcome::Held if waits => Outcome::Held,
        Outcome::Done | Outcome::Held => Outcome::Done,
    };
    ending.decided = said(&ending.plan, decided);
    Ok(ending)
}

fn missing(plan: &Plan, service: &ServiceName, aim: &Aim) -> Option<String> {
    aim.missing(plan.services.iter().find(|plan| plan.name == *service))
}

fn said(plan: &Plan, decided: Vec<(ServiceName, Decided)>) -> Vec<Said> {
    let one = |(service, Decided { said, aim })| Said { missing: missing(plan, &service, &aim), service, decision: said };
    decided.into_iter().map(one).collect()
}
