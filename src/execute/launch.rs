//! What a step hands over to start a JVM: as a slot, or to train an archive.

use std::path::PathBuf;

use crate::execute::{ExecuteError, Scene, moved, vacancy};
use crate::host::Host;
use crate::host::processes::StartOrder;
use crate::model::boot::BootForm;
use crate::model::desired::{LaunchSpec, ServiceSpec, fill};
use crate::model::id::{ArchiveId, Cookie, Identity, Port, ReleaseId, SlotName};
use crate::model::ledger::Ledger;
use crate::plan::record::Prepared;

/// Starts the release that the ledger has for a slot.
pub(super) fn start<H: Host>(
    host: &H,
    scene: &Scene<'_>,
    ledger: &Ledger,
    (slot, boot): (&SlotName, &BootForm),
    with: &Prepared,
) -> Result<Identity, ExecuteError> {
    vacancy::vacant(host, scene, slot)?;
    let release = ledger.slots.get(slot).and_then(|record| record.release.as_ref());
    let order = order(scene.spec, ledger, (slot, release), with.random.clone())?;
    // What starts where traffic goes already has nobody to give way to, and no cutover to have its share back by.
    let gives_way = scene.live.as_ref().is_some_and(|live| live != slot);
    Ok(host.start(&StartOrder { boot: boot.clone(), log: with.log.clone(), gives_way, ..order })?)
}

/// As the slot was started, but for the port: the one that is bound there is the live process's.
pub(super) fn train<H: Host>(
    host: &H,
    scene: &Scene<'_>,
    (slot, release): (&SlotName, &ReleaseId),
    archive: &ArchiveId,
) -> Result<(), ExecuteError> {
    let order = order(scene.spec, &scene.seen.ledger, (slot, Some(release)), host.random())?;
    Ok(host.train(&StartOrder { boot: BootForm::Extracted, ..order }, archive, scene.spec.health.deadline)?)
}

/// A release as the ledger has it, by `java -jar` and without a log.
fn order(
    spec: &ServiceSpec,
    ledger: &Ledger,
    (slot, release): (&SlotName, Option<&ReleaseId>),
    cookie: Cookie,
) -> Result<StartOrder, ExecuteError> {
    let (record, release) = (ledger.slots.get(slot), release.and_then(|id| ledger.releases.get(id)));
    let (Some(record), Some(release)) = (record, release) else {
        return Err(moved("a known release", "the ledger does not have it"));
    };
    Ok(StartOrder {
        service: spec.name.clone(),
        slot: slot.clone(),
        release: release.id.clone(),
        cookie,
        port: record.port,
        digest: release.digest.clone(),
        boot: BootForm::Jar,
        launch: filled(&release.launch, spec, slot, record.port, &release.version),
        env_file: release.env_file.clone(),
        log: PathBuf::new(),
        gives_way: false,
    })
}

/// Fills the placeholders of every string in.
fn filled(launch: &LaunchSpec, spec: &ServiceSpec, slot: &SlotName, port: Port, version: &str) -> LaunchSpec {
    let one = |text: &String| fill(text, &spec.name, slot, port, version);
    let all = |list: &[String]| list.iter().map(one).collect();
    LaunchSpec {
        java: one(&launch.java),
        jvm_args: all(&launch.jvm_args),
        args: all(&launch.args),
        profiles: all(&launch.profiles),
        config_locations: all(&launch.config_locations),
        env: launch.env.iter().map(|(key, value)| (key.clone(), one(value))).collect(),
        ..launch.clone()
    }
}
