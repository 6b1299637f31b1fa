//! slotd itself as moves: a look, a visible step with its precondition, and a kill at every point between.

use slotd::model::boot::BootForm;
use slotd::model::id::SlotName;
use slotd::model::route::RouteForm;
use slotd::model::status::Reason;
use slotd::plan::precondition::still_so;
use slotd::plan::step::Act;

use crate::act::{Decided, Fresh, Half, Look, Mind};
use crate::config::Given;
use crate::family::Family;
use crate::label::{Edge, Label};
use crate::ledger::identity;
use crate::model::{Jar, Life, Link, Slot, World};
use crate::moves::{Out, left};
use crate::see::{Pause, Variant, gaps, pauses, variants};

/// The reason number of a failure that is nobody's decision.
const NOBODY: u8 = u8::MAX;

/// What a look decided, for whoever keeps the books.
pub(crate) struct Seen {
    pub(crate) decided: u32,
}

/// Every move of slotd.
pub(crate) fn slotd(mind: &mut Mind<'_>, out: &mut Out<'_>, seen: &mut Vec<Seen>) {
    // nginx's checks for one request are three looks at a folder; between two of them there is no time for a whole look at the host,
    // so that one step at the most falls into a request.
    if out.from.look == 0 && out.from.request.stage == 0 {
        for who in 0..mind.given.config.slotds {
            looks(mind, out, who, seen);
        }
        verbs(mind, out);
    } else if out.from.look > 0 {
        let look = mind.looks[out.from.look as usize - 1].clone();
        step(mind, out, &look);
    }
}

/// A slotd that is started again has asked nobody yet.
fn restarted(mut world: World) -> World {
    world.look = 0;
    (world.nginx.cur_looked, world.nginx.old_looked) = (false, false);
    world
}

/// The first slotd looks again and again; the second one may. Who it is that looks is not part of the state: the lock of a pass lets
/// one at a time, and neither has a memory of its own beyond it but the answers that it has counted, which `fresh` takes away. One
/// that is killed between its look and its precondition leaves the world as it is without that look.
///
/// Liveness counts on looks that find every pause over.
fn looks(mind: &mut Mind<'_>, out: &mut Out<'_>, who: u8, seen: &mut Vec<Seen>) {
    let edge = if who == 0 { Edge::Fair } else { Edge::Free };
    let asked = variants(out.from).iter().map(|asked| (edge, Variant { asked: *asked, ..Variant::default() }));
    let alive = out.from.slots.iter().any(|s| s.alive());
    let fresh = alive.then_some((Edge::Free, Variant { fresh: true, ..Variant::default() }));
    let gaps = if out.wants(Family::Unread) && who == 0 { gaps(mind.given) } else { Vec::new() };
    let blind = gaps.into_iter().map(|gap| (Edge::Fault, Variant { gap: Some(gap), ..Variant::default() }));
    let pauses = pauses(mind.given, out.from);
    let usual = (!is_held_up(mind, out.from, Variant::default(), &pauses)).then(|| mind.decide(out.from, Variant::default()));
    for (edge, variant) in asked.chain(fresh).chain(blind) {
        one(mind, out, (who, edge), variant, seen);
        // What no pause holds up when all can be seen, none holds up either when a part of it cannot and the same is decided.
        let at = mind.decide(out.from, variant);
        if usual.is_none_or(|usual| !mind.decided(at).does_as(mind.decided(usual))) {
            paused(mind, out, (who, edge), variant, &pauses, seen);
        }
    }
}

/// Whether pauses that are not over make a difference to a look: where not one of all of them does, none of them does, and what does
/// nothing is held up by nothing.
fn is_held_up(mind: &mut Mind<'_>, world: &World, over: Variant, pauses: &[Pause]) -> bool {
    let Some(all) = pauses.first() else { return false };
    let plain = mind.decide(world, over);
    if mind.decided(plain).does_as(&Decided::default()) {
        return false;
    }
    let at = mind.decide(world, Variant { pause: *all, ..over });
    !mind.decided(at).does_as(mind.decided(plain))
}

/// The same look while pauses are not over, where that makes a difference.
fn paused(
    mind: &mut Mind<'_>,
    out: &mut Out<'_>,
    (who, edge): (u8, Edge),
    over: Variant,
    pauses: &[Pause],
    seen: &mut Vec<Seen>,
) {
    let edge = if edge == Edge::Fault { Edge::Fault } else { Edge::Free };
    if !is_held_up(mind, out.from, over, pauses) {
        return;
    }
    let plain = mind.decide(out.from, over);
    for pause in pauses {
        let variant = Variant { pause: *pause, ..over };
        let at = mind.decide(out.from, variant);
        if !mind.decided(at).does_as(mind.decided(plain)) {
            one(mind, out, (who, edge), variant, seen);
        }
    }
}

/// One look: its silent steps, each of which slotd may be killed behind, and the visible one that it goes on to.
fn one(mind: &mut Mind<'_>, out: &mut Out<'_>, (who, edge): (u8, Edge), variant: Variant, seen: &mut Vec<Seen>) {
    let at = mind.decide(out.from, variant);
    seen.push(Seen { decided: at });
    let decided = mind.decided(at);
    let (look, silent) = (decided.look.unwrap_or(0), u8::try_from(decided.silent.len()).unwrap_or(u8::MAX));
    let traces: Vec<_> = decided.silent.iter().map(|(_, trace)| *trace).collect();
    let mut world = traces.last().map_or(*out.from, |trace| trace.on(*out.from));
    if look > 0 {
        world.look = look;
        let reloads = matches!(mind.looks[look as usize - 1].act, Act::Reload { .. });
        world.nginx.cur_looked = reloads;
        world.nginx.old_looked = reloads && world.nginx.old != crate::model::Text::Absent;
    }
    let label = match variant.gap {
        None => Label::Look { who, fresh: variant.fresh, asked: variant.asked, waits: variant.pause.after, look, silent },
        Some(gap) => Label::Gap { who, gap, look, silent },
    };
    out.add(edge, label, world);
    let died = traces.iter().take(traces.len().saturating_sub(usize::from(look == 0)));
    for (trace, silent) in died.zip(1..) {
        let killed = if edge == Edge::Fault { Edge::Fault } else { Edge::Free };
        out.add(killed, Label::KilledSilent { silent }, restarted(trace.on(*out.from)));
    }
}

/// What a person decides.
fn verbs(mind: &mut Mind<'_>, out: &mut Out<'_>) {
    if !out.wants(Family::Person) {
        return;
    }
    for (word, trace) in mind.verbs(out.from) {
        let mut world = trace.on(*out.from);
        world.tries = if matches!(word, "retry" | "rollback" | "restart") { 0 } else { world.tries };
        out.add(Edge::Fault, Label::Verb(word), world);
    }
}

/// The visible step.
fn step(mind: &mut Mind<'_>, out: &mut Out<'_>, look: &Look) {
    let given = mind.given;
    let number = out.from.look;
    let mut idle = *out.from;
    idle.look = 0;
    (idle.nginx.cur_looked, idle.nginx.old_looked) = (false, false);
    if still_so(&look.facts, &Fresh { given, world: out.from }).is_err() {
        out.add(Edge::Fair, Label::Refused { look: number }, idle);
        return;
    }
    let mut begun = mind.note(out.from, look, None, Half::Before);
    begun.look = 0;
    (begun.nginx.cur_looked, begun.nginx.old_looked) = (false, false);
    out.add(Edge::Free, Label::KilledBefore { look: number }, restarted(begun));
    let mut done = begun;
    match effect(given, &mut done, look) {
        Err(reason) => {
            // A step that the host keeps from being done, that changed nothing and that the next look decides on again, is a hold with
            // that reason: trying again every second is how slotd waits for the host, so it is the host's move that ends it, not this
            // one. When the last reload was sent, and the cutover that it was to be, is no change either: it is tried again half a
            // minute later each time.
            let still = |mut world: World| {
                (world.mem.hup.age, world.mem.cut.age) = (2, 2);
                world.canonical()
            };
            let again = mind.decide(&idle, Variant::default());
            let same = mind.decided(again).look == Some(number);
            let waits = reason != NOBODY && same && still(done) == still(idle);
            let edge = if waits { Edge::Free } else { Edge::Fair };
            out.add(edge, Label::Failed { look: number, reason }, done);
        }
        Ok(started) => finish(mind, out, look, done, started),
    }
}

/// The act is done: it is written down, or slotd is killed before that.
fn finish(mind: &mut Mind<'_>, out: &mut Out<'_>, look: &Look, done: World, started: Option<u8>) {
    let number = out.from.look;
    out.add(Edge::Free, Label::KilledBehind { look: number }, restarted(linked(done, started)));
    let looking = World { look: number, ..done };
    let noted = World { look: 0, ..mind.note(&looking, look, started, Half::After) };
    if let Some(at) = started {
        let mut stolen = noted;
        stolen.slots[usize::from(at)].stranger = true;
        out.add(Edge::Fault, Label::Stolen { look: number }, stolen);
    }
    out.add(Edge::Fair, Label::Step { look: number }, noted);
}

/// The cookie of what was started is in the ledger already. A start that slotd died in may be one too many (E1 of the design).
fn linked(mut world: World, started: Option<u8>) -> World {
    if let Some(at) = started {
        world.tries = world.tries.saturating_sub(1);
        world.slots[usize::from(at)].link = Link::Cookie;
    }
    world
}

fn reason(reason: Reason) -> u8 {
    Reason::ALL.iter().position(|r| *r == reason).and_then(|at| u8::try_from(at).ok()).unwrap_or(NOBODY)
}

/// What the act does to the host; gives the slot that was started, or why it failed.
fn effect(given: &Given, world: &mut World, look: &Look) -> Result<Option<u8>, u8> {
    let before = world.reached();
    match &look.act {
        Act::Install { release } => install(given, world, &release.digest)?,
        Act::Unpack { digest, .. } => unpack(world, digest)?,
        Act::Train { release, .. } => train(given, world, release)?,
        Act::WriteInclude { form, live, .. } => write(given, world, *form, live)?,
        Act::Reload { .. } => reload(world, look)?,
        Act::TidyFlags { slots } => slots.iter().for_each(|slot| world.flags &= !(1 << given.slot(slot))),
        Act::Start { slot, release, boot, .. } => return start(given, world, given.slot(slot), (release, boot)).map(Some),
        Act::Cutover { from, to, .. } => cut(world, look, given.slot(from), given.slot(to))?,
        Act::Stop { slot, process, .. } => signal(world, given.slot(slot), process, Life::Ending),
        Act::Kill { slot, processes } => {
            processes.iter().for_each(|process| signal(world, given.slot(slot), process, Life::Killed));
        }
        Act::Freeze { slot, process, .. } => signal(world, given.slot(slot), process, Life::Frozen),
        Act::Thaw { slot, process } => signal(world, given.slot(slot), process, Life::Ready),
        Act::Relabel { .. }
        | Act::Adopt { .. }
        | Act::RecordFailure { .. }
        | Act::Forget { .. }
        | Act::Quarantine { .. }
        | Act::Mark { .. }
        | Act::Settle { .. }
        | Act::Prove { .. }
        | Act::RecordHealth
        | Act::Finish { .. }
        | Act::Collect { .. }
        | Act::Retire => {}
    }
    before.into_iter().for_each(|slot| left(world, slot));
    Ok(None)
}

fn install(given: &Given, world: &mut World, digest: &slotd::model::id::Digest) -> Result<(), u8> {
    let rel = (0..8).find(|rel| crate::config::digest(*rel) == *digest).unwrap_or(0);
    let source = world.jar == Jar::Good && given.wish(world.wish).rel == rel;
    match (world.stored & (1 << rel) != 0, source, world.jar) {
        (true, _, _) => Ok(()),
        (false, true, _) => {
            world.stored |= 1 << rel;
            Ok(())
        }
        (false, false, Jar::Gone) => Err(reason(Reason::ArtifactMissing)),
        (false, false, Jar::Good | Jar::Torn) => Err(reason(Reason::ArtifactUnfit)),
    }
}

/// Needs the jar in the store; another slotd may have collected it meanwhile.
fn unpack(world: &mut World, digest: &slotd::model::id::Digest) -> Result<(), u8> {
    let bit = 1 << (0..8).find(|rel| crate::config::digest(*rel) == *digest).unwrap_or(0);
    if world.stored & bit == 0 {
        return Err(NOBODY);
    }
    world.unpacked |= bit;
    Ok(())
}

/// It comes to its end at once: nothing waits for it, so when it does makes no difference to anything but the next start.
fn train(given: &Given, world: &mut World, release: &slotd::model::id::ReleaseId) -> Result<(), u8> {
    let rel = given.releases.iter().position(|r| r[0].id == *release).ok_or(NOBODY)?;
    if world.unpacked & (1 << rel) == 0 {
        return Err(NOBODY);
    }
    world.archived |= 1 << rel;
    Ok(())
}

/// The include and the flags that make it lead where it should; nginx tests it, if it runs.
fn write(given: &Given, world: &mut World, form: RouteForm, live: &SlotName) -> Result<(), u8> {
    if world.nginx.up && world.nginx.broken {
        return Err(reason(Reason::ConfigBroken));
    }
    world.disk = crate::act::route(world);
    if form.has_flags() {
        let at = given.slot(live);
        world.flags = if at == 0 { 0 } else { 1 << at };
    }
    Ok(())
}

/// nginx tests the whole configuration before it is told anything.
fn reload(world: &mut World, look: &Look) -> Result<(), u8> {
    match (look.nginx, world.nginx.up) {
        (false, _) => Err(NOBODY),
        (true, false) => Err(reason(Reason::ProxyUnverified)),
        (true, true) if world.nginx.broken || !world.disk.loadable() => Err(reason(Reason::ConfigBroken)),
        (true, true) => {
            world.nginx.pending = true;
            Ok(())
        }
    }
}

/// Only one process can be in a slot; a second one would fail to bind. A start beside a process is a violation all the same.
fn start(given: &Given, world: &mut World, at: u8, (release, boot): (&slotd::model::id::ReleaseId, &BootForm)) -> Result<u8, u8> {
    let rel = given.releases.iter().position(|r| r[0].id == *release).and_then(|rel| u8::try_from(rel).ok());
    let known = rel.filter(|rel| world.mem.releases & (1 << rel) != 0 && world.stored & (1 << rel) != 0);
    let unpacked = |rel: &u8| match boot {
        BootForm::Jar => true,
        BootForm::Extracted => world.unpacked & (1 << rel) != 0,
        BootForm::Archived { .. } => world.unpacked & world.archived & (1 << rel) != 0,
    };
    let Some(rel) = known.filter(unpacked) else { return Err(NOBODY) };
    let place = &mut world.slots[usize::from(at)];
    *place = Slot { life: Life::Boot, rel, ours: true, stranger: place.stranger, ..Slot::default() };
    if given.config.window && rel == given.wish(world.wish).rel {
        world.tries = world.tries.saturating_add(1).min(given.config.attempts + 1);
    }
    Ok(at)
}

/// One system call on the flags, then nginx is asked; what it does not confirm goes back.
fn cut(world: &mut World, look: &Look, from: u8, to: u8) -> Result<(), u8> {
    let flag = |slot: u8| if slot == 0 { 0 } else { 1_u8 << slot };
    let before = world.flags;
    if from != 0 && before & flag(from) == 0 {
        return Err(reason(Reason::RouteFailed));
    }
    world.flags = (before & !flag(from)) | flag(to);
    if !look.nginx || (world.nginx.up && proven(world, to)) {
        return Ok(());
    }
    world.flags = before;
    Err(reason(Reason::RouteUnproven))
}

/// Every generation of workers that accepts is asked until it confirms.
fn proven(world: &World, to: u8) -> bool {
    world.nginx.cur.generation().is_some() && world.nginx.cur.leads(world.flags) == Some(to)
}

/// Only the process that was meant is signalled; what is stopped in place goes on to hear of TERM.
fn signal(world: &mut World, at: u8, process: &slotd::model::id::Identity, life: Life) {
    let Some(place) = world.slots.get_mut(usize::from(at)) else { return };
    if place.there() && identity(at, *place) == *process {
        let deaf = place.life == Life::Hung && life == Life::Ending;
        let goes_on = life == Life::Ready && place.life != Life::Frozen;
        place.life = if deaf || goes_on { place.life } else { life };
    }
}
