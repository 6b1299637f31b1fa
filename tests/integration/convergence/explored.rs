//! What the exploration of the planner's states found (tests/explore), each played on the real loop.

use slotd::model::status::Reason;

use super::{Stage, port, slot};
use crate::world::fault::Fault;
use crate::world::ports::Foreigner;
use crate::world::processes::Behaviour;

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
