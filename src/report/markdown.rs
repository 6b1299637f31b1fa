//! Plans, statuses and histories for a comment on a pull request.

use std::io::{self, Write};

use crate::plan::hold::Hold;
use crate::plan::{Plan, ServicePlan};
use crate::report::history::HistoryDocument;
use crate::report::summary::{Ending, Outcome, Said};
use crate::report::wording;

/// A table of the services, a collapsed block with the difference and the steps of each, the plan's id.
pub fn plan(out: &mut dyn Write, plan: &Plan) -> io::Result<()> {
    writeln!(out, "### slotd plan\n\n{}\n", wording::gist(plan))?;
    writeln!(out, "| service | status | live | desired | steps | holds |\n| --- | --- | --- | --- | ---: | --- |")?;
    for service in &plan.services {
        plan_row(out, service)?;
    }
    writeln!(out)?;
    plan.services.iter().filter(|s| !wording::is_quiet(s)).try_for_each(|service| details(out, service))?;
    writeln!(out, "plan id: `{}`", plan.id)
}

fn plan_row(out: &mut dyn Write, service: &ServicePlan) -> io::Result<()> {
    let live = cell(&live(service));
    let desired = cell(service.view.desired_version.as_deref().unwrap_or("-"));
    let (name, status, steps) = (&service.name, service.status, service.steps.len());
    writeln!(out, "| {name} | {status} | {live} | {desired} | {steps} | {} |", cell(&wording::reasons(service)))
}

fn live(service: &ServicePlan) -> String {
    let slot = wording::live(&service.view);
    slot.map_or_else(
        || "-".to_owned(),
        |s| format!("{} on {}", s.running.as_ref().map_or("unknown", |r| r.version.as_str()), s.slot),
    )
}

fn details(out: &mut dyn Write, service: &ServicePlan) -> io::Result<()> {
    writeln!(out, "<details><summary>{}</summary>\n", service.name)?;
    diff(out, service)?;
    holds(out, &service.holds)?;
    for (index, step) in service.steps.iter().enumerate() {
        writeln!(out, "{}. {} <br/>_{}_", index + 1, prose(&step.act.to_string()), prose(&step.why))?;
    }
    if let Some(starts) = wording::expected(service) {
        writeln!(out, "\nExpected: start {starts}")?;
    }
    if !service.steps.is_empty() {
        writeln!(out)?;
    }
    if !service.ahead.is_empty() {
        writeln!(out, "And then held:\n")?;
    }
    holds(out, &service.ahead)?;
    notes(out, service)?;
    writeln!(out, "</details>\n")
}

/// The difference as GitHub colours it; a fence longer than any in the text, so that no text ends it.
fn diff(out: &mut dyn Write, service: &ServicePlan) -> io::Result<()> {
    if service.drift.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = service
        .drift
        .iter()
        .flat_map(|d| {
            let (path, evidence) = (&d.path, &d.evidence);
            [format!("  {path}  # {evidence}"), format!("- {path}: {}", d.observed), format!("+ {path}: {}", d.desired)]
        })
        .map(|line| one_line(&line))
        .collect();
    let text = lines.join("\n");
    let fence = if text.contains("```") { "``````" } else { "```" };
    writeln!(out, "{fence}diff\n{text}\n{fence}\n")
}

fn holds(out: &mut dyn Write, holds: &[Hold]) -> io::Result<()> {
    for hold in holds {
        let (detail, until) = (prose(&hold.detail), prose(&hold.until));
        writeln!(out, "- **{}** ({}): {detail}. Until: {until}", hold.reason, hold.kind())?;
    }
    if holds.is_empty() { Ok(()) } else { writeln!(out) }
}

fn notes(out: &mut dyn Write, service: &ServicePlan) -> io::Result<()> {
    service.notes.iter().try_for_each(|note| writeln!(out, "> {}\n", prose(note)))
}

/// A table of the services and what holds them.
pub fn status(out: &mut dyn Write, plan: &Plan) -> io::Result<()> {
    writeln!(out, "### slotd status\n")?;
    table(out, plan)
}

/// The status with how the verb ended.
pub fn ending(out: &mut dyn Write, ending: &Ending) -> io::Result<()> {
    let word = match ending.outcome {
        Outcome::Done => "done",
        Outcome::Held => "held",
        Outcome::Failed => "failed",
    };
    writeln!(out, "### slotd: {word}\n")?;
    for Said { service, decision, missing } in &ending.decided {
        writeln!(out, "{service}: {}\n", prose(decision))?;
        missing.iter().try_for_each(|why| writeln!(out, "{service}: **not done**: {}\n", prose(why)))?;
    }
    table(out, &ending.plan)?;
    ending.errors.iter().try_for_each(|error| writeln!(out, "- **failed**: {}", prose(error)))
}

fn table(out: &mut dyn Write, plan: &Plan) -> io::Result<()> {
    writeln!(out, "| service | status | live | desired | route | rollback |\n| --- | --- | --- | --- | --- | --- |")?;
    for service in &plan.services {
        let view = &service.view;
        let desired = cell(view.desired_version.as_deref().unwrap_or("-"));
        let (live, rollback, route) = (cell(&live(service)), cell(&wording::rollback(view)), wording::witnesses(view));
        writeln!(out, "| {} | {} | {live} | {desired} | {route} | {rollback} |", service.name, service.status)?;
    }
    writeln!(out)?;
    plan.services.iter().try_for_each(|service| {
        holds(out, &service.holds)?;
        notes(out, service)
    })
}

/// A table of deployments for each service, newest first: a comment is read from its top.
pub fn history(out: &mut dyn Write, history: &HistoryDocument) -> io::Result<()> {
    for service in &history.services {
        writeln!(out, "### {}\n", service.name)?;
        writeln!(out, "| began | version | slot | outcome | took | why |\n| --- | --- | --- | --- | ---: | --- |")?;
        for one in service.deployments.iter().rev() {
            let (version, why) = (cell(&one.version), cell(one.why.as_deref().unwrap_or("")));
            let took = wording::span(one.took());
            writeln!(out, "| {} | {version} | {} | {} | {took} | {why} |", one.began, one.slot, one.outcome)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// A text that breaks no table.
pub(super) fn cell(text: &str) -> String {
    prose(text).replace('|', "\\|")
}

/// A text that is no markup, whatever a manifest or a log line put into it.
pub(super) fn prose(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in one_line(text).chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '@' => safe.extend(['\\', c]),
            other => safe.push(other),
        }
    }
    safe
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_log_line_says_is_never_markup() {
        assert_eq!(cell("a|b\n<img> `x` @all"), "a\\|b &lt;img&gt; \\`x\\` \\@all");
    }
}
