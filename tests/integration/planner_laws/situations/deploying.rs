//! On the way to another release.

use slotd::model::desired::{Promote, Standby};
use slotd::model::id::Port;
use slotd::model::ledger::{FailureKind, Rollback};
use slotd::model::observed::Observation;
use slotd::plan::Orphans;

use super::table::Situation;
use super::{Life, ago, others, unknown};

/// On the way to another release.
pub(super) const DEPLOYING: &[Situation] = &[
    ("another release is asked for", |h| h.asks("3")),
    ("another release is asked for, by reload", |h| {
        h.by_reload();
        h.asks("3");
    }),
    ("another release is asked for, with a standby in its place", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "1");
    }),
    ("another release is asked for, and no standby is to be kept", |h| {
        h.asks("3");
        h.spec(|s| s.slot_policy.standby = Standby::Stopped);
    }),
    ("another release that is not in the store", |h| {
        h.asks("3");
        h.touch().stored.clear();
        let id = h.id("3");
        h.ledger().releases.remove(&id);
    }),
    ("another release whose jar is gone", |h| {
        h.asks("3");
        h.touch().jar = Observation::Absent;
    }),
    ("another release whose jar is not whole", |h| {
        h.asks("3");
        h.touch().jar = Observation::Unknown("it still grows".to_owned());
    }),
    ("other bytes under the same version", |h| {
        let Observation::Known(jar) = &mut h.touch().jar else { return };
        jar.changed = Some(slotd::model::id::Digest::new("other"));
    }),
    ("the same bytes under another version", |h| h.spec(|s| "two".clone_into(&mut s.jar.version))),
    ("an env file that is not there", |h| h.spec(|s| s.launch.env_file = Some("/etc/app.env".into()))),
    ("an env file that cannot be read", |h| {
        h.spec(|s| s.launch.env_file = Some("/etc/app.env".into()));
        h.touch().env_file = unknown();
    }),
    ("there is no java", |h| {
        h.asks("3");
        h.touch().launch_fault = Some("there is no java".to_owned());
    }),
    ("just enough memory", |h| {
        h.asks("3");
        h.observed.memory = Observation::Known(200 << 20);
    }),
    ("too little memory", |h| {
        h.asks("3");
        h.observed.memory = Observation::Known((200 << 20) - 1);
    }),
    ("memory that cannot be read", |h| {
        h.asks("3");
        h.observed.memory = unknown();
    }),
    ("a start is put off", |h| {
        h.asks("3");
        h.failed("3", FailureKind::Start, &[0]);
    }),
    ("a start that failed four times is put off for longer", |h| {
        h.spec(|s| s.slot_policy.max_attempts = 9);
        h.asks("3");
        h.failed("3", FailureKind::Start, &[90, 60, 40, 2]);
    }),
    ("a start that failed often is put off for a minute", |h| {
        h.spec(|s| s.slot_policy.max_attempts = 99);
        h.asks("3");
        h.failed("3", FailureKind::Start, &[900, 800, 700, 600, 500, 400, 300, 200, 2]);
    }),
    ("a start is put off, and its port is taken", |h| {
        h.asks("3");
        h.failed("3", FailureKind::Start, &[0]);
        h.puts("real2", Life::Taken, "1");
    }),
    ("a start failed thrice, and its port is taken", |h| {
        h.asks("3");
        h.failed("3", FailureKind::Start, &[90, 60, 30]);
        h.puts("real2", Life::Taken, "1");
    }),
    ("a start failed thrice, and nothing else could be started", |h| {
        h.failed("2", FailureKind::Start, &[90, 60, 1]);
        h.puts("real1", Life::Empty, "2");
        h.proved(&["2"]);
    }),
    ("a port was taken thrice between the look and the start", |h| {
        h.asks("3");
        h.failed("3", FailureKind::World, &[90, 60, 30]);
    }),
    ("a candidate starts", |h| {
        h.asks("3");
        h.puts("real2", Life::Starting, "3");
        h.record("real2").since = ago(59);
    }),
    ("a candidate that answers badly at its deadline", |h| {
        h.asks("3");
        h.puts("real2", Life::Sick, "3");
        h.record("real2").since = ago(60);
        h.record("real2").served = false;
    }),
    ("a candidate that was never asked at its deadline", |h| {
        h.asks("3");
        h.puts("real2", Life::Sick, "3");
        h.answers("real2", 0, 0);
    }),
    ("a candidate that answered once", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "3");
        h.answers("real2", 1, 0);
    }),
    ("a candidate that is ready", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "3");
        h.record("real2").served = false;
    }),
    ("of two candidates the one that is ready", |h| {
        h.asks("3");
        h.puts("real2", Life::Starting, "3");
        h.third(Life::Ready, "3");
    }),
    ("a candidate that is ready, but condemned", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "3");
        h.record("real2").condemned = Some("it failed".to_owned());
    }),
    ("a candidate on another port than the manifest has", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "3");
        h.spec(|s| s.slots[1].port = Port(8099));
    }),
    ("a candidate that is ready and waits for a person", |h| {
        h.spec(|s| s.slot_policy.promote = Promote::Manual);
        h.asks("3");
        h.puts("real2", Life::Ready, "3");
    }),
    ("a candidate that is ready, and a person let it pass", |h| {
        h.spec(|s| s.slot_policy.promote = Promote::Manual);
        h.asks("3");
        h.puts("real2", Life::Ready, "3");
        h.ledger().person.promoted = Some(h.id("3"));
    }),
    ("a candidate that is ready, and another one was let pass", |h| {
        h.spec(|s| s.slot_policy.promote = Promote::Manual);
        h.asks("3");
        h.puts("real2", Life::Ready, "3");
        h.ledger().person.promoted = Some(h.id("1"));
    }),
    ("a candidate that would wait for a person, but nothing serves", |h| {
        h.spec(|s| s.slot_policy.promote = Promote::Manual);
        h.asks("3");
        h.puts("real1", Life::Sick, "2");
        h.puts("real2", Life::Ready, "3");
        h.record("real2").served = false;
    }),
    ("a candidate that would wait for a person, but a stranger has the live port", |h| {
        h.spec(|s| s.slot_policy.promote = Promote::Manual);
        h.asks("3");
        h.puts("real1", Life::Taken, "2");
        h.puts("real2", Life::Ready, "3");
        h.record("real2").served = false;
        h.route().proxied = unknown();
    }),
    ("a candidate waits for a person, and a stranger on the live port serves", |h| {
        h.spec(|s| s.slot_policy.promote = Promote::Manual);
        h.asks("3");
        h.puts("real1", Life::Taken, "2");
        h.puts("real2", Life::Ready, "3");
        h.record("real2").served = false;
    }),
    ("a person went back under manual promotion", |h| {
        h.spec(|s| s.slot_policy.promote = Promote::Manual);
        h.puts("real2", Life::Ready, "1");
        let (away, to) = (h.id("2"), h.id("1"));
        h.ledger().person.rollback = Some(Rollback { away, to });
    }),
    ("a person went back from another release than is asked for", |h| {
        h.asks("3");
        let (away, to) = (h.id("2"), h.id("1"));
        h.ledger().person.rollback = Some(Rollback { away, to });
    }),
    ("a person went back to a release that was given up", |h| {
        h.puts("real2", Life::Ready, "1");
        let (away, to) = (h.id("2"), h.id("1"));
        h.ledger().person.rollback = Some(Rollback { away, to });
        h.quarantines("1");
    }),
    ("a person paused deployments", |h| {
        h.asks("3");
        h.ledger().person.paused = true;
    }),
    ("a person paused deployments, and what is asked for serves", |h| h.ledger().person.paused = true),
    ("a person paused deployments, and what was last is dead", |h| {
        h.puts("real1", Life::Ended, "2");
        h.puts("real2", Life::Ready, "1");
        h.leads_to("real2");
        h.cut("real1", "real2", 90);
        h.proved(&["1", "2"]);
        h.ledger().person.paused = true;
    }),
    ("a person wants another process of the same release", |h| {
        let process = h.process("real1").identity.clone();
        h.ledger().person.restart = Some(process);
    }),
    ("a person wanted another process than the one that serves", |h| h.ledger().person.restart = Some(others(7))),
    ("the release is in quarantine", |h| {
        h.asks("3");
        h.quarantines("3");
    }),
    ("the release is in quarantine, and nothing serves", |h| {
        h.asks("3");
        h.quarantines("3");
        h.puts("real1", Life::Empty, "2");
        h.proved(&["1"]);
    }),
    ("nothing was ever deployed", |h| {
        h.puts("real1", Life::Empty, "2");
        let accepted = h.ledger().accepted.clone();
        *h.ledger() = slotd::model::ledger::Ledger { accepted, ..Default::default() };
        h.route().include = Observation::Absent;
        h.route().flags = Observation::Absent;
        h.mute();
    }),
    ("a slot with another release cannot be read, and a third is free", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "1");
        h.place("real2").process = unknown();
        h.third(Life::Empty, "1");
    }),
    ("a slot with the release cannot be read, and a third is free", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "3");
        h.place("real2").process = unknown();
        h.third(Life::Empty, "1");
    }),
    ("a slot whose port cannot be read, and a third has a standby", |h| {
        h.asks("3");
        h.place("real2").occupants = unknown();
        h.third(Life::Ready, "1");
    }),
    ("a slot ends already, and a third has a standby", |h| {
        h.asks("3");
        h.puts("real2", Life::Stopping, "1");
        h.record("real2").stopping = Some(ago(3));
        h.third(Life::Ready, "1");
    }),
    ("a slot's port is taken, and a third has a standby", |h| {
        h.asks("3");
        h.puts("real2", Life::Taken, "1");
        h.third(Life::Ready, "1");
    }),
    ("a slot is to get the port that the live slot has", |h| {
        h.asks("3");
        h.spec(|s| (s.slots[0].port, s.slots[1].port) = (Port(8099), Port(8081)));
    }),
    ("a standby is to get the port that the live slot has", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "1");
        h.spec(|s| (s.slots[0].port, s.slots[1].port) = (Port(8082), Port(8081)));
    }),
    ("an orphan", |h| {
        h.desired.services.clear();
        h.puts("real2", Life::Ready, "1");
    }),
    ("an orphan that is retired", |h| {
        h.desired.services.clear();
        h.orphans = Orphans::Retire;
        h.puts("real2", Life::Ready, "1");
    }),
];
