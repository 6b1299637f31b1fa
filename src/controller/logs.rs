//! Bounds what the applications log, after each pass and while the loop rests: one of them can fill a disk between two passes.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use crate::event::{Event, Sink};
use crate::host::Host;
use crate::model::id::ServiceName;
use crate::plan::Plan;
use crate::reconcile::chain;

/// The longest time between two looks at the logs: a log never has more than its limit and what is written in this time. A look is one
/// `stat(2)` a slot.
const LOOK: Duration = Duration::from_secs(1);

/// The shortest, while a log is filled faster than that.
const QUICK: Duration = Duration::from_millis(50);

/// The logs that are looked after.
#[derive(Default)]
pub(super) struct Logs {
    /// Those that may be written to, and how many bytes each may still grow.
    open: BTreeMap<PathBuf, u64>,
    /// Services whose logs could not be trimmed: this is told once.
    failing: BTreeSet<ServiceName>,
}

impl Logs {
    /// Trims the logs of the services that were planned for; from now on these are looked after. It is no step: whatever becomes of it
    /// keeps nobody from being served.
    pub(super) fn trim<H: Host>(&mut self, host: &H, plan: &Plan, sink: &mut dyn Sink) {
        self.open.clear();
        for service in &plan.services {
            match host.trim_logs(&service.name) {
                Ok(logs) => {
                    self.failing.remove(&service.name);
                    self.open.extend(logs.into_iter().map(|log| (log, 0)));
                }
                Err(error) if self.failing.insert(service.name.clone()) => {
                    sink.emit(&service.name, &Event::LogsUntrimmed { error: chain(&error) });
                }
                Err(_told) => {}
            }
        }
    }

    /// Looks after them for as long as it is let.
    pub(super) async fn keep<H: Host>(&mut self, host: &H) -> Infallible {
        if self.open.is_empty() {
            return pending().await;
        }
        let mut rest = LOOK;
        loop {
            let fullest = self.open.iter_mut().map(|(log, room)| {
                // What keeps a log from being cut is told by the next pass.
                let before = std::mem::replace(room, host.bound_log(log).unwrap_or(u64::MAX));
                until_full(before, *room, rest)
            });
            rest = fullest.min().unwrap_or(LOOK);
            host.wait(&[], rest).await;
        }
    }
}

/// When to look at a log again whose room has changed like this: before it is full, if it goes on growing as it has.
fn until_full(before: u64, room: u64, took: Duration) -> Duration {
    let Some(grown) = before.checked_sub(room) else {
        // It was cut, or it is looked at for the first time: how fast it grows is not known.
        return QUICK;
    };
    let left = took.as_millis() * u128::from(room) / u128::from(grown.max(1));
    Duration::from_millis(u64::try_from(left).unwrap_or(u64::MAX)).clamp(QUICK, LOOK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faster_a_log_grows_the_sooner_it_is_looked_at() {
        const MIB: u64 = 1 << 20;
        let rests = [
            until_full(64 * MIB, 64 * MIB, LOOK),
            until_full(64 * MIB, 63 * MIB, LOOK),
            until_full(64 * MIB, 44 * MIB, LOOK / 2),
            until_full(44 * MIB, 4 * MIB, LOOK),
            until_full(4 * MIB, 0, LOOK),
            until_full(4 * MIB, 64 * MIB, LOOK),
        ];
        assert_eq!(rests.map(|rest| rest.as_millis()), [1000, 1000, 1000, 100, 50, 50]);
    }
}
