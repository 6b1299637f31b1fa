//! What cannot be read is no reason to stop anything.

use std::time::Duration;

use slotd::model::status::Reason;

use super::{Stage, port};
use crate::world::drive::reasons;
use crate::world::fault::Fault;
use crate::world::processes::Behaviour;

#[test]
fn a_standby_whose_port_cannot_be_read_is_not_stopped_while_nothing_else_answers() {
    let mut stage = Stage::serving_as(&["1", "2"], |spec| spec.health.deadline = Duration::from_secs(20));
    // It is given up while who routes to it cannot be told, and so stays.
    stage.befall(Fault::NginxHidden(true));
    stage.befall(Fault::Sick(port(8081), true));
    stage.wants("1", Behaviour::good());
    stage.world.accept(&stage.goal());
    stage.keep(30);
    stage.runs(&["real1 webservice-1", "real2 webservice-2"]);
    // Now it is the only one that answers, which nobody can see.
    stage.befall(Fault::Sick(port(8081), false));
    stage.befall(Fault::Unlisted(port(8081), true));
    stage.befall(Fault::NginxHidden(false));
    stage.befall(Fault::Crash(port(8082)));
    let plan = stage.keep(1);
    assert!(reasons(&plan).contains(&Reason::LastSlot), "{:?}\n{}", plan.services[0].next, stage.world.story());
    stage.did(&[("start", 1)]);
}

#[test]
fn a_candidate_on_its_way_up_gives_way_to_nothing_while_the_jar_that_is_asked_for_is_not_there() {
    let mut stage = Stage::serving(&["0", "1"]);
    stage.wants("2", Behaviour { listens: Some(20_000), ..Behaviour::good() });
    stage.world.accept(&stage.goal());
    stage.keep(5);
    stage.spec.jar.version = "3".to_owned();
    stage.spec.jar.path = "/srv/not-there-yet.jar".into();
    stage.world.accept(&stage.goal());
    // Starting the last good release in its place would take longer than what is half-way up already.
    stage.befall(Fault::Sick(port(8082), true));
    stage.keep(60);
    stage.is("real1 webservice-2");
    assert_eq!(stage.world.take_counts().get("start"), Some(&1), "{}", stage.world.story());
}
