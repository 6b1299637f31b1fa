//! How the next start of a release boots: as `launch.boot` asks, as far as the jar and what lies beside it go along.
//!
//! The choice is no part of a release and is made anew for each start, so another choice restarts nothing.

use crate::model::boot::{BootForm, Layout};
use crate::model::desired::Boot;
use crate::model::release::Release;
use crate::plan::facts::Case;
use crate::plan::ruling::Ruling;
use crate::plan::step::Act;

/// How a start of this release would boot now. A live slot that has to come back is not kept waiting for anything to be made first.
pub(super) fn form(case: &Case<'_>, release: &Release) -> BootForm {
    match (case.spec.launch.boot, case.seen.layouts.get(&release.digest)) {
        (Boot::Extracted | Boot::Auto, Some(Layout::Unpacked)) => BootForm::Extracted,
        (Boot::Jar | Boot::Extracted | Boot::Auto, _) => BootForm::Jar,
    }
}

/// What has to be made before a candidate is started.
pub(super) fn unpack(case: &Case<'_>, release: &Release) -> Ruling {
    match (case.spec.launch.boot, case.seen.layouts.get(&release.digest)) {
        (Boot::Extracted | Boot::Auto, Some(Layout::Packed)) => Ruling::act(
            Act::Unpack { digest: release.digest.clone(), version: release.version.clone() },
            format!("launch.boot is {}, and a JVM starts faster when no jar lies inside a jar", word(case.spec.launch.boot)),
            "the jar lies unpacked beside itself in the store",
        ),
        (Boot::Jar | Boot::Extracted | Boot::Auto, _) => Ruling::clear(),
    }
}

/// Why a start of this release gets less than the manifest asks for.
pub(super) fn shortfall(case: &Case<'_>, release: &Release) -> Option<String> {
    let boot = case.spec.launch.boot;
    match case.seen.layouts.get(&release.digest) {
        Some(Layout::Opaque { why }) if boot != Boot::Jar => {
            Some(format!("launch.boot is {}, and {} is started by java -jar: {why}", word(boot), release.version))
        }
        Some(_) | None => None,
    }
}

/// As the manifest says it.
fn word(boot: Boot) -> &'static str {
    match boot {
        Boot::Jar => "jar",
        Boot::Extracted => "extracted",
        Boot::Auto => "auto",
    }
}
