//! A standby that is stopped in place: it does nothing at all, and takes the traffic again within a moment.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::client;
use crate::support::load::{Load, Mix};
use crate::support::manifest::Manifest;
use crate::support::process;
use crate::support::site::Site;
use crate::support::slotd::Background;
use crate::support::wait::{PATIENCE, until};

/// As long as users may be without an answer while a ready standby is there; a frozen one is no slower.
const LONGEST_GAP: Duration = Duration::from_secs(2);

/// Version 2 is live, version 1 is frozen, and a controller is there. With the real application where `real` says so.
fn site(make: impl Fn(&Site, &str) -> Manifest) -> (Site, Background) {
    let site = Site::new();
    let manifest = |version| frozen(make(&site, version));
    site.deploy(&manifest("1"));
    site.deploy(&manifest("2"));
    let run = site.spawn(&["run", "--interval", "1s"]);
    await_frozen(&site, "real1");
    (site, run)
}

fn frozen(manifest: Manifest) -> Manifest {
    manifest.drain("300ms").set("slot_policy.bake", json!("200ms")).set("slot_policy.standby", json!("frozen"))
}

fn await_frozen(site: &Site, slot: &str) {
    until("the standby is frozen", PATIENCE, || site.status().state_of(slot) == Some("frozen"));
}

/// State and clock ticks of CPU (user and system) of a process (fields 3, 14 and 15 of `/proc/PID/stat`).
fn stat(pid: i32) -> (char, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = text.rsplit_once(") ").unwrap().1.split_ascii_whitespace().collect();
    (fields[0].chars().next().unwrap(), fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap())
}

#[test]
fn a_frozen_real_application_does_nothing_and_serves_again_after_a_rollback_under_load() {
    let (site, run) = site(Manifest::real);
    let old = site.status().pid_of("real1").unwrap();
    let before = stat(old);
    assert_eq!(before.0, 'T');
    let load = Load::start(site.address(), &Mix::quick());
    load.go_on(300);
    assert_eq!(stat(old), before, "it uses no CPU");
    assert_eq!(site.status().rollback(), Some("frozen"), "{}", site.status());
    let code = site.slotd(&["rollback", "webservice"]).code;
    assert_eq!(code, Some(0), "{}", site.status());
    load.go_on(300);
    load.stop().assert_clean();
    let status = site.status();
    assert_eq!((status.live_slot(), status.live_pid()), (Some("real1"), Some(old)), "{status}");
    await_frozen(&site, "real2");
    run.terminate().expect_code(0);
}

#[test]
fn a_frozen_standby_takes_over_from_a_killed_live_slot_and_is_frozen_again() {
    let (site, run) = site(Manifest::stub);
    let load = Load::start(site.address(), &Mix::quick());
    load.go_on(100);
    process::signal(site.status().pid_of("real2").unwrap(), Signal::SIGKILL);
    until("the standby serves", PATIENCE, || client::get(site.address(), "/version").is_ok_and(|answer| answer.version == "1"));
    site.await_converged("2");
    load.go_on(100);
    let report = load.stop();
    assert!(report.longest_gap() < LONGEST_GAP && report.answered_by("1") > 0, "{report}");
    await_frozen(&site, "real1");
    run.terminate().expect_code(0);
}

#[test]
fn a_frozen_standby_ends_at_the_word_of_the_next_deployment_and_of_down() {
    let (site, run) = site(Manifest::stub);
    let old = site.status().pid_of("real1").unwrap();
    let begun = Instant::now();
    site.desire(&frozen(Manifest::stub(&site, "3")));
    site.await_converged("3");
    // TERM was heard: nothing had to be killed after launch.stop_timeout (40 s).
    assert!(!process::is_alive(old) && begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    await_frozen(&site, "real2");
    run.terminate().expect_code(0);
    site.slotd(&["down", "webservice"]).expect_code(0);
    until("everything has ended", PATIENCE, || site.apps().is_empty());
}
