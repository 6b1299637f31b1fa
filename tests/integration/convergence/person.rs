//! What a person decides.

use slotd::model::desired::Standby;
use slotd::model::status::Reason;
use slotd::plan::person::Decision;

use super::Stage;
use crate::world::manifest::renamed;
use crate::world::processes::Behaviour;

fn rollback() -> Decision {
    Decision::Rollback { to: None }
}

#[test]
fn a_warm_rollback_is_one_cutover() {
    let stage = Stage::serving(&["1", "2"]);
    stage.decide(&rollback());
    stage.world.holds(&stage.goal(), Reason::RolledBack);
    stage.did(&[("cut", 1)]);
    stage.is("real1 webservice-1");
}

#[test]
fn a_warm_rollback_waits_for_one_interval_between_two_answers_and_for_nothing_else() {
    let stage = Stage::serving(&["1", "2"]);
    let began = stage.world.see().now;
    // the first of the two answers is that which the decision was taken on, 60 ms before the first pass
    stage.world.carries_out(&stage.goal(), &rollback(), 60);
    stage.is("real1 webservice-1");
    let took = stage.world.see().now - began;
    let interval = u64::try_from(stage.spec.health.interval.as_millis()).unwrap();
    // `is` lets 200 ms pass
    assert_eq!(took, interval + 200, "{}", stage.world.story());
}

#[test]
fn a_rollback_needs_no_jar_of_the_manifest() {
    let mut stage = Stage::serving(&["1", "2"]);
    stage.spec = renamed(&stage.spec, "3"); // accepted, and never built
    stage.world.accept(&stage.goal());
    stage.world.holds(&stage.goal(), Reason::ArtifactMissing);
    stage.decide(&rollback());
    stage.world.holds(&stage.goal(), Reason::RolledBack);
    stage.did(&[("cut", 1)]);
    stage.is("real1 webservice-1");
    stage.deploy("3");
    stage.is("real2 webservice-3");
}

#[test]
fn a_cold_rollback_starts_the_release_again() {
    let stage = Stage::serving_as(&["1", "2"], |spec| spec.slot_policy.standby = Standby::Stopped);
    stage.decide(&rollback());
    stage.world.holds(&stage.goal(), Reason::RolledBack);
    stage.did(&[("start", 1), ("cut", 1), ("term", 1)]);
    stage.is("real1 webservice-1");
}

#[test]
fn after_a_rollback_the_next_version_is_deployed_and_the_rollback_forgotten() {
    let mut stage = Stage::serving(&["1", "2"]);
    stage.decide(&rollback());
    stage.world.apply(&stage.goal());
    stage.deploy("3");
    stage.is("real2 webservice-3");
    assert!(stage.world.ledger("webservice").person.rollback.is_none(), "{}", stage.world.story());
}

#[test]
fn a_retry_after_a_rollback_goes_forward_again() {
    let stage = Stage::serving(&["1", "2"]);
    stage.decide(&rollback());
    stage.world.apply(&stage.goal());
    stage.decide(&Decision::Retry);
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
}

#[test]
fn a_paused_service_deploys_nothing_until_it_is_resumed() {
    let mut stage = Stage::serving(&["1"]);
    stage.decide(&Decision::Pause);
    stage.wants("2", Behaviour::good());
    stage.world.holds(&stage.goal(), Reason::Paused);
    stage.did(&[]);
    stage.decide(&Decision::Resume);
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
}

#[test]
fn a_paused_service_is_still_healed() {
    let stage = Stage::serving(&["1", "2"]);
    stage.decide(&Decision::Pause);
    stage.befall(crate::world::fault::Fault::Crash(super::port(8082)));
    stage.keep(60);
    stage.is("real2 webservice-2");
}

#[test]
fn a_restart_replaces_the_process_by_the_same_release_on_the_other_slot() {
    let stage = Stage::serving(&["1", "2"]);
    stage.decide(&Decision::Restart);
    stage.world.converges(&stage.goal());
    stage.is("real1 webservice-2");
    stage.did(&[("start", 1), ("cut", 1), ("term", 1)]);
    stage.keep(300);
    stage.is("real1 webservice-2");
}

#[test]
fn a_service_that_is_down_runs_nothing_and_comes_up_again() {
    let stage = Stage::serving(&["1", "2"]);
    stage.world.touch().judge.excused.insert(stage.spec.proxy.include.clone());
    stage.decide(&Decision::Down);
    stage.world.holds(&stage.goal(), Reason::Down);
    stage.runs(&[]);
    stage.keep(60);
    stage.runs(&[]);
    stage.decide(&Decision::Restart);
    stage.world.converges(&stage.goal());
    assert!(stage.live().ends_with("webservice-2"), "{}", stage.world.story());
    stage.world.is_lawful();
}

#[test]
fn a_service_that_is_down_by_reload_comes_up_with_a_retry() {
    let stage = Stage::serving_as(&["1"], Stage::reload_mode);
    stage.world.touch().judge.excused.insert(stage.spec.proxy.include.clone());
    stage.decide(&Decision::Down);
    stage.world.holds(&stage.goal(), Reason::Down);
    stage.runs(&[]);
    stage.decide(&Decision::Retry);
    stage.world.converges(&stage.goal());
    assert!(stage.live().ends_with("webservice-1"), "{}", stage.world.story());
}

#[test]
fn down_before_anything_was_deployed_is_a_hold() {
    let stage = Stage::empty();
    stage.world.apply(&slotd::reconcile::Goal { only: None, ..stage.goal() });
    stage.decide(&Decision::Down);
    stage.world.touch().judge.excused.insert(stage.spec.proxy.include.clone());
    stage.world.holds(&stage.goal(), Reason::Down);
}

#[test]
fn a_service_that_comes_up_again_while_it_still_ends_is_started_when_it_has_ended() {
    for verb in [Decision::Retry, Decision::Restart] {
        let mut stage = Stage::empty();
        stage.wants("1", Behaviour { term: Some(20_000), ..Behaviour::good() });
        stage.world.converges(&stage.goal());
        stage.world.touch().judge.excused.insert(stage.spec.proxy.include.clone());
        stage.world.take_counts();
        stage.decide(&Decision::Down);
        stage.keep(5);
        stage.decide(&verb);
        stage.keep(5);
        stage.did(&[("write", 1), ("reload", 1), ("term", 1)]);
        stage.world.converges(&stage.goal());
        assert!(stage.live().ends_with("webservice-1"), "{}", stage.world.story());
        stage.world.is_lawful();
    }
}
