//! What is true of a host, worked out without the planner.

use slotd::model::id::SlotName;
use slotd::model::observed::{Answer, Observation};
use slotd::model::route::{Include, RouteForm};
use slotd::plan::record::{Prepared, after, before};
use slotd::plan::step::{Act, Move};
use slotd::plan::{Next, ServicePlan};

use super::host::{Host, name};

/// Steps that change the ledger alone which may follow each other; the loop gives up after as many.
const SILENT: usize = 12;

/// What the planner says of the one service; `None` where it has nothing to do with it.
pub(crate) fn next(host: &Host) -> Option<ServicePlan> {
    slotd::plan::next(&host.desired, &host.observed, host.orphans, &name())
}

/// The act of this pass.
pub(crate) fn act(plan: &ServicePlan) -> Option<&Act> {
    match &plan.next {
        Next::Step(step) => Some(&step.act),
        Next::Hold | Next::Nothing => None,
    }
}

/// Goes on as a pass does, up to the first act that others can notice; gives the host then, the plan, and the silent acts.
pub(crate) fn pass(host: &Host) -> Option<(Host, ServicePlan, Vec<Act>)> {
    let (mut host, mut silent) = (host.clone(), Vec::new());
    let mut plan = next(&host)?;
    while let Some(act) = act(&plan).filter(|act| !act.outdates_the_look()).cloned() {
        if silent.len() > SILENT {
            return Some((host, plan, silent));
        }
        let with = prepared(&host, &plan);
        let ledger = &mut host.touch().ledger;
        before(ledger, &act, &with);
        after(ledger, &act, &with, None);
        silent.push(act);
        plan = next(&host)?;
    }
    Some((host, plan, silent))
}

pub(crate) fn prepared(host: &Host, plan: &ServicePlan) -> Prepared {
    Prepared {
        now: host.observed.now.clone(),
        random: slotd::model::id::Cookie::new("random"),
        log: "/state/logs/2.log".into(),
        workers: Vec::new(),
        jar: None,
        live: plan.view.live.clone(),
        generation: 0,
        spec: host.spec.clone(),
    }
}

/// Where the include leads with its flags.
pub(crate) fn on_disk(host: &Host) -> Option<&SlotName> {
    let route = &host.seen().route;
    match route.include.known()? {
        Include::Ours(text) if text.form == RouteForm::Static => text.targets.first().map(|t| &t.slot),
        Include::Ours(text) => match &route.flags {
            Observation::Known(flags) => text.effective(flags).map(|t| &t.slot),
            Observation::Absent => text.targets.first().map(|t| &t.slot),
            Observation::Unknown(_) => None,
        },
        Include::Plain(target) => Some(&target.slot),
        Include::Elsewhere { .. } | Include::Edited { .. } => None,
    }
}

/// Where nginx says that it goes.
pub(crate) fn loaded(host: &Host) -> Option<&SlotName> {
    host.seen().route.loaded.known().map(|l| &l.slot)
}

/// Whether a witness says that users reach a slot.
pub(crate) fn is_named(host: &Host, slot: &SlotName) -> bool {
    [on_disk(host), loaded(host), host.seen().route.proxied.known()].contains(&Some(slot))
}

/// Whether a slot is known to answer as it should, from a process of its own that nobody has told to end.
pub(crate) fn is_ready(host: &Host, slot: &SlotName) -> bool {
    let Some(place) = host.seen().slots.get(slot) else { return false };
    let listens = place.process.known().is_some_and(|p| p.listens.known() == Some(&true));
    let answers = place.probe.known().is_some_and(|p| p.answer == Answer::Good && p.good > 0);
    listens && answers && host.seen().ledger.slots.get(slot).is_none_or(|r| r.stopping.is_none())
}

/// Whether a slot answers for all that is known.
pub(crate) fn may_answer(host: &Host, slot: &SlotName) -> bool {
    let Some(place) = host.seen().slots.get(slot) else { return false };
    let listens = place.process.known().is_some_and(|p| !matches!(p.listens, Observation::Absent | Observation::Known(false)));
    let told = host.seen().ledger.slots.get(slot).is_some_and(|r| r.stopping.is_some());
    listens && !told && place.probe.known().is_none_or(|probe| probe.bad == 0)
}

/// Whether the process of a slot was told to end long ago.
pub(crate) fn is_overdue(host: &Host, slot: &SlotName) -> bool {
    let told = host.seen().ledger.slots.get(slot).and_then(|r| Some((r.stopping?, r)));
    told.is_some_and(|(at, r)| {
        r.boot == host.observed.now.boot && host.observed.now.at.since(at) >= host.spec.launch.stop_timeout
    })
}

/// From where to where an act moves the traffic, at once or at the next reload of anybody.
pub(crate) fn moves(host: &Host, plan: &ServicePlan, act: &Act) -> Option<(Option<SlotName>, SlotName)> {
    let away = |to: &SlotName| plan.view.live.clone().filter(|live| live != to).map(|live| (Some(live), to.clone()));
    match act {
        Act::Cutover { from, to, .. } | Act::Reload { moves: Some(Move { from, to }), .. } => {
            Some((Some(from.clone()), to.clone()))
        }
        // What it says is not believed: it makes true what stands on disk.
        Act::Reload { moves: None, .. } => {
            let (now, then) = (loaded(host)?, on_disk(host)?);
            (now != then).then(|| (Some(now.clone()), then.clone()))
        }
        Act::WriteInclude { live, .. } => away(live),
        _other => None,
    }
}
