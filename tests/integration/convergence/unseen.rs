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
