//! What is remembered, kept and shown.

use std::collections::BTreeMap;

use slotd::model::boot::{Archive, Jvm, Layout};
use slotd::model::desired::Boot;
use slotd::model::id::{ArchiveId, Digest};
use slotd::model::ledger::Deployment;
use slotd::model::observed::{Observation, Occupant};

use super::table::Situation;
use super::{Host, Life, ago, others, unknown};

fn jvm(feature: u32) -> Jvm {
    Jvm { feature, name: format!("Java {feature}"), stamp: "1".to_owned() }
}

/// The release lies so in the store, and a JVM is there.
fn boots(h: &mut Host, boot: Boot, layout: Layout, feature: u32) {
    h.spec(|s| s.launch.boot = boot);
    let seen = h.touch();
    seen.layouts = BTreeMap::from([(Digest::new("2"), layout)]);
    seen.archives.jvms.insert("java".to_owned(), jvm(feature));
}

fn archive(h: &mut Host, archive: Archive) {
    let id = ArchiveId::of(&jvm(17), &h.spec.launch);
    h.touch().archives.made.insert(Digest::new("2"), BTreeMap::from([(id, archive)]));
}

fn cds(h: &mut Host) {
    boots(h, Boot::Cds, Layout::Unpacked, 17);
}

/// Ledger, store and boots.
pub(super) const REMEMBERED: &[Situation] = &[
    ("a deployment has come to its end", |h| {
        let release = h.id("2");
        h.ledger().deployment = Some(Deployment { release, version: "2".to_owned(), slot: None, began: 0, phases: Vec::new() });
    }),
    ("bake has passed", |h| h.cut("real2", "real1", 60)),
    ("bake has not passed", |h| h.cut("real2", "real1", 59)),
    ("bake has passed, but the live slot answers badly", |h| {
        h.cut("real2", "real1", 60);
        h.answers("real1", 0, 1);
    }),
    ("old releases are in the store", |h| {
        let all: Vec<_> = ["4", "5", "6", "7", "8", "9"].iter().map(|version| h.release(version)).collect();
        h.ledger().good.extend(all.iter().map(|r| r.id.clone()));
        h.ledger().releases.extend(all.into_iter().map(|r| (r.id.clone(), r)));
    }),
    ("a way back is ready", |h| {
        h.puts("real2", Life::Ready, "1");
        h.proved(&["1", "2"]);
    }),
    ("a way back has to be started", |h| h.proved(&["3", "1", "2"])),
    ("a way back is not in the store any more", |h| {
        h.proved(&["3", "1", "2"]);
        h.touch().stored.remove(&Digest::new("1"));
    }),
    ("there is no way back", |h| h.proved(&["2"])),
    ("a place that nobody can read", |h| {
        h.place("real2").occupants = unknown();
        h.route().loaded = Observation::Unknown("it times out".to_owned());
    }),
    ("a process that is recorded for the other slot is on the port", |h| {
        h.puts("real2", Life::Empty, "1");
        let identity = h.process("real1").identity.clone();
        let found = Occupant::SameApp { identity, evidence: "a JVM".to_owned(), resident: 1 };
        h.place("real2").occupants = Observation::Known(vec![found]);
    }),
    ("a process that was just taken over", |h| {
        h.puts("real2", Life::Gone, "1");
        h.record("real2").process = Some(others(77));
        let found = Occupant::SameApp { identity: others(77), evidence: "a JVM".to_owned(), resident: 1 };
        h.place("real2").occupants = Observation::Known(vec![found]);
    }),
    ("a release that serves is not in the ledger", |h| {
        let id = h.id("2");
        h.ledger().releases.remove(&id);
    }),
    ("a release that serves is not in the ledger, and the jar is not there", |h| {
        let id = h.id("2");
        h.ledger().releases.remove(&id);
        h.proved(&["1"]);
        h.touch().jar = Observation::Absent;
    }),
    ("another boot is asked for", |h| boots(h, Boot::Jar, Layout::Packed, 17)),
    ("a jar is to be unpacked before it is started", |h| {
        boots(h, Boot::Extracted, Layout::Packed, 17);
        h.puts("real1", Life::Empty, "2");
        h.mute();
    }),
    ("a jar that is unpacked is started", |h| {
        boots(h, Boot::Extracted, Layout::Unpacked, 17);
        h.puts("real1", Life::Empty, "2");
    }),
    ("a jar that cannot be unpacked", |h| boots(h, Boot::Auto, Layout::Opaque { why: "it is signed".to_owned() }, 17)),
    ("an archive is to be trained", cds),
    ("an archive is to be trained where only jars are asked for", |h| boots(h, Boot::Auto, Layout::Unpacked, 17)),
    ("an archive is being trained", |h| {
        cds(h);
        h.touch().archives.training = true;
    }),
    ("an archive is there", |h| {
        cds(h);
        archive(h, Archive::Ready);
    }),
    ("an archive is there, and the live slot is dead", |h| {
        cds(h);
        archive(h, Archive::Ready);
        h.puts("real1", Life::Ended, "2");
    }),
    ("a training failed", |h| {
        cds(h);
        archive(h, Archive::Failed { why: "it ran out of time".to_owned() });
    }),
    ("a training failed, and another one is under way", |h| {
        cds(h);
        archive(h, Archive::Failed { why: "it ran out of time".to_owned() });
        h.touch().archives.training = true;
    }),
    ("a JVM that makes no archives", |h| boots(h, Boot::Cds, Layout::Unpacked, 12)),
    ("the first JVM that makes archives", |h| boots(h, Boot::Cds, Layout::Unpacked, 13)),
    ("a jar that nothing can be trained for", |h| {
        cds(h);
        h.touch().archives.untrainable.insert(Digest::new("2"), "it is too old".to_owned());
    }),
    ("the manifest has an archive of its own", |h| {
        cds(h);
        h.spec(|s| s.launch.jvm_args = vec!["-XX:SharedArchiveFile=x".to_owned()]);
        h.puts("real1", Life::Ready, "2");
        h.touch().layouts.insert(Digest::new("2"), Layout::Unpacked);
    }),
    ("no training with just too little memory", |h| {
        cds(h);
        h.observed.memory = Observation::Known((400 << 20) - 1);
    }),
    ("a training with just enough memory", |h| {
        cds(h);
        h.observed.memory = Observation::Known(400 << 20);
    }),
    ("no training before bake has passed since the start", |h| {
        cds(h);
        h.record("real1").since = ago(59);
    }),
    ("no training before the cutover has settled", |h| {
        cds(h);
        h.cut("real2", "real1", 10);
    }),
    ("no training while a standby ends", |h| {
        cds(h);
        h.puts("real2", Life::Stopping, "1");
        h.record("real2").stopping = Some(ago(1));
    }),
];
