//! How long things took on this host before, from the history.

use std::time::Duration;

use crate::host::ledgers::{HistoryLine, Outcome};
use crate::model::past::{Past, Starts};

/// Starts that count: an application and its host change, and older ones would speak of others.
const LAST: usize = 5;

/// A start on a busy host takes about twice as long; a deadline nearer than that gives up a release that is good.
const ROOM: u32 = 2;

/// What these lines, oldest first, say.
pub fn past(lines: &[HistoryLine]) -> Past {
    let last = |kind| lines.iter().rev().find(|l| l.outcome == Outcome::RolledBack && beginning(l) == kind).map(took);
    Past { warm: last(None), frozen: last(Some("thaw")), cold: last(Some("start")), starts: starts(lines) }
}

/// What a person should know of a deadline that the starts of this host come near to.
pub fn tight(past: &Past, deadline: Duration) -> Option<String> {
    let starts = past.starts.as_ref().filter(|starts| deadline < starts.slowest * ROOM)?;
    Some(format!(
        "health.deadline is {} s, and a start took up to {:.1} s here (the last {}): on a busy host it may not suffice",
        deadline.as_secs(),
        starts.slowest.as_secs_f64(),
        starts.count
    ))
}

fn starts(lines: &[HistoryLine]) -> Option<Starts> {
    let mut last: Vec<_> = lines.iter().rev().filter_map(start).take(LAST).collect();
    last.sort();
    let (fastest, slowest) = (*last.first()?, *last.last()?);
    Some(Starts { count: last.len(), median: last[last.len() / 2], fastest, slowest })
}

/// From the last start to the traffic. One that waited for a person says nothing about the application.
fn start(line: &HistoryLine) -> Option<Duration> {
    let at = |name: &str| line.phases.iter().rposition(|(phase, _)| phase == name);
    let moved = at("cutover").or_else(|| at("reload"))?;
    let started = at("start").filter(|started| *started < moved && at("promote").is_none())?;
    Some(Duration::from_millis(line.phases[started + 1..=moved].iter().map(|(_, millis)| millis).sum()))
}

/// What brought the release of a deployment about, unless it ran already. A start counts more than a process that was continued and
/// did not answer.
fn beginning(line: &HistoryLine) -> Option<&'static str> {
    ["start", "thaw"].into_iter().find(|kind| line.phases.iter().any(|(name, _)| name == kind))
}

/// By the phases, which a wall clock that is set meanwhile does not change: up to the cutover, which is done when nginx has proven it.
fn took(line: &HistoryLine) -> Duration {
    Duration::from_millis(line.phases.iter().map(|(_, millis)| millis).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(outcome: Outcome, phases: &[(&str, u64)]) -> HistoryLine {
        HistoryLine {
            began: 0,
            ended: 0,
            version: "1".to_owned(),
            release: "r1-1".to_owned(),
            slot: "real1".to_owned(),
            outcome,
            phases: phases.iter().map(|(name, millis)| ((*name).to_owned(), *millis)).collect(),
            why: None,
            cut: None,
        }
    }

    #[test]
    fn the_last_way_back_of_each_kind_counts() {
        let back = |phases: &[(&str, u64)]| line(Outcome::RolledBack, phases);
        let lines = [
            back(&[("cutover", 400)]),
            back(&[("start", 20), ("cutover", 6_000)]),
            back(&[("cutover", 90)]),
            back(&[("thaw", 3), ("cutover", 240)]),
            back(&[("thaw", 3), ("start", 20), ("cutover", 6_000)]),
            line(Outcome::Deployed, &[("cutover", 7)]),
        ];
        let past = past(&lines);
        let millis = [past.warm, past.frozen, past.cold].map(|took| took.map(|took| took.as_millis()));
        assert_eq!(millis, [Some(90), Some(243), Some(6_023)]);
        assert_eq!(super::past(&[]), Past::default());
    }

    #[test]
    fn the_last_five_starts_count_from_the_last_attempt_to_the_traffic() {
        let deployed = |phases: &[(&str, u64)]| line(Outcome::Deployed, phases);
        let lines = [
            deployed(&[("start", 5), ("cutover", 60_000)]),
            deployed(&[("install", 80), ("start", 5), ("cutover", 6_600)]),
            deployed(&[("start", 5), ("stop", 9_000), ("start", 5), ("cutover", 5_800)]),
            deployed(&[("start", 5), ("write_include", 100), ("reload", 6_000)]),
            deployed(&[("start", 5), ("promote", 90_000), ("cutover", 50)]),
            line(Outcome::Quarantined, &[("start", 5)]),
            deployed(&[("cutover", 30)]),
            deployed(&[("start", 5), ("cutover", 6_000)]),
            deployed(&[("start", 5), ("cutover", 6_200)]),
        ];
        let said = past(&lines).starts.expect("there are some");
        let millis = [said.median, said.fastest, said.slowest].map(|time| time.as_millis());
        assert_eq!((said.count, millis), (5, [6_100, 5_800, 6_600]));
        assert_eq!(past(&lines[4..7]).starts, None);
    }

    #[test]
    fn a_deadline_nearer_than_twice_the_slowest_start_is_named() {
        let past = past(&[line(Outcome::Deployed, &[("start", 5), ("cutover", 6_100)])]);
        assert_eq!(tight(&past, Duration::from_millis(12_200)), None);
        let said = tight(&past, Duration::from_secs(12)).expect("it is near");
        assert_eq!(
            said,
            "health.deadline is 12 s, and a start took up to 6.1 s here (the last 1): on a busy host it may not suffice"
        );
    }
}
