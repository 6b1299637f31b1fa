//! How a JVM is started: from unpacked jars where that is safe, and never otherwise than it was asked for.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use crate::support::client::{self, Connection, head};
use crate::support::jar::real_version;
use crate::support::manifest::Manifest;
use crate::support::process;
use crate::support::site::Site;

const OLD: &str = "20261122103000";

/// The word behind `-jar` on the command line of the live process.
fn live_jar(site: &Site) -> String {
    let words = process::command_line(site.status().live_pid().expect("something is live"));
    let at = words.iter().position(|word| word == "-jar").unwrap_or_else(|| panic!("no -jar: {words:?}"));
    words[at + 1].clone()
}

fn post(address: SocketAddr, path: &str, body: &[u8]) -> client::Answer {
    let request = [&head("POST", path, "close", Some(body.len())), body].concat();
    Connection::to(address).exchange(&[&request], Duration::ZERO).unwrap()
}

#[test]
fn a_new_release_is_started_unpacked_and_every_controller_of_it_answers() {
    let site = Site::new();
    site.desire(&Manifest::real(&site, OLD));
    let plan = site.slotd(&["plan"]).expect_code(0).stdout;
    assert!(plan.contains("unpack 1.0.1") && plan.contains("(port ") && plan.contains("), unpacked"), "{plan}");
    site.slotd(&["apply"]).expect_code(0);
    assert!(live_jar(&site).ends_with("/unpacked/app.jar"), "{}", live_jar(&site));
    let get = |path: &str| client::get(site.address(), path).unwrap();
    assert_eq!(get("/profile").text(), "real1");
    // by Implementation-Version of the manifest and by META-INF/build-info.properties, both at the root of the built jar
    assert_eq!((get("/version").version.as_str(), get("/").status), (real_version(OLD).as_str(), 200));
    assert!(get("/").text().contains(&real_version(OLD)));
    assert_eq!(get("/slow?ms=1").status, 200);
    assert_eq!(post(site.address(), "/echo", b"echo").body, b"echo");
    assert!(post(site.address(), "/upload", b"abc").text().contains("\"bytes\":3"));
    let notes = site.slotd(&["status"]).expect_code(0).stdout;
    assert!(!notes.contains("launch.boot"), "nothing is less than was asked for: {notes}");
}

#[test]
fn another_boot_restarts_nothing_and_counts_from_the_next_start() {
    let site = Site::new();
    let manifest = |boot: &str| Manifest::real(&site, OLD).set("launch.boot", json!(boot)).drain("200ms");
    site.deploy(&manifest("jar"));
    assert!(live_jar(&site).ends_with("/app.jar") && !live_jar(&site).contains("unpacked"));
    site.deploy(&manifest("extracted"));
    assert_eq!(site.starts(), 1, "another boot is no other release");
    site.slotd(&["restart", "webservice"]).expect_code(0);
    site.slotd(&["apply"]).expect_code(0);
    assert_eq!((site.starts(), site.status().live_slot()), (2, Some("real2")));
    assert!(live_jar(&site).ends_with("/unpacked/app.jar"));
}

#[test]
fn a_jar_that_is_not_understood_is_started_by_java_jar_and_plan_and_status_say_why() {
    let site = Site::new();
    site.desire(&Manifest::stub(&site, "1"));
    let why = "launch.boot is auto, and 1 is started by java -jar: its Main-Class is stub.Launcher";
    let plan = site.slotd(&["plan"]).expect_code(0).stdout;
    assert!(plan.contains(why) && !plan.contains("unpack "), "{plan}");
    site.slotd(&["apply"]).expect_code(0);
    assert!(!live_jar(&site).contains("unpacked"));
    let status = site.slotd(&["status"]).expect_code(0).stdout;
    assert!(status.contains(why), "{status}");
}

#[test]
fn an_unpacked_jar_that_somebody_changed_is_unpacked_again_before_the_next_start() {
    let site = Site::new();
    site.deploy(&Manifest::real(&site, OLD));
    let unpacked = live_jar(&site);
    let lib = std::path::Path::new(&unpacked).with_file_name("lib");
    let victim = std::fs::read_dir(&lib).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&victim).unwrap();
    site.deploy(&Manifest::real(&site, OLD).env("ANOTHER", "release").drain("200ms"));
    assert!(victim.exists() && live_jar(&site) == unpacked);
    assert_eq!(client::get(site.address(), "/profile").unwrap().text(), "real2");
}
