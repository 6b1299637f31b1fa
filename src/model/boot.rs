//! How a JVM is started on a jar, and what the jar and what lies beside it allow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::desired::LaunchSpec;
use crate::model::id::{ArchiveId, Digest};

/// How one start boots; chosen by the planner for each start, and no part of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootForm {
    /// `java -jar` on the jar as it was built: the launcher in it opens the jars inside the jar.
    #[default]
    Jar,
    /// The same classes from jars that were unpacked beside it.
    Extracted,
    /// The same, with an archive of loaded classes.
    Archived {
        /// Which.
        archive: ArchiveId,
    },
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

/// A Java runtime, as far as it can be told without starting it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jvm {
    /// 17
    pub feature: u32,
    /// For people: `Java 17.0.15+6-Debian-1deb12u1`.
    pub name: String,
    /// Where it is and what its files say of themselves: another one is another runtime.
    pub stamp: String,
}

/// An archive of the classes that an application loads, as it lies beside an unpacked jar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Archive {
    /// Whole, and as it was when it was made.
    Ready,
    /// It could not be made; it is not tried again.
    Failed {
        /// Why.
        why: String,
    },
}

/// What is known about archives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archives {
    /// The runtimes, by what `launch.java` calls them; one that cannot be told is not in here.
    pub jvms: BTreeMap<String, Jvm>,
    /// Those beside each unpacked jar.
    pub made: BTreeMap<Digest, BTreeMap<ArchiveId, Archive>>,
    /// Jars for which none can be made, each with a sentence about "it".
    pub untrainable: BTreeMap<Digest, String>,
    /// Whether one is being made, for this service or another.
    pub training: bool,
}

/// Variables by which a JVM takes options too (java(1)).
const OPTIONS: [&str; 2] = ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"];

impl ArchiveId {
    /// What an archive is made for: the runtime, its options, and the user, whom nobody else has to trust. The slot, the profile
    /// and the arguments of the application are not in it: the classes are the same.
    pub fn of(jvm: &Jvm, launch: &LaunchSpec) -> Self {
        let mut hash = Sha256::new();
        let mut feed = |text: &str| {
            hash.update(text.as_bytes());
            hash.update([0]);
        };
        feed(&jvm.stamp);
        feed(launch.user.as_deref().unwrap_or_default());
        OPTIONS.iter().filter_map(|name| launch.env.get(*name)).for_each(|value| feed(value));
        launch.jvm_args.iter().for_each(|arg| feed(arg));
        Self::new(&hex::encode(hash.finalize())[..16])
    }
}
