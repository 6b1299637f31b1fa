//! The live slot, well or not.

use slotd::model::desired::OnCrash;
use slotd::model::id::Port;
use slotd::model::ledger::FailureKind;
use slotd::model::observed::{Answer, Observation, Probe};

use super::table::Situation;
use super::{Life, ago, named, seconds, unknown};

/// The live slot, well or not.
pub(super) const SERVING: &[Situation] = &[
    ("all is as it should be", |_| {}),
    ("all is as it should be, with a standby", |h| h.puts("real2", Life::Ready, "1")),
    ("the live slot is dead, and a standby is ready", |h| {
        h.puts("real1", Life::Gone, "2");
        h.puts("real2", Life::Ready, "1");
    }),
    ("the live slot is dead, and so is everything", |h| h.puts("real1", Life::Gone, "2")),
    ("the live slot is dead within bake", |h| {
        h.puts("real1", Life::Ended, "2");
        h.puts("real2", Life::Ready, "1");
        h.cut("real2", "real1", 59);
    }),
    ("the live slot is dead just after bake", |h| {
        h.puts("real1", Life::Ended, "2");
        h.puts("real2", Life::Ready, "1");
        h.cut("real2", "real1", 60);
    }),
    ("the live slot is dead soon after a cutover of an earlier boot", |h| {
        h.puts("real1", Life::Ended, "2");
        h.puts("real2", Life::Ready, "1");
        h.cut("real2", "real1", 5);
        h.ledger().cutover.as_mut().unwrap().boot = slotd::model::id::BootId::new("earlier");
    }),
    ("the live slot is dead soon after a cutover to the other slot", |h| {
        h.puts("real1", Life::Ended, "2");
        h.puts("real2", Life::Ready, "1");
        h.cut("real1", "real2", 5);
    }),
    ("a dead live slot is started where it was", |h| {
        h.spec(|s| s.slot_policy.on_crash = OnCrash::Restart);
        h.puts("real1", Life::Ended, "2");
        h.puts("real2", Life::Ready, "1");
    }),
    ("a dead live slot is started where it was, but its port is taken", |h| {
        h.spec(|s| s.slot_policy.on_crash = OnCrash::Restart);
        h.puts("real1", Life::Taken, "2");
        h.puts("real2", Life::Ready, "1");
        h.ledger().slots.clear();
        h.puts("real2", Life::Ready, "1");
    }),
    ("a live slot that died thrice goes to the standby for good", |h| {
        h.spec(|s| s.slot_policy.on_crash = OnCrash::Restart);
        h.puts("real1", Life::Ended, "2");
        h.puts("real2", Life::Ready, "1");
        h.failed("2", FailureKind::Crash, &[599, 300, 200]);
    }),
    ("a live slot that died thrice, the first time ten minutes ago", |h| {
        h.spec(|s| s.slot_policy.on_crash = OnCrash::Restart);
        h.puts("real1", Life::Ended, "2");
        h.puts("real2", Life::Ready, "1");
        h.failed("2", FailureKind::Crash, &[600, 300, 200]);
    }),
    ("a dead live slot that died before waits for its next start", |h| {
        h.puts("real1", Life::Ended, "2");
        h.failed("2", FailureKind::Crash, &[30, 1]);
    }),
    ("a dead live slot that died once is started at once", |h| {
        h.puts("real1", Life::Ended, "2");
        h.failed("2", FailureKind::Crash, &[0]);
    }),
    ("a live slot that dies again and again holds up no other release", |h| {
        h.asks("3");
        h.puts("real1", Life::Ended, "2");
        h.failed("2", FailureKind::Crash, &[30, 20, 1]);
    }),
    ("a dead live slot without java", |h| {
        h.puts("real1", Life::Ended, "2");
        h.touch().launch_fault = Some("there is no java".to_owned());
    }),
    ("a dead live slot whose jar is lost", |h| {
        h.puts("real1", Life::Ended, "2");
        h.touch().stored.clear();
        h.touch().jar = Observation::Absent;
    }),
    ("a dead live slot whose release is in quarantine, and another proved itself", |h| {
        h.puts("real1", Life::Ended, "2");
        h.quarantines("2");
        h.proved(&["1", "3"]);
    }),
    ("a dead live slot whose release is not known", |h| {
        h.puts("real1", Life::Empty, "2");
        h.ledger().good.clear();
        h.ledger().releases.clear();
        h.touch().jar = Observation::Absent;
    }),
    ("a live slot that answered badly twice", |h| h.answers("real1", 0, 2)),
    ("a live slot that answered badly thrice, and a standby", |h| {
        h.answers("real1", 0, 3);
        h.puts("real2", Life::Ready, "1");
    }),
    ("a live slot that answered badly thrice within bake, and a standby", |h| {
        h.answers("real1", 0, 3);
        h.puts("real2", Life::Ready, "1");
        h.cut("real2", "real1", 20);
    }),
    ("a live slot that answers badly, and nothing else is there", |h| h.puts("real1", Life::Sick, "2")),
    ("a live slot that answers badly, and a standby of a release that was given up", |h| {
        h.puts("real1", Life::Sick, "2");
        h.puts("real2", Life::Ready, "1");
        h.record("real2").condemned = Some("it failed".to_owned());
    }),
    ("a live slot that answers badly, and a standby in quarantine", |h| {
        h.puts("real1", Life::Sick, "2");
        h.puts("real2", Life::Ready, "1");
        h.quarantines("1");
    }),
    ("a live slot that answers badly, and a standby that answered once", |h| {
        h.puts("real1", Life::Sick, "2");
        h.puts("real2", Life::Ready, "1");
        h.answers("real2", 1, 0);
    }),
    ("a live slot that answers badly since the manifest asks it otherwise", |h| {
        h.puts("real1", Life::Sick, "2");
        h.puts("real2", Life::Ready, "1");
        h.spec(|s| s.health.status = 204);
    }),
    ("a live slot that answers badly since the manifest asks it oftener", |h| {
        h.puts("real1", Life::Sick, "2");
        h.puts("real2", Life::Ready, "1");
        h.spec(|s| s.health.interval = seconds(1));
    }),
    ("a live slot that answers badly as the manifest asks it, while another release is asked for", |h| {
        h.puts("real1", Life::Sick, "2");
        h.spec(|s| s.health.status = 204);
        h.asks("3");
    }),
    ("a live slot that meets a new health check", |h| h.spec(|s| s.health.status = 204)),
    ("a live slot that meets a new health check while nginx cannot be told", |h| {
        h.spec(|s| s.health.status = 204);
        h.route().nginx = unknown();
    }),
    ("a live slot that was started a moment ago", |h| {
        h.puts("real1", Life::Starting, "2");
        h.record("real1").since = ago(5);
        h.ledger().cutover = None;
    }),
    ("a live slot that was started at its deadline ago", |h| {
        h.puts("real1", Life::Starting, "2");
        h.record("real1").since = ago(60);
        h.ledger().cutover = None;
    }),
    ("a live slot of the deployment under way that answered once", |h| {
        h.answers("real1", 1, 0);
        let release = h.id("2");
        h.ledger().deployment =
            Some(slotd::model::ledger::Deployment { release, version: "2".to_owned(), slot: None, began: 0, phases: Vec::new() });
        h.record("real1").since = ago(5);
        h.ledger().cutover = None;
    }),
    ("a live slot that was not asked yet", |h| h.answers("real1", 0, 0)),
    ("a live slot that cannot be read", |h| h.place("real1").process = unknown()),
    ("a live slot whose answer cannot be read", |h| h.place("real1").probe = unknown()),
    ("a live slot that answers with another name", |h| {
        h.answers("real1", 0, 1);
        let Observation::Known(Probe { answer, .. }) = &mut h.place("real1").probe else { return };
        *answer = Answer::WrongIdentity { found: "real9".to_owned() };
    }),
    ("a live slot of the scripts", |h| h.puts("real1", Life::Adopted, "2")),
    ("the same application on the live slot, started by others", |h| h.puts("real1", Life::Same, "2")),
    ("a process of ours that no record knows", |h| h.puts("real1", Life::Lost, "2")),
    ("somebody else on the live slot's port", |h| h.puts("real1", Life::Taken, "2")),
    ("the live slot was told to end", |h| h.puts("real1", Life::Stopping, "2")),
    ("a live slot on another port than the manifest has", |h| h.spec(|s| s.slots[0].port = Port(8099))),
    ("a live slot that no manifest names", |h| {
        h.puts("8080", Life::Adopted, "1");
        h.loads(5, "8080");
        h.route().proxied = Observation::Known(named("8080"));
        h.puts("real1", Life::Empty, "2");
    }),
];
