//! Plans, statuses and histories for a person.

use std::io::{self, Write};

use crate::plan::drift::Drift;
use crate::plan::hold::Hold;
use crate::plan::step::Step;
use crate::plan::view::{Drain, SlotView};
use crate::plan::{Plan, ServicePlan};
use crate::report::drain;
use crate::report::history::{Deployment, HistoryDocument};
use crate::report::palette::Palette;
use crate::report::wording;

/// What `plan` prints: what differs and on what evidence, every step, every hold, the id.
pub fn plan(out: &mut dyn Write, plan: &Plan, paint: &Palette) -> io::Result<()> {
    for service in &plan.services {
        service_plan(out, service, paint)?;
    }
    writeln!(out, "{}", wording::gist(plan))?;
    if wording::pending(plan).1 > 0 {
        writeln!(out, "`slotd apply --plan {}` does this and nothing else.", plan.id)?;
    }
    writeln!(out, "plan {}", paint.strong(&plan.id))
}

fn service_plan(out: &mut dyn Write, service: &ServicePlan, paint: &Palette) -> io::Result<()> {
    let live = wording::live_sentence(&service.view);
    writeln!(out, "{}: {}, {live}", paint.strong(&service.name), paint.status(service.status))?;
    section(out, "differs", &service.drift, |out, _, item| drift(out, item, paint))?;
    section(out, "steps", &service.steps, |out, number, item| step(out, number, item, paint))?;
    if let Some(starts) = wording::expected(service) {
        writeln!(out, "  expected: start {starts}")?;
    }
    section(out, "and then held", &service.ahead, |out, _, item| hold(out, item, paint))?;
    holds_and_notes(out, service, paint)?;
    writeln!(out)
}

/// A heading and its items; nothing when there are none.
fn section<T>(
    out: &mut dyn Write,
    heading: &str,
    items: &[T],
    mut each: impl FnMut(&mut dyn Write, usize, &T) -> io::Result<()>,
) -> io::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "  {heading}:")?;
    items.iter().enumerate().try_for_each(|(index, item)| each(out, index + 1, item))
}

fn drift(out: &mut dyn Write, drift: &Drift, paint: &Palette) -> io::Result<()> {
    writeln!(out, "    ~ {}: {} -> {}", drift.path, paint.bad(&drift.observed), paint.good(&drift.desired))?;
    writeln!(out, "        {}", paint.faint(format_args!("evidence: {}", drift.evidence)))
}

fn step(out: &mut dyn Write, number: usize, step: &Step, paint: &Palette) -> io::Result<()> {
    writeln!(out, "  {number:>3}. {}", step.act)?;
    writeln!(out, "        {}", paint.faint(format_args!("why: {}", step.why)))?;
    writeln!(out, "        {}", paint.faint(format_args!("then: {}", step.expect)))
}

fn hold(out: &mut dyn Write, hold: &Hold, paint: &Palette) -> io::Result<()> {
    writeln!(out, "    {} ({}): {}", paint.hold(hold.kind(), hold.reason), hold.kind(), hold.detail)?;
    writeln!(out, "        {}", paint.faint(format_args!("until: {}", hold.until)))
}

/// What both `plan` and the end of an `apply` say below a service.
pub(super) fn holds_and_notes(out: &mut dyn Write, service: &ServicePlan, paint: &Palette) -> io::Result<()> {
    section(out, "holds", &service.holds, |out, _, item| hold(out, item, paint))?;
    section(out, "notes", &service.notes, |out, _, note| writeln!(out, "    {note}"))
}

/// What `status` prints: one block a service.
pub fn status(out: &mut dyn Write, plan: &Plan, paint: &Palette) -> io::Result<()> {
    if plan.services.is_empty() {
        return writeln!(out, "no services");
    }
    for (index, service) in plan.services.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        service_status(out, service, paint)?;
    }
    Ok(())
}

fn service_status(out: &mut dyn Write, service: &ServicePlan, paint: &Palette) -> io::Result<()> {
    let view = &service.view;
    writeln!(out, "{}: {}", paint.strong(&service.name), paint.status(service.status))?;
    writeln!(out, "  desired   {}", desired(service))?;
    writeln!(out, "  live      {}", wording::live_sentence(view))?;
    slots(out, service, paint)?;
    draining(out, view.drain.as_ref())?;
    writeln!(out, "  route     {}", wording::witnesses(view))?;
    for why in &view.route.unknown {
        writeln!(out, "            {}", paint.faint(why))?;
    }
    writeln!(out, "  rollback  {}", wording::rollback(view))?;
    for hold in &service.holds {
        writeln!(out, "  hold      {} ({}): {}", paint.hold(hold.kind(), hold.reason), hold.kind(), hold.detail)?;
        writeln!(out, "            {}", paint.faint(format_args!("until: {}", hold.until)))?;
    }
    service.notes.iter().try_for_each(|note| writeln!(out, "  note      {note}"))
}

fn desired(service: &ServicePlan) -> String {
    let view = &service.view;
    match (&view.desired, &view.desired_version) {
        (Some(wanted), _) => match &wanted.release {
            Some(release) => format!("{} ({release})", wanted.version),
            None => wanted.version.clone(),
        },
        (None, Some(version)) => format!("{version} (its jar cannot be read)"),
        (None, None) => "not in the manifest".to_owned(),
    }
}

/// The slots as a table whose columns are as wide as they must be.
fn slots(out: &mut dyn Write, service: &ServicePlan, paint: &Palette) -> io::Result<()> {
    let rows: Vec<[String; 6]> = service.view.slots.iter().map(slot_row).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    for (index, row) in rows.iter().enumerate() {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let line = cells.join("  ").trim_end().to_owned();
        let is_live = service.view.slots.get(index).map(|s| &s.slot) == service.view.live.as_ref();
        let heading = if index == 0 { "slots" } else { "" };
        if is_live {
            writeln!(out, "  {heading:<8}  {}", paint.good(line))?;
        } else {
            writeln!(out, "  {heading:<8}  {line}")?;
        }
    }
    Ok(())
}

fn draining(out: &mut dyn Write, left: Option<&Drain>) -> io::Result<()> {
    let Some(left) = left else { return Ok(()) };
    writeln!(out, "  draining  {}", drain::open(left))?;
    drain::long(left).try_for_each(|one| writeln!(out, "            {}", drain::connection(one)))
}

fn slot_row(slot: &SlotView) -> [String; 6] {
    let ready = match slot.ready {
        Some(true) => "ready",
        Some(false) => "not ready",
        None => "-",
    };
    [
        slot.slot.to_string(),
        slot.port.to_string(),
        wording::slot_state(slot.state).to_owned(),
        slot.pid.map_or_else(|| "-".to_owned(), |pid| format!("pid {pid}")),
        ready.to_owned(),
        slot.running.as_ref().map_or_else(|| "-".to_owned(), |running| running.version.clone()),
    ]
}

/// What `history` prints: a line a deployment, oldest first, with its phases below.
pub fn history(out: &mut dyn Write, history: &HistoryDocument, paint: &Palette) -> io::Result<()> {
    if history.services.is_empty() {
        return writeln!(out, "no services");
    }
    for service in &history.services {
        writeln!(out, "{}", paint.strong(&service.name))?;
        if service.deployments.is_empty() {
            writeln!(out, "  nothing was deployed yet")?;
        }
        service.deployments.iter().try_for_each(|one| deployment(out, one, paint))?;
    }
    Ok(())
}

fn deployment(out: &mut dyn Write, one: &Deployment, paint: &Palette) -> io::Result<()> {
    let took = wording::span(one.took());
    writeln!(
        out,
        "  {}  {}  on {}  {}  in {took}  {}",
        one.began,
        one.version,
        one.slot,
        one.outcome,
        paint.faint(&one.release)
    )?;
    if !one.phases.is_empty() {
        let phases: Vec<_> = one.phases.iter().map(|p| format!("{} {}", p.name, wording::span(p.took()))).collect();
        writeln!(out, "      {}", paint.faint(phases.join(", ")))?;
    }
    one.why.iter().try_for_each(|why| writeln!(out, "      {why}"))
}
