//! `plan`: the dry run. Takes no lock and touches nothing.

use crate::cli::args::{Format, PlanArgs};
use crate::cli::context::Context;
use crate::cli::exit::{self, CliError, Exit};
use crate::host::Host;
use crate::observe::watch::Watch;
use crate::plan::Orphans;
use crate::reconcile;
use crate::report::{human, json, markdown};

/// Runs it.
pub(super) async fn plan<H: Host>(host: &H, context: &mut Context, args: &PlanArgs) -> Result<Exit, CliError> {
    let orphans = if args.prune { Orphans::Retire } else { Orphans::Keep };
    let goal = context.read_goal(&args.services, orphans)?;
    let plan = reconcile::look(host, &goal, &mut Watch::default()).await?;
    let paint = context.console.paint;
    match context.format {
        Format::Human => human::plan(&mut context.console.out, &plan, &paint)?,
        Format::Json => context.json(&json::plan(&plan))?,
        Format::Markdown => markdown::plan(&mut context.console.out, &plan)?,
    }
    Ok(if args.detailed_exitcode { exit::of_plan(&plan) } else { Exit::Done })
}
