//! `apply`: makes the manifest the accepted state and reconciles until converged or held.

use crate::cli::args::ApplyArgs;
use crate::cli::context::Context;
use crate::cli::ending;
use crate::cli::exit::{CliError, Exit};
use crate::cli::wire;
use crate::controller;
use crate::host::Host;
use crate::observe::watch::Watch;
use crate::plan::Orphans;
use crate::reconcile;

/// Runs it.
pub(super) async fn apply<H: Host>(host: &H, context: &mut Context, args: &ApplyArgs) -> Result<Exit, CliError> {
    let source = context.source()?;
    let orphans = if args.prune { Orphans::Retire } else { Orphans::Keep };
    let goal = context.goal(source.read()?, &args.services.services, orphans);
    let follow = context.follow(Some(&source))?;
    reconcile::accept(host, &goal, args.plan.as_deref()).await?;
    let mut sink = wire::sink(context);
    let end = controller::converge(host, &goal, follow, args.patience.timeout, Watch::default(), &mut *sink).await?;
    drop(sink);
    ending::show(context, &ending::of(end))
}
