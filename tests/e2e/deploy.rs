//! The main job: a first deployment, and another one under load.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use crate::support::client;
use crate::support::load::{Load, Mix};
use crate::support::manifest::Manifest;
use crate::support::report::{Kind, Report};
use crate::support::site::Site;
use crate::support::wait::until;

/// Deploys over what serves, with a load on it, and tells when `apply` had ended.
fn deploy_under_load(site: &Site, manifest: &Manifest) -> (Report, Instant) {
    let load = Load::on(site.address());
    site.deploy(manifest);
    let ended = Instant::now();
    load.go_on(1000);
    // longer than the drain, so that whatever is wrongly stopped after it is seen
    until("the drain is over", Duration::from_secs(30), || ended.elapsed() > Duration::from_secs(4));
    (load.stop(), ended)
}

fn first_and_second_deployment(cutover: &str) -> (Site, Report, Instant) {
    let site = Site::new();
    site.deploy(&Manifest::stub(&site, "1").cutover(cutover));
    assert_eq!(client::get(site.address(), "/version").unwrap().version, "1");
    let (report, ended) = deploy_under_load(&site, &Manifest::stub(&site, "2").cutover(cutover));
    report.assert_each_kind_answered();
    assert!(report.answered_by("1") > 0 && report.answered_by("2") > 0, "{report}");
    (site, report, ended)
}

#[test]
fn a_first_deployment_goes_to_the_first_slot_and_is_served() {
    let site = Site::new();
    site.deploy(&Manifest::stub(&site, "1"));
    let status = site.status();
    assert_eq!((status.status(), status.live_slot(), status.live_version()), ("converged", Some("real1"), Some("1")), "{status}");
    assert_eq!(client::get(site.address(), "/profile").unwrap().text(), "real1");
    assert_eq!((site.apps().len(), site.starts()), (1, 1));
}

#[test]
fn a_second_deployment_by_flag_fails_no_request_and_reloads_nothing() {
    let (site, report, ended) = first_and_second_deployment("flag");
    report.assert_clean();
    assert_eq!(report.stale(ended, "1"), 0, "{report}");
    assert_eq!(site.nginx.reloads(), 1, "the one reload is that of the first deployment");
    let status = site.status();
    assert_eq!(
        (status.live_slot(), status.state_of("real1"), status.rollback()),
        (Some("real2"), Some("standby"), Some("warm")),
        "{status}"
    );
}

#[test]
fn a_second_deployment_by_reload_fails_no_request_but_idle_connections_and_reloads_once() {
    let (site, report, _) = first_and_second_deployment("reload");
    report.assert_clean_but_for_idle_resets();
    assert_eq!(site.nginx.reloads(), 2, "one reload for each deployment");
    assert_eq!(site.status().live_slot(), Some("real2"));
}

#[test]
fn a_third_deployment_takes_the_slot_of_the_first_and_stops_it_cleanly_under_load() {
    let site = Site::new();
    site.deploy(&Manifest::stub(&site, "1"));
    site.deploy(&Manifest::stub(&site, "2"));
    let (report, ended) = deploy_under_load(&site, &Manifest::stub(&site, "3"));
    report.assert_clean();
    assert_eq!((report.stale(ended, "2"), report.answered_by("1")), (0, 0), "{report}");
    assert_eq!((site.status().live_slot(), site.apps().len(), site.starts()), (Some("real1"), 2, 3));
}

#[test]
fn a_standby_that_is_to_be_stopped_is_stopped_after_the_drain_and_no_upload_is_lost() {
    let site = Site::new();
    let stopped = |version| Manifest::stub(&site, version).set("slot_policy.standby", json!("stopped"));
    site.deploy(&stopped("1"));
    let (report, ended) = deploy_under_load(&site, &stopped("2"));
    report.assert_clean();
    assert_eq!(report.stale(ended, "1"), 0, "{report}");
    until("the old slot is empty", Duration::from_secs(30), || site.apps().len() == 1);
    assert_eq!(client::get(site.address(), "/version").unwrap().version, "2");
}

/// nginx buffers an upload and connects when it has the whole body: one that began before a cutover still comes to the old slot.
#[test]
fn uploads_of_ten_seconds_outlive_three_cutovers_that_stop_the_old_slot() {
    let site = Site::new();
    let stopped = |version: u32| {
        let manifest = Manifest::stub(&site, &version.to_string()).set("slot_policy.standby", json!("stopped"));
        manifest.set("slot_policy.drain_deadline", json!("60s")).drain("13s")
    };
    site.deploy(&stopped(1));
    // different lengths, so that a cutover meets uploads at their beginning, in their middle and at their end
    let loads = [400, 440, 480, 520].map(|pause| Load::start(site.address(), &Mix::uploads(3, Duration::from_millis(pause))));
    for version in 2..=4 {
        site.deploy(&stopped(version));
        assert_eq!(site.apps().len(), 1, "the old slot is stopped when its deployment ends");
    }
    let reports = loads.map(Load::stop);
    reports.iter().for_each(Report::assert_clean);
    let good: usize = reports.iter().map(|report| report.good(Kind::Upload)).sum();
    assert!(good >= 36, "only {good} uploads over three cutovers");
    let history = site.slotd(&["history"]).expect_code(0).stdout;
    assert!(!history.contains("not_clean"), "{history}");
}

/// The last change of a file or a folder.
fn changed(path: &Path) -> SystemTime {
    fs::metadata(path).and_then(|metadata| metadata.modified()).unwrap()
}

/// Between the candidate's last word before it answers (the stub says that it listens, and nothing more until TERM) and the cutover,
/// which is a change of the folder of flags: both instants are the file system's, and nobody has to ask in between.
fn from_listening_to_cutover(site: &Site) -> Duration {
    let logs = fs::read_dir(site.state().join("services/webservice/logs")).unwrap().map(|entry| entry.unwrap().path());
    let slot = site.status().live_slot().expect("something is live").to_owned();
    let of_live = logs.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(&slot));
    let listened = of_live.map(|path| changed(&path)).max().expect("a log");
    let flags = format!("{}.live", site.nginx.include().display());
    changed(Path::new(&flags)).duration_since(listened).unwrap()
}

/// A busy machine adds to each of them, and to the least of them least; what slotd itself adds is in all of them.
#[test]
fn what_slotd_adds_to_the_first_good_answer_is_the_answers_it_waits_for_and_a_moment() {
    let site = Site::new();
    let manifest = |version: u32| {
        let manifest = Manifest::stub(&site, &version.to_string()).drain("200ms");
        manifest.set("health.interval", json!("400ms")).set("health.successes", json!(3))
    };
    site.deploy(&manifest(1));
    let added: Vec<_> = (2..=6)
        .map(|version| {
            site.deploy(&manifest(version));
            from_listening_to_cutover(&site)
        })
        .collect();
    let (needed, least) = (Duration::from_millis(2 * 400), *added.iter().min().unwrap());
    assert!(least <= needed + Duration::from_millis(150), "{added:?}");
    // ten milliseconds are the file system's clock
    assert!(least + Duration::from_millis(10) >= needed, "fewer than three answers: {added:?}");
}

/// Inode, size and time of last change of a file or folder and all below it.
fn fingerprint(path: &Path) -> Vec<String> {
    let metadata = fs::symlink_metadata(path).unwrap();
    let own = (metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec());
    let mut all = vec![format!("{} {own:?}", path.display())];
    if metadata.is_dir() {
        let mut below: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        below.sort();
        all.extend(below.iter().filter(|path| !path.ends_with("logs")).flat_map(|path| fingerprint(path)));
    }
    all
}

#[test]
fn a_second_apply_of_the_same_manifest_writes_nothing_and_signals_nobody() {
    for cutover in ["flag", "reload"] {
        let site = Site::new();
        site.deploy(&Manifest::stub(&site, "1").cutover(cutover));
        site.deploy(&Manifest::stub(&site, "2").cutover(cutover).drain("200ms"));
        let seen = || {
            let folders = [site.state(), site.nginx.include().parent().unwrap().to_owned()];
            (folders.iter().flat_map(|folder| fingerprint(folder)).collect::<Vec<_>>(), site.apps(), site.nginx.reloads())
        };
        site.slotd(&["apply"]).expect_code(0); // notes the end of the drain, if there is anything to note
        let before = seen();
        site.slotd(&["apply"]).expect_code(0);
        assert_eq!(seen(), before, "{cutover}");
    }
}

#[test]
fn a_plan_touches_nothing_and_says_by_its_exit_code_that_there_is_something_to_do() {
    let site = Site::new();
    site.desire(&Manifest::stub(&site, "1"));
    let include = fs::read_to_string(site.nginx.include()).unwrap();
    site.slotd(&["plan", "--detailed-exitcode"]).expect_code(2);
    assert_eq!((site.apps().len(), site.nginx.reloads()), (0, 0));
    assert_eq!(fs::read_to_string(site.nginx.include()).unwrap(), include);
    site.slotd(&["apply"]).expect_code(0);
    site.slotd(&["plan", "--detailed-exitcode"]).expect_code(0);
}

#[test]
fn a_rollback_under_load_goes_back_to_the_warm_standby_and_starts_nothing() {
    let site = Site::new();
    site.deploy(&Manifest::stub(&site, "1"));
    site.deploy(&Manifest::stub(&site, "2"));
    let load = Load::on(site.address());
    let code = site.slotd(&["rollback", "webservice"]).code;
    assert!(matches!(code, Some(0 | 3)), "done, or held because the manifest asks for another release: {code:?}");
    let ended = Instant::now();
    load.go_on(500);
    let report = load.stop();
    report.assert_clean();
    assert_eq!(report.stale(ended, "2"), 0, "{report}");
    let status = site.status();
    assert_eq!((status.live_version(), status.holds("rolled_back"), site.starts()), (Some("1"), true, 2), "{status}");
}

#[test]
fn another_environment_variable_is_another_release_and_another_health_setting_is_not() {
    let site = Site::new();
    let manifest = Manifest::stub(&site, "1").drain("300ms");
    site.deploy(&manifest);
    site.deploy(&manifest.clone().set("health.successes", json!(3)));
    assert_eq!(site.starts(), 1);
    site.deploy(&manifest.env("GREETING", "hello"));
    assert_eq!((site.status().live_slot(), site.starts()), (Some("real2"), 2));
}

#[test]
fn a_release_that_never_becomes_ready_is_quarantined_and_what_serves_is_left_alone() {
    for order in ["STUB_NEVER_READY", "STUB_EXIT_ON_START", "STUB_NO_PORT", "STUB_IDENTITY"] {
        let site = Site::new();
        site.deploy(&Manifest::stub(&site, "1"));
        let (pid, load) = (site.status().live_pid(), Load::on(site.address()));
        let bad = Manifest::stub_with(&site, "2", &[(order, "1")]);
        site.desire(&bad.set("health.deadline", json!("1500ms")).set("slot_policy.max_attempts", json!(2)));
        site.slotd(&["apply"]).expect_code(3);
        let report = load.stop();
        report.assert_clean();
        assert_eq!(report.answered_by("2"), 0, "{order}: {report}");
        let status = site.status();
        assert_eq!(
            (status.live_version(), status.live_pid(), status.holds("quarantined")),
            (Some("1"), pid, true),
            "{order}: {status}"
        );
        assert_eq!((site.starts(), site.nginx.reloads()), (3, 1), "{order}");
    }
}

#[test]
fn the_real_application_is_deployed_twice_under_load_and_fails_no_request() {
    let site = Site::new();
    site.deploy(&Manifest::real(&site, "20261122103000"));
    let (report, ended) = deploy_under_load(&site, &Manifest::real(&site, "20261122114500"));
    report.assert_clean();
    report.assert_each_kind_answered();
    assert_eq!(report.stale(ended, "1.0.1-SNAPSHOT-20261122103000"), 0, "{report}");
    assert_eq!(site.status().live_version(), Some("1.0.1-SNAPSHOT-20261122114500"));
}
