//! What is done next on hosts where one fact decides, each with the reason for which it must be so. Where `situations` shows that a
//! decision has changed, this says which one is right.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use slotd::model::desired::{CutoverMode, Promote, Standby};
use slotd::model::id::{Port, ReleaseId};
use slotd::model::ledger::{Deployment, OneWay, Rollback};
use slotd::model::observed::{Observation, Traffic, Worker};
use slotd::model::route::{Include, RouteForm, Target};
use slotd::model::status::Reason;
use slotd::plan::ServicePlan;
use slotd::plan::step::Act;

use super::chance::unknown;
use super::host::{Host, slot};
use super::oracle::{act, next, pass};
use super::place::Life;
use super::situations::ago;

/// What a pass does on this host that others can notice.
fn does(host: &Host) -> String {
    let (_, plan, _) = pass(host).unwrap();
    act(&plan).map_or_else(|| "nothing".to_owned(), ToString::to_string)
}

/// What it notes down before that.
fn notes(host: &Host) -> Vec<Act> {
    pass(host).unwrap().2
}

/// Why it does not do more.
fn waits(host: &Host) -> Vec<Reason> {
    pass(host).unwrap().1.holds.iter().map(|hold| hold.reason).collect()
}

fn plan(host: &Host) -> ServicePlan {
    next(host).unwrap()
}

/// The usual host, changed: release 2 serves from `real1`.
fn usual(change: impl FnOnce(&mut Host)) -> Host {
    let mut host = Host::plain();
    change(&mut host);
    host
}

fn two(h: &mut Host) {
    h.puts("real2", Life::Ready, "1");
}

/// Nothing was open towards a slot for a while.
fn quiet(h: &mut Host, name: &str) {
    h.place(name).traffic =
        Observation::Known(Traffic { open: 0, quiet: Duration::from_secs(9), samples: 90, longest: Vec::new() });
}

/// A release is asked for whose jar is not there, and no other one is remembered.
fn forgetful(h: &mut Host) {
    h.touch().jar = Observation::Absent;
    h.ledger().releases.clear();
    h.ledger().good.clear();
}

fn plain(name: &str, port: u16) -> Observation<Include> {
    Observation::Known(Include::Plain(Target { slot: slot(name), port: Port(port) }))
}

// The route, before anything is started.

#[test]
fn an_include_is_not_written_over_while_nobody_knows_where_the_traffic_is() {
    let host = usual(|h| {
        h.asks("3");
        h.route().flags = unknown();
        h.mute();
    });
    assert_eq!(does(&host), "start 3 on real2 (port 8082)");
}

#[test]
fn the_line_of_the_scripts_is_left_until_the_cutover_which_is_a_reload_anyway() {
    let host = usual(|h| {
        h.spec(|s| s.proxy.cutover = CutoverMode::Reload);
        h.route().include = plain("real1", 8081);
        h.route().loaded = unknown();
        h.asks("3");
    });
    assert_eq!(does(&host), "start 3 on real2 (port 8082)");
}

#[test]
fn an_include_that_nginx_does_not_run_is_loaded_before_anything_is_started() {
    let host = usual(|h| {
        h.asks("3");
        h.by_reload();
        h.loads(4, "real1");
    });
    assert_eq!(does(&host), "reload nginx once (route 5; idle keep-alive connections may be closed)");
}

#[test]
fn an_include_that_leads_elsewhere_than_the_proxy_goes_is_put_right_before_anything_is_started() {
    let host = usual(|h| {
        h.asks("3");
        h.by_reload();
        h.text(|t| t.targets = vec![Target { slot: slot("real2"), port: Port(8082) }]);
        h.route().loaded = unknown();
    });
    assert_eq!(does(&host), "write the include, leading to real1");
}

#[test]
fn what_nobody_knows_is_kept_out_of_the_way_of_flags_that_stand() {
    // nginx may follow these flags in a text that the ledger has lost.
    let host = usual(|h| {
        h.route().include = Observation::Absent;
        h.route().flags = Observation::Known(vec![slot("real2")]);
        h.ledger().route = None;
        h.mute();
    });
    assert_eq!(does(&host), "write the include, leading to real1");
}

#[test]
fn an_include_that_leads_to_a_port_which_the_live_process_does_not_have_is_put_right_whatever_else_is_held_up() {
    let host = usual(|h| {
        h.asks("3");
        h.touch().launch_fault = Some("there is no java".to_owned());
        h.text(|t| t.targets[0].port = Port(8099));
    });
    assert_eq!(does(&host), "write the include in its flag form, leading to real1");
}

#[test]
fn an_include_in_another_form_is_left_while_nginx_cannot_be_asked() {
    let host = usual(|h| {
        h.spec(|s| s.proxy.cutover = CutoverMode::Reload);
        h.route().nginx = unknown();
    });
    assert_eq!((does(&host), waits(&host)), ("nothing".to_owned(), vec![Reason::ProxyUnverified]));
}

#[test]
fn a_text_whose_word_nginx_contradicts_moves_no_traffic() {
    // It has loaded the very text, which has one target, and says that it goes elsewhere.
    let host = usual(|h| {
        two(h);
        h.by_reload();
        h.loads(5, "real2");
        h.route().proxied = unknown();
    });
    assert_eq!(does(&host), "nothing");
    assert!(waits(&host).contains(&Reason::RouteUnproven), "{:?}", waits(&host));
}

#[test]
fn two_witnesses_that_disagree_stop_nothing_and_move_nothing() {
    let host = usual(|h| {
        h.third(Life::Ready, "3");
        two(h);
        h.asks("3");
        h.route().proxied = Observation::Known(slot("real2"));
    });
    assert_eq!(does(&host), "nothing");
    assert!(waits(&host).contains(&Reason::RouteSplit), "{:?}", waits(&host));
}

/// The scripts named it `real1` on 8081, and the manifest had moved that slot to another port before it was taken over.
#[test]
fn what_others_started_outside_the_manifest_may_call_itself_by_a_slots_name() {
    let host = usual(|h| {
        h.puts("8080", Life::Adopted, "1");
        h.loads(5, "8080");
        h.puts("real1", Life::Ready, "2");
        h.route().proxied = Observation::Known(slot("real1"));
    });
    assert!(!waits(&host).contains(&Reason::RouteSplit), "{:?}", waits(&host));
    assert!(does(&host).contains("real1"), "{}", does(&host));
}

/// The text on disk was not seen loaded yet, leads where the traffic is, and the live slot was not asked yet.
fn unasked(h: &mut Host) {
    h.ledger().proven = 4;
    h.answers("real1", 0, 0);
}

#[test]
fn a_text_that_moves_nothing_is_loaded_whatever_the_live_slot_answers() {
    let host = usual(|h| {
        unasked(h);
        h.loads(4, "real1");
    });
    assert_eq!(does(&host), "reload nginx once (route 5; idle keep-alive connections may be closed)");
}

#[test]
fn a_text_that_may_move_the_traffic_is_loaded_only_when_the_slot_answers() {
    let host = usual(|h| {
        unasked(h);
        h.mute();
    });
    assert_eq!(does(&host), "nothing");
}

#[test]
fn what_nginx_was_seen_to_have_loaded_counts_more_than_what_was_left_for_it() {
    let host = usual(|h| {
        two(h);
        h.ledger().leaving = Some(slot("real2"));
        h.mute();
    });
    assert_eq!(plan(&host).view.live, Some(slot("real1")));
    let not_seen = usual(|h| {
        two(h);
        h.ledger().leaving = Some(slot("real2"));
        h.ledger().proven = 4;
        h.mute();
    });
    assert_eq!(plan(&not_seen).view.live, Some(slot("real2")));
}

#[test]
fn old_workers_beside_new_ones_are_waited_for_however_late_they_are() {
    let host = usual(|h| {
        two(h);
        h.reloads(6_000);
        h.nginx().workers[2] = Worker { pid: 1, start: 1, accepting: true };
    });
    assert_eq!((does(&host), waits(&host)), ("nothing".to_owned(), vec![Reason::Reloading]));
}

#[test]
fn no_slot_is_stopped_while_only_old_workers_accept() {
    // A reload was sent a moment ago, and what it was to load was replaced on disk since.
    let host = usual(|h| {
        h.asks("3");
        two(h);
        quiet(h, "real2");
        h.reloads(2_000);
        h.text(|t| {
            t.generation = 5;
            t.targets = vec![Target { slot: slot("real1"), port: Port(8081) }];
        });
    });
    assert_eq!((does(&host), waits(&host)), ("nothing".to_owned(), vec![Reason::Reloading]));
}

#[test]
fn an_include_goes_back_from_what_has_failed_also_to_what_answers_badly() {
    let host = |failed: bool, answers: bool| {
        usual(|h| {
            h.puts("real2", if answers { Life::Ready } else { Life::Sick }, "1");
            h.record("real2").condemned = failed.then(|| "it failed".to_owned());
            h.answers("real1", 0, 1);
            h.reloads(5_000);
        })
    };
    let back = "write the include, leading to real1";
    assert_eq!(does(&host(true, false)), back, "else it would keep its place for ever");
    assert_ne!(does(&host(false, false)), back);
    assert_ne!(does(&host(true, true)), back);
}

#[test]
fn a_reload_is_waited_for_also_while_nginx_cannot_be_asked() {
    let host = |seconds: u64| {
        usual(|h| {
            h.asks("3");
            h.reloads(seconds * 1_000);
            h.text(|t| t.targets = vec![Target { slot: slot("real1"), port: Port(8081) }]);
            h.route().nginx = unknown();
            h.mute();
        })
    };
    assert_eq!((does(&host(2)), waits(&host(2))), ("nothing".to_owned(), vec![Reason::Reloading]));
    assert_eq!(does(&host(40)), "start 3 on real2 (port 8082)", "it is not waited for without an end");
}

#[test]
fn a_lost_reload_is_not_sent_again_while_nobody_can_read_whether_the_live_slot_is_the_better_one() {
    let host = |unread: bool| {
        usual(|h| {
            h.asks("1");
            two(h);
            h.reloads(40_000);
            if unread {
                h.place("real1").occupants = unknown();
                h.process("real1").listens = unknown();
            }
        })
    };
    assert_eq!(does(&host(false)), "write the include, leading to real1");
    assert_eq!((does(&host(true)), waits(&host(true))), ("nothing".to_owned(), vec![Reason::ReloadNotApplied]));
}

#[test]
fn the_workers_of_a_reload_that_was_given_up_and_is_applied_all_the_same_are_waited_for() {
    let host = usual(|h| {
        h.asks("1");
        two(h);
        h.spec(|spec| spec.slot_policy.standby = Standby::Stopped);
        h.reloads(8_000);
        h.loads(6, "real2");
        h.route().proxied = Observation::Known(slot("real2"));
        h.ledger().reload.iter_mut().for_each(|reload| reload.failed = true);
    });
    assert_eq!(does(&host), "nothing");
    assert!(waits(&host).contains(&Reason::Reloading), "{:?}", waits(&host));
}

// The live slot.

#[test]
fn nothing_else_is_begun_while_it_is_not_certain_that_the_live_slot_is_well() {
    let unread = usual(|h| {
        h.asks("3");
        h.place("real1").process = unknown();
    });
    assert_eq!((does(&unread), waits(&unread)), ("nothing".to_owned(), vec![Reason::ProcessUnknown]));
    let unsure = usual(|h| {
        h.asks("3");
        h.answers("real1", 0, 2);
    });
    assert_eq!((does(&unsure), waits(&unsure)), ("nothing".to_owned(), vec![Reason::Confirming]));
}

#[test]
fn a_live_slot_that_was_told_to_end_gives_way_at_once() {
    let host = usual(|h| {
        h.puts("real1", Life::Stopping, "2");
        h.record("real1").stopping = Some(ago(1));
        h.answers("real1", 0, 1);
        two(h);
    });
    assert_eq!(does(&host), "cut over from real1 to real2 (no reload)");
}

#[test]
fn of_two_standbys_the_one_that_served_before_takes_over() {
    let host = |before: &str| {
        usual(|h| {
            h.puts("real1", Life::Ended, "2");
            two(h);
            h.third(Life::Ready, "1");
            h.text(|t| t.targets.push(Target { slot: slot("real3"), port: Port(8083) }));
            h.cut(before, "real1", 500);
        })
    };
    assert_eq!(does(&host("real3")), "cut over from real1 to real3 (no reload)");
    assert_eq!(does(&host("real2")), "cut over from real1 to real2 (no reload)");
}

#[test]
fn a_release_that_has_settled_is_not_in_bake_again_because_bake_was_made_longer() {
    let host = usual(|h| {
        h.puts("real1", Life::Ended, "2");
        two(h);
        h.cut("real2", "real1", 30);
        h.ledger().cutover.as_mut().unwrap().settled = true;
    });
    assert_eq!(notes(&host), [], "no quarantine");
    assert_eq!(does(&host), "cut over from real1 to real2 (no reload)");
}

#[test]
fn how_often_and_by_when_a_slot_has_to_answer_makes_no_bad_answer_doubtful() {
    let host = |change: fn(&mut slotd::model::desired::HealthSpec)| {
        usual(|h| {
            h.puts("real1", Life::Sick, "2");
            two(h);
            h.spec(|s| change(&mut s.health));
        })
    };
    let over = "cut over from real1 to real2 (no reload)";
    assert_eq!(does(&host(|health| health.interval += Duration::from_secs(1))), over);
    assert_eq!(does(&host(|health| health.successes -= 1)), over);
    assert_eq!(does(&host(|health| health.deadline += Duration::from_secs(1))), over);
    let doubtful = host(|health| health.status = 204);
    assert_eq!((does(&doubtful), waits(&doubtful)), ("nothing".to_owned(), vec![Reason::ProbeSuspect]));
}

#[test]
fn settings_that_another_process_of_the_same_release_meets_are_not_in_doubt() {
    let host = |life: Life, version: &str| {
        usual(|h| {
            h.puts("real1", if life == Life::Adopted { life } else { Life::Sick }, "2");
            h.puts("real2", life, version);
            h.spec(|s| s.health.status = 204);
            h.answers("real1", 0, 9);
        })
    };
    assert_eq!(does(&host(Life::Ready, "2")), "cut over from real1 to real2 (no reload)");
    assert_eq!(does(&host(Life::Ready, "1")), "nothing", "that is another release");
    assert_eq!(does(&host(Life::Adopted, "2")), "nothing", "of neither it is known which release it is");
}

#[test]
fn what_serves_goes_on_and_its_route_is_kept_true_where_nothing_is_known_to_run() {
    let form = usual(|h| {
        forgetful(h);
        h.spec(|s| s.proxy.cutover = CutoverMode::Reload);
    });
    assert_eq!(does(&form), "write the include, leading to real1");
    let strays = usual(|h| {
        forgetful(h);
        two(h);
        h.route().include = plain("real2", 8082);
        h.ledger().route = None;
    });
    assert_eq!(does(&strays), "write the include in its flag form, leading to real1");
    let scripts = usual(|h| {
        forgetful(h);
        h.route().include = plain("real1", 8081);
        h.ledger().route = None;
    });
    assert_eq!(does(&scripts), "nothing", "theirs, and it says what is so");
}

#[test]
fn the_last_good_release_comes_back_where_what_serves_is_not_ours_or_not_well() {
    let lost = |h: &mut Host| {
        h.touch().jar = Observation::Absent;
        h.proved(&["1"]);
    };
    let taken = usual(|h| {
        h.puts("real1", Life::Taken, "2");
        lost(h);
    });
    assert_eq!(does(&taken), "start 1 on real2 (port 8082)");
    let sick = usual(|h| {
        h.puts("real1", Life::Adopted, "2");
        h.answers("real1", 0, 9);
        lost(h);
    });
    assert_eq!(does(&sick), "start 1 on real2 (port 8082)");
    let well = usual(|h| {
        h.puts("real1", Life::Adopted, "2");
        lost(h);
    });
    assert_eq!(does(&well), "nothing", "it serves well, whatever it is");
}

// Stops.

#[test]
fn the_port_that_is_named_is_that_of_the_slot_on_which_something_would_be_started() {
    let host = usual(|h| {
        h.asks("3");
        h.puts("real1", Life::Taken, "2");
        h.puts("real2", Life::Taken, "1");
    });
    let hold = plan(&host).holds.into_iter().find(|hold| hold.reason == Reason::PortTaken).unwrap();
    assert!(hold.detail.contains("8082") && !hold.detail.contains("8081"), "{}", hold.detail);
}

#[test]
fn a_standby_that_never_listened_is_stopped_although_nginx_is_down() {
    let host = usual(|h| {
        h.asks("3");
        h.puts("real2", Life::Starting, "1");
        h.place("real2").probe = Observation::Absent;
        quiet(h, "real2");
        h.route().nginx = Observation::Absent;
        h.mute();
    });
    assert!(does(&host).starts_with("stop real2"), "{} {:?}", does(&host), waits(&host));
}

/// Release 4 is asked for, the live slot answers badly, and the other one or two answer, and are not gone back
/// to: their release was given up. They have served or not.
fn no_other(served: bool, third: bool) -> Host {
    usual(|h| {
        h.puts("real1", Life::Sick, "2");
        h.third(if third { Life::Ready } else { Life::Empty }, "1");
        two(h);
        h.text(|t| t.targets.push(Target { slot: slot("real3"), port: Port(8083) }));
        h.quarantines("1");
        h.asks("4");
        let release = h.release("4");
        h.touch().stored.insert(release.digest.clone());
        h.ledger().releases.insert(release.id.clone(), release);
        for name in if third { &["real2", "real3"][..] } else { &["real2"] } {
            h.answers(name, 1, 0);
            h.record(name).served = served;
            quiet(h, name);
        }
        if !third {
            h.puts("real3", Life::Taken, "1");
        }
    })
}

#[test]
fn the_last_slot_that_answers_stays_until_the_live_one_does() {
    let served = no_other(true, true);
    assert_eq!(does(&served), "nothing", "users may be sent to either");
    assert!(waits(&served).contains(&Reason::LastSlot), "{:?}", waits(&served));
    let alone = no_other(false, false);
    assert_eq!(does(&alone), "nothing");
    assert!(waits(&alone).contains(&Reason::LastSlot), "{:?}", waits(&alone));
    let neither = no_other(false, true);
    assert!(does(&neither).starts_with("stop real2"), "neither has served anybody: {} {:?}", does(&neither), waits(&neither));
}

#[test]
fn an_intent_that_became_no_process_and_a_candidate_of_an_earlier_boot_are_forgotten_and_no_failures() {
    let intent = usual(|h| {
        h.puts("real2", Life::Gone, "1");
        h.record("real2").process = None;
        h.record("real2").served = false;
    });
    assert_eq!(notes(&intent), [Act::Forget { slot: slot("real2") }]);
    let earlier = usual(|h| {
        h.puts("real2", Life::Gone, "1");
        h.record("real2").boot = slotd::model::id::BootId::new("earlier");
        h.record("real2").served = false;
    });
    assert_eq!(notes(&earlier), [Act::Forget { slot: slot("real2") }]);
}

// Down.

fn down(h: &mut Host) {
    h.ledger().person.down = true;
}

/// The static line is on disk and was not seen loaded.
fn static_line(h: &mut Host) {
    h.by_reload();
    h.text(|t| t.generation = 6);
    down(h);
}

#[test]
fn a_service_that_goes_down_while_nginx_does_not_run_needs_no_reload() {
    let host = usual(|h| {
        static_line(h);
        h.route().nginx = Observation::Absent;
        h.mute();
    });
    assert!(does(&host).starts_with("stop real1"), "{}", does(&host));
}

#[test]
fn a_service_of_which_nothing_runs_is_down_whatever_nginx_has_loaded() {
    let host = usual(|h| {
        static_line(h);
        h.puts("real1", Life::Empty, "2");
    });
    assert_eq!((does(&host), waits(&host)), ("nothing".to_owned(), vec![Reason::Down]));
}

#[test]
fn a_service_that_goes_down_leads_to_a_place_that_no_manifest_names_by_the_port_it_was_seen_on() {
    let host = usual(|h| {
        h.puts("8080", Life::Taken, "1");
        h.loads(5, "8080");
        h.route().proxied = Observation::Known(slot("8080"));
        down(h);
    });
    let (_, plan, _) = pass(&host).unwrap();
    let Some(Act::WriteInclude { targets, form: RouteForm::Static, .. }) = act(&plan) else { panic!("{:?}", plan.next) };
    assert_eq!(*targets, [Target { slot: slot("8080"), port: Port(8080) }]);
}

// The way back.

/// Release 2, which serves from `real1`, shuts these off.
fn shut_off(h: &mut Host, way: OneWay) {
    h.spec(|s| s.jar.rollback_safe = false);
    let id = h.id("2");
    h.ledger().one_way = BTreeMap::from([(id, way)]);
}

#[test]
fn a_release_shuts_off_what_is_known_beside_it_and_beside_what_is_being_deployed() {
    let marked = |deploying: Option<&str>| {
        let host = usual(|h| {
            shut_off(h, OneWay::Ahead);
            let release = deploying.map(|version| h.id(version));
            h.ledger().deployment =
                release.map(|release| Deployment { release, version: String::new(), slot: None, began: 0, phases: Vec::new() });
        });
        let mut all = notes(&host).into_iter();
        all.find_map(|act| if let Act::Mark { one_way: Some(OneWay::Behind(all)), .. } = act { Some(all) } else { None }).unwrap()
    };
    let host = Host::plain();
    let of = |versions: &[&str]| -> BTreeSet<ReleaseId> { versions.iter().map(|version| host.id(version)).collect() };
    assert_eq!(marked(None), of(&["1", "3"]));
    assert_eq!(marked(Some("3")), of(&["1"]), "that one comes after it");
}

#[test]
fn a_standby_that_is_not_gone_back_to_is_named_only_where_it_could_have_helped() {
    let named = |life: Life, change: fn(&mut Host)| {
        let host = usual(|h| {
            let earlier = BTreeSet::from([h.id("1")]);
            shut_off(h, OneWay::Behind(earlier));
            h.puts("real1", Life::Sick, "2");
            h.puts("real2", life, "1");
            change(h);
        });
        waits(&host).contains(&Reason::RollbackUnsafe)
    };
    assert!(named(Life::Ready, |_| {}));
    assert!(!named(Life::Sick, |_| {}), "it does not answer");
    assert!(!named(Life::Ready, |h| h.record("real2").served = false), "it has not served");
    assert!(!named(Life::Ready, |h| h.record("real2").condemned = Some("it failed".to_owned())), "it has failed");
    // Nor is the failed slot itself, which answers again: that is its own way back.
    assert!(!named(Life::Empty, |h| h.answers("real1", 0, 9)));
}

// What is shown.

#[test]
fn a_service_that_no_manifest_names_is_asked_for_in_no_version() {
    assert_eq!(plan(&Host::plain()).view.desired_version.as_deref(), Some("2"));
    let orphan = usual(|h| h.desired.services.clear());
    assert_eq!(plan(&orphan).view.desired_version, None);
}

#[test]
fn what_runs_is_called_as_it_was_when_it_was_started() {
    let host = usual(|h| h.record("real1").version = "two".to_owned());
    let shown = plan(&host).view.slots.into_iter().find(|s| s.slot == slot("real1")).and_then(|s| s.running).unwrap();
    assert_eq!((shown.version.as_str(), shown.release), ("two", Some(host.id("2"))));
}

/// The whole way, as a dry run says it.
fn way(host: &Host) -> Vec<String> {
    let plan = slotd::plan::plan(&host.desired, &host.observed, host.orphans);
    plan.services[0].steps.iter().map(|step| step.act.to_string()).collect()
}

#[test]
fn behind_the_tidying_of_a_flag_the_way_is_that_of_a_host_on_which_it_did_not_stand() {
    let host = |flags: &[&str]| {
        usual(|h| {
            two(h);
            h.third(Life::Empty, "1");
            h.text(|t| t.targets.push(Target { slot: slot("real3"), port: Port(8083) }));
            h.leads_to("real2");
            h.route().flags = Observation::Known(flags.iter().map(|name| slot(name)).collect());
        })
    };
    let (surplus, tidy) = (way(&host(&["real2", "real3"])), way(&host(&["real2"])));
    assert_eq!(surplus[0], "remove flags without effect: real3");
    assert_eq!(surplus[1..], tidy);
}

// What only one fact, or the order of two, decides.

#[test]
fn a_dry_run_goes_on_with_the_flag_that_is_left_when_another_one_was_tidied_away() {
    let host = usual(|h| {
        h.third(Life::Empty, "1");
        h.puts("real1", Life::Empty, "1");
        h.puts("real2", Life::Ready, "2");
        h.leads_to("real2");
        h.text(|text| {
            text.generation = 6;
            text.targets.push(Target { slot: slot("real3"), port: Port(8083) });
        });
        h.route().flags = Observation::Known(vec![slot("real2"), slot("real3")]);
    });
    let plan = slotd::plan::plan(&host.desired, &host.observed, host.orphans);
    let steps: Vec<_> = plan.services[0].steps.iter().map(|step| step.act.kind()).collect();
    assert_eq!(steps, ["tidy_flags", "reload"], "the include says the same as before");
}

#[test]
fn one_bad_answer_at_the_deadline_fails_a_candidate_but_for_one_that_may_have_been_ready_for_long() {
    let candidate = |promote| {
        usual(|h| {
            h.spec(|s| s.slot_policy.promote = promote);
            h.asks("3");
            h.puts("real2", Life::Sick, "3");
            h.record("real2").served = false;
            h.record("real2").since = ago(3_000);
            h.answers("real2", 0, 1);
        })
    };
    let fails = |host: &Host| notes(host).iter().any(|act| matches!(act, Act::RecordFailure { .. }));
    assert!(fails(&candidate(Promote::Auto)));
    let waiting = candidate(Promote::Manual);
    assert!(!fails(&waiting) && waits(&waiting) == [Reason::Confirming]);
}

#[test]
fn of_two_frozen_standbys_the_one_that_served_last_goes_on() {
    for last in ["real2", "real3"] {
        let host = usual(|h| {
            h.spec(|s| s.slot_policy.standby = Standby::Frozen);
            h.puts("real2", Life::Frozen, "1");
            h.third(Life::Frozen, "1");
            h.puts("real1", Life::Gone, "2");
            h.cut(last, "real1", 5_000);
        });
        let plan = pass(&host).unwrap().1;
        assert!(matches!(act(&plan), Some(Act::Thaw { slot, .. }) if slot.as_str() == last), "{last}: {:?}", act(&plan));
    }
}

/// The live slot is dead, and `real2` was told to go on a moment ago and has not answered yet.
fn waking(change: impl FnOnce(&mut Host)) -> Host {
    usual(|h| {
        h.spec(|s| s.slot_policy.standby = Standby::Frozen);
        h.puts("real2", Life::Ready, "1");
        h.puts("real1", Life::Gone, "2");
        h.answers("real2", 0, 0);
        h.record("real2").thawed = Some(ago(1));
        change(h);
    })
}

#[test]
fn only_a_standby_that_goes_on_and_may_serve_is_waited_for() {
    assert_eq!(waits(&waking(|_| {})), [Reason::Confirming]);
    let long_ago: fn(&mut Host) = |h| h.record("real2").thawed = Some(ago(3));
    let never_served: fn(&mut Host) = |h| h.record("real2").served = false;
    let in_quarantine: fn(&mut Host) = |h| h.quarantines("1");
    for in_vain in [long_ago, never_served, in_quarantine] {
        assert_eq!(does(&waking(in_vain)), "start 2 on real1 (port 8081)");
    }
    let frozen = waking(|h| {
        h.puts("real2", Life::Frozen, "1");
        h.record("real2").thawed = Some(ago(1));
    });
    let plan = pass(&frozen).unwrap().1;
    assert!(matches!(act(&plan), Some(Act::Thaw { .. })), "somebody has stopped it again: {:?}", act(&plan));
}

/// A plain line of ours to `real1` where the manifest asks for flags, which nginx was seen to have loaded up to route `proven`.
fn line(generation: u64, proven: u64, change: impl FnOnce(&mut Host)) -> Host {
    usual(|h| {
        h.text(|text| {
            text.form = RouteForm::Static;
            text.targets.truncate(1);
            text.generation = generation;
        });
        h.ledger().proven = proven;
        h.loads(generation, "real1");
        h.asks("3");
        change(h);
    })
}

#[test]
fn a_plain_line_that_was_seen_loaded_once_gives_way_to_flags_though_nobody_answers_now() {
    let prepared = |host: &Host| does(host) == "write the include in its flag form, leading to real1";
    assert!(prepared(&line(5, 5, Host::mute)), "{}", does(&line(5, 5, Host::mute)));
    assert!(!prepared(&line(6, 5, Host::mute)), "nginx may follow flags of a text before it");
}

#[test]
fn one_witness_is_enough_to_know_where_a_line_that_was_not_seen_loaded_leads() {
    let one: [fn(&mut Host); 2] = [|h| h.route().loaded = unknown(), |h| h.route().proxied = unknown()];
    for change in one {
        let host = line(6, 5, change);
        assert_eq!(does(&host), "write the include in its flag form, leading to real1");
    }
}

/// Release 2 answers badly on `real1`, and release 3 was started on `real2` so long ago, before the jar that is asked for went away.
fn orphaned(seconds: u64) -> Host {
    usual(|h| {
        h.touch().jar = Observation::Absent;
        h.puts("real1", Life::Sick, "2");
        h.puts("real2", Life::Starting, "3");
        h.record("real2").served = false;
        h.record("real2").since = ago(seconds);
        h.spec(|s| s.health.deadline = Duration::from_secs(60));
        quiet(h, "real2");
    })
}

#[test]
fn a_candidate_whose_jar_has_gone_gives_way_when_its_deadline_is_over_and_not_before() {
    let waiting = orphaned(59);
    assert_eq!(does(&waiting), "nothing");
    assert!(waits(&waiting).contains(&Reason::Starting), "{:?}", waits(&waiting));
    assert_eq!(does(&orphaned(60)), "stop real2 (pid 9082)");
}

#[test]
fn what_is_ready_gives_way_to_no_rollback_while_nobody_can_read_what_is_asked_for() {
    let host = |reads: bool| {
        usual(|h| {
            h.puts("real2", Life::Ready, "3");
            quiet(h, "real2");
            let (away, to) = (h.id("2"), h.id("1"));
            h.ledger().person.rollback = Some(Rollback { away, to });
            if !reads {
                h.touch().jar = unknown();
            }
        })
    };
    assert_eq!(does(&host(true)), "stop real2 (pid 9082)");
    assert_eq!(does(&host(false)), "nothing", "it may be what is asked for");
}

#[test]
fn without_its_include_the_traffic_goes_where_it_was_led_last() {
    let host = usual(|h| {
        two(h);
        h.asks("3");
        h.mute();
        h.route().include = Observation::Absent;
    });
    assert_eq!(does(&host), "write the include in its flag form, leading to real1");
}
