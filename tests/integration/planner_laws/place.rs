//! The slots of any host, with the records that the ledger has of them.

use std::collections::BTreeMap;
use std::time::Duration;

use slotd::model::desired::ServiceSpec;
use slotd::model::id::{BootId, Cookie, Identity, Moment, Port, ReleaseId, SlotName};
use slotd::model::ledger::SlotRecord;
use slotd::model::observed::{
    Answer, Exit, ExitCause, Observation, ObservedProcess, ObservedSlot, Occupant, Owner, Probe, Traffic,
};
use slotd::model::release::Release;

use super::chance::{Chance, unknown};
use super::host::NOW;

/// How a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Nothing runs there, nothing is remembered.
    Empty,
    /// It answers.
    Ready,
    /// It is stopped in place.
    Frozen,
    /// Its process does not listen yet.
    Starting,
    /// It listens and answers badly.
    Sick,
    /// It was told to end, and has not.
    Stopping,
    /// The record names a process that is not there.
    Gone,
    /// The record says only what served here.
    Ended,
    /// Started by others and taken over; it answers.
    Adopted,
    /// The same application, started by others.
    Same,
    /// Somebody else holds the port.
    Taken,
    /// A process of ours that no record knows.
    Lost,
    /// It cannot be read.
    Dark,
}

impl Life {
    /// Every one.
    pub(crate) const ALL: [Self; 13] = [
        Self::Empty,
        Self::Ready,
        Self::Frozen,
        Self::Starting,
        Self::Sick,
        Self::Stopping,
        Self::Gone,
        Self::Ended,
        Self::Adopted,
        Self::Same,
        Self::Taken,
        Self::Lost,
        Self::Dark,
    ];

    /// Whether the ledger has a record.
    fn is_recorded(self) -> bool {
        !matches!(self, Self::Empty | Self::Same | Self::Taken | Self::Lost)
    }

    /// Whether a process of the slot is there.
    fn runs(self) -> bool {
        matches!(self, Self::Ready | Self::Frozen | Self::Starting | Self::Sick | Self::Stopping | Self::Adopted | Self::Lost)
    }
}

/// The slots while they are made.
pub(crate) struct Places<'a> {
    pub(crate) chance: &'a mut Chance,
    pub(crate) spec: &'a ServiceSpec,
    pub(crate) releases: &'a [Release; 3],
    pub(crate) records: BTreeMap<SlotName, SlotRecord>,
    pub(crate) slots: BTreeMap<SlotName, ObservedSlot>,
}

impl Places<'_> {
    /// Makes them, each as it was said; and now and then a place that no manifest names.
    pub(crate) fn fill(&mut self, lives: &[(Life, usize)]) {
        let named: Vec<_> = self.spec.slots.iter().map(|s| s.name.clone()).collect();
        let usual = ["real1", "real2", "real3"].into_iter().zip(8081..).map(|(name, port)| (SlotName::new(name), Port(port)));
        for ((name, port), (life, release)) in usual.filter(|(name, _)| named.contains(name)).zip(lives) {
            // The port that it was started with; that of the manifest is another one where the ports were exchanged.
            let port = if life.runs() { port } else { self.spec.port_of(&name).unwrap_or(port) };
            let port = self.chance.mostly(port, &[Port(port.0 + 1000)]);
            self.place(&name, port, *life, *release);
        }
        if self.chance.odd() {
            let life = self.chance.one(&[Life::Adopted, Life::Same, Life::Gone, Life::Taken]);
            self.place(&SlotName::unnamed(Port(8080)), Port(8080), life, 1);
        }
    }

    pub(crate) fn place(&mut self, name: &SlotName, port: Port, life: Life, release: usize) {
        let pid = 1000 + u32::from(port.0);
        let cookie = (life != Life::Adopted).then(|| Cookie::new(format!("cookie of {name}")));
        let identity = Identity { boot: BootId::new("boot"), pid, start: 100, cookie };
        let id = self.releases[release].id.clone();
        if life.is_recorded() && !self.chance.odd() {
            let record = self.record(port, life, release, &identity);
            self.records.insert(name.clone(), record);
        }
        let slot = self.slot(port, life, &identity, &id);
        self.slots.insert(name.clone(), slot);
    }

    fn record(&mut self, port: Port, life: Life, release: usize, identity: &Identity) -> SlotRecord {
        let chance = &mut *self.chance;
        let release = &self.releases[release];
        let adopted = life == Life::Adopted;
        let ended = life == Life::Ended;
        let stopping = if life == Life::Stopping { Some(chance.span()) } else { chance.mostly(None, &[Some(chance_span())]) };
        let recorded = chance.mostly(Some(identity.clone()), &[None, Some(Identity { pid: 7, ..identity.clone() })]);
        SlotRecord {
            port: chance.mostly(port, &[Port(port.0 + 1000)]),
            release: (!adopted).then(|| release.id.clone()),
            version: chance.mostly(release.version.clone(), &["other".to_owned()]),
            cookie: identity.cookie.clone().filter(|_| !ended),
            process: recorded.filter(|_| !ended),
            evidence: adopted.then(|| "it listens there".to_owned()),
            since: Moment(NOW - chance.span()),
            boot: BootId::new(chance.mostly("boot", &["earlier"])),
            served: chance.one(&[true, true, false]),
            stopping: stopping.map(|span| Moment(NOW - span)),
            killing: if stopping.is_some() {
                chance.mostly(None, &[Some(Moment(NOW - 1_000)), Some(Moment(NOW - 9_000))])
            } else {
                None
            },
            condemned: chance.mostly(None, &[Some("it failed".to_owned())]),
            thawed: chance.mostly(None, &[Some(Moment(NOW - 500)), Some(Moment(NOW - 9_000))]),
            left: chance.mostly(None, &[Some(Moment(NOW - 500)), Some(Moment(NOW - 200_000))]),
            log: "/state/logs/1.log".into(),
        }
    }

    fn slot(&mut self, port: Port, life: Life, identity: &Identity, release: &ReleaseId) -> ObservedSlot {
        let process = match life {
            Life::Dark => unknown(),
            life if life.runs() => self.process(life, identity, release),
            _gone => Observation::Absent,
        };
        let exit = Exit { cause: self.chance.one(&[ExitCause::Itself, ExitCause::AddressInUse]), tail: vec!["no".to_owned()] };
        ObservedSlot {
            port,
            exit: if life == Life::Gone { self.chance.seen(exit) } else { Observation::Absent },
            occupants: self.occupants(life, port),
            probe: if process.known().is_some() && life != Life::Frozen { self.probe(life) } else { Observation::Absent },
            traffic: self.traffic(),
            process,
        }
    }

    fn process(&mut self, life: Life, identity: &Identity, release: &ReleaseId) -> Observation<ObservedProcess> {
        let listens = matches!(life, Life::Ready | Life::Frozen | Life::Sick | Life::Adopted | Life::Lost);
        let listens = self.chance.seen(listens);
        let process = ObservedProcess {
            identity: identity.clone(),
            release: identity.cookie.is_some().then(|| release.clone()),
            family: Vec::new(),
            listens,
            resident: 200 << 20,
            frozen: life == Life::Frozen,
            age: Duration::from_secs(100),
        };
        self.chance.seen(process)
    }

    fn probe(&mut self, life: Life) -> Observation<Probe> {
        let none = || Answer::None { why: "connection refused".to_owned() };
        let (answer, good, bad) = match life {
            Life::Ready | Life::Adopted | Life::Lost => (Answer::Good, self.chance.one(&[9, 2, 1]), 0),
            Life::Sick => (Answer::WrongStatus { status: 503 }, 0, self.chance.one(&[9, 3, 2, 1])),
            _other => (none(), 0, self.chance.one(&[9, 1])),
        };
        self.chance.seen(Probe { answer, good, bad })
    }

    fn occupants(&mut self, life: Life, port: Port) -> Observation<Vec<Occupant>> {
        let all = match life {
            Life::Same => vec![self.same_app(port)],
            Life::Taken => vec![self.chance.one(&[
                Occupant::Stranger { owner: Owner::Unseen, address: format!("[::]:{port}") },
                Occupant::BoundNotListening,
                Occupant::Outgoing { owner: Owner::Unseen, remote: "192.0.2.1:443".to_owned() },
                Occupant::Inherited { owner: Owner::Unseen },
            ])],
            _other => Vec::new(),
        };
        self.chance.seen(all)
    }

    /// A process of its own, or now and then the one that is recorded for another slot.
    fn same_app(&mut self, port: Port) -> Occupant {
        let own = Identity { boot: BootId::new("boot"), pid: 5000 + u32::from(port.0), start: 50, cookie: None };
        let other = self.records.values().find_map(|record| record.process.clone());
        let identity = self.chance.mostly(own.clone(), &[other.unwrap_or(own)]);
        Occupant::SameApp { identity, evidence: "a JVM with the same Start-Class".to_owned(), resident: 200 << 20 }
    }

    fn traffic(&mut self) -> Observation<Traffic> {
        let quiet = Traffic { open: 0, quiet: Duration::from_secs(9), samples: 90, longest: Vec::new() };
        let busy = Traffic { open: 3, quiet: Duration::ZERO, samples: 0, longest: Vec::new() };
        let hasty = Traffic { open: 0, quiet: Duration::from_millis(300), samples: 4, longest: Vec::new() };
        self.chance.one(&[Observation::Absent, Observation::Known(quiet), Observation::Known(busy), Observation::Known(hasty)])
    }
}

/// A stop of long ago.
fn chance_span() -> u64 {
    100_000
}
