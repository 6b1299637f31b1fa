//! kill -9 at any moment: the next run finishes what is true, and nobody outside noticed.

use std::time::{Duration, Instant};

use crate::support::load::{Load, Mix};
use crate::support::manifest::Manifest;
use crate::support::process;
use crate::support::site::Site;
use crate::support::wait::until;

/// Moments of one deployment at which slotd is killed.
const MOMENTS: u32 = 12;

fn manifest(site: &Site, number: u32) -> Manifest {
    Manifest::stub(site, &number.to_string()).drain("300ms")
}

/// Runs `apply` again after it was killed, and insists on the end state.
#[track_caller]
fn converge(site: &Site, number: u32) {
    site.slotd(&["apply"]).expect_code(0);
    let (status, version) = (site.status(), number.to_string());
    assert_eq!((status.status(), status.live_version()), ("converged", Some(version.as_str())), "{status}");
    assert_at_most_one_process_a_slot(site);
}

#[track_caller]
fn assert_at_most_one_process_a_slot(site: &Site) {
    let apps = site.apps();
    for slot in ["real1", "real2"] {
        assert!(apps.iter().filter(|app| app.slot.as_deref() == Some(slot)).count() <= 1, "{apps:?}");
    }
    assert!(apps.len() <= 2, "{apps:?}");
}

/// How long one deployment takes here, undisturbed.
fn usual_time(site: &Site) -> Duration {
    site.deploy(&manifest(site, 1));
    let begun = Instant::now();
    site.deploy(&manifest(site, 2));
    begun.elapsed()
}

#[test]
fn killed_at_a_dozen_moments_the_next_apply_finishes_and_no_request_fails() {
    let site = Site::new();
    let usual = usual_time(&site);
    let load = Load::start(site.address(), &Mix::quick());
    for moment in 0..MOMENTS {
        site.desire(&manifest(&site, 3 + moment));
        let (apply, begun) = (site.spawn(&["apply"]), Instant::now());
        until("the moment", Duration::from_secs(60), || {
            assert_at_most_one_process_a_slot(&site);
            begun.elapsed() >= usual * moment / MOMENTS
        });
        apply.kill_9();
        converge(&site, 3 + moment);
    }
    load.stop().assert_clean();
}

/// Calls that change what others see: a file takes its place or goes away, a process gets a signal. Not every machine has all.
const VISIBLE: &str = "?rename,?renameat,?renameat2,?linkat,?symlinkat,?unlink,?unlinkat,?fsync,?pidfd_send_signal";

#[test]
fn killed_at_each_call_that_others_can_see_the_next_apply_finishes_and_no_request_fails() {
    let site = Site::new();
    site.deploy(&manifest(&site, 1));
    let load = Load::start(site.address(), &Mix::quick());
    for call in 1..=MOMENTS {
        site.desire(&manifest(&site, 1 + call));
        let inject = format!("inject={VISIBLE}:signal=KILL:when={call}");
        // the main thread alone is traced: a slot's process must not be
        site.trace(&["-qq", "-o", "/dev/null", "-e", &inject], &["apply"]).wait(Duration::from_secs(120));
        converge(&site, 1 + call);
    }
    load.stop().assert_clean();
}

#[test]
fn killed_while_a_candidate_starts_the_next_apply_goes_on_with_that_process() {
    let site = Site::new();
    site.deploy(&manifest(&site, 1));
    site.desire(&Manifest::stub_with(&site, "2", &[("STUB_START_MS", "2500")]));
    let apply = site.spawn(&["apply"]);
    // before that it is in the group that is killed here, and would end with it
    let on_its_own = || site.apps().iter().filter(|app| process::leads_a_session(app.pid)).count();
    until("the candidate is there, in a session of its own", Duration::from_secs(30), || on_its_own() == 2);
    let before = site.apps();
    apply.kill_9();
    site.slotd(&["apply"]).expect_code(0);
    assert_eq!(site.status().live_version(), Some("2"));
    assert_eq!((site.apps(), site.starts()), (before, 2));
}

#[test]
fn what_serves_outlives_a_controller_that_is_killed_or_told_to_end() {
    let site = Site::new();
    site.desire(&manifest(&site, 1));
    let first = site.spawn(&["run", "--interval", "1s"]);
    site.await_converged("1");
    let pid = site.status().live_pid().unwrap();
    first.kill_9();
    let second = site.spawn(&["run", "--interval", "1s"]);
    site.desire(&manifest(&site, 2));
    site.await_converged("2");
    second.terminate().expect_code(0);
    assert!(process::is_alive(pid) && process::is_alive(site.status().live_pid().unwrap()));
    assert_eq!(site.apps().len(), 2);
}
