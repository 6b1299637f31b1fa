//! Where the fair part of the graph ends: converged in truth, or held for a reason that the host bears out.
//!
//! Each reason's justification is about the host, never about what the planner says: this is the easiest place to hide a bug.

use slotd::model::desired::Standby;
use slotd::model::status::{HoldKind, Reason};

use crate::check::Case;
use crate::config::{Given, Kind};
use crate::model::{Jar, Life, Text, World};

/// The words of the reasons, or why this is no end.
pub(crate) fn classify(given: &Given, world: &World, holds: u64) -> Result<String, String> {
    let reasons: Vec<Reason> = (0..).zip(Reason::ALL).filter(|(at, _)| holds & (1 << at) != 0).map(|(_, r)| *r).collect();
    Case::EndHeld.note(!reasons.is_empty());
    Case::EndConverged.note(reasons.is_empty());
    if let Some(reason) = reasons.iter().find(|r| r.kind() == HoldKind::Progress) {
        return Err(format!("L1: it ends in `{reason}`, which was to go on by itself"));
    }
    if let Some(reason) = reasons.iter().find(|r| !justified(given, world, **r)) {
        return Err(format!("L2: it ends in `{reason}`, and the host does not show why"));
    }
    if let Some(lost) = lost(given, world, &reasons) {
        return Err(lost);
    }
    if reasons.is_empty() {
        return converged(given, world).map_or_else(|| Ok("converged".to_owned()), Err);
    }
    Ok(reasons.iter().map(|r| r.word()).collect::<Vec<_>>().join("+"))
}

/// Whether the host is in a state that a reason speaks of.
fn justified(given: &Given, world: &World, reason: Reason) -> bool {
    let (mem, wish) = (&world.mem, given.wish(world.wish));
    let slots = || world.slots.iter().zip(&mem.recs);
    match reason {
        Reason::Quarantined => mem.quarantine & (1 << wish.rel) != 0,
        Reason::RolledBack => mem.back_away == wish.rel,
        Reason::Paused => mem.paused,
        Reason::Down => mem.down,
        Reason::HandEdited => world.disk == Text::Garbage,
        Reason::AwaitingPromotion => slots().any(|(s, r)| s.life == Life::Ready && r.rel == wish.rel),
        Reason::PortTaken => slots().any(|(s, r)| s.stranger || (s.there() && (!s.ours || r.evidence))),
        Reason::ProxyDown | Reason::ProxyUnverified => !world.nginx.up,
        Reason::ConfigBroken => world.nginx.broken,
        // Of whatever release should be started: its bytes are neither in the store nor at the manifest's path.
        Reason::ArtifactMissing => {
            world.jar == Jar::Gone || mem.releases & !world.stored & !(u8::from(world.jar == Jar::Good) << wish.rel) != 0
        }
        Reason::ArtifactUnfit => world.jar == Jar::Torn,
        Reason::ProbeSuspect => mem.health != wish.health + 1,
        Reason::RouteUnproven => world.nginx.up && (!given.config.proxied || world.nginx.cur.generation().is_none()),
        Reason::LastSlot => slots().filter(|(s, _)| s.life == Life::Ready).count() == 1,
        _other => false,
    }
}

/// Service that need not be lost: users reach nothing, although something that may serve is ready.
fn lost(given: &Given, world: &World, reasons: &[Reason]) -> Option<String> {
    let person = world.mem.down || world.disk == Text::Garbage || given.wish(world.wish).kind == Kind::Pruned;
    if person || !world.nginx.up || world.serves() || reasons.contains(&Reason::ConfigBroken) {
        return None;
    }
    let fit = |rel: u8| rel >= 8 || world.mem.quarantine & (1 << rel) == 0;
    let ready = world.slots.iter().zip(&world.mem.recs).position(|(s, r)| s.life == Life::Ready && r.on && fit(r.rel));
    ready.map(|at| format!("L2: real{} is ready, and users reach nothing", at + 1))
}

/// Why a host without a hold is not where the manifest wants it.
fn converged(given: &Given, world: &World) -> Option<String> {
    let wish = given.wish(world.wish);
    let retired = wish.kind == Kind::Orphan && !world.mem.accepted;
    if wish.kind == Kind::Pruned || retired {
        let left = world.slots.iter().any(|s| s.there() && crate::see::is_known(*s));
        return left.then(|| "L1: a retired service still runs".to_owned());
    }
    let live = world.reached()[0].unwrap_or(0);
    let slot = world.slots[usize::from(live)];
    let right = slot.rel == wish.rel || wish.kind == Kind::Orphan;
    let standby = || world.slots.iter().zip(0..).any(|(s, at)| at != live && s.there() && s.ours);
    let served = |at: u8| world.mem.recs[usize::from(at)].served;
    let awake = || world.slots.iter().zip(0..).any(|(s, at)| at != live && s.there() && served(at) && s.life != Life::Frozen);
    match () {
        () if world.mem.down => Some("L1: a person said down, and nothing is held".to_owned()),
        () if !world.serves() => Some("L1: converged in name, and users reach nothing".to_owned()),
        () if !right => Some("L1: converged in name, and another release serves".to_owned()),
        () if world.nginx.cur != world.disk || world.nginx.pending => Some("L1: nginx has not loaded the include".to_owned()),
        () if world.mem.paused && slot.rel != wish.rel => Some("L1: a paused service was deployed".to_owned()),
        () if given.config.standby == Standby::Stopped && wish.kind == Kind::Wanted && standby() => {
            Some("L1: standby: stopped, and a standby runs".to_owned())
        }
        () if given.config.standby == Standby::Frozen && wish.kind == Kind::Wanted && awake() => {
            Some("L1: standby: frozen, and a standby goes on".to_owned())
        }
        () => None,
    }
}
