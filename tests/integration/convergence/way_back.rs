//! The way back: what it would be, what it was, and a release that is not safe to go back from.

use std::time::Duration;

use slotd::host::ledgers::Outcome;
use slotd::model::desired::Standby;
use slotd::model::id::Digest;
use slotd::model::ledger::OneWay;
use slotd::model::status::{Reason, Status};
use slotd::plan::Plan;
use slotd::plan::person::Decision;
use slotd::plan::view::{Rollback, RollbackKind};

use super::{Stage, port, takeover};
use crate::world::fault::Fault;
use crate::world::processes::Behaviour;

fn back(to: Option<&str>) -> Decision {
    Decision::Rollback { to: to.map(str::to_owned) }
}

/// 1 served, and 2 does, from which nothing goes back.
fn one_way() -> Stage {
    let mut stage = Stage::serving(&["1"]);
    stage.spec.jar.rollback_safe = false;
    stage.deploy("2");
    stage.world.touch().judge.barred.insert(Digest::new("webservice-1"));
    stage.world.take_counts();
    stage
}

/// The release that the manifest asks for is a later one, from which one may go back.
fn later(stage: &mut Stage, version: &str) {
    stage.spec.jar.rollback_safe = true;
    stage.deploy(version);
}

fn refusal(stage: &Stage, decision: &Decision) -> String {
    stage.world.decide(&stage.goal(), decision).expect_err("there is a barrier").to_string()
}

fn rollback(stage: &Stage) -> Rollback {
    stage.world.look(&stage.goal()).services.remove(0).view.rollback
}

fn notes(plan: &Plan) -> String {
    plan.services[0].notes.join("; ")
}

#[test]
fn a_release_that_dies_in_its_bake_is_started_again_where_nothing_goes_back() {
    let stage = one_way();
    stage.befall(Fault::Crash(port(8082)));
    let plan = stage.keep(1);
    assert!(plan.services[0].status != Status::Converged, "{plan:#?}");
    stage.keep(30);
    stage.is("real2 webservice-2");
    stage.did(&[("start", 1)]);
    assert!(stage.world.ledger("webservice").quarantine.is_empty(), "{}", stage.world.story());
}

#[test]
fn a_release_that_sickens_is_started_anew_in_place_of_the_standby_that_it_does_not_go_back_to() {
    let stage = one_way();
    stage.befall(Fault::Sick(port(8082), true));
    let plan = stage.keep(5);
    let hold = plan.services[0].holds.iter().find(|h| h.reason == Reason::RollbackUnsafe).expect("it says why");
    assert_eq!(hold.detail, "1 is ready on real1, and 2 is not safe to go back from");
    assert_eq!(stage.live(), "nobody on 8082");
    stage.keep(60);
    stage.is("real1 webservice-2");
    stage.did(&[("start", 1), ("cut", 1), ("term", 1)]);
}

#[test]
fn a_later_crash_goes_back_no_more_than_one_in_the_bake() {
    let stage = one_way();
    stage.keep(600);
    stage.befall(Fault::Crash(port(8082)));
    stage.keep(60);
    stage.is("real2 webservice-2");
    stage.did(&[("start", 1)]);
}

#[test]
fn a_rollback_across_it_is_refused_and_nothing_is_touched() {
    let stage = one_way();
    let said = refusal(&stage, &back(None));
    let none = "webservice: there is nothing to go back to: release 2 is not safe to go back from; see `slotd history`";
    assert_eq!(said, none);
    let named = refusal(&stage, &back(Some("1")));
    assert!(named.contains("1 was known before 2, and release 2 is not safe to go back from"), "{named}");
    let plan = stage.world.look(&stage.goal());
    assert_eq!(plan.services[0].view.rollback.why.as_deref(), Some("release 2 is not safe to go back from"));
    assert_eq!(notes(&plan), "rollback: none: release 2 is not safe to go back from");
    stage.world.converges(&stage.goal());
    stage.did(&[]);
}

#[test]
fn a_person_who_goes_back_right_after_the_cutover_is_refused_too() {
    let mut met = false;
    // Whether slotd has come to noting that it serves or not: it is killed behind every change of the deployment.
    for k in 0..60 {
        let mut stage = Stage::serving(&["1"]);
        stage.spec.jar.rollback_safe = false;
        stage.wants("2", Behaviour::good());
        stage.world.crash_at(k, crate::world::When::After);
        stage.world.survives(|| drop(stage.world.apply(&stage.goal())));
        stage.world.disarm();
        if stage.live() == "real2 webservice-2" {
            met |= stage.world.ledger("webservice").one_way.values().any(|way| *way == OneWay::Ahead);
            refusal(&stage, &back(Some("1")));
        }
    }
    assert!(met, "no crash left it between cutover and note");
}

#[test]
fn the_manifest_of_before_is_held_until_it_says_that_going_back_is_safe() {
    let mut stage = one_way();
    stage.spec.jar.rollback_safe = true;
    stage.wants("1", Behaviour::good());
    let plan = stage.world.holds(&stage.goal(), Reason::RollbackUnsafe);
    assert_eq!(plan.services[0].holds[0].detail, "1 was known before 2, which is not safe to go back from");
    stage.did(&[]);
    stage.is("real2 webservice-2");
    stage.deploy("2");
    assert!(stage.world.ledger("webservice").one_way.is_empty(), "{}", stage.world.story());
    stage.world.touch().judge.barred.clear();
    stage.deploy("1");
    stage.is("real1 webservice-1");
}

#[test]
fn a_later_release_goes_back_to_it_and_no_further() {
    let mut stage = one_way();
    later(&mut stage, "3");
    stage.keep(200);
    assert_eq!(rollback(&stage).version.as_deref(), Some("2"));
    refusal(&stage, &back(Some("1")));
    stage.decide(&back(None));
    stage.world.holds(&stage.goal(), Reason::RolledBack);
    stage.is("real2 webservice-2");
    assert_eq!(rollback(&stage).kind, RollbackKind::None);
    refusal(&stage, &back(Some("1")));
    stage.decide(&Decision::Retry);
    stage.world.converges(&stage.goal());
    stage.is("real1 webservice-3");
}

#[test]
fn it_is_remembered_when_the_manifest_speaks_of_another_release() {
    let mut stage = one_way();
    later(&mut stage, "3");
    stage.spec.slot_policy.standby = Standby::Stopped;
    stage.keep(300);
    stage.befall(Fault::Crash(port(8081)));
    stage.befall(Fault::StoreLost);
    stage.keep(60);
    refusal(&stage, &back(Some("1")));
}

#[test]
fn a_candidate_that_never_served_bars_nothing() {
    let mut stage = Stage::serving(&["1", "2"]);
    stage.spec.jar.rollback_safe = false;
    stage.wants("3", Behaviour { listens: None, ends: Some(700), ..Behaviour::good() });
    let plan = stage.world.look(&stage.goal());
    assert_eq!(notes(&plan), "once 3 serves there is no way back: its jar.rollback_safe is false");
    stage.world.holds(&stage.goal(), Reason::Quarantined);
    stage.befall(Fault::Crash(port(8082)));
    stage.keep(60);
    stage.is("real2 webservice-2");
    assert_eq!(rollback(&stage).version.as_deref(), Some("1"));
}

#[test]
fn what_others_started_is_not_gone_back_to_either() {
    let mut stage = takeover::scripts(8081, &[("real1", 8081)]);
    stage.spec.jar.rollback_safe = false;
    stage.deploy("2");
    stage.is("real2 webservice-2");
    stage.world.touch().judge.barred.insert(Digest::new("scripts"));
    stage.befall(Fault::Sick(port(8082), true));
    stage.keep(5);
    assert_eq!(stage.live(), "nobody on 8082");
    stage.keep(120);
    stage.is("real1 webservice-2");
}

#[test]
fn a_warm_and_a_cold_rollback_are_in_the_history_with_their_time() {
    for (standby, kind, phases) in [
        (Standby::Running, RollbackKind::Warm, vec!["cutover"]),
        (Standby::Stopped, RollbackKind::Cold, vec!["start", "cutover"]),
    ] {
        let stage = Stage::serving_as(&["1", "2"], |spec| spec.slot_policy.standby = standby);
        let plan = stage.world.look(&stage.goal());
        assert_eq!(plan.services[0].view.rollback.kind, kind);
        let past = &plan.services[0].view.past;
        assert_eq!([past.warm, past.cold], [None, None]);
        stage.decide(&back(None));
        stage.world.holds(&stage.goal(), Reason::RolledBack);
        let line = stage.world.see().history[&stage.spec.name].iter().find(|l| l.outcome == Outcome::RolledBack).cloned();
        let line = line.expect("a line");
        let names: Vec<_> = line.phases.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((line.version.as_str(), names), ("1", phases));
        let past = stage.world.look(&stage.goal()).services.remove(0).view.past;
        let took = Duration::from_millis(line.phases.iter().map(|(_, ms)| ms).sum());
        assert_eq!([past.warm, past.cold], if kind == RollbackKind::Warm { [Some(took), None] } else { [None, Some(took)] });
    }
}

#[test]
fn a_deployment_that_a_rollback_ends_has_its_line_in_the_history() {
    let mut stage = Stage::serving(&["1", "2"]);
    stage.wants("3", Behaviour { listens: Some(20_000), ..Behaviour::good() });
    stage.world.accept(&stage.goal());
    stage.keep(10);
    stage.decide(&back(Some("1")));
    stage.world.holds(&stage.goal(), Reason::RolledBack);
    let history = stage.world.see().history[&stage.spec.name].clone();
    let last: Vec<_> = history.iter().rev().take(2).map(|l| (l.version.as_str(), l.outcome)).collect();
    assert_eq!(last, [("1", Outcome::RolledBack), ("3", Outcome::Superseded)]);
}

#[test]
fn a_plan_says_how_long_a_start_takes_here_and_warns_of_a_near_deadline() {
    let mut stage = Stage::empty();
    stage.wants("1", Behaviour::good());
    let plan = stage.world.look(&stage.goal());
    assert_eq!((&plan.services[0].view.past.starts, plan.services[0].notes.len()), (&None, 0));
    for version in ["1", "2", "3"] {
        stage.wants(version, Behaviour { listens: Some(8_000), ready: Some(8_000), ..Behaviour::good() });
        stage.world.converges(&stage.goal());
    }
    stage.wants("4", Behaviour::good());
    let before = stage.world.look(&stage.goal());
    let starts = before.services[0].view.past.starts.clone().expect("all took traffic");
    assert_eq!(starts.count, 3, "the first one took it by the reload behind it: {starts:?}");
    assert!((8..10).contains(&starts.median.as_secs()), "{starts:?}");
    assert_eq!(before.services[0].notes.len(), 0);
    let told = stage.world.story();
    stage.spec.health.deadline = Duration::from_secs(15);
    let plan = stage.world.look(&stage.goal());
    assert!(notes(&plan).starts_with("health.deadline is 15 s"), "{}\n{told}", notes(&plan));
}

#[test]
fn a_plan_id_knows_no_history() {
    let mut stage = Stage::serving(&["1", "2"]);
    stage.wants("3", Behaviour::good());
    let before = stage.world.look(&stage.goal());
    stage.world.touch().history.clear();
    let after = stage.world.look(&stage.goal());
    assert_ne!(before.services[0].view.past, after.services[0].view.past);
    assert_eq!(before.id, after.id);
}
