//! A standby that is stopped in place.

use std::time::Duration;

use slotd::host::ledgers::Outcome;
use slotd::model::desired::{OnCrash, ServiceSpec, Standby};
use slotd::model::id::{Port, ServiceName};
use slotd::plan::person::Decision;
use slotd::plan::view::{RollbackKind, SlotState};

use super::{Stage, port, slot};
use crate::world::fault::Fault;
use crate::world::processes::Behaviour;

fn policy(spec: &mut ServiceSpec) {
    spec.slot_policy.standby = Standby::Frozen;
}

/// 1 has served and is stopped in place, 2 serves.
fn frozen() -> Stage {
    let stage = Stage::serving_as(&["1", "2"], policy);
    assert!(is_frozen(&stage, port(8081)) && !is_frozen(&stage, port(8082)), "{}", stage.world.story());
    stage
}

fn is_frozen(stage: &Stage, port: Port) -> bool {
    let state = stage.world.see();
    state.at_port(port).unwrap_or_else(|| panic!("nothing runs on {port}\n{}", stage.world.story())).frozen
}

fn state(stage: &Stage, name: &str) -> SlotState {
    let view = stage.world.look(&stage.goal()).services.remove(0).view;
    view.slots.iter().find(|seen| seen.slot == slot(name)).unwrap().state
}

#[test]
fn the_old_slot_is_frozen_once_it_has_drained_and_then_nothing_is_done() {
    let mut stage = Stage::serving_as(&["1"], policy);
    stage.wants("2", Behaviour::good());
    stage.world.accept(&stage.goal());
    stage.keep(20);
    assert_eq!(state(&stage, "real1"), SlotState::Draining);
    stage.world.converges(&stage.goal());
    assert_eq!(state(&stage, "real1"), SlotState::Frozen);
    stage.did(&[("install", 1), ("start", 1), ("cut", 1), ("freeze", 1)]);
    stage.is("real2 webservice-2");
    let plan = stage.keep(3600);
    stage.did(&[]);
    assert!(plan.services[0].notes.iter().any(|note| note.contains("leases")), "{:?}", plan.services[0].notes);
}

#[test]
fn a_rollback_to_a_frozen_standby_thaws_it_and_asks_it_before_the_traffic_comes() {
    let stage = frozen();
    let before = stage.world.look(&stage.goal()).services.remove(0).view;
    assert_eq!((before.rollback.kind, before.past.frozen), (RollbackKind::Frozen, None));
    stage.decide(&Decision::Rollback { to: None });
    stage.world.apply(&stage.goal());
    stage.is("real1 webservice-1");
    stage.did(&[("cut", 1), ("freeze", 1), ("thaw", 1)]);
    assert!(is_frozen(&stage, port(8082)), "the slot that it came from");
    let line = stage.world.see().history[&stage.spec.name].iter().find(|l| l.outcome == Outcome::RolledBack).cloned().unwrap();
    let phases: Vec<_> = line.phases.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(phases, ["thaw", "cutover"]);
    let past = stage.world.look(&stage.goal()).services.remove(0).view.past;
    assert_eq!((past.warm, past.cold), (None, None));
    assert!(past.frozen.is_some_and(|took| took < Duration::from_millis(400)), "{:?}", past.frozen);
}

#[test]
fn a_dead_live_slot_wakes_the_frozen_standby_and_goes_forward_again_when_it_is_back() {
    let stage = frozen();
    stage.befall(Fault::Crash(port(8082)));
    stage.keep(1);
    stage.is("real1 webservice-1");
    stage.did(&[("cut", 1), ("thaw", 1)]);
    stage.keep(200);
    stage.is("real2 webservice-2");
    stage.did(&[("start", 1), ("cut", 1), ("freeze", 1)]);
}

#[test]
fn a_live_slot_that_answers_badly_wakes_the_frozen_standby() {
    let stage = frozen();
    stage.befall(Fault::Sick(port(8082), true));
    stage.keep(5);
    stage.is("real1 webservice-1");
    stage.did(&[("cut", 1), ("thaw", 1)]);
}

#[test]
fn a_frozen_standby_stays_asleep_where_a_crashed_release_is_started_again_in_its_place() {
    let stage = Stage::serving_as(&["1", "2"], |spec| {
        policy(spec);
        spec.slot_policy.on_crash = OnCrash::Restart;
    });
    stage.keep(600);
    stage.world.take_counts();
    stage.befall(Fault::Crash(port(8082)));
    stage.keep(30);
    stage.is("real2 webservice-2");
    stage.did(&[("start", 1)]);
    assert!(is_frozen(&stage, port(8081)));
}

#[test]
fn a_frozen_standby_that_answers_badly_when_it_goes_on_keeps_the_live_release_from_its_start_for_seconds_only() {
    let stage = frozen();
    stage.befall(Fault::Sick(port(8081), true));
    stage.befall(Fault::Crash(port(8082)));
    stage.keep(3);
    stage.did(&[("start", 1), ("freeze", 1), ("thaw", 1)]);
    stage.keep(10);
    stage.is("real2 webservice-2");
}

#[test]
fn a_frozen_standby_gives_way_to_the_next_release() {
    let mut stage = frozen();
    stage.deploy("3");
    stage.is("real1 webservice-3");
    stage.did(&[("install", 1), ("start", 1), ("cut", 1), ("term", 1), ("freeze", 1), ("thaw", 1)]);
    stage.runs(&["real1 webservice-3", "real2 webservice-2"]);
}

#[test]
fn a_frozen_slot_that_becomes_live_behind_our_back_is_thawed_at_once() {
    let stage = frozen();
    stage.befall(Fault::Flag(stage.spec.proxy.include.clone(), slot("real2"), false));
    stage.keep(1);
    stage.is("real2 webservice-2");
    stage.did(&[("cut", 1), ("thaw", 1)]);
    stage.keep(200);
    stage.did(&[("freeze", 1)]);
    assert!(is_frozen(&stage, port(8081)));
}

#[test]
fn a_live_process_that_somebody_stops_in_place_goes_on() {
    let stage = frozen();
    stage.befall(Fault::Stopped(port(8082)));
    stage.keep(1);
    stage.is("real2 webservice-2");
    stage.did(&[("thaw", 1)]);
}

#[test]
fn a_change_of_the_policy_thaws_or_stops_what_is_frozen() {
    for (policy, done, runs) in [
        (Standby::Running, [("thaw", 1)].as_slice(), ["real1 webservice-1", "real2 webservice-2"].as_slice()),
        // A process that is stopped in place learns of TERM when it goes on.
        (Standby::Stopped, &[("term", 1), ("thaw", 1)], &["real2 webservice-2"]),
    ] {
        let mut stage = frozen();
        stage.spec.slot_policy.standby = policy;
        stage.world.converges(&stage.goal());
        stage.did(done);
        stage.runs(runs);
        stage.is("real2 webservice-2");
    }
}

#[test]
fn a_frozen_standby_is_stopped_after_its_time() {
    let stage = Stage::serving_as(&["1", "2"], |spec| {
        policy(spec);
        spec.slot_policy.standby_for = Some(Duration::from_secs(600));
    });
    stage.keep(1200);
    stage.runs(&["real2 webservice-2"]);
    stage.is("real2 webservice-2");
}

#[test]
fn what_is_frozen_is_found_again_after_a_lost_ledger() {
    let stage = frozen();
    stage.befall(Fault::LedgerLost(ServiceName::new("webservice")));
    stage.world.accept(&stage.goal());
    stage.keep(200);
    stage.is("real2 webservice-2");
    stage.did(&[]);
    assert_eq!(state(&stage, "real1"), SlotState::Frozen);
    stage.befall(Fault::Crash(port(8082)));
    stage.keep(1);
    stage.is("real1 webservice-1");
}

#[test]
fn a_service_that_goes_down_ends_what_is_frozen_too() {
    let stage = frozen();
    stage.world.touch().judge.excused.insert(stage.spec.proxy.include.clone());
    stage.decide(&Decision::Down);
    stage.keep(120);
    stage.runs(&[]);
}
