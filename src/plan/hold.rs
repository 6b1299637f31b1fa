//! A hold: why nothing is done now, on what evidence, what ends it, and when to look again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::status::{HoldKind, Reason};
use crate::model::wake::Wake;

/// One hold of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Why.
    pub reason: Reason,
    /// The evidence, in one sentence for a person.
    pub detail: String,
    /// What would end it, in one sentence.
    pub until: String,
    /// When to look again at the latest.
    pub again: Duration,
    /// What is worth looking at earlier for.
    pub wakes: Vec<Wake>,
}

impl Hold {
    /// Who ends it.
    pub fn kind(&self) -> HoldKind {
        self.reason.kind()
    }
}
