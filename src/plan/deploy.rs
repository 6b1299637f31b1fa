//! Bringing the target release to the traffic: install, start on an idle slot, wait, cut over.

use std::time::Duration;

use crate::model::desired::Promote;
use crate::model::id::{ReleaseId, SlotName};
use crate::model::ledger::FailureKind;
use crate::model::observed::ObservedSlot;
use crate::model::release::Release;
use crate::model::status::{HoldKind, Reason};
use crate::model::wake::Wake;
use crate::plan::boot;
use crate::plan::conflict;
use crate::plan::facts::{BAD_ANSWERS, Case};
use crate::plan::freeze;
use crate::plan::heal;
use crate::plan::hold::Hold;
use crate::plan::lead;
use crate::plan::pace;
use crate::plan::ruling::{Ruling, hold};
use crate::plan::safety;
use crate::plan::step::{Act, Fate};
use crate::plan::target;

/// The kernel needs a moment to take a large process apart; only a process that is there for longer has outlived KILL.
const KILL_TAKES: Duration = Duration::from_secs(5);

/// Whether the release serves, from a process that may go on, where the manifest wants it.
pub(super) fn serves(case: &Case<'_>, release: &Release) -> bool {
    case.live().is_some_and(|live| {
        case.process(live).is_some()
            && case.is_fit(live)
            && case.release(live) == Some(&release.id)
            && case.is_in_place(live)
            && !is_to_be_replaced(case)
    })
}

/// A person asked for the same release on the other slot.
fn is_to_be_replaced(case: &Case<'_>) -> bool {
    let order = case.ledger().person.restart.as_ref();
    order.is_some() && order == case.live_identity()
}

/// The next thing to do so that the release serves and the route says so. Clear: it does.
pub(super) fn deploy(case: &Case<'_>, release: &Release) -> Ruling {
    if serves(case, release) {
        return remember(case, release).then(|| case.live().map_or_else(Ruling::clear, |live| lead::lead(case, live)));
    }
    if let Some(hold) = lead::untouchable(case) {
        return Ruling::block(hold);
    }
    match candidate(case, &release.id) {
        Some(slot) if case.is_ready(slot) => {
            let gate = gate(case, slot, release);
            // A person is waited for: until then the route is kept true to what serves.
            if gate.is_final() { route_first(case).then(|| gate) } else { lead::lead(case, slot) }
        }
        Some(slot) if case.is_frozen(slot) => freeze::thaw(case, slot, format!("{} is asked for", release.version)),
        Some(slot) => wait(case, slot, release),
        None => unseen(case, &release.id).map_or_else(|| prepare(case, release), Ruling::block),
    }
}

/// An idle slot that may run the release already, were it readable.
fn unseen(case: &Case<'_>, release: &ReleaseId) -> Option<Hold> {
    let meant = |slot: &&SlotName| case.live() != Some(slot) && case.release(slot) == Some(release);
    case.places().into_iter().filter(meant).find_map(|slot| unreadable(case, slot))
}

fn unreadable(case: &Case<'_>, slot: &SlotName) -> Option<Hold> {
    let seen = case.slot(slot)?;
    let why = seen.process.unknown().or(seen.occupants.unknown())?;
    Some(hold(Reason::ProcessUnknown, format!("{slot}: {why}"), "let slotd read it", pace::WORLD))
}

/// What serves has to be known to be started again; a lost ledger does not have it.
fn remember(case: &Case<'_>, release: &Release) -> Ruling {
    if case.ledger().releases.contains_key(&release.id) { Ruling::clear() } else { install(case, release) }
}

/// An idle slot that runs the release: one that is ready before one that is not.
fn candidate<'a>(case: &Case<'a>, release: &ReleaseId) -> Option<&'a SlotName> {
    let usable = |slot: &&SlotName| {
        case.live() != Some(slot)
            && case.process(slot).is_some()
            && case.release(slot) == Some(release)
            && case.is_in_place(slot)
            && !case.is_stopping(slot)
            && case.record(slot).is_some_and(|r| r.condemned.is_none())
    };
    let all: Vec<_> = case.places().into_iter().filter(usable).collect();
    all.iter().find(|slot| case.is_ready(slot)).or_else(|| all.first()).copied()
}

/// `promote: manual` holds a ready candidate while another release serves: a restart brings nothing new.
fn gate(case: &Case<'_>, slot: &SlotName, release: &Release) -> Ruling {
    let ledger = case.ledger();
    let back = ledger.person.rollback.as_ref().is_some_and(|r| r.to == release.id);
    let promoted = ledger.person.promoted.as_ref() == Some(&release.id);
    // Somebody else on the live slot's port serves only if the proxy says so.
    let served =
        case.live().is_some_and(|live| case.is_fit(live) && (case.process(live).is_some() || case.proxied() == Some(live)));
    let same = case.live().and_then(|live| case.release(live)) == Some(&release.id) || case.was_last(release);
    if case.spec.slot_policy.promote == Promote::Auto || back || promoted || !served || same {
        return Ruling::clear();
    }
    Ruling::block(hold(
        Reason::AwaitingPromotion,
        format!("{} is ready on {slot}", release.version),
        format!("`slotd promote {}`", case.spec.name),
        pace::PERSON,
    ))
}

/// A candidate that is not ready: until its deadline it is waited for, then it has failed.
fn wait(case: &Case<'_>, slot: &SlotName, release: &Release) -> Ruling {
    let started = case.record(slot).and_then(|r| case.since(&r.boot, r.since)).unwrap_or_default();
    // One that was stopped in place has as long again, from when it goes on.
    let age = case.thawed(slot).map_or(started, |thawed| thawed.min(started));
    // One that has begun to answer, or could not be asked, while its deadline passed has not failed.
    if age < case.spec.health.deadline || case.bad(slot) == 0 {
        return Ruling::block(heal::starting(case, slot, age));
    }
    if is_long_ready(case, slot) && case.bad(slot) < BAD_ANSWERS {
        return Ruling::block(heal::confirming(case, slot));
    }
    let cause = format!("not ready {} s after its start: {}", case.spec.health.deadline.as_secs(), heal::said(case, slot));
    let act = Act::RecordFailure {
        slot: slot.clone(),
        release: release.id.clone(),
        failure: FailureKind::Start,
        fate: Fate::Condemned,
        cause,
    };
    Ruling::act(act, "the deadline has passed", format!("{slot} is to be stopped"))
}

/// Whether it may have been ready for long, as a standby or while a person was waited for: then one bad answer is no more than it is
/// of a live slot.
fn is_long_ready(case: &Case<'_>, slot: &SlotName) -> bool {
    case.spec.slot_policy.promote == Promote::Manual || case.record(slot).is_some_and(|record| record.served)
}

/// Nothing runs the release yet.
fn prepare(case: &Case<'_>, release: &Release) -> Ruling {
    install(case, release)
        .then(|| boot::unpack(case, release))
        .then(|| launchable(case))
        .then(|| route_first(case))
        .then(|| attempt(case, release))
}

pub(super) fn install(case: &Case<'_>, release: &Release) -> Ruling {
    let stored = |digest| case.seen.stored.contains(digest);
    let known = case.ledger().releases.contains_key(&release.id);
    if known && stored(&release.digest) && release.env_file.as_ref().is_none_or(stored) {
        return Ruling::clear();
    }
    let source = case.seen.jar.known().is_some_and(|jar| jar.digest == release.digest && jar.changed.is_none());
    if !source && !stored(&release.digest) {
        let lost =
            format!("the jar of {} (sha256 {}) is neither stored nor at its path", release.version, release.digest.short());
        return Ruling::block(hold(
            Reason::ArtifactMissing,
            lost,
            "put those bytes there, or give the new ones a version",
            pace::WORLD,
        ));
    }
    Ruling::act(
        Act::Install { release: release.clone() },
        format!("{} is not in the store", release.version),
        "the jar lies in the store under its digest",
    )
}

fn launchable(case: &Case<'_>) -> Ruling {
    match &case.seen.launch_fault {
        Some(fault) => Ruling::block(hold(Reason::LaunchUnfit, fault, "mend `launch` in the manifest", pace::WORLD)),
        None => Ruling::clear(),
    }
}

/// The include is written before nginx is asked anything; its flag form is loaded where the traffic is, before anything is started.
/// What only stands in the way of the cutover does not stand in the way of a start.
fn route_first(case: &Case<'_>) -> Ruling {
    let first = case.spec.slots.first().map(|s| &s.name);
    let ruling = match (case.live(), first) {
        (None, Some(first)) if case.seen.route.include.is_absent() => lead::write(case, first),
        (Some(live), _) if may_be_led(case, live) && case.answers(live) && must_see(case) => lead::lead(case, live),
        (Some(_) | None, _) => lead::reloading(case),
    };
    let waits = ruling.holds.iter().any(|h| h.kind() == HoldKind::Progress);
    if ruling.step.is_some() || waits { ruling } else { Ruling::clear() }
}

/// Whether the include may be written for what serves: a place that no manifest names keeps the line that it came with, unless a text of
/// ours stands there, which nginx has not loaded and which led to a release that nobody asks for any more.
fn may_be_led(case: &Case<'_>, live: &SlotName) -> bool {
    case.spec.port_of(live).is_some() || case.text().is_some()
}

/// Whether the route has to be put right before a slot is touched: for the flag form, because no witness but the file speaks, or
/// because nginx does not run the file as it is, so that the next reload of anybody could move the traffic.
fn must_see(case: &Case<'_>) -> bool {
    let strays = case.on_disk().is_some() && case.on_disk() != case.live();
    let loaded = case.seen.route.loaded.known().map(|l| l.generation);
    let unloaded = case.text().zip(loaded).is_some_and(|(text, loaded)| text.generation != loaded);
    strays || unloaded || case.form().has_flags() || (case.loaded().is_none() && case.proxied().is_none())
}

/// A pause puts off a start, and the stop that makes room for it; what stands in the way of both is said at once.
fn attempt(case: &Case<'_>, release: &Release) -> Ruling {
    let (pause, place) = (attempts(case, release), place(case, release));
    if pause.step.is_none() && place.step.is_none() && !place.holds.is_empty() { place } else { pause.then(|| place) }
}

/// Too many failed starts: quarantine if something else serves or could be started instead, a growing pause otherwise.
fn attempts(case: &Case<'_>, release: &Release) -> Ruling {
    let serves = case.live().is_some_and(|live| case.is_fit(live));
    let other = |known: &Release| known.id != release.id;
    let spare = serves || target::staying(case).as_ref().is_some_and(other) || target::last_good(case).is_some_and(other);
    if spare && case.is_exhausted(&release.id, &[FailureKind::Start]) {
        let starts = case.failures(&release.id, &[FailureKind::Start]);
        let cause = starts.last().map_or_else(String::new, |f| f.why.clone());
        return Ruling::act(
            Act::Quarantine { release: release.id.clone(), cause },
            format!("{} failed starts", starts.len()),
            "it is not started again by itself",
        );
    }
    let all = case.failures(&release.id, &[FailureKind::Start, FailureKind::World, FailureKind::Crash]);
    let rest = pace::remaining(&all, 0, case.now.at);
    if rest.is_zero() { Ruling::clear() } else { Ruling::block(heal::backing_off(release, all.len(), rest)) }
}

/// Starts on the first slot that is free; else makes one free; else says what stands in the way, the nearest to its end first.
fn place(case: &Case<'_>, release: &Release) -> Ruling {
    let idle: Vec<_> = case.spec.slots.iter().map(|s| &s.name).filter(|slot| is_open_to_start(case, slot)).collect();
    if let Some(slot) = idle.iter().find(|slot| is_free(case, slot)) {
        return memory(case).then(|| start(case, slot, release));
    }
    // One that cannot be read may be free, and then no other one would have to be stopped.
    if let Some(hold) = idle.iter().find_map(|slot| unreadable(case, slot)) {
        return Ruling::block(hold);
    }
    let mut rulings: Vec<_> = idle.iter().map(|slot| make_free(case, slot)).collect();
    // A slot that is being made free already needs no second one to be stopped.
    let ends = |r: &Ruling| r.holds.iter().any(|hold| hold.reason == Reason::Stopping);
    rulings.sort_by_key(|r| (!ends(r), r.step.is_none(), r.holds.first().map(Hold::kind)));
    rulings.into_iter().next().unwrap_or_else(|| astray(case))
}

/// No slot is left but one that the include leads to although another one serves.
fn astray(case: &Case<'_>) -> Ruling {
    let (Some(live), Some(slot)) = (case.live(), case.on_disk()) else { return Ruling::clear() };
    match case.process(slot) {
        _any if slot == live => Ruling::clear(),
        Some(_) => make_free(case, slot),
        None => Ruling::block(contradiction(case, live, slot)),
    }
}

/// Every slot but the one that serves, and the one that the include leads to although another one does; a live slot without a process is
/// the best place of all.
fn is_open_to_start(case: &Case<'_>, slot: &SlotName) -> bool {
    let strays = case.on_disk() == Some(slot) && case.live().is_some_and(|live| case.is_fit(live));
    if case.live() == Some(slot) { is_free(case, slot) && case.process(slot).is_none() } else { !strays }
}

/// Nothing runs there, nobody holds its port, and no process of another slot is about to.
fn is_free(case: &Case<'_>, slot: &SlotName) -> bool {
    let nobody = |s: &ObservedSlot| s.process.is_absent() && s.occupants.unknown().is_none();
    let promised = case.start_port(slot).and_then(|port| case.holder(port));
    case.slot(slot).is_some_and(nobody) && case.occupants(slot).is_empty() && promised.is_none()
}

fn start(case: &Case<'_>, slot: &SlotName, release: &Release) -> Ruling {
    let Some(port) = case.spec.port_of(slot) else { return Ruling::clear() };
    let act = Act::Start {
        slot: slot.clone(),
        port,
        release: release.id.clone(),
        version: release.version.clone(),
        serves: case.live() == Some(slot),
        boot: boot::form(case, release),
    };
    Ruling::act(act, why_start(case, release), format!("{slot} answers on port {port}, from a socket of its own process"))
}

fn why_start(case: &Case<'_>, release: &Release) -> String {
    let serving = case.live().and_then(|live| case.record(live)).map(|r| r.version.as_str());
    match serving {
        Some(version) => format!("{} is asked for, {version} serves", release.version),
        None => format!("{} is asked for, nothing of ours serves", release.version),
    }
}

/// A second process needs about what the first one has.
fn memory(case: &Case<'_>) -> Ruling {
    let need = case.live().and_then(|live| case.process(live)).map_or(0, |p| p.resident);
    match case.memory.known() {
        Some(free) if *free < need => Ruling::block(hold(
            Reason::LowMemory,
            format!("{} MiB are free, the live process has {} MiB", free >> 20, need >> 20),
            "free memory, or add swap",
            pace::WORLD,
        )),
        Some(_) | None => Ruling::clear(),
    }
}

/// Makes an idle slot free, or says why not.
fn make_free(case: &Case<'_>, slot: &SlotName) -> Ruling {
    match case.process(slot) {
        Some(_) if is_in_vain(case, slot) => Ruling::block(lead::port_is_anothers(case, slot, "on which the live slot serves")),
        Some(_) if !case.is_stopping(slot) => spared(case, slot).unwrap_or_else(|| stop(case, slot, format!("{slot} is needed"))),
        Some(_) | None => in_the_way(case, slot).map_or_else(Ruling::clear, Ruling::block),
    }
}

/// A candidate of the manifest's release, were its jar only readable, gives way to nothing else: until its deadline it is waited for,
/// and what is ready already is what a person or the jar will decide about.
fn spared(case: &Case<'_>, slot: &SlotName) -> Option<Ruling> {
    let record = case.record(slot).filter(|r| r.condemned.is_none() && case.may_be_asked_for(r))?;
    let age = case.since(&record.boot, record.since).unwrap_or_default();
    match () {
        () if case.is_ready(slot) => Some(Ruling::clear()),
        () if age < case.spec.health.deadline => Some(Ruling::block(heal::starting(case, slot, age))),
        () => None,
    }
}

/// Why nothing can be started on a slot now.
pub(super) fn in_the_way(case: &Case<'_>, slot: &SlotName) -> Option<Hold> {
    if let Some(hold) = unreadable(case, slot) {
        return Some(hold);
    }
    if case.process(slot).is_some() {
        return Some(ending(case, slot));
    }
    (!is_free(case, slot)).then(|| conflict::port_taken(case, slot))
}

/// Stops an idle slot, or says why that would not be safe.
pub(super) fn stop(case: &Case<'_>, slot: &SlotName, why: String) -> Ruling {
    let Some(process) = case.process(slot) else { return Ruling::clear() };
    if let Some(live) = case.loaded().filter(|live| *live != slot && case.on_disk() == Some(slot)) {
        // Only the file leads there: it says again what nginx does, unless it has the one of the two that answers.
        let better = case.answers(slot) && !case.answers(live);
        let write = if better { Ruling::clear() } else { lead::write(case, live) };
        return write.then(|| Ruling::block(contradiction(case, live, slot)));
    }
    if let Some(hold) = safety::unsafe_to_stop(case, slot) {
        return Ruling::block(hold);
    }
    let act = Act::Stop { slot: slot.clone(), process: process.identity.clone(), cut: safety::cut(case, slot) };
    Ruling::act(act, why, format!("process {} has ended", process.identity.pid))
}

/// The include on disk is the one that nginx has loaded, and nginx follows other flags than stand there: it looks at them with a delay
/// (`open_file_cache`), or they were changed this very moment.
fn contradiction(case: &Case<'_>, live: &SlotName, slot: &SlotName) -> Hold {
    let include = case.spec.proxy.include.display();
    let detail = format!("{include} with its flags leads to {slot}, and users are known to reach {live}");
    hold(Reason::RouteSplit, detail, "nginx and the flags agree (open_file_cache?)", pace::WORLD)
}

/// Whether stopping an idle slot would be in vain, because the live one has the port that it is to get.
pub(super) fn is_in_vain(case: &Case<'_>, slot: &SlotName) -> bool {
    let holder = case.spec.port_of(slot).and_then(|port| case.holder(port));
    holder.is_some_and(|holder| holder != slot && case.live() == Some(holder))
}

/// A process that was told to end: one that has outlived KILL is nobody's to wait for.
pub(super) fn ending(case: &Case<'_>, slot: &SlotName) -> Hold {
    let killed = case.record(slot).and_then(|r| Some((r, r.killing?)));
    if killed.is_none_or(|(r, at)| case.since(&r.boot, at).unwrap_or_default() < KILL_TAKES) {
        return stopping(case, slot);
    }
    let pid = case.process(slot).map_or(0, |p| p.identity.pid);
    hold(
        Reason::NotStopped,
        format!("{slot} (pid {pid}) outlived KILL"),
        "the kernel lets it go (a process in uninterruptible sleep)",
        pace::WORLD,
    )
}

fn stopping(case: &Case<'_>, slot: &SlotName) -> Hold {
    let process = case.process(slot).map(|p| p.identity.clone());
    let timeout = case.spec.launch.stop_timeout;
    let elapsed = case.record(slot).and_then(|r| Some((r, r.stopping?))).and_then(|(r, at)| case.since(&r.boot, at));
    Hold {
        reason: Reason::Stopping,
        detail: format!("{slot} (pid {}) was told to end", process.as_ref().map_or(0, |p| p.pid)),
        until: format!("it ends; after {} s it is killed", timeout.as_secs()),
        again: timeout.saturating_sub(elapsed.unwrap_or_default()).max(Duration::from_millis(100)),
        wakes: process.map(Wake::Exit).into_iter().collect(),
    }
}
