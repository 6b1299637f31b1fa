//! What one rule says about a service, and how rules add up.

use std::time::Duration;

use crate::model::status::Reason;
use crate::plan::hold::Hold;
use crate::plan::step::{Act, Step};

/// A rule's answer: at most one step, any holds, and whether later rules may still speak.
#[derive(Debug, Default)]
pub(super) struct Ruling {
    pub(super) step: Option<Step>,
    pub(super) holds: Vec<Hold>,
    pub(super) blocks: bool,
}

impl Ruling {
    /// Nothing to say.
    pub(super) fn clear() -> Self {
        Self::default()
    }

    /// Do this.
    pub(super) fn act(act: Act, why: impl Into<String>, expect: impl Into<String>) -> Self {
        Self { step: Some(Step { act, why: why.into(), expect: expect.into() }), ..Self::default() }
    }

    /// Do nothing more about this service now.
    pub(super) fn block(hold: Hold) -> Self {
        Self { holds: vec![hold], blocks: true, ..Self::default() }
    }

    /// Say this, and let later rules speak.
    pub(super) fn note(hold: Hold) -> Self {
        Self { holds: vec![hold], ..Self::default() }
    }

    /// Whether there is nothing to say.
    pub(super) fn is_clear(&self) -> bool {
        self.step.is_none() && self.holds.is_empty()
    }

    /// Whether later rules have nothing to add.
    pub(super) fn is_final(&self) -> bool {
        self.step.is_some() || self.blocks
    }

    /// This, then what the next rule says, unless this is final.
    pub(super) fn then(mut self, next: impl FnOnce() -> Self) -> Self {
        if self.is_final() {
            return self;
        }
        let next = next();
        self.holds.extend(next.holds);
        self.step = next.step;
        self.blocks = next.blocks;
        self
    }
}

/// A hold with nothing to wake up early for.
pub(super) fn hold(reason: Reason, detail: impl Into<String>, until: impl Into<String>, again: Duration) -> Hold {
    Hold { reason, detail: detail.into(), until: until.into(), again, wakes: Vec::new() }
}
