//! What happens around slotd: progress that can be counted on, what may happen at any time, and budgeted faults.

use slotd::plan::step::Act;

use crate::act::forgotten;
use crate::config::{Given, Kind};
use crate::family::{Families, Family};
use crate::label::{Edge, Label};
use crate::model::{BAD, DIES, FIRST, HANGS, Life, Link, Mem, Rec, SLOTS, Slot, Text, World};

/// One successor.
pub(crate) type Successor = (Edge, Label, World);

/// Which successors are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Which {
    /// What costs nothing, while faults of these families may still happen.
    Usual(Families),
    /// What takes one from the budget, of these families.
    Faults(Families),
}

/// Collects successors.
pub(crate) struct Out<'a> {
    pub(crate) from: &'a World,
    pub(crate) which: Which,
    pub(crate) to: Vec<Successor>,
}

impl Out<'_> {
    /// Whether faults of a family are asked for.
    pub(crate) fn wants(&self, family: Family) -> bool {
        matches!(self.which, Which::Faults(families) if families.has(family))
    }

    /// Adds one, if it is asked for and changes anything.
    pub(crate) fn add(&mut self, edge: Edge, label: Label, mut world: World) {
        let asked = match self.which {
            Which::Usual(_) => edge != Edge::Fault,
            Which::Faults(families) => edge == Edge::Fault && label.family().is_none_or(|family| families.has(family)),
        };
        if !asked {
            return;
        }
        if world.look == 0 {
            world = world.canonical();
        }
        if world != *self.from {
            self.to.push((edge, label, world));
        }
    }

    fn change(&mut self, edge: Edge, label: Label, change: impl FnOnce(&mut World)) {
        let mut world = *self.from;
        change(&mut world);
        self.add(edge, label, world);
    }

    fn slot(&mut self, edge: Edge, label: Label, at: u8, change: impl FnOnce(&mut Slot)) {
        self.change(edge, label, |w| change(&mut w.slots[usize::from(at)]));
    }
}

/// A process is gone.
pub(crate) fn gone(slot: &mut Slot) {
    *slot = Slot { stranger: slot.stranger, in_use: false, ..Slot::default() };
}

/// A process is another than before.
fn becomes(slot: &mut Slot, life: Life) {
    slot.life = life;
}

/// Everything around slotd. Between a look and its step time stands still, and of what others do only that happens which the step,
/// its precondition or a property of it can run into (`meets`): anything else commutes with the step, so it leads to no other world
/// when it happens before the look or behind the step, where it happens too.
pub(crate) fn environment(given: &Given, out: &mut Out<'_>, meets: Meets) {
    let idle = out.from.look == 0;
    if meets == Meets::Store {
        bytes(out);
        out.change(Edge::Free, Label::JarBack, |w| w.jar = crate::model::Jar::Good);
        return;
    }
    for at in given.all() {
        processes(out, at);
        if idle {
            timers(out, at);
        }
    }
    nginx(out);
    if idle {
        memory(out);
        failures(given, out);
    }
    free(given, out);
    crate::request::request(given, out);
    if matches!(out.which, Which::Faults(_)) {
        for at in given.all() {
            slot_faults(out, at);
        }
        proxy_faults(given, out);
        if meets == Meets::All {
            bytes(out);
        }
        if idle {
            ledger_faults(given, out);
        }
    }
}

/// What a step that is about to be done can run into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Meets {
    /// Jars alone: it takes one into the store.
    Store,
    /// Processes, ports, nginx and its files.
    Host,
    /// Everything.
    All,
}

impl Meets {
    /// By the kind of the step.
    pub(crate) fn of(act: &Act) -> Self {
        match act {
            Act::Install { .. } => Self::Store,
            Act::Start { .. } => Self::All,
            _other => Self::Host,
        }
    }
}

/// How processes go on.
fn processes(out: &mut Out<'_>, at: u8) {
    let slot = out.from.slots[usize::from(at)];
    match (slot.life, slot.rel) {
        (Life::Boot, _) if slot.stranger => out.change(Edge::Fair, Label::InUse(at), |w| {
            gone(&mut w.slots[usize::from(at)]);
            w.slots[usize::from(at)].in_use = true;
            // What the world is to blame for spends no attempt.
            w.tries = w.tries.saturating_sub(1);
        }),
        (Life::Boot, BAD) => out.slot(Edge::Fair, Label::Ends(at), at, gone),
        (Life::Boot, HANGS) => {}
        (Life::Boot, _good) => ready(out, Edge::Fair, Label::Ready(at), at),
        // It dies of what users ask it for; one that nobody reaches can still crash, which is a fault.
        (Life::Ready, DIES) if out.from.reaches(at) => out.slot(Edge::Free, Label::Ends(at), at, gone),
        (Life::Ending | Life::Killed, _) => out.slot(Edge::Fair, Label::Ended(at), at, gone),
        (Life::Sick | Life::Wrong, _) => {
            ready(out, Edge::Free, Label::Recovers(at), at);
        }
        (Life::None | Life::Ready | Life::Frozen | Life::Hung, _) => {}
    }
    if slot.open && out.from.look == 0 && !out.from.reaches(at) {
        out.slot(Edge::Fair, Label::Closes(at), at, |s| s.open = false);
    }
}

/// A ready process has no deadline, so how old it is makes no other state.
fn ready(out: &mut Out<'_>, edge: Edge, label: Label, at: u8) {
    out.change(edge, label, |w| {
        becomes(&mut w.slots[usize::from(at)], Life::Ready);
        w.mem.recs[usize::from(at)].past &= w.mem.recs[usize::from(at)].evidence;
    });
}

/// How time goes on for a slot. Deadlines come early and late: any of these may be first.
fn timers(out: &mut Out<'_>, at: u8) {
    let (slot, rec) = (out.from.slots[usize::from(at)], out.from.mem.recs[usize::from(at)]);
    let waits = matches!(slot.life, Life::Boot | Life::Sick | Life::Wrong);
    // A process that was found is old when workers of before a reload, which nobody may know of, have had time to stop.
    let acted = !out.from.nginx.pending && out.from.nginx.old == Text::Absent;
    if slot.there() && rec.evidence && !rec.past && !waits && acted {
        out.change(Edge::Fair, Label::Deadline(at), |w| w.mem.recs[usize::from(at)].past = true);
    }
    // What is on its way up may be too slow, but need not be; what hangs or answers badly will be.
    let early = slot.life == Life::Boot && slot.rel != HANGS;
    if waits && rec.on && !rec.past {
        out.change(if early { Edge::Free } else { Edge::Fair }, Label::Deadline(at), |w| {
            w.mem.recs[usize::from(at)].past = true;
            let after = w.mem.cut.on && w.mem.cut.to == at && !rec.pre;
            (w.mem.cut.age, w.mem.recs) = if after { (2, unleft(w.mem.recs)) } else { (w.mem.cut.age, w.mem.recs) };
        });
    }
    if slot.there() && rec.thawed {
        out.change(Edge::Fair, Label::Woken(at), |w| w.mem.recs[usize::from(at)].thawed = false);
    }
    if slot.there() && rec.left && out.from.nginx.old == Text::Absent {
        out.change(Edge::Fair, Label::LeftAges(at), |w| w.mem.recs[usize::from(at)].left = false);
    }
    if slot.there() && rec.stopping == 1 {
        out.change(Edge::Fair, Label::StopOver(at), |w| w.mem.recs[usize::from(at)].stopping = 2);
    }
}

/// What was left before the last cutover was left longer ago.
fn unleft(recs: [Rec; SLOTS]) -> [Rec; SLOTS] {
    recs.map(|rec| Rec { left: false, ..rec })
}

/// How time goes on for the rest of the ledger, and what slotd believes.
fn memory(out: &mut Out<'_>) {
    let mem = out.from.mem;
    // nginx acts on a signal within seconds: half a minute later it has, or never will, and workers of before have stopped.
    let acted = !out.from.nginx.pending && out.from.nginx.old == Text::Absent;
    if mem.cut.on && mem.cut.this_boot && mem.cut.age < 2 && out.from.nginx.old == Text::Absent {
        out.change(Edge::Fair, Label::CutAges, |w| {
            w.mem.cut.age += 1;
            w.mem.recs = if w.mem.cut.age < 2 { w.mem.recs } else { unleft(w.mem.recs) };
        });
    }
    if mem.hup.on && mem.hup.this_boot && (mem.hup.age < 1 || mem.hup.age < 2 && acted) {
        // nginx may take longer than slotd waits, any number of times, but liveness does not count on it: on a host where every
        // single reload takes more than five seconds, going back is right each time.
        let edge = if acted { Edge::Fair } else { Edge::Free };
        out.change(edge, Label::HupAges, |w| w.mem.hup.age += 1);
    }
}

/// How time goes on for failures, where a configuration asks for that.
fn failures(given: &Given, out: &mut Out<'_>) {
    let mem = out.from.mem;
    for (fails, rel) in mem.fails.iter().zip(0_u8..) {
        let place = usize::from(rel);
        if given.config.window && fails.start + fails.crash > 0 {
            out.change(Edge::Free, Label::Window(rel), |w| {
                let old = (fails.start + fails.start_old).min(given.config.counted());
                w.mem.fails[place] = crate::model::Fails { start_old: old, ..Default::default() };
            });
        }
    }
}

/// How nginx goes on.
fn nginx(out: &mut Out<'_>) {
    let (World { nginx, disk, .. }, idle) = (*out.from, out.from.look == 0);
    if nginx.up && nginx.old != Text::Absent {
        out.change(Edge::Fair, Label::OldStop, |w| {
            let old = w.nginx.old.leads(w.flags);
            w.nginx.old = Text::Absent;
            (w.nginx.old_noted, w.nginx.old_looked) = (false, false);
            left(w, old);
        });
    } else if nginx.up && nginx.pending {
        out.change(Edge::Fair, Label::Reloads, |w| {
            w.nginx.pending = false;
            if !w.nginx.broken && disk.loadable() {
                (w.nginx.old, w.nginx.cur) = (w.nginx.cur, disk);
                (w.nginx.old_noted, w.nginx.cur_noted) = (w.nginx.cur_noted, false);
                (w.nginx.old_looked, w.nginx.cur_looked) = (w.nginx.cur_looked, false);
            }
        });
    }
    if !nginx.up && disk.loadable() && !nginx.broken {
        out.change(Edge::Fair, Label::NginxUp, |w| {
            w.nginx = crate::model::Nginx { up: true, cur: disk, restarted: !idle, ..Default::default() };
        });
    }
}

/// A slot that new requests no longer reach still has those of before.
pub(crate) fn left(world: &mut World, slot: Option<u8>) {
    let Some(at) = slot.filter(|at| !world.reaches(*at)) else { return };
    let place = &mut world.slots[usize::from(at)];
    place.open = place.life == Life::Ready;
}

/// What others may do at any time, to the good.
fn free(given: &Given, out: &mut Out<'_>) {
    for at in given.all() {
        out.slot(Edge::Free, Label::Leaves(at), at, |s| s.stranger = false);
    }
    out.change(Edge::Free, Label::Mended, |w| w.nginx.broken = false);
    if out.from.look == 0 {
        out.change(Edge::Free, Label::JarBack, |w| w.jar = crate::model::Jar::Good);
    }
}

/// Faults of one slot.
fn slot_faults(out: &mut Out<'_>, at: u8) {
    let slot = out.from.slots[usize::from(at)];
    if slot.alive() || slot.life == Life::Frozen {
        out.slot(Edge::Fault, Label::Crash(at), at, gone);
    }
    if slot.life == Life::Ready {
        out.slot(Edge::Fault, Label::Flap(at), at, |s| becomes(s, Life::Sick));
        out.slot(Edge::Fault, Label::Wrong(at), at, |s| becomes(s, Life::Wrong));
    }
    if slot.life == Life::Ending {
        out.slot(Edge::Fault, Label::Hang(at), at, |s| s.life = Life::Hung);
    }
    if !slot.stranger && matches!(slot.life, Life::None | Life::Boot) {
        out.slot(Edge::Fault, Label::Taken(at), at, |s| s.stranger = true);
    }
    if !slot.stranger && slot.life == Life::None {
        let app = Slot { life: Life::Ready, rel: FIRST, ..Slot::default() };
        out.slot(Edge::Fault, Label::SameApp(at), at, |s| *s = app);
    }
}

/// Faults of the proxy and its files.
fn proxy_faults(given: &Given, out: &mut Out<'_>) {
    let World { nginx, disk, flags, .. } = *out.from;
    if nginx.up {
        out.change(Edge::Fault, Label::NginxDies, |w| {
            w.nginx = crate::model::Nginx { broken: nginx.broken, ..Default::default() };
        });
    }
    out.change(Edge::Fault, Label::ReloadLost, |w| w.nginx.pending = false);
    out.change(Edge::Fault, Label::Broken, |w| w.nginx.broken = true);
    for at in given.all() {
        if disk != (Text::Plain { slot: at }) {
            out.change(Edge::Fault, Label::EditOther(at), |w| w.disk = Text::Plain { slot: at });
        }
    }
    out.change(Edge::Fault, Label::EditGarbage, |w| w.disk = Text::Garbage);
    out.change(Edge::Fault, Label::EditGone, |w| w.disk = Text::Absent);
    for at in 1..given.config.slots {
        let label = if flags & (1 << at) == 0 { Label::FlagTooMany(at) } else { Label::FlagGone(at) };
        out.change(Edge::Fault, label, |w| {
            let before = w.reached();
            w.flags ^= 1 << at;
            // Between a look and its step are milliseconds. Two edits in them, the one taking the other back, would leave connections
            // that neither the look nor the file as it is read again can tell of; a step that finds the file edited is not done anyway.
            if out.from.look == 0 {
                before.into_iter().for_each(|slot| left(w, slot));
            }
        });
    }
}

/// Faults of the jars, at their path and in the store.
fn bytes(out: &mut Out<'_>) {
    let world = *out.from;
    out.change(Edge::Fault, Label::JarTorn, |w| w.jar = crate::model::Jar::Torn);
    out.change(Edge::Fault, Label::JarGone, |w| w.jar = crate::model::Jar::Gone);
    for rel in (0..8).filter(|rel| world.stored & (1 << rel) != 0) {
        out.change(Edge::Fault, Label::StoreTorn(rel), |w| {
            w.stored &= !(1 << rel);
            w.unpacked &= !(1 << rel);
            w.archived &= !(1 << rel);
        });
    }
}

/// Faults of the ledger, the manifest and the machine.
fn ledger_faults(given: &Given, out: &mut Out<'_>) {
    let world = *out.from;
    out.change(Edge::Fault, Label::LedgerLost, |w| remember(w, forgotten()));
    out.change(Edge::Fault, Label::LedgerOlder, |w| {
        let older = Mem { recs: given.older.recs.map(|r| Rec { process: false, ..r }), ..given.older };
        remember(w, older);
    });
    for (wish, at) in given.config.wishes.iter().zip(0_u8..) {
        if at != world.wish && world.mem.accepted {
            out.change(Edge::Fault, Label::Manifest(at), |w| accept(w, at, wish.kind));
        }
    }
    out.change(Edge::Fault, Label::Reboot, reboot);
}

/// A new manifest: what it asks for may be tried as often as any other.
pub(crate) fn accept(world: &mut World, wish: u8, kind: Kind) {
    (world.wish, world.tries) = (wish, 0);
    world.jar = crate::model::Jar::Good;
    if kind == Kind::Wanted {
        world.mem.accepted = true;
    }
}

/// Another ledger than before: no identity in it is of now.
fn remember(world: &mut World, mem: Mem) {
    world.mem = Mem { accepted: true, ..mem };
    world.tries = 0;
    world.slots.iter_mut().for_each(|s| s.link = Link::Stray);
    (world.nginx.cur_noted, world.nginx.old_noted) = (false, false);
}

/// Nothing runs any more, and no identity of before means anything.
fn reboot(world: &mut World) {
    world.slots = [Slot::default(); crate::model::SLOTS];
    world.nginx = crate::model::Nginx { broken: world.nginx.broken, ..Default::default() };
    world.mem.recs.iter_mut().for_each(|r| r.this_boot = false);
    (world.mem.cut.this_boot, world.mem.hup.this_boot) = (false, false);
    world.mem.fails = Default::default();
    world.mem.restart = crate::model::NONE;
    world.tries = 0;
}
