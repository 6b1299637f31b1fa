//! What serves dies: the standby takes over, or it comes back by itself.

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

/// The longest that users may be without an answer while a ready standby is there.
const LONGEST_GAP: Duration = Duration::from_secs(2);

/// Version 2 is live with this much bake, version 1 is the warm standby, and a controller is there.
fn site_with_standby(bake: &str) -> (Site, Background) {
    let site = Site::new();
    let manifest = |version| Manifest::stub(&site, version).drain("300ms").set("slot_policy.bake", json!(bake));
    site.deploy(&manifest("1"));
    site.deploy(&manifest("2"));
    let run = site.spawn(&["run", "--interval", "1s"]);
    until("the controller is there", PATIENCE, || site.state().join("controller.json").exists());
    (site, run)
}

fn kill(site: &Site, slot: &str) {
    process::signal(site.status().pid_of(slot).unwrap(), Signal::SIGKILL);
}

#[test]
fn a_live_slot_killed_after_its_bake_hands_over_to_the_standby_and_comes_back() {
    let (site, run) = site_with_standby("200ms");
    let served = Instant::now();
    until("the bake is over", PATIENCE, || served.elapsed() > Duration::from_secs(1));
    let load = Load::start(site.address(), &Mix::quick());
    load.go_on(100);
    kill(&site, "real2");
    until("the standby serves", PATIENCE, || client::get(site.address(), "/version").is_ok_and(|answer| answer.version == "1"));
    site.await_converged("2");
    load.go_on(100);
    let report = load.stop();
    assert!(report.longest_gap() < LONGEST_GAP, "{report}");
    assert!(report.answered_by("1") > 0, "{report}");
    run.terminate().expect_code(0);
}

#[test]
fn a_live_slot_killed_within_its_bake_goes_back_for_good_and_its_release_is_quarantined() {
    let (site, run) = site_with_standby("60s");
    let load = Load::start(site.address(), &Mix::quick());
    load.go_on(100);
    kill(&site, "real2");
    until("the release is quarantined", PATIENCE, || site.status().holds("quarantined"));
    load.go_on(100);
    let report = load.stop();
    assert!(report.longest_gap() < LONGEST_GAP, "{report}");
    let status = site.status();
    assert_eq!((status.status(), status.live_version()), ("held", Some("1")), "{status}");
    assert_eq!(site.starts(), 2, "a release that failed its bake is not started again");
    run.terminate().expect_code(0);
}

#[test]
fn a_live_slot_that_stops_being_ready_within_its_bake_goes_back_too() {
    let site = Site::new();
    let baked = |manifest: Manifest| manifest.drain("300ms").set("slot_policy.bake", json!("60s"));
    site.desire(&baked(Manifest::stub(&site, "1")));
    let run = site.spawn(&["run", "--interval", "1s"]);
    site.await_converged("1");
    site.desire(&baked(Manifest::stub_with(&site, "2", &[("STUB_UNREADY_AFTER_MS", "5000")])));
    until("the new release serves", PATIENCE, || site.status().live_version() == Some("2"));
    until("the release is quarantined", PATIENCE, || site.status().holds("quarantined"));
    assert_eq!(site.status().live_version(), Some("1"));
    run.terminate().expect_code(0);
}

#[test]
fn both_slots_killed_it_comes_back_by_itself() {
    let (site, run) = site_with_standby("200ms");
    let served = Instant::now();
    until("the bake is over", PATIENCE, || served.elapsed() > Duration::from_secs(1));
    kill(&site, "real1");
    kill(&site, "real2");
    site.await_converged("2");
    assert_eq!(client::get(site.address(), "/version").unwrap().version, "2");
    run.terminate().expect_code(0);
}

#[test]
fn a_standby_killed_is_no_outage_and_the_next_deployment_goes_well() {
    let (site, run) = site_with_standby("200ms");
    let load = Load::start(site.address(), &Mix::quick());
    kill(&site, "real1");
    load.go_on(500);
    site.desire(&Manifest::stub(&site, "3").drain("300ms"));
    site.await_converged("3");
    load.stop().assert_clean();
    run.terminate().expect_code(0);
}

#[test]
fn without_a_controller_the_next_apply_brings_a_killed_live_slot_back() {
    let site = Site::new();
    site.deploy(&Manifest::stub(&site, "1"));
    kill(&site, "real1");
    site.slotd(&["apply"]).expect_code(0);
    assert_eq!(client::get(site.address(), "/version").unwrap().version, "1");
}

#[test]
fn nginx_that_is_down_is_waited_for_and_never_started() {
    let site = Site::new();
    site.deploy(&Manifest::stub(&site, "1"));
    site.nginx.stop();
    site.desire(&Manifest::stub(&site, "2"));
    site.slotd(&["apply", "--timeout", "3s"]).expect_code(3);
    assert!(site.status().holds("proxy_down"), "{}", site.status());
    assert_eq!(site.nginx.master(), None);
    site.nginx.start();
    site.slotd(&["apply"]).expect_code(0);
    assert_eq!(client::get(site.address(), "/version").unwrap().version, "2");
}
