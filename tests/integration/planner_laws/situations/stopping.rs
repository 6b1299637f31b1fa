//! Processes that end, are to end, or are in the way.

use slotd::model::desired::{PortConflict, Standby};
use slotd::model::id::Port;
use slotd::model::observed::{Exit, ExitCause, Observation, Occupant, Owner};

use super::table::Situation;
use super::{Host, Life, ago, others, seconds, unknown};

fn taken(h: &mut Host, occupant: Occupant) {
    h.asks("3");
    h.place("real2").occupants = Observation::Known(vec![occupant]);
}

fn java() -> Owner {
    Owner::Process { pid: 77, user: "app".to_owned(), command: "java -jar x.jar".to_owned(), seconds: 9 }
}

fn ended(h: &mut Host, cause: ExitCause, tail: &[&str]) {
    h.asks("3");
    h.puts("real2", Life::Gone, "3");
    h.record("real2").served = false;
    let tail = tail.iter().map(|line| (*line).to_owned()).collect();
    h.place("real2").exit = Observation::Known(Exit { cause, tail });
}

fn traffic(open: u32, quiet: u64, samples: u32) -> Observation<slotd::model::observed::Traffic> {
    let quiet = std::time::Duration::from_millis(quiet);
    Observation::Known(slotd::model::observed::Traffic { open, quiet, samples, longest: Vec::new() })
}

/// Processes that end, are to end, or are in the way.
pub(super) const STOPPING: &[Situation] = &[
    ("the same application is on the port, and may not be stopped", |h| {
        h.spec(|s| s.slot_policy.port_conflict = PortConflict::Own);
        let process = Occupant::SameApp { identity: others(77), evidence: "a JVM".to_owned(), resident: 1 };
        taken(h, process);
    }),
    ("the same application is on the port", |h| {
        taken(h, Occupant::SameApp { identity: others(77), evidence: "a JVM".to_owned(), resident: 1 });
    }),
    ("a stranger is on the port", |h| {
        taken(h, Occupant::Stranger { owner: java(), address: "[::]:8082".to_owned() });
    }),
    ("a socket is bound to the port", |h| taken(h, Occupant::BoundNotListening)),
    ("the port is the source of a connection", |h| {
        taken(h, Occupant::Outgoing { owner: Owner::Unseen, remote: "192.0.2.1:443".to_owned() });
    }),
    ("a child has the listener of the port", |h| taken(h, Occupant::Inherited { owner: java() })),
    ("a standby that was taken over and may not be stopped", |h| {
        h.asks("3");
        h.puts("real2", Life::Adopted, "1");
        h.spec(|s| s.slot_policy.port_conflict = PortConflict::Own);
    }),
    ("a standby that was taken over may be stopped", |h| {
        h.asks("3");
        h.puts("real2", Life::Adopted, "1");
    }),
    ("a standby was just taken over, and a reload of before may be under way", |h| {
        h.asks("3");
        h.puts("real2", Life::Adopted, "1");
        h.record("real2").since = ago(10);
        h.ledger().reload = None;
    }),
    ("a standby was taken over a drain ago", |h| {
        h.asks("3");
        h.puts("real2", Life::Adopted, "1");
        h.record("real2").since = ago(30);
        h.ledger().reload = None;
    }),
    ("a process of a slot found again may be stopped where only our own may", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "1");
        h.record("real2").evidence = Some("it carries the cookie".to_owned());
        h.spec(|s| s.slot_policy.port_conflict = PortConflict::Own);
    }),
    ("a process of a slot found again may not be stopped where nothing may", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "1");
        h.record("real2").evidence = Some("it carries the cookie".to_owned());
        h.spec(|s| s.slot_policy.port_conflict = PortConflict::Nothing);
    }),
    ("a standby drains", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "1");
        h.cut("real2", "real1", 10);
        h.place("real2").traffic = traffic(3, 0, 0);
    }),
    ("a standby drains that a cutover before the last one left", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "1");
        h.cut("real3", "real1", 10);
        h.record("real2").left = Some(ago(20));
        h.place("real2").traffic = traffic(3, 0, 0);
    }),
    ("a standby that a cutover before the last one left is busy until its drain deadline", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "1");
        h.cut("real3", "real1", 10);
        h.record("real2").left = Some(ago(120));
        h.place("real2").traffic = traffic(3, 0, 0);
    }),
    ("a standby has drained", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "1");
        h.cut("real2", "real1", 30);
        h.place("real2").traffic = traffic(0, 1000, 10);
    }),
    ("a standby has been quiet for not quite a second", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "1");
        h.cut("real2", "real1", 40);
        h.place("real2").traffic = traffic(0, 999, 30);
    }),
    ("a standby has been quiet in too few samples", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "1");
        h.cut("real2", "real1", 40);
        h.place("real2").traffic = traffic(0, 2000, 9);
    }),
    ("a standby is busy until its drain deadline", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "1");
        h.cut("real2", "real1", 120);
        h.place("real2").traffic = traffic(3, 0, 0);
    }),
    ("a standby is over after its time", |h| {
        h.spec(|s| s.slot_policy.standby_for = Some(seconds(100)));
        h.puts("real2", Life::Ready, "1");
        h.place("real2").traffic = traffic(0, 9000, 90);
    }),
    ("a standby is kept until its time is over", |h| {
        h.spec(|s| s.slot_policy.standby_for = Some(seconds(101)));
        h.puts("real2", Life::Ready, "1");
    }),
    ("a standby is not to be kept", |h| {
        h.spec(|s| s.slot_policy.standby = Standby::Stopped);
        h.puts("real2", Life::Ready, "1");
        h.place("real2").traffic = traffic(0, 9000, 90);
    }),
    ("a standby is not to be kept, but the jar cannot be read", |h| {
        h.spec(|s| s.slot_policy.standby = Standby::Stopped);
        h.puts("real2", Life::Ready, "1");
        h.touch().jar = unknown();
    }),
    ("a standby is not to be kept, but the live slot answers badly", |h| {
        h.spec(|s| s.slot_policy.standby = Standby::Stopped);
        h.answers("real1", 0, 1);
        h.puts("real2", Life::Ready, "1");
    }),
    ("a candidate that nobody asks for any more", |h| {
        h.puts("real2", Life::Starting, "3");
        h.record("real2").served = false;
    }),
    ("a candidate that nobody asks for any more, while the jar is not there", |h| {
        h.puts("real2", Life::Starting, "3");
        h.record("real2").served = false;
        h.touch().jar = Observation::Absent;
    }),
    ("a candidate that has failed", |h| {
        h.asks("3");
        h.puts("real2", Life::Sick, "3");
        h.record("real2").served = false;
        h.record("real2").condemned = Some("it failed".to_owned());
    }),
    ("a candidate that has failed, while nothing serves", |h| {
        h.asks("3");
        h.puts("real1", Life::Sick, "2");
        h.puts("real2", Life::Ready, "3");
        h.record("real2").served = false;
        h.record("real2").condemned = Some("it failed".to_owned());
    }),
    ("a standby that answers is needed, and nothing serves", |h| {
        h.asks("3");
        h.puts("real1", Life::Sick, "2");
        h.puts("real2", Life::Ready, "1");
        h.quarantines("1");
        h.answers("real2", 1, 0);
    }),
    ("a standby that answers badly is needed, and nothing serves", |h| {
        h.asks("3");
        h.puts("real1", Life::Sick, "2");
        h.puts("real2", Life::Sick, "1");
    }),
    ("a standby on another port than the manifest has", |h| {
        h.puts("real2", Life::Ready, "1");
        h.spec(|s| s.slots[1].port = Port(8099));
        h.place("real2").traffic = traffic(0, 9000, 90);
    }),
    ("a slot was told to end", |h| {
        h.puts("real2", Life::Stopping, "1");
        h.record("real2").stopping = Some(ago(39));
    }),
    ("a slot has not ended when its time is over", |h| {
        h.puts("real2", Life::Stopping, "1");
        h.record("real2").stopping = Some(ago(40));
        h.process("real2").family = vec![others(88)];
    }),
    ("a slot was killed a moment ago", |h| {
        h.puts("real2", Life::Stopping, "1");
        h.record("real2").killing = Some(ago(4));
    }),
    ("a slot outlived KILL", |h| {
        h.puts("real2", Life::Stopping, "1");
        h.record("real2").killing = Some(ago(5));
    }),
    ("a candidate ended by itself, and said why", |h| {
        ended(h, ExitCause::Itself, &["java.lang.IllegalStateException: no", "    at com.example.Main", ""]);
    }),
    ("a candidate ended by itself, with a last word", |h| ended(h, ExitCause::Itself, &["bye", "  at x", "  "])),
    ("a candidate ended by itself without a word", |h| ended(h, ExitCause::Itself, &[])),
    ("a candidate ended because its port was taken", |h| {
        ended(h, ExitCause::AddressInUse, &["Port 8082 was already in use.", "end"]);
    }),
    ("a candidate that was told to end has ended", |h| {
        ended(h, ExitCause::Itself, &[]);
        h.record("real2").stopping = Some(ago(5));
    }),
    ("a candidate that was given up has ended", |h| {
        ended(h, ExitCause::Itself, &[]);
        h.record("real2").condemned = Some("it failed".to_owned());
    }),
    ("a standby has ended", |h| h.puts("real2", Life::Gone, "1")),
    ("a standby of an earlier boot", |h| {
        h.puts("real2", Life::Gone, "1");
        h.record("real2").boot = slotd::model::id::BootId::new("earlier");
    }),
    ("a live slot of an earlier boot", |h| {
        h.puts("real1", Life::Gone, "2");
        h.record("real1").boot = slotd::model::id::BootId::new("earlier");
    }),
    ("a live slot of the scripts has ended", |h| {
        h.puts("real1", Life::Adopted, "2");
        h.place("real1").process = Observation::Absent;
        h.place("real1").probe = Observation::Absent;
    }),
];
