//! Sentences that more than one report says.

use std::time::Duration;

use crate::event::Event;
use crate::model::id::ServiceName;
use crate::model::past::Starts;
use crate::model::status::{HoldKind, Status};
use crate::plan::step::Act;
use crate::plan::view::{RollbackKind, SlotState, SlotView, View};
use crate::plan::{Next, Plan, ServicePlan};

/// `0.4s`, `12.3s`, `2m 5s`.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        return format!("{seconds}.{}s", time.subsec_millis() / 100);
    }
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}h {minutes}m") } else { format!("{minutes}m {seconds}s") }
}

/// The slot that users reach, as it was seen.
pub fn live(view: &View) -> Option<&SlotView> {
    let live = view.live.as_ref()?;
    view.slots.iter().find(|slot| slot.slot == *live)
}

/// `1.0.2 live on real2 (pid 4711)`
pub fn live_sentence(view: &View) -> String {
    let Some(slot) = live(view) else {
        return view.live.as_ref().map_or_else(|| "nothing live".to_owned(), |name| format!("the route leads to {name}"));
    };
    let what = slot.running.as_ref().map_or("an unknown release", |r| r.version.as_str());
    match slot.pid {
        Some(pid) => format!("{what} live on {} (pid {pid})", slot.slot),
        None => format!("the route leads to {}, where no process of ours runs", slot.slot),
    }
}

/// `warm, to 1.0.1 (0.2s the last time)`, `none: release 1.0.2 is not safe to go back from`
pub fn rollback(view: &View) -> String {
    let kind = rollback_word(view.rollback.kind);
    let Some(version) = &view.rollback.version else {
        return view.rollback.why.as_ref().map_or_else(|| kind.to_owned(), |why| format!("{kind}: {why}"));
    };
    let last = last_rollback(view).map_or_else(String::new, |took| format!(" ({} the last time)", span(took)));
    format!("{kind}, to {version}{last}")
}

/// How long a rollback of the kind that it would be now took the last time.
pub fn last_rollback(view: &View) -> Option<Duration> {
    match view.rollback.kind {
        RollbackKind::Warm => view.past.warm,
        RollbackKind::Frozen => view.past.frozen,
        RollbackKind::Cold => view.past.cold,
        RollbackKind::None => None,
    }
}

/// `6.1 s as the last 5 (5.8 to 6.6)`
pub fn starts(starts: &Starts) -> String {
    let seconds = |time: Duration| format!("{:.1}", time.as_secs_f64());
    let (median, fastest, slowest) = (seconds(starts.median), seconds(starts.fastest), seconds(starts.slowest));
    match starts.count {
        1 => format!("{median} s as the last one"),
        count => format!("{median} s as the last {count} ({fastest} to {slowest})"),
    }
}

/// The same behind a sentence about a start; nothing where nothing is known.
pub fn usual(usual: Option<&Starts>) -> String {
    usual.map_or_else(String::new, |usual| format!("; usual: {}", starts(usual)))
}

/// How long the start of a plan with one is going to take, where it is known.
pub fn expected(service: &ServicePlan) -> Option<String> {
    let starts = service.steps.iter().any(|step| matches!(step.act, Act::Start { .. }));
    service.view.past.starts.as_ref().filter(|_| starts).map(self::starts)
}

fn rollback_word(kind: RollbackKind) -> &'static str {
    match kind {
        RollbackKind::Warm => "warm",
        RollbackKind::Frozen => "frozen",
        RollbackKind::Cold => "cold",
        RollbackKind::None => "none",
    }
}

/// The word of the contract.
pub fn slot_state(state: SlotState) -> &'static str {
    match state {
        SlotState::Live => "live",
        SlotState::Standby => "standby",
        SlotState::Frozen => "frozen",
        SlotState::Candidate => "candidate",
        SlotState::Draining => "draining",
        SlotState::Stopping => "stopping",
        SlotState::Empty => "empty",
        SlotState::Occupied => "occupied",
        SlotState::Unknown => "unknown",
    }
}

/// `include real1, nginx real1, proxy unknown`
pub fn witnesses(view: &View) -> String {
    let say = |slot: Option<&crate::model::id::SlotName>| slot.map_or("unknown", crate::model::id::SlotName::as_str).to_owned();
    let route = &view.route;
    format!(
        "include {}, nginx {}, proxy {}",
        say(route.include.as_ref()),
        say(route.loaded.as_ref()),
        say(route.proxied.as_ref())
    )
}

/// Whether there is nothing to say of a service beyond its status.
pub fn is_quiet(service: &ServicePlan) -> bool {
    service.drift.is_empty() && service.steps.is_empty() && service.holds.is_empty() && matches!(service.next, Next::Nothing)
}

/// Services with steps, and all their steps.
pub fn pending(plan: &Plan) -> (usize, usize) {
    let counts = plan.services.iter().map(|s| s.steps.len()).filter(|steps| *steps > 0);
    counts.fold((0, 0), |(services, all), steps| (services + 1, all + steps))
}

/// The whole plan in one sentence.
pub fn gist(plan: &Plan) -> String {
    let (services, steps) = pending(plan);
    let text = if steps > 0 {
        format!("{} to change in {}.", count(services, "service"), count(steps, "step"))
    } else if plan.services.iter().any(|s| !s.holds.is_empty()) {
        "No step can be taken now: see the holds.".to_owned()
    } else {
        "Nothing to do: the host is as the manifest asks.".to_owned()
    };
    match plan.services.iter().filter(|s| s.status == Status::Orphaned && s.steps.is_empty()).count() {
        0 => text,
        orphans => format!("{text} {} not in the manifest: `slotd apply --prune` retires it.", count(orphans, "service")),
    }
}

/// `1 service`, `2 services`
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The reasons of the holds that keep a service from its desired state, in the order of the plan.
pub fn reasons(service: &ServicePlan) -> String {
    service.holds.iter().map(|hold| hold.reason.word()).collect::<Vec<_>>().join(", ")
}

/// One event in one line without the service's name; `None` for what only the ledger knows of.
pub fn event(event: &Event) -> Option<String> {
    Some(match event {
        Event::StepBegan { act, why } => act.is_visible().then(|| format!("{act}: {why}"))?,
        Event::StepDone { act, took } => act.is_worth_saying().then(|| format!("done in {}: {act}", span(*took)))?,
        Event::StepFailed { act, error } => format!("failed: {act}: {error}"),
        Event::Held { hold, usual } if hold.kind() == HoldKind::Progress => {
            let usual = self::usual(usual.as_ref());
            format!("waiting ({}): {}{usual}; until {}", hold.reason, hold.detail, hold.until)
        }
        Event::Held { hold, .. } => format!("held ({}): {}; until {}", hold.reason, hold.detail, hold.until),
        Event::LogsUntrimmed { error } => format!("its logs may grow without a bound: {error}"),
        Event::StatusChanged { to, live, .. } => match live {
            Some((slot, version)) => format!("{to}, {version} live on {slot}"),
            None => format!("{to}, nothing live"),
        },
    })
}

/// `[  12.3s] webservice: start 1.0.2 on real2 (port 8082): …`
pub fn line(elapsed: Duration, service: Option<&ServiceName>, text: &str) -> String {
    let stamp = format!("[{:>6}.{}s]", elapsed.as_secs(), elapsed.subsec_millis() / 100);
    service.map_or_else(|| format!("{stamp} {text}"), |name| format!("{stamp} {name}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_as_exact_as_it_is_short() {
        let said: Vec<_> = [450, 12_300, 125_000, 3_720_000].map(|ms| span(Duration::from_millis(ms))).into();
        assert_eq!(said, ["0.4s", "12.3s", "2m 5s", "1h 2m"]);
    }
}
