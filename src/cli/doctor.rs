//! `doctor`: what this host guarantees around a cutover, and what to change. Takes no lock and touches nothing.

use crate::cli::args::{DoctorArgs, Format};
use crate::cli::context::Context;
use crate::cli::exit::{CliError, Exit};
use crate::doctor::{self, Diagnosis};
use crate::host::survey::Survey;
use crate::model::desired::DesiredState;
use crate::model::id::ServiceName;
use crate::reconcile::ReconcileError;
use crate::report::doctor as report;

/// Runs it.
pub(super) fn doctor<H: Survey>(host: &H, context: &mut Context, args: &DoctorArgs) -> Result<Exit, CliError> {
    let desired = context.source()?.read()?;
    known(&desired, &args.services.services)?;
    let asked = |name: &ServiceName| args.services.services.is_empty() || args.services.services.contains(name);
    let services = desired.services.values().filter(|service| asked(&service.name));
    let all: Vec<Diagnosis> = services.map(|service| doctor::examine(service, &host.survey(service))).collect();
    let paint = context.console.paint;
    match context.format {
        Format::Human => report::human(&mut context.console.out, &all, &paint)?,
        Format::Json => context.json(&report::document(&all))?,
        Format::Markdown => report::markdown(&mut context.console.out, &all)?,
    }
    let sound = all.iter().all(Diagnosis::is_sound);
    Ok(if args.exit_code && !sound { Exit::Held } else { Exit::Done })
}

/// Only what a manifest asks for has a set-up to look at.
fn known(desired: &DesiredState, asked: &[ServiceName]) -> Result<(), CliError> {
    match asked.iter().find(|name| !desired.services.contains_key(*name)) {
        None => Ok(()),
        Some(service) => {
            let known = desired.services.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            Err(ReconcileError::NoSuchService { service: service.clone(), known }.into())
        }
    }
}
