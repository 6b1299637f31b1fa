//! A step: the smallest act after which a crash is harmless, with the facts that it expects.

use serde::{Deserialize, Serialize};

use crate::model::boot::BootForm;
use crate::model::id::{ArchiveId, Digest, Identity, Port, ReleaseId, SlotName};
use crate::model::ledger::{FailureKind, OneWay};
use crate::model::release::Release;
use crate::model::route::{RouteForm, Target};

/// One step of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is done.
    pub act: Act,
    /// Why, in one sentence.
    pub why: String,
    /// What the host shows afterwards, in one sentence.
    pub expect: String,
}

/// Traffic that a reload moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// From where.
    pub from: SlotName,
    /// To where.
    pub to: SlotName,
}

/// What has become of a process that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It ended and nothing leads to it.
    Gone,
    /// It ended and the route leads to its slot: the record stays, so that it is known what served there.
    GoneWhileServing,
    /// It runs and is to be stopped.
    Condemned,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "one a service and pass; a box would only be in the reader's way")]
pub enum Act {
    /// Take the jar (and the env file) into the store and remember the release.
    Install {
        /// The release.
        release: Release,
    },
    /// Unpack a jar of the store beside itself.
    Unpack {
        /// Which.
        digest: Digest,
        /// What people call it.
        version: String,
    },
    /// Remember that the same bytes have another name now.
    Relabel {
        /// The release.
        release: ReleaseId,
        /// Its new name.
        version: String,
    },
    /// Take a process that others started for this slot's.
    Adopt {
        /// The slot, or an unnamed place.
        slot: SlotName,
        /// Where it listens.
        port: Port,
        /// Which process.
        process: Identity,
        /// The release that its environment names, for a process of ours that the ledger has lost.
        release: Option<ReleaseId>,
        /// What shows that it is the application.
        evidence: String,
    },
    /// Write the include.
    WriteInclude {
        /// Its form.
        form: RouteForm,
        /// Its targets, the one without a flag first.
        targets: Vec<Target>,
        /// Where it leads.
        live: SlotName,
        /// The include goes back because a reload did not take effect.
        put_back: bool,
    },
    /// Tell nginx to load the include.
    Reload {
        /// The generation of the include on disk.
        generation: u64,
        /// From where to where the traffic moves by it; `None` when it moves nothing.
        moves: Option<Move>,
    },
    /// Remove flags that change nothing.
    TidyFlags {
        /// Which.
        slots: Vec<SlotName>,
    },
    /// Start a process.
    Start {
        /// Where.
        slot: SlotName,
        /// On which port.
        port: Port,
        /// Which release.
        release: ReleaseId,
        /// What people call it.
        version: String,
        /// Whether the route leads there already: it serves as soon as it is ready.
        serves: bool,
        /// How the JVM is started.
        boot: BootForm,
    },
    /// Start the application once more, at low priority and up to the end of its preparation, to make an archive of its classes.
    Train {
        /// By whose settings: what serves.
        slot: SlotName,
        /// Which release.
        release: ReleaseId,
        /// What people call it.
        version: String,
        /// Which archive.
        archive: ArchiveId,
    },
    /// Move the traffic by flag.
    Cutover {
        /// From where.
        from: SlotName,
        /// To where.
        to: SlotName,
        /// What runs there; `None` for an adopted process.
        release: Option<ReleaseId>,
    },
    /// Send TERM to the slot's process.
    Stop {
        /// Where.
        slot: SlotName,
        /// Which process.
        process: Identity,
        /// Connections that are open all the same; more than none only at the drain deadline.
        cut: u32,
    },
    /// Stop the slot's process and its family in place.
    Freeze {
        /// Where.
        slot: SlotName,
        /// Which process.
        process: Identity,
        /// Connections that are open all the same, and will not be answered; more than none only at the drain deadline.
        cut: u32,
    },
    /// Let them go on.
    Thaw {
        /// Where.
        slot: SlotName,
        /// Which process.
        process: Identity,
    },
    /// Send KILL to the slot's process and its family.
    Kill {
        /// Where.
        slot: SlotName,
        /// Which processes.
        processes: Vec<Identity>,
    },
    /// Remember that what was started or served here failed.
    RecordFailure {
        /// Where.
        slot: SlotName,
        /// Which release.
        release: ReleaseId,
        /// How.
        failure: FailureKind,
        /// What has become of the process.
        fate: Fate,
        /// One sentence.
        cause: String,
    },
    /// Forget a process that is gone.
    Forget {
        /// Where.
        slot: SlotName,
    },
    /// Do not try this release again.
    Quarantine {
        /// Which.
        release: ReleaseId,
        /// One sentence.
        cause: String,
    },
    /// Remember whether a release is safe to go back from.
    Mark {
        /// Which.
        release: ReleaseId,
        /// What it does to those before it; `None`: nothing, it is safe.
        one_way: Option<OneWay>,
    },
    /// The live release has proved itself.
    Settle {
        /// Which; `None` for an adopted process.
        release: Option<ReleaseId>,
    },
    /// Remember that nginx has loaded this text.
    Prove {
        /// Its generation.
        generation: u64,
    },
    /// Remember under which health settings the live slot is ready.
    RecordHealth,
    /// The deployment is done: write it into the history.
    Finish {
        /// Which release.
        release: ReleaseId,
    },
    /// Remove what no release needs any more.
    Collect {
        /// Releases to forget.
        releases: Vec<ReleaseId>,
        /// Artifacts to remove.
        digests: Vec<Digest>,
    },
    /// Forget the whole service: it is down and no manifest mentions it.
    Retire,
}

impl Act {
    /// Every [`Act::kind`], for checks that each is met somewhere.
    pub const KINDS: [&'static str; 24] = [
        "install",
        "unpack",
        "relabel",
        "adopt",
        "write_include",
        "reload",
        "tidy_flags",
        "start",
        "train",
        "cutover",
        "stop",
        "kill",
        "freeze",
        "thaw",
        "record_failure",
        "forget",
        "quarantine",
        "mark",
        "settle",
        "prove",
        "record_health",
        "finish",
        "collect",
        "retire",
    ];

    /// The word for `plan -o json`, events and traces.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Install { .. } => "install",
            Self::Unpack { .. } => "unpack",
            Self::Relabel { .. } => "relabel",
            Self::Adopt { .. } => "adopt",
            Self::WriteInclude { .. } => "write_include",
            Self::Reload { .. } => "reload",
            Self::TidyFlags { .. } => "tidy_flags",
            Self::Start { .. } => "start",
            Self::Train { .. } => "train",
            Self::Cutover { .. } => "cutover",
            Self::Stop { .. } => "stop",
            Self::Freeze { .. } => "freeze",
            Self::Thaw { .. } => "thaw",
            Self::Kill { .. } => "kill",
            Self::RecordFailure { .. } => "record_failure",
            Self::Forget { .. } => "forget",
            Self::Quarantine { .. } => "quarantine",
            Self::Mark { .. } => "mark",
            Self::Settle { .. } => "settle",
            Self::Prove { .. } => "prove",
            Self::RecordHealth => "record_health",
            Self::Finish { .. } => "finish",
            Self::Collect { .. } => "collect",
            Self::Retire => "retire",
        }
    }

    /// Whether a reviewer of a dry run wants to read it: what others can notice, and what changes slotd's mind.
    pub fn is_worth_saying(&self) -> bool {
        let silent = matches!(
            self,
            Self::Forget { .. }
                | Self::Mark { .. }
                | Self::Settle { .. }
                | Self::Prove { .. }
                | Self::RecordHealth
                | Self::Finish { .. }
        );
        !silent
    }

    /// The same without the words and counts that change while nothing else does: what a plan's id may rest on.
    pub(super) fn lasting(&self) -> Self {
        let mut act = self.clone();
        match &mut act {
            Self::Adopt { evidence, .. } => evidence.clear(),
            Self::Stop { cut, .. } | Self::Freeze { cut, .. } => *cut = 0,
            Self::RecordFailure { cause, .. } | Self::Quarantine { cause, .. } => cause.clear(),
            Self::Install { .. }
            | Self::Unpack { .. }
            | Self::Train { .. }
            | Self::Relabel { .. }
            | Self::WriteInclude { .. }
            | Self::Reload { .. }
            | Self::TidyFlags { .. }
            | Self::Start { .. }
            | Self::Cutover { .. }
            | Self::Thaw { .. }
            | Self::Kill { .. }
            | Self::Forget { .. }
            | Self::Mark { .. }
            | Self::Settle { .. }
            | Self::Prove { .. }
            | Self::RecordHealth
            | Self::Finish { .. }
            | Self::Collect { .. }
            | Self::Retire => {}
        }
        act
    }

    /// Whether what was observed before the step no longer holds after it: a pass does at most one of these a service.
    pub fn outdates_the_look(&self) -> bool {
        // What others started was seen as an occupant and has yet to be seen as the slot's own.
        let was_an_occupant = matches!(self, Self::Adopt { process, .. } if process.cookie.is_none());
        was_an_occupant || self.is_visible() || *self == Self::Retire
    }

    /// Whether anybody but slotd can notice it.
    pub fn is_visible(&self) -> bool {
        match self {
            Self::Install { .. }
            | Self::Unpack { .. }
            | Self::WriteInclude { .. }
            | Self::Reload { .. }
            | Self::TidyFlags { .. }
            | Self::Start { .. }
            | Self::Train { .. }
            | Self::Cutover { .. }
            | Self::Stop { .. }
            | Self::Freeze { .. }
            | Self::Thaw { .. }
            | Self::Kill { .. } => true,
            Self::Relabel { .. }
            | Self::Adopt { .. }
            | Self::RecordFailure { .. }
            | Self::Forget { .. }
            | Self::Quarantine { .. }
            | Self::Mark { .. }
            | Self::Settle { .. }
            | Self::Prove { .. }
            | Self::RecordHealth
            | Self::Finish { .. }
            | Self::Collect { .. }
            | Self::Retire => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_kinds_has_each_act() {
        // Whoever reads an act of an unknown kind says which there are.
        let error = serde_json::from_str::<Act>(r#"{"kind":"?"}"#).unwrap_err().to_string();
        let mut known: Vec<_> = error.split('`').skip(3).step_by(2).collect();
        let mut listed = Act::KINDS.to_vec();
        known.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, known, "{error}");
        assert_eq!(Act::Retire.kind(), "retire");
    }
}
