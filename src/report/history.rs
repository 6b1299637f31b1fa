//! The history as a document: what was deployed when, how long each phase took, how it ended, and why.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::report::json::FORMAT_VERSION;

/// What `history -o json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(title = "slotd history")]
pub struct HistoryDocument {
    /// 1; later 1.x only add.
    pub format_version: u32,
    /// By name.
    pub services: Vec<ServiceHistory>,
}

impl HistoryDocument {
    /// The document of these services.
    pub fn new(services: Vec<ServiceHistory>) -> Self {
        Self { format_version: FORMAT_VERSION, services }
    }
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ServiceHistory {
    /// Which.
    pub name: String,
    /// Oldest first.
    pub deployments: Vec<Deployment>,
}

/// One deployment that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Deployment {
    /// When it began, RFC 3339 in UTC.
    pub began: String,
    /// When it ended, RFC 3339 in UTC.
    pub ended: String,
    /// Milliseconds between the two.
    pub took_ms: u64,
    /// What people call the release.
    pub version: String,
    /// Its identity.
    pub release: String,
    /// The slot.
    pub slot: String,
    /// `deployed`, `rolled_back`, `quarantined`, `superseded`, `reverted` or `not_clean`.
    pub outcome: String,
    /// In order.
    pub phases: Vec<Phase>,
    /// One sentence, where there is more to say.
    pub why: Option<String>,
    /// What a stop of the old slot cut, because the drain deadline had come; only where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<CutDocument>,
}

/// Connections that were open when a slot was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CutDocument {
    /// How many.
    pub connections: u32,
    /// Milliseconds that the oldest of them had been open at least; null: not known.
    pub oldest_ms: Option<u64>,
}

impl Deployment {
    /// How long it took.
    pub fn took(&self) -> Duration {
        Duration::from_millis(self.took_ms)
    }
}

/// One phase of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Phase {
    /// `install`, `start`, `cutover` …
    pub name: String,
    /// Milliseconds.
    pub took_ms: u64,
}

impl Phase {
    /// How long it took.
    pub fn took(&self) -> Duration {
        Duration::from_millis(self.took_ms)
    }
}

/// A moment of the wall clock as people write it; what no calendar knows is shown as the number that it is.
pub fn timestamp(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |time| format!("{time:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_utc_without_fractions() {
        assert_eq!(timestamp(1_795_343_465_123), "2026-11-22T10:31:05Z");
        assert_eq!(timestamp(i64::MAX), i64::MAX.to_string());
    }
}
