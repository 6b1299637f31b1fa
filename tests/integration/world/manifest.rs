//! Manifests as the contract's defaults make them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use slotd::model::desired::{
    CutoverMode, DesiredState, HealthSpec, JarSpec, LaunchSpec, NginxSpec, OnCrash, PortConflict, Promote, ProxySpec, Scheme,
    ServiceSpec, SlotPolicy, SlotSpec, Standby, Upstream,
};
use slotd::model::id::{Digest, Port, ServiceName, SlotName};
use slotd::plan::Orphans;
use slotd::reconcile::Goal;

use super::World;
use super::processes::Behaviour;

/// `webservice` with `real1` on 8081 and `real2` on 8082.
pub(crate) fn webservice(version: &str) -> ServiceSpec {
    service("webservice", version, 8081)
}

/// A service with two slots from this port on.
pub(crate) fn service(name: &str, version: &str, port: u16) -> ServiceSpec {
    let include = PathBuf::from(format!("/etc/nginx/conf.d/{name}.inc"));
    ServiceSpec {
        name: ServiceName::new(name),
        moved_from: None,
        jar: JarSpec { version: version.to_owned(), path: jar_path(name, version), sha256: None, rollback_safe: true },
        slots: vec![slot("real1", port), slot("real2", port + 1)],
        slot_policy: policy(),
        launch: launch(),
        health: health(),
        proxy: ProxySpec {
            url: Some("http://127.0.0.1/profile".to_owned()),
            host: None,
            ca: None,
            flag_dir: super::nginx::flag_dir(&include),
            upstream: Upstream::Address,
            pool_include: super::nginx::pool_include(&include),
            include,
            variable: "service_url".to_owned(),
            upstream_host: "127.0.0.1".to_owned(),
            cutover: CutoverMode::Flag,
            nginx: NginxSpec {
                binary: "nginx".to_owned(),
                config: "/etc/nginx/nginx.conf".into(),
                pid_file: None,
                reload_command: None,
            },
        },
    }
}

fn jar_path(name: &str, version: &str) -> PathBuf {
    format!("/build/{name}-{version}.jar").into()
}

/// The same manifest with another version.
pub(crate) fn renamed(spec: &ServiceSpec, version: &str) -> ServiceSpec {
    let path = jar_path(spec.name.as_str(), version);
    ServiceSpec { jar: JarSpec { version: version.to_owned(), path, ..spec.jar.clone() }, ..spec.clone() }
}

pub(crate) fn slot(name: &str, port: u16) -> SlotSpec {
    SlotSpec { name: SlotName::new(name), port: Port(port) }
}

fn policy() -> SlotPolicy {
    SlotPolicy {
        standby: Standby::Running,
        standby_for: None,
        drain: Duration::from_secs(30),
        drain_deadline: Duration::from_secs(120),
        promote: Promote::Auto,
        bake: Duration::from_secs(60),
        on_crash: OnCrash::Standby,
        max_attempts: 3,
        port_conflict: PortConflict::SameApp,
    }
}

fn launch() -> LaunchSpec {
    LaunchSpec {
        java: "java".to_owned(),
        jvm_args: Vec::new(),
        args: Vec::new(),
        profiles: vec!["{slot}".to_owned()],
        config_locations: Vec::new(),
        env: BTreeMap::new(),
        env_file: None,
        user: None,
        working_dir: None,
        stop_timeout: Duration::from_secs(40),
        boot: slotd::model::desired::Boot::Auto,
    }
}

fn health() -> HealthSpec {
    HealthSpec {
        scheme: Scheme::Http,
        ports: BTreeMap::new(),
        path: "/profile".to_owned(),
        status: 200,
        expect: Some("{slot}".to_owned()),
        interval: Duration::from_millis(100),
        timeout: Duration::from_secs(2),
        successes: 2,
        deadline: Duration::from_secs(300),
    }
}

/// The goal of a manifest with these services.
pub(crate) fn goal(services: &[ServiceSpec]) -> Goal {
    let services = services.iter().map(|s| (s.name.clone(), s.clone())).collect();
    Goal { desired: DesiredState { services }, only: None, orphans: Orphans::Keep, lock_timeout: Duration::from_secs(10) }
}

/// The same, about some services only.
pub(crate) fn only(goal: &Goal, name: &str) -> Goal {
    Goal { only: Some(BTreeSet::from([ServiceName::new(name)])), ..goal.clone() }
}

impl World {
    /// Puts a jar where the manifest names it, with bytes of its own, and says how they behave.
    pub(crate) fn build(&self, spec: &ServiceSpec, behaviour: Behaviour) -> Digest {
        let digest = self.bytes(spec, &format!("{}-{}", spec.name, spec.jar.version));
        self.touch().behaviours.insert(digest.clone(), behaviour);
        digest
    }

    /// Puts these bytes where the manifest names its jar.
    pub(crate) fn bytes(&self, spec: &ServiceSpec, content: &str) -> Digest {
        let digest = Digest::new(content);
        let mut state = self.touch();
        state.put_jar(spec.jar.path.clone(), digest.clone());
        state.judge.watch(spec.proxy.include.clone());
        state.judge.limit.insert(spec.name.clone(), spec.slots.len());
        digest
    }
}

impl super::State {
    /// A new file with these bytes.
    pub(crate) fn put_jar(&mut self, path: PathBuf, digest: Digest) {
        self.due += 1;
        let inode = self.due;
        self.jars.insert(path, (digest, inode));
    }
}
