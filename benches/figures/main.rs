//! The figures of the README, measured on this machine against a real nginx and the real sample application.
//!
//! `cargo bench --bench figures -- start deployments reload cutovers uploads rollback failover conflicts cost pool compare pictures`;
//! without a name: all of them. An idle machine, please. `SLOTD_CUTOVERS` (of `cutovers`, `uploads` and `rollback`), `SLOTD_ROUNDS`,
//! `SLOTD_MINUTES` and `SLOTD_WAYS` (of `compare`) ask for less. `SLOTD_NGINX` names another nginx than the one in PATH, `SLOTD_NGINX_HTTP`
//! directives for its http block.
#![expect(clippy::disallowed_methods, reason = "what stands outside slotd touches the machine by itself")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that goes wrong ends by panicking, and says where")]
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

#[expect(dead_code, reason = "the tests use all of it")]
#[path = "../../tests/e2e/support/mod.rs"]
mod support;

mod by_hand;
mod compare;
mod conflicts;
mod cost;
mod cutovers;
mod fleet;
mod moves;
mod pictures;
mod pool;
mod record;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use record::Spread;
use support::client;
use support::load::{Load, Mix};
use support::manifest::{Manifest, temporary};
use support::process;
use support::report::{Kind, Report};
use support::site::Site;
use support::slotd::Background;
use support::wait::{PATIENCE, until};

/// Pairs of a deployment and a plain start.
const PAIRS: u32 = 7;

/// Deployments in a row under load.
const DEPLOYMENTS: u32 = 10;

/// Live processes killed.
const KILLS: u32 = 20;

fn main() {
    if !std::env::args().any(|a| a == "--bench") {
        return; // `cargo test --all-targets` starts every target; only `cargo bench` asks for figures
    }
    record::begin();
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let all: [(&str, fn()); 12] = [
        ("start", start),
        ("deployments", deployments),
        ("reload", reload),
        ("cutovers", cutovers::cutovers),
        ("uploads", cutovers::uploads),
        ("rollback", cutovers::rollback),
        ("failover", failover),
        ("conflicts", conflicts::conflicts),
        ("cost", cost::cost),
        ("pool", pool::pool),
        ("compare", compare::compare),
        ("pictures", record::draw),
    ];
    for (name, measure) in all {
        if asked.is_empty() || asked.iter().any(|a| a == name) {
            println!("\n# {name}");
            measure();
        }
    }
}

/// Stamps that no other run has built a jar for would cost a build each, so a few are used again and again.
fn stamp(number: u32) -> String {
    format!("2026112210300{}", number % 3)
}

/// A copy of a release's jar with a comment behind it, which changes its digest and nothing else: it is read, stored and unpacked anew, as
/// a release of the day would be.
fn own_jar(site: &Site, number: u32) -> PathBuf {
    let mut bytes = std::fs::read(support::jar::real_jar(&stamp(number))).unwrap();
    let comment = format!("release {number}");
    let length = bytes.len() - 2;
    assert_eq!(bytes[length - 20..length - 16], *b"PK\x05\x06", "a jar that has a comment already");
    bytes[length..].copy_from_slice(&u16::try_from(comment.len()).unwrap().to_le_bytes());
    bytes.extend(comment.as_bytes());
    let path = site.path().join(format!("release-{number}.jar"));
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A deployment, command to proof in band, over `java -jar` to the first good `/profile`, in alternating pairs: of a new release, whose
/// bytes were never here before, and of one whose archive was trained when it served before.
fn start() {
    let (fresh, archived) = (Site::new(), Site::new());
    fresh.deploy(&quick_drain(&fresh, 0));
    let archive = |manifest: Manifest| manifest.set("launch.boot", json!("cds"));
    for number in (0..3).rev() {
        archived.deploy(&archive(quick_drain(&archived, number)));
        assert!(compare::trains(&archived, Instant::now() + compare::TRAINING), "an archive of each jar");
    }
    let boots = ["jar", "auto", "cds"];
    let (mut rows, mut release) = (boots.map(|_| Vec::new()), 0);
    for _ in 0..PAIRS {
        for (boot, rows) in boots.iter().zip(&mut rows) {
            release += 1;
            let is_new = *boot != "cds";
            let site = if is_new { &fresh } else { &archived };
            let mut manifest = quick_drain(site, release).set("launch.boot", json!(boot));
            if is_new {
                manifest = manifest.set("jar.path", json!(own_jar(site, release)));
            }
            let plain = plain_start(site, &stamp(release)).as_secs_f64();
            let (took, passes) = timed_deployment(site, &manifest);
            let (own, asked) = (passes.own.as_secs_f64() * 1e3, passes.asked.as_secs_f64() * 1e3);
            println!(
                "boot: {boot}: deployment {took:.3} s, java -jar {plain:.3} s; {} passes: {own:.0} ms of slotd's own, {asked:.0} ms for answers",
                passes.count
            );
            rows.push((took / plain, own));
        }
    }
    for (boot, rows) in boots.iter().zip(&rows) {
        let Spread { median, least, most } = Spread::of(rows.iter().map(|row| row.0));
        println!("boot: {boot}: ratio median {median:.3}, {least:.3} to {most:.3}");
        println!("boot: {boot}: own time {}", Spread::of(rows.iter().map(|row| row.1)));
    }
}

/// Command to proof in band, in seconds; then the old slot's drain is let go by.
fn timed_deployment(site: &Site, manifest: &Manifest) -> (f64, Passes) {
    site.desire(manifest);
    let began = Instant::now();
    let ended = site.slotd(&["-vv", "apply"]).expect_code(0);
    let took = began.elapsed();
    until("the old slot has drained", PATIENCE, || began.elapsed() > took + Duration::from_secs(2));
    (took.as_secs_f64(), Passes::of(&ended.stderr))
}

/// The passes of a run, as the ends of their spans say.
#[derive(Default)]
struct Passes {
    count: usize,
    /// slotd was at work.
    own: Duration,
    /// It waited for an answer of the application or of nginx.
    asked: Duration,
}

impl Passes {
    fn of(trace: &str) -> Self {
        let ends = trace.lines().filter_map(|line| line.split_once(" pass: ")?.1.split_once("close time.busy="));
        let passes = ends.fold(Self::default(), |sum, (_, times)| {
            let (busy, idle) = times.split_once(" time.idle=").unwrap();
            Self { count: sum.count + 1, own: sum.own + span(busy), asked: sum.asked + span(idle) }
        });
        assert!(passes.count > 0, "no pass ends in the trace:\n{trace}");
        passes
    }
}

/// `1.23ms`, as a span's end has it.
fn span(text: &str) -> Duration {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap());
    let seconds = match unit {
        "ns" => 1e-9,
        "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        other => panic!("an unknown unit {other} in {text}"),
    };
    Duration::from_secs_f64(number.parse::<f64>().unwrap() * seconds)
}

/// A release of its own for each number. The drain, with its deadline, is over before the next one, as it is between the deployments
/// of a day: what is measured is a deployment, not the pause that the one before it imposes.
fn quick_drain(site: &Site, number: u32) -> Manifest {
    let manifest = Manifest::real(site, &stamp(number)).env("NUMBER", &number.to_string()).drain("100ms");
    manifest.set("slot_policy.drain_deadline", json!("1s"))
}

/// `java -jar` by hand, until it answers.
fn plain_start(site: &Site, stamp: &str) -> Duration {
    let port = site.legacy_port();
    let jar = support::jar::real_jar(stamp);
    let began = Instant::now();
    let mut child = Command::new("java")
        .args(["-Dspring.profiles.active=real1", &temporary(site), "-jar"])
        .arg(jar)
        .env("SERVER_PORT", port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    until("java answers", PATIENCE, || client::get(address, "/profile").is_ok_and(|a| a.status == 200));
    let took = began.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    took
}

/// Ten deployments in a row under load, by flag.
fn deployments() {
    in_a_row("flag").assert_clean();
}

/// The same by reload: idle keep-alive connections may be reset.
fn reload() {
    in_a_row("reload").assert_clean_but_for_idle_resets();
}

fn in_a_row(cutover: &str) -> Report {
    let site = Site::new();
    let manifest = |number| Manifest::real(&site, &stamp(number)).env("NUMBER", &number.to_string()).cutover(cutover);
    site.deploy(&manifest(0));
    let mix = Mix { longest: Duration::from_secs(600), ..Mix::default() };
    let load = Load::start(site.address(), &mix);
    load.go_on(100);
    for number in 1..=DEPLOYMENTS {
        let began = Instant::now();
        site.deploy(&manifest(number));
        println!("deployment {number}: {:.2} s", began.elapsed().as_secs_f64());
    }
    load.go_on(1000);
    let report = load.stop();
    println!("{report}");
    println!("reloads of nginx: {}", site.nginx.reloads());
    report
}

/// The live process killed with -9 under load, with a warm standby: the longest time without an answer.
fn failover() {
    let site = Site::new();
    let manifest = |number: u32| {
        Manifest::real(&site, &stamp(number))
            .drain("500ms")
            .set("slot_policy.bake", json!("1s"))
            .set("slot_policy.max_attempts", json!(1000))
    };
    site.deploy(&manifest(0));
    site.deploy(&manifest(1));
    let run = controller(&site);
    let mut gaps: Vec<Duration> = (0..KILLS).map(|_| one_kill(&site)).collect();
    run.terminate();
    gaps.sort();
    let at = |percent: usize| gaps[(gaps.len() * percent).div_ceil(100).saturating_sub(1)].as_millis();
    println!("time without answers: median {} ms, 95th percentile {} ms, longest {} ms", at(50), at(95), at(100));
    without_standby();
}

/// Where no standby is kept it costs a start: from the kill to the first answer, over `java -jar` to its own, in alternating pairs.
fn without_standby() {
    let site = Site::new();
    let manifest = quick_drain(&site, 0).set("slot_policy.standby", json!("stopped"));
    site.deploy(&manifest.set("slot_policy.max_attempts", json!(1000)));
    let run = controller(&site);
    let pairs = (0..PAIRS).map(|_| {
        let plain = plain_start(&site, &stamp(0)).as_secs_f64();
        let took = one_kill_without_standby(&site).as_secs_f64();
        println!("no standby: {took:.3} s without an answer, java -jar {plain:.3} s");
        took / plain
    });
    let Spread { median, least, most } = Spread::of(pairs);
    run.terminate();
    println!("no standby: ratio median {median:.3}, {least:.3} to {most:.3}");
}

/// `slotd run`, which has begun.
fn controller(site: &Site) -> Background {
    let run = site.spawn(&["run", "--interval", "1s"]);
    until("the controller is there", PATIENCE, || site.state().join("controller.json").exists());
    run
}

fn one_kill_without_standby(site: &Site) -> Duration {
    site.slotd(&["retry"]).expect_code(0);
    until("it serves, and nothing else runs", Duration::from_secs(120), || {
        site.status().status() == "converged" && site.apps().len() == 1
    });
    let live = site.status().live_pid().unwrap();
    let began = Instant::now();
    process::signal(live, Signal::SIGKILL);
    until("it is gone", PATIENCE, || !process::is_alive(live));
    let answers = || client::get(site.address(), "/profile").is_ok_and(|answer| answer.status == 200);
    until("a new process answers", Duration::from_secs(120), answers);
    began.elapsed()
}

fn one_kill(site: &Site) -> Duration {
    // the crashes before this one are forgotten: the pauses that they impose are not what is measured
    site.slotd(&["retry"]).expect_code(0);
    let version = support::jar::real_version(&stamp(1));
    until("two releases run", Duration::from_secs(120), || {
        let status = site.status();
        let standby = |slot| status.state_of(slot) == Some("standby");
        status.status() == "converged"
            && status.live_version() == Some(version.as_str())
            && (standby("real1") || standby("real2"))
    });
    let settled = Instant::now();
    until("bake is over", PATIENCE, || settled.elapsed() > Duration::from_millis(2500));
    let clients = [Kind::KeepAlive, Kind::Fresh, Kind::Fresh].to_vec();
    let load = Load::start(site.address(), &Mix { clients, think: Duration::from_millis(1), ..Mix::default() });
    load.go_on(100);
    process::signal(site.status().live_pid().unwrap(), Signal::SIGKILL);
    load.go_on(300);
    let report = load.stop();
    println!(
        "{} ms without an answer, {} of {} requests failed",
        report.longest_gap().as_millis(),
        report.failed(),
        report.total()
    );
    report.longest_gap()
}
