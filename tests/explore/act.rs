//! One pass in its moments: the look with the silent steps behind it, and the visible step with its precondition and its crashes.
//!
//! The decision is the shipped `plan`, what is written down is the shipped `record`, the precondition is the shipped one.

use std::rc::Rc;

use slotd::model::id::{Identity, Port, SlotName};
use slotd::model::ledger::Ledger;
use slotd::model::observed::{Answer, Observation, ObservedState, Occupant};
use slotd::model::route::Include;
use slotd::model::status::{Reason, Status};
use slotd::plan::person::{Decision, decide};
use slotd::plan::precondition::{Fact, Reader, rests_on};
use slotd::plan::record::{self, Prepared};
use slotd::plan::step::Act;
use slotd::plan::{Next, ServicePlan};

use crate::config::Given;
use crate::intern::Interner;
use crate::ledger::{self, absorb, cookie};
use crate::model::{Life, Mem, NONE, Nginx, SLOTS, Slot, Text, World};
use crate::mutants::Mutant;
use crate::see::{Pause, Variant, see, see_again};

/// Silent steps of one pass, as the shipped loop bounds them.
const SILENT: usize = 12;

const CIRCLE: &str = "the silent steps of one pass go in a circle";

/// A visible step that a pass has decided on and not carried out yet.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Look {
    pub(crate) act: Act,
    pub(crate) facts: Vec<Fact>,
    pub(crate) live: Option<SlotName>,
    pub(crate) generation: u64,
    /// nginx was seen to run.
    pub(crate) nginx: bool,
}

/// The host as far as a look can tell, which is what a plan is a function of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    world: World,
    variant: Variant,
}

/// What remains of a world after a silent step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Trace {
    mem: Mem,
    links: [crate::model::Link; SLOTS],
    noted: [bool; 2],
    stored: u8,
    unpacked: u8,
    archived: u8,
    gone: bool,
}

/// What a pass decides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decided {
    /// The worlds behind each silent step, with its kind.
    pub(crate) silent: Vec<(&'static str, Trace)>,
    /// The number of the look, when a visible step follows.
    pub(crate) look: Option<u32>,
    /// The reasons of the last plan's holds, one bit each.
    pub(crate) holds: u64,
    pub(crate) status: Option<Status>,
    /// A silent circle, a hold without a word, and the like.
    pub(crate) fault: Option<String>,
    /// What is done although a fact could not be read.
    pub(crate) rash: Option<String>,
    /// What each verb of a person would leave in the ledger.
    verbs: Option<Vec<(&'static str, Trace)>>,
}

impl Decided {
    /// Whether another look does the same.
    pub(crate) fn does_as(&self, other: &Self) -> bool {
        self.look == other.look && self.silent == other.silent
    }

    /// This, and what a look decides that sees the same with the ledger of behind these silent steps.
    fn then(mut self, rest: &Self) -> Self {
        self.silent.extend_from_slice(&rest.silent);
        let long = (self.silent.len() >= SILENT).then(|| CIRCLE.to_owned());
        Self {
            look: rest.look,
            holds: rest.holds,
            status: rest.status,
            fault: self.fault.or_else(|| rest.fault.clone()).or(long),
            ..self
        }
    }
}

/// Decides, and remembers what was decided.
pub(crate) struct Mind<'a> {
    pub(crate) given: &'a Given,
    pub(crate) mutant: Mutant,
    keys: Interner<Key>,
    decided: Vec<Decided>,
    pub(crate) looks: Vec<Rc<Look>>,
    /// The world that was looked at last, and what it showed: most of it is the same in the next one.
    last: Option<(World, ObservedState)>,
    /// What each half of a step's record made of which ledger.
    notes: Interner<Note>,
    noted: Vec<Trace>,
    /// The world whose ledger was written last, and that ledger.
    written: Option<(World, Ledger)>,
}

/// All that a half of a step's record is a function of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Note {
    world: World,
    half: Half,
    started: u8,
}

/// The verbs that a person may use, and what they decide.
fn verbs() -> [(&'static str, Decision); 7] {
    [
        ("rollback", Decision::Rollback { to: None }),
        ("promote", Decision::Promote),
        ("pause", Decision::Pause),
        ("resume", Decision::Resume),
        ("retry", Decision::Retry),
        ("restart", Decision::Restart),
        ("down", Decision::Down),
    ]
}

impl<'a> Mind<'a> {
    pub(crate) fn new(given: &'a Given, mutant: Mutant) -> Self {
        Self {
            given,
            mutant,
            keys: Interner::default(),
            decided: Vec::new(),
            looks: Vec::new(),
            last: None,
            notes: Interner::default(),
            noted: Vec::new(),
            written: None,
        }
    }

    /// What a look at this world decides.
    pub(crate) fn decide(&mut self, world: &World, variant: Variant) -> u32 {
        let (at, new) = self.keys.put(Key { world: visible(world), variant });
        if new {
            // Until it is known what the steps behind a silent one come to, whoever meets this look again goes in a circle.
            self.decided.push(Decided { fault: Some(CIRCLE.to_owned()), ..Decided::default() });
            self.decided[at as usize] = self.think(world, variant);
            self.weigh(at, world, variant);
        }
        at
    }

    /// Compares what was decided without a fact with what is decided with it.
    fn weigh(&mut self, at: u32, world: &World, variant: Variant) {
        let Some(gap) = variant.gap else { return };
        let whole = self.decide(world, Variant { gap: None, ..variant });
        let rash = crate::check::rash(&self.looks, (world, gap), self.decided(at), self.decided(whole));
        self.decided[at as usize].rash = rash;
    }

    /// What each verb of a person would make of a world.
    pub(crate) fn verbs(&mut self, world: &World) -> Vec<(&'static str, Trace)> {
        let at = self.decide(world, Variant::default()) as usize;
        if self.decided[at].verbs.is_none() {
            let seen = see(self.given, world, Variant::default());
            self.decided[at].verbs = Some(self.persons(world, &seen));
        }
        self.decided[at].verbs.clone().unwrap_or_default()
    }

    /// What was decided under a number.
    pub(crate) fn decided(&self, at: u32) -> &Decided {
        &self.decided[at as usize]
    }

    fn think(&mut self, world: &World, variant: Variant) -> Decided {
        let mut seen = self.observe(world, variant);
        self.mutant.blind(&mut seen);
        let mut first = None;
        let decided = self.follow((world, variant), &mut seen, &mut first);
        if let (Some(ledger), Some(service)) = (first, seen.services.get_mut(&self.given.service)) {
            service.ledger = ledger;
        }
        self.last = self.mutant.blind.is_none().then(|| (visible(world), seen));
        decided
    }

    /// What is seen; the last observation is used again for what is the same in this one.
    fn observe(&mut self, world: &World, variant: Variant) -> ObservedState {
        match self.last.take() {
            Some((before, mut seen)) => {
                see_again(self.given, &before, &visible(world), variant, &mut seen);
                seen
            }
            None => see(self.given, world, variant),
        }
    }

    /// Follows the plan through its silent steps to a visible one; keeps the ledger of before the first of them.
    fn follow(&mut self, (world, variant): (&World, Variant), seen: &mut ObservedState, first: &mut Option<Ledger>) -> Decided {
        let given = self.given;
        let mut now = *world;
        let mut decided = Decided::default();
        while decided.silent.len() < SILENT {
            let Some(mut planned) = self.plan(world.wish, seen) else { return decided };
            self.mutant.bend(seen, &mut planned);
            (decided.holds, decided.status) = (holds(&planned), Some(planned.status));
            decided.fault = decided.fault.or_else(|| crate::check::wordless(&planned));
            let Next::Step(step) = planned.next.clone() else { return decided };
            let Some(service) = seen.services.get(&given.service) else { return decided };
            if step.act.is_visible() {
                let facts = self.mutant.trust(rests_on(&step.act, service, planned.view.live.as_ref()));
                decided.look = Some(self.look(look(service, &planned, step.act, facts)));
                return decided;
            }
            let Some(service) = seen.services.get_mut(&given.service) else { return decided };
            let ledger = silent(given, &mut now, &service.ledger, &step.act, &planned);
            decided.silent.push((step.act.kind(), Trace::of(&now, step.act == Act::Retire)));
            if step.act == Act::Retire {
                return decided;
            }
            // A mutant is blind when it looks, not again at each step.
            if self.mutant.blind.is_none() && crate::see::shows_the_same(given, world, &now) {
                let rest = self.decide(&now, variant);
                return decided.then(self.decided(rest));
            }
            let before = std::mem::replace(&mut service.ledger, ledger);
            first.get_or_insert(before);
        }
        decided.fault = Some(CIRCLE.to_owned());
        decided
    }

    /// A world with a half of a step's record written into its ledger.
    pub(crate) fn note(&mut self, world: &World, look: &Look, started: Option<u8>, half: Half) -> World {
        let (at, new) = self.notes.put(Note { world: noticed(world), half, started: started.unwrap_or(NONE) });
        if new {
            let mut after = *world;
            let process = started.map(|at| ledger::identity(at, world.slots[usize::from(at)]));
            self.write_down(&mut after, look, process.as_ref(), half);
            self.noted.push(Trace::of(&after, false));
        }
        self.noted[at as usize].on(*world)
    }

    /// The ledger of a world with a step's first or second half written down.
    fn write_down(&mut self, world: &mut World, look: &Look, started: Option<&Identity>, half: Half) {
        let with = prepared(self.given, world, &look.act, look.live.clone(), look.generation);
        let (before, mut ledger) = self.written.take().unwrap_or_default();
        ledger::expand_again(self.given, &before, world, &mut ledger);
        ledger.failures = ledger::failures(self.given, world, Pause::default());
        match half {
            Half::Before => record::before(&mut ledger, &look.act, &with),
            Half::After => record::after(&mut ledger, &look.act, &with, started),
        }
        absorb(self.given, &ledger, world);
        self.written = Some((*world, ledger));
    }

    fn plan(&self, wish: u8, seen: &ObservedState) -> Option<ServicePlan> {
        let (desired, orphans) = &self.given.desired[usize::from(wish)];
        slotd::plan::next(desired, seen, *orphans, &self.given.service)
    }

    /// The ledgers that a person's verbs would leave.
    fn persons(&self, world: &World, seen: &ObservedState) -> Vec<(&'static str, Trace)> {
        let Some(planned) = self.plan(world.wish, seen) else { return Vec::new() };
        let Some(service) = seen.services.get(&self.given.service) else { return Vec::new() };
        let taken = verbs().into_iter().filter_map(|(word, decision)| {
            let mut ledger = service.ledger.clone();
            decide(&decision, &planned, &mut ledger, &ledger::now()).ok()?;
            let mut after = *world;
            absorb(self.given, &ledger, &mut after);
            (after.mem != world.mem).then(|| (word, Trace::of(&after, false)))
        });
        taken.collect()
    }

    fn look(&mut self, look: Look) -> u32 {
        let known = self.looks.iter().position(|l| **l == look);
        let at = known.unwrap_or_else(|| {
            self.looks.push(Rc::new(look));
            self.looks.len() - 1
        });
        u32::try_from(at + 1).unwrap_or(u32::MAX)
    }
}

/// The part of a world that a look can tell apart.
fn visible(world: &World) -> World {
    let mut seen = World { look: 0, tries: 0, ..*world };
    seen.request = crate::model::Request::default();
    (seen.nginx.pending, seen.nginx.broken) = (false, false);
    (seen.nginx.cur_looked, seen.nginx.old_looked) = (false, false);
    seen
}

/// The part of a world that is in its ledger, or that a step writes down.
fn noticed(world: &World) -> World {
    let slot = |slot: Slot| Slot {
        life: if slot.there() { Life::Boot } else { Life::None },
        link: slot.link,
        ours: slot.ours,
        ..Slot::default()
    };
    let nginx = Nginx {
        old: if world.nginx.old == Text::Absent { Text::Absent } else { Text::Garbage },
        cur_noted: world.nginx.cur_noted,
        old_noted: world.nginx.old_noted,
        cur_looked: world.nginx.cur_looked,
        old_looked: world.nginx.old_looked,
        ..Nginx::default()
    };
    World {
        slots: world.slots.map(slot),
        nginx,
        mem: world.mem,
        wish: world.wish,
        stored: world.stored,
        unpacked: world.unpacked,
        archived: world.archived,
        look: world.look,
        ..World::default()
    }
}

fn bit(reason: Reason) -> u64 {
    Reason::ALL.iter().position(|r| *r == reason).map_or(0, |at| 1 << at)
}

fn holds(planned: &ServicePlan) -> u64 {
    planned.holds.iter().fold(0, |all, hold| all | bit(hold.reason))
}

fn look(service: &slotd::model::observed::ObservedService, planned: &ServicePlan, act: Act, facts: Vec<Fact>) -> Look {
    let route = &service.route;
    let on_disk = match route.include.known() {
        Some(Include::Ours(text)) => text.generation,
        Some(Include::Plain(_) | Include::Elsewhere { .. } | Include::Edited { .. }) | None => 0,
    };
    // What only an act of another kind would use is left out, so that fewer looks differ.
    let names_live = matches!(act, Act::WriteInclude { .. });
    Look {
        live: planned.view.live.clone().filter(|_| names_live),
        generation: if names_live { on_disk.max(route.loaded.known().map_or(0, |l| l.generation)) } else { 0 },
        nginx: route.nginx.known().is_some(),
        act,
        facts,
    }
}

fn silent(given: &Given, world: &mut World, ledger: &Ledger, act: &Act, planned: &ServicePlan) -> Ledger {
    let with = prepared(given, world, act, planned.view.live.clone(), 0);
    let mut ledger = ledger.clone();
    record::before(&mut ledger, act, &with);
    record::after(&mut ledger, act, &with, None);
    absorb(given, &ledger, world);
    if let Act::Collect { digests, .. } = act {
        let dropped = |rel: &u8| digests.contains(&crate::config::digest(*rel));
        (0..8).filter(dropped).for_each(|rel| {
            world.stored &= !(1 << rel);
            world.unpacked &= !(1 << rel);
            world.archived &= !(1 << rel);
        });
    }
    ledger
}

/// What the executor brings along.
pub(crate) fn prepared(given: &Given, world: &World, act: &Act, live: Option<SlotName>, generation: u64) -> Prepared {
    let wish = given.wish(world.wish);
    let random = match act {
        Act::Start { slot, .. } => cookie(given.slot(slot)),
        _other => slotd::model::id::Cookie::new("nonce"),
    };
    let looked = [world.nginx.cur_looked, world.nginx.old_looked];
    Prepared {
        now: ledger::now(),
        random,
        log: std::path::PathBuf::new(),
        workers: ledger::WORKERS.iter().zip(looked).filter(|(_, seen)| *seen).map(|(pid, _)| (*pid, 1)).collect(),
        jar: Some(ledger::jar(given, wish.rel, wish.label)),
        live,
        generation,
        spec: given.specs[usize::from(world.wish)].clone(),
    }
}

impl Trace {
    fn of(world: &World, gone: bool) -> Self {
        let links = world.slots.map(|slot| slot.link);
        let noted = [world.nginx.cur_noted, world.nginx.old_noted];
        Self { mem: world.mem, links, noted, stored: world.stored, unpacked: world.unpacked, archived: world.archived, gone }
    }

    /// The world with this trace in it.
    pub(crate) fn on(&self, mut world: World) -> World {
        world.mem = if self.gone { forgotten() } else { self.mem };
        world.slots.iter_mut().zip(self.links).for_each(|(slot, link)| slot.link = link);
        [world.nginx.cur_noted, world.nginx.old_noted] = self.noted;
        (world.stored, world.unpacked, world.archived) = (self.stored, self.unpacked, self.archived);
        world
    }
}

/// No ledger at all.
pub(crate) fn forgotten() -> Mem {
    Mem {
        leaving: NONE,
        back_away: NONE,
        back_to: NONE,
        promoted: NONE,
        restart: NONE,
        deployment: NONE,
        good: [NONE; crate::model::RELEASES],
        ..Mem::default()
    }
}

/// Reads a world for a precondition.
pub(crate) struct Fresh<'a> {
    pub(crate) given: &'a Given,
    pub(crate) world: &'a World,
}

impl Reader for Fresh<'_> {
    fn include(&self) -> Observation<Include> {
        crate::see::include(self.given, self.world.disk)
    }

    fn flags(&self) -> Observation<Vec<SlotName>> {
        let stands = |at: &u8| self.world.flags & (1 << at) != 0;
        Observation::Known(self.given.all().filter(stands).map(|at| self.given.name(at)).collect())
    }

    fn occupants(&self, port: Port) -> Observation<Vec<Occupant>> {
        let at = port.0.saturating_sub(crate::config::port(0).0);
        let slot = self.world.slots.get(usize::from(at)).copied().unwrap_or_default();
        let taken = slot.stranger || slot.there();
        Observation::Known(taken.then_some(Occupant::BoundNotListening).into_iter().collect())
    }

    fn process(&self, identity: &Identity) -> Observation<Identity> {
        let slots = self.world.slots.iter().zip(0..);
        let mut known = slots.filter(|(slot, _)| slot.there()).map(|(slot, at)| ledger::identity(at, *slot));
        known.find(|found| found == identity).map_or(Observation::Absent, Observation::Known)
    }

    fn nginx(&self) -> Observation<Identity> {
        crate::see::master(self.world)
    }

    fn training(&self) -> bool {
        false
    }

    fn answer(&self, slot: &SlotName) -> Answer {
        let life = self.world.slots.get(usize::from(self.given.slot(slot))).map(|s| s.life);
        if life == Some(crate::model::Life::Ready) { Answer::Good } else { Answer::None { why: "no answer".to_owned() } }
    }
}

/// Which half of a step's record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Half {
    Before,
    After,
}

/// Whether a text of the ledger is what stands on disk.
pub(crate) fn route(world: &World) -> Text {
    world.mem.route
}
