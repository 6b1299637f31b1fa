//! What the history of this host says about how long things take. For people: nothing is decided on it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long things took here before; all unknown where there is no history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// The last way back to a standby that ran, from the command to nginx's proof.
    pub warm: Option<Duration>,
    /// The last way back that began with a start, from the command to nginx's proof.
    pub cold: Option<Duration>,
}
