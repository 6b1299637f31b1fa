//! Reads the host into an observed state; what cannot be read becomes `Unknown`, never an error. Decides nothing.

mod jar;
mod met;
mod once;
pub mod past;
mod route;
mod slots;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use crate::host::Host;
use crate::host::ledgers::LedgerError;
use crate::model::desired::{DesiredState, ServiceSpec};
use crate::model::id::{Digest, ServiceName, SlotName};
use crate::model::ledger::Ledger;
use crate::model::observed::{JarFact, Observation, ObservedService, ObservedState};
use crate::observe::once::Once;
use crate::observe::watch::{ServiceWatch, Watch};

/// Observes the services of the manifest and those that only a ledger knows, or of these only the named ones, side by side.
///
/// # Errors
/// When our own memory cannot be read: without it no process can be told from a stranger's.
pub async fn observe<H: Host>(
    host: &H,
    desired: &DesiredState,
    only: Option<&BTreeSet<ServiceName>>,
    watch: &mut Watch,
) -> Result<ObservedState, LedgerError> {
    let mut looks = Vec::new();
    for name in names(host, desired, only)? {
        let ledger = host.load(&name)?;
        let Some(spec) = desired.services.get(&name).cloned().or_else(|| ledger.accepted.clone()) else { continue };
        looks.push((name.clone(), spec, ledger, watch.take(&name)));
    }
    let once = Once::new(host);
    host.look_begins();
    let mut looks: Vec<_> =
        looks.into_iter().map(|(name, spec, ledger, memory)| (name, Look::begin(host, &once, spec, ledger, memory))).collect();
    count(host, &mut looks);
    let seen = join_all(looks.into_iter().map(async |(name, look)| (name, look.ask(host).await))).await;
    host.look_ends();
    let mut services = BTreeMap::new();
    for (name, (service, memory)) in seen {
        watch.put(name.clone(), memory);
        services.insert(name, service);
    }
    Ok(ObservedState { now: host.now(), memory: host.memory(), services })
}

/// The services to look at, each once.
fn names<H: Host>(
    host: &H,
    desired: &DesiredState,
    only: Option<&BTreeSet<ServiceName>>,
) -> Result<BTreeSet<ServiceName>, LedgerError> {
    let mut names: BTreeSet<_> = desired.services.keys().cloned().collect();
    names.extend(host.names()?);
    names.retain(|name| only.is_none_or(|only| only.contains(name)));
    Ok(names)
}

/// Counts what is open towards the slots that drain, of all services at once and before anybody is asked: our own questions would
/// count as connections.
fn count<H: Host>(host: &H, looks: &mut [(ServiceName, Look)]) {
    let ports: BTreeSet<_> = looks.iter().flat_map(|(_, look)| look.held.values().filter_map(slots::Held::counted)).collect();
    if ports.is_empty() {
        return;
    }
    let open = host.open(&ports);
    for (_, look) in looks {
        slots::count(host, &look.ledger, &mut look.held, &open, &mut look.watch);
    }
}

/// One service that is being looked at: what is seen without asking anybody.
struct Look {
    spec: ServiceSpec,
    ledger: Ledger,
    watch: ServiceWatch,
    jar: Observation<JarFact>,
    env_file: Observation<Digest>,
    files: route::Files,
    held: BTreeMap<SlotName, slots::Held>,
}

impl Look {
    fn begin<H: Host>(host: &H, once: &Once<'_, H>, spec: ServiceSpec, ledger: Ledger, mut watch: ServiceWatch) -> Self {
        let (jar, env_file) = (jar::jar(host, &spec, &ledger, &mut watch), jar::env_file(host, &spec));
        let files = route::files(host, once, &spec);
        let places = slots::places(&spec, &ledger, &files.include);
        let held = slots::held(host, once, &spec, &ledger, &places, &mut watch);
        Self { spec, ledger, watch, jar, env_file, files, held }
    }

    /// Asks the slots, nginx and the proxy, and puts everything together.
    async fn ask<H: Host>(self, host: &H) -> (ObservedService, ServiceWatch) {
        let Self { spec, ledger, mut watch, jar, env_file, files, held } = self;
        let stored = stored(host, &ledger, jar.known().map(|j| &j.digest), env_file.known());
        let layouts = jar::layouts(host, &spec, &ledger, &jar);
        let archives = jar::archives(host, &spec, &ledger, &layouts);
        let patience = watch.patience;
        let (slots, answers) = tokio::join!(
            slots::slots(host, &spec, &ledger, held, &mut watch),
            route::answers(host, &spec, &files, ledger.route.as_ref(), patience),
        );
        let route = route::put_together(host, &spec, files, answers);
        let launch_fault = host.launch_fault(&spec.launch);
        (ObservedService { ledger, jar, env_file, stored, layouts, archives, launch_fault, slots, route }, watch)
    }
}

/// Which of the digests that matter lie in the store.
fn stored<H: Host>(host: &H, ledger: &Ledger, jar: Option<&Digest>, env_file: Option<&Digest>) -> BTreeSet<Digest> {
    let known = ledger.releases.values().flat_map(|r| std::iter::once(&r.digest).chain(&r.env_file));
    let all: BTreeSet<_> = known.chain(jar).chain(env_file).collect();
    all.into_iter().filter(|digest| host.stored(digest)).cloned().collect()
}
