//! Who holds a port: the slot's own process, nobody, or one of those that keep it from being bound.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use crate::adapter::LinuxHost;
use crate::adapter::process::find;
use crate::adapter::sockets::{Filter, Socket, bind, holders, listeners, same_app, sockets, state};
use crate::host::processes::{PortFact, PortQuestion, Processes};
use crate::model::observed::{Observation, Occupant, Owner};

/// States in which the far end of somebody's outgoing connection keeps its source port.
const CONNECTED: [u8; 7] =
    [state::ESTABLISHED, state::SYN_SENT, state::FIN_WAIT1, state::FIN_WAIT2, state::CLOSE_WAIT, state::LAST_ACK, state::CLOSING];

impl LinuxHost {
    pub(in crate::adapter) fn occupied(&self, question: &PortQuestion) -> Observation<PortFact> {
        let known = |result: io::Result<Observation<PortFact>>| {
            let why = |error| format!("cannot tell who holds port {}: {error}", question.port);
            result.unwrap_or_else(|error| Observation::Unknown(why(error)))
        };
        known(self.look(question))
    }

    fn look(&self, question: &PortQuestion) -> io::Result<Observation<PortFact>> {
        let ip = bind::address(&question.bind)?;
        let listening = listeners(question.port)?;
        let alive = question.own.iter().filter(|identity| self.find(identity).known().is_some());
        let own: Vec<BTreeSet<u64>> = alive.map(|identity| holders::sockets_of(identity.pid)).collect();
        let (mine, others): (Vec<Socket>, Vec<Socket>) =
            listening.iter().partition(|socket| own.iter().any(|held| held.contains(&socket.inode)));
        self.remember(question, &listening, &mine);
        // One on an address that the JVM does not bind is in nobody's way.
        let in_the_way: Vec<_> = others.into_iter().filter(|socket| bind::overlaps(ip, socket.local.ip())).collect();
        if !own.is_empty() {
            let fact = PortFact { own: !mine.is_empty() && in_the_way.is_empty(), occupants: self.name(question, &in_the_way) };
            return Ok(Observation::Known(fact));
        }
        Ok(match bind::attempt(ip, question.port) {
            bind::Bind::Free => Observation::Known(PortFact { own: false, occupants: Vec::new() }),
            bind::Bind::Taken => Observation::Known(PortFact { own: false, occupants: self.explain(question, ip, &in_the_way)? }),
            bind::Bind::Impossible(why) => Observation::Unknown(format!("port {} cannot be bound on {ip}: {why}", question.port)),
        })
    }

    fn remember(&self, question: &PortQuestion, listening: &[Socket], mine: &[Socket]) {
        let mut memory = self.sockets.borrow_mut();
        memory.saw(question.port, listening);
        memory.held_by_own(question.port, mine.iter().map(|socket| socket.inode).collect());
    }

    /// A bind failed: the listeners are why, else somebody's outgoing connection, else a socket that no table shows.
    fn explain(&self, question: &PortQuestion, ip: IpAddr, listening: &[Socket]) -> io::Result<Vec<Occupant>> {
        if !listening.is_empty() {
            return Ok(self.name(question, listening));
        }
        let mut outgoing = sockets(Filter::local(question.port, &CONNECTED))?;
        outgoing.retain(|socket| bind::overlaps(ip, socket.local.ip()));
        if outgoing.is_empty() {
            return Ok(vec![Occupant::BoundNotListening]);
        }
        let held = holders_of(&outgoing);
        let occupant = |socket: &Socket| Occupant::Outgoing {
            owner: eldest(&held, socket).map_or(Owner::Unseen, holders::owner),
            remote: socket.remote.to_string(),
        };
        Ok(once(outgoing.iter().map(occupant)))
    }

    /// Says for each listener whose it is.
    fn name(&self, question: &PortQuestion, listening: &[Socket]) -> Vec<Occupant> {
        if listening.is_empty() {
            return Vec::new();
        }
        let held = holders_of(listening);
        once(listening.iter().map(|socket| self.occupant(question, &held, socket)))
    }

    fn occupant(&self, question: &PortQuestion, held: &BTreeMap<u64, Vec<u32>>, socket: &Socket) -> Occupant {
        let pids = held.get(&socket.inode).map_or(&[][..], Vec::as_slice);
        let owner = || pids.first().map_or(Owner::Unseen, |pid| holders::owner(*pid));
        if let Some(heir) = pids.iter().find(|pid| bears(**pid, question)) {
            return Occupant::Inherited { owner: holders::owner(*heir) };
        }
        if self.sockets.borrow().was_own(question.port, socket.inode) {
            return Occupant::Inherited { owner: owner() };
        }
        let address = socket.local.to_string();
        // With a second holder, stopping the first would not free the port.
        let same = match (pids, &question.application) {
            ([only], Some(application)) => same_app::recognise(*only, &address, application),
            (_, _) => None,
        };
        same.unwrap_or_else(|| Occupant::Stranger { owner: owner(), address })
    }
}

/// Whether a process carries one of the cookies that the slot's starts were given.
fn bears(pid: u32, question: &PortQuestion) -> bool {
    if question.cookies.is_empty() {
        return false;
    }
    let cookie = find::environment(pid).ok().and_then(|env| find::variable(&env, "SLOTD_COOKIE"));
    cookie.is_some_and(|cookie| question.cookies.iter().any(|known| known.as_str() == cookie))
}

fn holders_of(sockets: &[Socket]) -> BTreeMap<u64, Vec<u32>> {
    holders::holders(&sockets.iter().map(|socket| socket.inode).collect())
}

fn eldest(held: &BTreeMap<u64, Vec<u32>>, socket: &Socket) -> Option<u32> {
    held.get(&socket.inode)?.first().copied()
}

/// A server may listen with one socket for each of its workers.
fn once(occupants: impl Iterator<Item = Occupant>) -> Vec<Occupant> {
    let mut all = Vec::new();
    for occupant in occupants {
        if !all.contains(&occupant) {
            all.push(occupant);
        }
    }
    all
}

#[cfg(test)]
mod tests;
