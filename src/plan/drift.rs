//! Drift: where desired and observed state differ, as data, with the evidence.

use serde::{Deserialize, Serialize};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Which setting or part: `release`, `slots.real1.process`, `route.include`.
    pub path: String,
    /// What the manifest asks for.
    pub desired: String,
    /// What the host shows.
    pub observed: String,
    /// How that is known.
    pub evidence: String,
}
