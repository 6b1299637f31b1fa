//! Names and numbers with a meaning, so that a port is never passed where a pid is due.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

// Shared rather than copied: every look at the host takes a ledger and a manifest along, which consist of these.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a text that the caller has already checked.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into().into())
            }

            /// The text as it is.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from).map(Self::new)
            }
        }
    };
}

text_id!(
    /// A deployable application of the manifest: `[a-z][a-z0-9-]{0,31}`.
    ServiceName
);
text_id!(
    /// A place of a service, as the manifest names it (`real1`). A place that no manifest names, such as the single
    /// process on 8080 that stood before slotd came, is named by its port alone: `8080`, which no manifest can say.
    SlotName
);
text_id!(
    /// SHA-256 of an artifact, 64 lower-case hexadecimal digits.
    Digest
);
text_id!(
    /// Identity of an artifact with everything under `launch` that reaches the process: `r1-` and 16 hexadecimal digits.
    ReleaseId
);
text_id!(
    /// Random text in the environment of a slot's process, which its descendants inherit: proof that it is ours.
    Cookie
);
text_id!(
    /// What an archive of classes was made for: 16 hexadecimal digits.
    ArchiveId
);
text_id!(
    /// `/proc/sys/kernel/random/boot_id`: changes with every boot, and with it every pid means another process.
    BootId
);

impl SlotName {
    /// The name of a place that no manifest mentions.
    pub fn unnamed(port: Port) -> Self {
        Self::new(port.to_string())
    }

    /// Whether this is a place outside the manifest (a slot's name begins with a letter).
    pub fn is_unnamed(&self) -> bool {
        self.0.starts_with(|c: char| c.is_ascii_digit())
    }
}

impl Digest {
    /// The first twelve digits, enough for a person.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// A TCP port, 1..=65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Port(pub u16);

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Rises with each accepted desired state of a service; an older one never wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds since the machine booted, time asleep included (`CLOCK_BOOTTIME`). Wall-clock changes do not move it;
/// it means nothing without the [`BootId`] beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// Time from `earlier` to this moment; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This moment and so much more.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// One process for as long as the machine is up: the pid alone may be another process tomorrow.
///
/// `start` is field 22 of `/proc/PID/stat` (clock ticks since boot; proc(5)). Two processes can share pid and tick, which is why a
/// process of ours carries a [`Cookie`] too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The boot in which the pid was seen.
    pub boot: BootId,
    /// Process id in our pid namespace.
    pub pid: u32,
    /// Start time in clock ticks since boot.
    pub start: u64,
    /// The cookie in its environment; `None` for an adopted process, which was started by others.
    pub cookie: Option<Cookie>,
}

/// One instant: the boot, the time in it, and the wall clock for people only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Which boot.
    pub boot: BootId,
    /// Time in that boot.
    pub at: Moment,
    /// Milliseconds since 1970 by the wall clock; shown, never calculated with.
    pub wall: i64,
}
