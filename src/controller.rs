//! The loop around the pass: coalesces triggers, looks again when a hold says so, and stops when told.

mod logs;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::controller::logs::Logs;
use crate::event::{Event, Sink};
use crate::host::Host;
use crate::model::id::ServiceName;
use crate::model::past::Starts;
use crate::model::status::{HoldKind, Reason, Status};
use crate::observe::past::past;
use crate::observe::watch::Watch;
use crate::plan::view::{SlotState, SlotView};
use crate::plan::{Next, Plan, ServicePlan};
use crate::reconcile::{Goal, Outcome, ReconcileError, accept, pass};

/// Passes in a row in which the same service's step failed for a reason that is nobody's decision, before `apply` gives up.
const FAILURES: u32 = 5;

/// The longest pause between passes while something fails.
const CAP: Duration = Duration::from_secs(30);

/// What `apply` waits beyond the health deadline and the drain of a service, unless `--timeout` says otherwise.
const GRACE: Duration = Duration::from_secs(60);

/// A reason to look; carries no facts.
#[derive(Clone, Debug)]
pub enum Trigger {
    /// Look again (timer, SIGHUP).
    Look,
    /// The manifest was read anew and is good: this is the goal from now on.
    Goal(Box<Goal>),
    /// End; the slots go on serving.
    Stop,
}

/// Who looks after what an `apply` leaves (drain, standby policy, bake).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// A controller runs on the same state.
    Controller,
    /// Nobody: what the policy still has to do is waited for.
    Nobody,
}

/// How `apply` ended.
#[derive(Clone, Debug)]
pub enum End {
    /// Everything is as the manifest asks (what the controller does later may be left: see the plan's holds).
    Converged(Plan),
    /// A person must decide, the world did not change in time, or a newer manifest was accepted.
    Held(Plan),
    /// A step failed for a reason that is nobody's decision, and went on failing.
    Failed(Plan, Vec<String>),
}

/// Reconciles until converged or held, after [`accept`] or a decision with its `watch`. `timeout` bounds the whole; `None`: the longest of
/// the services' health deadline + drain + 60 s.
///
/// # Errors
/// A lock or a ledger that cannot be had.
pub async fn converge<H: Host>(
    host: &H,
    goal: &Goal,
    follow: Follow,
    timeout: Option<Duration>,
    watch: Watch,
    sink: &mut dyn Sink,
) -> Result<End, ReconcileError> {
    let until = host.now().at.plus(timeout.unwrap_or_else(|| patience(goal)));
    let (mut watch, mut told, mut logs) = (watch.for_passes(), Told::default(), Logs::default());
    loop {
        let outcome = pass(host, goal, &mut watch, sink).await?;
        told.tell(host, &outcome.plan, sink);
        logs.trim(host, &outcome.plan, sink);
        let failed = told.failing(&outcome);
        if !failed.is_empty() {
            return Ok(End::Failed(outcome.plan, failed));
        }
        let late = host.now().at >= until;
        if let Some(end) = ended(&outcome, follow, late) {
            return Ok(end);
        }
        let rest = until.since(host.now().at).max(Duration::from_millis(1));
        rest_until_next(host, Some(&outcome), &told, rest, &mut logs).await;
    }
}

fn patience(goal: &Goal) -> Duration {
    let each = goal.desired.services.values().map(|s| s.health.deadline + s.slot_policy.drain_deadline + GRACE);
    each.max().unwrap_or(GRACE)
}

/// Whether an apply has come to its end, and to which.
fn ended(outcome: &Outcome, follow: Follow, late: bool) -> Option<End> {
    if !outcome.stepped.is_empty() && !late {
        return None;
    }
    let stands: Vec<_> = outcome.plan.services.iter().map(|s| stand(s, follow)).collect();
    let plan = || outcome.plan.clone();
    match stands.into_iter().max() {
        None | Some(Stand::Done) => Some(End::Converged(plan())),
        Some(Stand::Held) => Some(End::Held(plan())),
        Some(Stand::Waits) => late.then(|| End::Held(plan())),
    }
}

/// How one service stands towards the end of an apply; the largest decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stand {
    Done,
    Held,
    Waits,
}

fn stand(service: &ServicePlan, follow: Follow) -> Stand {
    if matches!(service.next, Next::Step(_)) {
        return Stand::Waits;
    }
    let left_to_controller = service.serves && follow == Follow::Controller;
    let kinds: Vec<_> = service.holds.iter().map(crate::plan::hold::Hold::kind).collect();
    if kinds.contains(&HoldKind::Progress) && !left_to_controller {
        Stand::Waits
    } else if kinds.contains(&HoldKind::Person) {
        Stand::Held
    } else if kinds.contains(&HoldKind::World) {
        Stand::Waits
    } else {
        Stand::Done
    }
}

/// Reconciles until told to stop, at least every `interval`. A pass that fails is reported and tried again, ever more slowly.
///
/// # Errors
/// None at present: what fails is told to the sink.
pub async fn run<H: Host>(
    host: &H,
    mut goal: Goal,
    interval: Duration,
    mut triggers: mpsc::Receiver<Trigger>,
    sink: &mut dyn Sink,
) -> Result<(), ReconcileError> {
    let (mut watch, mut told, mut logs) = (Watch::under_lock(), Told::default(), Logs::default());
    let mut accepted = false;
    loop {
        if !accepted {
            accepted = told.report(accept(host, &goal, None).await, sink).is_some();
        }
        let outcome = told.report(pass(host, &goal, &mut watch, sink).await, sink);
        if let Some(outcome) = &outcome {
            told.tell(host, &outcome.plan, sink);
            told.failing(outcome);
            logs.trim(host, &outcome.plan, sink);
        }
        let trigger = tokio::select! {
            trigger = triggers.recv() => trigger.or(Some(Trigger::Stop)),
            () = rest_until_next(host, outcome.as_ref(), &told, interval, &mut logs) => None,
        };
        match coalesced(trigger, &mut triggers) {
            Some(Trigger::Stop) => return Ok(()),
            Some(Trigger::Goal(new)) => (goal, accepted) = (*new, false),
            Some(Trigger::Look) | None => {}
        }
    }
}

/// Many triggers are one: stop before anything else, then the newest goal.
fn coalesced(first: Option<Trigger>, triggers: &mut mpsc::Receiver<Trigger>) -> Option<Trigger> {
    let mut newest = first;
    while let Ok(next) = triggers.try_recv() {
        newest = match (newest, next) {
            (Some(Trigger::Stop), _) | (_, Trigger::Stop) => Some(Trigger::Stop),
            (Some(Trigger::Goal(goal)), Trigger::Look) => Some(Trigger::Goal(goal)),
            (_, next) => Some(next),
        };
    }
    newest
}

/// Whether something is on its way up: a standby that is asked again before it serves is not.
fn starts(service: &ServicePlan) -> bool {
    let on_its_way =
        |slot: &SlotView| slot.state == SlotState::Candidate || (slot.state == SlotState::Live && slot.ready != Some(true));
    service.view.slots.iter().any(on_its_way)
}

/// How long starts took here before; a history that cannot be read is no reason to stop.
fn usual<H: Host>(host: &H, service: &ServiceName) -> Option<Starts> {
    host.history(service).ok().and_then(|lines| past(&lines).starts)
}

/// Waits as long as the outcome says, slower while something fails; `None`: the pass was not possible at all. Logs are looked after
/// meanwhile.
async fn rest_until_next<H: Host>(host: &H, outcome: Option<&Outcome>, told: &Told, at_most: Duration, logs: &mut Logs) {
    let again = outcome.map_or(told.pause(), |outcome| outcome.again.unwrap_or(at_most)).min(at_most);
    let failed = outcome.is_some_and(|outcome| !outcome.failures.is_empty());
    let rest = if failed { again.max(told.pause()).min(at_most) } else { again };
    if rest.is_zero() {
        // A step was carried out: look anew at once, but let timers and signals have their turn.
        tokio::task::yield_now().await;
        return;
    }
    tokio::select! {
        biased;
        () = host.wait(outcome.map_or(&[], |outcome| &outcome.wakes), rest) => {}
        never = logs.keep(host) => match never {},
    }
}

/// What was said before, so that only news are told, and how often what failed has failed.
#[derive(Default)]
struct Told {
    status: BTreeMap<ServiceName, (Status, Option<(String, String)>)>,
    holds: BTreeMap<ServiceName, Vec<Reason>>,
    failing: BTreeMap<ServiceName, u32>,
    broken: u32,
}

impl Told {
    fn tell<H: Host>(&mut self, host: &H, plan: &Plan, sink: &mut dyn Sink) {
        for service in &plan.services {
            self.tell_status(service, sink);
            self.tell_holds(host, service, sink);
        }
    }

    fn tell_status(&mut self, service: &ServicePlan, sink: &mut dyn Sink) {
        let live = service.view.live.as_ref().and_then(|live| service.view.slots.iter().find(|s| s.slot == *live));
        let live = live.and_then(|s| Some((s.slot.to_string(), s.running.as_ref()?.version.clone())));
        let news = (service.status, live.clone());
        let before = self.status.insert(service.name.clone(), news.clone());
        if before.as_ref() != Some(&news) {
            let from = before.map(|(status, _)| status);
            sink.emit(&service.name, &Event::StatusChanged { from, to: service.status, live });
        }
    }

    fn tell_holds<H: Host>(&mut self, host: &H, service: &ServicePlan, sink: &mut dyn Sink) {
        let reasons: Vec<_> = service.holds.iter().map(|h| h.reason).collect();
        let before = self.holds.insert(service.name.clone(), reasons).unwrap_or_default();
        for hold in service.holds.iter().filter(|h| !before.contains(&h.reason)) {
            let usual = (hold.reason == Reason::Starting && starts(service)).then(|| usual(host, &service.name)).flatten();
            sink.emit(&service.name, &Event::Held { hold: hold.clone(), usual });
        }
    }

    /// Counts failures in a row; gives those that have gone on for too long.
    fn failing(&mut self, outcome: &Outcome) -> Vec<String> {
        self.failing.retain(|name, _| outcome.failures.iter().any(|(failed, _)| failed == name));
        let mut hopeless = Vec::new();
        for (name, error) in &outcome.failures {
            let count = self.failing.entry(name.clone()).or_insert(0);
            *count += 1;
            if *count >= FAILURES {
                hopeless.push(format!("{name}: {error}"));
            }
        }
        hopeless
    }

    /// The pause after failures in a row: 1, 2, 4 … 30 s.
    fn pause(&self) -> Duration {
        let worst = self.failing.values().copied().chain([self.broken]).max().unwrap_or(0);
        Duration::from_secs(1 << worst.saturating_sub(1).min(5)).min(CAP)
    }

    /// A pass or an acceptance that was not possible at all is told once, and slows the loop.
    fn report<T>(&mut self, result: Result<T, ReconcileError>, sink: &mut dyn Sink) -> Option<T> {
        match result {
            Ok(value) => {
                self.broken = 0;
                Some(value)
            }
            Err(error) => {
                self.broken = self.broken.saturating_add(1);
                if self.broken == 1 {
                    sink.broken(&error.to_string());
                }
                None
            }
        }
    }
}
