//! Asking a slot how it is.

use std::time::Duration;

use crate::model::desired::Scheme;
use crate::model::id::Port;
use crate::model::observed::Answer;

/// One question to a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// How.
    pub scheme: Scheme,
    /// The address that nginx reaches the slots at.
    pub host: String,
    /// The slot's port, or its management port.
    pub port: Port,
    /// `/profile`
    pub path: String,
    /// The one good status.
    pub status: u16,
    /// The whole body, trimmed; `None`: any.
    pub expect: Option<String>,
    /// For the whole exchange.
    pub timeout: Duration,
}

/// Health questions.
pub trait Probes {
    /// Asks once, over a fresh connection, following no redirect and using no proxy of the environment.
    async fn ask(&self, question: &Question) -> Answer;
}
