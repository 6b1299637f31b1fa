//! Reads the host into an observed state; what cannot be read becomes `Unknown`, never an error.

use std::collections::BTreeSet;

use crate::host::Host;
use crate::host::ledgers::LedgerError;
use crate::model::desired::DesiredState;
use crate::model::id::ServiceName;
use crate::model::observed::ObservedState;

/// What one slotd process remembers between its passes and may lose: answers in a row, samples without traffic, digests by stamp.
#[derive(Debug, Default)]
pub struct Watch {}

/// Observes the services of the manifest (and orphans), or only those named.
pub async fn observe<H: Host>(
    _host: &H,
    _desired: &DesiredState,
    _only: Option<&BTreeSet<ServiceName>>,
    _watch: &mut Watch,
) -> Result<ObservedState, LedgerError> {
    todo!()
}
