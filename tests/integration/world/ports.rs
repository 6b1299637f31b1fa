//! Ports: who listens, who is in the way, what is open.

use std::time::Duration;

use slotd::host::processes::{PortFact, PortQuestion};
use slotd::model::id::Port;
use slotd::model::observed::{Connection, Observation, Occupant, Owner};

use super::State;
use super::processes::Process;

/// Somebody else on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreigner {
    /// Listens.
    Stranger,
    /// Is bound and does not listen.
    Bound,
}

impl State {
    pub(super) fn holders(&self, question: &PortQuestion) -> Observation<PortFact> {
        if self.blind || self.unlisted.contains(&question.port) {
            return Observation::Unknown("/proc is mounted with hidepid".to_owned());
        }
        let (own, others): (Vec<_>, Vec<_>) = self
            .processes
            .values()
            .filter(|p| p.listening && p.port == question.port)
            .partition(|p| question.own.contains(&p.identity()));
        let mut occupants: Vec<_> = others.into_iter().map(|p| occupant(p, question)).collect();
        occupants.extend(self.foreigners.get(&question.port).map(|f| f.occupant(question.port)));
        Observation::Known(PortFact { own: !own.is_empty() && occupants.is_empty(), occupants })
    }

    /// Somebody who takes the port for a moment, always when it is looked at again.
    pub(super) fn held_by_a_stranger(&self, port: Port) -> Observation<PortFact> {
        Observation::Known(PortFact { own: false, occupants: vec![Foreigner::Stranger.occupant(port)] })
    }

    /// Connections linger for a while after the last moment in which the port was routed to.
    pub(super) fn open_towards(&self, port: Port) -> Vec<Connection> {
        let last = self.last_routed.get(&port).copied().unwrap_or(0);
        let routed = self.routed().contains(&port);
        let open = routed || (last > 0 && self.now < last + self.lingering);
        let connection = || Connection { peer: ([127, 0, 0, 1], 50_000).into(), age: Duration::ZERO, silent: None, worker: None };
        open.then(connection).into_iter().collect()
    }
}

fn occupant(process: &Process, question: &PortQuestion) -> Occupant {
    let seconds = 5;
    let owner = Owner::Process { pid: process.pid, user: "app".to_owned(), command: "java -jar app.jar".to_owned(), seconds };
    if process.cookie.as_ref().is_some_and(|cookie| question.cookies.contains(cookie)) {
        return Occupant::Inherited { owner };
    }
    if question.application.is_none() {
        return Occupant::Stranger { owner, address: format!("[::]:{}", process.port) };
    }
    Occupant::SameApp {
        identity: process.identity(),
        evidence: "a JVM with the same Start-Class".to_owned(),
        resident: 200 << 20,
    }
}

impl Foreigner {
    fn occupant(self, port: Port) -> Occupant {
        match self {
            Self::Stranger => Occupant::Stranger { owner: Owner::Unseen, address: format!("0.0.0.0:{port}") },
            Self::Bound => Occupant::BoundNotListening,
        }
    }
}
