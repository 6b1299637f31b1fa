//! Which configurations are explored: a pairwise cover of everything that a manifest can say here, and a few by name.

use slotd::model::desired::{Boot, CutoverMode, OnCrash, PortConflict, Promote, Standby};

use crate::config::{Begin, Config, Kind, Wish, wish};
use crate::model::{BAD, DIES, FIRST, HANGS, SECOND};

/// How many values each parameter has, in the order of [`made`].
const VALUES: [usize; 11] = [2, 2, 2, 2, 2, 2, 3, 2, 3, 4, 2];

/// One choice for each parameter.
type Choice = [usize; VALUES.len()];

/// The simplest one: two slots, a cutover by flag, the old slot is stopped.
pub(crate) fn plain() -> Config {
    Config {
        name: "flag".to_owned(),
        slots: 2,
        cutover: CutoverMode::Flag,
        standby: Standby::Stopped,
        standby_for: false,
        promote: Promote::Auto,
        on_crash: OnCrash::Standby,
        port_conflict: PortConflict::SameApp,
        proxied: true,
        begin: Begin::Serving,
        wishes: vec![wish(FIRST), wish(SECOND)],
        slotds: 1,
        request: false,
        window: false,
        budget: 0,
        boot: Boot::Jar,
    }
}

/// The same under another name, changed.
fn named(name: &str, change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config { name: name.to_owned(), ..plain() };
    change(&mut config);
    config
}

/// The configurations with names, which find things by themselves or reach what a pair does not.
pub(crate) fn by_name() -> Vec<Config> {
    let towards = |rel: u8| move |c: &mut Config| c.wishes = vec![wish(FIRST), wish(rel)];
    vec![
        plain(),
        named("reload", |c| c.cutover = CutoverMode::Reload),
        named("flag-bad", towards(BAD)),
        named("flag-hangs", towards(HANGS)),
        named("flag-dies", |c| {
            c.wishes = vec![wish(FIRST), wish(DIES)];
            c.standby = Standby::Running;
        }),
        named("reload-dies", |c| {
            c.cutover = CutoverMode::Reload;
            c.wishes = vec![wish(FIRST), wish(DIES)];
            c.standby = Standby::Running;
        }),
        named("window", |c| {
            c.wishes = vec![wish(FIRST), wish(HANGS)];
            c.window = true;
        }),
        named("three-slots-request", |c| {
            (c.slots, c.request, c.standby) = (3, true, Standby::Running);
        }),
        named("two-slotds", |c| c.slotds = 2),
        named("empty", |c| c.begin = Begin::Empty),
        named("scripts", |c| c.begin = Begin::Scripts),
        named("unpacked", |c| {
            (c.boot, c.wishes) = (Boot::Auto, vec![wish(FIRST), wish(DIES)]);
            c.standby = Standby::Running;
        }),
        named("archived", |c| c.boot = Boot::Cds),
        named("manual", |c| c.promote = Promote::Manual),
        named("words", |c| c.wishes = vec![wish(FIRST), Wish { label: 1, ..wish(FIRST) }, Wish { health: 1, ..wish(FIRST) }]),
        named("removed", |c| {
            let kind = |kind| Wish { kind, ..wish(FIRST) };
            c.wishes = vec![wish(FIRST), kind(Kind::Orphan), kind(Kind::Pruned)];
        }),
    ]
}

/// A configuration from its choices.
fn made(choice: Choice, number: usize) -> Config {
    let [cutover, slots, standby, standby_for, promote, on_crash, port, proxied, begin, goal, slotds] = choice;
    let goal = [SECOND, BAD, DIES, HANGS][goal];
    Config {
        name: format!("pair-{number:02}"),
        slots: [2, 3][slots],
        cutover: [CutoverMode::Flag, CutoverMode::Reload][cutover],
        standby: [Standby::Stopped, Standby::Running][standby],
        standby_for: standby_for == 1,
        promote: [Promote::Auto, Promote::Manual][promote],
        on_crash: [OnCrash::Standby, OnCrash::Restart][on_crash],
        port_conflict: [PortConflict::SameApp, PortConflict::Own, PortConflict::Nothing][port],
        proxied: proxied == 0,
        begin: [Begin::Serving, Begin::Empty, Begin::Scripts][begin],
        wishes: vec![wish(FIRST), wish(goal)],
        slotds: [1, 2][slotds],
        request: false,
        window: false,
        budget: 0,
        boot: Boot::Jar,
    }
}

/// Every pair of values of two parameters stands in at least one of these.
pub(crate) fn pairwise() -> Vec<Config> {
    let mut open: Vec<(usize, usize, usize, usize)> = Vec::new();
    for a in 0..VALUES.len() {
        for b in a + 1..VALUES.len() {
            open.extend((0..VALUES[a]).flat_map(|x| (0..VALUES[b]).map(move |y| (a, x, b, y))));
        }
    }
    let mut chosen = Vec::new();
    while let Some(&first) = open.first() {
        let choice = filled(first, &open);
        open.retain(|pair| !covers(&choice, *pair));
        chosen.push(choice);
    }
    chosen.into_iter().zip(1..).map(|(choice, number)| made(choice, number)).collect()
}

fn covers(choice: &Choice, (a, x, b, y): (usize, usize, usize, usize)) -> bool {
    choice[a] == x && choice[b] == y
}

/// Sets one pair, then each other parameter to what covers most of the open pairs so far.
fn filled((a, x, b, y): (usize, usize, usize, usize), open: &[(usize, usize, usize, usize)]) -> Choice {
    let mut choice: [Option<usize>; VALUES.len()] = [None; VALUES.len()];
    (choice[a], choice[b]) = (Some(x), Some(y));
    for at in 0..VALUES.len() {
        if choice[at].is_some() {
            continue;
        }
        let gain = |value: usize| {
            let fits = |(a, x, b, y): &(usize, usize, usize, usize)| {
                (*a == at && *x == value && choice[*b] == Some(*y)) || (*b == at && *y == value && choice[*a] == Some(*x))
            };
            open.iter().filter(|pair| fits(pair)).count()
        };
        choice[at] = (0..VALUES[at]).rev().max_by_key(|value| gain(*value));
    }
    choice.map(Option::unwrap_or_default)
}
