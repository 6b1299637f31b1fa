//! The four parts of a pass, each by itself: reading the manifest, the decision, its reports, and the look at a real host (a private
//! nginx, and a live process and a standby for each service).
//!
//! `cargo bench --bench criterion`, with a word behind it one part of it: `-- observe`.
#![expect(clippy::disallowed_methods, reason = "what stands outside slotd touches the machine by itself")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that goes wrong ends by panicking, and says where")]

#[expect(dead_code, reason = "the tests use all of it")]
#[path = "../../tests/e2e/support/mod.rs"]
mod support;

#[expect(dead_code, reason = "the figures use all of it")]
#[path = "../figures/fleet.rs"]
mod fleet;

use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, criterion_group};
use slotd::adapter::LinuxHost;
use slotd::manifest;
use slotd::model::desired::DesiredState;
use slotd::model::observed::ObservedState;
use slotd::observe::observe;
use slotd::observe::watch::Watch;
use slotd::plan::{Orphans, Plan, plan};
use slotd::report::palette::Palette;
use slotd::report::{human, json, markdown};
use tokio::runtime::{Builder, Runtime};

use fleet::Fleet;

const SERVICES: [usize; 2] = [1, 20];

/// A fleet as slotd sees it.
struct Scene {
    fleet: Fleet,
    text: String,
    desired: DesiredState,
    host: LinuxHost,
    runtime: Runtime,
}

impl Scene {
    fn of(services: usize) -> Self {
        let fleet = Fleet::deployed(services, "running");
        let text = std::fs::read_to_string(fleet.manifest()).unwrap();
        let desired = parse(&text);
        let host = LinuxHost::new(fleet.state());
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Self { fleet, text, desired, host, runtime }
    }

    fn look(&self, watch: &mut Watch) -> ObservedState {
        self.runtime.block_on(observe(&self.host, &self.desired, None, watch)).unwrap()
    }

    /// The same with another release of each service to deploy.
    fn with_a_release_to_deploy(&self) -> DesiredState {
        let mut desired = self.desired.clone();
        for service in desired.services.values_mut() {
            service.launch.args.push("--another".to_owned());
        }
        desired
    }
}

fn parse(text: &str) -> DesiredState {
    manifest::parse(text, Path::new("/"), "desired.yaml").expect("a good manifest")
}

fn parts(criterion: &mut Criterion) {
    for services in SERVICES {
        let scene = Scene::of(services);
        manifests(criterion, services, &scene);
        let mut watch = Watch::under_lock();
        let observed = scene.look(&mut watch);
        decisions(criterion, services, &scene, &observed);
        criterion.bench_with_input(BenchmarkId::new("observe", services), &scene, |bencher, scene| {
            bencher.iter(|| scene.look(&mut watch));
        });
        drop(scene.fleet);
    }
}

fn manifests(criterion: &mut Criterion, services: usize, scene: &Scene) {
    criterion.bench_with_input(BenchmarkId::new("manifest/parse", services), &scene.text, |bencher, text| {
        bencher.iter(|| parse(black_box(text)));
    });
    criterion.bench_with_input(BenchmarkId::new("manifest/render", services), &scene.desired, |bencher, desired| {
        bencher.iter(|| manifest::render(black_box(desired)));
    });
}

fn decisions(criterion: &mut Criterion, services: usize, scene: &Scene, observed: &ObservedState) {
    let changed = scene.with_a_release_to_deploy();
    for (name, desired) in [("plan/converged", &scene.desired), ("plan/deploying", &changed)] {
        criterion.bench_with_input(BenchmarkId::new(name, services), desired, |bencher, desired| {
            bencher.iter(|| plan(black_box(desired), black_box(observed), Orphans::Keep));
        });
    }
    let deploying = plan(&changed, observed, Orphans::Keep);
    assert!(deploying.services.iter().all(|service| !service.steps.is_empty()), "nothing to report");
    reports(criterion, services, &deploying);
}

fn reports(criterion: &mut Criterion, services: usize, plan: &Plan) {
    let mut out = Vec::new();
    criterion.bench_with_input(BenchmarkId::new("report/human", services), plan, |bencher, plan| {
        bencher.iter(|| {
            out.clear();
            human::plan(&mut out, black_box(plan), &Palette::plain()).unwrap();
        });
    });
    criterion.bench_with_input(BenchmarkId::new("report/markdown", services), plan, |bencher, plan| {
        bencher.iter(|| {
            out.clear();
            markdown::plan(&mut out, black_box(plan)).unwrap();
        });
    });
    criterion.bench_with_input(BenchmarkId::new("report/json", services), plan, |bencher, plan| {
        bencher.iter(|| serde_json::to_string(&json::plan(black_box(plan))).unwrap());
    });
}

fn configured() -> Criterion {
    Criterion::default().configure_from_args().sample_size(30)
}

criterion_group! { name = all; config = configured(); targets = parts }

fn main() {
    if !std::env::args().any(|a| a == "--bench") {
        return; // `cargo test --all-targets` starts every target; only `cargo bench` asks for figures
    }
    all();
    Criterion::default().configure_from_args().final_summary();
}
