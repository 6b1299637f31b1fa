//! What a person decides: it ends with 0 only where it is so, and needs no manifest that is whole.

use std::fs;

use serde_json::Value;

use crate::support::client;
use crate::support::load::Load;
use crate::support::manifest::Manifest;
use crate::support::site::Site;
use crate::support::slotd::Ended;

/// What a verb prints for programs.
#[track_caller]
fn document(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended}"))
}

fn outcome(ended: &Ended) -> (Option<i32>, String, Option<String>) {
    let document = document(ended);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    (ended.code, text(&document["outcome"]).unwrap_or_default(), text(&document["decided"][0]["missing"]))
}

fn stopped(site: &Site, version: &str, orders: &[(&str, &str)]) -> Manifest {
    let manifest = Manifest::stub_with(site, version, orders).drain("200ms");
    manifest.set("slot_policy.standby", "stopped".into()).set("launch.stop_timeout", "20s".into())
}

#[test]
fn a_rollback_that_runs_out_of_time_is_held_and_says_what_serves_instead() {
    let site = Site::new();
    site.deploy(&stopped(&site, "1", &[("STUB_START_MS", "4000")]));
    site.deploy(&stopped(&site, "2", &[]));
    let late = site.slotd(&["rollback", "webservice", "--timeout", "500ms", "-o", "json"]);
    let (code, outcome, missing) = outcome(&late);
    assert_eq!((code, outcome.as_str(), missing.as_deref()), (Some(3), "held", Some("1 does not serve yet, 2 does")), "{late}");
    let said = site.slotd(&["rollback", "webservice", "--timeout", "0s"]).expect_code(3).stdout;
    assert!(said.contains("webservice: not done: 1 does not serve yet, 2 does"), "{said}");
    site.slotd(&["rollback", "webservice", "--timeout", "60s"]).expect_code(0);
    assert_eq!(client::get(site.address(), "/version").unwrap().version, "1");
}

#[test]
fn a_restart_or_a_promotion_that_runs_out_of_time_is_held_and_says_so() {
    let site = Site::new();
    let manual = |version| {
        let manifest = stopped(&site, version, &[("STUB_START_MS", "4000")]);
        manifest.set("slot_policy.promote", "manual".into())
    };
    site.deploy(&manual("1"));
    let late = site.slotd(&["restart", "webservice", "--timeout", "500ms", "-o", "json"]);
    let (code, word, missing) = outcome(&late);
    assert_eq!((code, word.as_str()), (Some(3), "held"), "{late}");
    assert!(missing.is_some_and(|why| why.starts_with("process ") && why.ends_with(" still serves")), "{late}");
    site.slotd(&["apply"]).expect_code(0);
    site.desire(&manual("2"));
    site.slotd(&["apply", "--timeout", "0s"]).expect_code(3);
    let late = site.slotd(&["promote", "webservice", "--timeout", "500ms", "-o", "json"]);
    let (code, word, missing) = outcome(&late);
    let expected = (Some(3), "held", Some("2 does not serve yet, 1 does"));
    assert_eq!((code, word.as_str(), missing.as_deref()), expected, "{late}");
    site.slotd(&["promote", "webservice"]).expect_code(0);
    assert_eq!(site.status().live_version(), Some("2"));
}

#[test]
fn a_service_is_down_only_when_nothing_of_it_runs() {
    let site = Site::new();
    site.deploy(&stopped(&site, "1", &[("STUB_HANG_ON_TERM", "1")]).set("launch.stop_timeout", "2s".into()));
    let late = site.slotd(&["down", "webservice", "--timeout", "300ms", "-o", "json"]);
    let (code, word, missing) = outcome(&late);
    assert_eq!((code, word.as_str()), (Some(3), "held"), "{late}");
    assert!(missing.is_some_and(|why| why.starts_with("process ") && why.ends_with(" still runs on real1")), "{late}");
    let done = site.slotd(&["down", "webservice", "-o", "json"]);
    assert_eq!(outcome(&done), (Some(0), "done".to_owned(), None), "{done}");
    assert_eq!(site.apps(), []);
}

#[test]
fn an_orphan_that_goes_down_is_forgotten_and_that_is_what_was_asked_for() {
    let site = Site::new();
    let manifest = stopped(&site, "1", &[]);
    site.deploy(&manifest);
    fs::write(site.manifest(), manifest.yaml().replace("webservice:", "another:")).unwrap();
    site.slotd(&["down", "webservice"]).expect_code(0);
    assert_eq!((site.apps(), site.state().join("services/webservice").exists()), (vec![], false));
}

#[test]
fn a_typo_in_the_manifest_keeps_nobody_from_going_back_under_load() {
    let site = Site::new();
    site.deploy(&Manifest::stub(&site, "1"));
    let second = Manifest::stub(&site, "2");
    site.deploy(&second);
    fs::write(site.manifest(), second.yaml().replace("slot_policy:", "slot_polcy:")).unwrap();
    site.slotd(&["apply"]).expect_code(4);
    let load = Load::on(site.address());
    let back = site.slotd(&["rollback", "webservice"]).expect_code(0);
    assert!(back.stderr.starts_with(&format!("warning: {}:", site.manifest().display())), "{back}");
    load.go_on(500);
    load.stop().assert_clean();
    let status = site.slotd(&["status"]).expect_code(0);
    assert!(status.stdout.contains("1 live on real1") && status.stderr.contains("slot_polcy"), "{status}");
    fs::remove_file(site.manifest()).unwrap();
    site.slotd(&["down", "webservice"]).expect_code(0);
    assert_eq!(site.apps(), []);
}
