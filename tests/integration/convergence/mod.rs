//! The real loop on the world in memory: every way of a deployment, its faults, and a crash at every boundary.

mod boot;
mod crashes;
mod deploy;
mod explored;
mod failures;
mod frozen;
mod person;
mod policy;
mod proxy;
mod simulated;
mod takeover;
mod unseen;
mod way_back;

use slotd::model::desired::{CutoverMode, ServiceSpec, Upstream};
use slotd::model::id::{Port, SlotName};
use slotd::plan::Plan;
use slotd::plan::person::Decision;
use slotd::reconcile::Goal;

use crate::world::World;
use crate::world::fault::Fault;
use crate::world::manifest::{goal, renamed, webservice};
use crate::world::processes::Behaviour;

/// `webservice` on a host of its own.
struct Stage {
    world: World,
    spec: ServiceSpec,
}

impl Stage {
    /// Nothing is deployed yet.
    fn empty() -> Self {
        let stage = Self { world: World::new(7), spec: webservice("1") };
        stage.world.build(&stage.spec, Behaviour::good());
        stage
    }

    /// These versions were deployed one after the other, each until nothing was left to do.
    fn serving(versions: &[&str]) -> Self {
        Self::serving_as(versions, |_| {})
    }

    /// The same with another manifest.
    fn serving_as(versions: &[&str], change: impl Fn(&mut ServiceSpec)) -> Self {
        let mut stage = Self::empty();
        change(&mut stage.spec);
        for version in versions {
            stage.deploy(version);
            stage.world.keep(&stage.goal(), 200_000);
        }
        stage.world.take_counts();
        stage
    }

    fn reload_mode(spec: &mut ServiceSpec) {
        spec.proxy.cutover = CutoverMode::Reload;
    }

    fn pool_mode(spec: &mut ServiceSpec) {
        spec.proxy.upstream = Upstream::Pool;
    }

    fn goal(&self) -> Goal {
        goal(&[self.spec.clone()])
    }

    /// The manifest asks for this version, which behaves so.
    fn wants(&mut self, version: &str, behaviour: Behaviour) {
        self.spec = renamed(&self.spec, version);
        self.world.build(&self.spec, behaviour);
    }

    fn deploy(&mut self, version: &str) -> Plan {
        self.wants(version, Behaviour::good());
        self.world.converges(&self.goal())
    }

    fn decide(&self, decision: &Decision) {
        self.world.decide(&self.goal(), decision).unwrap();
    }

    /// What users reach, when old workers have stopped: slot and bytes.
    fn live(&self) -> String {
        self.world.touch().pass_time(200, &[]);
        let state = self.world.see();
        let routes = state.routes(&self.spec.proxy.include);
        let ports: std::collections::BTreeSet<_> = routes.collect();
        let [Some(port)] = Vec::from_iter(ports)[..] else { return "nothing".to_owned() };
        match state.at_port(port).filter(|p| p.is_ready(state.now)) {
            Some(process) => format!("{} {}", process.slot, process.digest),
            None => format!("nobody on {port}"),
        }
    }

    /// What runs: `slot:version`, in the order of the slots.
    fn running(&self) -> Vec<String> {
        let state = self.world.see();
        let mut all: Vec<_> = state.processes.values().map(|p| format!("{} {}", p.slot, p.digest)).collect();
        all.sort();
        all
    }

    fn is(&self, live: &str) {
        assert_eq!(self.live(), live, "{}", self.world.story());
        self.world.is_lawful();
    }

    fn runs(&self, expected: &[&str]) {
        assert_eq!(self.running(), expected, "{}", self.world.story());
    }

    /// What was done since the last count, of what others can notice.
    fn did(&self, expected: &[(&str, usize)]) {
        let visible = ["install", "start", "write", "reload", "cut", "term", "kill", "freeze", "thaw"];
        let counts = self.world.take_counts();
        let done: Vec<_> = visible.into_iter().filter_map(|word| Some((word, *counts.get(word)?))).collect();
        assert_eq!(done, expected, "{}", self.world.story());
    }

    fn befall(&self, fault: Fault) {
        self.world.befall(fault);
    }

    fn keep(&self, seconds: u64) -> Plan {
        self.world.keep(&self.goal(), seconds * 1000)
    }
}

fn port(port: u16) -> Port {
    Port(port)
}

fn slot(name: &str) -> SlotName {
    SlotName::new(name)
}
