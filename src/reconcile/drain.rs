//! Who still has a connection with a slot that drains, for people: asked only where somebody looks, never in a pass.

use std::time::Duration;

use crate::host::Host;
use crate::model::desired::{CutoverMode, ServiceSpec};
use crate::model::id::Now;
use crate::model::observed::{ObservedService, ObservedState};
use crate::plan::view::Drain;
use crate::plan::{Plan, spec_of};
use crate::reconcile::Goal;

/// The plan with the nginx worker behind each long connection, and with what a cutover says about its age.
pub(super) fn with_callers<H: Host>(host: &H, goal: &Goal, observed: &ObservedState, mut plan: Plan) -> Plan {
    for service in &mut plan.services {
        let Some(seen) = observed.services.get(&service.name) else { continue };
        let Some(spec) = spec_of(&goal.desired, &service.name, seen) else { continue };
        if let Some(drain) = service.view.drain.as_mut().filter(|drain| drain.open > 0) {
            name(host, seen, drain, since_the_cutover(spec, seen, &observed.now));
        }
    }
    plan
}

fn name<H: Host>(host: &H, seen: &ObservedService, drain: &mut Drain, least: Duration) {
    let workers: Vec<_> = seen.route.nginx.known().iter().flat_map(|nginx| &nginx.workers).map(|worker| worker.pid).collect();
    let Some(slot) = seen.slots.get(&drain.slot) else { return };
    let callers = host.callers(slot.port, &workers);
    for connection in &mut drain.longest {
        connection.worker = callers.get(&connection.peer).copied();
        if connection.worker.is_some() {
            connection.age = connection.age.max(least);
        }
    }
    drain.longest.sort_by_key(|connection| (std::cmp::Reverse(connection.age), connection.peer));
}

/// What nginx has with the old slot after a cutover by flag began before it: no request that begins afterwards goes there. A reload has
/// no such moment, because workers of before go on accepting.
fn since_the_cutover(spec: &ServiceSpec, seen: &ObservedService, now: &Now) -> Duration {
    let cutover = seen.ledger.cutover.as_ref().filter(|c| c.boot == now.boot && spec.proxy.cutover == CutoverMode::Flag);
    cutover.map_or(Duration::ZERO, |cutover| now.at.since(cutover.at))
}
