//! `down`: nothing is routed to the service, then its processes are stopped.

use crate::model::id::SlotName;
use crate::model::observed::Observation;
use crate::model::route::RouteForm;
use crate::model::status::Reason;
use crate::plan::deploy;
use crate::plan::facts::{Case, Standing};
use crate::plan::lead;
use crate::plan::pace;
use crate::plan::ruling::{Ruling, hold};
use crate::plan::step::Act;

/// The next thing to do so that the service is down.
pub(super) fn teardown(case: &Case<'_>) -> Ruling {
    static_route(case).then(|| stop_all(case)).then(|| finished(case))
}

/// A static line first: a flag that outlives its service would lead somewhere at the next one's start.
fn static_route(case: &Case<'_>) -> Ruling {
    let unread = lead::untouchable(case).filter(|_| case.seen.route.include.unknown().is_some());
    if let Some(hold) = unread {
        return Ruling::block(hold);
    }
    let Some(text) = case.text() else { return Ruling::clear() };
    let reloading = lead::reloading(case);
    if reloading.is_final() {
        return reloading;
    }
    let Some(to) = case.live().or_else(|| text.targets.first().map(|t| &t.slot)) else { return Ruling::clear() };
    if text.form.has_flags() {
        let act = Act::WriteInclude {
            form: RouteForm::Static,
            targets: case.targets(RouteForm::Static, to),
            live: to.clone(),
            put_back: false,
        };
        return Ruling::act(act, "the service goes down", "the include is one static line");
    }
    let loaded = case.seen.route.loaded.known().is_some_and(|l| l.generation == text.generation);
    if case.nginx().is_none() || loaded || case.ledger().proven >= text.generation || nothing_runs(case) {
        return Ruling::clear();
    }
    Ruling::act(
        Act::Reload { generation: text.generation, moves: None },
        "nginx still follows the flags",
        "nginx has loaded the static line",
    )
}

fn nothing_runs(case: &Case<'_>) -> bool {
    case.places().into_iter().all(|slot| case.process(slot).is_none())
}

fn stop_all(case: &Case<'_>) -> Ruling {
    case.places().into_iter().fold(Ruling::clear(), |ruling, slot| ruling.then(|| stop(case, slot)))
}

/// The one place where the live slot may be stopped: a person said so.
fn stop(case: &Case<'_>, slot: &SlotName) -> Ruling {
    match case.slot(slot).map(|s| &s.process) {
        Some(Observation::Known(process)) if !case.is_stopping(slot) => Ruling::act(
            Act::Stop { slot: slot.clone(), process: process.identity.clone(), cut: 0 },
            "the service goes down",
            format!("process {} has ended", process.identity.pid),
        ),
        Some(Observation::Known(_)) => Ruling::block(deploy::ending(case, slot)),
        Some(Observation::Unknown(why)) => {
            Ruling::block(hold(Reason::ProcessUnknown, format!("{slot}: {why}"), "let slotd read it", pace::WORLD))
        }
        Some(Observation::Absent) | None => Ruling::clear(),
    }
}

/// Down is a hold until a person ends it; an orphan is forgotten.
fn finished(case: &Case<'_>) -> Ruling {
    if case.standing == Standing::Wanted {
        let until = format!("`slotd restart {}` or `slotd retry {}`", case.spec.name, case.spec.name);
        return Ruling::block(hold(Reason::Down, "a person stopped the service", until, pace::PERSON));
    }
    Ruling::act(Act::Retire, "no manifest mentions it and nothing of it runs", "the state folder no longer has it")
}
