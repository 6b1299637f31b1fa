//! How a start boots, and when an archive is trained.

use slotd::model::boot::Archive;
use slotd::model::desired::{Boot, Standby};
use slotd::plan::person::Decision;

use super::{Stage, port};
use crate::world::fault::Fault;
use crate::world::manifest::{goal, service};
use crate::world::ports::Foreigner;
use crate::world::processes::Behaviour;
use crate::world::{When, World};

fn with(boot: Boot) -> Stage {
    let mut stage = Stage::empty();
    stage.spec.launch.boot = boot;
    // A restart would else go over to the standby, which runs the same release already.
    stage.spec.slot_policy.standby = Standby::Stopped;
    stage.deploy("1");
    stage
}

/// How often so far.
fn count(stage: &Stage, word: &str) -> usize {
    stage.world.see().counts.get(word).copied().unwrap_or(0)
}

/// How the last process was started.
fn last_start(stage: &Stage) -> &'static str {
    let state = stage.world.see();
    let line = state.trace.iter().rev().find(|line| line.contains(" start r1-")).cloned().unwrap_or_default();
    ["Jar", "Extracted", "Archived"].into_iter().find(|form| line.contains(form)).unwrap_or("nothing was started")
}

#[test]
fn another_boot_restarts_nothing_and_counts_from_the_next_start() {
    let mut stage = with(Boot::Jar);
    assert_eq!((last_start(&stage), count(&stage, "unpack")), ("Jar", 0));
    for (boot, form, unpacked) in [(Boot::Auto, "Extracted", 1), (Boot::Jar, "Jar", 1), (Boot::Extracted, "Extracted", 1)] {
        stage.spec.launch.boot = boot;
        let starts = count(&stage, "start");
        stage.world.converges(&stage.goal());
        assert_eq!(count(&stage, "start"), starts, "{boot:?}");
        stage.decide(&Decision::Restart);
        stage.world.converges(&stage.goal());
        assert_eq!((count(&stage, "start"), count(&stage, "unpack")), (starts + 1, unpacked), "{boot:?}");
        assert_eq!(last_start(&stage), form, "{boot:?}");
    }
}

#[test]
fn an_archive_is_trained_once_after_bake_and_only_the_next_start_uses_it() {
    let stage = with(Boot::Cds);
    stage.keep(30);
    assert_eq!(count(&stage, "train"), 0, "bake has not passed");
    stage.keep(100);
    assert_eq!((count(&stage, "train"), count(&stage, "start")), (1, 1));
    stage.keep(3600);
    assert_eq!((count(&stage, "train"), count(&stage, "start")), (1, 1));
    stage.world.is_silent(&stage.goal());
    stage.decide(&Decision::Restart);
    stage.world.converges(&stage.goal());
    assert_eq!(last_start(&stage), "Archived", "{}", stage.world.story());
}

#[test]
fn auto_uses_an_archive_that_is_there_and_makes_none() {
    let mut stage = with(Boot::Auto);
    stage.keep(3600);
    assert_eq!((count(&stage, "train"), last_start(&stage)), (0, "Extracted"));
    stage.spec.launch.boot = Boot::Cds;
    stage.world.accept(&stage.goal());
    stage.keep(100);
    assert_eq!(count(&stage, "train"), 1);
    stage.spec.launch.boot = Boot::Auto;
    stage.decide(&Decision::Restart);
    stage.world.converges(&stage.goal());
    assert_eq!(last_start(&stage), "Archived");
}

#[test]
fn a_training_that_failed_is_noted_and_tried_again_only_for_another_jar() {
    let mut stage = Stage::empty();
    stage.spec.launch.boot = Boot::Cds;
    stage.world.touch().trained = Archive::Failed { why: "its training ended with 1".to_owned() };
    stage.deploy("1");
    let plan = stage.keep(7200);
    assert_eq!(count(&stage, "train"), 1, "once");
    let notes = plan.services[0].notes.join("\n");
    assert!(notes.contains("1 is started without an archive: its training ended with 1"), "{notes}");
    stage.decide(&Decision::Restart);
    stage.world.converges(&stage.goal());
    assert_eq!(last_start(&stage), "Extracted");
    stage.deploy("2");
    stage.keep(300);
    assert_eq!(count(&stage, "train"), 2, "another jar");
}

#[test]
fn a_training_that_failed_is_tried_again_when_a_person_says_so() {
    let mut stage = Stage::empty();
    stage.spec.launch.boot = Boot::Cds;
    stage.world.touch().trained = Archive::Failed { why: "its training ended with 1".to_owned() };
    stage.deploy("1");
    stage.keep(300);
    stage.world.touch().trained = Archive::Ready;
    stage.decide(&Decision::Retry);
    let plan = stage.keep(300);
    assert_eq!((count(&stage, "train"), plan.services[0].notes.len()), (2, 0), "{:?}", plan.services[0].notes);
}

#[test]
fn nothing_is_trained_while_something_else_is_to_be_done_or_memory_is_short() {
    let mut stage = with(Boot::Cds);
    stage.befall(Fault::Foreign(port(8082), Some(Foreigner::Stranger)));
    stage.wants("2", Behaviour::good());
    stage.world.accept(&stage.goal());
    stage.keep(600);
    assert_eq!(count(&stage, "train"), 0, "a deployment is held");
    stage.befall(Fault::Foreign(port(8082), None));
    stage.world.touch().memory = 300 << 20;
    stage.keep(600);
    assert_eq!(
        (stage.live().as_str(), count(&stage, "train")),
        ("real2 webservice-2", 0),
        "a second process has room, a third none"
    );
    stage.world.touch().memory = 8 << 30;
    stage.keep(100);
    assert_eq!(count(&stage, "train"), 1);
}

#[test]
fn two_services_are_trained_one_after_the_other() {
    let world = World::new(7);
    let mut specs = [service("one", "1", 9001), service("two", "1", 9011)];
    for spec in &mut specs {
        spec.launch.boot = Boot::Cds;
        world.build(spec, Behaviour::good());
    }
    let both = goal(&specs);
    world.converges(&both);
    // The world itself refuses a second one at once.
    world.keep(&both, 400_000);
    assert_eq!(world.see().counts.get("train"), Some(&2), "{}", world.story());
    world.is_lawful();
}

#[test]
fn a_kill_around_a_training_leaves_one_archive_and_what_serves_alone() {
    for when in [When::Before, When::After] {
        let mut stage = with(Boot::Extracted);
        stage.keep(200);
        stage.spec.launch.boot = Boot::Cds;
        stage.world.accept(&stage.goal());
        stage.world.crash_at(0, when);
        assert!(!stage.world.survives(|| drop(stage.keep(100))), "{when:?}");
        stage.keep(300);
        assert_eq!((count(&stage, "start"), stage.world.see().archives.len()), (1, 1), "{when:?}");
        assert!(count(&stage, "train") <= 2 && stage.live() == "real1 webservice-1", "{when:?}");
        stage.world.is_silent(&stage.goal());
    }
}
