//! Pools of kept connections between nginx and the slots: nothing is lost, and none that is idle holds up a drain.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::client;
use crate::support::load::Load;
use crate::support::manifest::Manifest;
use crate::support::site::Site;
use crate::support::wait::{PATIENCE, until};

/// Longer than anything here takes but a drain that waits for its deadline.
const DEADLINE: Duration = Duration::from_secs(60);

fn pooled(site: &Site, version: &str) -> Manifest {
    let manifest = Manifest::stub(site, version).set("proxy.upstream", json!("pool")).drain("1s");
    let manifest = manifest.set("slot_policy.drain_deadline", json!(format!("{}s", DEADLINE.as_secs())));
    manifest.set("slot_policy.standby", json!("stopped"))
}

/// Connections that nginx has with a slot (`/proc/net/tcp`, proc(5): the remote end is the third word, and 01 is ESTABLISHED).
fn open(site: &Site, slot: &str) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let end = format!("0100007F:{:04X}", site.port(slot));
    table.lines().filter(|line| line.split_whitespace().skip(2).take(2).eq([end.as_str(), "01"])).count()
}

#[test]
fn a_deployment_over_pools_fails_no_request_and_idle_connections_do_not_hold_up_the_drain() {
    let site = Site::pooled();
    site.deploy(&pooled(&site, "1"));
    until("nginx has closed what was idle", PATIENCE, || open(&site, "real1") == 0);
    assert_eq!(client::get(site.address(), "/version").unwrap().version, "1");
    assert_eq!(open(&site, "real1"), 1, "nginx keeps the connection when the request is over");
    let load = Load::on(site.address());
    site.desire(&pooled(&site, "2"));
    let (began, apply) = (Instant::now(), site.spawn(&["apply"]));
    until("the new release is live", PATIENCE, || site.status().live_version() == Some("2"));
    apply.wait(DEADLINE).expect_code(0);
    assert!(began.elapsed() < DEADLINE / 2, "the drain waited for {:?}", began.elapsed());
    load.go_on(1000);
    let report = load.stop();
    report.assert_clean();
    report.assert_each_kind_answered();
    assert!(report.answered_by("1") > 0 && report.answered_by("2") > 0, "{report}");
    assert_eq!((site.apps().len(), site.nginx.reloads()), (1, 1), "the old slot has been stopped, and nothing reloaded");
    let history = site.slotd(&["history"]).expect_code(0).stdout;
    assert!(!history.contains("not_clean"), "{history}");
}

/// It is silent both ways for longer than nginx keeps an idle connection, beside others that are idle.
#[test]
fn a_request_that_takes_long_holds_up_the_drain_over_a_pool_and_gets_its_answer() {
    let site = Site::pooled();
    site.deploy(&pooled(&site, "1"));
    until("nginx has closed what was idle", PATIENCE, || open(&site, "real1") == 0);
    let (address, took) = (site.address(), Duration::from_secs(9));
    let slow = std::thread::spawn(move || (client::get(address, &format!("/slow?ms={}", took.as_millis())), Instant::now()));
    until("it is under way", PATIENCE, || open(&site, "real1") == 1);
    let begun = Instant::now();
    assert_eq!(client::get(address, "/version").unwrap().version, "1");
    site.deploy(&pooled(&site, "2"));
    let ended = Instant::now();
    let (answer, answered) = slow.join().unwrap();
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.version.as_str()), (200, "1"));
    assert!(ended > answered, "the deployment has waited for it");
    assert!(ended - begun < DEADLINE / 2, "and for nothing else: {:?}", ended - begun);
    assert_eq!(site.apps().len(), 1);
}

#[test]
fn a_host_goes_over_to_pools_and_back_under_load_without_a_start() {
    let site = Site::pooled();
    let address = Manifest::stub(&site, "1");
    site.deploy(&address);
    let load = Load::on(site.address());
    for upstream in ["pool", "address", "pool"] {
        site.deploy(&address.clone().set("proxy.upstream", json!(upstream)));
        load.go_on(200);
    }
    load.stop().assert_clean_but_for_idle_resets();
    assert_eq!((site.starts(), site.nginx.reloads()), (1, 4));
}

#[test]
fn pools_that_nginx_does_not_take_in_hold_the_deployment_and_the_route_stays() {
    let site = Site::new();
    site.deploy(&Manifest::stub(&site, "1"));
    site.desire(&pooled(&site, "2"));
    let held = site.slotd(&["apply", "--timeout", "3s"]).expect_code(3);
    let said = format!("{}{}", held.stdout, held.stderr);
    assert!(said.contains("flag_unfit") && said.contains("service-url.inc.pool.conf;` into the http block"), "{said}");
    assert_eq!(client::get(site.address(), "/version").unwrap().version, "1");
    assert!(!site.nginx.include().with_extension("inc.pool.conf").exists());
}
