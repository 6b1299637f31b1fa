//! What the simulator found: each a story that was cut down to what matters.

use slotd::model::desired::{CutoverMode, PortConflict, ServiceSpec, Standby};
use slotd::model::status::Reason;
use slotd::observe::watch::Watch;
use slotd::plan::Next;
use slotd::plan::person::Decision;

use super::{Stage, port, takeover};
use crate::world::When;
use crate::world::fault::Fault;
use crate::world::nginx::Text;
use crate::world::ports::Foreigner;
use crate::world::processes::Behaviour;
use crate::world::sight::Sight;

fn ledger_lost(stage: &Stage) -> Fault {
    Fault::LedgerLost(stage.spec.name.clone())
}

fn include(stage: &Stage, text: Option<Text>) -> Fault {
    Fault::Include(stage.spec.proxy.include.clone(), text)
}

#[test]
fn a_way_back_to_a_place_without_a_flag_is_a_plain_line() {
    let mut stage = takeover::scripts(8080, &[("8080", 8080)]);
    stage.world.touch().judge.limit.insert(stage.spec.name.clone(), 3);
    stage.spec.slot_policy.port_conflict = PortConflict::Nothing;
    stage.wants("1", Behaviour { ends: Some(20_000), ..Behaviour::good() });
    stage.world.accept(&stage.goal());
    stage.keep(120);
    assert_eq!(stage.live(), "8080 scripts", "{}", stage.world.story());
    stage.world.is_lawful();
    let cuts = stage.world.see().counts.get("cut").copied().unwrap_or(0);
    assert!(cuts <= 2, "{cuts} cutovers\n{}", stage.world.story());
}

#[test]
fn the_flag_of_a_text_that_is_yet_to_be_loaded_stays() {
    let stage = takeover::scripts(8080, &[("8080", 8080)]);
    stage.world.touch().judge.limit.insert(stage.spec.name.clone(), 3);
    stage.befall(Fault::Foreign(port(8081), Some(Foreigner::Stranger)));
    stage.world.accept(&stage.goal());
    stage.keep(20);
    stage.is("real2 webservice-1");
    stage.did(&[("install", 1), ("start", 1), ("write", 1), ("reload", 1)]);
}

#[test]
fn a_text_whose_reload_was_lost_is_undone_when_nobody_asks_for_its_release_any_more() {
    let mut stage = takeover::scripts(8080, &[("8080", 8080)]);
    stage.befall(Fault::ReloadsLost(true));
    for version in ["1", "2"] {
        stage.wants(version, Behaviour::good());
        stage.world.accept(&stage.goal());
        stage.keep(40);
    }
    stage.befall(Fault::ReloadsLost(false));
    stage.wants("3", Behaviour::good());
    stage.world.touch().judge.limit.insert(stage.spec.name.clone(), 9);
    stage.world.converges(&stage.goal());
    assert!(stage.live().ends_with("webservice-3"), "{}", stage.world.story());
}

#[test]
fn a_live_slot_whose_port_cannot_be_looked_at_is_a_hold_with_a_word() {
    let stage = Stage::serving(&["1"]);
    stage.world.touch().hide(Sight::Port, 0, 10);
    let plan = stage.world.pass(&stage.goal(), &mut Watch::default()).plan;
    let service = &plan.services[0];
    assert!(matches!(service.next, Next::Hold), "{plan:#?}");
    assert_eq!(service.holds[0].reason, Reason::ProcessUnknown);
}

#[test]
fn a_live_slot_whose_jar_was_lost_takes_it_from_its_path_again() {
    let stage = Stage::serving(&["1"]);
    stage.befall(Fault::StoreLost);
    stage.befall(Fault::Crash(port(8081)));
    stage.keep(30);
    stage.is("real1 webservice-1");
    stage.did(&[("install", 1), ("start", 1)]);
}

#[test]
fn a_live_slot_whose_jar_is_lost_for_good_says_so_and_holds_up_no_other_release() {
    let mut stage = Stage::serving(&["1"]);
    stage.befall(Fault::StoreLost);
    stage.befall(Fault::JarGone(stage.spec.jar.path.clone()));
    stage.befall(Fault::Crash(port(8081)));
    let plan = stage.keep(30);
    assert!(plan.services[0].holds.iter().any(|h| h.reason == Reason::ArtifactMissing), "{plan:#?}");
    stage.deploy("2");
    assert!(stage.live().ends_with("webservice-2"), "{}", stage.world.story());
}

#[test]
fn a_lost_ledger_starts_no_second_process_on_a_slot() {
    let stage = Stage::empty();
    stage.world.accept(&stage.goal());
    stage.world.after(1_000, ledger_lost(&stage));
    stage.keep(30);
    stage.is("real1 webservice-1");
    stage.runs(&["real1 webservice-1"]);
}

#[test]
fn a_lost_ledger_is_noticed_and_what_runs_is_known_again_by_its_cookie() {
    let mut stage = Stage::serving_as(&["1", "2"], |spec| spec.slot_policy.port_conflict = PortConflict::Own);
    stage.world.after(5_000, ledger_lost(&stage));
    stage.keep(60);
    let records = stage.world.ledger("webservice").slots;
    let known = |name: &str| records.get(&super::slot(name)).is_some_and(|record| record.release.is_some());
    assert!(known("real1") && known("real2"), "{}", stage.world.story());
    stage.deploy("3");
    stage.is("real1 webservice-3");
}

#[test]
fn a_text_after_a_lost_ledger_is_newer_than_what_nginx_has_loaded() {
    let stage = Stage::serving(&["1"]);
    stage.befall(ledger_lost(&stage));
    stage.keep(5);
    stage.befall(include(&stage, Some(Text::Plain(port(8082)))));
    stage.world.converges(&stage.goal());
    stage.is("real1 webservice-1");
}

#[test]
fn an_include_that_leads_elsewhere_is_put_right_while_the_deployment_waits_for_the_slot_it_names() {
    let mut stage = Stage::serving_as(&["1", "2"], Stage::reload_mode);
    stage.befall(include(&stage, Some(Text::Plain(port(8081)))));
    stage.wants("3", Behaviour::good());
    stage.world.converges(&stage.goal());
    stage.is("real1 webservice-3");
}

#[test]
fn a_write_that_nginx_refuses_again_and_again_leaves_no_trace_in_the_ledger() {
    let mut stage = Stage::serving_as(&["1"], Stage::reload_mode);
    stage.wants("2", Behaviour::good());
    stage.befall(Fault::ConfigBroken(true));
    stage.world.accept(&stage.goal());
    stage.keep(10);
    stage.world.take_counts();
    stage.keep(60);
    assert_eq!(stage.world.take_counts().get("commit"), None, "{}", stage.world.story());
    stage.befall(Fault::ConfigBroken(false));
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
}

#[test]
fn health_settings_that_are_doubted_hold_up_no_other_release() {
    let mut stage = Stage::serving_as(&["1", "2"], |spec| spec.slot_policy.standby = Standby::Stopped);
    stage.befall(Fault::Sick(port(8082), true));
    stage.spec.health.timeout = std::time::Duration::from_secs(1);
    stage.world.accept(&stage.goal());
    let plan = stage.keep(20);
    assert!(plan.services[0].holds.iter().any(|h| h.reason == Reason::ProbeSuspect), "{plan:#?}");
    stage.deploy("3");
    stage.is("real1 webservice-3");
}

#[test]
fn health_settings_that_another_process_of_the_same_release_meets_are_not_doubted() {
    let mut stage = Stage::serving(&["1"]);
    stage.decide(&Decision::Restart);
    stage.keep(60);
    stage.is("real2 webservice-1");
    stage.befall(Fault::Sick(port(8082), true));
    stage.spec.health.timeout = std::time::Duration::from_secs(1);
    stage.world.accept(&stage.goal());
    stage.keep(20);
    stage.is("real1 webservice-1");
}

#[test]
fn another_interval_does_not_keep_a_slot_that_answers_badly_from_going_over() {
    let mut stage = Stage::serving(&["1", "2"]);
    stage.befall(Fault::Sick(port(8082), true));
    stage.spec.health.interval = std::time::Duration::from_millis(250);
    stage.world.accept(&stage.goal());
    stage.keep(20);
    stage.is("real1 webservice-1");
}

#[test]
fn after_a_lost_ledger_a_process_is_looked_for_where_the_include_leads_before_where_the_manifest_moved_its_slot() {
    for change in [Stage::reload_mode, |_: &mut ServiceSpec| {}] {
        let mut stage = Stage::serving_as(&["1"], change);
        stage.spec.slots[0].port = port(9081);
        stage.befall(ledger_lost(&stage));
        stage.world.accept(&stage.goal());
        stage.keep(2);
        let record = stage.world.ledger("webservice").slots[&super::slot("real1")].clone();
        assert_eq!(record.port, port(8081), "{}", stage.world.story());
        stage.keep(120);
        stage.is("real2 webservice-1");
        assert_eq!(stage.world.see().counts["start"], 1, "{}", stage.world.story());
    }
}

#[test]
fn an_older_ledger_that_is_put_back_does_not_keep_the_controller_from_healing() {
    for fault in [ledger_lost, |stage: &Stage| Fault::LedgerRestored(stage.spec.name.clone())] {
        let mut stage = Stage::serving(&["1"]);
        stage.befall(Fault::LedgerCopied(stage.spec.name.clone()));
        stage.deploy("2");
        stage.world.after(5_000, fault(&stage));
        stage.world.after(60_000, Fault::Crash(port(8081)));
        stage.world.after(60_000, Fault::Crash(port(8082)));
        stage.keep(120);
        assert!(stage.live().ends_with("webservice-2"), "{}", stage.world.story());
        assert_eq!(stage.world.ledger("webservice").accepted, Some(stage.spec.clone()));
    }
}

#[test]
fn what_an_older_ledger_does_not_know_is_found_by_its_cookie_and_not_replaced() {
    for change in [Stage::reload_mode, |_: &mut ServiceSpec| {}] {
        let mut stage = Stage::empty();
        change(&mut stage.spec);
        stage.spec.slot_policy.port_conflict = PortConflict::Nothing;
        stage.deploy("1");
        let mut watch = Watch::default();
        let mut keep = |stage: &Stage, seconds: u32| {
            for _ in 0..seconds * 10 {
                stage.world.pass(&stage.goal(), &mut watch);
                stage.world.touch().pass_time(100, &[]);
            }
        };
        keep(&stage, 200);
        stage.befall(Fault::LedgerCopied(stage.spec.name.clone()));
        stage.wants("2", Behaviour::good());
        stage.world.accept(&stage.goal());
        keep(&stage, 20);
        stage.is("real2 webservice-2");
        stage.world.take_counts();
        stage.befall(Fault::LedgerRestored(stage.spec.name.clone()));
        stage.world.accept(&stage.goal());
        keep(&stage, 20);
        stage.is("real2 webservice-2");
        stage.did(&[]);
    }
}

#[test]
fn a_standby_that_is_asked_for_again_is_not_given_up_for_one_bad_answer() {
    let mut stage = Stage::serving_as(&["1", "2"], Stage::reload_mode);
    let mut watch = Watch::default();
    stage.world.pass(&stage.goal(), &mut watch);
    stage.wants("1", Behaviour::good());
    stage.world.accept(&stage.goal());
    // The standby is looked at first.
    stage.world.touch().hide(Sight::Health, 0, 1);
    let plan = stage.world.pass(&stage.goal(), &mut watch).plan;
    assert_eq!(plan.services[0].holds[0].reason, Reason::Confirming, "{plan:#?}");
    stage.keep(10);
    stage.is("real1 webservice-1");
    assert_eq!(stage.world.take_counts().get("start"), None, "{}", stage.world.story());
}

#[test]
fn no_flag_is_touched_before_nginx_has_loaded_the_line_that_mends_its_include() {
    for edit in [None, Some(Text::Edited(None))] {
        let mut stage = Stage::serving_as(&["1"], |spec| spec.proxy.url = None);
        stage.befall(include(&stage, edit));
        stage.befall(ledger_lost(&stage));
        stage.spec.slots[1].port = port(9082);
        stage.wants("3", Behaviour::good());
        stage.world.accept(&stage.goal());
        stage.decide(&Decision::Retry);
        stage.keep(60);
        assert!(stage.live().ends_with("webservice-3"), "{}", stage.world.story());
        stage.world.is_lawful();
    }
}

#[test]
fn what_was_found_by_its_cookie_and_could_not_be_noted_is_found_again() {
    for change in 1..6 {
        let stage = Stage::serving_as(&["1", "2"], |spec| spec.slot_policy.port_conflict = PortConflict::Own);
        let mut watch = Watch::default();
        stage.world.pass(&stage.goal(), &mut watch);
        stage.befall(ledger_lost(&stage));
        stage.world.refuse_at(change);
        for _ in 0..6 {
            stage.world.pass(&stage.goal(), &mut watch);
            stage.world.touch().pass_time(1_000, &[]);
        }
        let records = stage.world.ledger("webservice").slots;
        let known = |name: &str| records.get(&super::slot(name)).is_some_and(|record| record.release.is_some());
        assert!(known("real1") && known("real2"), "change {change}\n{}", stage.world.story());
    }
}

#[test]
fn a_release_that_dies_again_and_again_gives_way_to_the_last_good_one_although_nothing_stands_by() {
    let mut stage = Stage::serving_as(&["1"], |spec| spec.slot_policy.standby = Standby::Stopped);
    stage.wants("2", Behaviour { ends: Some(70_000), ..Behaviour::good() });
    stage.world.accept(&stage.goal());
    let plan = stage.keep(600);
    assert!(stage.live().ends_with("webservice-1"), "{}", stage.world.story());
    assert!(plan.services[0].holds.iter().any(|h| h.reason == Reason::Quarantined), "{plan:#?}");
}

#[test]
fn a_write_that_nginx_refuses_is_tried_ever_more_slowly_and_soon_after_it_no_longer_is() {
    let mut stage = Stage::serving_as(&["1"], Stage::reload_mode);
    stage.wants("2", Behaviour::good());
    stage.befall(Fault::ConfigBroken(true));
    stage.world.after(300_000, Fault::ConfigBroken(false));
    stage.world.accept(&stage.goal());
    let plan = stage.keep(290);
    let tries = stage.world.take_counts()["write"];
    assert!((5..=14).contains(&tries), "{tries} writes\n{}", stage.world.story());
    assert!(plan.services[0].holds.iter().any(|h| h.reason == Reason::ConfigBroken), "{plan:#?}");
    stage.keep(45);
    stage.is("real2 webservice-2");
}

#[test]
fn an_include_that_leads_to_what_has_failed_too_goes_back_where_nginx_still_goes_and_makes_room() {
    let mut stage = Stage::serving_as(&["1"], |spec| {
        Stage::reload_mode(spec);
        spec.slot_policy.standby = Standby::Stopped;
    });
    stage.wants("2", Behaviour { sickens: Some(120_000), ..Behaviour::good() });
    stage.world.after(110_000, Fault::ReloadsLost(true));
    stage.world.after(1_100_000, Fault::ReloadsLost(false));
    stage.world.accept(&stage.goal());
    stage.keep(1_150);
    stage.wants("3", Behaviour::good());
    stage.world.accept(&stage.goal());
    stage.keep(60);
    assert!(stage.live().ends_with("webservice-3"), "{}", stage.world.story());
}

#[test]
fn a_slotd_that_dies_between_a_cutover_and_noting_it_leaves_a_standby_all_the_same() {
    for change in 0..14 {
        let mut stage = Stage::serving(&["1"]);
        stage.wants("2", Behaviour::good());
        stage.world.crash_at(change, When::After);
        stage.world.survives(|| {
            stage.world.accept(&stage.goal());
            stage.keep(10);
        });
        stage.world.disarm();
        stage.world.accept(&stage.goal());
        stage.keep(300);
        stage.deploy("3");
        stage.keep(60);
        assert_eq!(stage.running(), ["real1 webservice-3", "real2 webservice-2"], "change {change}\n{}", stage.world.story());
    }
}

/// A script has written where it did not reload: nginx goes on where it went, and whatever comes up there has the traffic.
#[test]
fn what_answers_where_an_nginx_that_cannot_be_asked_may_lead_is_not_stopped() {
    let mut stage = takeover::scripts(8081, &[("real1", 8081)]);
    stage.befall(Fault::NginxHidden(true));
    stage.world.accept(&stage.goal());
    stage.keep(20);
    stage.befall(include(&stage, Some(Text::Plain(port(8082)))));
    stage.befall(Fault::Crash(port(8081)));
    for version in ["2", "3"] {
        stage.wants(version, Behaviour::good());
        stage.world.accept(&stage.goal());
        stage.keep(20);
    }
    stage.is("real1 webservice-2");
    let plan = stage.keep(20);
    assert!(plan.services[0].holds.iter().any(|hold| hold.reason == Reason::ProxyUnverified), "{plan:#?}");
    stage.befall(Fault::NginxHidden(false));
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-3");
}

#[test]
fn what_nginx_refuses_leaves_the_flags_as_they_were_and_is_tried_ever_more_seldom() {
    let mut stage = Stage::serving_as(&["1"], Stage::reload_mode);
    stage.befall(Fault::ConfigBroken(true));
    stage.spec.proxy.cutover = CutoverMode::Flag;
    stage.world.accept(&stage.goal());
    stage.befall(Fault::Sick(port(8081), true));
    stage.keep(600);
    let counts = stage.world.take_counts();
    let count = |word| counts.get(word).copied().unwrap_or(0);
    assert!(count("write") <= 27 && count("cut") == 0, "{counts:?}\n{}", stage.world.story());
    assert!(stage.world.see().flags.values().all(std::collections::BTreeSet::is_empty), "{}", stage.world.story());
}

#[test]
fn an_include_whose_flags_cannot_be_read_is_not_written_again_and_again() {
    let mut stage = Stage::serving(&["1", "2"]);
    stage.spec.slots[0].port = port(9081);
    stage.befall(Fault::Crash(port(8081)));
    stage.world.touch().hide(Sight::Flags, 0, 20);
    stage.world.accept(&stage.goal());
    stage.keep(200);
    stage.did(&[("write", 1), ("reload", 1)]);
}

#[test]
fn what_nginx_was_seen_to_have_loaded_is_not_called_unapplied_when_nginx_cannot_be_seen() {
    let mut stage = Stage::serving_as(&["1"], Stage::reload_mode);
    stage.deploy("2");
    stage.keep(6);
    stage.world.touch().hide(Sight::Nginx, 0, 1);
    let plan = stage.world.pass(&stage.goal(), &mut Watch::default()).plan;
    let reasons: Vec<_> = plan.services[0].holds.iter().map(|hold| hold.reason).collect();
    assert_eq!(reasons, [Reason::ProxyUnverified], "{plan:#?}");
}
