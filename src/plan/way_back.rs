//! The way back: what a rollback would be, and which releases are behind one that is not safe to go back from.
//!
//! `jar.rollback_safe: false` says that no earlier release can serve again once this one has. It counts from the moment in which the
//! release takes the traffic: until then whatever serves goes on. From then on nothing leads to a release that was known before:
//! no fall back to a standby, no restart of the last good one, no rollback, and no manifest that asks for it.

use std::collections::BTreeSet;

use crate::model::id::{ReleaseId, SlotName};
use crate::model::ledger::{Ledger, OneWay};
use crate::model::release::Release;
use crate::model::status::Reason;
use crate::plan::facts::{Case, Standing};
use crate::plan::hold::Hold;
use crate::plan::pace;
use crate::plan::ruling::{Ruling, hold};
use crate::plan::step::Act;
use crate::plan::view::{Rollback, RollbackKind};

/// The release that forbids going back to this one, while `live` serves. What others started is of no known release, so it is not
/// gone back to either.
pub(super) fn barrier<'a>(ledger: &'a Ledger, live: Option<&ReleaseId>, release: Option<&ReleaseId>) -> Option<&'a ReleaseId> {
    let known = |earlier: &BTreeSet<ReleaseId>| release.is_none_or(|release| earlier.contains(release));
    let shuts = |(id, way): &(&'a ReleaseId, &'a OneWay)| match way {
        OneWay::Behind(earlier) => known(earlier),
        // It has taken the traffic, and slotd has not come to noting that yet.
        OneWay::Ahead => live == Some(id) && known(&before(ledger, id)),
    };
    ledger.one_way.iter().filter(|(id, _)| Some(*id) != release).find(shuts).map(|(id, _)| id)
}

/// Every release that is known beside this one; but for what is being deployed, which comes after it.
fn before(ledger: &Ledger, release: &ReleaseId) -> BTreeSet<ReleaseId> {
    let next = ledger.deployment.as_ref().map(|d| &d.release);
    let running = ledger.slots.values().filter(|record| record.served).filter_map(|record| record.release.as_ref());
    let known = ledger.releases.keys().chain(running);
    known.filter(|id| *id != release && Some(*id) != next).cloned().collect()
}

/// Forgets what is behind a barrier and gone, and the barriers with nothing behind them.
pub(super) fn forget(ledger: &mut Ledger, gone: &[ReleaseId]) {
    let unnamed = ledger.slots.values().any(|record| record.release.is_none());
    ledger.one_way.retain(|id, way| {
        let empty = match way {
            OneWay::Ahead => true,
            OneWay::Behind(earlier) => {
                earlier.retain(|id| !gone.contains(id));
                earlier.is_empty() && !unnamed
            }
        };
        ledger.releases.contains_key(id) || !empty
    });
}

/// Keeps the ledger true to what the manifest says of its release, and to what such a release does once it serves.
pub(super) fn mark(case: &Case<'_>) -> Ruling {
    said(case).then(|| passed(case))
}

fn said(case: &Case<'_>) -> Ruling {
    let known = |release: &&Release| case.ledger().releases.contains_key(&release.id);
    let Some(wanted) = case.wanted.as_ref().ok().filter(known) else { return Ruling::clear() };
    let one_way = match (case.spec.jar.rollback_safe, case.ledger().one_way.get(&wanted.id)) {
        (false, None) => Some(OneWay::Ahead),
        (true, Some(_)) => None,
        (false, Some(_)) | (true, None) => return Ruling::clear(),
    };
    Ruling::act(Act::Mark { release: wanted.id.clone(), one_way }, "the manifest says so", "it is remembered with the release")
}

fn passed(case: &Case<'_>) -> Ruling {
    let ahead = |id: &&ReleaseId| case.ledger().one_way.get(*id) == Some(&OneWay::Ahead);
    let Some(live) = case.live().and_then(|live| case.release(live)).filter(ahead) else { return Ruling::clear() };
    let one_way = Some(OneWay::Behind(before(case.ledger(), live)));
    let act = Act::Mark { release: live.clone(), one_way };
    Ruling::act(act, "it has taken the traffic", "nothing goes back to the releases before it")
}

/// A slot that could take the traffic of a live one that fails, were it not behind a barrier.
pub(super) fn barred(case: &Case<'_>, live: &SlotName) -> Option<Hold> {
    let (slot, by) = case.places().into_iter().filter(|slot| *slot != live && case.answers(slot)).find_map(|slot| {
        let served = case.record(slot).is_some_and(|record| record.served);
        Some((slot, case.barrier(case.release(slot)).filter(|_| served && !case.has_failed(slot))?))
    })?;
    let version = case.record(slot).map_or("", |record| record.version.as_str());
    Some(hold(
        Reason::RollbackUnsafe,
        format!("{version} is ready on {slot}, and {} is not safe to go back from", case.label(by)),
        format!("{live} answers again, or the manifest asks for a later release"),
        pace::PERSON,
    ))
}

/// Why a release that the manifest asks for is not deployed.
pub(super) fn refused(case: &Case<'_>, wanted: &Release) -> Option<Hold> {
    let by = case.label(case.barrier(Some(&wanted.id))?);
    Some(hold(
        Reason::RollbackUnsafe,
        format!("{} was known before {by}, which is not safe to go back from", wanted.version),
        format!("ask for a later release; if it can serve after all, apply {by} with jar.rollback_safe: true first"),
        pace::PERSON,
    ))
}

/// What a way back leads away from: the release that the manifest asks for. While that cannot be had, because its jar or its env file is
/// gone, it is what serves; while it cannot be read, nothing is known.
fn away<'a>(case: &Case<'a>) -> Option<&'a ReleaseId> {
    let serving = || case.live().and_then(|live| case.release(live)).filter(|_| !case.is_dark());
    let asked = case.wanted.as_ref().map(|release| &release.id).ok();
    asked.or_else(serving).filter(|_| case.standing == Standing::Wanted)
}

/// What `slotd rollback` would do now: back to the newest good release that is neither what serves nor what the manifest asks for.
pub(super) fn rollback(case: &Case<'_>) -> Rollback {
    let Some(away) = away(case) else { return none("the release of the manifest is unknown", None) };
    let current = case.live().and_then(|live| case.release(live));
    let other = |id: &&ReleaseId| Some(*id) != current && *id != away;
    let kept = case.ledger().good.iter().rev().filter(other).filter_map(|id| case.ledger().releases.get(id));
    let mut why = "no earlier good release is kept".to_owned();
    for release in kept {
        match (case.barrier(Some(&release.id)), kind(case, release)) {
            (Some(by), _) => why = format!("release {} is not safe to go back from", case.label(by)),
            (None, RollbackKind::None) => {}
            (None, kind) => {
                let (to, version) = (Some(release.id.clone()), Some(release.version.clone()));
                return Rollback { kind, version, to, away: Some(away.clone()), why: None };
            }
        }
    }
    none(&why, Some(away))
}

fn none(why: &str, away: Option<&ReleaseId>) -> Rollback {
    Rollback { kind: RollbackKind::None, version: None, to: None, away: away.cloned(), why: Some(why.to_owned()) }
}

/// How a release would come back; not at all when its jar is lost.
fn kind<'a>(case: &Case<'a>, release: &Release) -> RollbackKind {
    let runs = |slot: &&SlotName| case.release(slot) == Some(&release.id);
    let any =
        |slots: fn(&Case<'a>, &SlotName) -> Vec<&'a SlotName>| case.live().is_some_and(|live| slots(case, live).iter().any(runs));
    if any(Case::alternatives) {
        RollbackKind::Warm
    } else if any(Case::sleepers) {
        RollbackKind::Frozen
    } else if case.seen.stored.contains(&release.digest) {
        RollbackKind::Cold
    } else {
        RollbackKind::None
    }
}

/// What a person should know before such a release serves, and while nothing goes back from it.
pub(super) fn note(case: &Case<'_>, rollback: &Rollback) -> Option<String> {
    if case.standing != Standing::Wanted {
        return None;
    }
    let wanted = case.wanted.as_ref().ok();
    let ahead = wanted.filter(|w| !case.spec.jar.rollback_safe && case.live().and_then(|live| case.release(live)) != Some(&w.id));
    if let Some(wanted) = ahead {
        return Some(format!("once {} serves there is no way back: its jar.rollback_safe is false", wanted.version));
    }
    let barred = case.ledger().good.iter().any(|id| case.barrier(Some(id)).is_some());
    rollback.why.as_ref().filter(|_| barred).map(|why| format!("rollback: none: {why}"))
}
