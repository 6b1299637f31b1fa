//! What one slotd process remembers between its passes and may lose at any time: it would only count again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::desired::HealthSpec;
use crate::model::id::{Cookie, Digest, Generation, Identity, Moment, ServiceName, SlotName};
use crate::model::ledger::JarStamp;
use crate::model::observed::{Answer, Connection, Probe, Traffic};
use crate::model::status::Reason;
use crate::observe::met::Met;

/// A pass holds the lock, and one service whose application hangs must not hold up the others: an answer that takes longer than
/// this is left for the next look. Long enough for the first answer of a Spring application (135 ms seen).
const PATIENCE: Duration = Duration::from_millis(250);

/// The memories of all services.
#[derive(Debug, Default)]
pub struct Watch {
    /// `None`: every answer is waited for, as long as the manifest's timeout lets it.
    patience: Option<Duration>,
    services: BTreeMap<ServiceName, ServiceWatch>,
    moved: BTreeMap<ServiceName, u32>,
    accepted: BTreeMap<ServiceName, Generation>,
    refused: BTreeMap<ServiceName, Refusal>,
}

/// What the world did not let a step do.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The step, in the words that are shown.
    pub what: String,
    /// Why.
    pub reason: Reason,
    /// One sentence.
    pub detail: String,
    /// How often in a row.
    pub times: u32,
    /// When last.
    pub at: Moment,
}

impl Watch {
    /// For passes, which hold the lock; the default is for a dry run, which does not.
    pub fn under_lock() -> Self {
        Self::default().for_passes()
    }

    /// What another look of the same process remembers, for the passes that follow it.
    #[must_use]
    pub fn for_passes(self) -> Self {
        Self { patience: Some(PATIENCE), ..self }
    }

    /// When to look again at the latest: for an answer that is still to come, or for one that counts.
    pub fn awaits(&self) -> Option<Duration> {
        self.services.values().filter_map(|service| service.awaits).min()
    }

    pub(super) fn take(&mut self, name: &ServiceName) -> ServiceWatch {
        ServiceWatch { patience: self.patience, awaits: None, ..self.services.remove(name).unwrap_or_default() }
    }

    pub(super) fn put(&mut self, name: ServiceName, watch: ServiceWatch) {
        self.services.insert(name, watch);
    }

    /// The generation under which this slotd last saw its manifest accepted.
    pub fn accepted(&self, name: &ServiceName) -> Option<Generation> {
        self.accepted.get(name).copied()
    }

    /// Notes it; `None`: another manifest was accepted since.
    pub fn accepts(&mut self, name: &ServiceName, generation: Option<Generation>) {
        match generation {
            Some(generation) => drop(self.accepted.insert(name.clone(), generation)),
            None => drop(self.accepted.remove(name)),
        }
    }

    /// What was refused last, if it was this step.
    pub fn refused(&self, name: &ServiceName, what: &str) -> Option<&Refusal> {
        self.refused.get(name).filter(|refusal| refusal.what == what)
    }

    /// Notes that a step was refused (once more), or that one was carried out.
    pub fn refuses(&mut self, name: &ServiceName, refusal: Option<Refusal>) {
        match refusal {
            Some(refusal) => drop(self.refused.insert(name.clone(), refusal)),
            None => drop(self.refused.remove(name)),
        }
    }

    /// Counts passes in a row in which the host had moved between the look and the act; gives how many that makes.
    pub fn moved(&mut self, name: &ServiceName, again: bool) -> u32 {
        let count = if again { self.moved.get(name).map_or(1, |n| n.saturating_add(1)) } else { 0 };
        self.moved.insert(name.clone(), count);
        count
    }
}

/// The memory of one service.
#[derive(Debug, Default)]
pub(super) struct ServiceWatch {
    answers: BTreeMap<SlotName, Streak>,
    quiet: BTreeMap<SlotName, Quiet>,
    met: BTreeMap<SlotName, Met>,
    digests: BTreeMap<PathBuf, (JarStamp, Digest)>,
    pub(super) patience: Option<Duration>,
    /// The time until there is an answer that is still to come, or until one counts that was given too early.
    awaits: Option<Duration>,
    /// What the ledger knew when the process table was last searched for our cookies; `None`: not since this slotd started.
    pub(super) searched: Option<Vec<(SlotName, Option<Cookie>)>>,
}

/// Answers of one process in a row.
#[derive(Debug)]
struct Streak {
    identity: Identity,
    answer: Answer,
    good: u32,
    bad: u32,
    counted: Moment,
}

impl Streak {
    fn probe(&self) -> Probe {
        Probe { answer: self.answer.clone(), good: self.good, bad: self.bad }
    }
}

/// A slot with nothing open since this cutover left it.
#[derive(Debug)]
struct Quiet {
    cutover: Moment,
    since: Moment,
    samples: u32,
}

impl ServiceWatch {
    /// Adds an answer to those of the same process. Good ones count once an interval, so that two that were asked for within a
    /// millisecond are not two successes; where more are needed, the look for the next that counts comes when it does.
    pub(super) fn answered(
        &mut self,
        slot: &SlotName,
        identity: &Identity,
        answer: Answer,
        at: Moment,
        health: &HealthSpec,
    ) -> Probe {
        let last = self.answers.remove(slot).filter(|s| s.identity == *identity);
        let good = matches!(answer, Answer::Good);
        let early = |last: &Streak| Some(health.interval.saturating_sub(at.since(last.counted))).filter(|early| !early.is_zero());
        let streak = match last {
            None => Streak { identity: identity.clone(), answer, good: u32::from(good), bad: u32::from(!good), counted: at },
            Some(last) if good && last.good > 0 && early(&last).is_some() => {
                let missing = early(&last).filter(|_| last.good < health.successes);
                self.awaits = self.awaits.into_iter().chain(missing).min();
                last
            }
            Some(last) if good => Streak { answer, good: last.good.saturating_add(1), bad: 0, counted: at, ..last },
            Some(last) => Streak { answer, good: 0, bad: last.bad.saturating_add(1), counted: at, ..last },
        };
        let probe = streak.probe();
        self.answers.insert(slot.clone(), streak);
        probe
    }

    /// What a slot answered does not count any more.
    pub(super) fn forget(&mut self, slot: &SlotName) {
        self.answers.remove(slot);
    }

    /// The answer is still to come: what the same process said last is all that is known.
    pub(super) fn unanswered(&mut self, slot: &SlotName, identity: &Identity) -> Probe {
        self.awaits = self.awaits.into_iter().chain(self.patience).min();
        let none = || Probe { answer: Answer::None { why: "it has not answered yet".to_owned() }, good: 0, bad: 0 };
        self.answers.get(slot).filter(|s| s.identity == *identity).map_or_else(none, Streak::probe)
    }

    /// Adds a count of open connections; anything open starts the quiet time again.
    pub(super) fn counted(&mut self, slot: &SlotName, cutover: Moment, open: Vec<Connection>, at: Moment) -> Traffic {
        if !open.is_empty() {
            self.quiet.remove(slot);
            let count = u32::try_from(open.len()).unwrap_or(u32::MAX);
            return Traffic { open: count, quiet: Duration::ZERO, samples: 0, longest: self.met(slot, cutover).saw(open, at) };
        }
        self.met.remove(slot);
        let of_another = self.quiet.get(slot).is_some_and(|quiet| quiet.cutover != cutover);
        if of_another {
            self.quiet.remove(slot);
        }
        let quiet = self.quiet.entry(slot.clone()).or_insert(Quiet { cutover, since: at, samples: 0 });
        quiet.samples = quiet.samples.saturating_add(1);
        Traffic { open: 0, quiet: at.since(quiet.since), samples: quiet.samples, longest: Vec::new() }
    }

    fn met(&mut self, slot: &SlotName, cutover: Moment) -> &mut Met {
        let met = self.met.entry(slot.clone()).or_insert_with(|| Met::since(cutover));
        if !met.is_of(cutover) {
            *met = Met::since(cutover);
        }
        met
    }

    /// What another count would come to, if nothing was open at the last one since this cutover.
    pub(super) fn emptied(&self, slot: &SlotName, cutover: Moment, at: Moment) -> Option<Traffic> {
        let quiet = self.quiet.get(slot).filter(|quiet| quiet.cutover == cutover)?;
        let (quiet, samples) = (at.since(quiet.since), quiet.samples.saturating_add(1));
        Some(Traffic { open: 0, quiet, samples, longest: Vec::new() })
    }

    /// The digest of a file whose inode still says the same.
    pub(super) fn digest(&self, path: &PathBuf, stamp: &JarStamp) -> Option<Digest> {
        self.digests.get(path).filter(|(known, _)| known == stamp).map(|(_, digest)| digest.clone())
    }

    /// Remembers a digest.
    pub(super) fn digested(&mut self, path: PathBuf, stamp: JarStamp, digest: Digest) {
        self.digests.insert(path, (stamp, digest));
    }
}
