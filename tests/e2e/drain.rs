//! What a draining slot still has: named while it holds up the drain, counted where the deadline cuts it.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::client;
use crate::support::manifest::Manifest;
use crate::support::process;
use crate::support::site::Site;
use crate::support::socket::Socket;
use crate::support::wait::{PATIENCE, until};

/// Longer than a connection has to be open to be named, and than a JVM needs for its last words.
const DEADLINE: &str = "12s";

fn connections(site: &Site) -> Value {
    let status: Value = serde_json::from_str(&site.slotd(&["status", "-o", "json"]).expect_code(0).stdout).unwrap();
    status["services"][0]["slots"][0]["connections"].clone()
}

fn history(site: &Site) -> Vec<Value> {
    let history: Value = serde_json::from_str(&site.slotd(&["history", "-o", "json"]).expect_code(0).stdout).unwrap();
    history["services"][0]["deployments"].as_array().unwrap().clone()
}

/// The sample, real nginx, a real WebSocket. It is used all the time, so the kernel knows nothing of its age: that comes from the
/// cutover. The events are one answer that lasts.
#[test]
fn a_websocket_and_events_that_hold_up_a_drain_are_named_and_counted_when_the_deadline_cuts_them() {
    let site = Site::new();
    let manifest = |stamp| {
        let manifest = Manifest::real(&site, stamp).set("slot_policy.standby", json!("stopped")).drain("1s");
        manifest.set("slot_policy.drain_deadline", json!(DEADLINE)).set("launch.stop_timeout", json!("2s"))
    };
    site.deploy(&manifest("20261122103001"));
    let mut socket = Socket::open(site.address()).unwrap();
    assert_eq!(socket.echo("before").unwrap()[0], "real1");
    let address = site.address();
    let events = std::thread::spawn(move || client::get(address, "/events?count=600&ms=500").map(|answer| answer.body.len()));
    site.desire(&manifest("20261122103002"));
    let mut apply = site.spawn(&["apply"]);

    // the look before and the one that applies ask the slot too: for a moment their questions are open as well
    let (mut named, mut said) = (Value::Null, String::new());
    until("both are named, and nothing else", Duration::from_secs(60), || {
        let echo = socket.echo("still there").unwrap_or_else(|broken| panic!("{broken:?}: {named}\n{said}"));
        assert_eq!(echo[0], "real1");
        named = connections(&site);
        said = site.slotd(&["status"]).expect_code(0).stdout;
        let both = named["open"] == 2 && named["long"].as_array().is_some_and(|long| long.len() == 2);
        both && said.contains("real1 has 2 connections open") && said.contains("nginx worker ")
    });
    let workers = site.nginx.workers();
    for one in named["long"].as_array().unwrap() {
        assert!(workers.iter().any(|pid| one["worker"] == *pid), "{named:#}, and nginx has the workers {workers:?}");
        assert!(one["open_ms"].as_u64() >= Some(5000) && one["silent_ms"].as_u64() < Some(5000), "{named:#}");
    }

    until("the drain has come to its deadline", PATIENCE, || !apply.is_running());
    assert!(socket.echo("and now").is_err(), "it was to be cut");
    // nginx may end it cleanly, as it does not know how long it was to be: it is too short all the same
    let whole = 600 * "data: 1 from real1".len();
    assert!(!events.join().unwrap().is_ok_and(|length| length >= whole), "the events were to be cut");
    let lines = history(&site);
    let cut = &lines.iter().find(|line| line["outcome"] == "not_clean").unwrap_or_else(|| panic!("{lines:#?}"))["cut"];
    // seen first in the look behind the cutover, and last in the one at the deadline
    assert!(cut["connections"] == 2 && cut["oldest_ms"].as_u64().is_some_and(|ms| (11_000..60_000).contains(&ms)), "{cut}");
}

/// It is asked whether it is ready while it drains, and never answers: its own connections with slotd must not keep it.
#[test]
fn an_old_slot_that_hangs_is_drained_long_before_the_deadline() {
    let site = Site::new();
    let manifest = |version| {
        let manifest = Manifest::stub(&site, version).set("slot_policy.standby", json!("stopped"));
        manifest.set("slot_policy.drain_deadline", json!("60s")).set("health.timeout", json!("300ms"))
    };
    let manifest = |version| manifest(version).set("launch.stop_timeout", json!("1s"));
    site.deploy(&manifest("1"));
    let old = site.status().live_pid().unwrap();
    site.desire(&manifest("2"));
    let (began, apply) = (Instant::now(), site.spawn(&["apply"]));
    until("the new release is live", PATIENCE, || site.status().live_version() == Some("2"));
    process::signal(old, Signal::SIGSTOP);
    apply.wait(Duration::from_secs(50)).expect_code(0);
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    assert!(history(&site).iter().all(|line| line["outcome"] == "deployed"), "{:#?}", history(&site));
}
