//! Why a slot may not be stopped now; `None` is the only permission there is.

use std::time::Duration;

use crate::model::desired::PortConflict;
use crate::model::id::SlotName;
use crate::model::observed::Observation;
use crate::model::status::Reason;
use crate::plan::facts::{Case, QUIET, QUIET_SAMPLES};
use crate::plan::hold::Hold;
use crate::plan::lead;
use crate::plan::pace;
use crate::plan::ruling::hold;

/// While a slot drains, samples are taken this often: ten of them must fit into a second.
const SAMPLE: Duration = Duration::from_millis(80);

/// Why the process of an idle slot may not be stopped now.
pub(super) fn unsafe_to_stop(case: &Case<'_>, slot: &SlotName) -> Option<Hold> {
    if case.is_named(slot) {
        return Some(hold(
            Reason::RouteSplit,
            format!("a witness of the route calls {slot} live"),
            "the witnesses must agree first",
            pace::WORLD,
        ));
    }
    // What cannot be read may call it live too.
    if let Some(why) = case.seen.route.include.unknown().or(case.seen.route.flags.unknown()) {
        return Some(lead::unread(why));
    }
    foreign(case, slot).or_else(|| unseen_route(case, slot)).or_else(|| last_one(case, slot)).or_else(|| draining(case, slot))
}

/// What was found, rather than started here, is stopped only as far as the policy says.
fn foreign(case: &Case<'_>, slot: &SlotName) -> Option<Hold> {
    let record = case.record(slot).filter(|r| r.evidence.is_some())?;
    let needed = if record.cookie.is_some() { PortConflict::Own } else { PortConflict::SameApp };
    let pid = case.process(slot).map_or(0, |p| p.identity.pid);
    (case.spec.slot_policy.port_conflict < needed).then(|| {
        hold(
            Reason::PortTaken,
            format!("process {pid} runs on {slot}, and slot_policy.port_conflict does not let slotd stop it"),
            "stop it, or set port_conflict: same_app",
            pace::WORLD,
        )
    })
}

/// What nobody is routed to may go; anything else only when the route can be seen.
fn unseen_route(case: &Case<'_>, slot: &SlotName) -> Option<Hold> {
    if case.old_workers() > 0 {
        return Some(hold(Reason::Reloading, "workers of before the reload still accept", "they stop within a second", SAMPLE));
    }
    if let Some(hold) = just_found(case, slot).or_else(|| unheard(case)) {
        return Some(hold);
    }
    if is_unreached(case, slot) {
        return None;
    }
    match &case.seen.route.nginx {
        Observation::Unknown(why) => {
            Some(hold(Reason::ProxyUnverified, why, "see that exactly one nginx runs with its configuration", pace::WORLD))
        }
        Observation::Absent if case.may_answer(slot) => {
            Some(hold(Reason::ProxyDown, "nginx does not run", "start nginx; slotd goes on by itself", pace::WORLD))
        }
        Observation::Absent => None,
        Observation::Known(_) if case.loaded().is_none() && case.proxied().is_none() => Some(hold(
            Reason::RouteUnproven,
            "neither nginx nor the proxy says which slot users reach",
            "set proxy.url, or let slotd load its include",
            pace::WORLD,
        )),
        Observation::Known(_) => lead::split(case),
    }
}

/// Whether nobody is routed to a candidate that never served. While nginx cannot be asked, it may have loaded another text than the one
/// that was found, and that led to this slot before a candidate was started there: then users reach whatever answers.
fn is_unreached(case: &Case<'_>, slot: &SlotName) -> bool {
    let candidate = case.record(slot).is_some_and(|r| !r.served && r.cookie.is_some());
    let proven = case.text().is_some_and(|text| text.generation <= case.ledger().proven);
    let told = proven || case.seen.route.nginx.unknown().is_none();
    candidate && (told || !case.may_answer(slot))
}

/// A process that was found, while a reload that this ledger has lost may be under way: workers of before it may still send requests
/// there, and nothing tells them from the others. They are given as long as an old slot after a cutover.
fn just_found(case: &Case<'_>, slot: &SlotName) -> Option<Hold> {
    let record = case.record(slot).filter(|r| r.evidence.is_some())?;
    let rest = case.spec.slot_policy.drain.checked_sub(case.since(&record.boot, record.since)?).filter(|rest| !rest.is_zero())?;
    Some(hold(
        Reason::Draining,
        format!("{slot} was just found, and who routes to it is not known yet"),
        format!("{} s after it was found", case.spec.slot_policy.drain.as_secs()),
        rest,
    ))
}

/// A reload whose outcome nobody tells: what it has loaded may be what somebody else had written, which leads anywhere.
fn unheard(case: &Case<'_>) -> Option<Hold> {
    let reload = case
        .ledger()
        .reload
        .as_ref()
        .filter(|_| case.nginx().is_some() && case.loaded().is_none() && case.proxied().is_none())?;
    let rest = lead::RELOAD_AGAIN.checked_sub(case.since(&reload.boot, reload.at)?).filter(|rest| !rest.is_zero())?;
    Some(hold(
        Reason::Reloading,
        "neither nginx nor the proxy says what the last reload has loaded",
        format!("they do, or {} s after it", lead::RELOAD_AGAIN.as_secs()),
        rest.min(pace::WORLD),
    ))
}

/// The last slot that answers is never stopped, but for a candidate that has failed and for a release that is not gone back to:
/// neither is going to serve anybody, and its place is needed for one that does.
fn last_one(case: &Case<'_>, slot: &SlotName) -> Option<Hold> {
    let barred = case.barrier(case.release(slot)).is_some();
    if barred || case.record(slot).is_some_and(|r| !r.served && r.condemned.is_some()) {
        return None;
    }
    // Somebody else on the live slot's port may keep it from being used, but is no other slot that answers. Of two that have served
    // nobody yet either will do.
    let idle = case.record(slot).is_some_and(|r| !r.served);
    let other =
        case.places().into_iter().any(|other| other != slot && (idle || case.live() == Some(other)) && case.answers(other));
    (case.may_answer(slot) && !other).then(|| {
        hold(Reason::LastSlot, format!("no slot but {slot} is known to answer"), "another slot must serve first", pace::WORLD)
    })
}

/// The old slot stays until it has drained.
pub(super) fn draining(case: &Case<'_>, slot: &SlotName) -> Option<Hold> {
    let elapsed = case.now.at.since(case.left(slot)?);
    let policy = &case.spec.slot_policy;
    let traffic = case.slot(slot).and_then(|s| s.traffic.known());
    let quiet = traffic.is_some_and(|t| t.quiet >= QUIET && t.samples >= QUIET_SAMPLES);
    if elapsed >= policy.drain_deadline || (elapsed >= policy.drain && quiet) {
        return None;
    }
    let open = traffic.map_or_else(|| "unknown".to_owned(), |t| t.open.to_string());
    let rest = policy.drain.saturating_sub(elapsed).saturating_sub(QUIET);
    Some(hold(
        Reason::Draining,
        format!("{slot} drains since {} s, {open} connections open", elapsed.as_secs()),
        format!(
            "{} s after the cutover and one quiet second, {} s at the latest",
            policy.drain.as_secs(),
            policy.drain_deadline.as_secs()
        ),
        rest.max(SAMPLE),
    ))
}

/// Connections that a stop cuts: none, unless the drain deadline has come with some open.
pub(super) fn cut(case: &Case<'_>, slot: &SlotName) -> u32 {
    let open = case.slot(slot).and_then(|s| s.traffic.known()).map_or(0, |t| t.open);
    if case.left(slot).is_some() { open } else { 0 }
}
