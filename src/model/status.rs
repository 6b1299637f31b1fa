//! How a service stands, and the closed list of reasons for which nothing is done now.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a service stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing differs.
    Converged,
    /// Something differs and is being done.
    Progressing,
    /// Something differs, what serves serves on, and somebody or something else must move first.
    Held,
    /// Something differs and nothing ready serves.
    Degraded,
    /// No manifest mentions it; what serves serves on.
    Orphaned,
}

/// Who ends a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// slotd itself, by going on: `apply` waits.
    Progress,
    /// The world, by changing: `apply` waits until its timeout.
    World,
    /// A person: `apply` ends at once.
    Person,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $kind:ident, $meaning:literal;)*) => {
        /// Why nothing is done now. The list is closed; the words are part of the contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum Reason {
            $(#[doc = $meaning] #[serde(rename = $word)] $name,)*
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The word of the contract.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// Who ends it.
            pub fn kind(self) -> HoldKind {
                match self { $(Self::$name => HoldKind::$kind,)* }
            }

            /// What it means, for the README and for `status`.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

reasons! {
    Starting = "starting", Progress, "a process was started and is not ready yet";
    Stopping = "stopping", Progress, "a process was told to end and has not ended yet";
    Draining = "draining", Progress, "the old slot finishes what it has";
    Reloading = "reloading", Progress, "nginx was told to reload and old workers still accept";
    BackingOff = "backing_off", Progress, "a start failed and the next one waits";
    Confirming = "confirming", Progress, "a live slot answered badly and is asked again before anything is done";
    PortTaken = "port_taken", World, "somebody else holds the port of the slot that is needed";
    ProxyDown = "proxy_down", World, "nginx does not run; slotd never starts it";
    ProxyUnverified = "proxy_unverified", World, "which nginx serves this configuration cannot be told for certain";
    ConfigBroken = "config_broken", World, "nginx refuses its configuration";
    ReloadNotApplied = "reload_not_applied", World, "nginx was told to reload and still runs the old configuration";
    FlagUnfit = "flag_unfit", World, "a cutover by flag would not hold on this nginx configuration";
    RouteSplit = "route_split", World, "the witnesses of the route disagree";
    RouteUnproven = "route_unproven", World, "nginx does not say which route it takes";
    RouteFailed = "route_failed", World, "the include or its flags could not be written";
    LowMemory = "low_memory", World, "there is not enough memory for a second process";
    ArtifactMissing = "artifact_missing", World, "the jar is not there";
    ArtifactUnfit = "artifact_unfit", World, "the jar is not whole, still grows, or is not what sha256 says";
    LaunchUnfit = "launch_unfit", World, "java, the user or the env file of the manifest cannot be used";
    ProcessUnknown = "process_unknown", World, "what runs in a slot cannot be read";
    NotStopped = "not_stopped", World, "a process outlived KILL";
    LastSlot = "last_slot", World, "no other slot is known to answer";
    NoRelease = "no_release", World, "the route names a slot without a process, and no release is known to start there";
    Quarantined = "quarantined", Person, "the release failed too often";
    AwaitingPromotion = "awaiting_promotion", Person, "the candidate is ready and waits for `slotd promote`";
    Paused = "paused", Person, "a person paused deployments";
    RolledBack = "rolled_back", Person, "a person went back from the release that the manifest asks for";
    HandEdited = "hand_edited", Person, "the include was edited by hand in a way that slotd does not understand";
    OwnedElsewhere = "owned_elsewhere", Person, "another slotd writes this include";
    ProbeSuspect = "probe_suspect", Person, "the live slot fails a health check that the manifest has just changed";
    Down = "down", Person, "a person stopped the service";
    Superseded = "superseded", Person, "a newer manifest was accepted meanwhile";
    RollbackUnsafe = "rollback_unsafe", Person, "a release that served in between is not safe to go back from (`jar.rollback_safe: false`)";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl fmt::Display for HoldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Progress => "progress",
            Self::World => "world",
            Self::Person => "person",
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Converged => "converged",
            Self::Progressing => "progressing",
            Self::Held => "held",
            Self::Degraded => "degraded",
            Self::Orphaned => "orphaned",
        })
    }
}
