//! What the exploration of the planner's states found (tests/explore), each played on the real loop.

use std::time::Duration;

use slotd::model::desired::Promote;
use slotd::model::status::Reason;
use slotd::plan::person::Decision;

use super::{Stage, port, slot};
use crate::world::fault::Fault;
use crate::world::nginx::Text;
use crate::world::ports::Foreigner;
use crate::world::processes::Behaviour;

fn hangs() -> Behaviour {
    Behaviour { listens: None, ..Behaviour::good() }
}

fn exits() -> Behaviour {
    Behaviour { listens: None, ends: Some(700), ..Behaviour::good() }
}

#[test]
fn a_dead_live_slot_whose_port_a_stranger_has_gives_way_to_the_standby_which_is_not_stopped() {
    let stage = Stage::serving(&["1", "2"]);
    stage.befall(Fault::Crash(port(8082)));
    stage.befall(Fault::Foreign(port(8082), Some(Foreigner::Stranger)));
    stage.world.apply(&stage.goal());
    stage.keep(60);
    stage.is("real1 webservice-1");
    stage.runs(&["real1 webservice-1"]);
    stage.befall(Fault::Foreign(port(8082), None));
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
}

#[test]
fn a_release_that_never_comes_up_is_given_up_for_the_last_good_one_while_nothing_answers() {
    let mut stage = Stage::serving(&["1"]);
    stage.befall(Fault::Sick(port(8081), true));
    stage.wants("2", exits());
    stage.world.holds(&stage.goal(), Reason::Quarantined);
    stage.keep(60);
    stage.is("real2 webservice-1");
}

#[test]
fn a_flag_set_by_hand_at_any_time_of_a_first_deployment_takes_no_traffic() {
    for at in (0..3_000).step_by(20) {
        let stage = Stage::empty();
        stage.world.after(at, Fault::Flag(stage.spec.proxy.include.clone(), slot("real2"), true));
        stage.world.apply(&stage.goal());
        stage.keep(200);
        stage.is("real1 webservice-1");
    }
}

#[test]
fn what_others_started_goes_on_serving_while_the_jar_is_not_there() {
    let mut stage = Stage::serving(&["1"]);
    stage.befall(Fault::Crash(port(8081)));
    stage.befall(Fault::SameApp(stage.spec.name.clone(), slot("real1"), port(8081)));
    stage.spec.jar.version = "2".to_owned();
    stage.spec.jar.path = "/srv/not-there.jar".into();
    stage.befall(Fault::JarGone(stage.spec.jar.path.clone()));
    stage.world.holds(&stage.goal(), Reason::ArtifactMissing);
    stage.keep(60);
    assert!(stage.live().starts_with("real1"), "{}", stage.world.story());
    assert_eq!(stage.running().len(), 1, "{}", stage.world.story());
}

#[test]
fn a_release_made_ready_for_a_sick_one_serves_although_another_is_asked_for_meanwhile() {
    for at in (0..15_000).step_by(250) {
        let mut stage = Stage::serving(&["1"]);
        stage.befall(Fault::Sick(port(8081), true));
        stage.wants("2", exits());
        stage.world.accept(&stage.goal());
        stage.world.keep(&stage.goal(), at);
        stage.decide(&Decision::Retry);
        stage.keep(120);
        assert!(stage.live().ends_with("webservice-1"), "{at} ms: {}", stage.world.story());
    }
}

#[test]
fn an_include_that_names_what_never_came_up_is_put_right_although_nothing_answers() {
    let mut stage = Stage::serving(&["1"]);
    stage.befall(Fault::Sick(port(8081), true));
    stage.wants("2", hangs());
    stage.world.accept(&stage.goal());
    stage.keep(10);
    stage.befall(Fault::Include(stage.spec.proxy.include.clone(), Some(Text::Plain(port(8082)))));
    stage.keep(3_000);
    stage.is("real2 webservice-1");
}

#[test]
fn an_nginx_that_is_started_again_while_the_include_is_put_right_loads_what_is_right() {
    for look in 0..60 {
        let stage = Stage::serving(&["1"]);
        stage.befall(Fault::Include(stage.spec.proxy.include.clone(), Some(Text::Plain(port(8082)))));
        // Between two looks of the pass that puts it right.
        stage.world.touch().lie_in_wait(look, Fault::NginxRestarts);
        stage.keep(60);
        assert_eq!(stage.live(), "real1 webservice-1", "look {look}\n{}", stage.world.story());
    }
}

#[test]
fn a_release_that_fails_where_the_traffic_leads_gives_way_to_the_last_good_one() {
    for at in (0..6_000).step_by(100) {
        let mut stage = Stage::serving(&["1"]);
        stage.wants("2", exits());
        stage.world.accept(&stage.goal());
        stage.befall(Fault::Crash(port(8081)));
        stage.world.after(at, Fault::Crash(port(8081)));
        stage.keep(600);
        assert!(stage.live().ends_with("webservice-1"), "{}", stage.world.story());
    }
}

#[test]
fn a_restart_that_failed_once_and_is_tried_again_awaits_no_promotion() {
    let stage = Stage::serving_as(&["1"], |spec| {
        spec.slot_policy.promote = Promote::Manual;
        spec.slot_policy.max_attempts = 1;
    });
    stage.world.build(&stage.spec, exits());
    stage.decide(&Decision::Restart);
    stage.keep(60);
    stage.is("real1 webservice-1");
    stage.world.build(&stage.spec, Behaviour::good());
    stage.decide(&Decision::Retry);
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-1");
}

#[test]
fn what_came_up_too_late_serves_where_nothing_else_comes_up_at_all() {
    let mut stage = Stage::empty();
    stage.spec.health.deadline = Duration::from_secs(20);
    stage.spec.slot_policy.max_attempts = 1;
    stage.world.build(&stage.spec, Behaviour { ends: Some(4_000), ..exits() });
    stage.world.accept(&stage.goal());
    stage.keep(1);
    stage.wants("2", Behaviour { listens: Some(30_000), ..Behaviour::good() });
    stage.world.accept(&stage.goal());
    stage.keep(120);
    stage.is("real2 webservice-2");
}
