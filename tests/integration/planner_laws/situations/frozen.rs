//! A standby that is stopped in place, and witnesses of the route that contradict each other.

use slotd::model::desired::{OnCrash, Standby};
use slotd::model::id::Port;
use slotd::model::observed::Observation;

use super::table::Situation;
use super::{Host, Life, ago, slot, unknown};

/// Frozen is what the old slot becomes; 1 is on `real2`, so.
fn old(h: &mut Host, life: Life) {
    h.spec(|s| s.slot_policy.standby = Standby::Frozen);
    h.puts("real2", life, "1");
    h.place("real2").traffic = Observation::Absent;
}

fn dead(h: &mut Host) {
    h.puts("real1", Life::Gone, "2");
}

pub(super) const FROZEN: &[Situation] = &[
    ("a standby is to be frozen", |h| old(h, Life::Ready)),
    ("a standby is frozen", |h| old(h, Life::Frozen)),
    ("a standby is to be frozen and still drains", |h| {
        old(h, Life::Ready);
        h.cut("real2", "real1", 10);
    }),
    ("a standby is to be frozen while the live slot answers badly", |h| {
        old(h, Life::Ready);
        h.answers("real1", 0, 1);
    }),
    ("a standby is to be frozen while nginx cannot be looked at", |h| {
        old(h, Life::Ready);
        h.route().nginx = unknown();
    }),
    ("a standby is to be frozen while nobody can tell what is asked for", |h| {
        old(h, Life::Ready);
        h.touch().jar = unknown();
    }),
    ("a candidate is not frozen", |h| {
        old(h, Life::Ready);
        h.asks("1");
        h.record("real2").served = false;
        h.answers("real2", 1, 0);
    }),
    ("a frozen standby is asked for", |h| {
        old(h, Life::Frozen);
        h.asks("1");
    }),
    ("a thawed standby that is asked for has as long as a new one", |h| {
        old(h, Life::Sick);
        h.asks("1");
        h.record("real2").thawed = Some(ago(1));
    }),
    ("a thawed standby that is asked for has not answered by its deadline", |h| {
        old(h, Life::Sick);
        h.asks("1");
        h.record("real2").thawed = Some(ago(60));
    }),
    ("the live slot is dead, and the standby is frozen", |h| {
        old(h, Life::Frozen);
        dead(h);
    }),
    ("the live slot is dead, and a thawed standby has not answered yet", |h| {
        old(h, Life::Ready);
        dead(h);
        h.answers("real2", 0, 0);
        h.record("real2").thawed = Some(ago(1));
    }),
    ("the live slot is dead, and a thawed standby has answered badly once", |h| {
        old(h, Life::Sick);
        dead(h);
        h.answers("real2", 0, 2);
        h.record("real2").thawed = Some(ago(1));
    }),
    ("the live slot is dead, and a thawed standby has answered badly again and again", |h| {
        old(h, Life::Sick);
        dead(h);
        h.answers("real2", 0, 3);
        h.record("real2").thawed = Some(ago(1));
    }),
    ("the live slot is dead, and a standby that was thawed long ago has not answered", |h| {
        old(h, Life::Ready);
        dead(h);
        h.answers("real2", 0, 0);
        h.record("real2").thawed = Some(ago(2));
    }),
    ("the live slot is dead, and the frozen standby is in quarantine", |h| {
        old(h, Life::Frozen);
        dead(h);
        h.quarantines("1");
    }),
    ("the live slot is dead and started again where it was, and the standby is frozen", |h| {
        old(h, Life::Frozen);
        dead(h);
        h.spec(|s| s.slot_policy.on_crash = OnCrash::Restart);
    }),
    ("the live slot answers badly, and the standby is frozen", |h| {
        old(h, Life::Frozen);
        h.answers("real1", 0, 3);
    }),
    ("the live slot is frozen", |h| h.puts("real1", Life::Frozen, "2")),
    ("a standby is frozen and is to run", |h| {
        old(h, Life::Frozen);
        h.spec(|s| s.slot_policy.standby = Standby::Running);
    }),
    ("a standby is frozen and is to be stopped", |h| {
        old(h, Life::Frozen);
        h.spec(|s| s.slot_policy.standby = Standby::Stopped);
    }),
    ("a frozen standby gives way", |h| {
        old(h, Life::Frozen);
        h.asks("3");
    }),
    ("nginx follows another flag than stands there", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "2");
        h.leads_to("real2");
        h.route().flags = Observation::Known(Vec::new());
    }),
    ("the live slot is dead, and its port is another slot's", |h| {
        h.spec(|s| (s.slots[0].port, s.slots[1].port) = (Port(8082), Port(8081)));
        h.puts("real2", Life::Ready, "2");
        h.place("real2").port = Port(8082);
        h.record("real2").port = Port(8082);
        h.touch().ledger.slots.remove(&slot("real1"));
        h.place("real1").process = Observation::Absent;
        h.place("real1").probe = Observation::Absent;
    }),
];
