//! Releases and processes that fail.

use std::path::PathBuf;
use std::time::Duration;

use slotd::model::desired::{OnCrash, ServiceSpec};
use slotd::model::id::Digest;
use slotd::model::status::{Reason, Status};
use slotd::observe::watch::Watch;
use slotd::plan::hold::Hold;
use slotd::plan::person::Decision;
use slotd::reconcile::look;

use super::{Stage, port, slot};
use crate::world::drive::{block_on, reasons};
use crate::world::fault::Fault;
use crate::world::manifest;
use crate::world::ports::Foreigner;
use crate::world::processes::Behaviour;

fn exits() -> Behaviour {
    Behaviour { listens: None, ends: Some(700), ..Behaviour::good() }
}

fn never_ready() -> Behaviour {
    Behaviour { ready: None, ..Behaviour::good() }
}

#[test]
fn a_bad_release_is_quarantined_after_its_attempts_and_the_old_one_serves() {
    let mut stage = Stage::serving(&["1", "2"]);
    stage.wants("3", exits());
    stage.world.holds(&stage.goal(), Reason::Quarantined);
    stage.did(&[("install", 1), ("start", 3), ("term", 1)]);
    stage.is("real2 webservice-2");
    stage.keep(3600);
    stage.did(&[]);
    stage.deploy("4");
    stage.is("real1 webservice-4");
}

#[test]
fn a_retry_tries_a_quarantined_release_again() {
    let mut stage = Stage::serving(&["1"]);
    stage.wants("2", exits());
    stage.world.holds(&stage.goal(), Reason::Quarantined);
    stage.world.build(&stage.spec, Behaviour::good());
    stage.decide(&Decision::Retry);
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
}

#[test]
fn a_candidate_that_is_never_ready_is_stopped_at_its_deadline() {
    let mut stage = Stage::serving_as(&["1"], |spec| spec.health.deadline = Duration::from_secs(20));
    stage.wants("2", never_ready());
    stage.world.holds(&stage.goal(), Reason::Quarantined);
    stage.did(&[("install", 1), ("start", 3), ("term", 3)]);
    stage.is("real1 webservice-1");
    stage.runs(&["real1 webservice-1"]);
}

#[test]
fn a_candidate_that_ignores_term_is_killed() {
    let mut stage = Stage::serving_as(&["1"], |spec| {
        spec.health.deadline = Duration::from_secs(20);
        spec.slot_policy.max_attempts = 1;
    });
    stage.wants("2", Behaviour { term: None, ..never_ready() });
    stage.world.holds(&stage.goal(), Reason::Quarantined);
    stage.did(&[("install", 1), ("start", 1), ("term", 1), ("kill", 1)]);
    stage.runs(&["real1 webservice-1"]);
}

#[test]
fn a_first_release_that_never_starts_backs_off_and_is_never_given_up() {
    let mut stage = Stage::empty();
    stage.wants("1", exits());
    stage.world.apply(&stage.goal());
    stage.world.take_counts();
    stage.keep(3600);
    let starts = stage.world.take_counts().get("start").copied().unwrap_or(0);
    assert!((30..=90).contains(&starts), "{starts}");
    stage.deploy("2");
    assert!(stage.live().ends_with("webservice-2"), "{}", stage.world.story());
}

#[test]
fn a_crash_of_the_live_slot_goes_to_the_standby_and_forward_again() {
    let stage = Stage::serving(&["1", "2"]);
    stage.befall(Fault::Crash(port(8082)));
    stage.keep(1);
    stage.is("real1 webservice-1");
    stage.keep(60);
    stage.is("real2 webservice-2");
    stage.did(&[("start", 1), ("cut", 2)]);
    stage.world.converges(&stage.goal());
}

#[test]
fn a_crash_with_on_crash_restart_starts_where_it_was() {
    let stage = Stage::serving_as(&["1", "2"], |spec| spec.slot_policy.on_crash = OnCrash::Restart);
    stage.befall(Fault::Crash(port(8082)));
    stage.keep(30);
    stage.is("real2 webservice-2");
    stage.did(&[("start", 1)]);
    stage.world.converges(&stage.goal());
}

#[test]
fn a_crash_without_a_standby_is_started_again() {
    let stage = Stage::serving(&["1"]);
    stage.befall(Fault::Crash(port(8081)));
    stage.keep(30);
    stage.is("real1 webservice-1");
    stage.did(&[("start", 1)]);
}

#[test]
fn a_crash_within_bake_goes_back_and_quarantines() {
    let mut stage = Stage::serving(&["1"]);
    stage.wants("2", Behaviour { ends: Some(20_000), ..Behaviour::good() });
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
    stage.keep(300);
    stage.is("real1 webservice-1");
    stage.world.holds(&stage.goal(), Reason::Quarantined);
    stage.did(&[("install", 1), ("start", 1), ("cut", 2)]);
}

#[test]
fn a_release_that_stops_being_ready_within_bake_goes_back() {
    let mut stage = Stage::serving(&["1"]);
    stage.wants("2", Behaviour { sickens: Some(20_000), ..Behaviour::good() });
    stage.world.converges(&stage.goal());
    stage.keep(300);
    stage.is("real1 webservice-1");
    stage.world.holds(&stage.goal(), Reason::Quarantined);
}

#[test]
fn a_live_slot_that_sickens_later_goes_to_the_standby() {
    let stage = Stage::serving(&["1", "2"]);
    stage.befall(Fault::Sick(port(8082), true));
    stage.keep(20);
    assert!(stage.world.see().serves(&stage.spec.proxy.include), "{}", stage.world.story());
    stage.keep(1200);
    assert!(stage.world.see().serves(&stage.spec.proxy.include), "{}", stage.world.story());
    stage.world.is_lawful();
}

#[test]
fn when_both_are_dead_the_service_comes_back() {
    let stage = Stage::serving(&["1", "2"]);
    stage.befall(Fault::Crash(port(8081)));
    stage.befall(Fault::Crash(port(8082)));
    stage.keep(60);
    stage.is("real2 webservice-2");
    stage.did(&[("start", 1)]);
}

#[test]
fn a_crash_loop_is_slowed_down() {
    let mut stage = Stage::serving_as(&["1"], |spec| spec.slot_policy.bake = Duration::from_secs(1));
    stage.wants("2", Behaviour { ends: Some(10_000), ..Behaviour::good() });
    stage.world.converges(&stage.goal());
    stage.keep(3600);
    stage.is("real1 webservice-1");
    stage.world.holds(&stage.goal(), Reason::Quarantined);
    let starts = stage.world.take_counts()["start"];
    assert!(starts <= 4, "{starts}\n{}", stage.world.story());
}

#[test]
fn a_crash_loop_without_another_release_is_slowed_down() {
    let mut stage = Stage::empty();
    stage.wants("1", Behaviour { ends: Some(10_000), ..Behaviour::good() });
    stage.world.apply(&stage.goal());
    stage.world.take_counts();
    stage.keep(3600);
    let starts = stage.world.take_counts()["start"];
    assert!((30..100).contains(&starts), "{starts}\n{}", stage.world.story());
}

#[test]
fn a_dry_run_says_what_its_way_comes_to_when_that_is_not_converged() {
    let mut stage = Stage::serving(&["1"]);
    stage.befall(Fault::Foreign(port(8082), Some(Foreigner::Stranger)));
    stage.wants("2", Behaviour::good());
    let plan = block_on(look(&stage.world, &stage.goal(), &mut Watch::default())).unwrap().services.remove(0);
    let steps: Vec<_> = plan.steps.iter().map(|step| step.act.kind()).collect();
    let words = |holds: &[Hold]| holds.iter().map(|hold| hold.reason).collect::<Vec<_>>();
    assert_eq!((steps, words(&plan.holds), words(&plan.ahead)), (vec!["install", "unpack"], vec![], vec![Reason::PortTaken]));
    stage.befall(Fault::Foreign(port(8082), None));
    let plan = block_on(look(&stage.world, &stage.goal(), &mut Watch::default())).unwrap().services.remove(0);
    assert_eq!(words(&plan.ahead), vec![]);
}

#[test]
fn a_port_that_a_stranger_holds_is_a_hold_until_it_is_free() {
    for kind in [Foreigner::Stranger, Foreigner::Bound] {
        let mut stage = Stage::serving(&["1"]);
        stage.befall(Fault::Foreign(port(8082), Some(kind)));
        stage.wants("2", Behaviour::good());
        stage.world.holds(&stage.goal(), Reason::PortTaken);
        stage.did(&[("install", 1)]);
        stage.befall(Fault::Foreign(port(8082), None));
        stage.world.converges(&stage.goal());
        stage.is("real2 webservice-2");
    }
}

#[test]
fn a_port_that_is_stolen_during_the_start_spends_no_attempt() {
    let mut stage = Stage::serving(&["1"]);
    stage.wants("2", Behaviour::good());
    for n in 0..6 {
        stage.world.after(1_000 + n * 60_000, Fault::Foreign(port(8082), Some(Foreigner::Stranger)));
        stage.world.after(50_000 + n * 60_000, Fault::Foreign(port(8082), None));
    }
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
    assert!(stage.world.ledger("webservice").quarantine.is_empty(), "{}", stage.world.story());
}

#[test]
fn a_port_that_was_stolen_is_named_at_once_and_not_only_after_the_pause() {
    let mut stage = Stage::serving(&["1"]);
    stage.wants("2", Behaviour::good());
    stage.world.accept(&stage.goal());
    stage.world.after(1_000, Fault::Foreign(port(8082), Some(Foreigner::Stranger)));
    let plan = loop {
        let plan = stage.world.keep(&stage.goal(), 50);
        if !stage.world.ledger("webservice").failures.is_empty() {
            break plan;
        }
    };
    assert_eq!(reasons(&plan), vec![Reason::PortTaken], "{}", stage.world.story());
}

#[test]
fn a_reboot_starts_what_served() {
    let stage = Stage::serving(&["1", "2"]);
    stage.befall(Fault::Reboot);
    stage.keep(60);
    stage.is("real2 webservice-2");
    stage.did(&[("start", 1)]);
    stage.runs(&["real2 webservice-2"]);
    stage.world.converges(&stage.goal());
}

#[test]
fn a_reboot_in_the_middle_of_a_deployment_starts_what_served_first() {
    let mut stage = Stage::serving(&["1"]);
    stage.wants("2", Behaviour::good());
    stage.world.after(1_000, Fault::Reboot);
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
    stage.runs(&["real1 webservice-1", "real2 webservice-2"]);
}

#[test]
fn a_lost_ledger_is_found_again_by_the_cookies() {
    let mut stage = Stage::serving(&["1", "2"]);
    stage.befall(Fault::LedgerLost(stage.spec.name.clone()));
    stage.world.converges(&stage.goal());
    assert!(stage.live().ends_with("webservice-2"), "{}", stage.world.story());
    stage.did(&[]);
    stage.deploy("3");
    stage.is("real1 webservice-3");
}

#[test]
fn a_changed_health_check_that_the_live_slot_fails_is_suspect() {
    let mut stage = Stage::serving(&["1", "2"]);
    stage.spec.health.path = "/typo".to_owned();
    stage.world.holds(&stage.goal(), Reason::ProbeSuspect);
    stage.did(&[]);
    stage.is("real2 webservice-2");
    assert!(stage.world.ledger("webservice").slots.contains_key(&slot("real2")));
}

#[test]
fn a_host_that_cannot_be_read_is_left_alone() {
    let mut stage = Stage::serving(&["1", "2"]);
    stage.befall(Fault::Blind(true));
    stage.wants("3", Behaviour::good());
    stage.world.holds(&stage.goal(), Reason::ProcessUnknown);
    stage.befall(Fault::Blind(false));
    stage.world.converges(&stage.goal());
    stage.is("real1 webservice-3");
}

#[test]
fn too_little_memory_holds_the_second_process() {
    let mut stage = Stage::serving(&["1"]);
    stage.befall(Fault::Memory(1 << 20));
    stage.wants("2", Behaviour::good());
    stage.world.holds(&stage.goal(), Reason::LowMemory);
    stage.is("real1 webservice-1");
    stage.befall(Fault::Memory(8 << 30));
    stage.world.converges(&stage.goal());
}

#[test]
fn a_launch_that_cannot_work_holds_the_start() {
    let mut stage = Stage::serving(&["1"]);
    stage.befall(Fault::LaunchFault(Some("there is no java".to_owned())));
    stage.wants("2", Behaviour::good());
    stage.world.holds(&stage.goal(), Reason::LaunchUnfit);
    stage.befall(Fault::LaunchFault(None));
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
}

#[test]
fn a_port_that_is_taken_whenever_it_is_about_to_be_used_is_tried_ever_more_slowly() {
    let mut stage = Stage::serving(&["1"]);
    stage.befall(Fault::Contested(port(8082), true));
    stage.wants("2", Behaviour::good());
    stage.world.accept(&stage.goal());
    stage.keep(60);
    stage.did(&[("install", 1)]);
    let tries = stage.world.see().trace.iter().filter(|line| line.contains("start failed")).count();
    assert!((30..=80).contains(&tries), "{tries}\n{}", stage.world.story());
    stage.befall(Fault::Contested(port(8082), false));
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
}

#[test]
fn a_candidate_that_became_ready_while_nothing_could_be_read_is_not_condemned() {
    let mut stage = Stage::serving_as(&["1"], |spec| spec.health.deadline = Duration::from_secs(20));
    stage.wants("2", Behaviour { ready: Some(15_000), ..Behaviour::good() });
    stage.world.after(3_000, Fault::Blind(true));
    stage.world.after(40_000, Fault::Blind(false));
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
    stage.did(&[("install", 1), ("start", 1), ("cut", 1)]);
}

#[test]
fn a_candidate_that_cannot_be_read_is_waited_for_and_no_standby_is_stopped() {
    let three = |spec: &mut ServiceSpec| spec.slots.push(manifest::slot("real3", 8083));
    let mut stage = Stage::serving_as(&["1", "2", "3"], three);
    stage.wants("4", Behaviour { ready: Some(15_000), ..Behaviour::good() });
    stage.world.accept(&stage.goal());
    stage.keep(5);
    stage.befall(Fault::Unreadable(port(8081), true));
    stage.keep(30);
    stage.did(&[("install", 1), ("start", 1), ("term", 1)]);
    stage.befall(Fault::Unreadable(port(8081), false));
    stage.world.converges(&stage.goal());
    stage.did(&[("cut", 1)]);
    stage.runs(&["real1 webservice-4", "real2 webservice-2", "real3 webservice-3"]);
}

#[test]
fn a_candidate_stays_while_it_cannot_be_told_what_is_asked_for() {
    let mut stage = Stage::serving(&["1"]);
    let env = PathBuf::from("/etc/app.env");
    let written = || (Digest::new("env"), 77);
    stage.world.touch().jars.insert(env.clone(), written());
    stage.wants("2", Behaviour { ready: Some(15_000), ..Behaviour::good() });
    stage.spec.launch.env_file = Some(env.clone());
    stage.world.accept(&stage.goal());
    stage.keep(5);
    stage.befall(Fault::JarGone(env.clone()));
    stage.keep(5);
    stage.did(&[("install", 2), ("start", 1)]);
    stage.world.touch().jars.insert(env, written());
    stage.world.converges(&stage.goal());
    stage.did(&[("cut", 1)]);
    stage.is("real2 webservice-2");
}

#[test]
fn a_plan_whose_first_step_only_keeps_the_ledger_true_says_what_holds_behind_it() {
    let mut stage = Stage::serving(&["1", "2"]);
    stage.befall(Fault::Crash(port(8081)));
    stage.spec = manifest::renamed(&stage.spec, "3");
    stage.world.accept(&stage.goal());
    let plan = stage.world.look(&stage.goal());
    assert_eq!(plan.services[0].status, Status::Held, "{plan:#?}");
    assert_eq!(plan.services[0].holds[0].reason, Reason::ArtifactMissing, "{plan:#?}");
}
