//! Cutovers in a row under every kind of request: that none fails, and that none which begins afterwards is answered by the old slot.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::moves::{Move, Seen, seen};
use crate::record::{self, Spread};
use crate::stamp;
use crate::support::jar::real_jar;
use crate::support::load::{Load, Mix};
use crate::support::manifest::Manifest;
use crate::support::report::{Kind, Report};
use crate::support::site::Site;
use crate::support::wait::until;

const CUTOVERS: u32 = 100;
/// From one cutover to the next at least: the drain of two seconds, its quiet one, and time in which nothing is done.
const PERIOD: Duration = Duration::from_millis(6500);
/// Each so-manieth cutover is a deployment with its start; those between go back to the standby and forward again.
const DEPLOYMENT: u32 = 10;

const UPLOADED: u32 = 50;
/// Of one of the twenty pieces: four loads whose uploads take 9.4 to 10.6 seconds, so that a cutover meets them everywhere.
const PAUSES_MS: [u64; 4] = [470, 490, 510, 530];

const ROLLBACKS: u32 = 20;

/// Another number of cutovers where `SLOTD_CUTOVERS` asks for one.
fn asked(usual: u32) -> u32 {
    std::env::var("SLOTD_CUTOVERS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// By flag: GET over kept and over fresh connections, POST, slow requests, uploads of two seconds, `WebSockets` of three.
pub(crate) fn cutovers() {
    let (site, count) = (Site::new(), asked(CUTOVERS));
    let manifest = |number| numbered(&site, number).set("slot_policy.drain_deadline", json!("20s")).drain("2s");
    warm(&site, &manifest);
    let load = Load::start(site.address(), &everything());
    load.go_on(200);
    let (mut turns, mut moves, began) =
        (Turns { site: &site, manifest: &manifest, release: 1, is_back: false }, Vec::new(), Instant::now());
    for number in 1..=count {
        let moved = if number % DEPLOYMENT == 0 { turns.new_release() } else { turns.other_standby() };
        let period = moved.began + PERIOD;
        moves.push(moved);
        until("it is time for the next", PERIOD * 2, || Instant::now() >= period);
    }
    load.go_on(1000);
    let (took, report) = (began.elapsed(), load.stop());
    let seen = seen(&report, &moves);
    let late: usize = seen.iter().map(|seen| seen.late.len()).sum();
    let first = Spread::of(seen.iter().map(|seen| seen.after().as_secs_f64() * 1e3));
    seen.iter().filter(|seen| !seen.is_clean()).for_each(|seen| println!("{seen}"));
    println!("{report}");
    println!(
        "{count} cutovers in {:.0} s; from the old slot, begun after the first answer of the new one: {late}",
        took.as_secs_f64()
    );
    println!("command to the first answer of the other slot: {first}");
    record::put("cutovers", &document(&report, &seen, took, &site));
    report.assert_clean();
    assert_eq!(late, 0, "answers of the old slot to requests that began after a cutover");
    every_kind(&report, &everything());
}

/// A standby that is stopped, and uploads as long as nginx buffers them: those begun before a cutover still come to the old slot.
pub(crate) fn uploads() {
    let (site, count) = (Site::new(), asked(UPLOADED));
    let manifest = |number| {
        let manifest = numbered(&site, number).set("slot_policy.standby", json!("stopped"));
        manifest.set("slot_policy.drain_deadline", json!("60s")).drain("12s")
    };
    (0..3).for_each(|number| drop(real_jar(&stamp(number))));
    site.deploy(&manifest(0));
    let longest = Duration::from_secs(60 * u64::from(count) + 60);
    let mix = |pause| Mix { longest, ..Mix::uploads(3, Duration::from_millis(pause)) };
    let (loads, began) = (PAUSES_MS.map(|pause| Load::start(site.address(), &mix(pause))), Instant::now());
    for number in 1..=count {
        site.deploy(&manifest(number));
        assert_eq!(site.apps().len(), 1, "the old slot is stopped when its deployment ends");
    }
    let (took, reports) = (began.elapsed(), loads.map(Load::stop));
    let sum = |of: fn(&Report) -> usize| reports.iter().map(of).sum::<usize>();
    let (good, lost) = (sum(|report| report.good(Kind::Upload)), sum(|report| report.failed() + report.idle_resets()));
    println!(
        "{count} cutovers in {:.0} s, the old slot stopped behind each: {good} uploads of ten seconds, {lost} lost",
        took.as_secs_f64()
    );
    let not_clean = site.slotd(&["history"]).expect_code(0).stdout.matches("not_clean").count();
    let part = json!({ "cutovers": count, "seconds": took.as_secs_f64(), "uploads": good, "lost": lost, "not_clean": not_clean });
    record::put("uploads", &part);
    assert_eq!((lost, not_clean), (0, 0), "{}", reports.iter().map(ToString::to_string).collect::<String>());
    assert!(good >= 12 * usize::try_from(count).unwrap_or(0), "only {good} uploads over {count} cutovers");
}

/// What a standby does until it is wanted, and from the command to the first answer of the old release at most, ms.
const STANDBYS: [(&str, f64); 2] = [("running", 250.0), ("frozen", 400.0)];

/// The way back to a standby that runs and to one that is stopped in place, under load.
pub(crate) fn rollback() {
    let all: Vec<(&str, f64, Value)> = STANDBYS.iter().map(|(standby, bound)| (*standby, *bound, back_to(standby))).collect();
    let parts = all.iter().map(|(standby, _, figures)| ((*standby).to_owned(), figures.clone())).collect();
    record::put("rollback", &Value::Object(parts));
    for (standby, bound, figures) in all {
        let median = figures["first_answer_ms"]["median"].as_f64();
        assert!(median.is_some_and(|median| median <= bound), "to a {standby} standby: {median:?} ms, at most {bound} ms wanted");
    }
}

/// From the command to the first answer of the old release; no load may fail.
fn back_to(standby: &str) -> Value {
    let site = Site::new();
    let manifest = |number| {
        let manifest = numbered(&site, number).set("slot_policy.drain_deadline", json!("1s")).drain("100ms");
        manifest.set("slot_policy.standby", json!(standby))
    };
    warm(&site, &manifest);
    let load = Load::start(site.address(), &Mix { think: Duration::from_millis(1), ..Mix::quick() });
    load.go_on(200);
    let (mut turns, mut moves) = (Turns { site: &site, manifest: &manifest, release: 1, is_back: false }, Vec::new());
    for _ in 0..2 * asked(ROLLBACKS) {
        let moved = turns.other_standby();
        let drained = moved.began + Duration::from_secs(3);
        until("its drain is over", PERIOD, || Instant::now() >= drained);
        let left = site.status().state_of(&moved.from).map(str::to_owned);
        assert_eq!(left.as_deref(), Some(if standby == "frozen" { "frozen" } else { "standby" }), "what was left");
        moves.push(moved);
    }
    let report = load.stop();
    let seen = seen(&report, &moves);
    let spread = firsts(&seen, "rollback").expect("there were rollbacks");
    println!("to a {standby} standby, from the command to the first answer of the old release: {spread}");
    println!("{report}");
    report.assert_clean();
    json!({ "rollbacks": asked(ROLLBACKS), "first_answer_ms": spread, "requests": report.total(), "failed": report.failed() })
}

fn numbered(site: &Site, number: u32) -> Manifest {
    Manifest::real(site, &stamp(number)).env("NUMBER", &number.to_string())
}

/// Two releases run, the second one serves.
fn warm(site: &Site, manifest: &dyn Fn(u32) -> Manifest) {
    // built before anything is timed: a jar that is not there yet takes Maven longer than a deployment
    (0..3).for_each(|number| drop(real_jar(&stamp(number))));
    site.deploy(&manifest(0));
    site.deploy(&manifest(1));
}

/// About two thousand requests a second on two cores, and a JVM still starts beside them.
fn everything() -> Mix {
    let clients = [
        [Kind::KeepAlive; 4].as_slice(),
        &[Kind::Fresh; 3],
        &[Kind::Post; 3],
        &[Kind::Slow; 2],
        &[Kind::Upload; 2],
        &[Kind::Socket; 2],
    ];
    let longest = Duration::from_secs(3600);
    Mix { clients: clients.concat(), think: Duration::from_millis(4), most_requests: 2_000_000, longest, ..Mix::default() }
}

/// Back to the standby, forward again, and now and then a new release.
struct Turns<'a> {
    site: &'a Site,
    manifest: &'a dyn Fn(u32) -> Manifest,
    release: u32,
    is_back: bool,
}

impl Turns<'_> {
    fn new_release(&mut self) -> Move {
        self.release += 1;
        self.is_back = false;
        self.site.desire(&(self.manifest)(self.release));
        self.turn("deployment", &["apply"])
    }

    fn other_standby(&mut self) -> Move {
        self.is_back = !self.is_back;
        if self.is_back { self.turn("rollback", &["rollback", "webservice"]) } else { self.turn("forward", &["retry"]) }
    }

    fn turn(&self, what: &'static str, command: &[&str]) -> Move {
        let live = || self.site.status().live_slot().expect("something serves").to_owned();
        let (from, began) = (live(), Instant::now());
        let ended = self.site.slotd(&[&["-v"], command].concat()).expect_code(0);
        assert_ne!(live(), from, "{what} moved nothing");
        Move { began, from, what, said: ended.stderr }
    }
}

/// From the command to the first answer of the other slot, in milliseconds, of the cutovers of one kind.
fn firsts(seen: &[Seen<'_>], what: &str) -> Option<Spread> {
    let mut times = seen.iter().filter(|seen| seen.moved.what == what).map(|seen| seen.after().as_secs_f64() * 1e3).peekable();
    times.peek().is_some().then(|| Spread::of(times))
}

fn document(report: &Report, seen: &[Seen<'_>], took: Duration, site: &Site) -> Value {
    let kinds: BTreeMap<String, usize> =
        everything().clients.iter().map(|kind| (format!("{kind:?}").to_lowercase(), report.good(*kind))).collect();
    let late: usize = seen.iter().map(|seen| seen.late.len()).sum();
    let of = |what: &str| {
        let count = seen.iter().filter(|seen| seen.moved.what == what).count();
        firsts(seen, what).map(|spread| json!({ "cutovers": count, "first_answer_ms": spread }))
    };
    json!({
        "cutovers": seen.len(), "seconds": took.as_secs_f64(), "requests": report.total(), "good": kinds,
        "failed": report.failed(), "idle_resets": report.idle_resets(), "stale": late,
        "longest_gap_ms": report.longest_gap().as_secs_f64() * 1e3, "reloads": site.nginx.reloads(),
        "deployments": of("deployment"), "rollbacks": of("rollback"), "forward": of("forward"),
    })
}

/// A load that did nothing proves nothing.
fn every_kind(report: &Report, mix: &Mix) {
    for kind in &mix.clients {
        assert!(report.good(*kind) > 0, "{kind:?} was never answered\n{report}");
    }
}
