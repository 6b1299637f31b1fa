//! What this very host guarantees around a cutover, and what to change for more: the judgement of `slotd doctor`.
//!
//! Pure: it is given what was seen and changes nothing. Nothing here decides what a pass does; that is `plan`'s alone.

mod checks;
mod guarantee;
mod nginx;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::desired::{CutoverMode, ServiceSpec};
use crate::model::id::ServiceName;
use crate::model::setup::{Fault, Setup};

/// How bad a finding is for the cutover that the manifest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is lost; it matters to the other cutover, or some day.
    Note,
    /// Requests can be lost or answered wrongly around a deployment, or a deployment can be held.
    Warning,
    /// The route or the cutover does not work here; slotd refuses it.
    Error,
}

impl Severity {
    /// The word of the document.
    pub fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a cutover costs users here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// No request is lost.
    NoneLost,
    /// None on a fresh connection; a client that is just reusing an idle one may see it reset.
    IdleClosed,
    /// The cutover does not work here: see the errors.
    Broken,
    /// Nothing can be said.
    Unknown,
}

/// What one cutover is worth here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarantee {
    /// Which cutover.
    pub cutover: CutoverMode,
    /// What it costs.
    pub promise: Promise,
    /// The same in one sentence.
    pub sentence: String,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// What.
    pub fault: Fault,
}

/// The judgement of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Which.
    pub service: ServiceName,
    /// What the manifest asks for.
    pub cutover: CutoverMode,
    /// nginx in a few words: `nginx 1.22.1 (master 4711)`.
    pub nginx: String,
    /// The version that runs, else the one on disk.
    pub version: Option<String>,
    /// By flag, then by reload.
    pub guarantees: [Guarantee; 2],
    /// The worst first.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Whether the cutover that the manifest asks for is as good here as it can be: nothing worse than a note.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Note)
    }
}

/// Judges a set-up.
pub fn examine(service: &ServiceSpec, setup: &Setup) -> Diagnosis {
    let version = setup.nginx.known().map(|nginx| nginx.version.clone()).or_else(|| setup.on_disk.clone());
    let seen = checks::Seen { service, setup, version: version.as_deref().map(nginx::Version::of) };
    let mut findings = checks::findings(&seen);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Diagnosis {
        service: service.name.clone(),
        cutover: service.proxy.cutover,
        nginx: named(setup, version.as_deref()),
        guarantees: [CutoverMode::Flag, CutoverMode::Reload].map(|cutover| guarantee::of(&seen, cutover)),
        version,
        findings,
    }
}

fn named(setup: &Setup, version: Option<&str>) -> String {
    let version = version.map_or_else(|| "nginx".to_owned(), |version| format!("nginx {version}"));
    match setup.nginx.known() {
        Some(nginx) => format!("{version} (master {})", nginx.master.pid),
        None if setup.nginx.is_absent() => format!("{version}, which does not run"),
        None => format!("{version}, not identified"),
    }
}
