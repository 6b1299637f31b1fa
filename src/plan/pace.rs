//! When to try again and when to look again.

use std::time::Duration;

use crate::model::id::{BootId, Moment, ReleaseId};
use crate::model::ledger::{Failure, FailureKind, Ledger};

/// Crashes older than this no longer count as "again and again". Failed starts always count: a release that hangs fails only once
/// in five minutes, and would be started for ever.
pub(super) const WINDOW: Duration = Duration::from_secs(600);

/// A hold that only the world can end is looked at this often; a longer time is what an operator would wait in vain after mending it.
pub(super) const WORLD: Duration = Duration::from_secs(1);

/// A person's decision arrives as a verb of its own, so looking is only a safety net.
pub(super) const PERSON: Duration = Duration::from_secs(30);

/// The longest pause between two starts of a crashing release.
const CAP: Duration = Duration::from_secs(60);

/// Failures of a release in this boot of these kinds, but for crashes within [`WINDOW`] alone.
pub(super) fn failures(ledger: &Ledger, release: &ReleaseId, kinds: &[FailureKind], boot: &BootId, now: Moment) -> Vec<Failure> {
    let recent = |f: &Failure| f.kind == FailureKind::Start || now.since(f.at) < WINDOW;
    let counts = |f: &&Failure| f.release == *release && kinds.contains(&f.kind) && f.boot == *boot && recent(f);
    ledger.failures.iter().filter(counts).cloned().collect()
}

/// What is left of the pause before a release may be started again: none after the first failure of a live one, then 1, 2, 4 … 60
/// seconds, each up to a quarter longer so that several services do not start at the same instant.
pub(super) fn remaining(failures: &[Failure], free: usize, now: Moment) -> Duration {
    let Some(last) = failures.last() else { return Duration::ZERO };
    if failures.len() <= free {
        return Duration::ZERO;
    }
    let exponent = u32::try_from(failures.len() - free - 1).unwrap_or(u32::MAX).min(6);
    let pause = Duration::from_secs(1 << exponent).min(CAP);
    let spread = jitter(&last.release, failures.len(), pause / 4);
    (pause + spread).saturating_sub(now.since(last.at))
}

/// The same for the same release and attempt: the planner has no chance in it.
fn jitter(release: &ReleaseId, attempt: usize, up_to: Duration) -> Duration {
    let sum = release.as_str().bytes().fold(attempt as u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let millis = u64::try_from(up_to.as_millis()).unwrap_or(0).max(1);
    Duration::from_millis(sum % millis)
}
