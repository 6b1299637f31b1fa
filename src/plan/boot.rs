//! How the next start of a release boots: as `launch.boot` asks, as far as the jar and what lies beside it go along.
//!
//! The choice is no part of a release and is made anew for each start, so another choice, or a new archive, restarts nothing.
//!
//! An archive is trained (see `Act::Train`) only where the manifest says `cds`, for what serves, after its deployment has come to
//! its end and `bake` has passed, while nothing else is to be done and memory is there for it. A pass only starts the training;
//! nothing ever waits for it, and a failure is a note. `auto` uses an archive that is there and makes none.

use crate::model::boot::{Archive, BootForm, Layout};
use crate::model::desired::Boot;
use crate::model::id::{ArchiveId, SlotName};
use crate::model::release::Release;
use crate::plan::facts::Case;
use crate::plan::ruling::Ruling;
use crate::plan::step::Act;

/// The first version of Java that can make an archive at its end (JEP 350).
const ARCHIVES_SINCE: u32 = 13;

/// Options by which the manifest says something about archives itself; ours would be the second word.
const OWN_WORDS: [&str; 4] = ["-XX:SharedArchiveFile", "-XX:ArchiveClassesAtExit", "-Xshare", "-XX:AOT"];

/// A training takes about what the live process has; with less than so many times that, the host would be short during one.
const ROOM: u64 = 2;

/// How a start of this release would boot now. A live slot that has to come back is not kept waiting for anything to be made first.
pub(super) fn form(case: &Case<'_>, release: &Release) -> BootForm {
    match (case.spec.launch.boot, case.seen.layouts.get(&release.digest)) {
        (Boot::Cds | Boot::Auto, Some(Layout::Unpacked)) => match archive(case, release) {
            Ok((archive, Some(Archive::Ready))) => BootForm::Archived { archive },
            Ok(_) | Err(_) => BootForm::Extracted,
        },
        (Boot::Extracted, Some(Layout::Unpacked)) => BootForm::Extracted,
        (Boot::Jar | Boot::Extracted | Boot::Cds | Boot::Auto, _) => BootForm::Jar,
    }
}

/// What has to be made before a candidate is started. What serves may do so from a jar that the store has lost since.
pub(super) fn unpack(case: &Case<'_>, release: &Release) -> Ruling {
    if !case.seen.stored.contains(&release.digest) {
        return Ruling::clear();
    }
    match (case.spec.launch.boot, case.seen.layouts.get(&release.digest)) {
        (Boot::Extracted | Boot::Cds | Boot::Auto, Some(Layout::Packed)) => Ruling::act(
            Act::Unpack { digest: release.digest.clone(), version: release.version.clone() },
            format!("launch.boot is {}, and a JVM starts faster when no jar lies inside a jar", word(case.spec.launch.boot)),
            "the jar lies unpacked beside itself in the store",
        ),
        (Boot::Jar | Boot::Extracted | Boot::Cds | Boot::Auto, _) => Ruling::clear(),
    }
}

/// Trains the archive of what serves, where there is none.
pub(super) fn train(case: &Case<'_>, release: &Release) -> Ruling {
    let Some(slot) = case.live().filter(|slot| case.spec.launch.boot == Boot::Cds && has_settled(case, slot)) else {
        return Ruling::clear();
    };
    if case.seen.archives.training || !has_room(case, slot) {
        return Ruling::clear();
    }
    unpack(case, release).then(|| match (case.seen.layouts.get(&release.digest), archive(case, release)) {
        (Some(Layout::Unpacked), Ok((archive, None))) => Ruling::act(
            Act::Train { slot: slot.clone(), release: release.id.clone(), version: release.version.clone(), archive },
            "launch.boot is cds, and there is no archive for this jar, this JVM and these options",
            "an archive lies beside the jar some time later, and the next start uses it",
        ),
        (Some(_) | None, Ok(_) | Err(_)) => Ruling::clear(),
    })
}

/// Whether what serves has proved itself, and nothing of its deployment is left to be done.
fn has_settled(case: &Case<'_>, live: &SlotName) -> bool {
    let age = case.record(live).and_then(|record| case.since(&record.boot, record.since));
    let baked = age.is_some_and(|age| age >= case.spec.slot_policy.bake) && case.cutover().is_none_or(|cutover| cutover.settled);
    baked && case.answers(live) && case.ledger().deployment.is_none()
}

fn has_room(case: &Case<'_>, live: &SlotName) -> bool {
    let takes = case.process(live).map_or(0, |process| process.resident);
    case.memory.known().is_some_and(|free| *free >= takes.saturating_mul(ROOM))
}

/// The archive of a release, as far as it is there; the error says why there can be none.
fn archive<'a>(case: &Case<'a>, release: &Release) -> Result<(ArchiveId, Option<&'a Archive>), String> {
    let archives = &case.seen.archives;
    if let Some(why) = archives.untrainable.get(&release.digest) {
        return Err(why.clone());
    }
    if let Some(word) = release.launch.jvm_args.iter().find(|arg| OWN_WORDS.iter().any(|own| arg.starts_with(own))) {
        return Err(format!("launch.jvm_args has {word}"));
    }
    let java = &release.launch.java;
    let jvm = archives.jvms.get(java).ok_or_else(|| format!("{java} belongs to no Java runtime that says its version"))?;
    if jvm.feature < ARCHIVES_SINCE {
        return Err(format!("{} cannot make one", jvm.name));
    }
    let id = ArchiveId::of(jvm, &release.launch);
    let made = archives.made.get(&release.digest).and_then(|made| made.get(&id));
    Ok((id, made))
}

/// Why a start of this release gets less than the manifest asks for.
pub(super) fn shortfall(case: &Case<'_>, release: &Release) -> Option<String> {
    let boot = case.spec.launch.boot;
    let said =
        |way: &str, why: &str| Some(format!("launch.boot is {}, and {} is started {way}: {why}", word(boot), release.version));
    match (boot, case.seen.layouts.get(&release.digest)) {
        (Boot::Extracted | Boot::Cds | Boot::Auto, Some(Layout::Opaque { why })) => said("by java -jar", why),
        (Boot::Cds, Some(Layout::Unpacked | Layout::Packed)) => match archive(case, release) {
            Err(why) => said("without an archive", &why),
            Ok((_, None | Some(Archive::Failed { .. }))) if case.seen.archives.training => {
                said("without an archive", "one is being trained at this moment")
            }
            Ok((_, Some(Archive::Failed { why }))) => said("without an archive", why),
            Ok((_, Some(Archive::Ready) | None)) => None,
        },
        (Boot::Jar | Boot::Extracted | Boot::Cds | Boot::Auto, _) => None,
    }
}

/// As the manifest says it.
fn word(boot: Boot) -> &'static str {
    match boot {
        Boot::Jar => "jar",
        Boot::Extracted => "extracted",
        Boot::Cds => "cds",
        Boot::Auto => "auto",
    }
}
