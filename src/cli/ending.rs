//! How a verb that changes something ends, shown in the format that was asked for.

use crate::cli::args::Format;
use crate::cli::context::Context;
use crate::cli::exit::{CliError, Exit};
use crate::controller::End;
use crate::report::summary::{Ending, Outcome};
use crate::report::{json, markdown, summary};

/// The end of a convergence.
pub(super) fn of(end: End) -> Ending {
    let (plan, outcome, errors) = match end {
        End::Converged(plan) => (plan, Outcome::Done, Vec::new()),
        End::Held(plan) => (plan, Outcome::Held, Vec::new()),
        End::Failed(plan, errors) => (plan, Outcome::Failed, errors),
    };
    Ending { plan, outcome, decided: Vec::new(), errors, notes: Vec::new() }
}

/// Prints it; gives its exit code.
pub(super) fn show(context: &mut Context, ending: &Ending) -> Result<Exit, CliError> {
    let paint = context.console.paint;
    match context.format {
        Format::Human => summary::human(&mut context.console.out, ending, &paint)?,
        Format::Json => context.json(&json::ending(ending))?,
        Format::Markdown => markdown::ending(&mut context.console.out, ending)?,
    }
    Ok(match ending.outcome {
        Outcome::Done => Exit::Done,
        Outcome::Held => Exit::Held,
        Outcome::Failed => Exit::Failed,
    })
}
