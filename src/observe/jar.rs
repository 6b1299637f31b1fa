//! The jar and the env file that the manifest names.

use std::collections::{BTreeMap, BTreeSet};

use crate::host::Host;
use crate::host::artifacts::ArtifactError;
use crate::model::boot::{Archives, Layout};
use crate::model::desired::{Boot, JarSpec, ServiceSpec};
use crate::model::id::Digest;
use crate::model::ledger::{JarStamp, Ledger, ResolvedJar};
use crate::model::observed::{JarFact, Observation};
use crate::observe::watch::ServiceWatch;

/// What the manifest's jar resolves to: once for a (version, path, sha256), and from then on whatever lies there later.
pub(super) fn jar<H: Host>(host: &H, spec: &ServiceSpec, ledger: &Ledger, watch: &mut ServiceWatch) -> Observation<JarFact> {
    let here = now_there(host, &spec.jar, ledger, watch);
    match resolved(&spec.jar, ledger).filter(|jar| host.stored(&jar.digest)) {
        Some(known) => Observation::Known(JarFact {
            digest: known.digest.clone(),
            stamp: known.stamp,
            changed: here.known().map(|(digest, _)| digest.clone()).filter(|digest| *digest != known.digest),
        }),
        None => fresh(&spec.jar, here),
    }
}

fn resolved<'a>(jar: &JarSpec, ledger: &'a Ledger) -> Option<&'a ResolvedJar> {
    ledger.jars.iter().find(|r| r.version == jar.version && r.path == jar.path && r.sha256 == jar.sha256)
}

fn fresh(jar: &JarSpec, here: Observation<(Digest, JarStamp)>) -> Observation<JarFact> {
    match here {
        Observation::Known((found, stamp)) => match &jar.sha256 {
            Some(expected) if *expected != found => {
                let error = ArtifactError::Digest { path: jar.path.clone(), expected: expected.clone(), found };
                Observation::Unknown(error.to_string())
            }
            Some(_) | None => Observation::Known(JarFact { digest: found, stamp, changed: None }),
        },
        Observation::Absent => Observation::Absent,
        Observation::Unknown(why) => Observation::Unknown(why),
    }
}

/// The digest of what lies at the path now, computed only when its inode says something new.
fn now_there<H: Host>(host: &H, jar: &JarSpec, ledger: &Ledger, watch: &mut ServiceWatch) -> Observation<(Digest, JarStamp)> {
    let stamp = match host.stamp(&jar.path) {
        Observation::Known(stamp) => stamp,
        Observation::Absent => return Observation::Absent,
        Observation::Unknown(why) => return Observation::Unknown(why),
    };
    let recorded = ledger.jars.iter().find(|r| r.path == jar.path && r.stamp == stamp).map(|r| r.digest.clone());
    if let Some(digest) = recorded.or_else(|| watch.digest(&jar.path, &stamp)) {
        return Observation::Known((digest, stamp));
    }
    match host.digest(&jar.path) {
        Ok((digest, stamp)) => {
            watch.digested(jar.path.clone(), stamp, digest.clone());
            Observation::Known((digest, stamp))
        }
        Err(ArtifactError::Missing { .. }) => Observation::Absent,
        Err(error) => Observation::Unknown(error.to_string()),
    }
}

/// How the jars that may be started next can be started: those of the known releases, and the manifest's where it lies.
pub(super) fn layouts<H: Host>(
    host: &H,
    spec: &ServiceSpec,
    ledger: &Ledger,
    jar: &Observation<JarFact>,
) -> BTreeMap<Digest, Layout> {
    if spec.launch.boot == Boot::Jar {
        return BTreeMap::new();
    }
    let known = ledger.releases.values().map(|release| &release.digest).filter(|digest| host.stored(digest));
    let asked = jar.known().filter(|fact| fact.changed.is_none()).map(|fact| &fact.digest);
    let source = |digest| (asked == Some(digest)).then_some(spec.jar.path.as_path());
    let all: BTreeSet<&Digest> = known.chain(asked).collect();
    all.into_iter().map(|digest| (digest.clone(), host.layout(digest, source(digest)))).collect()
}

/// The archives of the unpacked ones, and the runtimes that they may have been made by.
pub(super) fn archives<H: Host>(host: &H, spec: &ServiceSpec, ledger: &Ledger, layouts: &BTreeMap<Digest, Layout>) -> Archives {
    if !matches!(spec.launch.boot, Boot::Cds | Boot::Auto) {
        return Archives::default();
    }
    let unpacked = || layouts.iter().filter(|(_, layout)| **layout == Layout::Unpacked).map(|(digest, _)| digest);
    let javas: BTreeSet<&String> = ledger.releases.values().map(|r| &r.launch.java).chain([&spec.launch.java]).collect();
    Archives {
        jvms: javas.into_iter().filter_map(|java| Some((java.clone(), host.jvm(java)?))).collect(),
        made: unpacked().map(|digest| (digest.clone(), host.archives(digest))).collect(),
        untrainable: unpacked().filter_map(|digest| Some((digest.clone(), host.untrainable(digest)?))).collect(),
        training: spec.launch.boot == Boot::Cds && host.training(),
    }
}

/// The content of `launch.env_file`.
pub(super) fn env_file<H: Host>(host: &H, spec: &ServiceSpec) -> Observation<Digest> {
    let Some(path) = &spec.launch.env_file else { return Observation::Absent };
    match host.env_file(path) {
        Ok(digest) => Observation::Known(digest),
        Err(ArtifactError::Missing { .. }) => Observation::Absent,
        Err(error) => Observation::Unknown(error.to_string()),
    }
}
