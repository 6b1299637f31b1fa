//! What one slotd process remembers between its passes and may lose at any time: it would only count again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::id::{Digest, Identity, Moment, ServiceName, SlotName};
use crate::model::ledger::JarStamp;
use crate::model::observed::{Answer, Probe, Traffic};

/// The memories of all services.
#[derive(Debug, Default)]
pub struct Watch {
    services: BTreeMap<ServiceName, ServiceWatch>,
    moved: BTreeMap<ServiceName, u32>,
}

impl Watch {
    pub(super) fn take(&mut self, name: &ServiceName) -> ServiceWatch {
        self.services.remove(name).unwrap_or_default()
    }

    pub(super) fn put(&mut self, name: ServiceName, watch: ServiceWatch) {
        self.services.insert(name, watch);
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
    digests: BTreeMap<PathBuf, (JarStamp, Digest)>,
    /// Whether the process table was searched for our cookies since this slotd started.
    pub(super) searched: bool,
}

/// Answers of one process in a row.
#[derive(Debug)]
struct Streak {
    identity: Identity,
    good: u32,
    bad: u32,
    counted: Moment,
}

/// A slot with nothing open.
#[derive(Debug)]
struct Quiet {
    since: Moment,
    samples: u32,
}

impl ServiceWatch {
    /// Adds an answer to those of the same process. Good ones count once an interval, so that two that were asked for within a
    /// millisecond are not two successes.
    pub(super) fn answered(
        &mut self,
        slot: &SlotName,
        identity: &Identity,
        answer: Answer,
        at: Moment,
        interval: Duration,
    ) -> Probe {
        let last = self.answers.remove(slot).filter(|s| s.identity == *identity);
        let good = matches!(answer, Answer::Good);
        let streak = match last {
            None => Streak { identity: identity.clone(), good: u32::from(good), bad: u32::from(!good), counted: at },
            Some(last) if good && last.good > 0 && at.since(last.counted) < interval => last,
            Some(last) if good => Streak { good: last.good.saturating_add(1), bad: 0, counted: at, ..last },
            Some(last) => Streak { good: 0, bad: last.bad.saturating_add(1), counted: at, ..last },
        };
        let probe = Probe { answer, good: streak.good, bad: streak.bad };
        self.answers.insert(slot.clone(), streak);
        probe
    }

    /// Adds a count of open connections; anything open starts the quiet time again.
    pub(super) fn counted(&mut self, slot: &SlotName, open: u32, at: Moment) -> Traffic {
        if open > 0 {
            self.quiet.remove(slot);
            return Traffic { open, quiet: Duration::ZERO, samples: 0 };
        }
        let quiet = self.quiet.entry(slot.clone()).or_insert(Quiet { since: at, samples: 0 });
        quiet.samples = quiet.samples.saturating_add(1);
        Traffic { open, quiet: at.since(quiet.since), samples: quiet.samples }
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
