//! A host on which the scripts of the book deployed before slotd came.

use slotd::model::desired::PortConflict;
use slotd::model::status::Reason;

use super::{Stage, port};
use crate::world::fault::Fault;
use crate::world::nginx::Text;
use crate::world::processes::Behaviour;

/// The scripts' state: the include names a port, and their processes run on these.
pub(super) fn scripts(include: u16, running: &[(&str, u16)]) -> Stage {
    let stage = Stage::empty();
    for (name, at) in running {
        stage.world.by_others(&stage.spec, name, port(*at));
    }
    stage.befall(Fault::Include(stage.spec.proxy.include.clone(), Some(Text::Plain(port(include)))));
    stage.befall(Fault::NginxReloads);
    stage.world.touch().pass_time(10_000, &[]);
    stage.world.befall(Fault::Memory(8 << 30));
    stage
}

#[test]
fn a_process_of_the_scripts_on_the_first_slot_is_taken_over_and_followed_by_the_second() {
    let stage = scripts(8081, &[("real1", 8081)]);
    stage.is("real1 scripts");
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-1");
    stage.did(&[("install", 1), ("start", 1), ("write", 1), ("reload", 1), ("cut", 1)]);
    stage.runs(&["real1 scripts", "real2 webservice-1"]);
}

#[test]
fn a_process_of_the_scripts_on_the_second_slot_is_followed_by_the_first() {
    let mut stage = scripts(8082, &[("real2", 8082)]);
    stage.world.converges(&stage.goal());
    stage.is("real1 webservice-1");
    stage.deploy("2");
    stage.is("real2 webservice-2");
    stage.runs(&["real1 webservice-1", "real2 webservice-2"]);
}

#[test]
fn two_processes_of_the_scripts_give_way_one_after_the_other() {
    let mut stage = scripts(8082, &[("real1", 8081), ("real2", 8082)]);
    stage.world.converges(&stage.goal());
    stage.is("real1 webservice-1");
    stage.deploy("2");
    stage.is("real2 webservice-2");
    stage.runs(&["real1 webservice-1", "real2 webservice-2"]);
}

#[test]
fn a_single_process_on_a_port_of_its_own_is_replaced_and_then_stopped() {
    let stage = scripts(8080, &[("default", 8080)]);
    stage.is("default scripts");
    stage.world.touch().judge.limit.insert(stage.spec.name.clone(), 3);
    stage.world.converges(&stage.goal());
    stage.is("real1 webservice-1");
    stage.runs(&["real1 webservice-1"]);
    stage.world.keep(&stage.goal(), 300_000);
    stage.is("real1 webservice-1");
}

#[test]
fn the_same_takeovers_work_by_reload() {
    for (include, running) in [(8081, ("real1", 8081)), (8082, ("real2", 8082)), (8080, ("default", 8080))] {
        let mut stage = scripts(include, &[running]);
        Stage::reload_mode(&mut stage.spec);
        stage.world.touch().judge.limit.insert(stage.spec.name.clone(), 3);
        stage.world.converges(&stage.goal());
        assert!(stage.live().ends_with("webservice-1"), "{}", stage.world.story());
        stage.deploy("2");
        assert!(stage.live().ends_with("webservice-2"), "{}", stage.world.story());
        stage.world.is_lawful();
    }
}

#[test]
fn a_process_of_the_scripts_in_the_way_is_a_hold_where_the_policy_says_so() {
    let mut stage = scripts(8082, &[("real1", 8081), ("real2", 8082)]);
    stage.spec.slot_policy.port_conflict = PortConflict::Nothing;
    stage.world.holds(&stage.goal(), Reason::PortTaken);
    stage.is("real2 scripts");
}

#[test]
fn an_include_to_a_port_where_nothing_runs_is_taken_over_too() {
    let stage = scripts(8081, &[]);
    stage.world.converges(&stage.goal());
    stage.is("real1 webservice-1");
}

#[test]
fn a_takeover_whose_process_dies_meanwhile_still_ends_well() {
    for at in (0..2_500).step_by(100) {
        let stage = scripts(8081, &[("real1", 8081)]);
        stage.world.after(at, Fault::Crash(port(8081)));
        stage.world.converges(&stage.goal());
        assert!(stage.live().ends_with("webservice-1"), "{}", stage.world.story());
    }
}

#[test]
fn a_bad_first_release_leaves_the_process_of_the_scripts_serving() {
    let mut stage = scripts(8081, &[("real1", 8081)]);
    stage.wants("1", Behaviour { listens: None, ends: Some(500), ..Behaviour::good() });
    stage.world.holds(&stage.goal(), Reason::Quarantined);
    stage.is("real1 scripts");
}
