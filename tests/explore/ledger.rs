//! The shipped ledger from its essentials and back. What is lost on the way (texts for people, history) decides nothing.
//!
//! A property of this file, checked on every ledger that is met: expanding what was absorbed gives the same plan.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use slotd::model::desired::Upstream;
use slotd::model::id::{BootId, Cookie, Identity, Moment, Now, ReleaseId, SlotName};
use slotd::model::ledger::{
    Cutover, Deployment, Failure, FailureKind, JarStamp, Ledger, Person, Reload, ResolvedJar, Rollback, SlotRecord,
};
use slotd::model::route::{RouteForm, RouteText, Target};

use crate::config::{FAILURES, Given, digest, health, label, port};
use crate::model::{Cut, Fails, Hup, Link, Mem, NONE, RELEASES, Rec, SLOTS, Slot, Text, World};
use crate::see::Pause;

/// The one instant at which everything is planned; what is older lies before it.
const NOW: Moment = Moment(10_000_000);

/// Pids of nginx's workers, the newest and the older ones.
pub(crate) const WORKERS: [u32; 2] = [11, 10];

/// This boot and the one before.
fn boot(this: bool) -> BootId {
    BootId::new(if this { "boot-now" } else { "boot-before" })
}

/// This instant.
pub(crate) fn now() -> Now {
    Now { boot: boot(true), at: NOW, wall: 0 }
}

fn ago(seconds: u64) -> Moment {
    Moment(NOW.0 - Duration::from_secs(seconds).as_secs() * 1000)
}

/// The cookie of what runs in a slot.
pub(crate) fn cookie(slot: u8) -> Cookie {
    Cookie::new(format!("cookie-{slot}"))
}

/// What runs in a slot.
pub(crate) fn identity(at: u8, slot: Slot) -> Identity {
    // What others start is another process each time: the one that is known is not the next one.
    let start = if slot.ours || slot.link == Link::Recorded { 1 } else { 2 };
    Identity { boot: boot(true), pid: 100 + u32::from(at), start, cookie: slot.ours.then(|| cookie(at)) }
}

/// What ran in a slot and is gone.
fn gone(at: u8, rec: Rec) -> Identity {
    let cookie = rec.cookie.then(|| Cookie::new(format!("gone-{at}")));
    Identity { boot: boot(rec.this_boot), pid: 200 + u32::from(at), start: 1, cookie }
}

/// A text as the ledger and the include have it.
pub(crate) fn text(given: &Given, of: Text) -> Option<RouteText> {
    let target = |slot: u8| Target { slot: given.name(slot), port: port(slot) };
    let (generation, form, targets) = match of {
        Text::Flag { gen_ } => (gen_, flagged(given), given.all().map(target).collect()),
        Text::Line { gen_, slot } => (gen_, RouteForm::Static, vec![target(slot)]),
        Text::Absent | Text::Plain { .. } | Text::Garbage => return None,
    };
    Some(RouteText { generation: u64::from(generation), nonce: "nonce".to_owned(), form, targets })
}

/// The form with flags that the configuration has.
fn flagged(given: &Given) -> RouteForm {
    match given.config.upstream {
        Upstream::Address => RouteForm::Flag,
        Upstream::Pool => RouteForm::Pool,
    }
}

/// The essentials of a text.
pub(crate) fn untext(given: &Given, text: &RouteText) -> Text {
    let gen_ = u8::try_from(text.generation).unwrap_or(NONE);
    match text.form {
        // No configuration has both: see `flagged`.
        RouteForm::Flag | RouteForm::Pool => Text::Flag { gen_ },
        RouteForm::Static => Text::Line { gen_, slot: text.targets.first().map_or(NONE, |t| given.slot(&t.slot)) },
    }
}

fn release(given: &Given, rel: u8) -> Option<ReleaseId> {
    given.releases.get(usize::from(rel)).map(|r| r[0].id.clone())
}

fn number(given: &Given, id: &ReleaseId) -> u8 {
    let at = given.releases.iter().position(|r| r[0].id == *id);
    at.and_then(|at| u8::try_from(at).ok()).unwrap_or(NONE)
}

/// The ledger of a world.
pub(crate) fn expand(given: &Given, world: &World) -> Ledger {
    let mut ledger = Ledger::default();
    expand_again(given, &World::default(), world, &mut ledger);
    ledger.failures = failures(given, world, Pause::default());
    ledger
}

/// Makes the ledger of one world that of another, but for the failures: what is large and seldom differs is kept where it is the same.
pub(crate) fn expand_again(given: &Given, before: &World, world: &World, ledger: &mut Ledger) {
    let mem = &world.mem;
    let has = |set: u8| move |rel: &u8| set & (1 << rel) != 0;
    let all = || 0..u8::try_from(RELEASES).unwrap_or(0);
    let named = |rel: u8| release(given, rel).map(|id| (id, "it failed".to_owned()));
    let accepted = |world: &World| world.mem.accepted.then_some(world.wish);
    if accepted(before) != accepted(world) {
        ledger.accepted = accepted(world).map(|wish| given.specs[usize::from(wish)].clone());
    }
    if (before.mem.releases, before.mem.relabelled) != (mem.releases, mem.relabelled) {
        ledger.releases = all().filter(has(mem.releases)).map(|rel| known(given, mem, rel)).collect();
    }
    if before.mem.jars != mem.jars {
        ledger.jars = (0..16).filter(|bit| mem.jars & (1 << bit) != 0).map(|bit| jar(given, bit / 2, bit % 2)).collect();
    }
    if before.mem.health != mem.health {
        ledger.proven_health = mem.health.checked_sub(1).map(health);
    }
    ledger.slots = given.all().filter_map(|at| record(given, world, at)).collect();
    ledger.route = text(given, mem.route);
    ledger.leaving = name(given, mem.leaving);
    ledger.proven = u64::from(mem.proven);
    ledger.cutover = cutover(given, mem);
    ledger.reload = reload(world);
    ledger.quarantine = all().filter(has(mem.quarantine)).filter_map(named).collect();
    ledger.good = mem.good.iter().filter_map(|rel| release(given, *rel)).collect();
    ledger.person = person(given, world);
    ledger.deployment = deployment(given, mem.deployment);
}

fn name(given: &Given, slot: u8) -> Option<SlotName> {
    (slot != NONE).then(|| given.name(slot))
}

fn known(given: &Given, mem: &Mem, rel: u8) -> (ReleaseId, slotd::model::release::Release) {
    let label = usize::from(mem.relabelled & (1 << rel) != 0);
    let release = given.releases[usize::from(rel)][label].clone();
    (release.id.clone(), release)
}

/// Which bytes a jar of that name was resolved to.
pub(crate) fn jar(given: &Given, rel: u8, of: u8) -> ResolvedJar {
    let path = given.specs[0].jar.path.clone();
    ResolvedJar { version: label(rel, of), path, sha256: None, digest: digest(rel), stamp: stamp() }
}

/// What every inode says: the planner does not look.
pub(crate) fn stamp() -> JarStamp {
    JarStamp { len: 1, mtime: 1, inode: 1 }
}

fn record(given: &Given, world: &World, at: u8) -> Option<(SlotName, SlotRecord)> {
    let (rec, slot) = (world.mem.recs[usize::from(at)], world.slots[usize::from(at)]);
    let own = Some(cookie(at));
    let linked = slot.there() && slot.link != Link::Stray;
    let other = gone(at, rec);
    let version = if rec.label == 2 { "unknown".to_owned() } else { label(rec.rel, rec.label) };
    rec.on.then(|| {
        let record = SlotRecord {
            port: port(at),
            release: release(given, rec.rel),
            version,
            cookie: if linked && slot.ours { own.filter(|_| rec.cookie) } else { other.cookie.clone() },
            process: rec.process.then(|| if linked { identity(at, slot) } else { other }),
            evidence: rec.evidence.then(|| "found".to_owned()),
            since: ago(started(&world.mem, at)),
            boot: boot(rec.this_boot),
            served: rec.served,
            stopping: (rec.stopping > 0).then(|| ago(if rec.stopping == 1 { 1 } else { 41 })),
            killing: rec.killing.then(|| ago(0)),
            condemned: rec.condemned.then(|| "it failed".to_owned()),
            thawed: rec.thawed.then(|| ago(1)),
            left: rec.left.then(|| ago(LEFT)),
            log: PathBuf::new(),
        };
        (given.name(at), record)
    })
}

/// Seconds since the process of a slot was started: before the cutover to it, or after.
fn started(mem: &Mem, at: u8) -> u64 {
    let rec = mem.recs[usize::from(at)];
    match (rec.past, rec.pre) {
        (true, _) => 400,
        (false, true) => cut_age(mem) + 1,
        (false, false) => 0,
    }
}

/// Seconds since a slot was left by a cutover before the last one: past `drain`, before its deadline.
const LEFT: u64 = 45;

/// Seconds since the cutover; a process that is past its deadline and was started after the cutover makes it older.
fn cut_age(mem: &Mem) -> u64 {
    let to = mem.recs.get(usize::from(mem.cut.to)).copied().unwrap_or_default();
    match mem.cut.age {
        0 => 1,
        1 => 35,
        _ if to.past && !to.pre => 500,
        _ => 100,
    }
}

fn cutover(given: &Given, mem: &Mem) -> Option<Cutover> {
    let cut = mem.cut;
    cut.on.then(|| Cutover {
        from: name(given, cut.from),
        to: given.name(cut.to),
        at: ago(cut_age(mem)),
        boot: boot(cut.this_boot),
        settled: cut.settled,
        cut: None,
    })
}

fn reload(world: &World) -> Option<Reload> {
    let (hup, nginx) = (world.mem.hup, world.nginx);
    let noted = [nginx.cur_noted, nginx.old_noted && nginx.old != Text::Absent];
    hup.on.then(|| Reload {
        generation: u64::from(hup.gen_),
        at: ago([1, 6, 100][usize::from(hup.age)]),
        boot: boot(hup.this_boot),
        workers: WORKERS.iter().zip(noted).filter(|(_, noted)| *noted).map(|(pid, _)| (*pid, 1)).collect(),
        failed: hup.failed,
    })
}

/// The failures that a look finds, with what it finds of their pauses.
pub(crate) fn failures(given: &Given, world: &World, pause: Pause) -> Vec<Failure> {
    (0..).zip(world.mem.fails).flat_map(|(rel, fails)| of_one(given, rel, fails, pause)).collect()
}

fn of_one(given: &Given, rel: u8, fails: Fails, pause: Pause) -> Vec<Failure> {
    let lasts = pause.after & (1 << rel) != 0;
    let again = |count: u8| if lasts && pause.again && count > 0 { FAILURES } else { count };
    let young = if lasts { 0 } else { 300 };
    let one = |(kind, age)| Failure {
        release: given.releases[usize::from(rel)][0].id.clone(),
        kind,
        at: ago(age),
        boot: boot(true),
        why: "it failed".to_owned(),
    };
    let kinds = [
        (FailureKind::Start, 700, fails.start_old),
        (FailureKind::World, young, u8::from(lasts && fails.start + fails.crash == 0)),
        (FailureKind::Start, young, again(fails.start)),
        (FailureKind::Crash, young, again(fails.crash)),
    ];
    kinds.into_iter().flat_map(|(kind, age, count)| (0..count).map(move |_| (kind, age))).map(one).collect()
}

fn person(given: &Given, world: &World) -> Person {
    let mem = &world.mem;
    let rollback = release(given, mem.back_away).zip(release(given, mem.back_to)).map(|(away, to)| Rollback { away, to });
    let slot = world.slots.get(usize::from(mem.restart)).filter(|slot| slot.there());
    Person {
        paused: mem.paused,
        rollback,
        promoted: release(given, mem.promoted),
        down: mem.down,
        restart: slot.map(|slot| identity(mem.restart, *slot)),
        repair: mem.repair,
    }
}

fn deployment(given: &Given, rel: u8) -> Option<Deployment> {
    let release = release(given, rel)?;
    Some(Deployment { release, version: label(rel, 0), slot: None, began: 0, phases: Vec::new() })
}

/// Takes the essentials of a ledger into a world.
pub(crate) fn absorb(given: &Given, ledger: &Ledger, world: &mut World) {
    let set = |ids: Vec<u8>| ids.into_iter().filter(|rel| *rel != NONE).fold(0_u8, |set, rel| set | (1 << rel));
    let rel = |id: &ReleaseId| number(given, id);
    let opt = |id: Option<&ReleaseId>| id.map_or(NONE, rel);
    let slot = |name: Option<&SlotName>| name.map_or(NONE, |n| given.slot(n));
    let renamed = |r: &&slotd::model::release::Release| r.version.ends_with("-renamed");
    absorb_slots(given, ledger, world);
    world.nginx.cur_noted = noted(ledger, WORKERS[0]);
    world.nginx.old_noted = noted(ledger, WORKERS[1]);
    let old = world.mem;
    world.mem = Mem {
        recs: old.recs,
        cut: ledger.cutover.as_ref().map_or_else(Cut::default, |c| uncut(given, c)),
        hup: ledger.reload.as_ref().map_or_else(Hup::default, unreload),
        fails: unfails(given, ledger),
        releases: set(ledger.releases.keys().map(rel).collect()),
        relabelled: set(ledger.releases.values().filter(renamed).map(|r| rel(&r.id)).collect()),
        quarantine: set(ledger.quarantine.keys().map(rel).collect()),
        good: list(ledger.good.iter().map(rel)),
        jars: ledger.jars.iter().fold(0, |set, jar| set | (1 << unjar(given, jar))),
        route: ledger.route.as_ref().map_or(Text::Absent, |t| untext(given, t)),
        leaving: slot(ledger.leaving.as_ref()),
        proven: u8::try_from(ledger.proven).unwrap_or(NONE),
        paused: ledger.person.paused,
        back_away: opt(ledger.person.rollback.as_ref().map(|r| &r.away)),
        back_to: opt(ledger.person.rollback.as_ref().map(|r| &r.to)),
        promoted: opt(ledger.person.promoted.as_ref()),
        down: ledger.person.down,
        restart: replaced(given, ledger, world),
        repair: ledger.person.repair,
        deployment: opt(ledger.deployment.as_ref().map(|d| &d.release)),
        health: ledger.proven_health.as_ref().map_or(0, |h| if *h == health(0) { 1 } else { 2 }),
        accepted: ledger.accepted.is_some(),
    };
}

fn noted(ledger: &Ledger, pid: u32) -> bool {
    ledger.reload.as_ref().is_some_and(|r| r.workers.iter().any(|w| w.0 == pid))
}

fn list(items: impl Iterator<Item = u8>) -> [u8; RELEASES] {
    let mut all = [NONE; RELEASES];
    all.iter_mut().zip(items).for_each(|(place, item)| *place = item);
    all
}

fn unjar(given: &Given, jar: &ResolvedJar) -> u8 {
    let rel = given.releases.iter().position(|r| r[0].digest == jar.digest).and_then(|at| u8::try_from(at).ok()).unwrap_or(0);
    2 * rel + u8::from(jar.version.ends_with("-renamed"))
}

fn replaced(given: &Given, ledger: &Ledger, world: &World) -> u8 {
    let Some(order) = &ledger.person.restart else { return NONE };
    let is = |at: &u8| world.slots[usize::from(*at)].there() && identity(*at, world.slots[usize::from(*at)]) == *order;
    given.all().find(is).unwrap_or(NONE)
}

fn absorb_slots(given: &Given, ledger: &Ledger, world: &mut World) {
    let mut recs = [Rec::default(); SLOTS];
    for at in given.all() {
        let i = usize::from(at);
        let slot = &mut world.slots[i];
        let before = *slot;
        slot.link = Link::Stray;
        let Some(record) = ledger.slots.get(&given.names[i]) else { continue };
        let mine = slot.there() && record.process.as_ref() == Some(&identity(at, before));
        let carries = slot.there() && slot.ours && record.process.is_none() && record.cookie == Some(cookie(at));
        slot.link = if mine {
            Link::Recorded
        } else if carries {
            Link::Cookie
        } else {
            Link::Stray
        };
        recs[i] = unrecord(given, ledger, record, at);
    }
    world.mem.recs = recs;
}

fn unrecord(given: &Given, ledger: &Ledger, record: &SlotRecord, at: u8) -> Rec {
    let cut = ledger.cutover.as_ref().filter(|c| given.slot(&c.to) == at);
    Rec {
        on: true,
        rel: record.release.as_ref().map_or(NONE, |id| number(given, id)),
        label: match record.version.as_str() {
            "unknown" => 2,
            version => u8::from(version.ends_with("-renamed")),
        },
        cookie: record.cookie.is_some(),
        process: record.process.is_some(),
        evidence: record.evidence.is_some(),
        past: NOW.since(record.since) >= Duration::from_secs(300),
        pre: cut.is_some_and(|c| c.at >= record.since),
        this_boot: record.boot == boot(true),
        served: record.served,
        stopping: record.stopping.map_or(0, |told| if NOW.since(told) >= Duration::from_secs(40) { 2 } else { 1 }),
        killing: record.killing.is_some(),
        condemned: record.condemned.is_some(),
        thawed: record.thawed.is_some_and(|at| NOW.since(at) < Duration::from_secs(2)),
        left: record.left.is_some_and(|at| NOW.since(at) < Duration::from_secs(60)),
    }
}

fn uncut(given: &Given, cut: &Cutover) -> Cut {
    let age = NOW.since(cut.at).as_secs();
    Cut {
        on: true,
        from: cut.from.as_ref().map_or(NONE, |s| given.slot(s)),
        to: given.slot(&cut.to),
        age: u8::from(age >= 30) + u8::from(age >= 60),
        this_boot: cut.boot == boot(true),
        settled: cut.settled,
    }
}

fn unreload(reload: &Reload) -> Hup {
    let age = NOW.since(reload.at).as_secs();
    Hup {
        on: true,
        gen_: u8::try_from(reload.generation).unwrap_or(NONE),
        age: u8::from(age >= 5) + u8::from(age >= 30),
        this_boot: reload.boot == boot(true),
        failed: reload.failed,
    }
}

/// More failures than the policy counts are no more than that, and what the world is to blame for makes a pause alone.
fn unfails(given: &Given, ledger: &Ledger) -> [Fails; RELEASES] {
    let mut all = [Fails::default(); RELEASES];
    for failure in ledger.failures.iter().filter(|f| f.boot == boot(true)) {
        let rel = number(given, &failure.release);
        let Some(fails) = all.get_mut(usize::from(rel)) else { continue };
        let count = match failure.kind {
            FailureKind::Start if NOW.since(failure.at) > Duration::from_secs(600) => &mut fails.start_old,
            FailureKind::Start => &mut fails.start,
            FailureKind::Crash => &mut fails.crash,
            FailureKind::World => continue,
        };
        *count = (*count + 1).min(given.config.counted());
    }
    all
}

/// Slots by name, for a caller that has none at hand.
pub(crate) fn by_name<T>(given: &Given, of: impl Fn(u8) -> T) -> BTreeMap<SlotName, T> {
    given.all().map(|at| (given.name(at), of(at))).collect()
}
