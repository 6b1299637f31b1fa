//! Deployments that go well.

use std::time::Duration;

use slotd::host::ledgers::{Ledgers, Outcome};
use slotd::model::desired::{CutoverMode, ServiceSpec, Standby};
use slotd::model::id::{Port, ServiceName};
use slotd::model::status::Reason;

use super::{Stage, port, slot};
use crate::world::World;
use crate::world::fault::Fault;
use crate::world::manifest::{self, goal, service};
use crate::world::processes::Behaviour;
use crate::world::sight::Sight;

#[test]
fn a_first_deployment_takes_one_start_and_one_reload() {
    let mut stage = Stage::empty();
    stage.deploy("1");
    stage.did(&[("install", 1), ("start", 1), ("write", 1), ("reload", 1)]);
    stage.is("real1 webservice-1");
}

#[test]
fn a_second_deployment_takes_one_start_and_one_cutover() {
    let mut stage = Stage::serving(&["1"]);
    stage.deploy("2");
    stage.did(&[("install", 1), ("start", 1), ("cut", 1)]);
    stage.is("real2 webservice-2");
    stage.runs(&["real1 webservice-1", "real2 webservice-2"]);
}

#[test]
fn a_third_deployment_at_once_waits_for_the_drain_of_the_slot_it_needs() {
    let mut stage = Stage::serving(&["1"]);
    stage.deploy("2");
    let cutover = stage.world.see().now;
    stage.world.take_counts();
    stage.deploy("3");
    stage.did(&[("install", 1), ("start", 1), ("cut", 1), ("term", 1)]);
    stage.is("real1 webservice-3");
    assert!(stage.world.see().now - cutover >= 30_000, "{}", stage.world.story());
}

#[test]
fn of_three_slots_each_that_was_left_drains_since_its_own_cutover() {
    let three = |spec: &mut ServiceSpec| spec.slots.push(manifest::slot("real3", 8083));
    let mut stage = Stage::serving_as(&["1"], three);
    stage.deploy("2");
    let first = stage.world.see().now;
    stage.deploy("3");
    let between = stage.world.see().now - first;
    assert!(between < 20_000, "both drain at once\n{}", stage.world.story());
    stage.world.take_counts();
    stage.deploy("4");
    stage.did(&[("install", 1), ("start", 1), ("cut", 1), ("term", 1)]);
    stage.is("real1 webservice-4");
    let took = stage.world.see().now - first;
    assert!((30_000..30_000 + between).contains(&took), "{took} ms after its own cutover\n{}", stage.world.story());
}

#[test]
fn connections_that_stay_open_hold_a_slot_until_the_drain_deadline() {
    let mut stage = Stage::serving(&["1"]);
    stage.world.touch().lingering = 600_000;
    stage.deploy("2");
    let cutover = stage.world.see().now;
    stage.deploy("3");
    let took = stage.world.see().now - cutover;
    assert!((120_000..140_000).contains(&took), "{took}\n{}", stage.world.story());
    let history = stage.world.history(&ServiceName::new("webservice")).unwrap();
    let line = history.iter().find(|line| line.outcome == Outcome::NotClean).expect("a line");
    let cut = line.cut.as_ref().expect("what was cut");
    // Seen first in the look behind the cutover, and last in the one before the stop.
    assert_eq!((cut.connections, cut.oldest_ms.map(|ms| (115_000..=took).contains(&ms))), (1, Some(true)), "{line:#?}");
    let (said, seconds) = (line.why.clone().unwrap(), cut.oldest_ms.unwrap() / 1000);
    assert_eq!(said, format!("the drain deadline cut 1 open connections, the oldest open for {seconds} s at least"));
}

#[test]
fn a_status_names_the_connections_that_hold_up_a_drain() {
    let mut stage = Stage::serving(&["1"]);
    stage.world.touch().lingering = 600_000;
    stage.deploy("2");
    stage.keep(7);
    let drain = stage.world.look(&stage.goal()).services.remove(0).view.drain.expect("it drains");
    assert_eq!((drain.slot.as_str(), drain.open, drain.longest.len()), ("real1", 1, 1));
    let (seen, least) = (&drain.longest[0], Duration::from_secs(7));
    assert!(seen.worker.is_some(), "an nginx worker has it: {seen:?}");
    assert!(seen.age >= least, "this look is the first of its process, and knows from the cutover how old it is: {seen:?}");
    stage.spec.proxy.cutover = CutoverMode::Reload;
    let age = stage.world.look(&stage.goal()).services.remove(0).view.drain.unwrap().longest[0].age;
    assert_eq!(age, Duration::ZERO, "workers of before a reload go on accepting");
}

#[test]
fn a_deployment_by_reload_takes_one_reload_and_leaves_the_old_slot_until_its_workers_stop() {
    let mut stage = Stage::serving_as(&["1"], Stage::reload_mode);
    stage.deploy("2");
    stage.did(&[("install", 1), ("start", 1), ("write", 1), ("reload", 1)]);
    stage.is("real2 webservice-2");
    stage.deploy("3");
    stage.did(&[("install", 1), ("start", 1), ("write", 1), ("reload", 1), ("term", 1)]);
    stage.is("real1 webservice-3");
}

#[test]
fn a_relabel_of_the_same_bytes_starts_nothing() {
    let mut stage = Stage::serving(&["1"]);
    stage.spec = manifest::renamed(&stage.spec, "1-final");
    stage.world.bytes(&stage.spec, "webservice-1");
    stage.world.converges(&stage.goal());
    stage.did(&[]);
    assert_eq!(stage.world.ledger("webservice").slots[&slot("real1")].version, "1-final");
}

#[test]
fn other_bytes_under_an_unchanged_manifest_deploy_nothing() {
    let stage = Stage::serving(&["1"]);
    stage.world.bytes(&stage.spec, "other bytes");
    let plan = stage.world.converges(&stage.goal());
    stage.did(&[]);
    assert!(plan.services[0].notes[0].starts_with("artifact_changed"), "{plan:#?}");
}

#[test]
fn three_slots_are_used_in_turn_and_cut_over_by_flag() {
    let three = |spec: &mut ServiceSpec| spec.slots.push(manifest::slot("real3", 8083));
    let mut stage = Stage::serving_as(&["1", "2"], three);
    stage.deploy("3");
    stage.did(&[("install", 1), ("start", 1), ("cut", 1)]);
    stage.is("real3 webservice-3");
    stage.deploy("4");
    stage.is("real1 webservice-4");
    stage.deploy("5");
    stage.deploy("6");
    stage.is("real3 webservice-6");
}

#[test]
fn of_three_slots_with_two_standbys_only_the_one_that_is_needed_is_stopped() {
    let three = |spec: &mut ServiceSpec| spec.slots.push(manifest::slot("real3", 8083));
    let mut stage = Stage::serving_as(&["1", "2", "3"], three);
    stage.deploy("4");
    stage.did(&[("install", 1), ("start", 1), ("cut", 1), ("term", 1)]);
    stage.runs(&["real1 webservice-4", "real2 webservice-2", "real3 webservice-3"]);
}

#[test]
fn the_changed_port_of_the_idle_slot_is_used_at_the_next_start() {
    let mut stage = Stage::serving(&["1", "2"]);
    stage.spec.slots[0].port = Port(9081);
    stage.deploy("3");
    stage.is("real1 webservice-3");
    assert!(stage.world.see().at_port(port(9081)).is_some());
    stage.runs(&["real1 webservice-3", "real2 webservice-2"]);
}

#[test]
fn the_changed_port_of_the_live_slot_moves_it_by_way_of_the_other_slot() {
    let mut stage = Stage::serving(&["1"]);
    stage.spec.slots[0].port = Port(9081);
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-1");
    stage.keep(300);
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-1");
}

fn exchange_ports(stage: &mut Stage) {
    stage.spec.slots[0].port = Port(8082);
    stage.spec.slots[1].port = Port(8081);
}

#[test]
fn ports_that_two_slots_exchange_never_make_one_process_two_slots() {
    let mut stage = Stage::serving(&["1", "2"]);
    exchange_ports(&mut stage);
    stage.world.holds(&stage.goal(), Reason::PortTaken);
    stage.did(&[]);
    stage.is("real2 webservice-2");
    stage.runs(&["real1 webservice-1", "real2 webservice-2"]);
    stage.befall(Fault::Crash(port(8082)));
    stage.keep(1);
    stage.is("real1 webservice-1");
}

#[test]
fn exchanged_ports_without_a_standby_leave_the_route_on_the_port_of_the_process() {
    for change in [|_: &mut ServiceSpec| {}, Stage::reload_mode] {
        let mut stage = Stage::serving_as(&["1", "2"], |spec| {
            change(spec);
            spec.slot_policy.standby = Standby::Stopped;
        });
        exchange_ports(&mut stage);
        stage.world.holds(&stage.goal(), Reason::PortTaken);
        stage.is("real2 webservice-2");
        let ledger = stage.world.ledger("webservice");
        assert_eq!(ledger.slots.values().filter(|r| r.process.is_some()).count(), 1, "{}", stage.world.story());
        stage.keep(300);
        stage.is("real2 webservice-2");
        stage.befall(Fault::NginxReloads);
        stage.is("real2 webservice-2");
    }
}

#[test]
fn ports_that_two_of_three_slots_exchange_are_taken_over_by_way_of_the_third() {
    let three = |spec: &mut ServiceSpec| spec.slots.push(manifest::slot("real3", 8083));
    let mut stage = Stage::serving_as(&["1", "2", "3"], three);
    exchange_ports(&mut stage);
    stage.deploy("4");
    stage.deploy("5");
    stage.keep(300);
    let state = stage.world.see();
    let ports = |name: &str| state.processes.values().filter(|p| p.slot == slot(name)).map(|p| p.port).collect::<Vec<_>>();
    assert_eq!((ports("real1"), ports("real2")), (vec![port(8082)], vec![port(8081)]), "{}", stage.world.story());
}

#[test]
fn a_port_that_another_slots_process_is_about_to_listen_on_is_not_free() {
    let three = |spec: &mut ServiceSpec| spec.slots.push(manifest::slot("real3", 8083));
    let mut stage = Stage::serving_as(&["1"], three);
    stage.wants("2", Behaviour { listens: Some(10_000), ready: Some(11_000), ..Behaviour::good() });
    stage.world.accept(&stage.goal());
    stage.keep(2);
    (stage.spec.slots[1].port, stage.spec.slots[2].port) = (Port(8083), Port(8082));
    stage.world.converges(&stage.goal());
    assert!(stage.live().ends_with("webservice-2"), "{}", stage.world.story());
    assert!(!stage.world.story().contains("in use"), "{}", stage.world.story());
}

#[test]
fn a_way_back_to_a_slot_whose_port_has_changed_leads_to_the_port_of_its_process() {
    let mut stage = Stage::serving(&["1"]);
    stage.wants("2", Behaviour::good());
    stage.world.accept(&stage.goal());
    stage.keep(10);
    stage.is("real2 webservice-2");
    stage.spec.slots[0].port = Port(9081);
    stage.world.accept(&stage.goal());
    stage.keep(2);
    stage.befall(Fault::Crash(port(8082)));
    stage.keep(1);
    stage.is("real1 webservice-1");
}

#[test]
fn a_change_of_the_cutover_mode_restarts_no_process() {
    let mut stage = Stage::serving(&["1", "2"]);
    Stage::reload_mode(&mut stage.spec);
    stage.world.converges(&stage.goal());
    stage.did(&[("write", 1), ("reload", 1)]);
    stage.is("real2 webservice-2");
    stage.spec.proxy.cutover = slotd::model::desired::CutoverMode::Flag;
    stage.world.converges(&stage.goal());
    stage.did(&[("write", 1), ("reload", 1)]);
    stage.is("real2 webservice-2");
    stage.deploy("3");
    stage.is("real1 webservice-3");
}

#[test]
fn two_services_share_one_reload() {
    let world = World::new(3);
    let services = [service("orders", "1", 8081), service("users", "1", 8091)];
    services.iter().for_each(|spec| {
        world.build(spec, Behaviour::good());
    });
    world.converges(&goal(&services));
    let state = world.see();
    assert!(services.iter().all(|spec| state.serves(&spec.proxy.include)), "{}", world.story());
    assert_eq!(state.counts["reload"], 1, "{}", world.story());
}

#[test]
fn what_is_open_towards_the_slots_of_all_services_is_asked_once_a_look() {
    let world = World::new(3);
    let services =
        |version| [("orders", 8081), ("users", 8091), ("stock", 8101)].map(|(name, port)| service(name, version, port));
    for version in ["1", "2"] {
        services(version).iter().for_each(|spec| drop(world.build(spec, Behaviour::good())));
        world.converges(&goal(&services(version)));
    }
    let taken = || {
        let state = world.see();
        (state.sights.walks, state.sights.taken.get(&Sight::Open).copied().unwrap_or(0))
    };
    let before = taken();
    world.look(&goal(&services("2")));
    let after = taken();
    assert_eq!(after.1 - before.1, 3, "each has a slot that drains\n{}", world.story());
    assert_eq!(after.0 - before.0, 1, "the kernel walks through all connections for each question");
}

#[test]
fn a_jar_that_is_not_there_holds_the_deployment_and_nothing_else() {
    let mut stage = Stage::serving(&["1"]);
    stage.spec = manifest::renamed(&stage.spec, "2");
    stage.world.holds(&stage.goal(), Reason::ArtifactMissing);
    stage.is("real1 webservice-1");
    stage.world.build(&stage.spec, Behaviour::good());
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
}

#[test]
fn another_health_interval_restarts_nothing() {
    let mut stage = Stage::serving(&["1"]);
    stage.spec.health.interval = Duration::from_millis(250);
    stage.world.converges(&stage.goal());
    stage.did(&[]);
}
