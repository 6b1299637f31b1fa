//! What a step writes into the history: a line for each deployment that came to its end, and for what went wrong afterwards.

use std::time::Duration;

use crate::execute::Scene;
use crate::host::Host;
use crate::host::ledgers::{Cut, HistoryLine, LedgerError, Outcome};
use crate::model::id::{ServiceName, SlotName};
use crate::model::ledger::{Deployment, Ledger};
use crate::plan::record::Prepared;
use crate::plan::step::Act;

/// A line for what came to its end by this step.
pub(super) fn write<H: Host>(
    host: &H,
    scene: &Scene<'_>,
    act: &Act,
    before: &Ledger,
    after: &Ledger,
    with: &Prepared,
) -> Result<(), LedgerError> {
    let ended = ended(before, after);
    if let Some(line) = afterwards(scene, act, before, ended.is_some(), with) {
        return host.append(&scene.spec.name, &line);
    }
    let Some(ended) = ended else { return Ok(()) };
    let back = before.person.rollback.as_ref().is_some_and(|back| back.to == ended.release);
    let (outcome, why) = if let Act::Quarantine { cause, .. } = act {
        (Outcome::Quarantined, Some(cause.clone()))
    } else if !matches!(act, Act::Finish { .. }) {
        (Outcome::Superseded, None)
    } else {
        (if back { Outcome::RolledBack } else { Outcome::Deployed }, None)
    };
    host.append(&scene.spec.name, &finished(ended, outcome, why, with.now.wall))
}

/// A line for the deployment that a person's decision, taken at this time of the wall clock, has put an end to.
///
/// # Errors
/// When the history cannot be written.
pub fn decided<H: Host>(host: &H, name: &ServiceName, before: &Ledger, after: &Ledger, wall: i64) -> Result<(), LedgerError> {
    let line = ended(before, after).map(|ended| finished(ended, Outcome::Superseded, None, wall));
    line.map_or(Ok(()), |line| host.append(name, &line))
}

/// The deployment that was under way and is not any more.
fn ended<'a>(before: &'a Ledger, after: &Ledger) -> Option<&'a Deployment> {
    before.deployment.as_ref().filter(|d| after.deployment.as_ref().is_none_or(|now| now.release != d.release))
}

/// A line about a deployment that has its own line already: it went back later, or its predecessor was not stopped cleanly.
fn afterwards(scene: &Scene<'_>, act: &Act, before: &Ledger, ends_a_deployment: bool, with: &Prepared) -> Option<HistoryLine> {
    if let Act::Quarantine { release, cause } = act
        && !ends_a_deployment
    {
        let version = before.releases.get(release).map_or_else(|| release.to_string(), |r| r.version.clone());
        return Some(plain(&version, release.as_str(), "", Outcome::Reverted, cause.clone(), with));
    }
    if let Act::Stop { slot, cut, .. } | Act::Freeze { slot, cut, .. } = act
        && *cut > 0
    {
        let version = before.slots.get(slot).map_or("unknown", |r| r.version.as_str());
        let oldest = oldest(scene, slot);
        let age = oldest.map_or_else(String::new, |age| format!(", the oldest open for {} s at least", age.as_secs()));
        let why = format!("the drain deadline cut {cut} open connections{age}");
        let line = plain(version, "", slot.as_str(), Outcome::NotClean, why, with);
        let cut = Cut { connections: *cut, oldest_ms: oldest.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)) };
        return Some(HistoryLine { cut: Some(cut), ..line });
    }
    None
}

/// How long the oldest connection of a slot has been open at least.
fn oldest(scene: &Scene<'_>, slot: &SlotName) -> Option<Duration> {
    let traffic = scene.seen.slots.get(slot)?.traffic.known()?;
    traffic.longest.first().map(|connection| connection.age)
}

/// The line of a deployment, with the time of each phase.
fn finished(ended: &Deployment, outcome: Outcome, why: Option<String>, ended_at: i64) -> HistoryLine {
    let phases = ended.phases.windows(2).map(|pair| {
        let (name, at) = &pair[1];
        (name.clone(), u64::try_from(at.since(pair[0].1).as_millis()).unwrap_or(u64::MAX))
    });
    HistoryLine {
        began: ended.began,
        ended: ended_at,
        version: ended.version.clone(),
        release: ended.release.to_string(),
        slot: ended.slot.as_ref().map_or_else(String::new, ToString::to_string),
        outcome,
        phases: phases.collect(),
        why,
        cut: None,
    }
}

fn plain(version: &str, release: &str, slot: &str, outcome: Outcome, why: String, with: &Prepared) -> HistoryLine {
    HistoryLine {
        began: with.now.wall,
        ended: with.now.wall,
        version: version.to_owned(),
        release: release.to_owned(),
        slot: slot.to_owned(),
        outcome,
        phases: Vec::new(),
        why: Some(why),
        cut: None,
    }
}
