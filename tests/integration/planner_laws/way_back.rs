//! Nothing leads back across a release that is not safe to go back from.

use std::collections::{BTreeMap, BTreeSet};

use slotd::model::id::ReleaseId;
use slotd::model::ledger::OneWay;
use slotd::plan::step::Act;

use super::host::Host;
use super::oracle::{act, moves, next, pass};
use super::{holds, so};

/// The host on which what serves has shut off every other release that is known.
fn shut_off(host: &Host) -> Option<(Host, BTreeSet<ReleaseId>)> {
    let live = next(host)?.view.live?;
    let ledger = &host.seen().ledger;
    let release = ledger.slots.get(&live)?.release.clone()?;
    let earlier: BTreeSet<_> = ledger.releases.keys().filter(|id| **id != release).cloned().collect();
    let mut host = host.clone();
    host.touch().ledger.one_way = BTreeMap::from([(release, OneWay::Behind(earlier.clone()))]);
    host.touch().ledger.accepted.iter_mut().for_each(|spec| spec.jar.rollback_safe = false);
    host.desired.services.values_mut().for_each(|spec| spec.jar.rollback_safe = false);
    host.spec.jar.rollback_safe = false;
    Some((host, earlier))
}

#[test]
fn no_traffic_and_no_start_goes_back_to_what_a_release_has_shut_off() {
    holds(60, |host| {
        let Some((host, earlier)) = shut_off(host) else { return Ok(0) };
        let Some((host, plan, _)) = pass(&host).filter(|_| !host.goes_down()) else { return Ok(0) };
        let Some(act) = act(&plan) else { return Ok(0) };
        if let Act::Start { release, .. } = act {
            return so(!earlier.contains(release), || format!("{release} is started again: {act:#?}")).map(|()| 1);
        }
        let Some((_, to)) = moves(&host, &plan, act) else { return Ok(0) };
        let release = host.seen().ledger.slots.get(&to).and_then(|record| record.release.as_ref());
        let fine = release.is_some_and(|release| !earlier.contains(release));
        so(fine, || format!("the traffic goes back to {release:?} on {to}: {act:#?}")).map(|()| 1)
    });
}
