//! How a JVM is started: from unpacked jars where that is safe, and never otherwise than it was asked for.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::support::client::{self, Connection, head};
use crate::support::jar::real_version;
use crate::support::manifest::{Manifest, temporary};
use crate::support::process;
use crate::support::site::Site;
use crate::support::wait::until;

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
fn a_war_is_started_as_it_was_built_and_keeps_its_pages() {
    let site = Site::new();
    site.deploy(&Manifest::war(&site, OLD).set("launch.boot", json!("auto")));
    let get = |path: &str| client::get(site.address(), path).unwrap();
    assert_eq!((get("/profile").text(), get("/version").version), ("real1".to_owned(), real_version(OLD)));
    assert_eq!((get("/page.html").status, get("/page.html").text()), (200, "a page of the war".to_owned()));
    assert!(live_jar(&site).ends_with("/app.war"), "{}", live_jar(&site));
    let notes = site.slotd(&["status"]).expect_code(0).stdout;
    assert!(notes.contains("started by java -jar: it is a war"), "{notes}");
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
    let lib = Path::new(&unpacked).with_file_name("lib");
    let victim = fs::read_dir(&lib).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&victim).unwrap();
    site.deploy(&Manifest::real(&site, OLD).env("ANOTHER", "release").drain("200ms"));
    assert!(victim.exists() && live_jar(&site) == unpacked);
    assert_eq!(client::get(site.address(), "/profile").unwrap().text(), "real2");
}

/// The nice values of the threads that the optimizing compiler of a JVM has (field 19 of `stat`, proc(5)).
fn compilers(pid: i32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let lines = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("stat")).ok());
    let compilers = lines.filter(|line| line.contains("(C2 Compiler"));
    compilers.map(|line| line.rsplit_once(')').unwrap().1.split_whitespace().nth(19 - 3).unwrap().to_owned()).collect()
}

/// Whether a nice value can be taken back here, which is not so in every container.
fn may_give_back() -> bool {
    let tried = std::process::Command::new("sh").args(["-c", "renice 1 -p $$ && renice 0 -p $$"]).output();
    tried.unwrap().status.success()
}

#[test]
fn the_optimizing_compiler_of_a_new_release_gives_way_until_traffic_comes() {
    let site = Site::new();
    let release = |number: &str| Manifest::real(&site, OLD).env("NUMBER", number);
    site.deploy(&release("1"));
    let old = site.status().live_pid().unwrap();
    site.desire(&release("2"));
    let apply = site.spawn(&["apply"]);
    let held_back = if may_give_back() { "19" } else { "0" };
    until("the compiler of the other slot gives way", Duration::from_secs(60), || {
        let others = site.apps().into_iter().map(|app| app.pid).filter(|pid| *pid != old);
        let all: Vec<_> = others.flat_map(compilers).collect();
        !all.is_empty() && all.iter().all(|nice| nice == held_back)
    });
    apply.wait(Duration::from_secs(120)).expect_code(0);
    let new = site.status().live_pid().unwrap();
    assert_ne!(new, old);
    for pid in [old, new] {
        let all = compilers(pid);
        assert!(!all.is_empty() && all.iter().all(|nice| nice == "0"), "{all:?}");
    }
}

/// The archives beside the only jar of the site, by their endings.
fn archives(site: &Site, ending: &str) -> Vec<PathBuf> {
    let jars = fs::read_dir(site.state().join("artifacts")).unwrap();
    let folders = jars.filter_map(|entry| fs::read_dir(entry.unwrap().path().join("archives")).ok());
    let files = folders.flatten().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
}

/// Deploys, and lets a later `apply` train the archive; gives it.
fn trained(site: &Site, manifest: &Manifest, ending: &str) -> PathBuf {
    site.deploy(manifest);
    until("an archive is trained", Duration::from_secs(150), || {
        // Does nothing until bake has passed, then begins the training, then has nothing to do.
        site.slotd(&["apply"]).expect_code(0);
        !archives(site, "stamp").is_empty()
    });
    assert_eq!(site.starts(), 1, "a training is no start of a slot");
    archives(site, ending).pop().expect("it has its ending")
}

/// The same release on the other slot; the command line of what serves then.
fn restarted(site: &Site) -> String {
    site.slotd(&["restart", "webservice"]).expect_code(0);
    site.slotd(&["apply"]).expect_code(0);
    process::command_line(site.status().live_pid().unwrap()).join(" ")
}

fn cds(site: &Site) -> Manifest {
    // A log of the JVM says where each class came from.
    let classes = format!("-Xlog:class+load:file={}/classes-{{slot}}.log", site.path().display());
    Manifest::real(site, OLD)
        .set("launch.boot", json!("cds"))
        .set("launch.jvm_args", json!([temporary(site), classes]))
        .drain("200ms")
}

#[test]
fn an_archive_is_trained_after_a_deployment_and_the_next_start_uses_it() {
    let site = Site::new();
    let archive = trained(&site, &cds(&site), "jsa");
    let command = restarted(&site);
    assert!(command.contains(&format!("-XX:SharedArchiveFile={}", archive.display())), "{command}");
    assert!(command.contains("/unpacked/app.jar"), "{command}");
    assert_eq!(client::get(site.address(), "/profile").unwrap().text(), "real2");
    assert_eq!(client::get(site.address(), "/version").unwrap().version, real_version(OLD));
    let classes = fs::read_to_string(site.path().join("classes-real2.log")).unwrap();
    let own =
        classes.lines().filter(|line| line.contains("org.springframework.") && line.contains("shared objects file")).count();
    assert!(own > 1000, "only {own} classes of Spring came out of the archive");
}

#[test]
fn a_damaged_archive_is_not_used_and_trained_again() {
    let site = Site::new();
    let archive = trained(&site, &cds(&site), "jsa");
    // A JVM that maps this is killed by a bus error.
    fs::set_permissions(&archive, fs::Permissions::from_mode(0o644)).unwrap();
    fs::OpenOptions::new().write(true).open(&archive).unwrap().set_len(3_000_000).unwrap();
    let command = restarted(&site);
    assert!(!command.contains("SharedArchiveFile") && command.contains("/unpacked/app.jar"), "{command}");
    assert_eq!(client::get(site.address(), "/profile").unwrap().text(), "real2");
    until("it is trained again", Duration::from_secs(150), || {
        site.slotd(&["apply"]).expect_code(0);
        fs::metadata(&archive).is_ok_and(|meta| meta.len() > 10_000_000)
    });
}

#[test]
fn a_training_that_fails_is_noted_once_and_what_serves_is_left_alone() {
    let site = Site::new();
    let manifest = Manifest::real(&site, OLD).set("launch.boot", json!("cds")).drain("200ms");
    site.deploy(&manifest);
    let pid = site.status().live_pid();
    // It bounds a training too, and none is as fast as this.
    site.desire(&manifest.set("health.deadline", json!("300ms")));
    until("the failure is noted", Duration::from_secs(60), || {
        let said = site.slotd(&["apply"]).expect_code(0).stdout;
        said.contains("is started without an archive: its training did not come to an end in time")
    });
    let noted = |site: &Site| {
        archives(site, "failed").iter().map(|path| fs::metadata(path).unwrap().modified().unwrap()).collect::<Vec<_>>()
    };
    let before = noted(&site);
    site.slotd(&["apply"]).expect_code(0);
    assert_eq!((noted(&site), site.status().live_pid(), site.starts()), (before, pid, 1));
    assert_eq!((archives(&site, "jsa").len(), site.apps().len()), (0, 1), "nothing of it is left");
}

/// A runtime with an ahead-of-time cache, where one is installed.
fn newest_java() -> Option<PathBuf> {
    let homes = fs::read_dir("/usr/lib/jvm").ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let feature = |home: &PathBuf| -> Option<u32> {
        let release = fs::read_to_string(home.join("release")).ok()?;
        let version = release.lines().find_map(|line| line.strip_prefix("JAVA_VERSION=\"")).map(str::to_owned)?;
        version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    homes.filter(|home| feature(home).is_some_and(|feature| feature >= 24)).map(|home| home.join("bin/java")).next()
}

#[test]
fn a_jvm_with_an_ahead_of_time_cache_gets_one() {
    let Some(java) = newest_java() else { return };
    let site = Site::new();
    let manifest = cds(&site).set("launch.java", json!(java));
    let archive = trained(&site, &manifest, "aot");
    let command = restarted(&site);
    assert!(command.contains(&format!("-XX:AOTCache={}", archive.display())), "{command}");
    assert_eq!(client::get(site.address(), "/profile").unwrap().text(), "real2");
}
