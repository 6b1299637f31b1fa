//! One exploration from beginning to table row, with everything that it must not find.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::config::{Config, Given};
use crate::family::Families;
use crate::graph::{Bounds, Graph, Met, Violation, beginning, successors};
use crate::label::Label;
use crate::liveness::components;
use crate::model::World;
use crate::moves::Which;
use crate::mutants::Mutant;
use crate::{fair, story, terminal};

/// What an exploration came to.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) budget: u8,
    pub(crate) faults: String,
    pub(crate) states: usize,
    pub(crate) transitions: u64,
    pub(crate) longest: u32,
    pub(crate) took: Duration,
    /// How the fair part ends, and how often.
    pub(crate) ends: BTreeMap<String, usize>,
    /// What was broken, each with its story.
    pub(crate) broken: Vec<String>,
    /// Moves from the beginning to the first that was broken.
    pub(crate) depth: Option<usize>,
    pub(crate) met: Met,
}

/// Explores a configuration, checks safety and liveness, tells the stories of what is broken.
pub(crate) fn run(config: Config, mutant: Mutant, bounds: Bounds) -> Row {
    let (name, budget, faults) = (config.name.clone(), config.budget, config.faults.words());
    let mut given = config.given();
    let begin = beginning(&mut given);
    let mut graph = Graph::explore(&given, mutant, begin, bounds);
    let (mut longest, mut ends) = (0, BTreeMap::new());
    if !bounds.first || graph.violations.is_empty() {
        longest = live(&mut graph);
        ends = finish(&given, &mut graph);
    }
    let found = graph.violations.clone();
    let broken = if bounds.first {
        found.iter().map(|v| v.what.clone()).collect()
    } else {
        found.iter().zip(1..).map(|(v, n)| told(&mut graph, v, &format!("{name}-{budget}-{n}"))).collect()
    };
    let depth = found.first().map(|v| graph.path(v.at).len() - 1 + usize::from(v.last.is_some()));
    Row {
        name,
        budget,
        faults,
        depth,
        states: graph.states.items.len(),
        transitions: graph.transitions,
        longest,
        took: graph.took,
        ends,
        broken,
        met: graph.met,
    }
}

/// Explores each configuration, two at a time because that is what a runner has, the largest first by a guess at their size.
pub(crate) fn every(configs: &[Config], bounds: Bounds, size: impl Fn(&Config) -> u64) -> Vec<Row> {
    let mut order: Vec<usize> = (0..configs.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(size(&configs[*at])));
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(at) = order.get(next.fetch_add(1, Relaxed)) {
            let row = run(configs[*at].clone(), Mutant::default(), bounds);
            rows.lock().unwrap_or_else(PoisonError::into_inner).push((*at, row));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by_key(|(at, _)| *at);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// A story as text, and as a file for the end-to-end harness.
fn told(graph: &mut Graph<'_>, violation: &Violation, file: &str) -> String {
    let (text, scenario) = story::story(graph, violation);
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("explore-{file}.json"));
    let written = std::fs::write(&path, format!("{scenario:#}\n"));
    let place = written.map_or_else(|error| error.to_string(), |()| path.display().to_string());
    format!("{text}    scenario: {place}\n")
}

/// L3: no cycle goes on for ever; gives the moves of the longest fair path.
fn live(graph: &mut Graph<'_>) -> u32 {
    let parts = components(graph);
    for members in &parts.cyclic {
        if fair::goes_on(graph, &parts.of, members) && !nothing_else(graph, members) {
            let at = members.iter().copied().min().unwrap_or(0);
            if std::env::var_os("CYCLE").is_some() {
                cycle(graph, members, at);
            }
            graph.violate(format!("L3: a fair cycle (of {} states)", members.len()), at, None);
        }
    }
    parts.longest
}

/// Whether nothing of ours answers and nothing is known, with its jar, but one release that never comes up: it is started ever more slowly and never given
/// up, because there is nothing to give it up for. That is the planner's promise for such a host, so it is no cycle without progress.
fn nothing_else(graph: &Graph<'_>, members: &[u32]) -> bool {
    let bad = (1 << crate::model::BAD) | (1 << crate::model::HANGS);
    members.iter().map(|at| graph.states.items[*at as usize]).all(|world| {
        let usable = world.mem.releases & !world.mem.quarantine & world.stored;
        world.slots.iter().all(|slot| slot.life != crate::model::Life::Ready || !crate::see::is_known(*slot))
            && usable & !bad == 0
    })
}

/// Prints one way round, for whoever looks for the reason.
fn cycle(graph: &mut Graph<'_>, members: &[u32], from: u32) {
    let mut here = from;
    for _ in 0..40 {
        let Some(next) = graph.fair_from(here).iter().copied().find(|to| members.contains(to)) else { return };
        let pair = [graph.states.items[here as usize], graph.states.items[next as usize]];
        for (label, world) in story::moves(&mut graph.mind, &pair) {
            let act = story::act(&graph.mind, label).map_or_else(String::new, |act| act.to_string());
            println!("   round: {label} {act}\n          {}", story::shown(&world));
        }
        here = next;
        if here == from {
            return;
        }
    }
}

/// L1 and L2: every end is a good one.
fn finish(given: &Given, graph: &mut Graph<'_>) -> BTreeMap<String, usize> {
    let mut ends = BTreeMap::new();
    for at in 0..u32::try_from(graph.starts.len() - 1).unwrap_or(0) {
        if !graph.fair_from(at).is_empty() {
            continue;
        }
        let world = graph.states.items[at as usize];
        let holds = if world.look > 0 { kept_from(graph, &world) } else { held(graph, &world) };
        match terminal::classify(given, &world, holds) {
            Ok(class) => *ends.entry(class).or_default() += 1,
            Err(what) => graph.violate(what, at, None),
        }
    }
    ends
}

/// The reasons for which nothing is done.
fn held(graph: &mut Graph<'_>, world: &World) -> u64 {
    let decided = graph.mind.decide(world, crate::see::Variant::default());
    graph.mind.decided(decided).holds
}

/// The reason for which the host keeps a step from being done.
fn kept_from(graph: &mut Graph<'_>, world: &World) -> u64 {
    let all = successors(&mut graph.mind, world, Which::Usual(Families::none()), &mut Vec::new());
    let reason = |label: Label| if let Label::Failed { reason, .. } = label { Some(reason) } else { None };
    all.into_iter().filter_map(|(_, label, _)| reason(label)).fold(0, |all, reason| all | (1 << reason))
}

/// The most memory that this process has had (`VmHWM` of `/proc/self/status`, proc(5)).
pub(crate) fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |kib| kib.trim().to_owned())
}

/// The table.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text =
        "| configuration | fault budget | faults of | states | transitions | longest fair path | broken | time |\n".to_owned();
    text += "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for row in rows {
        let Row { name, budget, faults, states, transitions, longest, broken, took, .. } = row;
        let (broken, took) = (broken.len(), took.as_secs_f64());
        let line = format!("| {name} | {budget} | {faults} | {states} | {transitions} | {longest} | {broken} | {took:.2} s |\n");
        text.push_str(&line);
    }
    let (states, transitions) = (rows.iter().map(|r| r.states).sum::<usize>(), rows.iter().map(|r| r.transitions).sum::<u64>());
    let longest = rows.iter().map(|r| r.longest).max().unwrap_or(0);
    let broken: usize = rows.iter().map(|r| r.broken.len()).sum();
    let took: Duration = rows.iter().map(|r| r.took).sum();
    text + &format!("| all | | | {states} | {transitions} | {longest} | {broken} | {:.2} s |\n", took.as_secs_f64())
}
