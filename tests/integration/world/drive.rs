//! slotd on the world: the real loop, with its crashes.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slotd::controller::{End, Follow, converge};
use slotd::event::{Event, Sink};
use slotd::host::clock::Clock;
use slotd::host::ledgers::Ledgers;
use slotd::model::id::ServiceName;
use slotd::model::ledger::Ledger;
use slotd::model::status::Reason;
use slotd::observe::watch::Watch;
use slotd::plan::person::{Decided, Decision};
use slotd::plan::{Next, Plan};
use slotd::reconcile::{Goal, Outcome, ReconcileError, accept, decide, look, pass};

use super::{Counts, Crash, World};

/// Drives a future that never has to wait for anything but virtual time.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

/// Writes what happened into the trace of the world.
pub(crate) struct Teller<'w>(pub(crate) &'w World);

impl Sink for Teller<'_> {
    fn emit(&mut self, service: &ServiceName, event: &Event) {
        let text = match event {
            Event::StepBegan { act, why } => format!("{service}: {act} ({why})"),
            Event::StepDone { .. } => return,
            Event::StepFailed { act, error } => format!("{service}: {} failed: {error}", act.kind()),
            Event::Held { hold, .. } => format!("{service}: held, {} ({})", hold.reason, hold.detail),
            Event::LogsUntrimmed { error } => format!("{service}: logs {error}"),
            Event::StatusChanged { to, live, .. } => format!("{service}: {to}, {live:?}"),
        };
        self.0.touch().note(|| text);
    }

    fn broken(&mut self, error: &str) {
        let text = format!("broken: {error}");
        self.0.touch().note(|| text);
    }
}

impl World {
    /// `slotd apply`, which also waits for what the controller would do.
    pub(crate) fn apply(&self, goal: &Goal) -> End {
        let result = block_on(async {
            accept(self, goal, None).await?;
            converge(self, goal, Follow::Nobody, None, Watch::default(), &mut Teller(self)).await
        });
        result.unwrap_or_else(|error| panic!("{error}\n{}", self.story()))
    }

    /// The manifest becomes the accepted one.
    pub(crate) fn accept(&self, goal: &Goal) {
        block_on(accept(self, goal, None)).unwrap();
    }

    /// `slotd apply`, which must converge without a breach, and leave nothing to do.
    pub(crate) fn converges(&self, goal: &Goal) -> Plan {
        let end = self.apply(goal);
        let End::Converged(plan) = end else { panic!("it did not converge: {}\n{}", ended(&end), self.story()) };
        self.is_silent(goal);
        plan
    }

    /// `slotd apply`, which must end held for this reason.
    pub(crate) fn holds(&self, goal: &Goal, reason: Reason) -> Plan {
        let end = self.apply(goal);
        let End::Held(plan) = &end else { panic!("it is not held: {}\n{}", ended(&end), self.story()) };
        assert!(reasons(plan).contains(&reason), "it is held for {:?}\n{}", reasons(plan), self.story());
        self.is_lawful();
        plan.clone()
    }

    /// The next pass, of a slotd that has just been started, changes nothing.
    pub(crate) fn is_silent(&self, goal: &Goal) {
        self.is_lawful();
        let before = self.see().counts.clone();
        let (mut watch, mut last) = (Watch::default(), None);
        for _ in 0..4 {
            last = Some(self.pass(goal, &mut watch));
            block_on(self.wait(&[], Duration::from_millis(150)));
        }
        assert_eq!(before, self.see().counts, "a converged host was touched\n{}", self.story());
        let plan = last.map(|outcome| outcome.plan).unwrap();
        assert!(plan.services.iter().all(|s| !matches!(s.next, Next::Step(_))), "{plan:#?}");
    }

    /// Nothing was done that must never be done.
    pub(crate) fn is_lawful(&self) {
        let breaches = self.see().judge.breaches.clone();
        assert!(breaches.is_empty(), "{breaches:#?}\n{}", self.story());
    }

    /// One pass.
    pub(crate) fn pass(&self, goal: &Goal, watch: &mut Watch) -> Outcome {
        let result = block_on(pass(self, goal, watch, &mut Teller(self)));
        result.unwrap_or_else(|error| panic!("{error}\n{}", self.story()))
    }

    /// The controller for so many milliseconds; gives the last plan.
    pub(crate) fn keep(&self, goal: &Goal, milliseconds: u64) -> Plan {
        let until = self.see().now + milliseconds;
        let mut watch = Watch::default();
        loop {
            let outcome = self.pass(goal, &mut watch);
            let rest = Duration::from_millis(until.saturating_sub(self.see().now));
            if rest.is_zero() {
                return outcome.plan;
            }
            let again = outcome.again.unwrap_or(Duration::from_secs(30)).min(rest);
            if !again.is_zero() {
                block_on(self.wait(&outcome.wakes, again));
            }
        }
    }

    /// `slotd plan`.
    pub(crate) fn look(&self, goal: &Goal) -> Plan {
        block_on(look(self, goal, &mut Watch::default())).unwrap()
    }

    /// A person's verb.
    pub(crate) fn decide(&self, goal: &Goal, decision: &Decision) -> Result<Vec<(ServiceName, Decided)>, ReconcileError> {
        block_on(decide(self, goal, decision, &mut Watch::default()))
    }

    /// A person's verb as the command carries it out, beside a controller: it takes so many milliseconds to write the decision down.
    pub(crate) fn carries_out(&self, goal: &Goal, decision: &Decision, milliseconds: u64) -> End {
        let mut watch = Watch::default();
        let result = block_on(async {
            decide(self, goal, decision, &mut watch).await?;
            self.touch().pass_time(milliseconds, &[]);
            converge(self, goal, Follow::Controller, None, watch, &mut Teller(self)).await
        });
        result.unwrap_or_else(|error| panic!("{error}\n{}", self.story()))
    }

    /// Runs something that a crash may end; says whether one did.
    pub(crate) fn survives(&self, act: impl FnOnce()) -> bool {
        match catch_unwind(AssertUnwindSafe(act)) {
            Ok(()) => true,
            Err(payload) if payload.is::<Crash>() => false,
            Err(payload) => resume_unwind(payload),
        }
    }

    pub(crate) fn ledger(&self, service: &str) -> Ledger {
        self.load(&ServiceName::new(service)).unwrap()
    }

    /// What was done since the counts were last taken.
    pub(crate) fn take_counts(&self) -> Counts {
        std::mem::take(&mut self.touch().counts)
    }

    /// Everything that happened, for a person.
    pub(crate) fn story(&self) -> String {
        self.see().trace.join("\n")
    }
}

pub(crate) fn reasons(plan: &Plan) -> Vec<Reason> {
    plan.services.iter().flat_map(|s| &s.holds).map(|h| h.reason).collect()
}

fn ended(end: &End) -> String {
    match end {
        End::Converged(_) => "converged".to_owned(),
        End::Held(plan) => format!("held for {:?}", reasons(plan)),
        End::Failed(_, why) => format!("failed: {}", why.join("; ")),
    }
}
