//! What the verbs of an incident go by while the manifest is broken or missing: what was accepted last.
//!
//! A typo must not take the way back from whoever needs it at once. What would change the host by the manifest still refuses it.

use std::collections::BTreeMap;
use std::io::Write;

use crate::cli::context::Context;
use crate::cli::exit::CliError;
use crate::cli::source::{Source, SourceError};
use crate::host::ledgers::Ledgers;
use crate::model::desired::DesiredState;
use crate::reconcile::ReconcileError;

/// What a verb goes by.
pub(super) struct Basis {
    /// What the manifest asks for, or what was accepted last.
    pub(super) desired: DesiredState,
    /// The manifest that was read; `None`: it cannot be used, or there is none.
    pub(super) manifest: Option<Source>,
    /// Why the manifest is not used, in one line.
    pub(super) note: Option<String>,
}

/// What the manifest asks for; while it cannot be used, what was accepted last.
///
/// # Errors
/// Why the manifest cannot be used, where nothing was ever accepted.
pub(super) fn basis<H: Ledgers>(host: &H, context: &Context) -> Result<Basis, CliError> {
    let read = context.source().and_then(|source| Ok((source.read()?, source)));
    match read {
        Ok((desired, manifest)) => Ok(Basis { desired, manifest: Some(manifest), note: None }),
        Err(error) => {
            let (desired, note) = instead(host, error)?;
            Ok(Basis { desired, manifest: None, note: Some(note) })
        }
    }
}

/// What was accepted last, and why that is used instead of the manifest.
///
/// # Errors
/// The same error, where nothing was ever accepted; a ledger that cannot be read.
pub(super) fn instead<H: Ledgers>(host: &H, error: SourceError) -> Result<(DesiredState, String), CliError> {
    let mut services = BTreeMap::new();
    for name in host.names().map_err(ReconcileError::from)? {
        let ledger = host.load(&name).map_err(ReconcileError::from)?;
        services.extend(ledger.accepted.map(|spec| (name, spec)));
    }
    if services.is_empty() {
        return Err(error.into());
    }
    let note = format!("{}; the manifest that was accepted last is used instead", error.in_one_line());
    Ok((DesiredState { services }, note))
}

/// Says on standard error why the manifest is not used.
pub(super) fn warn(context: &mut Context, note: Option<&str>) -> Result<(), CliError> {
    let Some(note) = note else { return Ok(()) };
    let warning = context.console.err_paint.bad("warning:").to_string();
    Ok(writeln!(context.console.err, "{warning} {note}")?)
}
