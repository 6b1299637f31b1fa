//! What the figures say of cutovers in a row: an answer of the old slot after the new one's first is found, and nothing else is taken
//! for one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moves::{Move, seen};

use crate::support::report::{Kind, Origin, Outcome, Record, Report};

#[expect(dead_code, reason = "the figures use all of it")]
#[path = "../../benches/figures/moves.rs"]
mod moves;

/// Kind, begin and end in milliseconds, who answered.
type Line = (Kind, u64, u64, &'static str);

/// Two cutovers, with commands at 1,000 (to real2) and 5,000 ms (back to real1): how many late answers each has, and its first answer
/// in milliseconds after the command.
fn two_cutovers(lines: &[Line]) -> Vec<(usize, u128)> {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let origin = |slot: &str| Arc::new(Origin { slot: slot.to_owned(), version: "1".to_owned() });
    let record = |(kind, begin, end, slot): &Line| Record {
        kind: *kind,
        begin: at(*begin),
        end: at(*end),
        outcome: Outcome::Good,
        origin: origin(slot),
    };
    let report = Report::new(lines.iter().map(record).collect(), start, at(9_000));
    let moved = |began, from: &str, what| Move { began: at(began), from: from.to_owned(), what, said: "done".to_owned() };
    let moves = [moved(1_000, "real1", "deployment"), moved(5_000, "real2", "rollback")];
    seen(&report, &moves).iter().map(|seen| (seen.late.len(), seen.after().as_millis())).collect()
}

#[test]
fn an_answer_of_the_old_slot_to_a_request_that_began_after_the_first_of_the_new_one_is_late() {
    let good = [(Kind::Fresh, 1_100, 1_110, "real1"), (Kind::Fresh, 1_140, 1_150, "real2"), (Kind::Fresh, 5_140, 5_160, "real1")];
    assert_eq!(two_cutovers(&good), [(0, 150), (0, 160)]);
    let began_before = (Kind::Slow, 1_149, 2_000, "real1");
    assert_eq!(two_cutovers(&[good.as_slice(), &[began_before]].concat()), [(0, 150), (0, 160)]);
    let late = (Kind::Fresh, 1_151, 1_155, "real1");
    assert_eq!(two_cutovers(&[good.as_slice(), &[late]].concat()), [(1, 150), (0, 160)]);
    let late = (Kind::Upload, 5_161, 7_200, "real2");
    assert_eq!(two_cutovers(&[good.as_slice(), &[late]].concat()), [(0, 150), (1, 160)]);
}

#[test]
fn what_began_before_a_command_tells_nothing_of_its_cutover() {
    // a WebSocket of before the deployment's cutover, whose clean end falls between the next command and its cutover
    let lines = [
        (Kind::Fresh, 4_200, 4_210, "real2"),
        (Kind::Socket, 2_050, 5_050, "real1"),
        (Kind::Fresh, 5_060, 5_070, "real2"),
        (Kind::Fresh, 5_140, 5_160, "real1"),
    ];
    assert_eq!(two_cutovers(&lines), [(0, 3_210), (0, 160)]);
}

#[test]
fn what_is_answered_after_the_next_command_may_come_from_either_slot() {
    let lines = [(Kind::Fresh, 1_140, 1_150, "real2"), (Kind::Slow, 4_900, 5_800, "real1"), (Kind::Fresh, 5_140, 5_160, "real1")];
    assert_eq!(two_cutovers(&lines), [(0, 150), (0, 160)]);
}
