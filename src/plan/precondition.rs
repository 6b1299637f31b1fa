//! What a step rests on, read once more just before it. Pure but for the reader: the executor reads the host, the tests their own.

use serde::{Deserialize, Serialize};

use crate::model::id::{Identity, Port, SlotName};
use crate::model::observed::{Answer, Observation, ObservedRoute, ObservedService, Occupant};
use crate::model::route::Include;
use crate::plan::step::Act;

/// Reads single facts again.
pub trait Reader {
    /// The include on disk.
    fn include(&self) -> Observation<Include>;
    /// The flags that stand.
    fn flags(&self) -> Observation<Vec<SlotName>>;
    /// Who keeps a port from being bound.
    fn occupants(&self, port: Port) -> Observation<Vec<Occupant>>;
    /// A process, if it still is that process.
    fn process(&self, identity: &Identity) -> Observation<Identity>;
    /// The master process of nginx.
    fn nginx(&self) -> Observation<Identity>;
    /// What a slot answers.
    fn answer(&self, slot: &SlotName) -> Answer;
    /// Whether an archive is being trained.
    fn training(&self) -> bool;
}

/// The host is not any more as the plan saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// What was expected.
    pub expected: &'static str,
    /// What was found.
    pub found: String,
}

/// One fact that a step rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The include says what it said.
    Include(Observation<Include>),
    /// The include is ours, with this generation.
    Generation(u64),
    /// The flags stand as they stood.
    Flags(Observation<Vec<SlotName>>),
    /// This nginx still runs, so that it has loaded what it said it has: one that was started since has loaded what stands on disk.
    Nginx(Identity),
    /// Nobody holds this port.
    Free(Port),
    /// This process of a slot is there, and answers as it should.
    Serves(SlotName, Identity),
    /// No archive is being trained, for no service.
    Untrained,
    /// The slot does not answer as it should.
    Silent(SlotName),
}

/// The facts that a step rests on, as they were seen; `live` is the slot that served then.
pub fn rests_on(act: &Act, seen: &ObservedService, live: Option<&SlotName>) -> Vec<Fact> {
    let route = &seen.route;
    match act {
        Act::WriteInclude { live: to, .. } => {
            let asked = route.nginx.known().map(|nginx| Fact::Nginx(nginx.master.clone()));
            // Asked last: an nginx that is started again behind its answer loads the old text, which nothing would tell from this one.
            [Fact::Include(route.include.clone())].into_iter().chain(serves(seen, Some(to))).chain(asked).collect()
        }
        Act::Reload { generation, moves } => {
            let to = moves.as_ref().map(|m| &m.to);
            let text = [Fact::Generation(*generation), Fact::Flags(route.flags.clone())];
            text.into_iter().chain(serves(seen, to)).collect()
        }
        Act::Cutover { to, .. } => unmoved(route).into_iter().chain(serves(seen, Some(to))).collect(),
        Act::Stop { slot, .. } | Act::Freeze { slot, .. } => unmoved(route).into_iter().chain(spared(seen, slot, live)).collect(),
        Act::TidyFlags { .. } => unmoved(route),
        // Where the route has moved meanwhile, the slot may be the one that users are about to reach.
        Act::Start { port, .. } => unmoved(route).into_iter().chain([Fact::Free(*port)]).collect(),
        Act::Train { slot, .. } => [Fact::Untrained].into_iter().chain(serves(seen, Some(slot))).collect(),
        Act::Install { .. }
        | Act::Unpack { .. }
        | Act::Relabel { .. }
        | Act::Adopt { .. }
        | Act::Thaw { .. }
        | Act::Kill { .. }
        | Act::RecordFailure { .. }
        | Act::Forget { .. }
        | Act::Quarantine { .. }
        | Act::Mark { .. }
        | Act::Settle { .. }
        | Act::Prove { .. }
        | Act::RecordHealth
        | Act::Finish { .. }
        | Act::Collect { .. }
        | Act::Retire => Vec::new(),
    }
}

/// Include and flags together say where the traffic goes.
fn unmoved(route: &ObservedRoute) -> Vec<Fact> {
    vec![Fact::Include(route.include.clone()), Fact::Flags(route.flags.clone())]
}

/// Whoever serves must still do so when another slot is stopped: it may be the only other one that answers. Where nobody does, the
/// one that is stopped must not have begun to.
fn spared(seen: &ObservedService, slot: &SlotName, live: Option<&SlotName>) -> Option<Fact> {
    let other = serves(seen, live.filter(|live| *live != slot));
    other.or_else(|| serves(seen, Some(slot)).is_none().then(|| Fact::Silent(slot.clone())))
}

/// A slot that was seen to answer must still do so; one that did not is led to only because nothing does.
fn serves(seen: &ObservedService, slot: Option<&SlotName>) -> Option<Fact> {
    let (slot, place) = slot.and_then(|slot| Some((slot, seen.slots.get(slot)?)))?;
    let answered = place.probe.known().is_some_and(|probe| probe.good > 0);
    let process = place.process.known().filter(|_| answered)?;
    Some(Fact::Serves(slot.clone(), process.identity.clone()))
}

/// Whether the facts that a step rests on are still those of the plan.
///
/// # Errors
/// The first that is not.
pub fn still_so(facts: &[Fact], reader: &impl Reader) -> Result<(), Moved> {
    facts.iter().try_for_each(|fact| holds(fact, reader))
}

fn holds(fact: &Fact, reader: &impl Reader) -> Result<(), Moved> {
    match fact {
        Fact::Include(seen) => {
            let found = reader.include();
            same("the include as it was seen", found == *seen, || format!("{found:?}"))
        }
        Fact::Generation(generation) => {
            let found = reader.include();
            let ours = matches!(&found, Observation::Known(Include::Ours(text)) if text.generation == *generation);
            same("the include that is to be loaded", ours, || format!("{found:?}"))
        }
        Fact::Flags(seen) => {
            let found = reader.flags();
            same("the flags as they were seen", found == *seen, || format!("{found:?}"))
        }
        Fact::Nginx(master) => {
            let found = reader.nginx();
            same("the nginx that was asked", found.known() == Some(master), || format!("{found:?}"))
        }
        Fact::Free(port) => {
            let found = reader.occupants(*port);
            same("a free port", found.known().is_some_and(Vec::is_empty), || format!("{found:?}"))
        }
        Fact::Untrained => same("no training under way", !reader.training(), || "one is".to_owned()),
        Fact::Serves(slot, identity) => {
            let found = reader.process(identity);
            same("a process that takes over", found.known() == Some(identity), || format!("{found:?}"))?;
            let answer = reader.answer(slot);
            same("a slot that answers", answer == Answer::Good, || format!("{answer:?}"))
        }
        Fact::Silent(slot) => {
            let answer = reader.answer(slot);
            same("a slot that does not answer", answer != Answer::Good, || format!("{answer:?}"))
        }
    }
}

fn same(expected: &'static str, holds: bool, found: impl FnOnce() -> String) -> Result<(), Moved> {
    if holds { Ok(()) } else { Err(Moved { expected, found: found() }) }
}
