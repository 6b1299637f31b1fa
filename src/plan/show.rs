//! What people are shown of a service: its status, what differs, and how its slots and its route stand.

use crate::model::desired::Standby;
use crate::model::id::SlotName;
use crate::model::observed::Observation;
use crate::model::past::Past;
use crate::model::release::Release;
use crate::model::route::{Include, RouteForm};
use crate::model::status::{HoldKind, Status};
use crate::plan::boot;
use crate::plan::drift::Drift;
use crate::plan::facts::{Case, Standing};
use crate::plan::hold::Hold;
use crate::plan::lead;
use crate::plan::view::{Drain, RouteView, Running, SlotState, SlotView, View};
use crate::plan::way_back;

/// A process that is continued goes on where it was, and the world has not waited for it.
const FROZEN: &str = "slot_policy.standby is frozen: the old process does nothing until it is needed, and what others keep for it meanwhile \
                      (pooled connections, leases, sessions, locks) may have ended by then";

/// How the service stands.
pub(super) fn status(case: &Case<'_>, holds: &[Hold], pending: usize) -> Status {
    let answers = case.live().is_some_and(|live| case.answers(live) || (case.is_fit(live) && case.process(live).is_none()));
    if case.standing != Standing::Wanted {
        return Status::Orphaned;
    }
    match holds.iter().map(Hold::kind).max().or((pending > 0).then_some(HoldKind::Progress)) {
        Some(HoldKind::Progress) => Status::Progressing,
        Some(HoldKind::Person | HoldKind::World) if answers || case.ledger().person.down => Status::Held,
        None if answers => Status::Converged,
        Some(HoldKind::Person | HoldKind::World) | None => Status::Degraded,
    }
}

/// Everything that `status` shows.
pub(super) fn view(case: &Case<'_>) -> View {
    let wanted = (case.standing == Standing::Wanted).then(|| case.wanted.as_ref().ok()).flatten();
    View {
        desired: wanted.map(running),
        desired_version: (case.standing == Standing::Wanted).then(|| case.spec.jar.version.clone()),
        live: case.live().cloned(),
        slots: case.places().into_iter().filter_map(|slot| slot_view(case, slot)).collect(),
        route: route(case),
        drain: drain(case),
        rollback: way_back::rollback(case),
        past: Past::default(),
    }
}

fn running(release: &Release) -> Running {
    Running { version: release.version.clone(), sha256: Some(release.digest.clone()), release: Some(release.id.clone()) }
}

fn slot_view(case: &Case<'_>, slot: &SlotName) -> Option<SlotView> {
    let seen = case.slot(slot)?;
    let process = case.process(slot);
    Some(SlotView {
        slot: slot.clone(),
        port: seen.port,
        state: state(case, slot),
        pid: process.map(|p| p.identity.pid),
        running: process.and_then(|_| runs(case, slot)),
        ready: process.and_then(|_| seen.probe.known()).map(|_| case.answers(slot)),
    })
}

fn runs(case: &Case<'_>, slot: &SlotName) -> Option<Running> {
    let record = case.record(slot)?;
    let known = record.release.as_ref().and_then(|id| case.ledger().releases.get(id));
    Some(known.map_or_else(
        || Running { version: record.version.clone(), sha256: None, release: record.release.clone() },
        |r| Running { version: record.version.clone(), ..running(r) },
    ))
}

fn state(case: &Case<'_>, slot: &SlotName) -> SlotState {
    let Some(seen) = case.slot(slot) else { return SlotState::Unknown };
    match &seen.process {
        Observation::Unknown(_) => SlotState::Unknown,
        Observation::Known(_) if case.is_stopping(slot) => SlotState::Stopping,
        Observation::Known(_) if case.live() == Some(slot) => SlotState::Live,
        Observation::Known(_) if case.record(slot).is_some_and(|r| !r.served) => SlotState::Candidate,
        Observation::Known(process) if process.frozen => SlotState::Frozen,
        Observation::Known(_) if drains(case, slot) => SlotState::Draining,
        Observation::Known(_) => SlotState::Standby,
        Observation::Absent => match &seen.occupants {
            Observation::Known(others) if others.is_empty() => SlotState::Empty,
            Observation::Known(_) => SlotState::Occupied,
            Observation::Absent => SlotState::Empty,
            Observation::Unknown(_) => SlotState::Unknown,
        },
    }
}

/// One look cannot see a quiet second; for people a slot drains until its time is over and nothing is open.
fn drains(case: &Case<'_>, slot: &SlotName) -> bool {
    let left = case.left(slot).map(|at| case.now.at.since(at));
    let open = case.slot(slot).and_then(|s| s.traffic.known()).is_some_and(|t| t.open > 0);
    left.is_some_and(|elapsed| elapsed < case.spec.slot_policy.drain || open)
}

/// What the slot has that drains, of several the one that was left last.
fn drain(case: &Case<'_>) -> Option<Drain> {
    let all = case.places().into_iter().filter(|slot| state(case, slot) == SlotState::Draining);
    let slot = all.max_by_key(|slot| case.left(slot))?;
    let traffic = case.slot(slot)?.traffic.known()?;
    Some(Drain { slot: slot.clone(), open: traffic.open, longest: traffic.longest.clone() })
}

fn route(case: &Case<'_>) -> RouteView {
    let seen = &case.seen.route;
    let whys = [
        seen.include.unknown().map(|why| format!("include: {why}")),
        seen.nginx.unknown().map(|why| format!("nginx: {why}")),
        seen.loaded.unknown().map(|why| format!("loaded: {why}")),
        seen.proxied.unknown().map(|why| format!("proxied: {why}")),
    ];
    RouteView {
        include: case.on_disk().cloned(),
        loaded: case.loaded().cloned(),
        proxied: case.proxied().cloned(),
        unknown: whys.into_iter().flatten().collect(),
    }
}

/// What differs between the manifest and the host.
pub(super) fn drift(case: &Case<'_>) -> Vec<Drift> {
    if case.standing != Standing::Wanted {
        return vec![differs("service", "not in the manifest", "known", "the state folder has a ledger of it")];
    }
    release_drift(case).into_iter().chain(include_drift(case)).chain(slot_drift(case)).collect()
}

fn differs(path: &str, desired: impl Into<String>, observed: impl Into<String>, evidence: impl Into<String>) -> Drift {
    Drift { path: path.to_owned(), desired: desired.into(), observed: observed.into(), evidence: evidence.into() }
}

fn release_drift(case: &Case<'_>) -> Option<Drift> {
    let wanted = case.wanted.as_ref().ok()?;
    let live = case.live();
    let here = live.and_then(|l| runs(case, l));
    let label = |version: &str, id: &str| format!("{version} ({id})");
    let desired = label(&wanted.version, wanted.id.as_str());
    let Some(running) = here.filter(|_| live.is_some_and(|l| case.process(l).is_some())) else {
        let found = live.map_or("no route".to_owned(), |l| format!("nothing of ours on {l}"));
        return Some(differs("release", desired, found, evidence(case)));
    };
    let id = running.release.as_ref().map_or("started by others", |r| r.as_str());
    let same = running.release.as_ref() == Some(&wanted.id) && running.version == wanted.version;
    (!same).then(|| differs("release", desired, label(&running.version, id), evidence(case)))
}

/// Which witnesses say which slot is live.
fn evidence(case: &Case<'_>) -> String {
    let say = |slot: Option<&SlotName>| slot.map_or_else(|| "unknown".to_owned(), ToString::to_string);
    let pid = case.live_identity().map_or_else(|| "no process".to_owned(), |i| format!("pid {}", i.pid));
    format!("include {}, loaded {}, proxied {}; {pid}", say(case.on_disk()), say(case.loaded()), say(case.proxied()))
}

fn include_drift(case: &Case<'_>) -> Option<Drift> {
    let path = lead::route_files(&case.spec.proxy);
    let wanted = match case.form() {
        RouteForm::Flag => "flag form",
        RouteForm::Pool => "flag form with pools",
        RouteForm::Static => "one static line",
    };
    let found = match &case.seen.route.include {
        Observation::Known(Include::Ours(text)) if text.form == case.form() => return None,
        Observation::Known(Include::Ours(_)) => "the other form".to_owned(),
        Observation::Known(Include::Plain(target)) => format!("one line of the old scripts, to port {}", target.port),
        Observation::Known(Include::Elsewhere { state }) => format!("written by the slotd of {state}"),
        Observation::Known(Include::Edited { .. }) => "edited by hand".to_owned(),
        Observation::Absent => "no such file".to_owned(),
        Observation::Unknown(why) => why.clone(),
    };
    Some(differs("proxy.include", wanted, found, path))
}

/// Slots whose process listens elsewhere than the manifest says.
fn slot_drift(case: &Case<'_>) -> Vec<Drift> {
    let moved = |slot: &&SlotName| case.process(slot).is_some() && !case.is_in_place(slot);
    let drift = |slot: &SlotName| {
        let wanted = case.spec.port_of(slot).map_or("not in the manifest".to_owned(), |p| p.to_string());
        let found = case.record(slot).map_or_else(String::new, |r| r.port.to_string());
        differs(&format!("slots.{slot}.port"), wanted, found, "the port that its process was started with")
    };
    case.places().into_iter().filter(moved).map(drift).collect()
}

/// What a person should know besides.
pub(super) fn notes(case: &Case<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(changed) = case.seen.jar.known().and_then(|jar| jar.changed.as_ref()) {
        let path = case.spec.jar.path.display();
        notes.push(format!(
            "artifact_changed: {path} holds other bytes now (sha256 {}); they deploy nothing until jar.version changes",
            changed.short()
        ));
    }
    let wanted = case.wanted.as_ref().ok();
    notes.extend(wanted.and_then(|release| boot::shortfall(case, release)));
    if case.standing == Standing::Wanted && case.spec.slot_policy.standby == Standby::Frozen {
        notes.push(FROZEN.to_owned());
    }
    notes.extend(way_back::note(case, &way_back::rollback(case)));
    for slot in case.places() {
        let record = case.record(slot).filter(|r| r.evidence.is_some());
        notes.extend(record.and_then(|r| r.evidence.as_ref()).map(|why| format!("{slot} was taken over: {why}")));
    }
    notes
}
