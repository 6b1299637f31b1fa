//! Whether a slot is really empty, asked once more right before a start.

use crate::execute::{ExecuteError, Scene, moved};
use crate::host::Host;
use crate::model::id::SlotName;
use crate::model::observed::Observation;

/// Nothing that carries a cookie of this slot runs: a lost or older ledger does not know a process that has yet to listen.
pub(super) fn vacant<H: Host>(host: &H, scene: &Scene<'_>, slot: &SlotName) -> Result<(), ExecuteError> {
    let found = match host.bearers() {
        Observation::Known(all) => all.into_iter().find(|b| b.service == scene.spec.name && b.slot == *slot).map(|bearer| {
            let pid = bearer.found.identity.pid;
            format!("process {pid}")
        }),
        Observation::Unknown(why) => Some(why),
        Observation::Absent => None,
    };
    found.map_or(Ok(()), |found| Err(moved("a slot without a process of ours", &found)))
}
