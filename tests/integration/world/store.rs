//! Jars at their paths and in the store.

use std::collections::BTreeMap;
use std::path::Path;

use slotd::host::artifacts::{ArtifactError, Artifacts};
use slotd::model::boot::{Archive, Layout};
use slotd::model::id::{ArchiveId, Digest};
use slotd::model::ledger::JarStamp;
use slotd::model::observed::Observation;

use super::World;
use super::sight::Sight;

fn stamped(inode: u64) -> JarStamp {
    JarStamp { len: 1000, mtime: i128::from(inode), inode }
}

impl Artifacts for World {
    fn stamp(&self, path: &Path) -> Observation<JarStamp> {
        if let Some(why) = self.hides(Sight::Jar) {
            return Observation::Unknown(why);
        }
        self.see().jars.get(path).map_or(Observation::Absent, |(_, inode)| Observation::Known(stamped(*inode)))
    }

    fn digest(&self, path: &Path) -> Result<(Digest, JarStamp), ArtifactError> {
        let state = self.see();
        let found = state.jars.get(path).ok_or_else(|| ArtifactError::Missing { path: path.to_owned() })?;
        Ok((found.0.clone(), stamped(found.1)))
    }

    fn env_file(&self, path: &Path) -> Result<Digest, ArtifactError> {
        self.digest(path).map(|(digest, _)| digest)
    }

    fn stored(&self, digest: &Digest) -> bool {
        self.see().store.contains(digest)
    }

    fn install(&self, source: &Path, expected: &Digest) -> Result<(), ArtifactError> {
        let path = || source.to_owned();
        let refusal = |error| ArtifactError::Io { act: "write", path: path(), source: error };
        self.change(
            "install",
            || expected.to_string(),
            refusal,
            |state| {
                let (found, _) = state.jars.get(source).cloned().ok_or_else(|| ArtifactError::Missing { path: path() })?;
                if found != *expected {
                    return Err(ArtifactError::Digest { path: path(), expected: expected.clone(), found });
                }
                state.store.insert(found);
                Ok(())
            },
        )
    }

    fn layout(&self, digest: &Digest, _source: Option<&Path>) -> Layout {
        if self.see().unpacked.contains(digest) { Layout::Unpacked } else { Layout::Packed }
    }

    fn unpack(&self, digest: &Digest) -> Result<(), ArtifactError> {
        let refusal = |source| ArtifactError::Io { act: "unpack", path: "store".into(), source };
        self.change(
            "unpack",
            || digest.to_string(),
            refusal,
            |state| {
                if !state.store.contains(digest) {
                    return Err(ArtifactError::Missing { path: "store".into() });
                }
                state.unpacked.insert(digest.clone());
                Ok(())
            },
        )
    }

    fn archives(&self, digest: &Digest) -> BTreeMap<ArchiveId, Archive> {
        let state = self.see();
        let of = state.archives.iter().filter(|((of, _), (from, _))| of == digest && *from <= state.now);
        of.map(|((_, id), (_, archive))| (id.clone(), archive.clone())).collect()
    }

    fn retrain(&self, digest: &Digest) -> Result<(), ArtifactError> {
        self.touch().archives.retain(|(of, _), (_, archive)| of != digest || *archive == Archive::Ready);
        Ok(())
    }

    fn untrainable(&self, _digest: &Digest) -> Option<String> {
        None
    }

    fn list(&self) -> Vec<Digest> {
        self.see().store.iter().cloned().collect()
    }

    fn discard(&self, digest: &Digest) -> Result<(), ArtifactError> {
        let refusal = |source| ArtifactError::Io { act: "remove", path: "store".into(), source };
        self.change(
            "discard",
            || digest.to_string(),
            refusal,
            |state| {
                state.store.remove(digest);
                state.unpacked.remove(digest);
                state.archives.retain(|(of, _), _| of != digest);
                Ok(())
            },
        )
    }
}
