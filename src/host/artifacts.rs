//! Jars: reading the source, keeping what was read under its digest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::model::boot::{Archive, Layout};
use crate::model::id::{ArchiveId, Digest};
use crate::model::ledger::JarStamp;
use crate::model::observed::Observation;

/// The store of artifacts, and the files that it takes them from.
pub trait Artifacts {
    /// What the inode of a file says, without reading the file.
    fn stamp(&self, path: &Path) -> Observation<JarStamp>;

    /// Reads a jar whole: its digest, and the stamp that it had before *and* after (else it is still growing).
    fn digest(&self, path: &Path) -> Result<(Digest, JarStamp), ArtifactError>;

    /// Checks that an env file is `KEY=VALUE` lines and gives the digest of its content.
    fn env_file(&self, path: &Path) -> Result<Digest, ArtifactError>;

    /// Whether an artifact lies whole in the store (a jar, or the content of an env file).
    fn stored(&self, digest: &Digest) -> bool;

    /// Copies a file into the store, hashing while copying; nothing of the store's changes unless the digest is as expected.
    fn install(&self, source: &Path, expected: &Digest) -> Result<(), ArtifactError>;

    /// How a jar can be started. One that is not stored yet is looked at where it lies, if that is known to be the same bytes.
    fn layout(&self, digest: &Digest, source: Option<&Path>) -> Layout;

    /// Unpacks a stored jar beside itself. Content that turns out not to allow it is no error: the reason is the jar's layout then.
    fn unpack(&self, digest: &Digest) -> Result<(), ArtifactError>;

    /// The archives of classes beside an unpacked jar, and those that could not be made.
    fn archives(&self, digest: &Digest) -> BTreeMap<ArchiveId, Archive>;

    /// Forgets which archives of a jar could not be made, so that they are tried once more.
    fn retrain(&self, digest: &Digest) -> Result<(), ArtifactError>;

    /// Why no archive can be made for an unpacked jar.
    fn untrainable(&self, digest: &Digest) -> Option<String>;

    /// Every digest in the store.
    fn list(&self) -> Vec<Digest>;

    /// Removes an artifact from the store, with everything beside it.
    fn discard(&self, digest: &Digest) -> Result<(), ArtifactError>;
}

/// Why an artifact cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// There is no such file.
    #[error("{path} is not there")]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// The file changed while it was read.
    #[error("{path} is still being written")]
    Growing {
        /// Which file.
        path: PathBuf,
    },
    /// It is no whole zip archive.
    #[error("{path} is no whole jar: {why}")]
    NotAJar {
        /// Which file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// An env file with a line that is not `KEY=VALUE`.
    #[error("{path}:{line}: expected KEY=VALUE, found `{found}`")]
    NotAnEnvFile {
        /// Which file.
        path: PathBuf,
        /// Counted from one.
        line: usize,
        /// The key part alone: a value may be a secret.
        found: String,
    },
    /// The bytes are not those that were asked for.
    #[error("{path} has sha256 {found}, expected {expected}")]
    Digest {
        /// Which file.
        path: PathBuf,
        /// What was asked for.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// The file system said no.
    #[error("cannot {act} {path}")]
    Io {
        /// `read`, `write`, …
        act: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
