//! What slotd sees of a host: the shipped `ObservedState`, with what may be read wrongly or not at all as variants of one look.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use slotd::model::boot::{Archive, Archives, Jvm, Layout};
use slotd::model::desired::Boot;
use slotd::model::id::{ArchiveId, Digest, Identity, SlotName};
use slotd::model::ledger::Ledger;
use slotd::model::observed::{
    Answer, Exit, ExitCause, JarFact, Loaded, Nginx, Observation, ObservedProcess, ObservedRoute, ObservedService, ObservedSlot,
    ObservedState, Occupant, Owner, Probe, Traffic, Worker,
};
use slotd::model::route::{Include, Target};

use crate::config::{FAILURES, Given, Kind, digest, port};
use crate::fair::failed;
use crate::family::Family;
use crate::ledger::{self, WORKERS};
use crate::model::{Jar, Life, Link, NONE, RELEASES, Slot, Text, World};

/// Which workers answered the questions about the route, while two generations of them accept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Asked {
    /// The newest answered both.
    #[default]
    New,
    /// The older ones answered both.
    Old,
    /// The newest say what they have loaded, the older ones served the request.
    Mixed,
    /// nginx contradicted itself, so nothing is known.
    Neither,
}

/// A fact that could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Gap {
    Process(u8),
    Port(u8),
    Probe(u8),
    Include,
    Flags,
    Nginx,
    Loaded,
    Proxied,
    Jar,
}

/// After whose failures the pause before the next start is not over yet when slotd looks.
///
/// How long ago a release failed is kept nowhere: any look may find its pause over or not, which is more than can happen. So one failure
/// stands for several, wherever the policy counts no further.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Pause {
    /// Releases, one bit each; of one that has not failed by itself, the world was to blame for the failure.
    pub(crate) after: u8,
    /// The last failure was not the first one, after which a live slot is started again at once.
    pub(crate) again: bool,
}

/// One way in which a look can come out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Variant {
    /// slotd has just been started, so that each slot has answered it only once.
    pub(crate) fresh: bool,
    pub(crate) asked: Asked,
    pub(crate) gap: Option<Gap>,
    pub(crate) pause: Pause,
}

fn hidden<T>(gap: bool, fact: Observation<T>) -> Observation<T> {
    if gap { Observation::Unknown("it could not be read".to_owned()) } else { fact }
}

/// The host as one look shows it.
pub(crate) fn see(given: &Given, world: &World, variant: Variant) -> ObservedState {
    let names = [(given.service.clone(), service(given, world, variant))];
    ObservedState { now: ledger::now(), memory: Observation::Known(1 << 34), services: names.into() }
}

/// The host looked at once more, or another one: what is the same is there already.
pub(crate) fn see_again(given: &Given, before: &World, world: &World, variant: Variant, seen: &mut ObservedState) {
    for service in seen.services.values_mut() {
        if before != world {
            ledger::expand_again(given, before, world, &mut service.ledger);
        }
        service.ledger.failures = ledger::failures(given, world, variant.pause);
        let lies = |world: &World| (world.stored, world.unpacked, world.archived);
        if lies(before) != lies(world) {
            (service.stored, service.layouts, service.archives) = (stored(world), layouts(given, world), archives(given, world));
        }
        service.jar = hidden(variant.gap == Some(Gap::Jar), jar(given, world));
        service.slots = ledger::by_name(given, |at| slot(given, world, at, variant));
        service.route = route(given, world, variant);
    }
}

fn stored(world: &World) -> BTreeSet<Digest> {
    (0..u8::try_from(RELEASES).unwrap_or(0)).filter(|rel| world.stored & (1 << rel) != 0).map(digest).collect()
}

fn service(given: &Given, world: &World, variant: Variant) -> ObservedService {
    ObservedService {
        ledger: Ledger { failures: ledger::failures(given, world, variant.pause), ..ledger::expand(given, world) },
        jar: hidden(variant.gap == Some(Gap::Jar), jar(given, world)),
        env_file: Observation::Absent,
        stored: stored(world),
        layouts: layouts(given, world),
        archives: archives(given, world),
        launch_fault: None,
        slots: ledger::by_name(given, |at| slot(given, world, at, variant)),
        route: route(given, world, variant),
    }
}

/// Every jar is one that can be unpacked, if the manifest wants to know.
fn layouts(given: &Given, world: &World) -> BTreeMap<Digest, Layout> {
    let all = (0..u8::try_from(RELEASES).unwrap_or(0)).filter(|_| given.config.boot != Boot::Jar);
    let is = |rel: u8| if world.unpacked & (1 << rel) != 0 { Layout::Unpacked } else { Layout::Packed };
    all.map(|rel| (digest(rel), is(rel))).collect()
}

/// One runtime, and the archives that a training has left.
fn archives(given: &Given, world: &World) -> Archives {
    if given.config.boot != Boot::Cds {
        return Archives::default();
    }
    let jvm = Jvm { feature: 17, name: "Java 17".to_owned(), stamp: "17".to_owned() };
    let id = |rel: u8| ArchiveId::of(&jvm, &given.releases[usize::from(rel)][0].launch);
    let made = (0..u8::try_from(RELEASES).unwrap_or(0)).filter(|rel| world.archived & (1 << rel) != 0);
    Archives {
        made: made.map(|rel| (digest(rel), [(id(rel), Archive::Ready)].into())).collect(),
        jvms: [("java".to_owned(), jvm.clone())].into(),
        untrainable: BTreeMap::new(),
        training: false,
    }
}

/// The digest resolved earlier counts; without one the bytes do, if they are a whole jar.
fn jar(given: &Given, world: &World) -> Observation<JarFact> {
    let wish = given.wish(world.wish);
    let resolved = world.mem.jars & (1 << (2 * wish.rel + wish.label)) != 0;
    let fact = || Observation::Known(JarFact { digest: digest(wish.rel), stamp: ledger::stamp(), changed: None });
    match world.jar {
        _any if resolved && world.stored & (1 << wish.rel) != 0 => fact(),
        Jar::Good => fact(),
        Jar::Gone => Observation::Absent,
        Jar::Torn => Observation::Unknown("it is no whole jar".to_owned()),
    }
}

/// Whether slotd knows a process as the slot's: by its record, or by the cookie that it carries.
pub(crate) fn is_known(slot: Slot) -> bool {
    slot.there() && (slot.ours || slot.link == Link::Recorded)
}

fn slot(given: &Given, world: &World, at: u8, variant: Variant) -> ObservedSlot {
    let slot = world.slots[usize::from(at)];
    let rec = world.mem.recs[usize::from(at)];
    let gone = rec.on && rec.process && rec.cookie && !slot.there();
    let exit = Exit { cause: if slot.in_use { ExitCause::AddressInUse } else { ExitCause::Itself }, tail: Vec::new() };
    let (no_process, no_port) = (variant.gap == Some(Gap::Process(at)), variant.gap == Some(Gap::Port(at)));
    let known = is_known(slot);
    let process = if known { Observation::Known(process(given, at, slot, no_port)) } else { Observation::Absent };
    ObservedSlot {
        port: port(at),
        process: hidden(no_process, process),
        exit: if gone { Observation::Known(exit) } else { Observation::Absent },
        occupants: hidden(no_port, Observation::Known(occupants(at, slot))),
        probe: hidden(
            variant.gap == Some(Gap::Probe(at)),
            if known && !no_process { probe(slot, variant.fresh) } else { Observation::Absent },
        ),
        traffic: traffic(world, at, known && !no_process),
    }
}

fn listens(slot: Slot) -> bool {
    matches!(slot.life, Life::Ready | Life::Sick | Life::Wrong | Life::Frozen | Life::Hung)
}

fn process(given: &Given, at: u8, slot: Slot, no_port: bool) -> ObservedProcess {
    ObservedProcess {
        identity: ledger::identity(at, slot),
        release: slot.ours.then(|| given.releases[usize::from(slot.rel)][0].id.clone()),
        family: Vec::new(),
        listens: hidden(no_port, Observation::Known(listens(slot))),
        resident: 1,
        frozen: slot.life == Life::Frozen,
        age: Duration::ZERO,
    }
}

fn occupants(at: u8, slot: Slot) -> Vec<Occupant> {
    let owner = Owner::Process { pid: 999, user: "other".to_owned(), command: "other".to_owned(), seconds: 9 };
    let stranger = slot.stranger.then(|| Occupant::Stranger { owner, address: format!("127.0.0.1:{}", port(at)) });
    let app = (slot.there() && !is_known(slot)).then(|| Occupant::SameApp {
        identity: ledger::identity(at, slot),
        evidence: "the same Start-Class".to_owned(),
        resident: 1,
    });
    stranger.into_iter().chain(app).collect()
}

fn probe(slot: Slot, fresh: bool) -> Observation<Probe> {
    let (good, bad) = match (slot.life == Life::Ready, !fresh) {
        (true, true) => (2, 0),
        (true, false) => (1, 0),
        (false, true) => (0, 3),
        (false, false) => (0, 1),
    };
    let answer = match slot.life {
        Life::Ready => Answer::Good,
        Life::Sick => Answer::WrongStatus { status: 503 },
        Life::Wrong => Answer::WrongIdentity { found: "somebody else".to_owned() },
        Life::None | Life::Boot | Life::Frozen | Life::Ending | Life::Hung | Life::Killed => {
            Answer::None { why: "no answer".to_owned() }
        }
    };
    Observation::Known(Probe { answer, good, bad })
}

/// Counted on a slot that a cutover left, as the shipped observation does.
fn traffic(world: &World, at: u8, known: bool) -> Observation<Traffic> {
    let left = (world.mem.cut.on && world.mem.cut.from == at) || world.mem.recs[usize::from(at)].left;
    let open = world.slots[usize::from(at)].open || world.reaches(at);
    match (left && known, open) {
        (false, _) => Observation::Absent,
        (true, true) => Observation::Known(Traffic { open: 1, quiet: Duration::ZERO, samples: 0, longest: Vec::new() }),
        (true, false) => Observation::Known(Traffic { open: 0, quiet: Duration::from_secs(2), samples: 20, longest: Vec::new() }),
    }
}

fn route(given: &Given, world: &World, variant: Variant) -> ObservedRoute {
    let gap = |which| variant.gap == Some(which);
    let flags: Vec<SlotName> = given.all().filter(|at| world.flags & (1 << at) != 0).map(|at| given.name(at)).collect();
    let nginx = hidden(gap(Gap::Nginx), nginx(world));
    let (loaded, proxied) = if nginx.known().is_some() {
        (loaded(given, world, variant.asked), proxied(given, world, variant.asked))
    } else {
        (nothing(), nothing())
    };
    ObservedRoute {
        include: hidden(gap(Gap::Include), include(given, world.disk)),
        flags: hidden(gap(Gap::Flags), Observation::Known(flags)),
        nginx,
        loaded: hidden(gap(Gap::Loaded), loaded),
        proxied: hidden(gap(Gap::Proxied), proxied),
        faults: Vec::new(),
    }
}

fn nothing<T>() -> Observation<T> {
    Observation::Unknown("nobody answers".to_owned())
}

/// The include as it is read.
pub(crate) fn include(given: &Given, disk: Text) -> Observation<Include> {
    match disk {
        Text::Absent => Observation::Absent,
        Text::Garbage => Observation::Known(Include::Edited { text: "garbage".to_owned() }),
        Text::Plain { slot } => Observation::Known(Include::Plain(Target { slot: given.name(slot), port: port(slot) })),
        Text::Flag { .. } | Text::Line { .. } => {
            ledger::text(given, disk).map_or(Observation::Absent, |text| Observation::Known(Include::Ours(text)))
        }
    }
}

fn nginx(world: &World) -> Observation<Nginx> {
    if !world.nginx.up {
        return Observation::Absent;
    }
    let old = (world.nginx.old != Text::Absent).then_some(WORKERS[1]);
    let workers = [WORKERS[0]].into_iter().chain(old).map(|pid| Worker { pid, start: 1, accepting: true }).collect();
    master(world).map(|master| Nginx { master, version: "1.22.1".to_owned(), workers })
}

/// Its master process: another one each time that it is started.
pub(crate) fn master(world: &World) -> Observation<Identity> {
    if !world.nginx.up {
        return Observation::Absent;
    }
    let start = if world.nginx.restarted { 2 } else { 1 };
    Observation::Known(Identity { boot: ledger::now().boot, pid: 1, start, cookie: None })
}

/// The text of the workers that are asked.
fn of(world: &World, old: bool) -> Text {
    if old && world.nginx.old != Text::Absent { world.nginx.old } else { world.nginx.cur }
}

fn loaded(given: &Given, world: &World, asked: Asked) -> Observation<Loaded> {
    let text = of(world, asked == Asked::Old);
    let probed = world.disk.generation().is_some() || world.mem.route.generation().is_some();
    match (text.generation(), text.leads(world.flags)) {
        (Some(gen_), Some(slot)) if asked != Asked::Neither && probed => {
            Observation::Known(Loaded { generation: u64::from(gen_), slot: given.name(slot) })
        }
        _silent => nothing(),
    }
}

fn proxied(given: &Given, world: &World, asked: Asked) -> Observation<SlotName> {
    let leads = of(world, matches!(asked, Asked::Old | Asked::Mixed)).leads(world.flags);
    let ready = |slot: &u8| world.slots[usize::from(*slot)].life == Life::Ready && !world.slots[usize::from(*slot)].stranger;
    match leads.filter(ready) {
        Some(slot) if given.config.proxied && asked != Asked::Neither => Observation::Known(given.name(slot)),
        _silent => nothing(),
    }
}

/// Every way in which a look can come out without a fault.
pub(crate) fn variants(world: &World) -> &'static [Asked] {
    if world.nginx.up && world.nginx.old != Text::Absent {
        &[Asked::New, Asked::Old, Asked::Mixed, Asked::Neither]
    } else {
        &[Asked::New]
    }
}

/// What a look may find of the pauses, but for that all are over: first that none is, then those of any releases that have failed by
/// themselves, or that of one for whose failure the world is to blame.
pub(crate) fn pauses(given: &Given, world: &World) -> Vec<Pause> {
    if is_settled(given, world) {
        return Vec::new();
    }
    let failed = failed(world);
    let own = (1..=failed).filter(|set| set & !failed == 0);
    let again: &[bool] = if given.config.counted() < FAILURES { &[false, true] } else { &[false] };
    let own = own.flat_map(|after| again.iter().map(move |again| Pause { after, again: *again }));
    let blamed = if given.config.faults.has(Family::Ports) { world.mem.releases & !failed } else { 0 };
    let world = (0..8).map(|rel| 1 << rel).filter(|bit| blamed & bit != 0).map(|after| Pause { after, again: false });
    let all = Pause { after: failed | blamed, again: again.len() > 1 };
    let any = (all.after > 0).then_some(all);
    any.into_iter().chain(own).chain(world).collect()
}

/// Whether what is asked for serves, so that nothing is started and no pause waited for.
fn is_settled(given: &Given, world: &World) -> bool {
    let (mem, wish) = (&world.mem, given.wish(world.wish));
    let calm = world.nginx.old == Text::Absent && wish.kind == Kind::Wanted && mem.restart == NONE && mem.back_to == NONE;
    let serves = |at: u8| {
        let (slot, rec) = (world.slots[usize::from(at)], mem.recs[usize::from(at)]);
        let known =
            rec.on && rec.rel == wish.rel && slot.rel == wish.rel && slot.life == Life::Ready && slot.link == Link::Recorded;
        known && mem.quarantine & (1 << wish.rel) == 0 && world.disk.leads(world.flags) == Some(at)
    };
    calm && world.reached()[0].is_some_and(serves)
}

/// Every fact that could fail to be read.
pub(crate) fn gaps(given: &Given) -> Vec<Gap> {
    let slots = given.all().flat_map(|at| [Gap::Process(at), Gap::Port(at), Gap::Probe(at)]);
    let route = [Gap::Include, Gap::Flags, Gap::Nginx, Gap::Loaded, Gap::Proxied, Gap::Jar];
    slots.chain(route).collect()
}

/// Whether a look at a world would show what one at another showed, but for the ledger, which silent steps alone have changed between
/// them: a pass goes on with what it has seen, and then that is the same as looking again. How a process ended is read for a recorded
/// process only, so where its record went with the step it makes no difference.
pub(crate) fn shows_the_same(given: &Given, seen: &World, now: &World) -> bool {
    let left = |world: &World| world.mem.cut.on.then_some(world.mem.cut.from);
    let lies = |world: &World| (world.stored, world.unpacked, world.archived);
    let probed = |world: &World| world.mem.route.generation().is_some();
    let same = |at: u8| {
        let at = usize::from(at);
        let ended = |world: &World| world.mem.recs[at].cookie && !world.slots[at].there();
        let rec = now.mem.recs[at];
        is_known(seen.slots[at]) == is_known(now.slots[at])
            && (!(rec.on && rec.process) || (seen.mem.recs[at].process && ended(seen) == ended(now)))
    };
    given.all().all(same)
        && left(seen) == left(now)
        && lies(seen) == lies(now)
        && probed(seen) == probed(now)
        && seen.mem.jars == now.mem.jars
}
