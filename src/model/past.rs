//! What the history of this host says about how long things take. For people: nothing is decided on it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long things took here before; all unknown where there is no history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// The last way back to a standby that ran, from the command to nginx's proof.
    pub warm: Option<Duration>,
    /// The last way back to a standby that was stopped in place, from the command to nginx's proof.
    pub frozen: Option<Duration>,
    /// The last way back that began with a start, from the command to nginx's proof.
    pub cold: Option<Duration>,
    /// The last starts that took traffic.
    pub starts: Option<Starts>,
}

/// From the start of a process to the traffic, over the last of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starts {
    /// How many; at least one.
    pub count: usize,
    /// The one in the middle.
    pub median: Duration,
    /// The fastest.
    pub fastest: Duration,
    /// The slowest.
    pub slowest: Duration,
}
