//! What `desired.yaml` asks, checked and with every default filled in. Made by `manifest`, never changed afterwards.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::id::{Digest, Port, ServiceName, SlotName};

/// Every service of one manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredState {
    /// By name; a manifest names at least one.
    pub services: BTreeMap<ServiceName, ServiceSpec>,
}

/// One service as the manifest wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// The key under `services`.
    pub name: ServiceName,
    /// The name under which this service was known before.
    pub moved_from: Option<ServiceName>,
    /// Which bytes.
    pub jar: JarSpec,
    /// At least two places, in the order of the manifest.
    pub slots: Vec<SlotSpec>,
    /// What becomes of the slots around a cutover.
    pub slot_policy: SlotPolicy,
    /// How the process is started.
    pub launch: LaunchSpec,
    /// When it may take traffic.
    pub health: HealthSpec,
    /// How users reach it.
    pub proxy: ProxySpec,
}

/// The jar that the manifest names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JarSpec {
    /// What people call it.
    pub version: String,
    /// Absolute.
    pub path: PathBuf,
    /// What the bytes must hash to, where the manifest says so.
    pub sha256: Option<Digest>,
    /// Whether an earlier release can serve again once this one has; a ledger of before it was there takes it for granted.
    #[serde(default = "JarSpec::is_safe")]
    pub rollback_safe: bool,
}

impl JarSpec {
    /// What is taken for granted.
    fn is_safe() -> bool {
        true
    }
}

/// A named place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotSpec {
    /// `real1`
    pub name: SlotName,
    /// Where its process listens.
    pub port: Port,
}

/// What becomes of a slot that has drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standby {
    /// It goes on running: a warm way back.
    Running,
    /// It is stopped in place (SIGSTOP): it uses no CPU and runs no timer, and is there again as soon as it is continued.
    Frozen,
    /// It is stopped.
    Stopped,
}

/// Who lets a ready candidate take the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promote {
    /// slotd, as soon as it is ready.
    Auto,
    /// A person, by `slotd promote`.
    Manual,
}

/// What a crash of the live slot, later than `bake`, leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCrash {
    /// Traffic to the ready standby at once; the release is started again and goes forward when it is ready.
    Standby,
    /// The release is started again where it was.
    Restart,
}

/// What may be stopped to free an idle slot's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortConflict {
    /// Nothing: every conflict is a hold.
    Nothing,
    /// A leftover of ours.
    Own,
    /// That, and an orphan of the same application that others started.
    SameApp,
}

/// How the JVM is to be started. Not part of the release: it counts from the next start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boot {
    /// `java -jar`.
    Jar,
    /// From the jars that slotd has unpacked, where it understands the jar.
    Extracted,
    /// That, with an archive of its classes, which slotd trains by starting the application once more.
    Cds,
    /// The fastest way that is safe and costs nothing.
    #[default]
    Auto,
}

/// `slot_policy` of the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotPolicy {
    /// What becomes of the old slot once it has drained.
    pub standby: Standby,
    /// A running or frozen standby is stopped after this long; `None`: kept until its slot is needed.
    pub standby_for: Option<Duration>,
    /// The old slot stays reachable at least this long after a cutover.
    pub drain: Duration,
    /// Connections still open may keep it at most this long after a cutover.
    pub drain_deadline: Duration,
    /// Who lets the candidate take traffic.
    pub promote: Promote,
    /// For this long after a cutover a failure of the new live slot goes back and quarantines its release.
    pub bake: Duration,
    /// What a later failure leads to.
    pub on_crash: OnCrash,
    /// Failed starts, or later crashes within ten minutes, before quarantine.
    pub max_attempts: u32,
    /// What may be stopped to free a port.
    pub port_conflict: PortConflict,
}

/// `launch` of the manifest. Strings may hold `{slot} {port} {service} {version}`, which are filled in at the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// A path, or a name looked up in `PATH`.
    pub java: String,
    /// Before `-jar`.
    pub jvm_args: Vec<String>,
    /// After the jar.
    pub args: Vec<String>,
    /// `-Dspring.profiles.active`
    pub profiles: Vec<String>,
    /// `-Dspring.config.location`, in order.
    pub config_locations: Vec<String>,
    /// Beside `SERVER_PORT`.
    pub env: BTreeMap<String, String>,
    /// `KEY=VALUE` lines, absolute; its content is part of the release.
    pub env_file: Option<PathBuf>,
    /// Run as this user.
    pub user: Option<String>,
    /// `None`: STATE/services/NAME/work.
    pub working_dir: Option<PathBuf>,
    /// TERM, this long, then KILL. Not part of the release: it never reaches the process.
    pub stop_timeout: Duration,
    /// How the JVM is started. Not part of the release either; a ledger of before it was there has none.
    #[serde(default)]
    pub boot: Boot,
}

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Plain.
    Http,
    /// TLS; the certificate of a slot on the loopback address is not verified.
    Https,
}

/// `health` of the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthSpec {
    /// How the slot is asked.
    pub scheme: Scheme,
    /// A management port by slot; empty: the slot's own.
    pub ports: BTreeMap<SlotName, Port>,
    /// Begins with `/`.
    pub path: String,
    /// The one status that is good.
    pub status: u16,
    /// The whole body, trimmed, with placeholders; `None`: the status alone.
    pub expect: Option<String>,
    /// Between two questions.
    pub interval: Duration,
    /// For one question.
    pub timeout: Duration,
    /// Good answers in a row.
    pub successes: u32,
    /// From the start of the process.
    pub deadline: Duration,
}

/// How traffic is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutoverMode {
    /// A file whose existence nginx looks at for each request: one system call, no reload.
    Flag,
    /// One line in the include and one reload.
    Reload,
}

/// By which name nginx knows a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upstream {
    /// Its address: a connection for each request.
    #[default]
    Address,
    /// A named `upstream`, whose connections nginx keeps.
    Pool,
}

/// `proxy` of the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxySpec {
    /// Asked through nginx: which slot do users reach? `None`: not asked.
    pub url: Option<String>,
    /// `Host` header (and TLS name) for that question.
    pub host: Option<String>,
    /// PEM file of a private CA for that question.
    pub ca: Option<PathBuf>,
    /// Absolute path of `service-url.inc`.
    pub include: PathBuf,
    /// Without the dollar sign.
    pub variable: String,
    /// The address nginx reaches the slots at, an IP literal.
    pub upstream_host: String,
    /// How traffic is moved.
    pub cutover: CutoverMode,
    /// Absolute; by default `<include>.live` beside the include.
    pub flag_dir: PathBuf,
    /// By which name nginx knows the slots; a ledger of before it was there has addresses.
    #[serde(default)]
    pub upstream: Upstream,
    /// Absolute path of the file of the pools, by default `<include>.pool.conf`; written for [`Upstream::Pool`] alone.
    #[serde(default)]
    pub pool_include: PathBuf,
    /// Which nginx.
    pub nginx: NginxSpec,
}

/// `proxy.nginx` of the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NginxSpec {
    /// A path, or a name looked up in `PATH`.
    pub binary: String,
    /// Absolute.
    pub config: PathBuf,
    /// `None`: what the configuration or the build says.
    pub pid_file: Option<PathBuf>,
    /// A command to reload with instead of a signal, split at blanks, run without a shell.
    pub reload_command: Option<Vec<String>>,
}

impl ServiceSpec {
    /// The port that the manifest gives a slot; `None` for a place outside the manifest.
    pub fn port_of(&self, slot: &SlotName) -> Option<Port> {
        self.slots.iter().find(|s| s.name == *slot).map(|s| s.port)
    }

    /// The slot that listens on a port.
    pub fn slot_at(&self, port: Port) -> Option<&SlotName> {
        self.slots.iter().find(|s| s.port == port).map(|s| &s.name)
    }
}

/// Fills `{slot} {port} {service} {version}` in.
pub fn fill(text: &str, service: &ServiceName, slot: &SlotName, port: Port, version: &str) -> String {
    text.replace("{slot}", slot.as_str())
        .replace("{port}", &port.to_string())
        .replace("{service}", service.as_str())
        .replace("{version}", version)
}
