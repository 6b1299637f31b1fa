//! Cutovers in a row under every kind of request: that none fails, and that none which begins afterwards is answered by the old slot.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::record::{self, Spread};
use crate::stamp;
use crate::support::jar::real_jar;
use crate::support::load::{Load, Mix};
use crate::support::manifest::Manifest;
use crate::support::report::{Kind, Record, Report};
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

/// One cutover.
struct Move {
    /// Its command was given.
    began: Instant,
    /// Traffic went to this slot before it.
    from: String,
    what: &'static str,
}

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
    let late = stale(&report, &moves);
    let first = Spread::of(firsts(&report, &moves).iter().map(|(_, after)| after.as_secs_f64() * 1e3));
    println!("{report}");
    println!(
        "{count} cutovers in {:.0} s; from the old slot, begun after the first answer of the new one: {late}",
        took.as_secs_f64()
    );
    println!("command to the first answer of the other slot: {first}");
    record::put("cutovers", &document(&report, &moves, (took, late), &site));
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

/// The way back to a standby that runs: from the command to the first answer of the old release, under load.
pub(crate) fn rollback() {
    let site = Site::new();
    let manifest = |number| numbered(&site, number).set("slot_policy.drain_deadline", json!("1s")).drain("100ms");
    warm(&site, &manifest);
    let load = Load::start(site.address(), &Mix { think: Duration::from_millis(1), ..Mix::quick() });
    load.go_on(200);
    let (mut turns, mut moves) = (Turns { site: &site, manifest: &manifest, release: 1, is_back: false }, Vec::new());
    for _ in 0..2 * asked(ROLLBACKS) {
        let moved = turns.other_standby();
        let drained = moved.began + Duration::from_secs(3);
        moves.push(moved);
        until("its drain is over", PERIOD, || Instant::now() >= drained);
    }
    let report = load.stop();
    let back: Vec<_> =
        firsts(&report, &moves).into_iter().filter(|(what, _)| *what == "rollback").map(|(_, after)| after).collect();
    let spread = Spread::of(back.iter().map(|after| after.as_secs_f64() * 1e3));
    println!("{} rollbacks, command to the first answer of the old release: {spread}", back.len());
    println!("{report}");
    record::put("rollback", &json!({ "rollbacks": back.len(), "first_answer_ms": spread, "failed": report.failed() }));
    report.assert_clean();
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
        self.turn("deployment", |turns| drop(turns.site.deploy(&(turns.manifest)(turns.release))))
    }

    fn other_standby(&mut self) -> Move {
        self.is_back = !self.is_back;
        if self.is_back {
            self.turn("rollback", |turns| drop(turns.site.slotd(&["rollback", "webservice"]).expect_code(0)))
        } else {
            self.turn("forward", |turns| drop(turns.site.slotd(&["retry"]).expect_code(0)))
        }
    }

    fn turn(&self, what: &'static str, carry_out: impl FnOnce(&Self)) -> Move {
        let live = || self.site.status().live_slot().expect("something serves").to_owned();
        let (from, began) = (live(), Instant::now());
        carry_out(self);
        assert_ne!(live(), from, "{what} moved nothing");
        Move { began, from, what }
    }
}

/// Of each cutover: the first answer of the other slot to a request that began after its command.
fn firsts(report: &Report, moves: &[Move]) -> Vec<(&'static str, Duration)> {
    windows(report, moves).map(|(moved, answers)| (moved.what, first(moved, answers) - moved.began)).collect()
}

fn first(moved: &Move, answers: &[Record]) -> Instant {
    let of_other = answers.iter().filter(|r| !r.origin.slot.is_empty() && r.origin.slot != moved.from);
    of_other.map(|record| record.end).min().expect("the other slot answers")
}

/// Answers of the old slot to requests that began after somebody had had one of the new slot.
fn stale(report: &Report, moves: &[Move]) -> usize {
    let late = |(moved, answers): (&Move, &[Record])| {
        let first = first(moved, answers);
        answers.iter().filter(|record| record.begin > first && record.origin.slot == moved.from).count()
    };
    windows(report, moves).map(late).sum()
}

/// The records that ended between a cutover's command and the next one's; they are in the order of their ends.
fn windows<'a>(report: &'a Report, moves: &'a [Move]) -> impl Iterator<Item = (&'a Move, &'a [Record])> {
    let records = report.records();
    let at = |instant| records.partition_point(|record| record.end < instant);
    moves.iter().enumerate().map(move |(index, moved)| {
        let end = moves.get(index + 1).map_or(records.len(), |next| at(next.began));
        (moved, &records[at(moved.began)..end])
    })
}

fn document(report: &Report, moves: &[Move], (took, late): (Duration, usize), site: &Site) -> Value {
    let kinds: BTreeMap<String, usize> =
        everything().clients.iter().map(|kind| (format!("{kind:?}").to_lowercase(), report.good(*kind))).collect();
    let firsts = firsts(report, moves);
    let of = |what: &str| {
        let times: Vec<f64> =
            firsts.iter().filter(|(kind, _)| *kind == what).map(|(_, after)| after.as_secs_f64() * 1e3).collect();
        (!times.is_empty()).then(|| json!({ "cutovers": times.len(), "first_answer_ms": Spread::of(times.iter().copied()) }))
    };
    json!({
        "cutovers": moves.len(), "seconds": took.as_secs_f64(), "requests": report.total(), "good": kinds,
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
