//! Non-vacuity: whatever can happen has happened somewhere, or the check fails; what cannot is listed with why.

use std::collections::BTreeSet;

use slotd::model::status::Reason;
use slotd::plan::step::Act;

use crate::check::Case;
use crate::report::Row;

/// Every kind of move.
const MOVES: [&str; 64] = [
    "Look",
    "KilledSilent",
    "Refused",
    "Failed",
    "Step",
    "KilledBefore",
    "KilledBehind",
    "Stolen",
    "Ready",
    "Ends",
    "Ended",
    "InUse",
    "Closes",
    "Reloads",
    "OldStop",
    "NginxUp",
    "Deadline",
    "StopOver",
    "Woken",
    "CutAges",
    "LeftAges",
    "HupAges",
    "Window",
    "Recovers",
    "Leaves",
    "Mended",
    "JarBack",
    "Check",
    "Request",
    "Crash",
    "Flap",
    "Wrong",
    "Hang",
    "Taken",
    "SameApp",
    "NginxDies",
    "ReloadLost",
    "Broken",
    "EditOther",
    "EditGarbage",
    "EditGone",
    "FlagGone",
    "FlagTooMany",
    "JarTorn",
    "JarGone",
    "StoreTorn",
    "LedgerLost",
    "LedgerOlder",
    "Manifest",
    "Reboot",
    "verb rollback",
    "verb promote",
    "verb pause",
    "verb resume",
    "verb retry",
    "verb restart",
    "verb down",
    "unknown Process",
    "unknown Port",
    "unknown Probe",
    "unknown Include",
    "unknown Nginx",
    "unknown Loaded",
    "unknown Jar",
];

/// Steps that the model cannot need.
const NO_STEP: [(&str, &str); 2] = [
    ("mark", "no manifest of the model says that a release is not safe to go back from"),
    ("collect", "five releases are kept beyond those of the slots, and the model has five"),
];

/// Reasons that the model cannot give.
const NO_REASON: [(Reason, &str); 14] = [
    (Reason::ProxyUnverified, "as a plan's hold it is given when nginx cannot be read; counted under unknown Nginx"),
    (Reason::ConfigBroken, "made by the executor of a refused write or reload, not by the planner"),
    (Reason::RouteFailed, "made by the executor when a file cannot be written"),
    (Reason::FlagUnfit, "the model's nginx configuration is fit for flags"),
    (Reason::LowMemory, "the model has memory enough"),
    (Reason::LaunchUnfit, "the model has java, no other user and no env_file"),
    (Reason::OwnedElsewhere, "one state folder"),
    (Reason::Superseded, "made by the pass, which compares its manifest with the accepted one"),
    (Reason::RollbackUnsafe, "no manifest of the model says that a release is not safe to go back from"),
    (Reason::NoRelease, "no rule of the planner gives it"),
    (Reason::NotStopped, "KILL ends every process of the model"),
    (Reason::RouteSplit, "reported where met: two witnesses disagree only while an observation is stale"),
    (Reason::LastSlot, "reported where met"),
    (Reason::ArtifactUnfit, "reported where met"),
];

/// What was not met and should have been.
pub(crate) fn missing(rows: &[Row]) -> Vec<String> {
    let moves: BTreeSet<String> = rows.iter().flat_map(|r| r.met.labels.values().map(|l| l.word())).collect();
    let steps: BTreeSet<&str> = rows.iter().flat_map(|r| r.met.steps.keys().copied()).collect();
    let holds = rows.iter().fold(0, |all, r| all | r.met.holds);
    let met = |reason: &Reason| Reason::ALL.iter().position(|r| r == reason).is_some_and(|at| holds & (1 << at) != 0);
    let no_move = MOVES.iter().filter(|m| !moves.contains(**m)).map(|m| format!("move {m}"));
    let no_step = Act::KINDS.iter().filter(|s| !steps.contains(*s) && !NO_STEP.iter().any(|(n, _)| n == *s));
    let no_reason = Reason::ALL.iter().filter(|r| !met(r) && !NO_REASON.iter().any(|(n, _)| n == *r));
    let no_case = Case::ALL.iter().filter(|case| !case.is_met()).map(|case| format!("case {case:?}"));
    no_case.chain(no_move).chain(no_step.map(|s| format!("step {s}"))).chain(no_reason.map(|r| format!("reason {r}"))).collect()
}
