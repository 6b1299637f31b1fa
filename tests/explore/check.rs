//! Safety: what must hold of every transition, whoever made it. S-numbers as in the design.

use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use slotd::plan::step::Act;
use slotd::plan::{Next, ServicePlan};

use crate::act::{Decided, Look, Mind};
use crate::config::Given;
use crate::label::Label;
use crate::model::{Life, Mem, Text, World};
use crate::see::Gap;

/// What a law speaks of, each of which must come about somewhere: a law about what never happens says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Case {
    CutoverToAnother,
    IncludeMovesUsers,
    ReloadMovesUsers,
    StopOfReady,
    StopWithOlderWorkersOrReload,
    StopOfOpen,
    StopOfStanding,
    StepWhileServing,
    StartBesideServing,
    StartWhereRouted,
    StartAfterLastAttempt,
    Hold,
    StepDespiteGap,
    StartWhilePaused,
    EndConverged,
    EndHeld,
}

impl Case {
    pub(crate) const ALL: [Self; 16] = [
        Self::CutoverToAnother,
        Self::IncludeMovesUsers,
        Self::ReloadMovesUsers,
        Self::StopOfReady,
        Self::StopWithOlderWorkersOrReload,
        Self::StopOfOpen,
        Self::StopOfStanding,
        Self::StepWhileServing,
        Self::StartBesideServing,
        Self::StartWhereRouted,
        Self::StartAfterLastAttempt,
        Self::Hold,
        Self::StepDespiteGap,
        Self::StartWhilePaused,
        Self::EndConverged,
        Self::EndHeld,
    ];

    /// Notes that it has come about, if it has.
    pub(crate) fn note(self, is_so: bool) {
        let bit = 1 << self as u32;
        if is_so && MET.load(Relaxed) & bit == 0 {
            MET.fetch_or(bit, Relaxed);
        }
    }

    /// Whether it has come about in this process.
    pub(crate) fn is_met(self) -> bool {
        MET.load(Relaxed) & (1 << self as u32) != 0
    }
}

/// One bit for each case that was met.
static MET: AtomicU32 = AtomicU32::new(0);

/// S10 and S14: no hold without a word, an end and a time; nothing pending behind "converged".
pub(crate) fn wordless(planned: &ServicePlan) -> Option<String> {
    let mute =
        planned.holds.iter().find(|h| h.detail.is_empty() || h.until.is_empty() || h.again.is_zero() && h.wakes.is_empty());
    Case::Hold.note(!planned.holds.is_empty());
    if let Some(hold) = mute {
        return Some(format!("S14: the hold {} does not say what, until when or when to look", hold.reason));
    }
    match &planned.next {
        Next::Hold if planned.holds.is_empty() => Some("S14: a hold without a reason".to_owned()),
        Next::Step(step) if planned.status == slotd::model::status::Status::Converged && step.act.is_visible() => {
            Some(format!("S10: converged, and still to do: {}", step.act))
        }
        Next::Step(_) | Next::Hold | Next::Nothing => None,
    }
}

/// Acts that lead traffic elsewhere or end a process.
const GRAVE: [&str; 6] = ["write_include", "reload", "cutover", "stop", "freeze", "kill"];

/// Law 5: a fact that cannot be read may hold a step up, but none of weight is taken that the whole look does not take.
pub(crate) fn rash(looks: &[Rc<Look>], (world, gap): (&World, Gap), decided: &Decided, whole: &Decided) -> Option<String> {
    let act = |of: &Decided| of.look.map(|look| &looks[look as usize - 1].act);
    let known = behind(world, whole);
    Case::StepDespiteGap.note(act(decided).is_some_and(|act| GRAVE.contains(&act.kind())));
    let seen = act(decided).filter(|now| is_blind((world, &known), gap, now, act(whole)) && act(whole) != Some(now));
    let done = written(&world.mem, &behind(world, decided).mem, &known.mem, gap).map(str::to_owned);
    let what = done.or_else(|| seen.map(ToString::to_string));
    let instead = act(whole).map_or_else(|| "nothing".to_owned(), ToString::to_string);
    what.map(|act| format!("S15: `{act}` when {gap:?} cannot be read, where the whole look does {instead}"))
}

/// The host with what the silent steps of a look have written down.
fn behind(world: &World, decided: &Decided) -> World {
    decided.silent.last().map_or(*world, |(_, trace)| trace.on(*world))
}

/// Whether a step is of weight where a fact could not be read; `known` is the host as the whole look leaves it.
fn is_blind((world, known): (&World, &World), gap: Gap, now: &Act, whole: Option<&Act>) -> bool {
    let real = |at: u8| format!("real{}", at + 1);
    // The slot that an act leads traffic to: the whole look may take it there by a flag, where without a witness the file is written.
    let leads = |act: &Act| match act {
        Act::Cutover { to, .. } | Act::WriteInclude { live: to, .. } => Some(to.clone()),
        _other => None,
    };
    match (now, gap) {
        (Act::WriteInclude { .. }, Gap::Include) => true,
        // Words that lead nobody elsewhere may come before what the whole look takes first, and be loaded once more.
        (Act::WriteInclude { live, .. }, _other) => {
            world.reached()[0].is_some_and(|at| live.as_str() != real(at)) && whole.and_then(leads).as_ref() != Some(live)
        }
        (Act::Reload { moves: None, .. }, _any) => false,
        (Act::Start { slot, .. }, Gap::Process(at) | Gap::Port(at)) => slot.as_str() == real(at),
        // What is ended anyway may be ended earlier while something else is held up: what a person takes down, what has failed by the
        // whole look too, as a candidate, which S8 does not protect either, or without an answer, or beside another slot that serves,
        // and what has not come up in time.
        (Act::Stop { slot, .. } | Act::Freeze { slot, .. } | Act::Kill { slot, .. }, _any) => {
            let late = |at: u8| known.mem.recs[usize::from(at)].past && known.slots[usize::from(at)].life == Life::Boot;
            let beside = |at: u8| known.serves() && !known.reaches(at);
            let given_up = |at: u8| {
                known.mem.recs[usize::from(at)].condemned && (known.slots[usize::from(at)].life != Life::Ready || beside(at))
            };
            let over = (0..3).any(|at| slot.as_str() == real(at) && (failed(known, at) || given_up(at) || late(at)));
            !world.mem.down && !over
        }
        (act, _any) => GRAVE.contains(&act.kind()),
    }
}

/// What is said for good of a slot's process, or of its release, that could not be read: that it has failed, or is gone. What is said
/// of another slot may come first where a step before it is held up.
fn written(before: &Mem, after: &Mem, whole: &Mem, gap: Gap) -> Option<&'static str> {
    let Gap::Process(at) = gap else { return None };
    let rec = |mem: &Mem| mem.recs[usize::from(at)];
    let of = rec(before);
    let quarantined = |mem: &Mem| mem.quarantine & (1 << of.rel.min(7)) != 0;
    let elsewhere = before.recs.iter().filter(|other| other.on && other.rel == of.rel).count() > 1;
    let more = |is: &dyn Fn(&Mem) -> bool| is(after) && !is(before) && !is(whole);
    match () {
        () if !of.on => None,
        () if more(&|mem| !rec(mem).on) => Some("forget"),
        () if more(&|mem| rec(mem).condemned) || more(&|mem| !rec(mem).process && !rec(mem).cookie) => Some("record_failure"),
        () if more(&quarantined) && !elsewhere => Some("quarantine"),
        () => None,
    }
}

/// What a transition breaks.
pub(crate) fn violated(mind: &Mind<'_>, before: &World, label: Label, after: &World) -> Option<String> {
    let given = mind.given;
    if let Some(wrong) = crate::request::wrong(given, before, after) {
        return Some(wrong);
    }
    let look = match label {
        Label::Step { look } | Label::KilledBehind { look } | Label::Stolen { look } => &mind.looks[look as usize - 1],
        Label::Failed { look, .. } | Label::KilledBefore { look } => {
            let act = &mind.looks[look as usize - 1].act;
            return kept(before, after, act);
        }
        _other => return None,
    };
    let found = match &look.act {
        Act::Stop { slot, .. } | Act::Freeze { slot, .. } | Act::Kill { slot, .. } => stop(before, given.slot(slot), &look.act),
        Act::Start { slot, .. } => start(given, before, after, given.slot(slot), look),
        Act::Cutover { to, .. } => leads(given, before, given.slot(to), "S1: a cutover"),
        Act::WriteInclude { live, .. } => write(given, before, given.slot(live)),
        Act::Reload { .. } => reload(given, before),
        _other => None,
    };
    found.or_else(|| kept(before, after, &look.act))
}

/// The sentence of the issue: no step of slotd takes the service away from those who have it.
fn kept(before: &World, after: &World, act: &Act) -> Option<String> {
    Case::StepWhileServing.note(before.serves());
    let broken = before.serves() && !after.serves() && !before.mem.down && act.is_visible() && before.nginx.up;
    (broken && !retiring(before)).then(|| format!("S8: users had the service, and `{act}` took it away"))
}

/// A service that is pruned goes down, as a person said.
fn retiring(world: &World) -> bool {
    world.mem.down || PRUNED.with(|p| p.get() & (1 << world.wish) != 0)
}

thread_local! {
    /// Which manifests prune the service, one bit each; set once an exploration.
    static PRUNED: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Notes which manifests prune.
pub(crate) fn note_pruned(given: &Given) {
    let prunes = given.config.wishes.iter().zip(0..).filter(|(w, _)| w.kind == crate::config::Kind::Pruned);
    PRUNED.with(|p| p.set(prunes.fold(0, |set, (_, at)| set | (1 << at))));
}

/// S3, S4, S8: who may be signalled.
fn stop(world: &World, at: u8, act: &Act) -> Option<String> {
    let slot = world.slots[usize::from(at)];
    let meant = match act {
        Act::Stop { process, .. } | Act::Freeze { process, .. } => *process == crate::ledger::identity(at, slot),
        Act::Kill { processes, .. } => processes.contains(&crate::ledger::identity(at, slot)),
        _other => false,
    };
    if !slot.there() || !meant || retiring(world) {
        return None;
    }
    if !crate::see::is_known(slot) {
        return Some(format!("S4: `{act}` signals a process that is nobody's of ours"));
    }
    let routed = world.reaches(at) || world.disk.leads(world.flags) == Some(at);
    let serving = matches!(slot.life, Life::Ready);
    // nginx that is down goes where the file leads when it starts; where that is gone, where slotd writes it back to.
    let written = if world.disk == Text::Absent { world.mem.route } else { world.disk };
    let led = |o: u8| world.reaches(o) || (!world.nginx.up && written.leads(world.flags) == Some(o));
    let other = (0..3).any(|o| o != at && world.slots[usize::from(o)].life == Life::Ready && led(o));
    let pending = world.nginx.up && world.nginx.pending && world.disk.leads(world.flags) == Some(at);
    Case::StopOfReady.note(serving && other);
    Case::StopWithOlderWorkersOrReload.note(serving && (world.nginx.pending || world.nginx.old != Text::Absent));
    Case::StopOfOpen.note(serving && slot.open && world.mem.cut.age == 2);
    Case::StopOfStanding.note(!serving && routed);
    match () {
        () if serving && routed => Some(format!("S3: `{act}` while requests are routed there")),
        () if serving && pending => Some(format!("S3: `{act}` while a reload that leads there is on its way")),
        () if serving && !other && !failed(world, at) => Some(format!("S8: `{act}`, and no other slot that answers is reached")),
        () if serving && slot.open && is_left(world, at) => Some(format!("S3: `{act}` before it has drained")),
        () => None,
    }
}

/// A candidate that has failed has served nobody, and will not.
fn failed(world: &World, at: u8) -> bool {
    let rec = world.mem.recs[usize::from(at)];
    rec.condemned && !rec.served
}

/// Whether a cutover of ours left a slot before its deadline: the last one, where it led to the slot that is reached, or one before it.
fn is_left(world: &World, at: u8) -> bool {
    let cut = world.mem.cut;
    let last = cut.on && cut.this_boot && cut.from == at && cut.age < 2 && world.reaches(cut.to);
    last || world.mem.recs[usize::from(at)].left
}

/// S5, S6, S12: where and what may be started.
fn start(given: &Given, before: &World, after: &World, at: u8, look: &Look) -> Option<String> {
    let Act::Start { serves, .. } = &look.act else { return None };
    let slot = before.slots[usize::from(at)];
    let old = before.nginx.up && before.nginx.old != Text::Absent && before.nginx.old.leads(before.flags) == Some(at);
    let coming = before.nginx.up && before.nginx.pending && before.disk.leads(before.flags) == Some(at);
    let others =
        (0..given.config.slots).any(|o| o != at && before.reaches(o) && before.slots[usize::from(o)].life == Life::Ready);
    Case::StartBesideServing.note(others);
    Case::StartWhereRouted.note(*serves && before.reaches(at));
    Case::StartAfterLastAttempt.note(after.tries == given.config.attempts && others);
    Case::StartWhilePaused.note(before.mem.paused && others);
    match () {
        () if slot.there() => Some(format!("S6: `{}` beside a process that is there", look.act)),
        () if slot.stranger => Some(format!("S5: `{}` on a port that is taken", look.act)),
        // A restart where the route leads is for requests that find nobody there; it is no worse for them when the route moves meanwhile.
        () if others && (old || before.reaches(at)) && !serves => {
            Some(format!("S5: `{}` where requests are still routed", look.act))
        }
        () if others && coming && !serves => Some(format!("S5: `{}` where a reload is about to lead", look.act)),
        () if before.mem.paused && others && !serves && moves_on(given, before, at, look) => {
            Some(format!("S16: `{}` although a person paused deployments", look.act))
        }
        () if after.tries > given.config.attempts && others && !serves => {
            Some(format!("S12: `{}` for the time after max_attempts", look.act))
        }
        () => None,
    }
}

/// Whether a start is for a release that does not serve yet.
fn moves_on(given: &Given, world: &World, at: u8, look: &Look) -> bool {
    let Act::Start { release, .. } = &look.act else { return false };
    let known = given.releases.iter().position(|r| r[0].id == *release);
    known.is_some_and(|rel| {
        (0..given.config.slots).all(|o| o == at || !world.reaches(o) || usize::from(world.slots[usize::from(o)].rel) != rel)
    })
}

/// S1: traffic is led only to a process of ours that answers, and may.
fn leads(given: &Given, world: &World, to: u8, what: &str) -> Option<String> {
    let slot = world.slots[usize::from(to)];
    let rec = world.mem.recs[usize::from(to)];
    let quarantined = rec.on && rec.rel < 8 && world.mem.quarantine & (1 << rec.rel) != 0;
    let from = world.reached()[0].filter(|from| *from != to);
    Case::CutoverToAnother.note(from.is_some());
    // What somebody else has started there is nothing that slotd could have known of.
    let better =
        from.map(|from| world.slots[usize::from(from)]).is_some_and(|s| s.life == Life::Ready && crate::see::is_known(s));
    match () {
        () if !slot.alive() => Some(format!("{what} leads to {}, where nothing of ours runs", given.name(to))),
        () if !crate::see::is_known(slot) => Some(format!("{what} leads to {}, which is not known", given.name(to))),
        () if quarantined && better => Some(format!("{what} leads to a release in quarantine on {}", given.name(to))),
        () => None,
    }
}

/// S1 for the include: what it will lead to at the next reload of anybody must be able to serve, or be no worse than before.
fn write(given: &Given, world: &World, live: u8) -> Option<String> {
    let serves = world.nginx.up && world.serves();
    let moves = world.reached()[0] != Some(live);
    Case::IncludeMovesUsers.note(serves && moves);
    if serves && moves { leads(given, world, live, "S1: the include") } else { None }
}

/// S2: a reload is sent only for an include that parses and leads to something that can serve.
fn reload(given: &Given, world: &World) -> Option<String> {
    let to = world.disk.leads(world.flags);
    Case::ReloadMovesUsers.note(world.serves() && world.reached()[0] != to);
    match to {
        None => Some("S2: a reload of an include that does not parse".to_owned()),
        Some(to) if world.serves() && world.reached()[0] != Some(to) => leads(given, world, to, "S2: a reload"),
        Some(_) => None,
    }
}
