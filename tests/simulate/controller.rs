//! One slotd process on the world: what it knows, when it looks next, and one pass of it.

use std::collections::BTreeMap;
use std::time::Duration;

use slotd::event::{Event, Sink};
use slotd::model::id::ServiceName;
use slotd::model::status::Reason;
use slotd::model::wake::Wake;
use slotd::observe::watch::Watch;
use slotd::plan::step::Act;
use slotd::reconcile::{Goal, Outcome, ReconcileError, accept, pass};

use crate::world::World;
use crate::world::drive::block_on;

/// At least this often the controller looks.
const INTERVAL: Duration = Duration::from_secs(30);

/// The longest pause while something fails, as in the controller.
const CAP: u64 = 30;

/// Passes that came to an error in a row, before `apply` gives up; as in the controller.
const FAILURES: u32 = 5;

/// A process of slotd.
pub(crate) struct Slotd {
    pub(crate) goal: Goal,
    watch: Watch,
    accepted: bool,
    failing: u32,
    /// When it looks next.
    pub(crate) next: u64,
    pub(crate) wakes: Vec<Wake>,
    /// `apply` ends then at the latest; the controller never does.
    pub(crate) until: Option<u64>,
    /// The goal that it will be given, and when.
    pub(crate) told: Option<(u64, Goal)>,
}

/// How a pass ended.
pub(crate) enum Fate {
    Passed(Box<Outcome>),
    /// No lock, no ledger.
    Failed(ReconcileError),
    /// It was killed.
    Killed,
}

impl Slotd {
    pub(crate) fn new(goal: Goal, now: u64, until: Option<u64>) -> Self {
        Self { goal, watch: Watch::default(), accepted: false, failing: 0, next: now, wakes: Vec::new(), until, told: None }
    }

    /// When it has something to do.
    pub(crate) fn due(&self) -> u64 {
        self.told.as_ref().map_or(self.next, |(at, _)| self.next.min(*at))
    }

    /// Whether it is given another manifest now.
    pub(crate) fn is_told(&self, now: u64) -> bool {
        self.told.as_ref().is_some_and(|(at, _)| *at <= now)
    }

    /// Accepts what it was given, and makes one pass.
    pub(crate) fn pass(&mut self, world: &World, tally: &mut Tally) -> Fate {
        if self.is_told(world.see().now) {
            (self.goal, self.accepted) = (self.told.take().map(|(_, goal)| goal).unwrap(), false);
        }
        let mut result = None;
        world.survives(|| {
            result = Some(block_on(async {
                if !self.accepted {
                    accept(world, &self.goal, None).await?;
                    self.accepted = true;
                }
                tally.changes = world.see().counts.values().sum();
                pass(world, &self.goal, &mut self.watch, tally).await
            }));
        });
        match result {
            None => Fate::Killed,
            Some(Err(error)) => {
                self.failing += 1;
                self.rest(world, None, Vec::new());
                Fate::Failed(error)
            }
            Some(Ok(outcome)) => {
                self.failing = if outcome.failures.is_empty() { 0 } else { self.failing + 1 };
                self.rest(world, outcome.again, outcome.wakes.clone());
                Fate::Passed(Box::new(outcome))
            }
        }
    }

    /// Looks again as the loop would: slower while something fails.
    fn rest(&mut self, world: &World, again: Option<Duration>, wakes: Vec<Wake>) {
        let pause = Duration::from_secs((1 << self.failing.saturating_sub(1).min(5)).min(CAP));
        let again = again.unwrap_or(INTERVAL).min(INTERVAL);
        let rest = if self.failing == 0 { again } else { again.max(pause) };
        self.next = world.see().now + u64::try_from(rest.as_millis()).unwrap();
        self.wakes = wakes;
    }

    /// Whether `apply` has given up.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.failing >= FAILURES
    }

    /// Another process takes its place: it remembers nothing.
    pub(crate) fn starts_again(&mut self, at: u64) {
        *self = Self { told: self.told.take(), ..Self::new(self.goal.clone(), at, self.until) };
    }
}

/// What was done, counted by the events that slotd tells.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) passes: u64,
    /// Steps that began, since the last pass began.
    pub(crate) began: u32,
    /// Changes of the world up to the beginning of that pass.
    pub(crate) changes: usize,
    pub(crate) done: BTreeMap<&'static str, u32>,
    /// Steps that were carried out in the last pass.
    pub(crate) acts: Vec<Act>,
    pub(crate) failed: BTreeMap<&'static str, u32>,
    pub(crate) reasons: BTreeMap<Reason, u32>,
    /// What was told, for the reader of a trace.
    pub(crate) told: Option<Vec<String>>,
}

impl Tally {
    fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(told) = &mut self.told {
            told.push(what());
        }
    }
}

impl Sink for Tally {
    fn emit(&mut self, service: &ServiceName, event: &Event) {
        match event {
            Event::StepBegan { act, why } => {
                self.began += 1;
                self.tell(|| format!("{service}: {act} ({why})"));
            }
            Event::StepDone { act, .. } => {
                *self.done.entry(act.kind()).or_default() += 1;
                self.acts.push(act.clone());
            }
            Event::StepFailed { act, error } => {
                *self.failed.entry(act.kind()).or_default() += 1;
                self.tell(|| format!("{service}: {} failed: {error}", act.kind()));
            }
            Event::Held { .. } | Event::LogsUntrimmed { .. } | Event::StatusChanged { .. } => {}
        }
    }

    fn broken(&mut self, error: &str) {
        self.tell(|| error.to_owned());
    }
}
