//! `status -o json`, read by the names of the contract.

use std::fmt;

use serde_json::Value;

/// What slotd says about the service `webservice`.
pub(crate) struct Status(Value);

impl Status {
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Self {
        let document: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
        assert_eq!(document["format_version"], 1, "{text}");
        let services = document["services"].as_array().unwrap_or_else(|| panic!("no services: {text}"));
        let ours = services.iter().find(|service| service["name"] == "webservice");
        Self(ours.unwrap_or_else(|| panic!("no webservice: {text}")).clone())
    }

    /// converged, progressing, held, degraded or orphaned.
    pub(crate) fn status(&self) -> &str {
        self.0["status"].as_str().unwrap_or_default()
    }

    pub(crate) fn live_slot(&self) -> Option<&str> {
        self.0["live"]["slot"].as_str()
    }

    pub(crate) fn live_version(&self) -> Option<&str> {
        self.0["live"]["version"].as_str()
    }

    pub(crate) fn live_pid(&self) -> Option<i32> {
        i32::try_from(self.0["live"]["pid"].as_i64()?).ok()
    }

    /// The pid that a slot has, if any.
    pub(crate) fn pid_of(&self, slot: &str) -> Option<i32> {
        i32::try_from(self.slot(slot)?["pid"].as_i64()?).ok()
    }

    /// live, standby, and so on.
    pub(crate) fn state_of(&self, slot: &str) -> Option<&str> {
        self.slot(slot)?["state"].as_str()
    }

    /// warm, frozen, cold or none.
    pub(crate) fn rollback(&self) -> Option<&str> {
        self.0["rollback"]["kind"].as_str()
    }

    /// Whether it holds for this reason.
    pub(crate) fn holds(&self, reason: &str) -> bool {
        self.0["holds"].as_array().is_some_and(|holds| holds.iter().any(|hold| hold["reason"] == reason))
    }

    fn slot(&self, name: &str) -> Option<&Value> {
        self.0["slots"].as_array()?.iter().find(|slot| slot["slot"] == name)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}
