//! Stories that the end-to-end harness plays on a real host (`tests/e2e/stories`): the shortest way to a state in which a seeded mutant
//! breaks a law at its next pass and the shipped planner does not, by nothing but what a real host can be made to do.

use serde_json::{Value, json};
use slotd::model::desired::{CutoverMode, OnCrash, PortConflict, Promote, Standby};
use slotd::model::status::Reason;

use crate::act::Mind;
use crate::check::violated;
use crate::config::{Begin, Config, Given, Kind, label};
use crate::family::Families;
use crate::graph::{beginning, settled, successors};
use crate::intern::Interner;
use crate::label::{Edge, Label};
use crate::model::{Life, Text, World};
use crate::moves::{Successor, Which};
use crate::mutants::{self, Mutant};
use crate::see::{Asked, Variant};
use crate::{at, only, story};

/// One story: its file, the guards that are missing, the configuration, the fault that happens, and whether slotd is killed wherever
/// it can be.
type Wanted = (&'static str, &'static [&'static str], &'static str, Option<&'static str>, bool);

const STORIES: [Wanted; 6] = [
    ("the-drain", &["the drain is skipped"], "flag", None, false),
    ("the-drain-of-a-killed-slotd", &["the drain is skipped"], "flag", None, true),
    ("the-candidate", &["the wait for a candidate is skipped"], "flag", None, false),
    ("the-live-slot", &["the live slot is stopped for the other one"], "flag", None, false),
    ("the-old-workers", &["the wait for old workers is skipped"], "reload", None, false),
    ("the-taken-port", &["strangers are not seen", "the port is not probed again"], "flag", Some("Taken"), false),
];

/// Without one guard, or without one and the one behind it.
fn without(guards: &[&str]) -> Mutant {
    let all = mutants::all();
    let known = guards.iter().filter_map(|name| all.iter().find(|m| m.name == *name));
    known.fold(Mutant::default(), |both, m| Mutant {
        name: m.name,
        blind: both.blind.or(m.blind),
        bend: both.bend.or(m.bend),
        trust: both.trust.or(m.trust),
    })
}

/// A bound against a search that finds nothing.
const STATES: usize = 60_000;

/// Whether a real host can be made to do this move here. Between a look and its step nothing can be put, a look is one of a slotd
/// that was just started, and what it counts over several looks (a live slot that answers badly, a drain) it cannot have counted.
fn playable(from: &World, edge: Edge, label: Label, fault: Option<&str>) -> bool {
    let badly = |at: u8| from.reaches(at) && matches!(from.slots[usize::from(at)].life, Life::Sick | Life::Wrong);
    match label {
        Label::Look { who: 0, fresh: false, asked: Asked::New, waits: 0, .. } => !(0..3).any(badly),
        Label::Step { .. } | Label::KilledBefore { .. } | Label::KilledBehind { .. } => true,
        _cue => from.look == 0 && cue(label).is_some() && (edge != Edge::Fault || fault == Some(label.word().as_str())),
    }
}

/// The word and the object of a move of the host, as the player knows them.
fn cue(label: Label) -> Option<(&'static str, Option<u8>)> {
    Some(match label {
        Label::Ready(at) => ("comes_up", Some(at)),
        Label::Ends(at) | Label::Crash(at) => ("crashes", Some(at)),
        Label::Ended(at) => ("has_ended", Some(at)),
        Label::InUse(at) => ("cannot_bind", Some(at)),
        Label::Reloads => ("nginx_loads", None),
        Label::OldStop => ("old_workers_stop", None),
        Label::NginxUp => ("nginx_starts", None),
        Label::NginxDies => ("nginx_dies", None),
        Label::ReloadLost => ("reload_lost", None),
        Label::Broken => ("configuration_broken", None),
        Label::Mended => ("configuration_mended", None),
        Label::Deadline(at) => ("deadline_passes", Some(at)),
        Label::StopOver(at) => ("stop_timeout_passes", Some(at)),
        Label::CutAges => ("cutover_ages", None),
        Label::HupAges => ("reload_ages", None),
        Label::Flap(at) => ("turns_sick", Some(at)),
        Label::Wrong(at) => ("answers_as_another", Some(at)),
        Label::Recovers(at) => ("recovers", Some(at)),
        Label::Taken(at) => ("port_taken", Some(at)),
        Label::Leaves(at) => ("port_left", Some(at)),
        Label::EditOther(at) => ("include_edited", Some(at)),
        Label::EditGarbage => ("include_garbled", None),
        Label::EditGone => ("include_removed", None),
        Label::FlagGone(at) => ("flag_removed", Some(at)),
        Label::FlagTooMany(at) => ("flag_set", Some(at)),
        Label::JarTorn => ("jar_torn", None),
        Label::JarGone => ("jar_gone", None),
        Label::JarBack => ("jar_back", None),
        Label::LedgerLost => ("ledger_lost", None),
        Label::Manifest(wish) => ("manifest", Some(wish)),
        Label::Reboot => ("reboot", None),
        _not_on_a_real_host => return None,
    })
}

/// What breaks when the mutant makes the next pass.
fn breaks(mutated: &mut Mind<'_>, world: &World) -> Option<String> {
    let at = mutated.decide(world, Variant::default());
    mutated.decided(at).look?;
    let (_, _, looking) =
        next(mutated, world, |l| matches!(l, Label::Look { who: 0, fresh: false, asked: Asked::New, waits: 0, .. }))?;
    let (_, label, after) = next(mutated, &looking, |l| matches!(l, Label::Step { .. } | Label::Failed { .. }))?;
    violated(mutated, &looking, label, &after)
}

fn next(mind: &mut Mind<'_>, world: &World, is: impl Fn(Label) -> bool) -> Option<Successor> {
    everything(mind, world).into_iter().find(|(_, label, _)| is(*label))
}

/// What may come next, faults of every family among it.
fn everything(mind: &mut Mind<'_>, world: &World) -> Vec<Successor> {
    let mut all = successors(mind, world, Which::Usual(Families::all()), &mut Vec::new());
    all.extend(successors(mind, world, Which::Faults(Families::all()), &mut Vec::new()));
    all
}

/// One move of a story, and the world behind it.
type Told = (Label, World);

/// Breadth first over what is playable, on the shipped planner; the way to what breaks, and the law.
fn search(
    shipped: &mut Mind<'_>,
    begin: World,
    mutant: Mutant,
    (fault, killed): (Option<&str>, bool),
) -> Option<(Vec<Told>, String)> {
    let mut mutated = Mind::new(shipped.given, mutant);
    let (mut states, mut parents) = (Interner::default(), vec![None]);
    states.put(begin);
    let mut here = 0;
    while here < states.items.len().min(STATES) {
        let world = states.items[here];
        if world.look == 0
            && let Some(law) = breaks(&mut mutated, &world)
        {
            return Some((back(&states.items, &parents, here), law));
        }
        let mut all = everything(shipped, &world);
        all.sort_by_key(|(_, label, _)| matches!(label, Label::KilledBehind { .. } | Label::KilledBefore { .. }) != killed);
        for (edge, label, to) in all {
            if playable(&world, edge, label, fault) && states.put(to).1 {
                parents.push(Some((here, label)));
            }
        }
        here += 1;
    }
    None
}

fn back(states: &[World], parents: &[Option<(usize, Label)>], mut here: usize) -> Vec<Told> {
    let mut path = Vec::new();
    while let Some((before, label)) = parents[here] {
        path.push((label, states[here]));
        here = before;
    }
    path.reverse();
    path
}

/// A story as the player reads it; see `tests/e2e/story.rs` for what each part means.
fn written(config: Config, guards: &[&str], way: (Option<&str>, bool)) -> Option<Value> {
    let mut given = config.given();
    let begin = beginning(&mut given);
    let mut mind = Mind::new(&given, Mutant::default());
    let (mut path, law) = search(&mut mind, begin, without(guards), way)?;
    let broken = path.last().map_or(begin, |(_, world)| *world);
    path.extend(pass(&mut mind, &broken));
    let last = path.last().map_or(begin, |(_, world)| *world);
    let end = settled(&given, last);
    let serves = begin.serves() && path.iter().all(|(_, world)| world.serves());
    Some(json!({
        "without": guards,
        "law": law,
        "service": service(&given),
        "begin": story::shown(&begin),
        "moves": moves(&mut mind, &path, &broken),
        "requests": if serves { "none fails" } else { "some may fail" },
        "end": ending(&mut mind, &end),
    }))
}

/// The look and the step of the shipped planner's next pass, as far as it has them.
fn pass(mind: &mut Mind<'_>, world: &World) -> Vec<Told> {
    let look = next(mind, world, |l| matches!(l, Label::Look { who: 0, fresh: false, asked: Asked::New, waits: 0, .. }));
    let Some((_, label, looking)) = look else { return Vec::new() };
    let step = if looking.look > 0 { next(mind, &looking, |l| matches!(l, Label::Step { .. })) } else { None };
    [(label, looking)].into_iter().chain(step.map(|(_, label, after)| (label, after))).collect()
}

fn service(given: &Given) -> Value {
    let Config { cutover, standby, promote, on_crash, port_conflict, begin, .. } = &given.config;
    json!({
        "begin": match begin { Begin::Serving => "serving", Begin::Empty => "empty", Begin::Scripts => "scripts" },
        "cutover": match cutover { CutoverMode::Flag => "flag", CutoverMode::Reload => "reload" },
        "standby": match standby { Standby::Stopped => "stopped", Standby::Running => "running", Standby::Frozen => "frozen" },
        "promote": match promote { Promote::Auto => "auto", Promote::Manual => "manual" },
        "on_crash": match on_crash { OnCrash::Standby => "standby", OnCrash::Restart => "restart" },
        "port_conflict": match port_conflict { PortConflict::SameApp => "same_app", PortConflict::Own => "own", PortConflict::Nothing => "nothing" },
        "manifests": given.config.wishes.iter().filter(|w| w.kind == Kind::Wanted).map(|w| label(w.rel, w.label)).collect::<Vec<_>>(),
    })
}

/// Numbered; a look and its step are one pass.
fn moves(mind: &mut Mind<'_>, path: &[Told], broken: &World) -> Vec<Value> {
    let (mut told, mut commits, mut looking) = (Vec::new(), 0, *broken);
    for (label, world) in path {
        if let Label::Look { silent, .. } = label {
            (commits, looking) = (*silent, *world);
        }
        if world.look > 0 {
            continue;
        }
        if let Label::KilledBefore { .. } | Label::KilledBehind { .. } = label {
            commits += u8::from(begins(mind, &looking));
        }
        let text = story::act(mind, *label).map_or_else(|| label.to_string(), |act| format!("{label}: {act}"));
        let mut said = one(mind, *label, commits);
        said["text"] = json!(format!("{}. {text}", told.len() + 1));
        said["then"] = then(world);
        told.push(said);
    }
    if path.last().is_none_or(|(_, last)| last == broken) {
        let text = format!("{}. slotd observes and waits", told.len() + 1);
        told.push(json!({ "move": "pass", "steps": [], "text": text, "then": then(broken) }));
    }
    told
}

/// Whether it is written down that the act begins.
fn begins(mind: &mut Mind<'_>, looking: &World) -> bool {
    next(mind, looking, |l| matches!(l, Label::KilledBefore { .. })).is_some_and(|(_, _, begun)| begun.mem != looking.mem)
}

fn one(mind: &Mind<'_>, label: Label, commits: u8) -> Value {
    let kind = story::act(mind, label).map(|act| act.kind());
    match label {
        Label::Look { .. } => json!({ "move": "pass", "steps": [] }),
        Label::Step { .. } => json!({ "move": "pass", "steps": [kind] }),
        // How often the ledger was written before: once a silent step, and once that the act begins, where that is written down.
        Label::KilledBefore { .. } => json!({ "move": "killed", "before": kind, "commits": commits }),
        Label::KilledBehind { .. } => json!({ "move": "killed", "behind": kind, "commits": commits }),
        _other => match cue(label) {
            Some((word, Some(at))) if matches!(label, Label::Manifest(_)) => json!({ "move": word, "number": at }),
            Some((word, Some(at))) => json!({ "move": word, "slot": format!("real{}", at + 1) }),
            Some((word, None)) => json!({ "move": word }),
            None => json!({ "move": label.word() }),
        },
    }
}

/// What the host shows.
fn then(world: &World) -> Value {
    let slot = |at: usize| {
        let slot = world.slots[at];
        let word = match slot.life {
            Life::None => "empty",
            Life::Ready => "ready",
            Life::Sick => "sick",
            Life::Wrong => "wrong",
            Life::Boot | Life::Ending | Life::Hung => "silent",
            Life::Frozen => "frozen",
            Life::Killed => "killed",
        };
        if matches!(slot.life, Life::Ready) { format!("{word} {}", label(slot.rel, 0)) } else { word.to_owned() }
    };
    let include = match world.disk {
        Text::Absent => "none",
        Text::Garbage => "garbage",
        Text::Plain { .. } => "plain",
        Text::Flag { .. } | Text::Line { .. } => "ours",
    };
    let calm = world.nginx.up && world.nginx.old == Text::Absent && !world.nginx.pending && world.serves();
    let route = if calm { world.reached()[0].map(|at| format!("real{}", at + 1)) } else { None };
    json!({ "real1": slot(0), "real2": slot(1), "include": include, "nginx": world.nginx.up, "route": route })
}

fn ending(mind: &mut Mind<'_>, world: &World) -> Value {
    let at = mind.decide(world, Variant::default());
    let decided = mind.decided(at);
    let reasons: Vec<_> =
        (0..).zip(Reason::ALL).filter(|(bit, _)| decided.holds & (1 << bit) != 0).map(|(_, r)| r.word()).collect();
    let live = world.reached()[0].filter(|_| world.serves()).map(|at| label(world.slots[usize::from(at)].rel, 0));
    json!({ "status": decided.status.map(|s| s.to_string()), "holds": reasons, "live": live })
}

/// `SLOTD_STORIES=write` writes them anew.
#[test]
fn the_stories_of_the_end_to_end_harness_are_those_of_the_explorer() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/stories");
    let mut wrong = Vec::new();
    for (file, guards, config, fault, killed) in STORIES {
        let config = at(u8::from(fault.is_some()), only(&[config])).pop();
        let found = config
            .and_then(|config| written(config, guards, (fault, killed)))
            .map(|story| format!("{story:#}\n"))
            .unwrap_or_default();
        let path = folder.join(format!("{file}.json"));
        if std::env::var("SLOTD_STORIES").as_deref() == Ok("write") && !found.is_empty() {
            let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, &found));
            println!("{}: {written:?}", path.display());
        }
        if std::fs::read_to_string(&path).ok().as_deref() != Some(&found) {
            wrong.push(file);
        }
    }
    assert!(wrong.is_empty(), "not what the explorer tells (SLOTD_STORIES=write): {wrong:?}");
}
