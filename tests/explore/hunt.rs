//! What kills each seeded mutant: where, how far from the beginning, and by which law.
//!
//! A ground counts only where the shipped planner itself is clean, so that is shown first: a law that it breaks too kills nobody.

use std::time::{Duration, Instant};

use crate::config::Config;
use crate::graph::Bounds;
use crate::mutants::{self, Mutant};
use crate::report::{Row, run};
use crate::{at, only};

/// Where a mutant is looked for, the quickest first: without a fault, then with one.
const GROUNDS: [(u8, &[&str]); 2] = [
    (0, &["words", "flag-hangs", "flag-bad", "manual", "flag", "archived", "window", "scripts", "reload", "flag-dies", "empty"]),
    (1, &["removed", "words", "flag-hangs", "flag-bad", "manual", "flag", "scripts"]),
];

/// Twice the states of the largest ground: a mutant that makes more is looked for on the next one.
const BOUND: Bounds = Bounds { states: 300_000, first: true };

/// Seeded mutants that the issue asks for at least.
const FEWEST: usize = 30;

fn grounds() -> Vec<Config> {
    let named = |name: &&str| only(&[*name]);
    GROUNDS.iter().flat_map(|(budget, names)| at(*budget, names.iter().flat_map(named).collect())).collect()
}

/// One row of the table.
struct Kill {
    row: Row,
    /// Explorations before that which did not kill it.
    missed: usize,
    took: Duration,
}

fn hunt(mutant: Mutant) -> Option<Kill> {
    let began = Instant::now();
    let rows = grounds().into_iter().enumerate().map(|(missed, config)| (missed, run(config, mutant, BOUND)));
    let (missed, row) = rows.into_iter().find(|(_, row)| !row.broken.is_empty())?;
    Some(Kill { row, missed, took: began.elapsed() })
}

#[test]
#[ignore = "half a minute: the table of mutants"]
fn every_seeded_mutant_is_killed() {
    for row in grounds().into_iter().map(|config| run(config, Mutant::default(), BOUND)) {
        let clean = row.broken.is_empty() && row.states < BOUND.states;
        assert!(clean, "{} at {} is no ground: {} states, {:?}", row.name, row.budget, row.states, row.broken);
    }
    let all = mutants::all();
    assert!(all.len() >= FEWEST, "{} mutants", all.len());
    let mut alive = Vec::new();
    println!("| mutant | killed on | faults | moves | grounds before | time | by |\n| --- | --- | --- | --- | --- | --- | --- |");
    for mutant in all {
        match hunt(mutant) {
            Some(kill) => println!("{}", line(mutant.name, &kill)),
            None => alive.push(mutant.name),
        }
    }
    assert!(alive.is_empty(), "{} mutants live: {}", alive.len(), alive.join(", "));
}

fn line(name: &str, Kill { row, missed, took }: &Kill) -> String {
    let (what, depth) = (&row.broken[0], row.depth.unwrap_or_default());
    format!("| {name} | {} | {} | {depth} | {missed} | {:.1} s | {what} |", row.name, row.budget, took.as_secs_f64())
}
