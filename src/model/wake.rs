//! What is worth looking again for, before the time is over.

use serde::{Deserialize, Serialize};

use crate::model::id::{Identity, Port};

/// Something that may end a wait early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wake {
    /// A process ends.
    Exit(Identity),
    /// Something listens on a port.
    Listens(Port),
}
