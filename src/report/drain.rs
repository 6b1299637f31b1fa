//! What a draining slot still has, as a document and in the words of every report.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::observed::Connection;
use crate::plan::view::Drain;
use crate::report::json::millis;
use crate::report::wording::span;

/// A connection that has been open for so long is none of the many short ones: a WebSocket, server-sent events, a download.
const LONG: Duration = Duration::from_secs(5);

/// The connections of a draining slot that are named one by one.
pub fn long(drain: &Drain) -> impl Iterator<Item = &Connection> {
    drain.longest.iter().filter(|connection| connection.age >= LONG)
}

/// `real1 has 3 connections open`
pub fn open(drain: &Drain) -> String {
    let open = if drain.open == 1 { "1 connection".to_owned() } else { format!("{} connections", drain.open) };
    format!("{} has {open} open", drain.slot)
}

/// `nginx worker 4711 from 127.0.0.1:50002, open for 42.0s at least, silent for 3.0s`
pub fn connection(connection: &Connection) -> String {
    let who = connection.worker.map_or_else(String::new, |pid| format!("nginx worker {pid} "));
    let silent = connection.silent.map_or_else(String::new, |silent| format!(", silent for {}", span(silent)));
    format!("{who}from {}, open for {} at least{silent}", connection.peer, span(connection.age))
}

/// Connections open towards a slot that drains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ConnectionsDocument {
    /// How many.
    pub open: u32,
    /// Those that have been open for five seconds or more, the longest first; sixteen at most.
    pub long: Vec<ConnectionDocument>,
}

/// One connection that has been open for long: a WebSocket, server-sent events, a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ConnectionDocument {
    /// The caller's end, as `address:port`.
    pub peer: String,
    /// The nginx worker that has made it; null: nobody that slotd may look at.
    pub worker: Option<u32>,
    /// Milliseconds that it, or the request that it carries, has been open at least: Linux does not keep when a connection was made.
    pub open_ms: u64,
    /// Milliseconds since anything went over it, either way; null: not known.
    pub silent_ms: Option<u64>,
}

pub(super) fn connections(drain: &Drain) -> ConnectionsDocument {
    let one = |connection: &Connection| ConnectionDocument {
        peer: connection.peer.to_string(),
        worker: connection.worker,
        open_ms: millis(connection.age),
        silent_ms: connection.silent.map(millis),
    };
    ConnectionsDocument { open: drain.open, long: long(drain).map(one).collect() }
}
