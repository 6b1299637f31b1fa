//! Events as traces, with their parts as fields: `-v` shows them, and a journal can be searched by them.

use crate::event::{Event, Sink};
use crate::model::id::ServiceName;
use crate::model::status::HoldKind;

/// Sends events to `tracing`.
#[derive(Debug, Default)]
pub struct Trace;

impl Sink for Trace {
    fn emit(&mut self, service: &ServiceName, event: &Event) {
        match event {
            Event::StepBegan { act, why } => tracing::info!(%service, step = act.kind(), %why, "{act}"),
            Event::StepDone { act, took } => {
                tracing::info!(%service, step = act.kind(), ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX), "done: {act}");
            }
            Event::StepFailed { act, error } => tracing::error!(%service, step = act.kind(), %error, "failed: {act}"),
            Event::Held { hold, .. } => {
                let (kind, reason, until) = (hold.kind(), hold.reason, &hold.until);
                if kind == HoldKind::Progress {
                    tracing::info!(%service, %kind, %reason, %until, "{}", hold.detail);
                } else {
                    tracing::warn!(%service, %kind, %reason, %until, "{}", hold.detail);
                }
            }
            Event::LogsUntrimmed { error } => tracing::warn!(%service, %error, "its logs may grow without a bound"),
            Event::StatusChanged { from, to, live } => {
                let (slot, version) = live.clone().unwrap_or_default();
                let from = from.map(|status| status.to_string()).unwrap_or_default();
                tracing::info!(%service, %from, %to, %slot, %version, "{to}");
            }
        }
    }

    fn broken(&mut self, error: &str) {
        tracing::error!("no pass: {error}");
    }
}
