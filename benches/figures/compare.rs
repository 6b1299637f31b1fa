//! One deployment after another under load, by slotd in each of its ways and by what people do without it, on the same jars.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::by_hand::{self, ByHand};
use crate::record;
use crate::support::client;
use crate::support::jar::{real_jar, real_version};
use crate::support::load::{Load, Mix};
use crate::support::manifest::Manifest;
use crate::support::report::{Outcome, Report};
use crate::support::site::Site;
use crate::{own_jar, stamp};

const ROUNDS: u32 = 7;
/// A round that would end later than this after the beginning is not begun.
const MINUTES: u32 = 12;
/// For all archives together. A training gives way to everything, and beside other work takes minutes for the seconds that it takes alone.
pub(crate) const TRAINING: Duration = Duration::from_secs(180);
/// Each way to boot by flag; and the other cutover, which has nothing to do with the boot.
const SLOTD: [(&str, &str); 5] = [("flag", "jar"), ("flag", "extracted"), ("flag", "cds"), ("flag", "auto"), ("reload", "auto")];
const BY_HAND: [(&str, ByHand); 2] = [("the five scripts", ByHand::Scripts), ("stop and start", ByHand::StopAndStart)];
/// Of the time line.
const BIN_MS: u64 = 100;

/// Who deploys.
enum Way {
    Slotd { cutover: &'static str, boot: &'static str },
    ByHand(ByHand),
}

/// One way with a host of its own.
struct System {
    name: String,
    way: Way,
    site: Site,
    deployments: Vec<Deployment>,
}

/// One deployment, seconds from its command.
struct Deployment {
    moments: BTreeMap<&'static str, f64>,
    requests: usize,
    failed: usize,
    resets: usize,
    longest_gap: f64,
    /// By time: good, failed, idle connections closed.
    bins: BTreeMap<i64, [usize; 3]>,
}

/// Alternating rounds. `SLOTD_ROUNDS` asks for another number of them, `SLOTD_MINUTES` for another time in which they have to be over,
/// `SLOTD_WAYS` (`flag;scripts`) for the ways that have one of these texts in their names.
pub(crate) fn compare() {
    let (began, limit) = (Instant::now(), Duration::from_secs(60 * u64::from(asked("SLOTD_MINUTES", MINUTES))));
    // built before anything is timed: a jar that is not there yet takes Maven longer than a deployment
    (0..3).for_each(|number| drop(real_jar(&stamp(number))));
    let mut systems = systems();
    let mut longest = Duration::ZERO;
    for round in 1..=asked("SLOTD_ROUNDS", ROUNDS) {
        if began.elapsed() + longest > limit {
            println!("no time is left for round {round}");
            break;
        }
        let round_began = Instant::now();
        for system in &mut systems {
            system.round(round);
        }
        longest = longest.max(round_began.elapsed());
        // after each round: whatever ends this program later, what it has measured is there
        record::put("comparison", &Value::Array(systems.iter().map(System::document).collect()));
    }
    println!("\n| way | median | least | most | requests | failed | idle connections closed |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    systems.iter().for_each(System::print);
    println!("\nafter {:.0} s", began.elapsed().as_secs_f64());
    for system in systems.iter().filter(|system| matches!(system.way, Way::Slotd { .. })) {
        assert_eq!(system.sum(|d| d.failed), 0, "{} failed its users", system.name);
    }
}

fn asked(variable: &str, usual: u32) -> u32 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Those that are asked for, each ready for its first round. One whose archives cannot be trained in time is left out.
fn systems() -> Vec<System> {
    let slotd = SLOTD.map(|(cutover, boot)| (format!("slotd, {cutover}, {boot}"), Way::Slotd { cutover, boot }));
    let by_hand = BY_HAND.map(|(name, way)| (name.to_owned(), Way::ByHand(way)));
    let asked = std::env::var("SLOTD_WAYS").unwrap_or_default();
    let is_asked = |name: &str| asked.split(';').any(|part| name.contains(part));
    let all = slotd.into_iter().chain(by_hand).filter(|(name, _)| is_asked(name));
    all.filter_map(|(name, way)| System::new(name, way)).collect()
}

/// Lets later `apply`s train the archive of the jar that serves; whether it was there in time.
pub(crate) fn trains(site: &Site, until: Instant) -> bool {
    let archives = || {
        walk(&site.state().join("artifacts")).filter(|name| [".jsa", ".aot"].iter().any(|ending| name.ends_with(ending))).count()
    };
    let before = archives();
    while archives() == before && Instant::now() < until {
        let said = site.slotd(&["apply"]).expect_code(0).stdout;
        // it is not tried again: whoever waits on would wait for nothing
        if said.contains("without an archive") && !said.contains("being trained at this moment") {
            println!("{said}");
            return false;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    archives() > before
}

impl System {
    /// Release 0 serves, and where archives are asked for each jar has its own.
    fn new(name: String, way: Way) -> Option<Self> {
        let site = match &way {
            Way::Slotd { .. } => Site::new(),
            Way::ByHand(_) => by_hand::site(&stamp(0)),
        };
        let system = Self { name, way, site, deployments: Vec::new() };
        match system.way {
            Way::Slotd { boot: "cds", .. } => {
                let until = Instant::now() + TRAINING;
                if !(0..3).rev().all(|number| system.train(number, until)) {
                    println!("{} is left out: its archives were not trained within {TRAINING:?}", system.name);
                    return None;
                }
            }
            Way::Slotd { .. } => drop(system.site.deploy(&system.manifest(0))),
            Way::ByHand(_) => {}
        }
        Some(system)
    }

    fn train(&self, number: u32, until: Instant) -> bool {
        self.site.deploy(&self.manifest(number));
        trains(&self.site, until)
    }

    /// Another release in each round. Its jar has bytes of its own, so that it is unpacked anew as a release of that day would be; but where
    /// archives are asked for, a jar comes again, and finds the archive that was trained when it served before.
    fn manifest(&self, number: u32) -> Manifest {
        let Way::Slotd { cutover, boot } = self.way else { panic!("it has no manifest") };
        let manifest = Manifest::real(&self.site, &stamp(number)).env("NUMBER", &number.to_string()).cutover(cutover);
        let manifest = manifest.drain("2s").set("slot_policy.drain_deadline", json!("10s"));
        let manifest = manifest.set("slot_policy.standby", json!("stopped")).set("launch.boot", json!(boot));
        if boot == "cds" { manifest } else { manifest.set("jar.path", json!(own_jar(&self.site, number))) }
    }

    fn round(&mut self, round: u32) {
        let deployment = self.deploy(round);
        println!(
            "{round} {}: {:.2} s to the new release, {} of {} requests failed, {} idle connections closed",
            self.name, deployment.moments["cutover"], deployment.failed, deployment.requests, deployment.resets
        );
        self.deployments.push(deployment);
    }

    fn deploy(&self, round: u32) -> Deployment {
        let stamp = stamp(round);
        let mix = Mix { longest: Duration::from_secs(240), ..Mix::quick() };
        let load = Load::start(self.site.address(), &mix);
        load.go_on(500);
        if matches!(self.way, Way::Slotd { .. }) {
            self.site.desire(&self.manifest(round));
        }
        let watched = Watched::from(self);
        let began = Instant::now();
        let seen = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| watched.watch(began));
            // also where the deployment panics: the scope would wait for the watcher for ever
            let goes_on = GoesOn(&watched.ended);
            match &self.way {
                Way::Slotd { .. } => drop(self.site.slotd(&["apply"]).expect_code(0)),
                Way::ByHand(way) => way.deploy(&self.site, &stamp),
            }
            drop(goes_on);
            watcher.join().unwrap()
        });
        let ended = began.elapsed();
        load.go_on(300);
        Deployment::of(&load.stop(), began, ended, seen, &real_version(&stamp))
    }

    fn print(&self) {
        let times = record::Spread::of(self.deployments.iter().map(|d| d.moments["cutover"]));
        println!(
            "| {} | {:.2} s | {:.2} s | {:.2} s | {} | {} | {} |",
            self.name,
            times.median,
            times.least,
            times.most,
            self.sum(|d| d.requests),
            self.sum(|d| d.failed),
            self.sum(|d| d.resets)
        );
    }

    fn sum(&self, of: fn(&Deployment) -> usize) -> usize {
        self.deployments.iter().map(of).sum()
    }

    fn document(&self) -> Value {
        let deployments: Vec<Value> = self.deployments.iter().map(Deployment::document).collect();
        json!({ "name": self.name, "deployments": deployments })
    }
}

/// The names of all files below a folder.
fn walk(folder: &std::path::Path) -> Box<dyn Iterator<Item = String>> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    Box::new(entries.flat_map(|entry| {
        let below = if entry.path().is_dir() { walk(&entry.path()) } else { Box::new(std::iter::empty()) };
        below.chain([entry.file_name().to_string_lossy().into_owned()])
    }))
}

/// A deployment that is under way; it has ended when this is dropped.
struct GoesOn<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for GoesOn<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// What shows from outside while a deployment goes on: when its process is there, and when it answers on its own port.
struct Watched<'a> {
    site: &'a Site,
    before: Vec<i32>,
    ended: std::sync::atomic::AtomicBool,
}

impl<'a> From<&'a System> for Watched<'a> {
    fn from(system: &'a System) -> Self {
        let before = system.site.apps().iter().map(|app| app.pid).collect();
        Self { site: &system.site, before, ended: false.into() }
    }
}

impl Watched<'_> {
    /// The moments at which it was seen, up to the end.
    fn watch(&self, began: Instant) -> BTreeMap<&'static str, f64> {
        let mut seen = BTreeMap::new();
        while !self.ended.load(std::sync::atomic::Ordering::Relaxed) {
            let apps = self.site.apps();
            let now = began.elapsed().as_secs_f64();
            match apps.iter().find(|app| !self.before.contains(&app.pid)) {
                Some(new) if !seen.contains_key("ready") => {
                    seen.entry("start").or_insert(now);
                    if answers(new.pid) {
                        seen.insert("ready", began.elapsed().as_secs_f64());
                    }
                }
                Some(_) if !apps.iter().any(|app| self.before.contains(&app.pid)) => {
                    seen.entry("drained").or_insert(now);
                }
                _ => {}
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        seen
    }
}

/// Whether the process with this pid answers on the port that it was given.
fn answers(pid: i32) -> bool {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let text = String::from_utf8_lossy(&environ);
    let port = text.split('\0').find_map(|word| word.strip_prefix("SERVER_PORT=")?.parse::<u16>().ok());
    port.is_some_and(|port| client::get(([127, 0, 0, 1], port).into(), "/profile").is_ok_and(|answer| answer.status == 200))
}

impl Deployment {
    fn of(report: &Report, began: Instant, ended: Duration, mut moments: BTreeMap<&'static str, f64>, version: &str) -> Self {
        let first = report.records().iter().filter(|record| record.end > began && record.origin.version == version);
        let first = first.map(|record| record.end - began).min().expect("the new release answers");
        moments.insert("cutover", first.as_secs_f64());
        moments.insert("ended", ended.as_secs_f64());
        Self {
            moments,
            requests: report.total(),
            failed: report.failed(),
            resets: report.idle_resets(),
            longest_gap: report.longest_gap().as_secs_f64(),
            bins: bins(report, began),
        }
    }

    fn document(&self) -> Value {
        let bins: Vec<Value> = self.bins.iter().map(|(bin, [good, failed, resets])| json!([bin, good, failed, resets])).collect();
        json!({
            "moments_s": self.moments, "requests": self.requests, "failed": self.failed, "idle_resets": self.resets,
            "longest_gap_s": self.longest_gap, "bin_ms": BIN_MS, "bins": bins,
        })
    }
}

/// Requests by the time of their end, in bins from the command on; a negative bin is before it.
fn bins(report: &Report, began: Instant) -> BTreeMap<i64, [usize; 3]> {
    let mut bins: BTreeMap<i64, [usize; 3]> = BTreeMap::new();
    for record in report.records() {
        let width = u128::from(BIN_MS);
        let bin = match record.end.checked_duration_since(began) {
            Some(after) => i64::try_from(after.as_millis() / width).unwrap_or(i64::MAX),
            None => -1 - i64::try_from((began - record.end).as_millis() / width).unwrap_or(i64::MAX),
        };
        let kind = match (record.outcome, record.failed()) {
            (Outcome::Good, _) => 0,
            (_, true) => 1,
            (_, false) => 2,
        };
        bins.entry(bin).or_default()[kind] += 1;
    }
    bins
}
