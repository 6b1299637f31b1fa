//! What the host would show after a step or after a wait, if it goes along: the dry run walks on these.

use std::time::Duration;

use crate::model::boot::Layout;
use crate::model::desired::ServiceSpec;
use crate::model::id::{Cookie, Identity, Now, SlotName};
use crate::model::observed::{Answer, Loaded, Observation, ObservedProcess, ObservedService, ObservedSlot, Probe, Traffic};
use crate::model::route::Include;
use crate::model::status::{HoldKind, Reason};
use crate::plan::hold::Hold;
use crate::plan::record::{self, Prepared};
use crate::plan::ruling::Ruling;
use crate::plan::step::Act;

/// Changes what was seen as if the host had gone along with a ruling; false where the way ends.
pub(super) fn goes_on(
    seen: &mut ObservedService,
    ruling: &Ruling,
    spec: &ServiceSpec,
    now: &mut Now,
    live: Option<&SlotName>,
) -> bool {
    let wait = ruling.holds.iter().find(|hold| hold.kind() == HoldKind::Progress);
    match (&ruling.step, wait) {
        (Some(step), _) => {
            done(seen, &step.act, spec, now, live);
            step.act != Act::Retire
        }
        (None, Some(hold)) => waited(seen, hold, spec, now),
        (None, None) => false,
    }
}

/// Changes what was seen as if the step had been carried out.
fn done(seen: &mut ObservedService, act: &Act, spec: &ServiceSpec, now: &Now, live: Option<&SlotName>) {
    let with = prepared(seen, spec, now, live);
    record::before(&mut seen.ledger, act, &with);
    let process = Identity { boot: now.boot.clone(), pid: 0, start: now.at.0, cookie: Some(with.random.clone()) };
    record::after(&mut seen.ledger, act, &with, Some(&process));
    match act {
        Act::Install { release } => {
            seen.stored.insert(release.digest.clone());
            seen.stored.extend(release.env_file.clone());
        }
        Act::Unpack { digest, .. } => drop(seen.layouts.insert(digest.clone(), Layout::Unpacked)),
        Act::Train { .. } => seen.archives.training = true,
        Act::Adopt { slot, process, .. } => occupy(seen, slot, process.clone(), spec),
        Act::Start { slot, .. } => occupy(seen, slot, process, spec),
        Act::WriteInclude { live, .. } => written(seen, live),
        Act::Reload { .. } => reloaded(seen),
        Act::Cutover { to, .. } => cut(seen, to),
        Act::TidyFlags { slots } => {
            if let Observation::Known(flags) = &mut seen.route.flags {
                flags.retain(|flag| !slots.contains(flag));
            }
        }
        Act::Stop { slot, .. } | Act::Kill { slot, .. } => vacate(seen, slot),
        Act::Freeze { slot, .. } => frozen(seen, slot),
        Act::Thaw { slot, .. } => thawed(seen, slot, spec),
        Act::Relabel { .. }
        | Act::RecordFailure { .. }
        | Act::Forget { .. }
        | Act::Quarantine { .. }
        | Act::Mark { .. }
        | Act::Settle { .. }
        | Act::Prove { .. }
        | Act::RecordHealth
        | Act::Finish { .. }
        | Act::Collect { .. }
        | Act::Retire => {}
    }
}

fn prepared(seen: &ObservedService, spec: &ServiceSpec, now: &Now, live: Option<&SlotName>) -> Prepared {
    let workers = seen.route.nginx.known().map_or(&[][..], |n| &n.workers);
    Prepared {
        now: now.clone(),
        random: Cookie::new("projected"),
        log: std::path::PathBuf::new(),
        workers: workers.iter().filter(|w| w.accepting).map(|w| (w.pid, w.start)).collect(),
        jar: None,
        live: live.cloned(),
        generation: 0,
        spec: spec.clone(),
    }
}

fn occupy(seen: &mut ObservedService, slot: &SlotName, identity: Identity, spec: &ServiceSpec) {
    let Some(place) = seen.slots.get_mut(slot) else { return };
    place.process = Observation::Known(ObservedProcess {
        identity,
        release: None,
        family: Vec::new(),
        listens: Observation::Known(true),
        resident: 0,
        frozen: false,
        age: Duration::ZERO,
    });
    place.occupants = Observation::Known(Vec::new());
    ready(place, spec);
}

fn ready(place: &mut ObservedSlot, spec: &ServiceSpec) {
    place.probe = Observation::Known(Probe { answer: Answer::Good, good: spec.health.successes, bad: 0 });
    if let Observation::Known(process) = &mut place.process {
        process.listens = Observation::Known(true);
    }
}

fn frozen(seen: &mut ObservedService, slot: &SlotName) {
    let Some(place) = seen.slots.get_mut(slot) else { return };
    place.probe = Observation::Absent;
    if let Observation::Known(process) = &mut place.process {
        process.frozen = true;
    }
}

fn thawed(seen: &mut ObservedService, slot: &SlotName, spec: &ServiceSpec) {
    let Some(place) = seen.slots.get_mut(slot) else { return };
    if let Observation::Known(process) = &mut place.process {
        process.frozen = false;
    }
    ready(place, spec);
}

fn vacate(seen: &mut ObservedService, slot: &SlotName) {
    let Some(place) = seen.slots.get_mut(slot) else { return };
    (place.process, place.probe, place.traffic) = (Observation::Absent, Observation::Absent, Observation::Absent);
}

fn written(seen: &mut ObservedService, live: &SlotName) {
    let Some(text) = seen.ledger.route.clone() else { return };
    let flagged = text.form.has_flags() && text.targets.first().is_some_and(|t| t.slot != *live);
    seen.route.flags = Observation::Known(flagged.then(|| live.clone()).into_iter().collect());
    seen.route.include = Observation::Known(Include::Ours(text));
}

fn reloaded(seen: &mut ObservedService) {
    let Some(Include::Ours(text)) = seen.route.include.known() else { return };
    let flags = seen.route.flags.known().map_or(&[][..], Vec::as_slice);
    let Some(target) = text.effective(flags) else { return };
    let loaded = Loaded { generation: text.generation, slot: target.slot.clone() };
    if seen.route.proxied.known().is_some() {
        seen.route.proxied = Observation::Known(loaded.slot.clone());
    }
    seen.route.loaded = Observation::Known(loaded);
    if let Observation::Known(nginx) = &mut seen.route.nginx {
        nginx.workers.clear();
    }
}

fn cut(seen: &mut ObservedService, to: &SlotName) {
    let first = match seen.route.include.known() {
        Some(Include::Ours(text)) => text.targets.first().is_some_and(|t| t.slot == *to),
        Some(Include::Plain(_) | Include::Elsewhere { .. } | Include::Edited { .. }) | None => return,
    };
    seen.route.flags = Observation::Known((!first).then(|| to.clone()).into_iter().collect());
    if let Observation::Known(loaded) = &mut seen.route.loaded {
        loaded.slot = to.clone();
    }
    if seen.route.proxied.known().is_some() {
        seen.route.proxied = Observation::Known(to.clone());
    }
}

/// Changes what was seen as if a wait had come to its good end; false where only the world or a person can end it.
fn waited(seen: &mut ObservedService, hold: &Hold, spec: &ServiceSpec, now: &mut Now) -> bool {
    let policy = &spec.slot_policy;
    match hold.reason {
        Reason::Starting | Reason::Confirming => {
            seen.slots.values_mut().filter(|s| s.process.known().is_some()).for_each(|s| ready(s, spec));
        }
        Reason::Stopping => {
            let told: Vec<_> = seen.ledger.slots.iter().filter(|(_, r)| r.stopping.is_some()).map(|(n, _)| n.clone()).collect();
            for slot in &told {
                vacate(seen, slot);
            }
        }
        Reason::Draining => {
            now.at = now.at.plus(policy.drain.max(Duration::from_millis(1)));
            let quiet = Traffic { open: 0, quiet: Duration::from_secs(2), samples: 20, longest: Vec::new() };
            seen.slots.values_mut().for_each(|s| s.traffic = Observation::Known(quiet.clone()));
        }
        Reason::Reloading => reloaded(seen),
        Reason::BackingOff => now.at = now.at.plus(hold.again),
        Reason::PortTaken
        | Reason::ProxyDown
        | Reason::ProxyUnverified
        | Reason::ConfigBroken
        | Reason::ReloadNotApplied
        | Reason::FlagUnfit
        | Reason::RouteSplit
        | Reason::RouteUnproven
        | Reason::RouteFailed
        | Reason::LowMemory
        | Reason::ArtifactMissing
        | Reason::ArtifactUnfit
        | Reason::LaunchUnfit
        | Reason::ProcessUnknown
        | Reason::NotStopped
        | Reason::LastSlot
        | Reason::NoRelease
        | Reason::Quarantined
        | Reason::AwaitingPromotion
        | Reason::Paused
        | Reason::RolledBack
        | Reason::HandEdited
        | Reason::OwnedElsewhere
        | Reason::ProbeSuspect
        | Reason::Down
        | Reason::RollbackUnsafe
        | Reason::Superseded => return false,
    }
    true
}
