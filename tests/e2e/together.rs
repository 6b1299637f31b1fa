//! Several of us at once, and a manifest that changes its mind.

use std::time::Duration;

use crate::support::load::{Load, Mix};
use crate::support::manifest::Manifest;
use crate::support::site::Site;
use crate::support::wait::until;

/// The longest that a call may take.
const LONGEST: Duration = Duration::from_secs(120);

#[test]
fn two_apply_at_once_make_one_deployment() {
    let site = Site::new();
    site.deploy(&Manifest::stub(&site, "1"));
    let load = Load::on(site.address());
    site.desire(&Manifest::stub(&site, "2"));
    let both = [site.spawn(&["apply"]), site.spawn(&["apply"])];
    let codes = both.map(|apply| apply.wait(LONGEST).code);
    assert!(codes.contains(&Some(0)) && codes.iter().all(|code| matches!(code, Some(0 | 5))), "{codes:?}");
    load.stop().assert_clean();
    let status = site.status();
    assert_eq!((status.status(), status.live_version(), site.starts()), ("converged", Some("2"), 2), "{status}");
}

#[test]
fn apply_beside_a_controller_makes_one_deployment_and_ends_well() {
    let site = Site::new();
    site.desire(&Manifest::stub(&site, "1"));
    let mut run = site.spawn(&["run", "--interval", "1s"]);
    site.await_converged("1");
    let load = Load::on(site.address());
    site.deploy(&Manifest::stub(&site, "2"));
    load.stop().assert_clean();
    assert_eq!((site.status().live_version(), site.starts()), (Some("2"), 2));
    assert!(run.is_running());
    run.terminate().expect_code(0);
}

#[test]
fn apply_of_another_manifest_beside_a_controller_is_refused() {
    let site = Site::new();
    site.desire(&Manifest::stub(&site, "1"));
    let run = site.spawn(&["run"]);
    site.await_converged("1");
    let other = site.path().join("other.yaml");
    std::fs::write(&other, Manifest::stub(&site, "2").yaml()).unwrap();
    site.slotd(&["apply", "-f", other.to_str().unwrap()]).expect_code(4);
    assert_eq!((site.status().live_version(), site.starts()), (Some("1"), 1));
    run.terminate().expect_code(0);
}

#[test]
fn a_manifest_that_changes_while_its_candidate_starts_never_serves_the_superseded_release() {
    let site = Site::new();
    site.desire(&Manifest::stub(&site, "1"));
    let run = site.spawn(&["run", "--interval", "1s"]);
    site.await_converged("1");
    let load = Load::start(site.address(), &Mix::quick());
    site.desire(&Manifest::stub_with(&site, "2", &[("STUB_START_MS", "4000")]));
    until("the candidate is there", LONGEST, || site.apps().len() == 2);
    site.desire(&Manifest::stub(&site, "3"));
    site.await_converged("3");
    let report = load.stop();
    report.assert_clean();
    assert_eq!(report.answered_by("2"), 0, "{report}");
    run.terminate().expect_code(0);
}

#[test]
fn a_manifest_that_goes_back_while_its_candidate_starts_leaves_what_serves_alone() {
    let site = Site::new();
    let first = Manifest::stub(&site, "1");
    site.desire(&first);
    let run = site.spawn(&["run", "--interval", "1s"]);
    site.await_converged("1");
    let (pid, load) = (site.status().live_pid(), Load::start(site.address(), &Mix::quick()));
    site.desire(&Manifest::stub_with(&site, "2", &[("STUB_START_MS", "4000")]));
    until("the candidate is there", LONGEST, || site.apps().len() == 2);
    site.desire(&first);
    site.await_converged("1");
    let report = load.stop();
    report.assert_clean();
    assert_eq!((report.answered_by("2"), site.status().live_pid()), (0, pid), "{report}");
    run.terminate().expect_code(0);
}
