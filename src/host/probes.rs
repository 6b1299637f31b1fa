//! Asking a slot how it is.

use std::time::Duration;

use crate::model::desired::{Scheme, ServiceSpec, fill};
use crate::model::id::{Identity, Port, SlotName};
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

impl Question {
    /// The question whether a slot is as the manifest wants it. A place that no manifest names cannot be expected to answer with
    /// its name.
    pub fn of(spec: &ServiceSpec, slot: &SlotName, port: Port, version: &str) -> Self {
        let health = &spec.health;
        let expect = health.expect.as_ref().filter(|_| !slot.is_unnamed());
        Self {
            scheme: health.scheme,
            host: spec.proxy.upstream_host.clone(),
            port: health.ports.get(slot).copied().unwrap_or(port),
            path: health.path.clone(),
            status: health.status,
            expect: expect.map(|text| fill(text, &spec.name, slot, port, version)),
            timeout: health.timeout,
        }
    }
}

/// Health questions.
pub trait Probes {
    /// Asks once, over a fresh connection, following no redirect and using no proxy of the environment.
    async fn ask(&self, question: &Question) -> Answer;

    /// The same about this process, without waiting for it longer than `patience`. `None`: the answer is still to come; a later
    /// call with the same question about the same process gets it.
    async fn ask_within(&self, question: &Question, of: &Identity, patience: Duration) -> Option<Answer>;
}
