//! `standby: frozen`: the old process is stopped in place once it has drained, and goes on before any traffic returns to it.
//!
//! Whether a process is stopped is seen, not remembered, so a crash of slotd around the signal leaves nothing to undo. Freezing takes a
//! slot out of service, so it needs what stopping it needs; thawing harms nobody and needs nothing.

use std::time::Duration;

use crate::model::desired::Standby;
use crate::model::id::SlotName;
use crate::model::release::Release;
use crate::model::status::Reason;
use crate::plan::after;
use crate::plan::facts::{BAD_ANSWERS, Case};
use crate::plan::hold::Hold;
use crate::plan::ruling::{Ruling, hold};
use crate::plan::safety;
use crate::plan::step::Act;

/// A JVM that goes on answers within some milliseconds, later only where its memory was swapped out. With more, a dead live slot waits
/// the longer for its own start when the standby does not come back.
const WAKES_WITHIN: Duration = Duration::from_secs(2);

/// What the policy makes of an idle slot whose process stays.
pub(super) fn keep(case: &Case<'_>, slot: &SlotName, release: Option<&Release>) -> Ruling {
    let Some(process) = case.process(slot).filter(|_| !case.is_stopping(slot)) else { return Ruling::clear() };
    match (case.spec.slot_policy.standby, process.frozen) {
        (Standby::Frozen, false) if is_done_with(case, slot, release) => freeze(case, slot),
        (Standby::Running, true) => thaw(case, slot, "slot_policy.standby is running"),
        (Standby::Frozen | Standby::Running | Standby::Stopped, _) => Ruling::clear(),
    }
}

/// Whether a slot has served, something else does now, and nobody can be about to ask for it.
fn is_done_with(case: &Case<'_>, slot: &SlotName, release: Option<&Release>) -> bool {
    let served = case.record(slot).filter(|record| record.served);
    let serves = case.live().is_some_and(|live| case.answers(live));
    serves && served.is_some_and(|record| !after::is_awaited(case, record, release) && !case.may_be_asked_for(record))
}

fn freeze(case: &Case<'_>, slot: &SlotName) -> Ruling {
    let Some(process) = case.process(slot) else { return Ruling::clear() };
    if let Some(hold) = safety::unsafe_to_stop(case, slot) {
        return Ruling::block(hold);
    }
    let act = Act::Freeze { slot: slot.clone(), process: process.identity.clone(), cut: safety::cut(case, slot) };
    Ruling::act(act, "slot_policy.standby is frozen", format!("process {} is stopped in place", process.identity.pid))
}

/// Lets the process of a slot go on.
pub(super) fn thaw(case: &Case<'_>, slot: &SlotName, why: impl Into<String>) -> Ruling {
    let Some(process) = case.process(slot) else { return Ruling::clear() };
    let act = Act::Thaw { slot: slot.clone(), process: process.identity.clone() };
    Ruling::act(act, why, format!("{slot} answers again"))
}

/// The live slot has failed and nothing is ready: a standby that is stopped in place goes on, and gets the time to answer.
pub(super) fn wake(case: &Case<'_>, live: &SlotName) -> Ruling {
    if let Some(slot) = waking(case, live) {
        return Ruling::block(answers_soon(case, slot));
    }
    case.sleepers(live).first().map_or_else(Ruling::clear, |slot| thaw(case, slot, format!("{live} has failed")))
}

/// A standby that was told to go on a moment ago and has not been asked often enough yet.
fn waking<'a>(case: &Case<'a>, live: &SlotName) -> Option<&'a SlotName> {
    let soon = |slot: &SlotName| case.thawed(slot).is_some_and(|since| since < WAKES_WITHIN);
    let awake = |slot: &&SlotName| *slot != live && !case.is_frozen(slot) && soon(slot) && case.can_serve(slot);
    case.places().into_iter().filter(awake).find(|slot| case.may_answer(slot) || (1..BAD_ANSWERS).contains(&case.bad(slot)))
}

fn answers_soon(case: &Case<'_>, slot: &SlotName) -> Hold {
    hold(
        Reason::Confirming,
        format!("{slot} goes on and has not answered yet"),
        format!("it answers, or {} s have passed", WAKES_WITHIN.as_secs()),
        case.spec.health.interval,
    )
}
