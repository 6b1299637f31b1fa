//! After a cutover: the old slot drains and becomes what the policy says, what nobody needs is stopped, the deployment is written down.

use crate::model::desired::Standby;
use crate::model::id::{Digest, ReleaseId, SlotName};
use crate::model::ledger::SlotRecord;
use crate::model::release::Release;
use crate::plan::deploy;
use crate::plan::facts::Case;
use crate::plan::freeze;
use crate::plan::ruling::Ruling;
use crate::plan::step::Act;

/// Releases kept for a way back beyond those of the slots; each costs one jar on the disk.
const KEPT: usize = 5;

/// Processes that were told to end: killed when their time is over.
pub(super) fn stopping(case: &Case<'_>) -> Ruling {
    case.places().into_iter().fold(Ruling::clear(), |ruling, slot| ruling.then(|| stop_overdue(case, slot)))
}

fn stop_overdue(case: &Case<'_>, slot: &SlotName) -> Ruling {
    let (Some(record), Some(process)) = (case.record(slot), case.process(slot)) else { return Ruling::clear() };
    let Some(told) = record.stopping else { return Ruling::clear() };
    let elapsed = case.since(&record.boot, told).unwrap_or_default();
    if elapsed < case.spec.launch.stop_timeout || record.killing.is_some() {
        return Ruling::note(deploy::ending(case, slot));
    }
    let mut processes = vec![process.identity.clone()];
    processes.extend(process.family.iter().cloned());
    Ruling::act(
        Act::Kill { slot: slot.clone(), processes },
        format!("it has not ended {} s after TERM", case.spec.launch.stop_timeout.as_secs()),
        format!("process {} has ended", process.identity.pid),
    )
}

/// What becomes of every slot that does not serve.
pub(super) fn idle(case: &Case<'_>, release: Option<&Release>) -> Ruling {
    let Some(live) = case.live() else { return Ruling::clear() };
    case.places().into_iter().filter(|slot| *slot != live).fold(Ruling::clear(), |ruling, slot| {
        ruling.then(|| match why_stop(case, slot, release) {
            Some(why) => softly(deploy::stop(case, slot, why)),
            None => softly(freeze::keep(case, slot, release)),
        })
    })
}

/// A slot that cannot be stopped or frozen yet holds up nothing else.
fn softly(mut ruling: Ruling) -> Ruling {
    ruling.blocks = false;
    ruling
}

/// Why an idle slot's process is not needed any more.
fn why_stop(case: &Case<'_>, slot: &SlotName, release: Option<&Release>) -> Option<String> {
    let record = case.record(slot)?;
    if case.process(slot).is_none() || record.stopping.is_some() {
        return None;
    }
    if let Some(cause) = &record.condemned {
        return Some(cause.clone());
    }
    if !case.live().is_some_and(|live| case.answers(live)) {
        return None;
    }
    if is_awaited(case, record, release) || case.may_be_asked_for(record) {
        return None;
    }
    if !record.served {
        return Some(format!("{} on {slot} is not asked for any more", record.version));
    }
    if !case.is_in_place(slot) && !deploy::is_in_vain(case, slot) {
        return Some(format!("the manifest has no {slot} on port {}", record.port));
    }
    standby_is_over(case)
}

/// Whether what runs in a slot is what should serve and does not.
pub(super) fn is_awaited(case: &Case<'_>, record: &SlotRecord, release: Option<&Release>) -> bool {
    release.is_some_and(|r| record.release.as_ref() == Some(&r.id) && !deploy::serves(case, r))
}

/// Whether the policy keeps no standby, or no longer.
fn standby_is_over(case: &Case<'_>) -> Option<String> {
    let policy = &case.spec.slot_policy;
    if policy.standby == Standby::Stopped {
        return Some("slot_policy.standby is stopped".to_owned());
    }
    let age = case.cutover().map(|c| case.now.at.since(c.at))?;
    let over = policy.standby_for.is_some_and(|limit| age >= limit.max(policy.drain));
    over.then(|| "slot_policy.standby_for has passed".to_owned())
}

/// Writes down what has come to its end, in the ledger alone.
pub(super) fn settle(case: &Case<'_>, release: Option<&Release>) -> Ruling {
    let Some(release) = release else { return Ruling::clear() };
    let finished = case.ledger().deployment.as_ref().is_some_and(|d| d.release == release.id);
    if finished {
        let act = Act::Finish { release: release.id.clone() };
        return Ruling::act(act, "it serves, and nginx says so", "the history has a line more");
    }
    baked(case, release).then(|| collect(case))
}

fn baked(case: &Case<'_>, release: &Release) -> Ruling {
    let Some(live) = case.live() else { return Ruling::clear() };
    let age = case.cutover().filter(|c| !c.settled).map(|c| case.now.at.since(c.at));
    let done = age.is_some_and(|age| age >= case.spec.slot_policy.bake) && case.answers(live);
    if !done {
        return Ruling::clear();
    }
    Ruling::act(Act::Settle { release: Some(release.id.clone()) }, "bake has passed", "it counts as good")
}

/// Releases that no slot and no way back needs.
fn collect(case: &Case<'_>) -> Ruling {
    let ledger = case.ledger();
    let keep = kept(case);
    let releases: Vec<_> = ledger.releases.keys().filter(|id| !keep.contains(id)).cloned().collect();
    if releases.is_empty() {
        return Ruling::clear();
    }
    let needed: Vec<&Digest> = keep
        .iter()
        .filter_map(|id| ledger.releases.get(id))
        .flat_map(|r| std::iter::once(&r.digest).chain(&r.env_file))
        .collect();
    let dropped = releases.iter().filter_map(|id| ledger.releases.get(id));
    let digests =
        dropped.flat_map(|r| std::iter::once(&r.digest).chain(&r.env_file)).filter(|d| !needed.contains(d)).cloned().collect();
    Ruling::act(
        Act::Collect { releases, digests },
        format!("the releases of the slots and {KEPT} more are kept"),
        "their jars are gone from the store",
    )
}

fn kept(case: &Case<'_>) -> Vec<ReleaseId> {
    let ledger = case.ledger();
    let mut keep: Vec<_> = ledger.slots.values().filter_map(|r| r.release.clone()).collect();
    keep.extend(case.wanted.as_ref().ok().map(|r| r.id.clone()));
    keep.extend(ledger.person.rollback.iter().flat_map(|r| [r.away.clone(), r.to.clone()]));
    let in_slots = keep.len();
    let recent = ledger.good.iter().rev().chain(ledger.releases.keys());
    for id in recent {
        if keep.len() >= in_slots + KEPT {
            break;
        }
        if !keep.contains(id) {
            keep.push(id.clone());
        }
    }
    keep
}
