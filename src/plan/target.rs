//! Which release should serve: what the manifest asks for, unless a person, a quarantine or the jar itself says otherwise.

use crate::model::desired::ServiceSpec;
use crate::model::id::{Digest, ReleaseId};
use crate::model::observed::{Observation, ObservedService};
use crate::model::release::Release;
use crate::model::status::Reason;
use crate::plan::facts::{Case, Standing};
use crate::plan::hold::Hold;
use crate::plan::pace;
use crate::plan::ruling::hold;
use crate::plan::way_back;

/// The release that should serve, and why it is not the one of the manifest.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) release: Option<Release>,
    pub(super) holds: Vec<Hold>,
}

/// Works the target out.
pub(super) fn target(case: &Case<'_>) -> Target {
    if case.standing != Standing::Wanted {
        return Target { release: staying(case), holds: Vec::new() };
    }
    match case.wanted {
        Err(hold) => unavailable(case, hold),
        Ok(wanted) => judged(case, wanted),
    }
}

/// The manifest's release cannot be had: what serves goes on, and where a person went back, the way back does. While it cannot be read
/// it may be one that nobody went back from.
fn unavailable(case: &Case<'_>, hold: &Hold) -> Target {
    let back = case.ledger().person.rollback.as_ref().filter(|_| !case.is_dark());
    let to = back.and_then(|back| reachable(case, &back.to)).cloned();
    let rolled_back = back.map(|back| rolled_back(case, case.label(&back.away)));
    Target { release: to.or_else(|| staying(case)), holds: [hold.clone()].into_iter().chain(rolled_back).collect() }
}

/// The release of the manifest.
pub(super) fn release_of(spec: &ServiceSpec, seen: &ObservedService) -> Result<Release, Hold> {
    let jar = &spec.jar;
    let fact = match &seen.jar {
        Observation::Known(fact) => fact,
        Observation::Absent => {
            let found = format!("{} is not there", jar.path.display());
            return Err(hold(Reason::ArtifactMissing, found, "put the jar there", pace::WORLD));
        }
        Observation::Unknown(why) => return Err(hold(Reason::ArtifactUnfit, why, "put a whole jar there", pace::WORLD)),
    };
    Ok(Release::new(&jar.version, fact.digest.clone(), spec.launch.clone(), env_file(spec, seen)?))
}

fn env_file(spec: &ServiceSpec, seen: &ObservedService) -> Result<Option<Digest>, Hold> {
    let Some(path) = &spec.launch.env_file else { return Ok(None) };
    let unfit = |why: String| hold(Reason::LaunchUnfit, why, "mend launch.env_file", pace::WORLD);
    match &seen.env_file {
        Observation::Known(digest) => Ok(Some(digest.clone())),
        Observation::Absent => Err(unfit(format!("env_file {} is not there", path.display()))),
        Observation::Unknown(why) => Err(unfit(why.clone())),
    }
}

/// What a person or a failure made of the wish.
fn judged(case: &Case<'_>, wanted: &Release) -> Target {
    let ledger = case.ledger();
    if let Some(back) = ledger.person.rollback.as_ref().filter(|r| r.away == wanted.id && ledger.releases.contains_key(&r.to)) {
        // A way back that failed too often is in quarantine like any other release.
        let to = reachable(case, &back.to).cloned().or_else(|| staying(case));
        return Target { release: to, holds: vec![rolled_back(case, &wanted.version)] };
    }
    if let Some(cause) = ledger.quarantine.get(&wanted.id) {
        return Target { release: staying(case), holds: vec![quarantined(case, wanted, cause)] };
    }
    let serves = case.live().and_then(|live| case.release(live)) == Some(&wanted.id);
    if let Some(hold) = way_back::refused(case, wanted).filter(|_| !serves) {
        return Target { release: staying(case), holds: vec![hold] };
    }
    if ledger.person.paused && !serves && !case.was_last(wanted) {
        return Target { release: staying(case), holds: vec![paused(case, wanted)] };
    }
    Target { release: Some(wanted.clone()), holds: Vec::new() }
}

fn rolled_back(case: &Case<'_>, away: &str) -> Hold {
    hold(
        Reason::RolledBack,
        format!("a person went back from {away}"),
        format!("ask for another release, or `slotd retry {}`", case.spec.name),
        pace::PERSON,
    )
}

fn quarantined(case: &Case<'_>, wanted: &Release, cause: &str) -> Hold {
    hold(
        Reason::Quarantined,
        format!("{} is not tried again: {cause}", wanted.version),
        format!("ask for another release, or `slotd retry {}`", case.spec.name),
        pace::PERSON,
    )
}

fn paused(case: &Case<'_>, wanted: &Release) -> Hold {
    hold(
        Reason::Paused,
        format!("{} is not deployed: a person paused deployments", wanted.version),
        format!("`slotd resume {}`", case.spec.name),
        pace::PERSON,
    )
}

/// What serves goes on serving: the release of the live slot, else the last good one. A process that serves well gives way to no
/// other release only because nobody remembers its own.
pub(super) fn staying(case: &Case<'_>) -> Option<Release> {
    let live = case.live();
    let serves = live.is_some_and(|live| case.process(live).is_some() && case.is_fit(live) && !case.has_failed(live));
    let here = live.and_then(|live| case.release(live)).and_then(|id| usable(case, id));
    here.or_else(|| last_good(case).filter(|_| !serves)).cloned()
}

/// The newest release that proved itself, is not in quarantine and may be gone back to.
pub(super) fn last_good<'a>(case: &Case<'a>) -> Option<&'a Release> {
    case.ledger().good.iter().rev().find_map(|id| reachable(case, id))
}

/// A usable release that is not behind one that is not safe to go back from.
pub(super) fn reachable<'a>(case: &Case<'a>, id: &ReleaseId) -> Option<&'a Release> {
    usable(case, id).filter(|_| case.barrier(Some(id)).is_none())
}

/// A release that is known and not in quarantine.
fn usable<'a>(case: &Case<'a>, id: &ReleaseId) -> Option<&'a Release> {
    let ledger = case.ledger();
    ledger.releases.get(id).filter(|_| !ledger.quarantine.contains_key(id))
}
