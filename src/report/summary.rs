//! How a verb that changes something ended.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::id::ServiceName;
use crate::plan::{Plan, ServicePlan};
use crate::report::human;
use crate::report::palette::Palette;
use crate::report::wording;

/// How it ended, in the words of the exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Exit code 0.
    Done,
    /// Exit code 3.
    Held,
    /// Exit code 1.
    Failed,
}

/// The end of `apply`, `rollback` and their like.
#[derive(Clone, Debug)]
pub struct Ending {
    /// How the services stand.
    pub plan: Plan,
    /// How it ended.
    pub outcome: Outcome,
    /// What a person decided.
    pub decided: Vec<Said>,
    /// What failed, each with the chain of its causes.
    pub errors: Vec<String>,
    /// What a person should know besides the services; standard error has said it already.
    pub notes: Vec<String>,
}

/// What a person decided about a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Which.
    pub service: ServiceName,
    /// One sentence.
    pub decision: String,
    /// Why what was asked for is not so; `None`: it is.
    pub missing: Option<String>,
}

/// The last lines of an `apply`: `webservice: converged, 1.0.2 live on real2 (pid 4711)`.
pub fn human(out: &mut dyn Write, ending: &Ending, paint: &Palette) -> io::Result<()> {
    for Said { service, decision, missing } in &ending.decided {
        writeln!(out, "{}: {decision}", paint.strong(service))?;
        missing.iter().try_for_each(|why| writeln!(out, "{}: {} {why}", paint.strong(service), paint.bad("not done:")))?;
    }
    ending.plan.services.iter().try_for_each(|service| one(out, service, paint))?;
    ending.errors.iter().try_for_each(|error| writeln!(out, "{} {error}", paint.bad("failed:")))
}

fn one(out: &mut dyn Write, service: &ServicePlan, paint: &Palette) -> io::Result<()> {
    let reasons = wording::reasons(service);
    let because = if reasons.is_empty() { String::new() } else { format!(" ({reasons})") };
    let live = wording::live_sentence(&service.view);
    writeln!(out, "{}: {}{because}, {live}", paint.strong(&service.name), paint.status(service.status))?;
    human::holds_and_notes(out, service, paint)
}
