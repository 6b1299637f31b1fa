//! Any manifest beside any observed state: from converged over every phase of a deployment to ledgers that contradict what is seen.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use slotd::model::desired::{CutoverMode, DesiredState, OnCrash, PortConflict, Promote, ServiceSpec, Standby, Upstream};
use slotd::model::id::{BootId, Digest, Moment, Now, ReleaseId, ServiceName, SlotName};
use slotd::model::ledger::{Deployment, Failure, FailureKind, JarStamp, Ledger, Rollback};
use slotd::model::observed::{JarFact, Observation, ObservedService, ObservedState};
use slotd::model::release::Release;
use slotd::plan::Orphans;

use super::chance::{Chance, unknown};
use super::place::{Life, Places};
use super::route;
use crate::world::manifest::{self, service};

/// The instant of every look, in milliseconds since the boot.
pub(crate) const NOW: u64 = 10_000_000;

/// What a planner is asked about.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) desired: DesiredState,
    pub(crate) observed: ObservedState,
    pub(crate) orphans: Orphans,
    /// The specification by which the one service is planned.
    pub(crate) spec: ServiceSpec,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (spec, seen) = (&self.spec, self.seen());
        let slots: Vec<_> = spec.slots.iter().map(|s| format!("{}:{}", s.name, s.port)).collect();
        let wanted = self.desired.services.contains_key(&spec.name);
        writeln!(f, "wanted {wanted} {:?} {slots:?} {:?} url {:?}", self.orphans, spec.proxy.cutover, spec.proxy.url)?;
        writeln!(f, "{:?} deadline {:?}", spec.slot_policy, spec.health.deadline)?;
        writeln!(f, "jar {:?} memory {:?} stored {:?} {:?}", seen.jar, self.observed.memory, seen.stored, seen.launch_fault)?;
        for (name, place) in &seen.slots {
            writeln!(f, "{name}: {place:?}\n  recorded: {:?}", seen.ledger.slots.get(name))?;
        }
        writeln!(f, "{:?}", seen.route)?;
        let known = seen.ledger.releases.values().map(|r| format!("{} is {}", r.version, r.id)).collect::<Vec<_>>();
        let short = Ledger {
            accepted: None,
            proven_health: None,
            releases: BTreeMap::new(),
            slots: BTreeMap::new(),
            ..seen.ledger.clone()
        };
        writeln!(f, "{known:?}\n{short:?}\nhealth as proven: {}", seen.ledger.proven_health.as_ref() == Some(&spec.health))
    }
}

impl Host {
    /// Any.
    pub(crate) fn any() -> impl Strategy<Value = Host> {
        vec(any::<u8>(), 0..260).prop_map(|bytes| build(&mut Chance::new(bytes)))
    }

    /// As usual in everything.
    pub(crate) fn plain() -> Self {
        build(&mut Chance::new(Vec::new()))
    }

    /// The one service.
    pub(crate) fn seen(&self) -> &ObservedService {
        &self.observed.services[&self.spec.name]
    }

    /// The same, to be changed.
    pub(crate) fn touch(&mut self) -> &mut ObservedService {
        self.observed.services.get_mut(&self.spec.name).unwrap()
    }

    /// Whether a person said that it goes down.
    pub(crate) fn goes_down(&self) -> bool {
        let pruned = !self.desired.services.contains_key(&self.spec.name) && self.orphans == Orphans::Retire;
        self.seen().ledger.person.down || pruned
    }
}

/// Everything that is made for one host.
fn build(chance: &mut Chance) -> Host {
    let spec = spec(chance);
    let launch = &spec.launch;
    let releases = ["2", "1", "3"].map(|version| Release::new(version, Digest::new(version), launch.clone(), None));
    let now = Now { boot: BootId::new("boot"), at: Moment(NOW), wall: 1_790_000_000_000 };
    let mut places = Places { chance, spec: &spec, releases: &releases, records: BTreeMap::new(), slots: BTreeMap::new() };
    let (live, lives) = situation(&mut places);
    places.fill(&lives);
    let (records, slots) = (places.records, places.slots);
    let mut ledger = Ledger { slots: records, ..ledger(chance, &spec, &releases) };
    let route = route::route(chance, &spec, live, &slots, &mut ledger);
    let seen = ObservedService {
        jar: jar(chance, &releases),
        env_file: Observation::Absent,
        archives: slotd::model::boot::Archives::default(),
        layouts: BTreeMap::default(),
        stored: releases.iter().filter(|_| !chance.odd()).map(|r| r.digest.clone()).collect(),
        launch_fault: chance.mostly(None, &[Some("there is no java".to_owned())]),
        slots,
        route,
        ledger,
    };
    let memory = chance.mostly(Observation::Known(8 << 30), &[unknown(), Observation::Known(1 << 20)]);
    let wanted = chance.mostly(true, &[false]);
    let named = if wanted { spec.clone() } else { service("other", "1", 8091) };
    let orphans = chance.one(&[Orphans::Keep, Orphans::Keep, Orphans::Retire]);
    Host {
        desired: DesiredState { services: BTreeMap::from([(named.name.clone(), named)]) },
        observed: ObservedState { now, memory, services: BTreeMap::from([(spec.name.clone(), seen)]) },
        orphans,
        spec,
    }
}

fn spec(chance: &mut Chance) -> ServiceSpec {
    let mut spec = manifest::webservice("2");
    if chance.one(&[false, false, true]) {
        spec.slots.push(manifest::slot("real3", 8083));
    }
    (spec.proxy.cutover, spec.proxy.upstream) = chance.one(&[
        (CutoverMode::Flag, Upstream::Address),
        (CutoverMode::Flag, Upstream::Pool),
        (CutoverMode::Reload, Upstream::Address),
    ]);
    spec.proxy.url = chance.mostly(spec.proxy.url.clone(), &[None]);
    let policy = &mut spec.slot_policy;
    policy.standby = chance.one(&[Standby::Running, Standby::Frozen, Standby::Stopped]);
    policy.standby_for = chance.one(&[None, None, Some(Duration::from_secs(60))]);
    policy.promote = chance.one(&[Promote::Auto, Promote::Auto, Promote::Manual]);
    policy.on_crash = chance.one(&[OnCrash::Standby, OnCrash::Restart]);
    policy.max_attempts = chance.one(&[3, 1]);
    policy.port_conflict = chance.one(&[PortConflict::SameApp, PortConflict::Own, PortConflict::Nothing]);
    policy.bake = chance.one(&[Duration::from_secs(60), Duration::ZERO]);
    spec.health.deadline = chance.one(&[Duration::from_secs(60), Duration::from_secs(300)]);
    if chance.odd() {
        let (first, second) = (spec.slots[0].port, spec.slots[1].port);
        (spec.slots[0].port, spec.slots[1].port) = (second, first);
    }
    spec
}

/// Which slot the traffic goes to, and how each of the slots is.
fn situation(places: &mut Places<'_>) -> (usize, Vec<(Life, usize)>) {
    use Life::{Empty, Gone, Ready, Sick, Starting, Stopping};
    let count = places.spec.slots.len();
    let live = places.chance.one(&[0, 1, 2]) % count;
    let idle = places.chance.one(&[Empty, Ready, Ready, Starting, Stopping, Sick, Gone]);
    let (live_life, newest) = places.chance.one(&[
        (Ready, 0),
        (Ready, 0),
        (Ready, 1),
        (Ready, 1),
        (Gone, 0),
        (Sick, 0),
        (Starting, 0),
        (Stopping, 0),
        (Empty, 0),
        (Ready, 2),
    ]);
    let lives = (0..count).map(|at| {
        let usual = match at {
            at if at == live => (live_life, newest),
            at if at == (live + 1) % count => (idle, places.chance.one(&[1, 0, 0, 0, 2])),
            _third => (places.chance.one(&[Empty, Ready, Stopping]), places.chance.one(&[1, 0, 2])),
        };
        let odd = (places.chance.one(&Life::ALL), places.chance.one(&[0, 1, 2]));
        places.chance.mostly(usual, &[odd])
    });
    let lives: Vec<_> = lives.collect();
    (live, lives)
}

fn jar(chance: &mut Chance, releases: &[Release; 3]) -> Observation<JarFact> {
    let stamp = JarStamp { len: 1, mtime: 1, inode: 1 };
    let changed = chance.mostly(None, &[Some(releases[2].digest.clone())]);
    let digest = chance.mostly(releases[0].digest.clone(), &[releases[1].digest.clone(), releases[2].digest.clone()]);
    chance.seen(JarFact { digest, stamp, changed })
}

/// What is remembered beside the slots and the route.
fn ledger(chance: &mut Chance, spec: &ServiceSpec, releases: &[Release; 3]) -> Ledger {
    let ids = releases.each_ref().map(|r| r.id.clone());
    let mut ledger = Ledger { accepted: Some(spec.clone()), proven_health: Some(spec.health.clone()), ..Ledger::default() };
    for release in releases {
        if chance.mostly(true, &[false]) {
            ledger.releases.insert(release.id.clone(), release.clone());
        }
        if chance.odd() {
            ledger.quarantine.insert(release.id.clone(), "it failed".to_owned());
        }
    }
    ledger.good = chance
        .one(&[vec![0], vec![1], vec![1, 0], vec![0, 1], vec![2, 1], vec![]])
        .into_iter()
        .map(|at: usize| ids[at].clone())
        .collect();
    ledger.failures = failures(chance, &ids);
    ledger.deployment = chance.mostly(None, &[0, 1, 2].map(|at| Some(deployment(&ids[at]))));
    if chance.odd() {
        ledger.proven_health =
            chance.one(&[None, Some(slotd::model::desired::HealthSpec { status: 204, ..spec.health.clone() })]);
    }
    person(chance, &mut ledger, &ids);
    ledger
}

fn failures(chance: &mut Chance, ids: &[ReleaseId; 3]) -> Vec<Failure> {
    let many = chance.mostly(0, &[1, 2, 3, 5]);
    let mut all: Vec<_> = (0..many)
        .map(|_| Failure {
            release: chance.one(ids),
            kind: chance.one(&[FailureKind::Start, FailureKind::Crash, FailureKind::World]),
            at: Moment(NOW - chance.span()),
            boot: BootId::new(chance.mostly("boot", &["earlier"])),
            why: "it failed".to_owned(),
        })
        .collect();
    all.sort_by_key(|f| f.at);
    all
}

fn deployment(release: &ReleaseId) -> Deployment {
    Deployment { release: release.clone(), version: "2".to_owned(), slot: None, began: 0, phases: Vec::new() }
}

fn person(chance: &mut Chance, ledger: &mut Ledger, ids: &[ReleaseId; 3]) {
    let person = &mut ledger.person;
    person.paused = chance.odd();
    person.down = chance.odd();
    person.repair = chance.odd();
    person.promoted = chance.mostly(None, &[Some(ids[0].clone()), Some(ids[1].clone())]);
    person.rollback = chance.mostly(None, &[Some(Rollback { away: ids[0].clone(), to: ids[1].clone() })]);
    if chance.odd() {
        person.restart = ledger.slots.values().find_map(|record| record.process.clone());
    }
}

/// A service's name.
pub(crate) fn name() -> ServiceName {
    ServiceName::new("webservice")
}

/// A slot's name.
pub(crate) fn slot(name: &str) -> SlotName {
    SlotName::new(name)
}
