//! "Address already in use", in its eight kinds: what slotd says, what it does about it, and how long it takes to know.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::jar::real_jar;
use crate::support::manifest::Manifest;
use crate::support::port::{bound, is_free, outgoing};
use crate::support::process;
use crate::support::site::Site;
use crate::support::wait::{PATIENCE, until};

/// One table of all of them.
pub(crate) fn conflicts() {
    println!("| the port is held by | what slotd says | what it does | decided after |\n| --- | --- | --- | --- |");
    stranger("a stranger on 127.0.0.1", |port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    stranger("a stranger on `[::]`", |port| TcpListener::bind(("::", port)).unwrap());
    stranger("a socket bound and not listening", bound);
    stranger("an outgoing connection", outgoing);
    leftover_of_ours();
    orphan_of_the_scripts();
    inherited_by_a_child();
    stolen_before_the_bind();
}

/// Version 1 is live in `real1`; `real2` is free, and version 2 is asked for.
fn site() -> Site {
    let site = Site::new();
    site.deploy(&Manifest::stub(&site, "1").drain("300ms"));
    site.desire(&Manifest::stub(&site, "2").drain("300ms"));
    site
}

fn stranger<T>(kind: &str, hold: impl FnOnce(u16) -> T) {
    let site = site();
    let _holder = hold(site.port("real2"));
    decided(kind, &site);
}

/// Prints what a dry run says, and times an `apply` until it has decided the same.
fn decided(kind: &str, site: &Site) {
    let said = site.slotd(&["plan", "-o", "json"]).expect_code(0).stdout;
    let began = Instant::now();
    let apply = site.spawn(&["-v", "apply", "--timeout", "60s"]);
    until("it has decided", PATIENCE, || ["reason=port_taken", "step=\"stop\""].iter().any(|word| apply.said().contains(word)));
    row(kind, &serde_json::from_str(&said).unwrap(), began.elapsed());
}

fn row(kind: &str, document: &Value, took: Duration) {
    let service = &document["services"][0];
    let all = |list: &str| service[list].as_array().cloned().unwrap_or_default();
    let find = |list: &str, key: &str, value: &str| all(list).into_iter().find(|entry| entry[key] == value);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let taken = find("holds", "reason", "port_taken").or_else(|| find("ahead", "reason", "port_taken"));
    let (said, done) = match (taken, find("steps", "kind", "stop")) {
        (Some(hold), _) => {
            (text(&hold["detail"]), "waits until the port is free; nothing is started, nobody is signalled".to_owned())
        }
        (None, Some(stop)) => (text(&stop["why"]), text(&stop["does"])),
        (None, None) => panic!("{kind}: neither a hold nor a stop in {document:#}"),
    };
    println!("| {kind} | {said} | {done} | {} ms |", took.as_millis());
    assert!(took < Duration::from_secs(1), "{kind}: {took:?}");
}

/// An `apply` was killed while its candidate started, and the manifest asks for another release now.
fn leftover_of_ours() {
    let site = site();
    let apply = site.spawn(&["apply"]);
    // once it listens it is in a session of its own: before, it would die with the group of the killed `apply`
    until("the candidate listens", PATIENCE, || !is_free(site.port("real2")));
    apply.kill_9();
    site.desire(&Manifest::stub(&site, "3").drain("300ms"));
    decided("a leftover of ours", &site);
}

/// `start.sh` has started both slots; `real1` is live.
fn orphan_of_the_scripts() {
    let site = Site::without_nginx();
    site.route_to(site.port("real1"));
    site.nginx.start();
    for slot in ["real1", "real2"] {
        site.start_by_script(&real_jar("20261122103000"), slot, site.port(slot));
    }
    // What was found is given its drain before it is stopped: that is waited for, and not what is measured.
    site.desire(&Manifest::real(&site, "20261122114500").drain("300ms"));
    decided("an orphan of the same application, started by the scripts", &site);
}

/// The standby's process was killed, and a child of it still has its listening socket. The drain of the cutover before is long over,
/// as it is when such a child is met.
fn inherited_by_a_child() {
    let site = Site::new();
    let drained = |manifest: Manifest| manifest.drain("300ms").set("slot_policy.drain_deadline", json!("1s"));
    site.deploy(&drained(Manifest::stub_with(&site, "1", &[("STUB_FORK_CHILD_HOLDING_LISTENER", "1")])));
    site.deploy(&drained(Manifest::stub(&site, "2")));
    let cutover = Instant::now();
    process::signal(site.status().pid_of("real1").unwrap(), Signal::SIGKILL);
    until("the parent is gone and the drain is over", PATIENCE, || {
        site.apps().len() == 1 && cutover.elapsed() > Duration::from_secs(1)
    });
    site.desire(&drained(Manifest::stub(&site, "3")));
    decided("a listening descriptor that a child has inherited", &site);
}

/// Somebody binds the port between the look and the candidate's own bind: timed from the candidate's end.
fn stolen_before_the_bind() {
    let site = site();
    site.desire(&Manifest::stub_with(&site, "2", &[("STUB_START_MS", "1500")]).drain("300ms"));
    let apply = site.spawn(&["apply", "--timeout", "60s"]);
    until("the candidate is there", PATIENCE, || site.apps().len() == 2);
    let _thief = TcpListener::bind(("127.0.0.1", site.port("real2"))).unwrap();
    until("the candidate has failed", PATIENCE, || site.apps().len() == 1);
    decided("somebody who came between the look and the bind", &site);
    drop(apply);
}
