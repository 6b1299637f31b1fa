//! Carries out one step: the precondition once more, the act, the proof. Has no policy: what is done was decided by the plan.

pub mod history;
mod launch;
mod vacancy;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::host::Host;
use crate::host::artifacts::ArtifactError;
use crate::host::ledgers::LedgerError;
use crate::host::probes::Question;
use crate::host::processes::{Bearer, PortQuestion, ProcessError, Signal};
use crate::host::proxy::ProxyError;
use crate::model::desired::ServiceSpec;
use crate::model::id::{Identity, Port, SlotName};
use crate::model::ledger::{Ledger, ResolvedJar};
use crate::model::observed::{Answer, Observation, ObservedService, Occupant};
use crate::model::release::{Release, bind_address};
use crate::model::route::{Include, RouteText};
use crate::model::status::Reason;
use crate::plan::precondition::{Fact, Moved, Reader, rests_on, still_so};
use crate::plan::record::{self, Prepared};
use crate::plan::step::Act;

/// A cutover that nginx has not confirmed after this long goes back. nginx looks at the flag per request, so the first answer
/// afterwards is already the new one; the rest is for a machine that is out of breath.
const PROOF: Duration = Duration::from_millis(500);

/// Between two questions for the proof.
const PROOF_LOOK: Duration = Duration::from_millis(10);

/// Why a step was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The host is not any more as the plan saw it.
    #[error("not done, because {expected} no longer holds: {found}")]
    Moved {
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// nginx did not confirm the cutover; it went back.
    #[error("nginx did not confirm the cutover to {to} ({found}); traffic went back to {from}")]
    Unproven {
        /// Where traffic should have gone.
        to: SlotName,
        /// Where it goes again.
        from: SlotName,
        /// What nginx said.
        found: String,
    },
    /// The artifact cannot be taken.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The process could not be started or signalled.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The route could not be changed.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// Our memory could not be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl ExecuteError {
    /// The hold that this amounts to, where the world can end it; `None`: it is nobody's decision, or the next pass simply goes on.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Proxy(ProxyError::Refused { .. }) => Some(Reason::ConfigBroken),
            Self::Proxy(ProxyError::Command { .. }) => Some(Reason::ReloadNotApplied),
            Self::Proxy(ProxyError::Io { .. } | ProxyError::Changed { .. }) => Some(Reason::RouteFailed),
            Self::Proxy(ProxyError::MasterGone { .. }) => Some(Reason::ProxyUnverified),
            Self::Unproven { .. } => Some(Reason::RouteUnproven),
            Self::Artifact(ArtifactError::Missing { .. }) => Some(Reason::ArtifactMissing),
            Self::Artifact(
                ArtifactError::Growing { .. }
                | ArtifactError::NotAJar { .. }
                | ArtifactError::NotAnEnvFile { .. }
                | ArtifactError::Digest { .. },
            ) => Some(Reason::ArtifactUnfit),
            Self::Moved { .. } | Self::Artifact(ArtifactError::Io { .. }) | Self::Process(_) | Self::Ledger(_) => None,
        }
    }
}

/// One service, as the plan saw it.
#[derive(Debug)]
pub struct Scene<'a> {
    /// By which it was planned.
    pub spec: &'a ServiceSpec,
    /// What was seen.
    pub seen: &'a ObservedService,
    /// The slot that serves.
    pub live: Option<SlotName>,
    /// Whether nginx was reloaded in this pass already.
    pub nginx: Reloaded,
}

/// Whether the reload that a step asks for has been sent: one reload loads the includes of every service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// Not yet.
    No,
    /// For another service, after this one's include was looked at: it only has to be written down.
    Already,
}

/// Carries out one step; gives the ledger as it is afterwards.
///
/// # Errors
/// Whatever kept the step from being done or proven; the next pass observes anew and plans from what is true.
#[tracing::instrument(level = "debug", name = "step", skip_all, fields(service = %scene.spec.name, kind = act.kind()))]
pub async fn execute<H: Host>(host: &H, scene: &Scene<'_>, act: &Act) -> Result<Ledger, ExecuteError> {
    let with = prepare(host, scene, act);
    let facts = rests_on(act, scene.seen, scene.live.as_ref());
    let answers = ask_again(host, scene, &facts).await;
    still_so(&facts, &Again { host, spec: scene.spec, answers })?;
    let mut ledger = scene.seen.ledger.clone();
    record::before(&mut ledger, act, &with);
    if ledger != scene.seen.ledger {
        host.commit(&scene.spec.name, &ledger)?;
    }
    let started = carry_out(host, scene, act, &ledger, &with).await?;
    let before = ledger.clone();
    let done = Prepared { now: host.now(), ..with };
    record::after(&mut ledger, act, &done, started.as_ref());
    if *act == Act::Retire {
        host.retire(&scene.spec.name)?;
    } else if ledger != before {
        host.commit(&scene.spec.name, &ledger)?;
    }
    history::write(host, scene, act, &before, &ledger, &done)?;
    Ok(ledger)
}

fn prepare<H: Host>(host: &H, scene: &Scene<'_>, act: &Act) -> Prepared {
    let nginx = scene.seen.route.nginx.known();
    let workers = nginx.map_or(&[][..], |n| &n.workers);
    let log = if let Act::Start { slot, .. } = act { host.next_log(&scene.spec.name, slot) } else { PathBuf::new() };
    let on_disk = match scene.seen.route.include.known() {
        Some(Include::Ours(text)) => text.generation,
        Some(Include::Plain(_) | Include::Elsewhere { .. } | Include::Edited { .. }) | None => 0,
    };
    Prepared {
        now: host.now(),
        random: host.random(),
        log,
        workers: workers.iter().filter(|w| w.accepting).map(|w| (w.pid, w.start)).collect(),
        jar: resolved(scene),
        live: scene.live.clone(),
        generation: on_disk.max(scene.seen.route.loaded.known().map_or(0, |l| l.generation)),
        spec: scene.spec.clone(),
    }
}

fn resolved(scene: &Scene<'_>) -> Option<ResolvedJar> {
    let (jar, fact) = (&scene.spec.jar, scene.seen.jar.known()?);
    let (version, path, sha256) = (jar.version.clone(), jar.path.clone(), jar.sha256.clone());
    Some(ResolvedJar { version, path, sha256, digest: fact.digest.clone(), stamp: fact.stamp })
}

/// Reads the facts again that a step rests on.
struct Again<'a, H> {
    host: &'a H,
    spec: &'a ServiceSpec,
    answers: BTreeMap<SlotName, Answer>,
}

/// Asks the slots again whose answers a step rests on.
async fn ask_again<H: Host>(host: &H, scene: &Scene<'_>, facts: &[Fact]) -> BTreeMap<SlotName, Answer> {
    let mut answers = BTreeMap::new();
    for fact in facts {
        let (Fact::Serves(slot, _) | Fact::Silent(slot)) = fact else { continue };
        let Some(seen) = scene.seen.slots.get(slot) else { continue };
        let version = scene.seen.ledger.slots.get(slot).map_or("", |r| r.version.as_str());
        answers.insert(slot.clone(), host.ask(&Question::of(scene.spec, slot, seen.port, version)).await);
    }
    answers
}

impl<H: Host> Reader for Again<'_, H> {
    fn include(&self) -> Observation<Include> {
        self.host.include(self.spec)
    }

    fn flags(&self) -> Observation<Vec<SlotName>> {
        self.host.flags(self.spec)
    }

    fn occupants(&self, port: Port) -> Observation<Vec<Occupant>> {
        let bind = bind_address(&self.spec.launch);
        let question = PortQuestion { port, bind, own: Vec::new(), cookies: Vec::new(), application: None };
        self.host.port(&question).map(|fact| fact.occupants)
    }

    fn process(&self, identity: &Identity) -> Observation<Identity> {
        self.host.find(identity).map(|found| found.identity)
    }

    fn nginx(&self) -> Observation<Identity> {
        self.host.nginx(&self.spec.proxy).map(|nginx| nginx.master)
    }

    fn training(&self) -> bool {
        self.host.training()
    }

    fn answer(&self, slot: &SlotName) -> Answer {
        self.answers.get(slot).cloned().unwrap_or_else(|| Answer::None { why: "it was not asked".to_owned() })
    }
}

impl From<Moved> for ExecuteError {
    fn from(Moved { expected, found }: Moved) -> Self {
        Self::Moved { expected, found }
    }
}

/// The act itself; gives the process that it started.
async fn carry_out<H: Host>(
    host: &H,
    scene: &Scene<'_>,
    act: &Act,
    ledger: &Ledger,
    with: &Prepared,
) -> Result<Option<Identity>, ExecuteError> {
    let (spec, nginx) = (scene.spec, scene.seen.route.nginx.known());
    give_back(host, scene, act);
    match act {
        Act::Install { release } => install(host, spec, release)?,
        Act::Unpack { digest, .. } => host.unpack(digest)?,
        Act::WriteInclude { live, .. } => write(host, scene, ledger, live)?,
        Act::Reload { .. } if scene.nginx == Reloaded::Already => {}
        Act::Reload { .. } => {
            let Some(nginx) = nginx else { return Err(moved("a running nginx", "none runs")) };
            host.reload(&spec.proxy, nginx)?;
        }
        Act::TidyFlags { slots } => slots.iter().try_for_each(|slot| host.cut(&spec.proxy, Some(slot), None))?,
        Act::Start { slot, boot, .. } => return launch::start(host, scene, ledger, (slot, boot), with).map(Some),
        Act::Train { slot, release, archive, .. } => launch::train(host, scene, (slot, release), archive)?,
        Act::Cutover { from, to, .. } => cut_over(host, scene, from, to).await?,
        Act::Stop { slot, process, .. } => {
            signal_family(host, process, &[], Signal::Term)?;
            if is_frozen(scene, slot) {
                // TERM waits until the process goes on (signal(7)).
                signal_family(host, process, &[], Signal::Thaw)?;
            }
        }
        Act::Freeze { process, .. } => signal_family(host, process, &[], Signal::Freeze)?,
        Act::Thaw { process, .. } => signal_family(host, process, &[], Signal::Thaw)?,
        Act::Kill { processes, .. } => {
            let Some((first, rest)) = processes.split_first() else { return Ok(None) };
            signal_family(host, first, rest, Signal::Kill)?;
        }
        Act::Collect { digests, .. } => digests.iter().try_for_each(|digest| host.discard(digest))?,
        Act::Relabel { .. }
        | Act::Adopt { .. }
        | Act::RecordFailure { .. }
        | Act::Forget { .. }
        | Act::Quarantine { .. }
        | Act::Mark { .. }
        | Act::Settle { .. }
        | Act::Prove { .. }
        | Act::RecordHealth
        | Act::Finish { .. }
        | Act::Retire => {}
    }
    Ok(None)
}

/// What gave way to another slot while it started competes like any other once traffic goes to it: by this step, or by a person's hand.
fn give_back<H: Host>(host: &H, scene: &Scene<'_>, act: &Act) {
    let led_to = if let Act::Cutover { to: slot, .. } | Act::WriteInclude { live: slot, .. } = act { Some(slot) } else { None };
    let record = |slot| scene.seen.ledger.slots.get(slot);
    let others = led_to.filter(|slot| scene.live.as_ref() != Some(*slot));
    let processes = scene.live.iter().chain(others).filter_map(record).filter_map(|record| record.process.as_ref());
    processes.for_each(|process| host.give_back(process));
}

fn is_frozen(scene: &Scene<'_>, slot: &SlotName) -> bool {
    scene.seen.slots.get(slot).and_then(|seen| seen.process.known()).is_some_and(|process| process.frozen)
}

fn moved(expected: &'static str, found: &str) -> ExecuteError {
    ExecuteError::Moved { expected, found: found.to_owned() }
}

fn install<H: Host>(host: &H, spec: &ServiceSpec, release: &Release) -> Result<(), ArtifactError> {
    if !host.stored(&release.digest) {
        host.install(&spec.jar.path, &release.digest)?;
    }
    match (&release.env_file, &spec.launch.env_file) {
        (Some(digest), Some(path)) if !host.stored(digest) => host.install(path, digest),
        (Some(_) | None, _) => Ok(()),
    }
}

/// A text that a person wrote is kept before it is overwritten.
fn write<H: Host>(host: &H, scene: &Scene<'_>, ledger: &Ledger, live: &SlotName) -> Result<(), ExecuteError> {
    if let Some(Include::Edited { text }) = scene.seen.route.include.known() {
        host.keep_edited(scene.spec, text)?;
    }
    let Some(text) = &ledger.route else { return Err(moved("a route in the ledger", "there is none")) };
    Ok(host.write(scene.spec, text, live, scene.seen.route.nginx.known())?)
}

/// One system call, then the proof in band; what cannot be proven goes back.
async fn cut_over<H: Host>(host: &H, scene: &Scene<'_>, from: &SlotName, to: &SlotName) -> Result<(), ExecuteError> {
    let Some(Include::Ours(text)) = scene.seen.route.include.known() else {
        return Err(moved("an include of ours", "it is not"));
    };
    let flag = |slot: &SlotName| text.targets.first().is_none_or(|t| t.slot != *slot).then(|| slot.clone());
    let (leaving, entering) = (flag(from), flag(to));
    host.cut(&scene.spec.proxy, leaving.as_ref(), entering.as_ref())?;
    if scene.seen.route.nginx.known().is_none() {
        return Ok(());
    }
    match proof(host, scene.spec, text, to).await {
        Ok(()) => Ok(()),
        Err(found) => {
            host.cut(&scene.spec.proxy, entering.as_ref(), leaving.as_ref())?;
            Err(ExecuteError::Unproven { to: to.clone(), from: from.clone(), found })
        }
    }
}

/// nginx itself says, in every server that uses the variable, that it goes to `to`.
async fn proof<H: Host>(host: &H, spec: &ServiceSpec, text: &RouteText, to: &SlotName) -> Result<(), String> {
    let began = host.now().at;
    loop {
        let said = match host.loaded(spec, text).await {
            Observation::Known(loaded) if loaded.slot == *to => return Ok(()),
            Observation::Known(loaded) => format!("it says {}", loaded.slot),
            Observation::Unknown(why) => why,
            Observation::Absent => "it says nothing".to_owned(),
        };
        if host.now().at.since(began) >= PROOF {
            return Err(said);
        }
        host.wait(&[], PROOF_LOOK).await;
    }
}

/// Signals a slot's process and every descendant that carries its cookie: a wrapper script does not pass TERM on.
fn signal_family<H: Host>(host: &H, process: &Identity, known: &[Identity], signal: Signal) -> Result<(), ProcessError> {
    let bearers = host.bearers();
    let related = |b: &&Bearer| process.cookie.is_some() && b.found.identity.cookie == process.cookie;
    let found = bearers.known().map_or(&[][..], Vec::as_slice).iter().filter(related).map(|b| &b.found.identity);
    let mut family: Vec<&Identity> = known.iter().chain(found).filter(|identity| *identity != process).collect();
    family.dedup();
    for child in family {
        gone_is_fine(host.signal(child, signal))?;
    }
    gone_is_fine(host.signal(process, signal))
}

fn gone_is_fine(result: Result<(), ProcessError>) -> Result<(), ProcessError> {
    match result {
        Err(ProcessError::Gone { .. }) => Ok(()),
        other => other,
    }
}
