//! A counterexample as a story: numbered, in the words of the glossary, the shortest there is.

use slotd::plan::step::Act;

use crate::act::Mind;
use crate::config::label;
use crate::graph::{Graph, Violation, successors};
use crate::label::Label;
use crate::model::{Life, Rec, Slot, Text, World};
use crate::moves::Which;

/// The story of a violation, and the same for a machine.
pub(crate) fn story(graph: &mut Graph<'_>, violation: &Violation) -> (String, serde_json::Value) {
    let mut path: Vec<World> = graph.path(violation.at).iter().map(|at| graph.states.items[*at as usize]).collect();
    path.extend(violation.last.iter().map(|(_, world)| *world));
    let mut moves = moves(&mut graph.mind, &path);
    if let (Some(last), Some((label, _))) = (moves.last_mut(), violation.last) {
        last.0 = label;
    }
    let begin = shown(&path[0]);
    let mut text = format!("{}\n    begin: {begin}\n", violation.what);
    let mut steps = Vec::new();
    for (number, (label, world)) in moves.iter().enumerate() {
        let act = act(&graph.mind, *label);
        let said = act.as_ref().map_or_else(String::new, |act| format!(": {act}"));
        let line = format!("{:>4}. {label}{said}\n          {}\n", number + 1, shown(world));
        text.push_str(&line);
        let (word, said) = (format!("{label:?}"), label.to_string());
        steps.push(serde_json::json!({ "move": word, "text": said, "step": act, "then": shown(world) }));
    }
    let config = &graph.mind.given.specs[usize::from(path[0].wish)];
    let scenario = serde_json::json!({ "violation": violation.what, "service": config, "begin": begin, "moves": steps });
    (text, scenario)
}

/// Which move leads from each state to the next.
pub(crate) fn moves(mind: &mut Mind<'_>, path: &[World]) -> Vec<(Label, World)> {
    let mut found = Vec::new();
    for pair in path.windows(2) {
        let families = mind.given.config.faults;
        let mut all = successors(mind, &pair[0], Which::Usual(families), &mut Vec::new());
        all.extend(successors(mind, &pair[0], Which::Faults(families), &mut Vec::new()));
        all.sort_by_key(|(edge, ..)| *edge != crate::label::Edge::Fair);
        let fits = |next: &World| {
            let mut next = *next;
            crate::request::follow(&mut next);
            next == pair[1]
        };
        if let Some((_, label, next)) = all.into_iter().find(|(_, _, next)| fits(next)) {
            found.push((label, next));
        }
    }
    found
}

/// The step that a move is about.
pub(crate) fn act(mind: &Mind<'_>, label: Label) -> Option<Act> {
    let look = match label {
        Label::Look { look, .. }
        | Label::Gap { look, .. }
        | Label::Refused { look }
        | Label::Failed { look, .. }
        | Label::Step { look }
        | Label::KilledBefore { look }
        | Label::KilledBehind { look }
        | Label::Stolen { look } => look,
        _other => 0,
    };
    (look > 0).then(|| mind.looks[look as usize - 1].act.clone())
}

fn text(of: Text, flags: u8) -> String {
    let leads = of.leads(flags).map_or_else(|| "nowhere".to_owned(), |at| format!("real{}", at + 1));
    match of {
        Text::Absent => "none".to_owned(),
        Text::Garbage => "garbage".to_owned(),
        Text::Plain { .. } => format!("plain->{leads}"),
        Text::Flag { gen_ } => format!("flag#{gen_}->{leads}"),
        Text::Line { gen_, .. } => format!("line#{gen_}->{leads}"),
    }
}

/// A world in one line.
pub(crate) fn shown(world: &World) -> String {
    let World { nginx, mem, .. } = world;
    let slots: Vec<_> = world.slots.iter().zip(&mem.recs).zip(1..).map(|((slot, rec), n)| one(*slot, *rec, n)).collect();
    let runs = if nginx.up { text(nginx.cur, world.flags) } else { "down".to_owned() };
    let old = if nginx.old == Text::Absent { String::new() } else { format!(", older {}", text(nginx.old, world.flags)) };
    let pending = if nginx.pending { ", a reload on its way" } else { "" };
    let cut = mem.cut;
    let cutover = if cut.on {
        format!(" | cutover real{}->real{} age {}", cut.from.wrapping_add(1), cut.to + 1, cut.age)
    } else {
        String::new()
    };
    let quarantine = if mem.quarantine == 0 { String::new() } else { format!(" | quarantine {:b}", mem.quarantine) };
    let include = text(world.disk, world.flags);
    format!(
        "{} | include {include} | nginx {runs}{old}{pending} | manifest {}{cutover}{quarantine}",
        slots.join(", "),
        world.wish
    )
}

fn one(slot: Slot, rec: Rec, n: usize) -> String {
    let stranger = if slot.stranger { " and a stranger" } else { "" };
    let marks = [(rec.served, "served"), (rec.stopping > 0, "told to end"), (rec.condemned, "failed")];
    let marks: Vec<_> = marks.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect();
    let noted =
        if rec.on { format!(" (noted {}{})", label(rec.rel, 0), [&[""][..], &marks].concat().join(", ")) } else { String::new() };
    match slot.life {
        Life::None => format!("real{n} empty{stranger}{noted}"),
        life => format!("real{n} {life:?} {}{stranger}{noted}", label(slot.rel, 0)),
    }
}
