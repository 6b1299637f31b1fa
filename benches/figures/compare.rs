//! One deployment after another under load, by slotd in each of its ways and by what people do without it, on the same jars.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::by_hand::{self, ByHand};
use crate::record;
use crate::stamp;
use crate::support::client;
use crate::support::jar::{real_jar, real_version};
use crate::support::load::{Load, Mix};
use crate::support::manifest::Manifest;
use crate::support::report::{Outcome, Report};
use crate::support::site::Site;
use crate::support::wait::until;

const ROUNDS: u32 = 7;
/// A training gives way to everything, and is given up after `health.deadline`: beside other work it takes minutes for the seconds that it
/// takes alone.
const TRAINING: &str = "5m";
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

/// Alternating rounds; `SLOTD_ROUNDS` asks for another number of them, `SLOTD_WAYS` (`flag;scripts`) for the ways that have one of
/// these texts in their names. An archive is trained at the lowest priority, so `cds` needs a machine with nothing else to do.
pub(crate) fn compare() {
    let asked = std::env::var("SLOTD_ROUNDS").ok().and_then(|text| text.parse().ok());
    // built before anything is timed: a jar that is not there yet takes Maven longer than a deployment
    (0..3).for_each(|number| drop(real_jar(&stamp(number))));
    let mut systems = systems();
    for round in 1..=asked.unwrap_or(ROUNDS) {
        for system in &mut systems {
            let deployment = system.deploy(round);
            println!(
                "{round} {}: {:.2} s to the new release, {} of {} requests failed, {} idle connections closed",
                system.name, deployment.moments["cutover"], deployment.failed, deployment.requests, deployment.resets
            );
            system.deployments.push(deployment);
        }
    }
    println!("\n| way | median | least | most | requests | failed | idle connections closed |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    systems.iter().for_each(System::print);
    record::put("comparison", &Value::Array(systems.iter().map(System::document).collect()));
}

fn systems() -> Vec<System> {
    let slotd = ["flag", "reload"].into_iter().flat_map(|cutover| {
        ["jar", "extracted", "cds", "auto"].map(|boot| (format!("slotd, {cutover}, {boot}"), Way::Slotd { cutover, boot }))
    });
    let by_hand = [("the five scripts", ByHand::Scripts), ("stop and start", ByHand::StopAndStart)];
    let by_hand = by_hand.map(|(name, way)| (name.to_owned(), Way::ByHand(way)));
    let asked = std::env::var("SLOTD_WAYS").unwrap_or_default();
    let is_asked = |name: &str| asked.split(';').any(|part| name.contains(part));
    slotd.chain(by_hand).filter(|(name, _)| is_asked(name)).map(|(name, way)| System::new(name, way)).collect()
}

impl System {
    /// Ready for its first round: release 0 serves, and where archives are asked for each jar has its own.
    fn new(name: String, way: Way) -> Self {
        let site = match &way {
            Way::Slotd { .. } => Site::new(),
            Way::ByHand(_) => by_hand::site(&stamp(0)),
        };
        let system = Self { name, way, site, deployments: Vec::new() };
        match system.way {
            Way::Slotd { boot: "cds", .. } => (0..3).rev().for_each(|number| system.train(number)),
            Way::Slotd { .. } => drop(system.site.deploy(&system.manifest(0))),
            Way::ByHand(_) => {}
        }
        system
    }

    /// Deploys a jar, and lets a later `apply` train its archive.
    fn train(&self, number: u32) {
        let manifest = self.manifest(number);
        self.site.deploy(&manifest);
        let archives = || {
            walk(&self.site.state().join("artifacts"))
                .filter(|name| [".jsa", ".aot"].iter().any(|ending| name.ends_with(ending)))
                .count()
        };
        let before = archives();
        until("an archive is trained", Duration::from_secs(330), || {
            let said = self.site.slotd(&["apply"]).expect_code(0).stdout;
            // it is not tried again: whoever waits on would wait for nothing
            let failed = said.contains("without an archive") && !said.contains("being trained at this moment");
            assert!(!failed, "{}: {said}", self.name);
            archives() > before
        });
    }

    fn manifest(&self, number: u32) -> Manifest {
        let Way::Slotd { cutover, boot } = self.way else { panic!("it has no manifest") };
        let manifest = Manifest::real(&self.site, &stamp(number)).env("NUMBER", &number.to_string()).cutover(cutover);
        let manifest = manifest.drain("2s").set("slot_policy.drain_deadline", json!("10s"));
        let manifest = manifest.set("slot_policy.standby", json!("stopped")).set("launch.boot", json!(boot));
        manifest.set("health.deadline", json!(TRAINING))
    }

    fn deploy(&self, round: u32) -> Deployment {
        let stamp = stamp(round);
        let mix = Mix { longest: Duration::from_secs(240), ..Mix::quick() };
        let load = Load::start(self.site.address(), &mix);
        load.go_on(500);
        let watched = Watched::from(self);
        let began = Instant::now();
        let seen = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| watched.watch(began));
            match &self.way {
                Way::Slotd { .. } => {
                    self.site.deploy(&self.manifest(round));
                }
                Way::ByHand(way) => way.deploy(&self.site, &stamp),
            }
            watched.ended();
            watcher.join().unwrap()
        });
        let ended = began.elapsed();
        load.go_on(300);
        Deployment::of(&load.stop(), began, ended, seen, &real_version(&stamp))
    }

    fn print(&self) {
        let times = record::Spread::of(self.deployments.iter().map(|d| d.moments["cutover"]));
        let sum = |of: fn(&Deployment) -> usize| self.deployments.iter().map(of).sum::<usize>();
        println!(
            "| {} | {:.2} s | {:.2} s | {:.2} s | {} | {} | {} |",
            self.name,
            times.median,
            times.least,
            times.most,
            sum(|d| d.requests),
            sum(|d| d.failed),
            sum(|d| d.resets)
        );
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
    fn ended(&self) {
        self.ended.store(true, std::sync::atomic::Ordering::Relaxed);
    }

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
