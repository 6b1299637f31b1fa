//! A plan as text, with everything that somebody may rest on.

use std::fmt::Write as _;

use slotd::plan::hold::Hold;
use slotd::plan::step::{Act, Step};
use slotd::plan::{ServicePlan, plan};

use super::Host;

/// One situation.
pub(super) fn situation(title: &str, host: &Host) -> String {
    let mut text = format!("## {title}\n");
    let plan = plan(&host.desired, &host.observed, host.orphans);
    for service in &plan.services {
        told(&mut text, service).unwrap();
    }
    text.push('\n');
    text
}

fn told(text: &mut String, plan: &ServicePlan) -> std::fmt::Result {
    let again = plan.again.map_or_else(String::new, |again| format!(", again in {again:?}"));
    let wakes = plan.wakes.iter().map(|wake| format!("{wake:?}")).map(|w| w.split(['(', ' ']).next().unwrap_or("").to_owned());
    let wakes: Vec<_> = wakes.collect();
    writeln!(text, "{}{}{again}, wakes {wakes:?}", plan.status, if plan.serves { ", serves" } else { "" })?;
    slots(text, plan)?;
    for drift in &plan.drift {
        writeln!(text, "  differs: {}: {} -> {} ({})", drift.path, drift.observed, drift.desired, drift.evidence)?;
    }
    if let slotd::plan::Next::Step(step) = &plan.next
        && !step.act.is_worth_saying()
    {
        writeln!(text, "  silent: {}", said(step))?;
    }
    for step in &plan.steps {
        writeln!(text, "  step: {}", said(step))?;
    }
    held(text, "hold", &plan.holds)?;
    held(text, "ahead", &plan.ahead)?;
    plan.notes.iter().try_for_each(|note| writeln!(text, "  note: {note}"))
}

fn slots(text: &mut String, plan: &ServicePlan) -> std::fmt::Result {
    let view = &plan.view;
    for slot in &view.slots {
        let running = slot.running.as_ref().map_or("", |r| r.version.as_str());
        let live = if view.live.as_ref() == Some(&slot.slot) { "-> " } else { "" };
        let ready = slot.ready.map_or("", |ready| if ready { " ready" } else { " not ready" });
        writeln!(text, "  {live}{} {:?} {running}{ready}", slot.slot, slot.state)?;
    }
    let (to, why) = (view.rollback.version.as_deref(), view.rollback.why.as_deref());
    writeln!(text, "  rollback {:?}: {}", view.rollback.kind, to.or(why).unwrap_or(""))?;
    view.route.unknown.iter().try_for_each(|why| writeln!(text, "  unknown: {why}"))
}

fn said(step: &Step) -> String {
    let detail = match &step.act {
        Act::WriteInclude { targets, put_back, .. } => {
            let targets: Vec<_> = targets.iter().map(|t| format!("{}:{}", t.slot, t.port)).collect();
            format!(" {targets:?}{}", if *put_back { " put back" } else { "" })
        }
        Act::Start { serves: true, .. } => " where the route leads".to_owned(),
        Act::RecordFailure { failure, fate, .. } => format!(" {failure:?} {fate:?}"),
        _other => String::new(),
    };
    format!("{}{detail} [{}] [{}]", step.act, step.why, step.expect)
}

fn held(text: &mut String, word: &str, holds: &[Hold]) -> std::fmt::Result {
    holds.iter().try_for_each(|h| writeln!(text, "  {word}: {} [{}] [{}] {:?}", h.reason, h.detail, h.until, h.again))
}
