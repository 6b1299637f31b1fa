//! What happened, in the past tense. Reports are made of events; nothing decides on them.

use std::time::Duration;

use crate::model::id::ServiceName;
use crate::model::past::Starts;
use crate::model::status::Status;
use crate::plan::hold::Hold;
use crate::plan::step::Act;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A step is about to be carried out.
    StepBegan {
        /// Which.
        act: Act,
        /// Why.
        why: String,
    },
    /// A step was carried out.
    StepDone {
        /// Which.
        act: Act,
        /// How long it took.
        took: Duration,
    },
    /// A step was not carried out; the next pass plans anew.
    StepFailed {
        /// Which.
        act: Act,
        /// The whole chain of causes.
        error: String,
    },
    /// Nothing is done now, for another reason than in the pass before.
    Held {
        /// Why.
        hold: Hold,
        /// For a start: how long it took here before.
        usual: Option<Starts>,
    },
    /// The logs of a service could not be kept within their bound, for the first time in a row.
    LogsUntrimmed {
        /// The whole chain of causes.
        error: String,
    },
    /// The service stands differently than in the pass before.
    StatusChanged {
        /// How it stood.
        from: Option<Status>,
        /// How it stands.
        to: Status,
        /// What users reach now: slot and version.
        live: Option<(String, String)>,
    },
}

/// Whoever wants to know.
pub trait Sink {
    /// Takes one event of one service.
    fn emit(&mut self, service: &ServiceName, event: &Event);

    /// Takes what kept a whole pass from happening.
    fn broken(&mut self, error: &str);
}
