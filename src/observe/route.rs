//! The way from users to a slot: the include and its flags, nginx, what it has loaded, what answers through it.

use std::time::Duration;

use crate::host::Host;
use crate::model::desired::{CutoverMode, ServiceSpec};
use crate::model::id::SlotName;
use crate::model::observed::{Loaded, Nginx, Observation, ObservedRoute};
use crate::model::route::{Include, RouteText};
use crate::observe::once::Once;

/// What the file system and the process table say.
pub(super) struct Files {
    pub(super) include: Observation<Include>,
    flags: Observation<Vec<SlotName>>,
    nginx: Observation<Nginx>,
}

/// Reads the files.
pub(super) fn files<H: Host>(host: &H, once: &Once<'_, H>, spec: &ServiceSpec) -> Files {
    Files { include: host.include(spec), flags: host.flags(spec), nginx: once.nginx(&spec.proxy) }
}

/// Asks nginx and the proxy.
pub(super) async fn answers<H: Host>(
    host: &H,
    spec: &ServiceSpec,
    files: &Files,
    written: Option<&RouteText>,
    patience: Option<Duration>,
) -> (Observation<Loaded>, Observation<SlotName>) {
    match &files.nginx {
        Observation::Known(_) => {
            let loaded = loaded(host, spec, &files.include, written).await;
            // Where nginx itself speaks, the application's word is worth no long wait; where it does not, it is all there is.
            let patience = patience.filter(|_| loaded.known().is_some());
            let proxied = proxied(host, spec, patience).await;
            (loaded, proxied)
        }
        Observation::Absent => {
            let why = || "nginx does not run".to_owned();
            (Observation::Unknown(why()), Observation::Unknown(why()))
        }
        Observation::Unknown(why) => (Observation::Unknown(why.clone()), Observation::Unknown(why.clone())),
    }
}

/// nginx is asked with the nonce of the include on disk, or of the last one that we wrote.
async fn loaded<H: Host>(
    host: &H,
    spec: &ServiceSpec,
    include: &Observation<Include>,
    written: Option<&RouteText>,
) -> Observation<Loaded> {
    let on_disk = match include.known() {
        Some(Include::Ours(text)) => Some(text),
        Some(Include::Plain(_) | Include::Elsewhere { .. } | Include::Edited { .. }) | None => None,
    };
    match on_disk.or(written) {
        Some(text) => host.loaded(spec, text).await,
        None => Observation::Unknown("the include has no probe line".to_owned()),
    }
}

async fn proxied<H: Host>(host: &H, spec: &ServiceSpec, patience: Option<Duration>) -> Observation<SlotName> {
    match spec.proxy.url {
        Some(_) => host.proxied(spec, patience).await,
        None => Observation::Unknown("proxy.url is null".to_owned()),
    }
}

/// All of it.
pub(super) fn put_together<H: Host>(
    host: &H,
    spec: &ServiceSpec,
    files: Files,
    (loaded, proxied): (Observation<Loaded>, Observation<SlotName>),
) -> ObservedRoute {
    let faults = match spec.proxy.cutover {
        CutoverMode::Flag => host.faults(spec, files.nginx.known()),
        CutoverMode::Reload => Vec::new(),
    };
    let Files { include, flags, nginx } = files;
    ObservedRoute { include, flags, nginx, loaded, proxied, faults }
}
