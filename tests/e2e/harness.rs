//! The harness itself: a load that cannot fail would prove nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::client::{self, Broken, Connection, head};
use crate::support::jar::{stub_binary, stub_jar};
use crate::support::load::{Load, Mix};
use crate::support::process::{self, MARK};
use crate::support::report::Kind;
use crate::support::site::{Site, await_profile};
use crate::support::wait::{PATIENCE, eventually, until};

/// Starts the stub without slotd.
fn start_stub(site: &Site, jar: &Path, profile: &str) -> Child {
    let mut stub = Command::new(stub_binary());
    stub.arg(format!("-Dspring.profiles.active={profile}")).arg("-jar").arg(jar).env(MARK, site.path());
    stub.env("SERVER_PORT", site.port(profile).to_string()).stdout(Stdio::null()).spawn().unwrap()
}

/// A site whose include was written by hand, with this version in `real1`.
fn site_with_stub(version: &str, orders: &[(&str, &str)]) -> (Site, Child) {
    let site = Site::without_nginx();
    site.route_to(site.port("real1"));
    site.nginx.start();
    let stub = start_stub(&site, &stub_jar(site.path(), version, orders), "real1");
    (site, stub)
}

fn exit_of(stub: &mut Child) -> ExitStatus {
    eventually("the stub ends", PATIENCE, || stub.try_wait().unwrap())
}

/// Wakes up again and again, as a client does between two requests, and notes how late it comes.
struct Metronome {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Metronome {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !stopped.load(Ordering::Relaxed) {
                let asleep = Instant::now();
                thread::sleep(Duration::from_millis(5));
                longest = longest.max(asleep.elapsed());
            }
            longest
        });
        Self { stop, thread }
    }

    fn longest_stall(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

#[test]
fn a_load_on_a_site_that_is_left_alone_is_clean_and_of_every_kind() {
    let (site, mut stub) = site_with_stub("1", &[]);
    await_profile("real1", site.port("real1"));
    let (load, metronome) = (Load::on(site.address()), Metronome::start());
    load.go_on(2000);
    let (report, stalled) = (load.stop(), metronome.longest_stall());
    report.assert_clean();
    report.assert_each_kind_answered();
    assert_eq!(report.answered_by("1"), report.total());
    // a machine with more to do than it can keeps the clients waiting too: that is no gap of the site's
    assert!(report.longest_gap() < stalled * 4 + Duration::from_millis(500), "stalled for {stalled:?}; {report}");
    process::signal(i32::try_from(stub.id()).unwrap(), Signal::SIGKILL);
    exit_of(&mut stub);
}

#[test]
fn a_load_counts_failures_and_the_gap_when_the_application_is_killed() {
    let (site, mut stub) = site_with_stub("1", &[]);
    await_profile("real1", site.port("real1"));
    let load = Load::on(site.address());
    stub.kill().unwrap();
    stub.wait().unwrap();
    let dead = Instant::now();
    until("the gap is half a second", PATIENCE, || dead.elapsed() > Duration::from_millis(500));
    let mut again = start_stub(&site, &stub_jar(site.path(), "2", &[]), "real1");
    load.go_on(200);
    let report = load.stop();
    assert!(report.failed() > 10, "{report}");
    assert!(report.longest_gap() > Duration::from_millis(500), "{report}");
    assert!(report.answered_by("1") > 0 && report.answered_by("2") > 0, "{report}");
    assert_eq!(report.stale(dead, "1"), 0, "{report}");
    again.kill().unwrap();
    again.wait().unwrap();
}

#[test]
fn a_load_finds_answers_of_a_version_that_should_be_gone() {
    let (site, mut stub) = site_with_stub("1", &[]);
    await_profile("real1", site.port("real1"));
    let (load, supposed_cutover) = (Load::start(site.address(), &Mix::quick()), Instant::now());
    load.go_on(100);
    let report = load.stop();
    assert!(report.stale(supposed_cutover, "1") >= 100, "{report}");
    assert_eq!(report.good(Kind::Upload), 0);
    stub.kill().unwrap();
    stub.wait().unwrap();
}

#[test]
fn a_cutover_by_a_flag_made_by_hand_is_seen_and_is_no_failure() {
    let site = Site::without_nginx();
    let flag = site.path().join("real2.flag");
    let (first, second, flag_name) = (site.port("real1"), site.port("real2"), flag.display());
    let choice = format!(
        "open_file_cache off;\nset $service_url http://127.0.0.1:{first};\n\
         if (-f \"{flag_name}\") {{ set $service_url http://127.0.0.1:{second}; }}\n"
    );
    std::fs::write(site.nginx.include(), choice).unwrap();
    site.nginx.start();
    let mut stubs =
        [("1", "real1"), ("2", "real2")].map(|(version, slot)| start_stub(&site, &stub_jar(site.path(), version, &[]), slot));
    for slot in ["real1", "real2"] {
        await_profile(slot, site.port(slot));
    }
    let load = Load::on(site.address());
    std::fs::write(&flag, "").unwrap();
    let cutover = Instant::now();
    load.go_on(3000);
    let report = load.stop();
    report.assert_clean();
    report.assert_each_kind_answered();
    assert_eq!(report.stale(cutover, "1"), 0, "{report}");
    assert!(report.answered_by("1") > 0 && report.answered_by("2") > 0, "{report}");
    for stub in &mut stubs {
        stub.kill().unwrap();
        stub.wait().unwrap();
    }
}

#[test]
fn a_load_ends_by_itself_at_its_bound() {
    let (site, mut stub) = site_with_stub("1", &[]);
    await_profile("real1", site.port("real1"));
    let load = Load::start(site.address(), &Mix { most_requests: 3, ..Mix::quick() });
    assert_eq!(load.finish().total(), 15);
    stub.kill().unwrap();
    stub.wait().unwrap();
}

/// Answers one request, and closes without having said that it would.
fn close_after_one(listener: &TcpListener, answer: &[u8]) {
    let (mut stream, _) = listener.accept().unwrap();
    let _count = stream.read(&mut [0; 4096]).unwrap();
    stream.write_all(answer).unwrap();
}

#[test]
fn a_reused_connection_that_ends_without_a_byte_is_told_from_one_that_breaks() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let request = head("GET", "/", "keep-alive", None);
    let server = thread::spawn(move || {
        close_after_one(&listener, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        close_after_one(&listener, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort");
        close_after_one(&listener, b"");
    });
    let mut connection = Connection::to(address);
    let mut ask = || connection.exchange(&[&request], Duration::ZERO).map(|answer| answer.text());
    assert_eq!(ask(), Ok("ok".to_owned()));
    assert_eq!(ask(), Err(Broken::IdleReset));
    assert_eq!(ask(), Err(Broken::Truncated));
    assert_eq!(ask(), Err(Broken::Reset));
    server.join().unwrap();
    assert_eq!(ask(), Err(Broken::Refused));
}

#[test]
fn a_stub_jar_is_a_jar() {
    let folder = tempfile::tempdir().unwrap();
    let jar = stub_jar(folder.path(), "1", &[("STUB_START_MS", "7")]);
    let listed = Command::new("jar").arg("tf").arg(jar).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "META-INF/MANIFEST.MF\nversion.txt\n");
    assert!(listed.status.success());
}

#[test]
fn a_stub_finishes_what_it_has_on_term_and_exits_as_a_jvm_does() {
    let (site, mut stub) = site_with_stub("1", &[]);
    await_profile("real1", site.port("real1"));
    let address = site.address();
    let slow = thread::spawn(move || client::get(address, "/slow?ms=700"));
    let direct = SocketAddr::from(([127, 0, 0, 1], site.port("real1")));
    client::get(direct, "/slow?ms=100").unwrap(); // by now the slow one has long been under way
    process::signal(i32::try_from(stub.id()).unwrap(), Signal::SIGTERM);
    assert_eq!(exit_of(&mut stub).code(), Some(143));
    assert_eq!(slow.join().unwrap().map(|answer| answer.status), Ok(200));
    assert_eq!(client::get(direct, "/profile").unwrap_err(), Broken::Refused);
}

#[test]
fn a_stub_fails_as_its_jar_orders() {
    for order in ["STUB_EXIT_ON_START", "STUB_BIND_ERROR"] {
        let (_site, mut stub) = site_with_stub("1", &[(order, "1")]);
        assert_eq!(exit_of(&mut stub).code(), Some(1), "{order}");
    }
    let (_site, mut stub) = site_with_stub("1", &[("STUB_EXIT_AFTER_MS", "100")]);
    assert_eq!(exit_of(&mut stub).code(), Some(1));
    for (order, value, status, body) in [("STUB_NEVER_READY", "1", 503, "not ready"), ("STUB_IDENTITY", "other", 200, "other")] {
        let (site, mut stub) = site_with_stub("1", &[(order, value)]);
        let answer =
            eventually("an answer", PATIENCE, || client::get(site.address(), "/profile").ok().filter(|a| !a.slot.is_empty()));
        assert_eq!((answer.status, answer.text()), (status, body.to_owned()), "{order}");
        stub.kill().unwrap();
        stub.wait().unwrap();
    }
}

#[test]
fn a_stub_leaves_a_child_that_holds_its_port_and_the_site_ends_both() {
    let (site, mut stub) = site_with_stub("1", &[("STUB_FORK_CHILD_HOLDING_LISTENER", "1")]);
    let port = site.port("real1");
    await_profile("real1", port);
    let family = process::of_site(site.path().to_str().unwrap());
    assert_eq!(family.len(), 2, "{family:?}");
    process::signal(i32::try_from(stub.id()).unwrap(), Signal::SIGTERM);
    assert_eq!(exit_of(&mut stub).code(), Some(143));
    assert!(!crate::support::port::is_free(port), "the child does not hold the port");
    assert_eq!(site.apps(), []);
    let master = site.nginx.master().unwrap();
    drop(site);
    until("nothing is left", PATIENCE, || !process::is_alive(master) && family.iter().all(|left| !process::is_alive(left.pid)));
}

#[test]
fn the_real_application_answers_all_that_the_load_asks() {
    let site = Site::without_nginx();
    site.route_to(site.port("real2"));
    site.nginx.start();
    site.start_by_script(&crate::support::jar::real_jar("20261122103000"), "real2", site.port("real2"));
    let load = Load::on(site.address());
    load.go_on(1000);
    let report = load.stop();
    report.assert_clean();
    report.assert_each_kind_answered();
    assert_eq!(report.answered_by("1.0.1-SNAPSHOT-20261122103000"), report.total(), "{report}");
}
