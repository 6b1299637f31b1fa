//! How a JVM is started on a jar, and what the jar allows.

use serde::{Deserialize, Serialize};

/// How one start boots; chosen by the planner for each start, and no part of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootForm {
    /// `java -jar` on the jar as it was built: the launcher in it opens the jars inside the jar.
    #[default]
    Jar,
    /// The same classes from jars that were unpacked beside it.
    Extracted,
}

/// Whether a jar can be started from unpacked jars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Spring Boot's, which slotd understands; not unpacked yet.
    Packed,
    /// It lies unpacked beside the jar in the store.
    Unpacked,
    /// Only as it was built.
    Opaque {
        /// Why, as a sentence about "it".
        why: String,
    },
}
