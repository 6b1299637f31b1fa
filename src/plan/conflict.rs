//! Who holds the port of a slot, in words.

use crate::model::id::SlotName;
use crate::model::observed::{Occupant, Owner};
use crate::model::status::Reason;
use crate::plan::facts::Case;
use crate::plan::hold::Hold;
use crate::plan::pace;
use crate::plan::ruling::hold;

/// Who holds the port, as a sentence each.
pub(super) fn port_taken(case: &Case<'_>, slot: &SlotName) -> Hold {
    let port = case.slot(slot).map_or(0, |s| s.port.0);
    let mut sentences: Vec<_> = case.occupants(slot).iter().map(|o| sentence(o, port)).collect();
    if let Some(holder) = case.start_port(slot).and_then(|port| case.holder(port)).filter(|_| sentences.is_empty()) {
        sentences.push(format!("the process of {holder} has the port that {slot} is to get"));
    }
    hold(Reason::PortTaken, sentences.join("; "), "it ends by itself when the port is free", pace::WORLD)
}

/// One sentence for each kind of conflict.
fn sentence(occupant: &Occupant, port: u16) -> String {
    match occupant {
        Occupant::SameApp { identity, evidence, .. } => {
            format!("port {port} is held by process {} of the same application ({evidence})", identity.pid)
        }
        Occupant::Stranger { owner, address } => format!("{} listens on {address}", who(owner)),
        Occupant::BoundNotListening => {
            format!("a socket is bound to port {port} and does not listen; no table says whose (`ss -ap` as root may)")
        }
        Occupant::Outgoing { owner, remote } => format!(
            "{} uses port {port} as the source of a connection to {remote}; keep it out of net.ipv4.ip_local_port_range",
            who(owner)
        ),
        Occupant::Inherited { owner } => {
            format!("{} has inherited the listening socket of port {port} from a process that has ended", who(owner))
        }
    }
}

fn who(owner: &Owner) -> String {
    match owner {
        Owner::Process { pid, user, command, seconds } => {
            format!("process {pid} of user {user}, running since {seconds} s (`{command}`),")
        }
        Owner::Unseen => "a process that slotd may not see".to_owned(),
    }
}
