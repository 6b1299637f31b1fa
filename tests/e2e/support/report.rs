//! What a load saw: every request with its times, its outcome and who answered it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::Broken;

/// What kind of request it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// GET on a connection that is kept.
    KeepAlive,
    /// GET on a connection of its own.
    Fresh,
    /// POST on a connection that is kept; the answer has to be the body.
    Post,
    /// One that the application takes its time for.
    Slow,
    /// A body that takes about two seconds to arrive; the answer has to be its length and its digest.
    Upload,
    /// A WebSocket that is used for three seconds and then closed by the client.
    Socket,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// 200, whole, and with the right content.
    Good,
    /// Another status.
    Status(u16),
    /// 200 and whole, with the wrong content.
    Wrong,
    /// No whole answer.
    Broken(Broken),
}

/// Who answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    pub(crate) slot: String,
    pub(crate) version: String,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
    pub(crate) outcome: Outcome,
    pub(crate) origin: Arc<Origin>,
}

impl Record {
    /// Whether a user was failed; a reset of a reused idle connection is counted apart.
    pub(crate) fn failed(&self) -> bool {
        !matches!(self.outcome, Outcome::Good | Outcome::Broken(Broken::IdleReset))
    }
}

/// All requests of a load.
pub(crate) struct Report {
    records: Vec<Record>,
    began: Instant,
    ended: Instant,
}

impl Report {
    pub(crate) fn new(mut records: Vec<Record>, began: Instant, ended: Instant) -> Self {
        records.sort_by_key(|record| record.end);
        Self { records, began, ended }
    }

    /// In the order of their ends.
    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    pub(crate) fn total(&self) -> usize {
        self.records().len()
    }

    /// Requests that failed, without the resets of reused idle connections.
    pub(crate) fn failed(&self) -> usize {
        self.records.iter().filter(|record| record.failed()).count()
    }

    /// Reused idle connections that ended without a byte: what a reload of an older nginx costs keep-alive clients.
    pub(crate) fn idle_resets(&self) -> usize {
        self.records.iter().filter(|record| record.outcome == Outcome::Broken(Broken::IdleReset)).count()
    }

    /// Good answers of a kind.
    pub(crate) fn good(&self, kind: Kind) -> usize {
        self.records.iter().filter(|record| record.kind == kind && record.outcome == Outcome::Good).count()
    }

    /// Good answers that this version gave.
    pub(crate) fn answered_by(&self, version: &str) -> usize {
        self.records.iter().filter(|record| record.outcome == Outcome::Good && record.origin.version == version).count()
    }

    /// Requests that began after an instant and were answered by this version all the same.
    pub(crate) fn stale(&self, after: Instant, version: &str) -> usize {
        self.records.iter().filter(|record| record.begin > after && record.origin.version == version).count()
    }

    /// The longest time in which no request got a good answer.
    pub(crate) fn longest_gap(&self) -> Duration {
        let good = |record: &&Record| record.outcome == Outcome::Good && record.end <= self.ended;
        let good = self.records.iter().filter(good).map(|record| record.end);
        let ends: Vec<Instant> = std::iter::once(self.began).chain(good).chain([self.ended]).collect();
        ends.windows(2).map(|two| two[1].saturating_duration_since(two[0])).max().unwrap_or_default()
    }

    /// Insists that no request failed at all.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        assert!(self.failed() == 0 && self.idle_resets() == 0, "{self}");
    }

    /// Insists that no request failed but for reused idle connections, which a reload closes.
    #[track_caller]
    pub(crate) fn assert_clean_but_for_idle_resets(&self) {
        assert!(self.failed() == 0, "{self}");
    }

    /// Insists that every kind of request was answered: a load that did nothing proves nothing.
    #[track_caller]
    pub(crate) fn assert_each_kind_answered(&self) {
        for kind in [Kind::KeepAlive, Kind::Fresh, Kind::Post, Kind::Slow, Kind::Upload] {
            assert!(self.good(kind) > 0, "{kind:?} was never answered\n{self}");
        }
    }

    fn counts<K: Ord>(&self, key: impl Fn(&Record) -> K) -> BTreeMap<K, usize> {
        let mut counts = BTreeMap::new();
        for record in &self.records {
            *counts.entry(key(record)).or_insert(0) += 1;
        }
        counts
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, resets, gap) = (self.failed(), self.idle_resets(), self.longest_gap());
        writeln!(f, "{} requests, {failed} failed, {resets} idle resets, longest gap {gap:?}", self.total())?;
        for ((kind, outcome), count) in self.counts(|record| (record.kind, record.outcome)) {
            writeln!(f, "  {kind:?} {outcome:?}: {count}")?;
        }
        for (origin, count) in self.counts(|record| record.origin.as_ref().clone()) {
            writeln!(f, "  by slot {:?}, version {:?}: {count}", origin.slot, origin.version)?;
        }
        for record in self.records.iter().filter(|record| record.failed()).take(10) {
            let (begin, took) = (record.begin.duration_since(self.began), record.end.duration_since(record.begin));
            writeln!(f, "  failed: {:?} begun at {begin:?}, took {took:?}: {:?}", record.kind, record.outcome)?;
        }
        Ok(())
    }
}
