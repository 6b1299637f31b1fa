//! What `doctor` prints: the guarantee of each cutover on this host, then what was found.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use crate::doctor::{Diagnosis, Finding, Guarantee, Promise, Severity};
use crate::model::desired::CutoverMode;
use crate::model::setup::Check;
use crate::report::json::FORMAT_VERSION;
use crate::report::markdown::{cell, prose};
use crate::report::palette::Palette;

/// What `doctor -o json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(title = "slotd doctor")]
pub struct DoctorDocument {
    /// 1; later 1.x only add.
    pub format_version: u32,
    /// By name.
    pub services: Vec<DiagnosisDocument>,
}

/// The judgement of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DiagnosisDocument {
    /// Which.
    pub name: String,
    /// The cutover that the manifest asks for: `flag` or `reload`.
    pub cutover: String,
    /// Of nginx: the version that runs, else the one on disk; null where there is none.
    pub nginx: Option<String>,
    /// What each cutover is worth here.
    pub guarantees: Vec<GuaranteeDocument>,
    /// The worst first.
    pub findings: Vec<FindingDocument>,
}

/// What one cutover is worth here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GuaranteeDocument {
    /// `flag` or `reload`.
    pub cutover: String,
    /// What it costs.
    pub promise: Promise,
    /// The same in one sentence.
    pub sentence: String,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FindingDocument {
    /// How bad it is for the cutover that the manifest asks for.
    pub severity: Severity,
    /// One of a closed list.
    pub check: Check,
    /// `FILE:LINE`, or a file; null where it is in no file.
    pub at: Option<String>,
    /// What was found.
    pub found: String,
    /// What it leads to.
    pub means: String,
    /// What to do.
    pub mend: String,
}

/// The document.
pub fn document(all: &[Diagnosis]) -> DoctorDocument {
    DoctorDocument { format_version: FORMAT_VERSION, services: all.iter().map(diagnosis).collect() }
}

fn diagnosis(one: &Diagnosis) -> DiagnosisDocument {
    let guarantee = |guarantee: &Guarantee| GuaranteeDocument {
        cutover: word(guarantee.cutover).to_owned(),
        promise: guarantee.promise,
        sentence: guarantee.sentence.clone(),
    };
    DiagnosisDocument {
        name: one.service.to_string(),
        cutover: word(one.cutover).to_owned(),
        nginx: one.version.clone(),
        guarantees: one.guarantees.iter().map(guarantee).collect(),
        findings: one.findings.iter().map(finding).collect(),
    }
}

fn finding(Finding { severity, fault }: &Finding) -> FindingDocument {
    FindingDocument {
        severity: *severity,
        check: fault.check,
        at: fault.at.as_ref().map(ToString::to_string),
        found: fault.found.clone(),
        means: fault.means.clone(),
        mend: fault.mend.clone(),
    }
}

fn word(cutover: CutoverMode) -> &'static str {
    match cutover {
        CutoverMode::Flag => "flag",
        CutoverMode::Reload => "reload",
    }
}

/// For a person: one block a service.
pub fn human(out: &mut dyn Write, all: &[Diagnosis], paint: &Palette) -> io::Result<()> {
    for (index, one) in all.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}: {}", paint.strong(&one.service), one.nginx)?;
        let (asked, instead): (Vec<_>, Vec<_>) = one.guarantees.iter().partition(|guarantee| guarantee.cutover == one.cutover);
        for guarantee in asked.into_iter().chain(instead) {
            let asked = if guarantee.cutover == one.cutover { "cutover" } else { "instead" };
            writeln!(out, "  {asked}  {:<6}  {}", word(guarantee.cutover), promised(guarantee, paint))?;
        }
        if one.findings.is_empty() {
            writeln!(out, "  nothing to change")?;
        }
        one.findings.iter().try_for_each(|finding| found(out, finding, paint))?;
    }
    Ok(())
}

fn promised(guarantee: &Guarantee, paint: &Palette) -> String {
    match guarantee.promise {
        Promise::NoneLost => paint.good(&guarantee.sentence).to_string(),
        Promise::IdleClosed | Promise::Unknown => guarantee.sentence.clone(),
        Promise::Broken => paint.bad(&guarantee.sentence).to_string(),
    }
}

fn found(out: &mut dyn Write, Finding { severity, fault }: &Finding, paint: &Palette) -> io::Result<()> {
    let word = match severity {
        Severity::Error => paint.bad(severity.word()).to_string(),
        Severity::Warning => paint.strong(severity.word()).to_string(),
        Severity::Note => paint.faint(severity.word()).to_string(),
    };
    let at = fault.at.as_ref().map_or_else(String::new, |at| format!(" at {at}"));
    writeln!(out, "  {word} {}{at}: {}", fault.check.word(), fault.found)?;
    writeln!(out, "      {}", paint.faint(format_args!("so: {}", fault.means)))?;
    writeln!(out, "      {}", paint.faint(format_args!("do: {}", fault.mend)))
}

/// For a pull request: two tables a service.
pub fn markdown(out: &mut dyn Write, all: &[Diagnosis]) -> io::Result<()> {
    for one in all {
        writeln!(out, "### {}: {}\n", one.service, prose(&one.nginx))?;
        writeln!(out, "| cutover | on this host |\n| --- | --- |")?;
        for guarantee in &one.guarantees {
            let asked = if guarantee.cutover == one.cutover { " (asked for)" } else { "" };
            writeln!(out, "| `{}`{asked} | {} |", word(guarantee.cutover), cell(&guarantee.sentence))?;
        }
        writeln!(out)?;
        findings(out, &one.findings)?;
    }
    Ok(())
}

fn findings(out: &mut dyn Write, findings: &[Finding]) -> io::Result<()> {
    if findings.is_empty() {
        return writeln!(out, "Nothing to change.\n");
    }
    writeln!(out, "| severity | check | where | found | so | do |\n| --- | --- | --- | --- | --- | --- |")?;
    for Finding { severity, fault } in findings {
        let at = fault.at.as_ref().map_or_else(|| "-".to_owned(), |at| cell(&at.to_string()));
        let [found, means, mend] = [&fault.found, &fault.means, &fault.mend].map(|text| cell(text));
        writeln!(out, "| {} | {} | {at} | {found} | {means} | {mend} |", severity.word(), cell(fault.check.word()))?;
    }
    writeln!(out)
}
