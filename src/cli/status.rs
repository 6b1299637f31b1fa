//! `status`: how each service stands. Takes no lock and touches nothing.

use std::io::Write;
use std::time::Duration;

use crate::cli::accepted::{self, Basis};
use crate::cli::args::{Format, StatusArgs};
use crate::cli::context::Context;
use crate::cli::exit::{self, CliError, Exit};
use crate::host::Host;
use crate::observe::watch::Watch;
use crate::plan::{Orphans, Plan};
use crate::reconcile;
use crate::report::{human, json, markdown};

/// `--watch` looks this often: it asks every slot and nginx each time.
const WATCH: Duration = Duration::from_secs(2);

/// Clears a terminal and goes to its top.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Runs it.
pub(super) async fn status<H: Host>(host: &H, context: &mut Context, args: &StatusArgs) -> Result<Exit, CliError> {
    let Basis { desired, mut note, .. } = accepted::basis(host, context)?;
    accepted::warn(context, note.as_deref())?;
    let mut goal = context.goal(desired, &args.services.services, Orphans::Keep);
    let mut watch = Watch::default();
    loop {
        let plan = reconcile::look(host, &goal, &mut watch).await?;
        if args.watch && context.console.out_is_terminal {
            write!(context.console.out, "{CLEAR}")?;
        }
        show(context, (&plan, note.as_slice()), args.watch.then_some(Lines::One))?;
        if !args.watch || context.console.out.is_closed() {
            return Ok(if args.exit_code { exit::of_status(&plan) } else { Exit::Done });
        }
        context.console.out.flush()?;
        tokio::time::sleep(WATCH).await;
        if !context.reads_stdin() {
            let now = accepted::basis(host, context)?;
            accepted::warn(context, now.note.as_deref().filter(|now| Some(*now) != note.as_deref()))?;
            (goal.desired, note) = (now.desired, now.note);
        }
    }
}

/// How a document of a series is written: each on a line of its own, so that a program can tell them apart.
#[derive(Clone, Copy)]
enum Lines {
    One,
}

fn show(context: &mut Context, (plan, notes): (&Plan, &[String]), lines: Option<Lines>) -> Result<(), CliError> {
    let paint = context.console.paint;
    match (context.format, lines) {
        (Format::Human, _) => human::status(&mut context.console.out, plan, &paint)?,
        (Format::Json, None) => context.json(&json::status(plan, notes))?,
        (Format::Json, Some(Lines::One)) => {
            let text = serde_json::to_string(&json::status(plan, notes)).map_err(CliError::failed)?;
            writeln!(context.console.out, "{text}")?;
        }
        (Format::Markdown, _) => markdown::status(&mut context.console.out, plan)?,
    }
    Ok(())
}
