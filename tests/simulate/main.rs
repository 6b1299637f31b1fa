//! The simulator: the real loop on the world in memory, with faults, a person's verbs and changes of the manifest drawn from a seed.
#![expect(clippy::disallowed_methods, reason = "what is run is chosen by the environment, and how long it took is shown")]
#![expect(
    clippy::needless_for_each,
    clippy::wildcard_enum_match_arm,
    clippy::struct_excessive_bools,
    clippy::unused_self,
    clippy::enum_variant_names,
    clippy::cloned_ref_to_slice_refs,
    dead_code,
    reason = "the world in memory is shared, and wider than the stories"
)]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

mod controller;
mod oracle;
mod run;
mod shrink;
mod sieve;
mod steps;
mod story;
mod summary;
#[path = "../integration/world/mod.rs"]
mod world;

use std::collections::BTreeMap;

use run::Run;
use slotd::plan::step::Act;
use story::Story;

/// Each pass makes and drops some hundred small pieces.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Passes of the normal run; `SLOTD_PASSES` asks for others.
const PASSES: u64 = 1_000_000;

/// Seeds that are told twice; `SLOTD_REPLAYS` asks for others.
const REPLAYS: u64 = 50;

/// Tells a story from its beginning to its end, and compares what was done with what was needed.
fn judged(story: &Story, tells: bool) -> Run {
    let mut run = tell(story, tells);
    run.violations.extend(summary::compare(story, &run));
    run
}

/// Tells a story from its beginning to its end.
fn tell(story: &Story, tells: bool) -> Run {
    let mut run = Run::new(story, tells);
    run.until(run.last_event());
    run.concludes();
    run.recovers();
    run
}

fn asked_for(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn one_seed() {
    let Some(seed) = asked_for("SLOTD_SEED") else { return };
    let story = Story::draw(seed);
    let run = judged(&story, false);
    match run.violations.first() {
        Some(violation) => panic!("{}", shrink::report(&story, violation)),
        None => println!("{story}\n{}", tell(&story, true).world.story()),
    }
}

#[test]
fn whatever_happens_the_laws_hold_and_the_service_comes_back() {
    let (from, limit) = (asked_for("SLOTD_FROM").unwrap_or(0), asked_for("SLOTD_PASSES").unwrap_or(PASSES));
    let began = std::time::Instant::now();
    let (mut passes, mut seed) = (0, from);
    let (mut happened, mut steps, mut reasons) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    while passes < limit {
        let story = Story::draw(seed);
        let run = judged(&story, false);
        if let Some(violation) = run.violations.first() {
            panic!("after {passes} passes of {} seeds\n{}", seed - from, shrink::report(&story, violation));
        }
        passes += run.tally.passes;
        run.befallen.iter().for_each(|(kind, n)| *happened.entry(*kind).or_insert(0) += n);
        run.tally.done.iter().for_each(|(kind, n)| *steps.entry(*kind).or_insert(0) += n);
        run.tally.reasons.iter().for_each(|(reason, n)| *reasons.entry(reason.word()).or_insert(0) += n);
        seed += 1;
    }
    let took = began.elapsed();
    let speed = u128::from(passes) * 1000 / took.as_millis().max(1);
    println!("{passes} passes, {speed} a second, {} seeds, 0 violations", seed - from);
    println!("happened: {happened:?}\nsteps: {steps:?}\nholds: {reasons:?}");
    // Fewer passes meet less.
    if limit < PASSES {
        return;
    }
    let met =
        |all: &BTreeMap<&str, u32>, words: &[&str]| words.iter().find(|word| !all.contains_key(**word)).map(ToString::to_string);
    assert_eq!(met(&happened, &HAPPENS), None, "this never happened");
    let needed: Vec<_> = Act::KINDS.into_iter().filter(|kind| NO_STEP.iter().all(|(never, _)| never != kind)).collect();
    assert_eq!(met(&steps, &needed), None, "this step was never taken");
    assert_eq!(met(&reasons, &HOLDS), None, "this hold was never met");
}

#[test]
fn a_seed_tells_the_same_story_each_time() {
    for seed in 0..asked_for("SLOTD_REPLAYS").unwrap_or(REPLAYS) {
        let story = Story::draw(seed);
        let (first, second) = (tell(&story, true).world.story(), tell(&story, true).world.story());
        assert!(first == second, "seed {seed} told two stories");
    }
}

const HAPPENS: [&str; 37] = [
    "crash",
    "sick",
    "nginx_stops",
    "nginx_reloads",
    "config_broken",
    "reloads_lost",
    "nginx_hidden",
    "flag_faults",
    "include",
    "flag",
    "foreign",
    "contested",
    "reboot",
    "ledger_lost",
    "ledger_older",
    "same_app",
    "store_lost",
    "jar_bytes",
    "blind",
    "refusals",
    "memory",
    "launch_fault",
    "jar_gone",
    "hidden",
    "ambush",
    "kill",
    "refused",
    "wants",
    "apply",
    "rollback",
    "promote",
    "pause",
    "resume",
    "retry",
    "restart",
    "down",
    "ends",
];

/// Steps that no story needs.
const NO_STEP: [(&str, &str); 3] = [
    ("train", "a story is over before slotd has the leisure"),
    ("mark", "no manifest of the stories says that a release is not safe to go back from"),
    ("retire", "no story takes the service out of the manifest"),
];

/// But for `route_failed`, which a write that fails gives: too seldom to count on it in 10^6 passes.
const HOLDS: [&str; 23] = [
    "starting",
    "stopping",
    "draining",
    "reloading",
    "backing_off",
    "confirming",
    "port_taken",
    "proxy_down",
    "proxy_unverified",
    "config_broken",
    "reload_not_applied",
    "flag_unfit",
    "route_unproven",
    "low_memory",
    "artifact_missing",
    "launch_unfit",
    "process_unknown",
    "quarantined",
    "awaiting_promotion",
    "paused",
    "rolled_back",
    "hand_edited",
    "down",
];
