//! A counterexample as a story: numbered, in the words of the glossary, the shortest there is.

use crate::act::Mind;
use crate::graph::{Graph, Violation, successors};
use crate::label::Label;
use crate::model::{Life, Text, World};

/// The story of a violation.
pub(crate) fn story(graph: &mut Graph<'_>, violation: &Violation) -> String {
    let mut path: Vec<World> = graph.path(violation.at).iter().map(|at| graph.states.items[*at as usize]).collect();
    path.extend(violation.last.iter().map(|(_, world)| *world));
    let moves = moves(&mut graph.mind, &path);
    let mut text = format!("{}\n", violation.what);
    text += &format!("    begin: {}\n", shown(&path[0]));
    for (number, ((label, world), _)) in moves.iter().zip(&path[1..]).enumerate() {
        text += &format!("{:>4}. {}{}\n          {}\n", number + 1, label, act(&graph.mind, *label), shown(world));
    }
    text
}

/// Which move leads from each state to the next.
pub(crate) fn moves(mind: &mut Mind<'_>, path: &[World]) -> Vec<(Label, World)> {
    let mut found = Vec::new();
    for pair in path.windows(2) {
        let mut all = successors(mind, &pair[0], &mut Vec::new());
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
pub(crate) fn act(mind: &Mind<'_>, label: Label) -> String {
    match label {
        Label::Look { look, .. }
        | Label::Gap { look, .. }
        | Label::Refused { look }
        | Label::Failed { look, .. }
        | Label::Step { look }
        | Label::KilledBefore { look }
        | Label::KilledBehind { look }
        | Label::Stolen { look }
            if look > 0 =>
        {
            format!(": {}", mind.looks[look as usize - 1].act)
        }
        _other => String::new(),
    }
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
    let slots: Vec<_> = world.slots.iter().zip(1..).map(|(slot, n)| one(world, *slot, n)).collect();
    let nginx = if world.nginx.up { text(world.nginx.cur, world.flags) } else { "down".to_owned() };
    let old = if world.nginx.old == Text::Absent { String::new() } else { format!(" old {}", text(world.nginx.old, world.flags)) };
    let pending = if world.nginx.pending { " pending" } else { "" };
    let cut = world.mem.cut;
    format!("{} | include {} | nginx {nginx}{old}{pending} | wish {} | cut {}->{} age {} settled {} | good {:?} quarantine {:b} deployment {} hup {:?} leaving {} proven {}",
        slots.join(", "), text(world.disk, world.flags), world.wish, cut.from, cut.to, cut.age, cut.settled, world.mem.good, world.mem.quarantine, world.mem.deployment, world.mem.hup.on.then_some((world.mem.hup.gen_, world.mem.hup.age, world.mem.hup.failed)), world.mem.leaving, world.mem.proven)
}

fn one(world: &World, slot: crate::model::Slot, n: usize) -> String {
    let rec = world.mem.recs[n - 1];
    let stranger = if slot.stranger { " +stranger" } else { "" };
    let noted = if rec.on { format!(" [rec r{}{}{}{}]", rec.rel, if rec.served { " served" } else { "" }, if rec.stopping > 0 { " stopping" } else { "" }, if rec.condemned { " condemned" } else { "" }) } else { String::new() };
    match slot.life {
        Life::None => format!("real{n} empty{stranger}{noted}"),
        life => format!("real{n} {life:?} {} {:?}{}{}{stranger}{noted}", crate::config::label(slot.rel, 0), slot.link, "", if slot.open { " open" } else { "" }),
    }
}
