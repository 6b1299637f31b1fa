//! "Address already in use", in its eight kinds: who holds the idle slot's port decides what is done about it.
//!
//! | the port is held by | what is done |
//! | --- | --- |
//! | a stranger who listens on 127.0.0.1, on every address, or on 127.0.0.2 | nothing is started, nobody is signalled; goes on when he leaves |
//! | a stranger who has bound it and does not listen | the same |
//! | a stranger's outgoing connection | the same |
//! | our own earlier process | it is stopped |
//! | a child of our own earlier process | it is stopped |
//! | somebody who came between the look and the start | the start fails, and is tried again when he has left |

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::load::{Load, Mix};
use crate::support::manifest::Manifest;
use crate::support::port::{bound, is_free, outgoing};
use crate::support::process::{self, Process};
use crate::support::site::Site;
use crate::support::wait::{PATIENCE, until};

/// Version 1 is live in `real1`; `real2` is free.
fn site_with_idle_slot() -> Site {
    let site = Site::new();
    site.deploy(&Manifest::stub(&site, "1").drain("300ms"));
    site
}

/// With the holder there nothing happens; when he has gone, an `apply` that was waiting goes on by itself.
fn a_stranger_is_waited_for<T>(hold: impl FnOnce(u16) -> T) {
    let site = site_with_idle_slot();
    let load = Load::start(site.address(), &Mix::quick());
    let holder = hold(site.port("real2"));
    site.desire(&Manifest::stub(&site, "2").drain("300ms"));
    site.slotd(&["apply", "--timeout", "1s"]).expect_code(3);
    assert!(site.status().holds("port_taken"), "{}", site.status());
    assert_eq!(site.starts(), 1, "a start that cannot bind is not tried");
    let mut waiting = site.spawn(&["apply", "--timeout", "60s"]);
    assert!(waiting.is_running());
    drop(holder);
    waiting.wait(PATIENCE).expect_code(0);
    assert_eq!((site.status().live_version(), site.starts()), (Some("2"), 2));
    load.stop().assert_clean();
}

#[test]
fn a_stranger_listening_on_the_loopback_address_is_waited_for() {
    a_stranger_is_waited_for(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
}

#[test]
fn a_stranger_listening_on_every_address_is_waited_for() {
    a_stranger_is_waited_for(|port| TcpListener::bind(("::", port)).unwrap());
}

#[test]
fn a_stranger_listening_on_another_loopback_address_is_waited_for() {
    a_stranger_is_waited_for(|port| TcpListener::bind(("127.0.0.2", port)).unwrap());
}

#[test]
fn a_stranger_who_has_bound_and_does_not_listen_is_waited_for() {
    a_stranger_is_waited_for(bound);
}

#[test]
fn an_outgoing_connection_that_uses_the_port_is_waited_for() {
    a_stranger_is_waited_for(outgoing);
}

/// Version 1 in `real1`, with these orders, has become the standby of version 2; its processes.
fn site_with_our_own_in_the_way(orders: &[(&str, &str)]) -> (Site, Vec<Process>) {
    let site = Site::new();
    site.deploy(&Manifest::stub_with(&site, "1", orders).drain("300ms"));
    let old = process::of_site(site.path().to_str().unwrap());
    site.deploy(&Manifest::stub(&site, "2").drain("300ms"));
    (site, old)
}

#[test]
fn our_own_earlier_process_is_stopped() {
    let (site, old) = site_with_our_own_in_the_way(&[]);
    let load = Load::start(site.address(), &Mix::quick());
    site.deploy(&Manifest::stub(&site, "3").drain("300ms"));
    load.stop().assert_clean();
    assert!(old.len() == 1 && old.iter().all(|process| !process::is_alive(process.pid)), "{old:?}");
    assert_eq!((site.status().live_slot(), site.apps().len()), (Some("real1"), 2));
}

#[test]
fn a_child_of_our_own_that_holds_the_port_is_stopped_with_it() {
    let (site, old) = site_with_our_own_in_the_way(&[("STUB_FORK_CHILD_HOLDING_LISTENER", "1")]);
    let load = Load::start(site.address(), &Mix::quick());
    site.deploy(&Manifest::stub(&site, "3").drain("300ms"));
    load.stop().assert_clean();
    assert!(old.len() == 2 && old.iter().all(|process| !process::is_alive(process.pid)), "{old:?}");
    assert_eq!(site.status().live_slot(), Some("real1"));
}

#[test]
fn a_candidate_that_a_killed_apply_has_left_is_stopped_for_another_release() {
    let site = site_with_idle_slot();
    site.desire(&Manifest::stub(&site, "2").drain("300ms"));
    let killed = site.spawn(&["apply"]);
    // once it listens it is in a session of its own: before, it would die with the group of the killed `apply`
    until("the candidate listens", PATIENCE, || !is_free(site.port("real2")));
    killed.kill_9();
    site.desire(&Manifest::stub(&site, "3").drain("300ms"));
    site.slotd(&["plan"]).expect_code(0); // the candidate is ready meanwhile
    let apply = site.spawn(&["-v", "apply"]);
    until("it is stopped", Duration::from_secs(20), || apply.said().contains("step=\"stop\""));
    apply.wait(PATIENCE).expect_code(0);
}

#[test]
fn a_process_that_accepts_and_never_answers_holds_up_no_decision_for_its_timeout() {
    let (site, old) = site_with_our_own_in_the_way(&[("STUB_FORK_CHILD_HOLDING_LISTENER", "1")]);
    let parent = site.status().pid_of("real1").unwrap();
    process::signal(parent, Signal::SIGKILL);
    until("the parent is gone", PATIENCE, || !process::is_alive(parent));
    assert_eq!(old.iter().filter(|process| process::is_alive(process.pid)).count(), 1, "the child has the socket");
    site.desire(&Manifest::stub(&site, "3").drain("300ms").set("health.timeout", json!("50s")));
    let apply = site.spawn(&["-v", "apply"]);
    until("it is stopped", Duration::from_secs(20), || apply.said().contains("step=\"stop\""));
    apply.wait(PATIENCE).expect_code(0);
}

#[test]
fn somebody_who_came_between_the_look_and_the_start_is_waited_for_without_losing_the_release() {
    let site = site_with_idle_slot();
    let load = Load::start(site.address(), &Mix::quick());
    site.desire(&Manifest::stub_with(&site, "2", &[("STUB_START_MS", "1500")]).drain("300ms"));
    let apply = site.spawn(&["apply", "--timeout", "60s"]);
    until("the candidate is there", PATIENCE, || site.apps().len() == 2);
    let thief = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], site.port("real2")))).unwrap();
    until("the candidate has failed", PATIENCE, || site.apps().len() == 1);
    until("slotd says why", Duration::from_secs(10), || site.status().holds("port_taken"));
    drop(thief);
    apply.wait(PATIENCE).expect_code(0);
    assert_eq!(site.status().live_version(), Some("2"));
    load.stop().assert_clean();
}
