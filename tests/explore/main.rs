//! The explorer: every reachable state of the shipped planner on a small host, with faults. See the README for the commands.

#![expect(clippy::print_stdout, reason = "the table of figures is what this test is run for")]
#![expect(clippy::disallowed_methods, reason = "a test reads its lists, its environment and the clock")]
#![expect(clippy::struct_excessive_bools, reason = "a host is many facts that are so or not")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a rule names the moves and acts that it is about")]
#![expect(clippy::needless_for_each, reason = "one line for what is done to each of two or three")]

mod act;
mod check;
mod config;
mod configs;
mod fair;
mod family;
mod golden;
mod graph;
mod hunt;
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
mod stage;
mod story;
mod terminal;
mod vacuity;

use std::collections::HashSet;

use config::Config;
use family::{Families, Family};
use graph::{Bounds, Graph};
use model::{Fails, World};
use mutants::Mutant;
use report::table;

/// Each look makes and drops some hundred small pieces beside a table of millions of states.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// More states than any run may have in four gigabytes.
const ALL: Bounds = Bounds { states: 12_000_000, first: false };

fn at(budget: u8, configs: Vec<Config>) -> Vec<Config> {
    configs.into_iter().map(|c| Config { budget, ..c }).collect()
}

fn only(names: &[&str]) -> Vec<Config> {
    configs::by_name().into_iter().filter(|c| names.contains(&c.name.as_str())).collect()
}

/// One configuration: `name,budget`, or `name,budget,families` with a plus sign between these.
fn one(asked: &str) -> Vec<Config> {
    let words: Vec<_> = asked.split(',').collect();
    let found = configs::by_name().into_iter().chain(configs::pairwise()).filter(|c| c.name == words[0]);
    let budget = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(1);
    let families = words.get(2).map(|word| Families::named(word));
    at(budget, found.map(|c| Config { faults: families.unwrap_or(c.faults), ..c }).collect())
}

/// What is explored: `SLOTD_EXPLORE` is unset or `deep`, or one configuration.
fn chosen() -> Vec<Config> {
    match std::env::var("SLOTD_EXPLORE").as_deref() {
        Ok("deep") => golden::listed("deep"),
        Ok(asked) => one(asked),
        Err(_) => golden::listed("golden"),
    }
}

#[test]
fn every_two_values_and_families_of_faults_are_explored_together() {
    let (cover, listed) = (configs::pairwise(), golden::listed("golden"));
    for c in &cover {
        let budget = listed.iter().filter(|l| l.name == c.name).map(|l| l.budget).max();
        println!("{}: {}; faults of {}: {budget:?}", c.name, configs::values(c).join(", "), c.faults.words());
    }
    let with = |budget: u8| -> Vec<Config> { listed.iter().filter(|c| c.budget >= budget).cloned().collect() };
    let pairs = configs::pairs();
    for budget in 0..3 {
        println!("with {budget} faults: {} of {pairs} pairs", pairs - configs::uncovered(&cover, &with(budget)).len());
    }
    let missing = configs::uncovered(&cover, &cover);
    assert!(missing.is_empty(), "not in the cover: {}", missing.join(", "));
    let three: HashSet<_> = with(3).into_iter().map(|c| c.name).collect();
    assert!(three.len() >= 6, "with three faults: {three:?}");
}

#[test]
fn no_reachable_state_breaks_a_law_and_every_fair_path_ends_well() {
    let rows = report::every(&chosen(), ALL, golden::states);
    println!("{}\nmost memory: {}", table(&rows), report::peak());
    for row in &rows {
        println!("{} at {} ends: {:?}", row.name, row.budget, row.ends);
    }
    let broken: Vec<_> = rows.iter().flat_map(|r| r.broken.iter().map(move |b| format!("{}: {b}", r.name))).collect();
    let vacuous = if std::env::var_os("SLOTD_EXPLORE").is_none() { vacuity::missing(&rows) } else { Vec::new() };
    let golden = golden::compare(&rows);
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
    assert!(golden.is_empty(), "figures have changed; say why in the commit:\n{}", golden.join("\n"));
    assert!(vacuous.is_empty(), "never met: {}", vacuous.join(", "));
}

/// Every host that is reached, with its failures as far as the policy counts them.
fn reached(config: Config) -> (HashSet<World>, Vec<String>) {
    let mut given = config.given();
    let begin = graph::beginning(&mut given);
    let graph = Graph::explore(&given, Mutant::default(), begin, ALL);
    let counted = |world: &World| {
        let mut world = *world;
        let few = |count: u8| count.min(given.config.attempts);
        world.mem.fails =
            world.mem.fails.map(|f| Fails { start: few(f.start), start_old: few(f.start_old), crash: few(f.crash) });
        (world.look, world)
    };
    let hosts = graph.states.items.iter().map(counted).filter(|(look, _)| *look == 0).map(|(_, world)| world);
    (hosts.collect(), graph.violations.iter().map(|v| v.what.clone()).collect())
}

#[test]
fn one_failure_stands_for_several_where_the_policy_allows_one() {
    for config in at(1, only(&["flag-bad", "flag-hangs", "flag-dies"])) {
        let config = Config { attempts: 1, faults: Families::of(&[Family::Processes, Family::Ports]), ..config };
        let (few, all) = (reached(config.clone()), reached(Config { exact: true, ..config.clone() }));
        let missing = all.0.difference(&few.0).count();
        assert!(missing == 0 && all.1 == few.1, "{}: {missing} of {} hosts are left out", config.name, all.0.len());
    }
}
