//! The configurations that are explored: a manifest's policies, where the host begins, which manifests may follow.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use slotd::model::desired::{
    Boot, CutoverMode, DesiredState, HealthSpec, JarSpec, LaunchSpec, NginxSpec, OnCrash, PortConflict, Promote, ProxySpec,
    Scheme, ServiceSpec, SlotPolicy, SlotSpec, Standby, Upstream,
};
use slotd::model::id::{Digest, Port, ServiceName, SlotName};
use slotd::model::release::Release;
use slotd::plan::Orphans;

use crate::family::Families;
use crate::model::{BAD, DIES, FIRST, HANGS, RELEASES, SECOND};

/// Failures of a release that are counted at most: no policy here allows more, and the planner asks nothing beyond "several".
pub(crate) const FAILURES: u8 = 2;

/// What a manifest has to say about the service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// It names it.
    Wanted,
    /// It does not, and the service goes on.
    Orphan,
    /// It does not, and a person prunes.
    Pruned,
}

/// One manifest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wish {
    pub(crate) rel: u8,
    /// 0, or 1 for another name of the same bytes.
    pub(crate) label: u8,
    /// Which health settings.
    pub(crate) health: u8,
    pub(crate) kind: Kind,
}

/// A manifest that asks for a release.
pub(crate) const fn wish(rel: u8) -> Wish {
    Wish { rel, label: 0, health: 0, kind: Kind::Wanted }
}

/// Where the host begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Begin {
    /// The first release serves, converged, and then the first manifest of the list is accepted.
    Serving,
    /// Nothing was ever deployed: no include, nginx down.
    Empty,
    /// The old scripts: a plain include and a process that slotd did not start.
    Scripts,
}

/// One configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) name: String,
    pub(crate) slots: u8,
    pub(crate) cutover: CutoverMode,
    pub(crate) standby: Standby,
    pub(crate) standby_for: bool,
    pub(crate) promote: Promote,
    pub(crate) on_crash: OnCrash,
    pub(crate) port_conflict: PortConflict,
    /// `proxy.url` is asked.
    pub(crate) proxied: bool,
    /// Failed starts before quarantine, 1 or 2; three would only make every path with failures longer.
    pub(crate) attempts: u8,
    pub(crate) begin: Begin,
    /// The manifest accepted first, and those that may follow.
    pub(crate) wishes: Vec<Wish>,
    pub(crate) slotds: u8,
    /// A request is followed through nginx's checks.
    pub(crate) request: bool,
    /// Ten minutes may pass, and starts are counted.
    pub(crate) window: bool,
    /// How many faults may happen, of which kinds.
    pub(crate) budget: u8,
    pub(crate) faults: Families,
    /// Failures are counted further than the policy does: only to check that this leads nowhere else.
    pub(crate) exact: bool,
    /// What the include leads to: addresses, or named pools in a file of their own, which is written before it and stands or falls with it.
    pub(crate) upstream: Upstream,
    /// How a JVM is to be started; a jar that is unpacked first is one more thing that a crash can leave half done.
    pub(crate) boot: Boot,
}

impl Config {
    /// Failures of a release that the state tells apart.
    pub(crate) fn counted(&self) -> u8 {
        if self.exact { FAILURES } else { self.attempts }
    }
}

/// What the planner is given by a configuration, made once.
pub(crate) struct Given {
    pub(crate) config: Config,
    pub(crate) service: ServiceName,
    pub(crate) names: Vec<SlotName>,
    /// By release and label.
    pub(crate) releases: Vec<[Release; 2]>,
    pub(crate) specs: Vec<ServiceSpec>,
    pub(crate) desired: Vec<(DesiredState, Orphans)>,
    /// The ledger that a backup would bring back: that of the beginning.
    pub(crate) older: crate::model::Mem,
}

/// The port of a slot.
pub(crate) fn port(slot: u8) -> Port {
    Port(8081 + u16::from(slot))
}

/// What people call a release.
pub(crate) fn label(rel: u8, label: u8) -> String {
    let name = match rel {
        FIRST => "first",
        SECOND => "second",
        BAD => "bad",
        DIES => "dies-later",
        HANGS => "hangs",
        _other => "unknown",
    };
    if label == 1 { format!("{name}-renamed") } else { name.to_owned() }
}

/// The digest of a release's jar.
pub(crate) fn digest(rel: u8) -> Digest {
    Digest::new(format!("{rel}").repeat(64))
}

/// How everything is started.
fn launch(boot: Boot) -> LaunchSpec {
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
        boot,
    }
}

/// The health settings of a variant.
pub(crate) fn health(variant: u8) -> HealthSpec {
    HealthSpec {
        scheme: Scheme::Http,
        ports: BTreeMap::new(),
        path: if variant == 0 { "/profile" } else { "/health" }.to_owned(),
        status: 200,
        expect: Some("{slot}".to_owned()),
        interval: Duration::from_millis(100),
        timeout: Duration::from_secs(2),
        successes: 2,
        deadline: Duration::from_secs(300),
    }
}

impl Config {
    fn policy(&self) -> SlotPolicy {
        SlotPolicy {
            standby: self.standby,
            standby_for: self.standby_for.then_some(Duration::from_secs(60)),
            drain: Duration::from_secs(30),
            drain_deadline: Duration::from_secs(60),
            promote: self.promote,
            bake: Duration::from_secs(50),
            on_crash: self.on_crash,
            max_attempts: u32::from(self.attempts),
            port_conflict: self.port_conflict,
        }
    }

    fn proxy(&self) -> ProxySpec {
        let nginx = NginxSpec {
            binary: "nginx".to_owned(),
            config: PathBuf::from("/etc/nginx/nginx.conf"),
            pid_file: None,
            reload_command: None,
        };
        ProxySpec {
            url: self.proxied.then(|| "http://127.0.0.1/profile".to_owned()),
            host: None,
            ca: None,
            include: PathBuf::from("/etc/nginx/conf.d/service-url.inc"),
            variable: "service_url".to_owned(),
            upstream_host: "127.0.0.1".to_owned(),
            cutover: self.cutover,
            flag_dir: PathBuf::from("/etc/nginx/conf.d/service-url.inc.live"),
            upstream: self.upstream,
            pool_include: PathBuf::from("/etc/nginx/conf.d/service-url.inc.pool.conf"),
            nginx,
        }
    }

    fn spec(&self, wish: Wish, service: &ServiceName, names: &[SlotName]) -> ServiceSpec {
        let slots = names.iter().zip(0..).map(|(name, at)| SlotSpec { name: name.clone(), port: port(at) });
        ServiceSpec {
            name: service.clone(),
            moved_from: None,
            jar: JarSpec {
                version: label(wish.rel, wish.label),
                path: PathBuf::from("/srv/app.jar"),
                sha256: None,
                rollback_safe: true,
            },
            slots: slots.collect(),
            slot_policy: self.policy(),
            launch: launch(self.boot),
            health: health(wish.health),
            proxy: self.proxy(),
        }
    }

    /// Everything that the planner is given.
    pub(crate) fn given(self) -> Given {
        let service = ServiceName::new("webservice");
        let names: Vec<_> = (1..=self.slots).map(|n| SlotName::new(format!("real{n}"))).collect();
        let specs: Vec<_> = self.wishes.iter().map(|w| self.spec(*w, &service, &names)).collect();
        let named = |spec: &ServiceSpec| DesiredState { services: [(service.clone(), spec.clone())].into() };
        let none = DesiredState { services: BTreeMap::new() };
        let desired = self.wishes.iter().zip(&specs).map(|(wish, spec)| match wish.kind {
            Kind::Wanted => (named(spec), Orphans::Keep),
            Kind::Orphan => (none.clone(), Orphans::Keep),
            Kind::Pruned => (none.clone(), Orphans::Retire),
        });
        let desired = desired.collect();
        let made = |rel: u8| [0, 1].map(|l| Release::new(&label(rel, l), digest(rel), launch(self.boot), None));
        let releases = (0..u8::try_from(RELEASES).unwrap_or(0)).map(made).collect();
        Given { config: self, service, names, releases, specs, desired, older: crate::act::forgotten() }
    }
}

impl Given {
    /// The number of a slot.
    pub(crate) fn slot(&self, name: &SlotName) -> u8 {
        let at = self.names.iter().position(|known| known == name).unwrap_or(usize::from(crate::model::NONE));
        u8::try_from(at).unwrap_or(crate::model::NONE)
    }

    /// The name of a slot.
    pub(crate) fn name(&self, slot: u8) -> SlotName {
        self.names.get(usize::from(slot)).cloned().unwrap_or_else(|| SlotName::new("nowhere"))
    }

    /// The manifest that is accepted.
    pub(crate) fn wish(&self, at: u8) -> Wish {
        self.config.wishes[usize::from(at)]
    }

    /// Every slot.
    pub(crate) fn all(&self) -> std::ops::Range<u8> {
        0..self.config.slots
    }
}
