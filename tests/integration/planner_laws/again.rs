//! What a step rests on is read once more right before it: which changes of the host meanwhile make slotd give a step up, and which
//! have nothing to do with it.

use slotd::model::id::{ArchiveId, Identity, Port, SlotName};
use slotd::model::observed::{Answer, Observation, Occupant, Owner};
use slotd::model::route::{Include, RouteForm, Target};
use slotd::plan::precondition::{Moved, Reader, rests_on, still_so};
use slotd::plan::step::{Act, Move};

use slotd::execute::{ExecuteError, Reloaded, Scene, execute};
use slotd::host::proxy::Proxy as _;

use super::chance::unknown;
use super::host::{Host, slot};
use super::place::Life;
use crate::world::World;
use crate::world::drive::block_on;
use crate::world::processes::{Behaviour, Process};

/// The host as it is when the step is about to be done.
struct Later(Host);

impl Reader for Later {
    fn include(&self) -> Observation<Include> {
        self.0.seen().route.include.clone()
    }

    fn flags(&self) -> Observation<Vec<SlotName>> {
        self.0.seen().route.flags.clone()
    }

    fn occupants(&self, port: Port) -> Observation<Vec<Occupant>> {
        self.0.seen().slots.values().find(|s| s.port == port).unwrap().occupants.clone()
    }

    fn process(&self, identity: &Identity) -> Observation<Identity> {
        let mut all = self.0.seen().slots.values().filter_map(|s| s.process.known());
        // Whatever has the pid now, as the host would find it.
        let found = all.find(|p| p.identity.pid == identity.pid).map(|p| p.identity.clone());
        found.map_or(Observation::Absent, Observation::Known)
    }

    fn nginx(&self) -> Observation<Identity> {
        self.0.seen().route.nginx.clone().map(|nginx| nginx.master)
    }

    fn answer(&self, slot: &SlotName) -> Answer {
        let place = self.0.seen().slots.get(slot).unwrap();
        place.probe.known().map_or(Answer::None { why: "it was not asked".to_owned() }, |p| p.answer.clone())
    }

    fn training(&self) -> bool {
        self.0.seen().archives.training
    }
}

/// The step is decided on this host, which then changes.
fn outcome(host: &Host, act: &Act, live: Option<&str>, meanwhile: fn(&mut Host)) -> Result<(), Moved> {
    let mut later = host.clone();
    meanwhile(&mut later);
    still_so(&rests_on(act, host.seen(), live.map(slot).as_ref()), &Later(later))
}

/// `real1` serves, `real2` is ready too, and nothing is on `real3`.
fn three() -> Host {
    let mut host = Host::plain();
    host.puts("real2", Life::Ready, "1");
    host.third(Life::Empty, "1");
    host
}

fn write(live: &str, port: u16) -> Act {
    let targets = vec![Target { slot: slot(live), port: Port(port) }];
    Act::WriteInclude { form: RouteForm::Static, targets, live: slot(live), put_back: false }
}

fn stop(host: &Host, name: &str) -> Act {
    let process = host.seen().slots[&slot(name)].process.known().unwrap().identity.clone();
    Act::Stop { slot: slot(name), process, cut: 0 }
}

fn start(host: &Host, name: &str, port: u16) -> Act {
    Act::Start {
        slot: slot(name),
        port: Port(port),
        release: host.id("3"),
        version: "3".to_owned(),
        serves: false,
        boot: slotd::model::boot::BootForm::Jar,
    }
}

fn cutover(to: &str) -> Act {
    Act::Cutover { from: slot("real1"), to: slot(to), release: None }
}

/// Each step that rests on something, with a short name.
fn steps(host: &Host) -> Vec<(&'static str, Act)> {
    let moves = Some(Move { from: slot("real1"), to: slot("real2") });
    let archive = ArchiveId::of(&jvm(), &host.spec.launch);
    vec![
        ("write", write("real2", 8082)),
        ("reload", Act::Reload { generation: 5, moves }),
        ("reload that moves nothing", Act::Reload { generation: 5, moves: None }),
        ("cutover", cutover("real2")),
        ("stop", stop(host, "real2")),
        ("tidy", Act::TidyFlags { slots: vec![slot("real2")] }),
        ("start", start(host, "real3", 8083)),
        ("train", Act::Train { slot: slot("real1"), release: host.id("2"), version: "2".to_owned(), archive }),
    ]
}

fn jvm() -> slotd::model::boot::Jvm {
    slotd::model::boot::Jvm { feature: 17, name: "Java 17".to_owned(), stamp: "1".to_owned() }
}

fn badly(host: &mut Host, name: &str) {
    let Observation::Known(probe) = &mut host.place(name).probe else { panic!("{name} was not asked") };
    (probe.answer, probe.good, probe.bad) = (Answer::WrongStatus { status: 503 }, 0, 1);
}

const ROUTED: &[&str] = &["write", "reload", "reload that moves nothing", "cutover", "stop", "tidy", "start"];
const FLAGGED: &[&str] = &["reload", "reload that moves nothing", "cutover", "stop", "tidy", "start"];
const MOVING: &[&str] = &["write", "reload", "cutover"];
const BESIDE: &[&str] = &["stop", "train"];

/// What happens between the look and the step, and which steps are given up for it.
type Change = (&'static str, fn(&mut Host), &'static [&'static str]);

const CHANGES: &[Change] = &[
    ("nothing happens", |_| {}, &[]),
    ("somebody edits the include", |h| h.route().include = Observation::Known(Include::Edited { text: "#".to_owned() }), ROUTED),
    ("another slotd writes a later text", |h| h.text(|t| t.generation = 6), ROUTED),
    ("the include is gone", |h| h.route().include = Observation::Absent, ROUTED),
    ("the include cannot be read", |h| h.route().include = unknown(), ROUTED),
    ("somebody sets a flag", |h| h.route().flags = Observation::Known(vec![slot("real2")]), FLAGGED),
    ("the flags cannot be read", |h| h.route().flags = unknown(), FLAGGED),
    ("nginx is started anew", |h| h.nginx().master.pid = 2, &["write"]),
    ("nginx ends", |h| h.route().nginx = Observation::Absent, &["write"]),
    ("nginx cannot be told", |h| h.route().nginx = unknown(), &["write"]),
    ("the slot that takes over dies", |h| h.place("real2").process = Observation::Absent, MOVING),
    ("another process gets the pid of the slot that takes over", |h| h.process("real2").identity.start += 1, MOVING),
    ("the slot that takes over answers badly", |h| badly(h, "real2"), MOVING),
    ("the slot that serves dies", |h| h.place("real1").process = Observation::Absent, BESIDE),
    ("the slot that serves answers badly", |h| badly(h, "real1"), BESIDE),
    (
        "a stranger takes the port",
        |h| {
            let stranger = Occupant::Stranger { owner: Owner::Unseen, address: "[::]:8083".to_owned() };
            h.place("real3").occupants = Observation::Known(vec![stranger]);
        },
        &["start"],
    ),
    ("the port cannot be read", |h| h.place("real3").occupants = unknown(), &["start"]),
    ("an archive is being trained for another service", |h| h.touch().archives.training = true, &["train"]),
];

#[test]
fn a_step_is_given_up_when_what_it_rests_on_changes_and_only_then() {
    let host = three();
    for (change, meanwhile, expected) in CHANGES {
        let given_up: Vec<_> = steps(&host)
            .into_iter()
            .filter(|(_, act)| outcome(&host, act, Some("real1"), *meanwhile).is_err())
            .map(|(name, _)| name)
            .collect();
        assert_eq!(given_up, *expected, "{change}");
    }
}

#[test]
fn a_silent_slot_is_stopped_where_nobody_serves_unless_it_has_begun_to_answer() {
    let mut host = three();
    host.puts("real2", Life::Sick, "1");
    let stop = stop(&host, "real2");
    let answers: fn(&mut Host) = |h| h.puts("real2", Life::Ready, "1");
    assert_eq!(outcome(&host, &stop, None, |_| {}), Ok(()));
    assert!(outcome(&host, &stop, None, answers).is_err(), "it may be the only one that answers");
    // Beside one that serves it does not matter, whatever it says.
    assert_eq!(outcome(&host, &stop, Some("real1"), answers), Ok(()));
}

#[test]
fn a_live_slot_that_a_person_stops_need_not_answer() {
    let host = three();
    assert_eq!(outcome(&host, &stop(&host, "real1"), Some("real1"), |h| badly(h, "real1")), Ok(()));
}

#[test]
fn the_traffic_goes_to_a_slot_that_did_not_answer_only_because_nothing_does() {
    let mut host = three();
    host.puts("real2", Life::Sick, "1");
    assert_eq!(outcome(&host, &cutover("real2"), Some("real1"), |_| {}), Ok(()));
    // An include may be written for a slot on which nothing runs.
    assert_eq!(outcome(&host, &write("real3", 8083), None, |_| {}), Ok(()));
}

#[test]
fn an_include_written_without_nginx_does_not_rest_on_it() {
    let mut host = three();
    host.route().nginx = Observation::Absent;
    let comes_up: fn(&mut Host) = |h| {
        let nginx = Host::plain().seen().route.nginx.clone();
        h.route().nginx = nginx;
    };
    assert_eq!(outcome(&host, &write("real2", 8082), Some("real1"), comes_up), Ok(()));
}

#[test]
fn a_step_that_is_given_up_says_what_was_expected_and_what_was_found() {
    let host = three();
    let moved = outcome(&host, &cutover("real2"), Some("real1"), |h| badly(h, "real2")).unwrap_err();
    assert_eq!(moved.expected, "a slot that answers");
    assert!(moved.found.contains("503"), "{}", moved.found);
}

/// Starts release 3 on `real3` of `three`, while a process of ours runs that was started for this slot of this service and has yet to
/// listen; whether that is what keeps it from being started.
fn is_in_the_way(service: &str, name: &str) -> bool {
    let (mut host, world) = (three(), World::new(7));
    let spec = host.spec.clone();
    (host.route().include, host.route().flags) = (world.include(&spec), world.flags(&spec));
    let (born, boot) = (world.see().now, world.see().boot_id());
    world.touch().begin(Process {
        pid: 0,
        born,
        boot,
        cookie: Some(slotd::model::id::Cookie::new("lost")),
        service: slotd::model::id::ServiceName::new(service),
        slot: slot(name),
        release: host.id("1"),
        digest: slotd::model::id::Digest::new("1"),
        port: Port(8083),
        log: "/state/logs/1.log".into(),
        behaviour: Behaviour::good(),
        listening: false,
        told: false,
        frozen: false,
        sick: false,
        routed: false,
        gives_way: false,
    });
    let scene = Scene { spec: &host.spec, seen: host.seen(), live: Some(slot("real1")), nginx: Reloaded::No };
    let done = block_on(execute(&world, &scene, &start(&host, "real3", 8083)));
    matches!(done, Err(ExecuteError::Moved { expected: "a slot without a process of ours", .. }))
}

#[test]
fn nothing_is_started_beside_a_process_of_the_slot_that_has_yet_to_listen() {
    assert!(is_in_the_way("webservice", "real3"), "a lost or older ledger does not know it");
    assert!(!is_in_the_way("webservice", "real2"));
    assert!(!is_in_the_way("other", "real3"));
}
