//! Keeping the ledger true: what is gone is forgotten or noted as a failure, what is found is taken over.

use crate::model::desired::PortConflict;
use crate::model::id::{Identity, SlotName};
use crate::model::ledger::{FailureKind, SlotRecord};
use crate::model::observed::{Exit, ExitCause, Observation, ObservedProcess, Occupant};
use crate::plan::facts::Case;
use crate::plan::ruling::Ruling;
use crate::plan::step::{Act, Fate};
use crate::plan::way_back;

/// Steps that change the ledger alone.
pub(super) fn upkeep(case: &Case<'_>) -> Ruling {
    let mut ruling = proved(case);
    for slot in case.places() {
        ruling = ruling.then(|| gone(case, slot)).then(|| found(case, slot)).then(|| same_app(case, slot));
        ruling = ruling.then(|| relabelled(case, slot));
    }
    ruling.then(|| way_back::mark(case)).then(|| health(case))
}

/// nginx was seen to have loaded what is on disk.
fn proved(case: &Case<'_>) -> Ruling {
    let Some(loaded) = case.seen.route.loaded.known() else { return Ruling::clear() };
    if loaded.generation <= case.ledger().proven || case.old_workers() > 0 {
        return Ruling::clear();
    }
    Ruling::act(Act::Prove { generation: loaded.generation }, "nginx says so", "the include counts as loaded")
}

/// A recorded process that is not there any more.
fn gone(case: &Case<'_>, slot: &SlotName) -> Ruling {
    let Some(record) = case.record(slot) else { return Ruling::clear() };
    if !case.slot(slot).is_none_or(|s| s.process.is_absent()) || is_just_adopted(case, slot) {
        return Ruling::clear();
    }
    let serves = case.live() == Some(slot);
    let ended = record.process.is_none() && record.cookie.is_none();
    let counts = record.process.is_some() && record.boot == case.now.boot && record.release.is_some();
    let expected = record.stopping.is_some() || record.condemned.is_some();
    if serves && (ended || (record.boot != case.now.boot && record.release.is_some())) {
        return Ruling::clear();
    }
    if counts && !expected && (serves || !record.served) {
        return failed(case, slot, record, serves);
    }
    Ruling::act(Act::Forget { slot: slot.clone() }, "its process is gone", format!("{slot} counts as empty"))
}

/// A process that was taken over in this very pass is still seen as a stranger's: only the next look finds it by its record.
fn is_just_adopted(case: &Case<'_>, slot: &SlotName) -> bool {
    let recorded = case.record(slot).and_then(|r| r.process.as_ref());
    let held = |o: &Occupant| matches!(o, Occupant::SameApp { identity, .. } if Some(identity) == recorded);
    case.occupants(slot).iter().any(held)
}

fn failed(case: &Case<'_>, slot: &SlotName, record: &SlotRecord, serves: bool) -> Ruling {
    let exit = case.slot(slot).and_then(|s| s.exit.known());
    let failure = match (serves, exit.map(|e| e.cause)) {
        (false, Some(ExitCause::AddressInUse)) => FailureKind::World,
        (false, Some(ExitCause::Itself) | None) => FailureKind::Start,
        (true, Some(ExitCause::AddressInUse | ExitCause::Itself) | None) => FailureKind::Crash,
    };
    let fate = if serves { Fate::GoneWhileServing } else { Fate::Gone };
    let Some(release) = record.release.clone() else { return Ruling::clear() };
    let cause = format!("{} on {slot} ended: {}", record.version, last_words(exit));
    Ruling::act(
        Act::RecordFailure { slot: slot.clone(), release, failure, fate, cause },
        "its process is gone without our doing",
        "the failure is counted",
    )
}

/// The line of the log that a person would look for: the last that is not part of a stack trace.
fn last_words(exit: Option<&Exit>) -> String {
    let tail = exit.map_or(&[][..], |e| e.tail.as_slice());
    let telling = tail.iter().rev().find(|l| l.contains("already in use") || l.contains("Exception") || l.contains("Error"));
    let last = tail.iter().rev().find(|l| !l.trim().is_empty() && !l.trim_start().starts_with("at "));
    telling.or(last).map_or_else(|| "it left no word".to_owned(), |line| line.trim().chars().take(200).collect())
}

/// A process that carries a cookie of this slot and is not the recorded one: started by us, and we died right after.
fn found(case: &Case<'_>, slot: &SlotName) -> Ruling {
    let Some(process) = case.process(slot) else { return Ruling::clear() };
    let recorded = case.record(slot).and_then(|r| r.process.as_ref());
    if recorded == Some(&process.identity) || process.identity.cookie.is_none() {
        return Ruling::clear();
    }
    adopt(case, slot, process)
}

fn adopt(case: &Case<'_>, slot: &SlotName, process: &ObservedProcess) -> Ruling {
    let Some(port) = case.slot(slot).map(|s| s.port) else { return Ruling::clear() };
    let act = Act::Adopt {
        slot: slot.clone(),
        port,
        process: process.identity.clone(),
        release: process.release.clone(),
        evidence: "it carries the cookie of this slot".to_owned(),
    };
    Ruling::act(act, "a process of ours runs that the ledger does not know", format!("{slot} is known again"))
}

/// Whether a record has this process already, of whatever slot: one that was just taken over, or that has the port which the
/// manifest gives another slot.
fn is_recorded(case: &Case<'_>, found: &Identity) -> bool {
    let same = |known: &Identity| (&known.boot, known.pid, known.start) == (&found.boot, found.pid, found.start);
    case.ledger().slots.values().filter_map(|record| record.process.as_ref()).any(same)
}

/// The same application, started by others, on the live slot or where the policy lets it be taken.
fn same_app(case: &Case<'_>, slot: &SlotName) -> Ruling {
    let Some(seen) = case.slot(slot).filter(|s| s.process.is_absent()) else { return Ruling::clear() };
    let [Occupant::SameApp { identity, evidence, .. }] = case.occupants(slot) else { return Ruling::clear() };
    if is_recorded(case, identity) {
        return Ruling::clear();
    }
    let live = case.live() == Some(slot);
    if !live && case.spec.slot_policy.port_conflict != PortConflict::SameApp {
        return Ruling::clear();
    }
    let act =
        Act::Adopt { slot: slot.clone(), port: seen.port, process: identity.clone(), release: None, evidence: evidence.clone() };
    Ruling::act(act, "the same application runs here, started by others", format!("{slot} is taken over as it is"))
}

/// The same bytes under another version.
fn relabelled(case: &Case<'_>, slot: &SlotName) -> Ruling {
    let Ok(wanted) = case.wanted else { return Ruling::clear() };
    let stale = case.record(slot).is_some_and(|r| r.release.as_ref() == Some(&wanted.id) && r.version != wanted.version);
    if !stale {
        return Ruling::clear();
    }
    Ruling::act(
        Act::Relabel { release: wanted.id.clone(), version: wanted.version.clone() },
        "the manifest calls the same release by another version",
        format!("what runs is called {}", wanted.version),
    )
}

/// The health settings that the live slot meets: a later change of them is then known to be the suspect.
fn health(case: &Case<'_>) -> Ruling {
    let Some(live) = case.live() else { return Ruling::clear() };
    if !case.answers(live) || case.ledger().proven_health.as_ref() == Some(&case.spec.health) {
        return Ruling::clear();
    }
    if matches!(case.seen.route.nginx, Observation::Unknown(_)) {
        return Ruling::clear();
    }
    Ruling::act(Act::RecordHealth, "the live slot meets the health settings of the manifest", "they count as proven")
}
