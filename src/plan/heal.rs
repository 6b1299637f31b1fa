//! The live slot must serve: back to the standby, or the release started again.

use std::time::Duration;

use crate::model::desired::{HealthSpec, OnCrash};
use crate::model::id::SlotName;
use crate::model::ledger::{FailureKind, SlotRecord};
use crate::model::observed::{Answer, Observation};
use crate::model::release::Release;
use crate::model::status::Reason;
use crate::model::wake::Wake;
use crate::plan::boot;
use crate::plan::deploy;
use crate::plan::facts::{BAD_ANSWERS, Case};
use crate::plan::freeze;
use crate::plan::hold::Hold;
use crate::plan::lead;
use crate::plan::pace;
use crate::plan::ruling::{Ruling, hold};
use crate::plan::step::Act;
use crate::plan::target;
use crate::plan::way_back;

/// What a release fails by itself, as it starts or later.
const OWN: [FailureKind; 2] = [FailureKind::Crash, FailureKind::Start];

/// What the live slot needs before anything else is thought of. A release that has failed here before holds up no other one.
pub(super) fn heal(case: &Case<'_>, target: Option<&Release>) -> Ruling {
    let ruling = needed(case);
    let waits = ruling.holds.iter().any(|h| matches!(h.reason, Reason::BackingOff | Reason::Starting));
    let blocks = ruling.blocks && !(waits && is_given_up(case, target)) && !(is_suspected(&ruling) && is_another(case, target));
    Ruling { blocks, ..ruling }
}

/// Whether the health settings are doubted: that keeps the live process from being judged, and no other release from being tried.
fn is_suspected(ruling: &Ruling) -> bool {
    ruling.holds.iter().any(|h| h.reason == Reason::ProbeSuspect)
}

fn is_another(case: &Case<'_>, target: Option<&Release>) -> bool {
    target.is_some_and(|target| case.live().and_then(|live| case.release(live)) != Some(&target.id))
}

/// Whether the live slot's release fails again and again while another one is asked for.
fn is_given_up(case: &Case<'_>, target: Option<&Release>) -> bool {
    let release = case.live().and_then(|live| case.release(live));
    let (Some(release), Some(target)) = (release, target) else { return false };
    *release != target.id && !case.failures(release, &OWN).is_empty()
}

fn needed(case: &Case<'_>) -> Ruling {
    let Some(live) = case.live() else { return Ruling::clear() };
    let Some(slot) = case.slot(live) else { return Ruling::clear() };
    match (&slot.process, &slot.occupants) {
        (Observation::Unknown(why), _) | (Observation::Absent, Observation::Unknown(why)) => Ruling::block(unknown(live, why)),
        (Observation::Known(_), _) if case.is_stopping(live) => dead(case, live),
        (Observation::Known(_), _) => alive(case, live),
        // Somebody else is on its port, so nothing can be started there; another slot can take the traffic.
        (Observation::Absent, Observation::Known(others)) if !others.is_empty() => match case.resorts(live).first() {
            Some(to) => go_over(case, live, to, &format!("{live} is dead, and its port is taken")),
            None => freeze::wake(case, live).then(|| barred(case, live)),
        },
        (Observation::Absent, Observation::Known(_) | Observation::Absent) => dead(case, live),
    }
}

/// What is ready, and not gone back to: the failed release alone can be helped.
fn barred(case: &Case<'_>, live: &SlotName) -> Ruling {
    way_back::barred(case, live).map_or_else(Ruling::clear, Ruling::note)
}

fn unknown(slot: &SlotName, why: &str) -> Hold {
    hold(Reason::ProcessUnknown, format!("what runs on {slot} cannot be read: {why}"), "let slotd read it", pace::WORLD)
}

/// The process is there; does it answer?
fn alive(case: &Case<'_>, live: &SlotName) -> Ruling {
    if case.is_frozen(live) {
        return freeze::thaw(case, live, "it is live");
    }
    let waits = if is_being_deployed(case, live) { !case.is_ready(live) } else { !case.answers(live) };
    if let Some(why) = case.slot(live).and_then(|slot| slot.probe.unknown()) {
        return Ruling::block(unknown(live, why));
    }
    if !waits || (case.good(live) == 0 && case.bad(live) == 0) {
        return if case.answers(live) && is_misled(case, live) { lead::lead(case, live) } else { Ruling::clear() };
    }
    if let Some(hold) = still_starting(case, live) {
        return Ruling::block(hold);
    }
    if case.answers(live) {
        return Ruling::clear();
    }
    if suspect(case, live) {
        return Ruling::block(probe_suspect(case, live));
    }
    if case.bad(live) < BAD_ANSWERS {
        return Ruling::block(confirming(case, live));
    }
    // Nobody starts a process again that is there, so whatever is ready is better, also what has not served yet.
    let others = [case.resorts(live), case.others_ready(live)].concat();
    let Some(to) = others.first() else { return freeze::wake(case, live).then(|| barred(case, live)) };
    go_over(case, live, to, &format!("{live} no longer answers as it should: {}", said(case, live)))
}

/// Whether the include leads to another port than the live process has: it was started again where the manifest has moved its slot.
fn is_misled(case: &Case<'_>, live: &SlotName) -> bool {
    let target = case.text().and_then(|text| text.targets.iter().find(|target| target.slot == *live));
    target.zip(case.record(live)).is_some_and(|(target, record)| target.port != record.port)
}

/// Whether the live slot's release is the one of the deployment under way: it is there only when it is ready.
fn is_being_deployed(case: &Case<'_>, live: &SlotName) -> bool {
    case.ledger().deployment.as_ref().is_some_and(|d| case.release(live) == Some(&d.release))
}

/// What a slot answered last.
pub(super) fn said(case: &Case<'_>, slot: &SlotName) -> String {
    match case.slot(slot).and_then(|s| s.probe.known()).map(|p| &p.answer) {
        Some(Answer::Good) => "it answers".to_owned(),
        Some(Answer::WrongIdentity { found }) => format!("it answers `{found}`"),
        Some(Answer::WrongStatus { status }) => format!("it answers {status}"),
        Some(Answer::None { why }) => why.clone(),
        None => "it was not asked yet".to_owned(),
    }
}

/// A live process that was started where the route already led, and has not been ready yet.
fn still_starting(case: &Case<'_>, live: &SlotName) -> Option<Hold> {
    let record = case.record(live).filter(|r| r.cookie.is_some())?;
    let was_ready = case.cutover().is_some_and(|c| c.to == *live && c.at >= record.since);
    let age = case.since(&record.boot, record.since)?;
    (!was_ready && age < case.spec.health.deadline).then(|| starting(case, live, age))
}

/// A process that is on its way to ready.
pub(super) fn starting(case: &Case<'_>, slot: &SlotName, age: Duration) -> Hold {
    let process = case.process(slot);
    let pid = process.map_or(0, |p| p.identity.pid);
    let listens = process.is_some_and(|p| p.listens.known() == Some(&true));
    let deadline = case.spec.health.deadline;
    let port = case.slot(slot).map(|s| s.port);
    let mut wakes: Vec<Wake> = process.map(|p| Wake::Exit(p.identity.clone())).into_iter().collect();
    wakes.extend(port.filter(|_| !listens).map(Wake::Listens));
    // One that has served was started long ago: it is only asked again, before the traffic comes back to it.
    let (does, within) = match case.record(slot) {
        Some(record) if record.served && case.live() != Some(slot) => ("is asked before it serves".to_owned(), String::new()),
        Some(_) | None => {
            let since = format!("starts since {:.1} s", age.as_secs_f64());
            (since, format!(", {} s after its start at the latest", deadline.as_secs()))
        }
    };
    Hold {
        reason: Reason::Starting,
        detail: format!("{slot} (pid {pid}) {does}: {}", said(case, slot)),
        until: format!("{} good answers in a row{within}", case.spec.health.successes),
        again: if listens { case.spec.health.interval } else { Duration::from_secs(1).min(deadline) },
        wakes,
    }
}

/// Whether the manifest has changed what counts as healthy since the live slot last met it; how often it is asked, and by when and how
/// often it has to answer at a start, makes no live slot fail. Settings that another process of the same release meets are not in doubt.
fn suspect(case: &Case<'_>, live: &SlotName) -> bool {
    let now = &case.spec.health;
    let (interval, successes, deadline) = (now.interval, now.successes, now.deadline);
    let differs = |proven: &HealthSpec| HealthSpec { interval, successes, deadline, ..proven.clone() } != *now;
    let release = case.release(live);
    let twin = |slot: &SlotName| slot != live && release.is_some() && case.release(slot) == release && case.is_ready(slot);
    case.ledger().proven_health.as_ref().is_some_and(differs) && !case.places().into_iter().any(twin)
}

fn probe_suspect(case: &Case<'_>, live: &SlotName) -> Hold {
    hold(
        Reason::ProbeSuspect,
        format!("{live} met the health settings of before and fails those of the manifest: {}", said(case, live)),
        "mend `health` in the manifest",
        pace::WORLD,
    )
}

pub(super) fn confirming(case: &Case<'_>, live: &SlotName) -> Hold {
    hold(
        Reason::Confirming,
        format!("{live} answered badly {} times: {}", case.bad(live), said(case, live)),
        format!("a good answer, or {BAD_ANSWERS} bad ones in a row"),
        case.spec.health.interval,
    )
}

/// The process is gone: traffic to a ready slot, or the release started again where the route leads.
fn dead(case: &Case<'_>, live: &SlotName) -> Ruling {
    let release = restartable(case, live);
    match case.resorts(live).first() {
        Some(to) if !release.is_some_and(|r| stays(case, live, r)) => go_over(case, live, to, &format!("{live} is dead")),
        Some(_) => release.map_or_else(Ruling::clear, |release| restart(case, live, release)),
        None => if release.is_some_and(|r| stays(case, live, r)) { Ruling::clear() } else { freeze::wake(case, live) }
            .then(|| barred(case, live))
            .then(|| release.map_or_else(Ruling::clear, |release| give_up(case, release)))
            .then(|| last_resort(case, live, release))
            .then(|| release.map_or_else(Ruling::clear, |release| restart(case, live, release))),
    }
}

/// Whatever is ready, although it was given up or has served nobody yet, where nothing can be started, or only what fails every time.
fn last_resort(case: &Case<'_>, live: &SlotName, release: Option<&Release>) -> Ruling {
    let in_vain = release.is_none_or(|r| case.ledger().quarantine.contains_key(&r.id) || case.is_exhausted(&r.id, &OWN));
    match case.last_resorts(live).first().filter(|_| in_vain) {
        Some(to) => go_over(case, live, to, &format!("{live} is dead, and nothing else comes up")),
        None => Ruling::clear(),
    }
}

/// A release that fails again and again where the traffic leads gives way to one that was good before it and can be started.
fn give_up(case: &Case<'_>, release: &Release) -> Ruling {
    let others = case.ledger().good.iter().filter(|id| **id != release.id);
    let spare = others.filter_map(|id| target::reachable(case, id)).any(|good| case.seen.stored.contains(&good.digest));
    if !spare || !case.is_exhausted(&release.id, &[FailureKind::Crash]) {
        return Ruling::clear();
    }
    Ruling::act(
        Act::Quarantine {
            release: release.id.clone(),
            cause: format!("it failed {} times within ten minutes", case.spec.slot_policy.max_attempts),
        },
        "the last good release is started in its place",
        "it is not started again by itself",
    )
}

/// Whether the policy starts a crashed release again where it was, although another slot could take the traffic.
fn stays(case: &Case<'_>, live: &SlotName, release: &Release) -> bool {
    let served_here = case.record(live).is_some();
    case.spec.slot_policy.on_crash == OnCrash::Restart
        && served_here
        && !case.is_baking(live)
        && !case.is_exhausted(&release.id, &[FailureKind::Crash])
}

/// First the traffic's new place is certain, then the failed release is judged, then the traffic moves.
fn go_over(case: &Case<'_>, live: &SlotName, to: &SlotName, why: &str) -> Ruling {
    judge(case, live, to, why).then(|| lead::lead(case, to))
}

/// A release that fails within `bake`, or too often later, goes into quarantine: something else serves, unless that is the same
/// release, which is then good enough.
fn judge(case: &Case<'_>, live: &SlotName, to: &SlotName, why: &str) -> Ruling {
    let Some(release) = case.release(live) else { return Ruling::clear() };
    if case.ledger().quarantine.contains_key(release) || case.release(to) == Some(release) {
        return Ruling::clear();
    }
    let known = case.ledger().releases.get(release);
    let cause = if case.is_baking(live) {
        format!("{why}, within bake after its cutover")
    } else if known.is_some_and(|r| case.is_exhausted(&r.id, &[FailureKind::Crash])) {
        format!("{why}, {} times within ten minutes", case.spec.slot_policy.max_attempts)
    } else {
        return Ruling::clear();
    };
    Ruling::act(
        Act::Quarantine { release: release.clone(), cause },
        "another release serves in its place",
        "it is not started again by itself",
    )
}

/// What can be started again on the live slot: what served there, else the last good release.
fn restartable<'a>(case: &Case<'a>, live: &SlotName) -> Option<&'a Release> {
    let ledger = case.ledger();
    let quarantined = |r: &&Release| !ledger.quarantine.contains_key(&r.id);
    let here: Option<&SlotRecord> = case.record(live);
    let same = here.and_then(|r| r.release.as_ref()).and_then(|id| ledger.releases.get(id));
    same.filter(quarantined).or_else(|| target::last_good(case)).or(same)
}

/// Starts a release where the route already leads; nothing else serves, so it is never given up, only slowed down.
fn restart(case: &Case<'_>, live: &SlotName, release: &Release) -> Ruling {
    let Some(port) = case.start_port(live) else { return Ruling::clear() };
    if let Some(hold) = deploy::in_the_way(case, live) {
        return Ruling::block(hold);
    }
    let failures = case.failures(&release.id, &OWN);
    let rest = pace::remaining(&failures, 1, case.now.at);
    if !rest.is_zero() {
        return Ruling::block(backing_off(release, failures.len(), rest));
    }
    if let Some(fault) = &case.seen.launch_fault {
        return Ruling::block(hold(Reason::LaunchUnfit, fault, "mend `launch` in the manifest", pace::WORLD));
    }
    let install = deploy::install(case, release);
    if !install.is_clear() {
        // A jar that is lost keeps its own release from being started, and no other one.
        return Ruling { blocks: false, ..install };
    }
    let act = Act::Start {
        slot: live.clone(),
        port,
        release: release.id.clone(),
        version: release.version.clone(),
        serves: true,
        boot: boot::form(case, release),
    };
    Ruling::act(act, format!("the route leads to {live}, and nothing runs there"), format!("{live} answers on port {port}"))
}

/// The pause before the next start.
pub(super) fn backing_off(release: &Release, failures: usize, rest: Duration) -> Hold {
    hold(
        Reason::BackingOff,
        format!("{} failed {failures} times", release.version),
        format!("the next start in {:.1} s", rest.as_secs_f64()),
        rest,
    )
}
