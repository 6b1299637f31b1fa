//! slotd is killed at every boundary, and starts again.

use std::collections::BTreeSet;

use slotd::model::desired::{ServiceSpec, Standby};
use slotd::plan::person::Decision;

use super::Stage;
use crate::world::When;
use crate::world::fault::Fault;
use crate::world::processes::Behaviour;

/// Runs a scenario once to the end, then once for each boundary with a crash there; the end must be the same.
fn at_every_boundary(scenario: impl Fn() -> Stage, live: &str) {
    let reference = scenario();
    reference.world.apply(&reference.goal());
    reference.keep(200);
    reference.is(live);
    let expected = reference.running();
    let mut crashes = 0;
    for when in [When::Before, When::After] {
        for k in 0.. {
            let stage = scenario();
            stage.world.crash_at(k, when);
            if stage.world.survives(|| drop(stage.world.apply(&stage.goal()))) {
                stage.world.disarm();
                break;
            }
            crashes += 1;
            stage.world.apply(&stage.goal());
            stage.keep(200);
            stage.is(live);
            assert_eq!(stage.running(), expected, "killed {when:?} change {k}\n{}", stage.world.story());
            let starts = stage.world.see().counts.get("start").copied().unwrap_or(0);
            let usual = reference.world.see().counts.get("start").copied().unwrap_or(0);
            assert!(starts <= usual + 1, "{starts} starts instead of {usual}\n{}", stage.world.story());
            assert!(stage.world.see().counts.get("reload") <= reference.world.see().counts.get("reload").map(|n| n + 1).as_ref());
        }
    }
    assert!(crashes >= 4, "only {crashes} boundaries");
    let states: BTreeSet<_> = reference.running().into_iter().collect();
    assert_eq!(states.len(), expected.len());
}

fn ways() -> [fn(&mut ServiceSpec); 3] {
    [|_| {}, Stage::reload_mode, Stage::pool_mode]
}

#[test]
fn a_first_deployment_survives_a_kill_at_every_boundary() {
    for change in ways() {
        at_every_boundary(
            || {
                let mut stage = Stage::empty();
                change(&mut stage.spec);
                stage
            },
            "real1 webservice-1",
        );
    }
}

#[test]
fn a_second_deployment_survives_a_kill_at_every_boundary() {
    for change in ways() {
        at_every_boundary(
            || {
                let mut stage = Stage::serving_as(&["1"], change);
                stage.wants("2", Behaviour::good());
                stage
            },
            "real2 webservice-2",
        );
    }
}

#[test]
fn a_third_deployment_survives_a_kill_at_every_boundary() {
    for change in ways() {
        at_every_boundary(
            || {
                let mut stage = Stage::serving_as(&["1", "2"], change);
                stage.wants("3", Behaviour::good());
                stage
            },
            "real1 webservice-3",
        );
    }
}

#[test]
fn a_deployment_with_a_stopped_standby_survives_a_kill_at_every_boundary() {
    at_every_boundary(
        || {
            let mut stage = Stage::serving_as(&["1"], |spec| spec.slot_policy.standby = Standby::Stopped);
            stage.wants("2", Behaviour::good());
            stage
        },
        "real2 webservice-2",
    );
}

#[test]
fn a_rollback_survives_a_kill_at_every_boundary() {
    for change in ways() {
        at_every_boundary(
            || {
                let stage = Stage::serving_as(&["1", "2"], change);
                stage.decide(&Decision::Rollback { to: None });
                stage.world.take_counts();
                stage
            },
            "real1 webservice-1",
        );
    }
}

#[test]
fn a_deployment_and_a_rollback_with_a_frozen_standby_survive_a_kill_at_every_boundary() {
    let frozen = |spec: &mut ServiceSpec| spec.slot_policy.standby = Standby::Frozen;
    at_every_boundary(
        || {
            let mut stage = Stage::serving_as(&["1", "2"], frozen);
            stage.wants("3", Behaviour::good());
            stage
        },
        "real1 webservice-3",
    );
    at_every_boundary(
        || {
            let stage = Stage::serving_as(&["1", "2"], frozen);
            stage.decide(&Decision::Rollback { to: None });
            stage.world.take_counts();
            stage
        },
        "real1 webservice-1",
    );
}

#[test]
fn a_bad_release_survives_a_kill_at_every_boundary() {
    at_every_boundary(
        || {
            let mut stage = Stage::serving(&["1"]);
            stage.wants("2", Behaviour { listens: None, ends: Some(700), ..Behaviour::good() });
            stage
        },
        "real1 webservice-1",
    );
}

#[test]
fn an_include_that_is_put_back_survives_a_kill_at_every_boundary() {
    at_every_boundary(
        || {
            let mut stage = Stage::serving_as(&["1"], Stage::reload_mode);
            stage.befall(Fault::ReloadsLost(true));
            stage.world.after(20_000, Fault::ReloadsLost(false));
            stage.wants("2", Behaviour::good());
            stage
        },
        "real2 webservice-2",
    );
}
