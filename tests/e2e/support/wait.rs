//! Waiting for a condition instead of for a time.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it, where the test says nothing tighter.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until there is something; panics with what was waited for.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {within:?} in vain: {what}");
        thread::sleep(LOOK);
    }
}

/// Looks until it is so; panics with what was waited for.
#[track_caller]
pub(crate) fn until(what: &str, within: Duration, mut look: impl FnMut() -> bool) {
    eventually(what, within, || look().then_some(()));
}
