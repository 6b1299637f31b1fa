//! Seeded mutants of the planner and its preconditions: what it is given, or what it says, is bent from outside, so that the
//! shipped code carries none.

use std::time::Duration;

use slotd::model::id::{Moment, SlotName};
use slotd::model::ledger::Ledger;
use slotd::model::observed::{
    Loaded, Observation, ObservedRoute, ObservedService, ObservedSlot, ObservedState, Occupant, Traffic,
};
use slotd::model::route::Include;
use slotd::model::status::Reason;
use slotd::plan::precondition::Fact;
use slotd::plan::step::{Act, Step};
use slotd::plan::{Next, ServicePlan};

/// One mutant.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mutant {
    /// What it does.
    pub(crate) name: &'static str,
    /// Changes what is seen.
    pub(crate) blind: Option<fn(&mut ObservedState)>,
    /// Changes what is decided.
    pub(crate) bend: Option<fn(&ObservedState, &mut ServicePlan)>,
    /// Changes what is read again.
    pub(crate) trust: Option<fn(&mut Vec<Fact>)>,
}

impl Mutant {
    pub(crate) fn blind(&self, seen: &mut ObservedState) {
        self.blind.into_iter().for_each(|f| f(seen));
    }

    pub(crate) fn bend(&self, seen: &ObservedState, planned: &mut ServicePlan) {
        self.bend.into_iter().for_each(|f| f(seen, planned));
    }

    pub(crate) fn trust(&self, mut facts: Vec<Fact>) -> Vec<Fact> {
        self.trust.into_iter().for_each(|f| f(&mut facts));
        facts
    }
}

/// The one service that is seen.
fn service(seen: &mut ObservedState) -> Option<&mut ObservedService> {
    seen.services.values_mut().next()
}

/// Every slot that is seen.
fn slots(seen: &mut ObservedState, change: impl Fn(&mut ObservedSlot)) {
    service(seen).into_iter().for_each(|s| s.slots.values_mut().for_each(&change));
}

/// The ledger that is read.
fn ledger(seen: &mut ObservedState, change: impl Fn(&mut Ledger)) {
    service(seen).into_iter().for_each(|s| change(&mut s.ledger));
}

/// The way that is seen.
fn route(seen: &mut ObservedState, change: impl Fn(&mut ObservedRoute)) {
    service(seen).into_iter().for_each(|s| change(&mut s.route));
}

fn absent<T>(fact: &mut Observation<T>) {
    if fact.unknown().is_some() {
        *fact = Observation::Absent;
    }
}

const fn blind(name: &'static str, blind: fn(&mut ObservedState)) -> Mutant {
    Mutant { name, blind: Some(blind), bend: None, trust: None }
}

const fn bend(name: &'static str, bend: fn(&ObservedState, &mut ServicePlan)) -> Mutant {
    Mutant { name, blind: None, bend: Some(bend), trust: None }
}

const fn trust(name: &'static str, trust: fn(&mut Vec<Fact>)) -> Mutant {
    Mutant { name, blind: None, bend: None, trust: Some(trust) }
}

/// Puts another act in the place of the decision.
fn act(planned: &mut ServicePlan, act: Act) {
    planned.next = Next::Step(Step { act, why: "mutant".to_owned(), expect: "mutant".to_owned() });
}

/// The act that was decided on.
fn decided(planned: &mut ServicePlan) -> Option<&mut Act> {
    match &mut planned.next {
        Next::Step(step) => Some(&mut step.act),
        Next::Hold | Next::Nothing => None,
    }
}

/// Waits for nothing in the place of an act.
fn drop_if(planned: &mut ServicePlan, drops: impl Fn(&Act) -> bool) {
    if decided(planned).is_some_and(|act| drops(act)) {
        planned.next = Next::Nothing;
    }
}

fn holds(planned: &ServicePlan, reason: Reason) -> bool {
    planned.next == Next::Hold && planned.holds.iter().any(|h| h.reason == reason)
}

/// A stop of the first slot with a process that fits.
fn stop(seen: &ObservedState, planned: &mut ServicePlan, fits: impl Fn(&SlotName) -> bool) {
    let Some(service) = seen.services.values().next() else { return };
    let found = service.slots.iter().find_map(|(name, s)| s.process.known().filter(|_| fits(name)).map(|p| (name, p)));
    if let Some((slot, process)) = found {
        act(planned, Act::Stop { slot: slot.clone(), process: process.identity.clone(), cut: 0 });
    }
}

fn live(planned: &ServicePlan) -> Option<SlotName> {
    planned.view.live.clone()
}

/// What is seen or remembered wrongly.
const BLIND: [Mutant; 22] = [
    blind("an unknown process is read as absent", |s| slots(s, |slot| absent(&mut slot.process))),
    blind("an unknown include is read as absent", |s| route(s, |r| absent(&mut r.include))),
    blind("an unknown jar is read as absent", |s| service(s).into_iter().for_each(|s| absent(&mut s.jar))),
    blind("what nginx has loaded is not asked", |s| route(s, |r| r.loaded = Observation::Unknown("mutant".to_owned()))),
    blind("what stands on disk counts as loaded", |s| {
        route(s, |r| {
            if let (Some(Include::Ours(text)), Some(flags)) = (r.include.known(), r.flags.known()) {
                let slot = text.effective(flags).map(|t| t.slot.clone());
                r.loaded =
                    slot.map_or(Observation::Absent, |slot| Observation::Known(Loaded { generation: text.generation, slot }));
            }
        });
    }),
    blind("the workers of before are not seen", |s| {
        route(s, |r| {
            if let Observation::Known(nginx) = &mut r.nginx {
                nginx.workers.retain(|w| w.pid == crate::ledger::WORKERS[0]);
            }
        });
    }),
    blind("nothing is ever open", |s| {
        slots(s, |slot| {
            if slot.traffic.known().is_some() {
                slot.traffic =
                    Observation::Known(Traffic { open: 0, quiet: Duration::from_secs(9), samples: 99, longest: Vec::new() });
            }
        });
    }),
    blind("every cutover was long ago", |s| ledger(s, |l| l.cutover.iter_mut().for_each(|c| c.at = Moment(0)))),
    blind("the cutover is forgotten", |s| ledger(s, |l| l.cutover = None)),
    blind("the reload is forgotten", |s| ledger(s, |l| l.reload = None)),
    blind("the quarantine is forgotten", |s| ledger(s, |l| l.quarantine.clear())),
    blind("failures are forgotten", |s| ledger(s, |l| l.failures.clear())),
    blind("failures of ten minutes ago are forgotten", |s| {
        ledger(s, |l| l.failures.retain(|f| f.at.0 > 10_000_000 - 600_000));
    }),
    blind("every process answers well", |s| {
        slots(s, |slot| {
            if let Observation::Known(probe) = &mut slot.probe {
                (probe.good, probe.bad) = (9, 0);
            }
            if let Observation::Known(process) = &mut slot.process {
                process.listens = Observation::Known(true);
            }
        });
    }),
    blind("strangers are not seen", |s| slots(s, |slot| slot.occupants = Observation::Known(Vec::new()))),
    blind("that a candidate failed is forgotten", |s| {
        ledger(s, |l| l.slots.values_mut().for_each(|r| r.condemned = None));
    }),
    blind("that a process was told to end is forgotten", |s| {
        ledger(s, |l| l.slots.values_mut().for_each(|r| r.stopping = None));
    }),
    blind("no process is ever past its deadline", |s| {
        ledger(s, |l| l.slots.values_mut().for_each(|r| r.since = Moment(10_000_000)));
    }),
    blind("no stop ever takes too long", |s| {
        ledger(s, |l| l.slots.values_mut().for_each(|r| r.stopping = r.stopping.map(|_| Moment(10_000_000))));
    }),
    blind("down is forgotten", |s| ledger(s, |l| l.person.down = false)),
    blind("pause is forgotten", |s| ledger(s, |l| l.person.paused = false)),
    blind("everything is taken to be stored", |s| {
        service(s).into_iter().for_each(|s| s.stored.extend((0..5).map(crate::config::digest)));
    }),
];

/// What is decided wrongly.
const BEND: [Mutant; 14] = [
    bend("a hold does not say why", |_, p| p.holds.iter_mut().for_each(|h| h.detail.clear())),
    bend("a hold is dropped", |_, p| {
        if p.next == Next::Hold {
            p.holds.clear();
        }
    }),
    bend("the drain is skipped", |s, p| {
        let live = live(p);
        if holds(p, Reason::Draining) {
            stop(s, p, |slot| Some(slot) != live.as_ref());
        }
    }),
    bend("the wait for old workers is skipped", |s, p| {
        let live = live(p);
        if holds(p, Reason::Reloading) {
            stop(s, p, |slot| Some(slot) != live.as_ref());
        }
    }),
    bend("the wait for a candidate is skipped", |s, p| {
        let Some(from) = live(p).filter(|_| holds(p, Reason::Starting)) else { return };
        let Some(service) = s.services.values().next() else { return };
        let to = service.slots.iter().find(|(name, slot)| **name != from && slot.process.known().is_some());
        if let Some((to, _)) = to {
            act(p, Act::Cutover { from, to: to.clone(), release: None });
        }
    }),
    bend("the live slot is stopped for the other one", |s, p| {
        let live = live(p);
        if matches!(decided(p), Some(Act::Stop { .. })) {
            stop(s, p, |slot| Some(slot) == live.as_ref());
        }
    }),
    bend("the wrong slot is chosen for a start", |_, p| {
        let live = live(p);
        if let (Some(Act::Start { slot, port, .. }), Some(live)) = (decided(p), live) {
            *port = if live.as_str() == "real1" { crate::config::port(0) } else { crate::config::port(1) };
            *slot = live;
        }
    }),
    bend("a cutover goes the wrong way", |_, p| {
        if let Some(Act::Cutover { from, to, .. }) = decided(p) {
            std::mem::swap(from, to);
        }
    }),
    bend("nothing is ever killed", |_, p| drop_if(p, |a| matches!(a, Act::Kill { .. }))),
    bend("nothing is ever stopped", |_, p| drop_if(p, |a| matches!(a, Act::Stop { .. }))),
    bend("nginx is never reloaded", |_, p| drop_if(p, |a| matches!(a, Act::Reload { .. }))),
    bend("nothing is put into quarantine", |_, p| drop_if(p, |a| matches!(a, Act::Quarantine { .. }))),
    bend("a converged service is reloaded", |s, p| {
        let generation = s.services.values().next().and_then(|s| match s.route.include.known() {
            Some(Include::Ours(text)) => Some(text.generation),
            _other => None,
        });
        if let (Next::Nothing, Some(generation)) = (&p.next, generation) {
            act(p, Act::Reload { generation, moves: None });
        }
    }),
    bend("who holds a port is told to end", |s, p| {
        let Some(service) = s.services.values().next() else { return };
        let taken = service.slots.iter().find_map(|(name, slot)| {
            let app = slot.occupants.known()?.iter().find_map(|o| match o {
                Occupant::SameApp { identity, .. } => Some(identity.clone()),
                _other => None,
            });
            app.map(|identity| (name.clone(), identity))
        });
        if let Some((slot, process)) = taken {
            act(p, Act::Stop { slot, process, cut: 0 });
        }
    }),
];

/// What is not read again before a step.
const TRUST: [Mutant; 6] = [
    trust("no precondition is read again", Vec::clear),
    trust("the port is not probed again", |f| f.retain(|f| !matches!(f, Fact::Free(_)))),
    trust("the include is not read again", |f| f.retain(|f| !matches!(f, Fact::Include(_)))),
    trust("the flags are not read again", |f| f.retain(|f| !matches!(f, Fact::Flags(_)))),
    trust("who serves is not asked again", |f| f.retain(|f| !matches!(f, Fact::Serves(..)))),
    trust("the text to be loaded is not read again", |f| f.retain(|f| !matches!(f, Fact::Generation(_)))),
];

/// Every mutant.
pub(crate) fn all() -> Vec<Mutant> {
    BLIND.into_iter().chain(BEND).chain(TRUST).collect()
}
