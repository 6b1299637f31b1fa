//! Which configurations are explored: a pairwise cover of everything that a manifest can say here, and a few by name.

use slotd::model::desired::{Boot, CutoverMode, OnCrash, PortConflict, Promote, Standby, Upstream};

use crate::config::{Begin, Config, Kind, Wish, wish};
use crate::family::{Families, Family};
use crate::model::{BAD, DIES, FIRST, HANGS, SECOND};

/// How many values each parameter has, in the order of [`values`].
const VALUES: [usize; 12] = [2, 2, 2, 2, 2, 2, 3, 2, 3, 4, 2, 2];

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
        attempts: 2,
        begin: Begin::Serving,
        wishes: vec![wish(FIRST), wish(SECOND)],
        slotds: 1,
        request: false,
        window: false,
        budget: 0,
        faults: Families::all(),
        exact: false,
        boot: Boot::Jar,
        upstream: Upstream::Address,
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
        named("frozen", |c| c.standby = Standby::Frozen),
        named("frozen-dies", |c| {
            c.wishes = vec![wish(FIRST), wish(DIES)];
            c.standby = Standby::Frozen;
        }),
        named("pool", |c| c.upstream = Upstream::Pool),
        named("archived", |c| c.boot = Boot::Cds),
        named("manual", |c| c.promote = Promote::Manual),
        named("words", |c| c.wishes = vec![wish(FIRST), Wish { label: 1, ..wish(FIRST) }, Wish { health: 1, ..wish(FIRST) }]),
        named("removed", |c| {
            let kind = |kind| Wish { kind, ..wish(FIRST) };
            c.wishes = vec![wish(FIRST), kind(Kind::Orphan), kind(Kind::Pruned)];
        }),
    ]
}

/// One value of a parameter; a family of faults is a parameter with the one value that it is in.
type Item = (usize, usize);

/// What makes a host large, or small, in quarters of a doubling as the explorations themselves have shown: values by themselves and
/// together, and families of faults.
const LARGE: [(&[Item], i32); 34] = [
    (&[(CUTOVER, 1)], 12),
    (&[(SLOTS, 1)], 10),
    (&[(STANDBY, 1)], 4),
    (&[FROZEN], 4),
    // Where nothing was deployed before, one release is all that is known, until a manifest asks for another one; it is a small host
    // where that never comes up.
    (&[(BEGIN, 1)], -20),
    (&[(BEGIN, 1), (GOAL, 0)], 20),
    (&[(BEGIN, 1), (GOAL, 2)], 20),
    (&[(BEGIN, 1), (PERSON, 0)], 16),
    (&[(BEGIN, 1), (MANIFEST, 0)], 24),
    (&[(BEGIN, 2)], 4),
    (&[(GOAL, 0)], 6),
    (&[(GOAL, 2)], 16),
    (&[(GOAL, 3)], 2),
    (&[(ATTEMPTS, 1)], 4),
    // What is promoted by a person alone is a candidate for ever: a release that dies at any time is a large host where it serves.
    (&[(PROMOTE, 0), (GOAL, 0)], 4),
    (&[(PROMOTE, 0), (GOAL, 2)], 14),
    (&[(PROMOTE, 0), (GOAL, 2), (STANDBY, 0)], 8),
    (&[(PROCESSES, 0)], 24),
    (&[(PROCESSES, 0), (REBOOT, 0)], 8),
    (&[(PROCESSES, 0), (SLOTS, 1)], 6),
    (&[(REBOOT, 0), (SLOTS, 1)], 4),
    (&[(PERSON, 0), (SLOTS, 1)], 6),
    (&[(GOAL, 2), (PROCESSES, 0)], 14),
    (&[(GOAL, 2), (REBOOT, 0)], 14),
    (&[(GOAL, 2), (PERSON, 0)], 10),
    (&[(GOAL, 2), (ATTEMPTS, 1)], 8),
    (&[(PORTS, 0)], 8),
    (&[(NGINX, 0)], 8),
    (&[(INCLUDE, 0)], 12),
    (&[(JARS, 0)], 6),
    (&[(LEDGER, 0)], 12),
    (&[(MANIFEST, 0)], 16),
    (&[(REBOOT, 0)], 20),
    (&[(PERSON, 0)], 20),
];

/// Where a configuration of the cover is large enough: what two values need by themselves is more than this at the most.
const ENOUGH: i32 = 32;

/// A third kind of standby: covered behind all the others, in configurations of its own.
const FROZEN: Item = (STANDBY, 2);

const CUTOVER: usize = 0;
const SLOTS: usize = 1;
const STANDBY: usize = 2;
const PROMOTE: usize = 4;
const BEGIN: usize = 8;
const GOAL: usize = 9;
const ATTEMPTS: usize = 11;
const PROCESSES: usize = of(Family::Processes);
const PORTS: usize = of(Family::Ports);
const NGINX: usize = of(Family::Nginx);
const INCLUDE: usize = of(Family::Include);
const JARS: usize = of(Family::Jars);
const LEDGER: usize = of(Family::Ledger);
const MANIFEST: usize = of(Family::Manifest);
const REBOOT: usize = of(Family::Reboot);
const PERSON: usize = of(Family::Person);

/// The parameter of a family of faults: they come behind the policies.
const fn of(family: Family) -> usize {
    VALUES.len() + family as usize
}

/// A configuration from its choices.
fn made(row: &[Item], number: usize) -> Config {
    let pick = |parameter: usize| row.iter().find(|item| item.0 == parameter).map_or(0, |item| item.1);
    let goal = [SECOND, BAD, DIES, HANGS][pick(GOAL)];
    let begin = [Begin::Serving, Begin::Empty, Begin::Scripts][pick(BEGIN)];
    let families: Vec<_> = (VALUES.len()..).zip(Family::ALL).filter(|(at, _)| row.contains(&(*at, 0))).map(|(_, f)| f).collect();
    Config {
        name: format!("pair-{number:02}"),
        cutover: [CutoverMode::Flag, CutoverMode::Reload][pick(CUTOVER)],
        slots: [2, 3][pick(SLOTS)],
        standby: [Standby::Stopped, Standby::Running, Standby::Frozen][pick(STANDBY)],
        standby_for: pick(3) == 1,
        promote: [Promote::Auto, Promote::Manual][pick(4)],
        on_crash: [OnCrash::Standby, OnCrash::Restart][pick(5)],
        port_conflict: [PortConflict::SameApp, PortConflict::Own, PortConflict::Nothing][pick(6)],
        proxied: pick(7) == 0,
        attempts: [1, 2][pick(ATTEMPTS)],
        begin,
        wishes: if begin == Begin::Serving { vec![wish(FIRST), wish(goal)] } else { vec![wish(goal), wish(FIRST)] },
        slotds: [1, 2][pick(10)],
        request: false,
        window: false,
        budget: 0,
        faults: Families::of(&families),
        exact: false,
        boot: Boot::Jar,
        upstream: Upstream::Address,
    }
}

/// Every pair of values of two parameters, of a value and a family of faults, and of two families stands in at least one of these.
pub(crate) fn pairwise() -> Vec<Config> {
    let mut rows = Vec::new();
    for mut open in [all_pairs(), pairs_with(FROZEN)] {
        while let Some(first) = open.iter().max_by_key(|(a, b)| size(&[*a, *b])).copied() {
            let row = filled(first, &open);
            open.retain(|(a, b)| !(row.contains(a) && row.contains(b)));
            rows.push(row);
        }
    }
    rows.iter().zip(1..).map(|(row, number)| made(row, number)).collect()
}

/// What the cover has to have first.
fn all_pairs() -> Vec<(Item, Item)> {
    let items = items();
    let behind = |a: Item| items.iter().filter(move |b| a.0 < b.0).map(move |b| (a, *b));
    items.iter().flat_map(|a| behind(*a)).collect()
}

/// A value that is none of those, with each of the others and each family.
fn pairs_with(value: Item) -> Vec<(Item, Item)> {
    let others = items().into_iter().filter(|item| item.0 != value.0);
    others.map(|item| if item.0 < value.0 { (item, value) } else { (value, item) }).collect()
}

/// Every value and every family.
fn items() -> Vec<Item> {
    let policies = VALUES.iter().zip(0..).flat_map(|(values, at)| (0..*values).map(move |value| (at, value)));
    policies.chain((VALUES.len()..).zip(Family::ALL).map(|(at, _)| (at, 0))).collect()
}

fn size(row: &[Item]) -> i32 {
    LARGE.iter().filter(|(items, _)| items.iter().all(|item| row.contains(item))).map(|(_, larger)| larger).sum()
}

/// Sets one pair, then each parameter and as many families to what covers most of the open pairs, as long as the host stays small.
fn filled((a, b): (Item, Item), open: &[(Item, Item)]) -> Vec<Item> {
    let mut row = vec![a, b];
    for (parameter, values) in VALUES.iter().enumerate() {
        if row.iter().all(|item| item.0 != parameter) {
            let items = (0..*values).rev().map(|value| (parameter, value));
            row.extend(items.max_by_key(|item| worth(*item, &row, open)));
        }
    }
    loop {
        let items = (VALUES.len()..VALUES.len() + Family::ALL.len()).rev().map(|at| (at, 0));
        let fits = |item: &Item| {
            let first = row.iter().all(|known| known.0 < VALUES.len());
            !row.contains(item) && (first || size(&[&row[..], &[*item]].concat()) <= ENOUGH)
        };
        let Some(best) = items.filter(fits).max_by_key(|item| worth(*item, &row, open)) else { break };
        // Faults of one family at least: a host that nothing befalls is explored by name.
        let none = row.iter().all(|item| item.0 < VALUES.len());
        if gain(best, &row, open) == 0 && !none {
            break;
        }
        row.push(best);
    }
    row
}

/// Open pairs that an item would close; it is as good as none of them where it would make the host too large.
fn worth(item: Item, row: &[Item], open: &[(Item, Item)]) -> (bool, i32, usize) {
    let after = size(&[row, &[item]].concat());
    let fits = after <= ENOUGH;
    (fits, if fits { 0 } else { -after }, gain(item, row, open))
}

fn gain(item: Item, row: &[Item], open: &[(Item, Item)]) -> usize {
    let closes = |(a, b): &&(Item, Item)| (*a == item && row.contains(b)) || (*b == item && row.contains(a));
    open.iter().filter(closes).count()
}

/// How many pairs there are.
pub(crate) fn pairs() -> usize {
    all_pairs().len() + pairs_with(FROZEN).len()
}

/// Which pairs of the values that stand in `all`, and of the families, some configurations leave out: by the configurations
/// themselves and not by how they were made.
pub(crate) fn uncovered(all: &[Config], configs: &[Config]) -> Vec<String> {
    let stands: Vec<Vec<String>> = configs.iter().map(values).collect();
    let known: Vec<Vec<String>> = all.iter().map(values).collect();
    let mut all: Vec<Vec<String>> = (0..VALUES.len())
        .map(|at| known.iter().map(|row| row[at].clone()).collect::<std::collections::BTreeSet<_>>().into_iter().collect())
        .collect();
    let families: Vec<String> = Family::ALL.iter().map(|f| format!("{f:?}")).collect();
    all.extend(families.into_iter().map(|f| vec![f]));
    let has = |row: usize, word: &String| stands[row].contains(word) || has_family(&configs[row], word);
    let met = |a: &String, b: &String| (0..configs.len()).any(|row| has(row, a) && has(row, b));
    let mut missing = Vec::new();
    for (at, values) in all.iter().enumerate() {
        let others = all[at + 1..].iter().flatten();
        for (a, b) in values.iter().flat_map(|a| others.clone().map(move |b| (a, b))) {
            missing.extend((!met(a, b)).then(|| format!("{a} with {b}")));
        }
    }
    missing
}

fn has_family(config: &Config, word: &str) -> bool {
    Family::ALL.iter().any(|f| format!("{f:?}") == word && config.faults.has(*f))
}

/// Each parameter of a configuration in a word of its own.
pub(crate) fn values(c: &Config) -> Vec<String> {
    let goal = c.wishes.iter().map(|wish| wish.rel).max().unwrap_or(FIRST);
    vec![
        format!("cutover {:?}", c.cutover),
        format!("slots {}", c.slots),
        format!("standby {:?}", c.standby),
        format!("standby_for {}", c.standby_for),
        format!("promote {:?}", c.promote),
        format!("on_crash {:?}", c.on_crash),
        format!("port_conflict {:?}", c.port_conflict),
        format!("proxied {}", c.proxied),
        format!("begin {:?}", c.begin),
        format!("goal {goal}"),
        format!("slotds {}", c.slotds),
        format!("attempts {}", c.attempts),
    ]
}
