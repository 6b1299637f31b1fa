//! One service: the rules in their order. The first that has something to do decides the step of this pass.

use crate::model::id::SlotName;
use crate::model::status::Reason;
use crate::plan::facts::{Case, Standing};
use crate::plan::ruling::Ruling;
use crate::plan::target::{Target, target};
use crate::plan::{after, boot, deploy, heal, lead, teardown, upkeep};

/// What a pass does about one service.
pub(super) struct Decision {
    pub(super) ruling: Ruling,
    /// Whether what should serve does, proven.
    pub(super) serves: bool,
}

/// Goes through the rules.
pub(super) fn decide(case: &Case<'_>) -> Decision {
    let first = upkeep::upkeep(case).then(|| after::stopping(case));
    if is_going_down(case) {
        return Decision { ruling: unduplicated(first.then(|| teardown::teardown(case))), serves: false };
    }
    let Target { release, holds } = target(case);
    let deployment = release.as_ref().map(|release| deploy::deploy(case, release));
    let serves = release.as_ref().is_some_and(|r| deploy::serves(case, r)) && deployment.as_ref().is_some_and(Ruling::is_clear);
    let served = release.as_ref().filter(|_| serves);
    let ruling = first
        .then(|| under_way(case))
        .then(|| heal::heal(case, release.as_ref()))
        .then(|| Ruling { holds, ..Ruling::clear() })
        .then(|| deployment.map_or_else(|| soft(nothing_to_run(case)), soft))
        .then(|| after::settle(case, served))
        .then(|| after::idle(case, release.as_ref()));
    let leisure = || served.map_or_else(Ruling::clear, |release| boot::train(case, release));
    let ruling = if ruling.is_clear() { leisure() } else { ruling };
    Decision { ruling: unduplicated(ruling), serves }
}

/// A reload under way comes before everything: until it is done nobody can say who is live.
fn under_way(case: &Case<'_>) -> Ruling {
    lead::reloading(case)
}

fn is_going_down(case: &Case<'_>) -> bool {
    case.ledger().person.down || case.standing == Standing::Pruned
}

/// What holds up a deployment does not hold up the standby policy.
fn soft(mut ruling: Ruling) -> Ruling {
    ruling.blocks = false;
    ruling
}

/// Nothing is known that should serve; what does goes on, and the route is kept true to it.
fn nothing_to_run(case: &Case<'_>) -> Ruling {
    let ours = |live: &&SlotName| case.text().is_some() || case.on_disk().is_some_and(|to| to != *live);
    // What nginx was last known to do is no reason to change a file that may have moved the traffic since.
    let seen = |live: &&SlotName| case.is_named(live);
    match case.live().filter(|live| case.answers(live)).filter(ours).filter(seen) {
        Some(live) => lead::lead(case, live),
        None => lead::untouchable(case).map_or_else(Ruling::clear, Ruling::block),
    }
}

/// The same reason twice says nothing more.
fn unduplicated(mut ruling: Ruling) -> Ruling {
    let mut seen: Vec<(Reason, String)> = Vec::new();
    ruling.holds.retain(|hold| {
        let key = (hold.reason, hold.detail.clone());
        let new = !seen.contains(&key);
        seen.push(key);
        new
    });
    ruling
}
