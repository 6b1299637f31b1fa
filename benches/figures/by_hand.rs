//! Deployments without slotd: the procedure of the book's five scripts, written anew from what they do, and a plain stop and start.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::client;
use crate::support::jar::real_jar;
use crate::support::process;
use crate::support::site::Site;
use crate::support::wait::{PATIENCE, until};

/// After TERM the scripts wait this long, whatever becomes of the process.
const STOP: Duration = Duration::from_secs(5);
/// Before the first look at the new process, and between two.
const HEALTH: Duration = Duration::from_secs(10);
/// Theirs gives up after ten; on a busy machine that would be no figure at all.
const TRIES: u32 = 30;
/// For a start: on a busy machine it takes minutes, and is a figure all the same.
const START: Duration = Duration::from_secs(180);

/// Which way.
#[derive(Clone, Copy)]
pub(crate) enum ByHand {
    /// stop.sh, start.sh, health.sh, switch.sh, each of which asks profile.sh which slot is idle.
    Scripts,
    /// The one process is ended and another is started on its port.
    StopAndStart,
}

/// A host on which `real1` serves.
pub(crate) fn site(stamp: &str) -> Site {
    let site = Site::without_nginx();
    site.route_to(site.port("real1"));
    site.nginx.start();
    start(&site, stamp, "real1");
    await_start(&site);
    site
}

/// Waits until `real1` answers.
fn await_start(site: &Site) {
    let address = SocketAddr::from(([127, 0, 0, 1], site.port("real1")));
    until("the application answers", START, || client::get(address, "/profile").is_ok_and(|answer| answer.status == 200));
}

impl ByHand {
    pub(crate) fn deploy(self, site: &Site, stamp: &str) {
        match self {
            Self::Scripts => by_scripts(site, stamp),
            Self::StopAndStart => {
                stop(site, "real1");
                until("the old process is gone", PATIENCE, || site.apps().is_empty());
                start(site, stamp, "real1");
                await_start(site);
            }
        }
    }
}

fn by_scripts(site: &Site, stamp: &str) {
    if stop(site, idle(site)) {
        std::thread::sleep(STOP);
    }
    start(site, stamp, idle(site));
    let port = site.port(idle(site));
    for _ in 0..TRIES {
        std::thread::sleep(HEALTH);
        let answer = client::get(SocketAddr::from(([127, 0, 0, 1], port)), "/profile");
        if answer.is_ok_and(|answer| answer.text().contains("real")) {
            // asked once more, as switch.sh does; written in place and not tested
            site.route_to(site.port(idle(site)));
            process::signal(site.nginx.master().unwrap(), Signal::SIGHUP);
            return;
        }
    }
    panic!("the scripts gave up");
}

/// What profile.sh takes for the idle slot: any error through nginx means that `real2` serves.
fn idle(site: &Site) -> &'static str {
    let answer = client::get(site.address(), "/profile");
    let current =
        answer.map_or_else(|_| String::new(), |answer| if answer.status >= 400 { "real2".into() } else { answer.text() });
    if current == "real1" { "real2" } else { "real1" }
}

/// TERM to the application on the slot's port, if there is one. Theirs hits whoever has a connection with that port, nginx too.
fn stop(site: &Site, slot: &str) -> bool {
    let port = format!("SERVER_PORT={}", site.port(slot));
    let has_port = |pid: i32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|word| word == port.as_bytes())
    };
    let there: Vec<i32> = site.apps().into_iter().map(|app| app.pid).filter(|pid| has_port(*pid)).collect();
    for pid in &there {
        process::signal(*pid, Signal::SIGTERM);
    }
    !there.is_empty()
}

/// The jar is copied over the one that is there, and started with its output in one file.
fn start(site: &Site, stamp: &str, profile: &str) {
    let (jar, here) = (real_jar(stamp), site.path().join(format!("app-{stamp}.jar")));
    fs::copy(jar, &here).unwrap();
    site.launch_by_script(&here, profile, site.port(profile));
}
