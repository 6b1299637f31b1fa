//! Perturbation one by one, after Sieve: each look of a reference trace in vain, each look stale, slotd killed at each change. However
//! it goes, the end is that of the reference, and so is what was done on the way.

use slotd::model::desired::{CutoverMode, Upstream};
use slotd::plan::person::Decision;

use crate::asked_for;
use crate::run::Run;
use crate::story::{Change, Kind, Origin, Setting, Story, What};
use crate::world::When;
use crate::world::manifest::webservice;

/// Every so-many-th look is perturbed in the suite; `SLOTD_EVERY=1` perturbs them all, and kills at each change.
const EVERY: u64 = 53;

/// The same of the changes at which slotd is killed.
const KILLS: u64 = 5;

/// What others notice.
const WORDS: [&str; 7] = ["install", "start", "write", "reload", "cut", "term", "kill"];

/// How a trace ends: who serves, what runs, and how often each thing was done.
#[derive(Debug, PartialEq, Eq)]
struct End {
    live: String,
    runs: Vec<String>,
    did: Vec<(&'static str, usize)>,
}

/// A few ways of a deployment, each with all the time it needs.
fn traces() -> Vec<Story> {
    let wants = |version: Kind| What::Wants(Change::Version(version));
    let says = What::Says;
    [
        ((CutoverMode::Flag, Upstream::Address), Origin::Empty, vec![wants(Kind::Good), wants(Kind::Slow)]),
        ((CutoverMode::Reload, Upstream::Address), Origin::Empty, vec![wants(Kind::Good), says(Decision::Rollback { to: None })]),
        ((CutoverMode::Flag, Upstream::Pool), Origin::Scripts, vec![wants(Kind::Exits), wants(Kind::Good)]),
        ((CutoverMode::Reload, Upstream::Address), Origin::Elsewhere, vec![says(Decision::Restart), wants(Kind::Stubborn)]),
    ]
    .map(|(mode, origin, wishes)| story(mode, origin, wishes))
    .into()
}

fn story(mode: (CutoverMode, Upstream), origin: Origin, wishes: Vec<What>) -> Story {
    let mut spec = webservice("1");
    (spec.proxy.cutover, spec.proxy.upstream) = mode;
    let policy = &mut spec.slot_policy;
    (policy.drain, policy.drain_deadline) = (std::time::Duration::from_secs(3), std::time::Duration::from_secs(20));
    policy.bake = std::time::Duration::from_secs(10);
    spec.health.deadline = std::time::Duration::from_secs(20);
    let events = (1..).map(|n| n * 100_000).zip(wishes).collect();
    Story { seed: 1, setting: Setting { spec, origin, lingering: 0 }, calm: true, events }
}

/// Tells a trace in which one thing goes wrong.
fn told(story: &Story, wrong: impl FnOnce(&Run)) -> Run {
    let mut run = Run::new(story, false);
    wrong(&run);
    run.until(run.began + 100_000 * (story.events.len() as u64 + 2));
    run
}

fn end(run: &Run) -> End {
    let state = run.world.see();
    let port = state.routes(&run.spec.proxy.include).last().flatten();
    let live = port.and_then(|port| state.at_port(port)).map(|p| p.digest.to_string());
    let mut runs: Vec<_> = state.processes.values().map(|p| p.digest.to_string()).collect();
    runs.sort();
    let did = WORDS.map(|word| (word, state.counts.get(word).copied().unwrap_or(0)));
    End { live: live.unwrap_or_default(), runs, did: did.into() }
}

/// The perturbed trace must end as the reference, but for one more of what was being done when slotd was killed; else says how not.
fn judge(story: &Story, reference: &End, run: &Run, what: &str) -> Option<String> {
    let found = end(run);
    let exits = story.events.iter().any(|(_, what)| matches!(what, What::Wants(Change::Version(Kind::Exits))));
    let struck = run.world.see().struck;
    let once_more = |(word, done): &(&'static str, usize), (_, needed): &(&'static str, usize)| {
        (*needed..=needed + more(struck, word, exits)).contains(done)
    };
    let same = found.live == reference.live && found.runs == reference.runs;
    let fine = same && found.did.iter().zip(&reference.did).all(|(done, needed)| once_more(done, needed));
    let wrong = !fine || !run.violations.is_empty();
    wrong.then(|| format!("{what}\n{story}\n{:?}\n{found:?}\n{reference:?}\n", run.violations))
}

/// What may be done more often because slotd was killed at a change.
fn more(struck: Option<(&'static str, When)>, word: &str, exits: bool) -> usize {
    match (struck, word) {
        // What runs is found by its cookie; only what has ended meanwhile was never seen, and is tried once more.
        (Some(("start", When::After)), "start") => usize::from(exits),
        // It was done and not noted.
        (Some((done, When::After)), _) if done == word => 1,
        (Some(("commit", When::Before)), "term" | "kill") => 1,
        // A reload that was noted and never sent looks like one that was lost: the include goes back and forth once.
        (Some(("reload", When::Before)), "write") => 2,
        (Some(_) | None, _) => 0,
    }
}

fn every(default: u64) -> usize {
    usize::try_from(asked_for("SLOTD_EVERY").unwrap_or(default)).unwrap()
}

/// Perturbs one look after the other; gives how many there were.
fn each_look(wrong: impl Fn(&Run, usize), what: &str) -> usize {
    let (mut all, mut wrongs) = (0, Vec::new());
    for story in traces() {
        let whole = told(&story, |_| {});
        let reference = end(&whole);
        let looks: usize = whole.world.see().sights.taken.values().sum();
        for look in (0..looks).step_by(every(EVERY)) {
            let run = told(&story, |run| wrong(run, look));
            wrongs.extend(judge(&story, &reference, &run, &format!("{what} {look}")));
            all += 1;
        }
    }
    assert!(wrongs.is_empty(), "{} of {all}:\n{}", wrongs.len(), wrongs.join("\n"));
    all
}

#[test]
fn whichever_look_is_in_vain_the_end_and_the_way_are_the_same() {
    let looks = each_look(|run, look| run.world.touch().sights.veiled = Some(look), "in vain: look");
    println!("{looks} looks");
    assert!(looks > 100);
}

#[test]
fn whichever_look_is_stale_the_end_and_the_way_are_the_same() {
    let looks = each_look(|run, look| run.world.touch().sights.stale = Some(look), "stale: look");
    println!("{looks} looks");
    assert!(looks > 100);
}

#[test]
fn at_whichever_change_slotd_is_killed_the_end_and_the_way_are_the_same() {
    let (mut all, mut wrongs) = (0, Vec::new());
    for story in traces() {
        let whole = told(&story, |_| {});
        let reference = end(&whole);
        let changes: usize = whole.world.see().counts.values().sum();
        assert!(changes > 20);
        let each = (0..changes).flat_map(|change| [(change, When::Before), (change, When::After)]);
        for (change, when) in each.step_by(every(KILLS)) {
            let run = told(&story, |run| run.world.crash_at(change, when));
            wrongs.extend(judge(&story, &reference, &run, &format!("killed {when:?} change {change}")));
            all += 1;
        }
    }
    println!("{all} changes");
    assert!(wrongs.is_empty(), "{} of {all}:\n{}", wrongs.len(), wrongs.join("\n"));
}
