//! What becomes of the old slot.

use std::time::Duration;

use slotd::model::desired::{Promote, Standby};
use slotd::model::status::Reason;
use slotd::plan::Orphans;
use slotd::plan::person::Decision;
use slotd::reconcile::Goal;

use super::{Stage, port};
use crate::world::fault::Fault;
use crate::world::manifest::{goal, service};
use crate::world::processes::Behaviour;

#[test]
fn a_stopped_standby_ends_after_its_drain() {
    let mut stage = Stage::serving_as(&["1"], |spec| spec.slot_policy.standby = Standby::Stopped);
    stage.deploy("2");
    stage.did(&[("install", 1), ("start", 1), ("cut", 1), ("term", 1)]);
    stage.runs(&["real2 webservice-2"]);
}

#[test]
fn a_standby_for_a_while_is_stopped_when_that_is_over() {
    let mut stage = Stage::serving_as(&["1"], |spec| spec.slot_policy.standby_for = Some(Duration::from_secs(600)));
    stage.deploy("2");
    stage.keep(500);
    stage.runs(&["real1 webservice-1", "real2 webservice-2"]);
    stage.keep(120);
    stage.runs(&["real2 webservice-2"]);
    stage.is("real2 webservice-2");
}

#[test]
fn a_running_standby_stays() {
    let mut stage = Stage::serving(&["1"]);
    stage.deploy("2");
    stage.keep(3600);
    stage.runs(&["real1 webservice-1", "real2 webservice-2"]);
}

#[test]
fn a_manual_promotion_waits_for_the_person() {
    let mut stage = Stage::serving_as(&["1"], |spec| spec.slot_policy.promote = Promote::Manual);
    stage.wants("2", Behaviour::good());
    stage.world.holds(&stage.goal(), Reason::AwaitingPromotion);
    stage.is("real1 webservice-1");
    stage.decide(&Decision::Promote);
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
    stage.wants("3", Behaviour::good());
    stage.world.holds(&stage.goal(), Reason::AwaitingPromotion);
}

#[test]
fn a_restart_under_manual_promotion_waits_for_nobody() {
    let stage = Stage::serving_as(&["1"], |spec| spec.slot_policy.promote = Promote::Manual);
    stage.decide(&Decision::Restart);
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-1");
}

#[test]
fn a_release_that_comes_back_after_a_crash_under_manual_promotion_waits_for_nobody() {
    let mut stage = Stage::serving(&["1", "2"]);
    stage.spec.slot_policy.promote = Promote::Manual;
    stage.world.accept(&stage.goal());
    stage.befall(Fault::Crash(port(8082)));
    stage.keep(1);
    stage.is("real1 webservice-1");
    stage.keep(60);
    stage.is("real2 webservice-2");
}

#[test]
fn an_orphan_serves_on_until_it_is_pruned() {
    let stage = Stage::serving(&["1"]);
    let other = service("other", "1", 8091);
    stage.world.build(&other, Behaviour::good());
    stage.world.converges(&goal(&[other.clone()]));
    stage.is("real1 webservice-1");
    stage.world.touch().judge.excused.insert(stage.spec.proxy.include.clone());
    let prune = Goal { orphans: Orphans::Retire, ..goal(&[other.clone()]) };
    stage.world.converges(&prune);
    assert_eq!(stage.running(), ["real1 other-1"], "{}", stage.world.story());
    assert_eq!(stage.world.see().ledgers.len(), 1);
    assert!(stage.world.see().serves(&other.proxy.include));
}

#[test]
fn old_releases_leave_the_store() {
    let versions: Vec<String> = (1..=12).map(|n| n.to_string()).collect();
    let stage = Stage::serving(&versions.iter().map(String::as_str).collect::<Vec<_>>());
    let kept = stage.world.see().store.len();
    assert!((4..=8).contains(&kept), "{kept}");
    stage.is("real2 webservice-12");
}
