//! The explorer: every reachable state of the shipped planner on a small host, with faults. See the README for the commands.

#![expect(clippy::print_stdout, reason = "the table of figures is what this test is run for")]

mod act;
mod check;
mod config;
mod configs;
mod fair;
mod golden;
mod graph;
mod intern;
mod label;
mod ledger;
mod liveness;
mod model;
mod moves;
mod mutants;
mod pass;
mod report;
mod request;
mod see;
mod story;
mod terminal;
mod vacuity;

use config::Config;
use graph::Bounds;
use mutants::Mutant;
use report::{Row, run, table};

/// More states than any run may have in four gigabytes.
const ALL: Bounds = Bounds { states: 12_000_000, first: false };

/// A mutant that lives this long on one configuration is tried on the next.
const MUTANT: Bounds = Bounds { states: 150_000, first: true };

fn at(budget: u8, configs: Vec<Config>) -> Vec<Config> {
    configs.into_iter().map(|c| Config { budget, ..c }).collect()
}

/// Three slots and a release that dies at any time: millions of states without a single fault.
const VAST: &str = "pair-09";

/// Named configurations that are explored with one fault each time.
const ONE_FAULT: [&str; 10] =
    ["flag", "two-slotds", "flag-bad", "flag-hangs", "window", "manual", "words", "removed", "scripts", "empty"];

/// The same of the pairwise cover.
const ONE_FAULT_PAIRS: [&str; 8] = ["pair-01", "pair-03", "pair-08", "pair-10", "pair-12", "pair-13", "pair-15", "pair-16"];

fn pairs(names: &[&str]) -> Vec<Config> {
    configs::pairwise().into_iter().filter(|c| names.contains(&c.name.as_str())).collect()
}

fn only(names: &[&str]) -> Vec<Config> {
    configs::by_name().into_iter().filter(|c| names.contains(&c.name.as_str())).collect()
}

/// What is explored: `SLOTD_EXPLORE` is unset, `full` or `deep`; `SLOTD_EXPLORE=name,budget` is one configuration.
fn chosen() -> Vec<Config> {
    let all = || configs::by_name().into_iter().chain(configs::pairwise());
    match std::env::var("SLOTD_EXPLORE").as_deref() {
        Ok("full") => [at(1, all().collect()), at(2, only(&["flag-bad", "flag-hangs"]))].concat(),
        Ok("deep") => at(3, only(&["flag", "two-slotds"])),
        Ok(one) => {
            let (name, budget) = one.split_once(',').unwrap_or((one, "1"));
            at(budget.parse().unwrap_or(1), all().filter(|c| c.name == name).collect())
        }
        Err(_) => {
            [at(0, all().filter(|c| c.name != VAST).collect()), at(1, only(&ONE_FAULT)), at(1, pairs(&ONE_FAULT_PAIRS))].concat()
        }
    }
}

#[test]
fn no_reachable_state_breaks_a_law_and_every_fair_path_ends_well() {
    let rows: Vec<Row> = chosen().into_iter().map(|config| run(config, Mutant::default(), ALL)).collect();
    println!("{}\nmost memory: {}", table(&rows), report::peak());
    for row in &rows {
        println!("{} at {} ends: {:?}", row.name, row.budget, row.ends);
    }
    let broken: Vec<_> = rows.iter().flat_map(|r| r.broken.iter().map(move |b| format!("{}: {b}", r.name))).collect();
    let vacuous = if std::env::var("SLOTD_EXPLORE").as_deref() == Ok("full") { vacuity::missing(&rows) } else { Vec::new() };
    let golden = golden::compare(&rows);
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
    assert!(golden.is_empty(), "figures have changed; say why in the commit:\n{}", golden.join("\n"));
    assert!(vacuous.is_empty(), "never met: {}", vacuous.join(", "));
}

/// Where a mutant is looked for, the quickest first.
fn hunting_grounds() -> Vec<Config> {
    let quick = ["flag", "flag-bad", "flag-hangs", "flag-dies", "reload", "window", "scripts", "three-slots-request", "manual"];
    [at(0, only(&quick)), at(1, only(&["flag", "flag-hangs", "flag-dies", "reload"]))].concat()
}

#[test]
#[ignore = "takes minutes: the table of mutants"]
fn every_seeded_mutant_is_killed() {
    let mut alive = Vec::new();
    println!("| mutant | killed on | by |\n| --- | --- | --- |");
    for mutant in mutants::all() {
        let killed = hunting_grounds().into_iter().find_map(|config| {
            let row = run(config, mutant, MUTANT);
            row.broken.first().map(|what| format!("{} at {} | {what}", row.name, row.budget))
        });
        println!("| {} | {} |", mutant.name, killed.clone().unwrap_or_else(|| "- | SURVIVES".to_owned()));
        alive.extend(killed.is_none().then_some(mutant.name));
    }
    assert!(alive.is_empty(), "{} mutants live: {}", alive.len(), alive.join(", "));
}
