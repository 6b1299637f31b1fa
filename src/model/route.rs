//! The route: which slot nginx sends a request to, as a file says it.

use serde::{Deserialize, Serialize};

use crate::model::id::{Port, SlotName};

/// Where a route can lead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The slot.
    pub slot: SlotName,
    /// Its port at the time of writing.
    pub port: Port,
}

/// The forms that slotd writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteForm {
    /// The first target unless a flag names another; never changes at a cutover.
    Flag,
    /// The same, with pools of kept connections in the place of addresses.
    Pool,
    /// One target; changes, with a reload, at every cutover.
    Static,
}

impl RouteForm {
    /// Whether flags move the route.
    pub fn has_flags(self) -> bool {
        match self {
            Self::Flag | Self::Pool => true,
            Self::Static => false,
        }
    }
}

/// All that an include of ours says; the same value always renders to the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RouteText {
    /// Rises with each text, so that nginx can be asked which one it has loaded.
    pub generation: u64,
    /// What the probe header must say; random, so that nobody else can ask.
    pub nonce: String,
    /// Which form.
    pub form: RouteForm,
    /// The first is the one without a flag; exactly one for [`RouteForm::Static`].
    pub targets: Vec<Target>,
}

impl RouteText {
    /// The target that a request takes while these flags stand. nginx runs the checks 2, 3, …, N, …, 3, 2 and the last that
    /// holds wins, so the earliest flagged target of the list does.
    pub fn effective(&self, flags: &[SlotName]) -> Option<&Target> {
        let flagged = self.targets.iter().skip(1).find(|t| flags.contains(&t.slot));
        flagged.or_else(|| self.targets.first())
    }

    /// The target of a slot, where the text names it.
    pub fn target(&self, slot: &SlotName) -> Option<&Target> {
        self.targets.iter().find(|t| t.slot == *slot)
    }

    /// Whether two texts differ in nothing but generation and nonce.
    pub fn says_the_same(&self, form: RouteForm, targets: &[Target]) -> bool {
        self.form == form && self.targets == targets
    }
}

/// What the include file was found to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Include {
    /// Written by this slotd.
    Ours(RouteText),
    /// One `set` line, as `switch.sh` writes it: taken over.
    Plain(Target),
    /// Written by a slotd with another state folder: not touched.
    Elsewhere {
        /// The state folder that its first line names.
        state: String,
    },
    /// Anything else, as it is.
    Edited {
        /// The text.
        text: String,
    },
}
