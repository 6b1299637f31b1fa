//! `history`: what was deployed when. Needs no manifest: what was removed from it has a history too.

use crate::cli::args::{Format, Services};
use crate::cli::context::Context;
use crate::cli::exit::{CliError, Exit};
use crate::host::Host;
use crate::host::ledgers::{HistoryLine, LedgerError, Outcome};
use crate::model::id::ServiceName;
use crate::reconcile::ReconcileError;
use crate::report::history::{CutDocument, Deployment, HistoryDocument, Phase, ServiceHistory, timestamp};
use crate::report::{human, markdown};

/// Runs it.
pub(super) fn history<H: Host>(host: &H, context: &mut Context, args: &Services) -> Result<Exit, CliError> {
    let names = names(host, args)?;
    let services: Result<Vec<_>, LedgerError> = names.iter().map(|name| one(host, name)).collect();
    let document = HistoryDocument::new(services.map_err(ReconcileError::from)?);
    let paint = context.console.paint;
    match context.format {
        Format::Human => human::history(&mut context.console.out, &document, &paint)?,
        Format::Json => context.json(&document)?,
        Format::Markdown => markdown::history(&mut context.console.out, &document)?,
    }
    Ok(Exit::Done)
}

fn names<H: Host>(host: &H, args: &Services) -> Result<Vec<ServiceName>, CliError> {
    let known = host.names().map_err(ReconcileError::from)?;
    match args.services.iter().find(|name| !known.contains(name)) {
        Some(unknown) => {
            let known = known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            Err(ReconcileError::NoSuchService { service: unknown.clone(), known }.into())
        }
        None if args.services.is_empty() => Ok(known),
        None => Ok(args.services.clone()),
    }
}

fn one<H: Host>(host: &H, name: &ServiceName) -> Result<ServiceHistory, LedgerError> {
    let lines = host.history(name)?;
    Ok(ServiceHistory { name: name.to_string(), deployments: lines.into_iter().map(deployment).collect() })
}

fn deployment(line: HistoryLine) -> Deployment {
    Deployment {
        began: timestamp(line.began),
        ended: timestamp(line.ended),
        // A wall clock that was set back in between would make this negative.
        took_ms: u64::try_from(line.ended - line.began).unwrap_or(0),
        version: line.version,
        release: line.release,
        slot: line.slot,
        outcome: word(line.outcome).to_owned(),
        phases: line.phases.into_iter().map(|(name, took_ms)| Phase { name, took_ms }).collect(),
        why: line.why,
        cut: line.cut.map(|cut| CutDocument { connections: cut.connections, oldest_ms: cut.oldest_ms }),
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Deployed => "deployed",
        Outcome::RolledBack => "rolled_back",
        Outcome::Quarantined => "quarantined",
        Outcome::Superseded => "superseded",
        Outcome::Reverted => "reverted",
        Outcome::NotClean => "not_clean",
    }
}
