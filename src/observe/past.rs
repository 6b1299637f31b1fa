//! How long things took on this host before, from the history.

use std::time::Duration;

use crate::host::ledgers::{HistoryLine, Outcome};
use crate::model::past::Past;

/// What these lines, oldest first, say.
pub fn past(lines: &[HistoryLine]) -> Past {
    let last = |cold| lines.iter().rev().find(|l| l.outcome == Outcome::RolledBack && started(l) == cold).map(took);
    Past { warm: last(false), cold: last(true) }
}

/// Whether a deployment began with a start.
fn started(line: &HistoryLine) -> bool {
    line.phases.iter().any(|(name, _)| name == "start")
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
        }
    }

    #[test]
    fn the_last_way_back_of_each_kind_counts() {
        let back = |phases: &[(&str, u64)]| line(Outcome::RolledBack, phases);
        let lines = [
            back(&[("cutover", 400)]),
            back(&[("start", 20), ("cutover", 6_000)]),
            back(&[("cutover", 90)]),
            line(Outcome::Deployed, &[("cutover", 7)]),
        ];
        assert_eq!(past(&lines), Past { warm: Some(Duration::from_millis(90)), cold: Some(Duration::from_millis(6_020)) });
        assert_eq!(past(&[]), Past::default());
    }
}
