//! A host that the scripts have left, with the real application on it, taken over by the first `apply`.

use crate::support::client;
use crate::support::jar::{real_jar, real_version};
use crate::support::load::Load;
use crate::support::manifest::Manifest;
use crate::support::site::Site;
use crate::support::wait::{PATIENCE, until};

const OLD: &str = "20261122103000";
const NEW: &str = "20261122114500";

/// The applications that a script has started, and where its include points.
fn host_with(running: &[&str], route: &str) -> Site {
    let site = Site::without_nginx();
    let port = |name: &str| if name == "real" { site.legacy_port() } else { site.port(name) };
    site.route_to(port(route));
    site.nginx.start();
    for profile in running {
        site.start_by_script(&real_jar(OLD), profile, port(profile));
    }
    site
}

/// Deploys the new version over it under load: nobody notices, and it arrives in this slot.
#[track_caller]
fn take_over(site: &Site, arrives_in: &str) {
    let load = Load::on(site.address());
    site.deploy(&Manifest::real(site, NEW));
    load.go_on(300);
    let report = load.stop();
    // the one reload that installs the flag closes idle connections
    report.assert_clean_but_for_idle_resets();
    assert!(report.answered_by(&real_version(OLD)) > 0 && report.answered_by(&real_version(NEW)) > 0, "{report}");
    let status = site.status();
    assert_eq!((status.status(), status.live_slot()), ("converged", Some(arrives_in)), "{status}");
    assert_eq!(status.live_version(), Some(real_version(NEW).as_str()), "{status}");
    assert_eq!(client::get(site.address(), "/profile").unwrap().text(), arrives_in);
    assert_eq!(site.starts(), 1, "what the scripts started is taken as it is");
}

#[test]
fn with_real1_live_the_new_version_goes_to_real2_and_real1_stays_the_warm_way_back() {
    let site = host_with(&["real1"], "real1");
    take_over(&site, "real2");
    until("real1 has drained", PATIENCE, || site.status().state_of("real1") == Some("standby"));
    assert_eq!(site.apps().len(), 2);
}

#[test]
fn with_real2_live_the_new_version_goes_to_real1() {
    let site = host_with(&["real2"], "real2");
    take_over(&site, "real1");
    assert_eq!(site.apps().len(), 2);
}

#[test]
fn with_both_running_the_idle_one_is_replaced_and_the_live_one_is_not_touched() {
    let site = host_with(&["real1", "real2"], "real2");
    let live = site.apps();
    take_over(&site, "real1");
    let now = site.apps();
    assert_eq!(now.len(), 2, "{now:?}");
    assert_eq!(now.iter().filter(|app| live.contains(app)).count(), 1, "{live:?} {now:?}");
}

#[test]
fn with_the_profile_real_on_its_old_port_the_new_version_goes_to_the_first_slot() {
    let site = host_with(&["real"], "real");
    take_over(&site, "real1");
}

#[test]
fn a_look_at_such_a_host_names_what_is_live_and_touches_nothing() {
    let site = host_with(&["real1"], "real1");
    site.desire(&Manifest::real(&site, NEW));
    let include = std::fs::read_to_string(site.nginx.include()).unwrap();
    let status = site.status();
    assert_eq!(status.live_slot(), Some("real1"), "{status}");
    site.slotd(&["plan"]).expect_code(0);
    assert_eq!((site.apps().len(), site.starts(), site.nginx.reloads()), (1, 0, 0));
    assert_eq!(std::fs::read_to_string(site.nginx.include()).unwrap(), include);
}
