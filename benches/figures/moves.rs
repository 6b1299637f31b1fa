//! What a load saw of cutovers in a row: when each showed first, and who was answered by the slot of before all the same.

use std::fmt;
use std::time::{Duration, Instant};

use crate::support::report::{Outcome, Record, Report};

/// One cutover.
pub(crate) struct Move {
    /// Its command was given.
    pub(crate) began: Instant,
    /// Traffic went to this slot before it.
    pub(crate) from: String,
    pub(crate) what: &'static str,
    /// What slotd told of it.
    pub(crate) said: String,
}

/// What the load saw of it.
pub(crate) struct Seen<'a> {
    pub(crate) moved: &'a Move,
    /// The first answer of the other slot.
    first: &'a Record,
    /// Answers of the slot of before to requests that began after somebody had had the first one.
    pub(crate) late: Vec<&'a Record>,
    /// What failed between this command and the next.
    pub(crate) failed: Vec<&'a Record>,
}

/// Of each cutover, in their order.
///
/// Only what began after its command and was answered before the next one tells anything of it. What was under way at the command was led
/// by the cutover *before*, or by none: an upload of two seconds or a `WebSocket` of three, begun ahead of that one, still names the slot that
/// this one goes to. What is under way at the next command may be led by either.
pub(crate) fn seen<'a>(report: &'a Report, moves: &'a [Move]) -> Vec<Seen<'a>> {
    let records = report.records();
    let at = |instant| records.partition_point(|record| record.end < instant);
    let nexts = moves.iter().skip(1).map(|next| at(next.began)).chain([records.len()]);
    moves.iter().zip(nexts).map(|(moved, next)| Seen::of(moved, &records[at(moved.began)..next])).collect()
}

impl<'a> Seen<'a> {
    pub(crate) fn is_clean(&self) -> bool {
        self.late.is_empty() && self.failed.is_empty()
    }

    /// These records are in the order of their ends.
    fn of(moved: &'a Move, records: &'a [Record]) -> Self {
        let answers = || records.iter().filter(|record| record.begin >= moved.began && !record.origin.slot.is_empty());
        let first = answers().find(|record| record.origin.slot != moved.from).expect("the other slot answers");
        let late = answers().filter(|record| record.begin > first.end && record.origin.slot == moved.from).collect();
        let failed = records.iter().filter(|record| record.outcome != Outcome::Good).collect();
        Self { moved, first, late, failed }
    }

    /// From the command to the first answer of the other slot.
    pub(crate) fn after(&self) -> Duration {
        self.first.end - self.moved.began
    }
}

/// Everything that tells what went wrong: the times from the command on, and what slotd said meanwhile.
impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Move { began, from, what, said } = self.moved;
        let after = |instant: Instant| {
            let before = began.saturating_duration_since(instant).as_secs_f64();
            (instant.saturating_duration_since(*began).as_secs_f64() - before) * 1e3
        };
        let line = |record: &Record| {
            let Record { kind, outcome, origin, .. } = record;
            let (begin, end) = (after(record.begin), after(record.end));
            format!("{outcome:?} of {} to a {kind:?}, from {begin:.0} to {end:.0} ms after the command", origin.slot)
        };
        writeln!(f, "{what}, away from {from}; first answer: {}", line(self.first))?;
        self.late.iter().take(20).try_for_each(|record| writeln!(f, "  late: {}", line(record)))?;
        self.failed.iter().take(20).try_for_each(|record| writeln!(f, "  failed: {}", line(record)))?;
        writeln!(f, "  {} late, {} failed; slotd said:\n{said}", self.late.len(), self.failed.len())
    }
}
