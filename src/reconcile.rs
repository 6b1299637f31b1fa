//! One pass: observe the host, plan against the desired state, execute at most one step a service, say when to look again.

mod drain;
mod refusals;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::event::{Event, Sink};
use crate::execute::{self, ExecuteError, Reloaded, Scene, history};
use crate::host::Host;
use crate::host::artifacts::ArtifactError;
use crate::host::ledgers::LedgerError;
use crate::host::lock::LockError;
use crate::model::desired::DesiredState;
use crate::model::id::ServiceName;
use crate::model::observed::ObservedState;
use crate::model::status::Reason;
use crate::model::wake::Wake;
use crate::observe::observe;
use crate::observe::past::{past, tight};
use crate::observe::watch::Watch;
use crate::plan::hold::Hold;
use crate::plan::person::{self, Decided, Decision, Refusal};
use crate::plan::step::{Act, Step};
use crate::plan::{Next, Orphans, Plan, ServicePlan, first, next, plan, spec_of};
use crate::reconcile::refusals::AFTER_FAILURE;

/// Steps that change the ledger alone are carried out in one pass until a visible one comes; more than this is a circle.
const SILENT_STEPS: usize = 12;

/// The host moves between a look and an act by chance, so the next look comes at once; where it does so every time, this is the
/// second pause, and each is twice the one before up to [`AFTER_FAILURE`]: without it one core would be busy with looking.
const AFTER_MOVES: Duration = Duration::from_millis(20);

/// What a pass is about.
#[derive(Clone, Debug)]
pub struct Goal {
    /// The manifest's content.
    pub desired: DesiredState,
    /// Only these services; `None`: all, orphans too.
    pub only: Option<BTreeSet<ServiceName>>,
    /// What becomes of services that no manifest mentions.
    pub orphans: Orphans,
    /// How long to wait for the lock.
    pub lock_timeout: Duration,
}

/// What a pass tells the loop.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The plan that was followed, as far as it was (see [`crate::plan::first`]).
    pub plan: Plan,
    /// Services that a step was carried out for.
    pub stepped: Vec<ServiceName>,
    /// Steps that failed for a reason that is nobody's decision, with the chain of causes.
    pub failures: Vec<(ServiceName, String)>,
    /// When to look again at the latest; `None`: whenever the loop likes.
    pub again: Option<Duration>,
    /// What to look earlier for.
    pub wakes: Vec<Wake>,
    /// Time spent in this pass.
    pub took: Duration,
}

/// Why there was no pass.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Another slotd holds the lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Our memory cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Something beside an artifact cannot be removed.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A decision cannot be taken.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The host has moved since the plan was made.
    #[error("the plan {expected} is stale: the host or the manifest has changed since, and the plan is {found} now")]
    Stale {
        /// The id that was given.
        expected: String,
        /// The id of now.
        found: String,
    },
    /// `rollback nosuch`: no such service.
    #[error("there is no service {service} (known: {known})")]
    NoSuchService {
        /// What was asked for.
        service: ServiceName,
        /// What there is.
        known: String,
    },
}

/// Observes and plans; takes no lock and touches nothing. Looks again where one look is too short to call a slot ready.
///
/// # Errors
/// When our memory cannot be read, or a named service does not exist.
pub async fn look<H: Host>(host: &H, goal: &Goal, watch: &mut Watch) -> Result<Plan, ReconcileError> {
    known(host, goal)?;
    let mut looks = goal.desired.services.values().map(|s| s.health.successes).max().unwrap_or(1);
    loop {
        let observed = see(host, goal, watch).await?;
        let plan = plan(&goal.desired, &observed, goal.orphans);
        looks = looks.saturating_sub(1);
        match half_ready(goal, &observed) {
            Some(interval) if looks > 0 => host.wait(&[], interval).await,
            Some(_) | None => return with_past(host, goal, drain::with_callers(host, goal, &observed, plan)),
        }
    }
}

/// The plan with what the history of each service says, for people.
fn with_past<H: Host>(host: &H, goal: &Goal, mut plan: Plan) -> Result<Plan, ReconcileError> {
    for service in &mut plan.services {
        let past = past(&host.history(&service.name)?);
        let deadline = goal.desired.services.get(&service.name).map(|spec| spec.health.deadline);
        service.notes.extend(deadline.and_then(|deadline| tight(&past, deadline)));
        service.view.past = past;
    }
    Ok(plan)
}

/// The time until another look may count a further good answer of a slot that has given some, but not enough.
fn half_ready(goal: &Goal, observed: &ObservedState) -> Option<Duration> {
    let health = |name| goal.desired.services.get(name).map(|spec| &spec.health);
    let short = observed.services.iter().filter_map(|(name, seen)| Some((health(name)?, seen))).filter(|(health, seen)| {
        let candidates = seen.slots.iter().filter(|(name, _)| seen.ledger.slots.get(*name).is_some_and(|r| !r.served));
        let mut probes = candidates.filter_map(|(_, slot)| slot.probe.known());
        probes.any(|probe| probe.good > 0 && probe.good < health.successes)
    });
    short.map(|(health, _)| health.interval).max()
}

#[tracing::instrument(level = "debug", name = "observe", skip_all)]
async fn see<H: Host>(host: &H, goal: &Goal, watch: &mut Watch) -> Result<ObservedState, ReconcileError> {
    Ok(observe(host, &goal.desired, goal.only.as_ref(), watch).await?)
}

/// Every named service exists, in the manifest or in a ledger.
fn known<H: Host>(host: &H, goal: &Goal) -> Result<(), ReconcileError> {
    let Some(only) = &goal.only else { return Ok(()) };
    let mut names: BTreeSet<_> = goal.desired.services.keys().cloned().collect();
    names.extend(host.names()?);
    match only.iter().find(|name| !names.contains(name)) {
        None => Ok(()),
        Some(service) => {
            let known = names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            Err(ReconcileError::NoSuchService { service: service.clone(), known })
        }
    }
}

/// Makes the manifest the accepted state of its services; changes nothing when it is that already, or when the plan is not
/// the `expected` one.
///
/// # Errors
/// [`ReconcileError::Stale`] before anything is touched; a lock or a ledger that cannot be had.
pub async fn accept<H: Host>(host: &H, goal: &Goal, expected: Option<&str>) -> Result<(), ReconcileError> {
    let _guard = host.lock(goal.lock_timeout).await?;
    known(host, goal)?;
    if let Some(expected) = expected {
        let found = look(host, goal, &mut Watch::default()).await?.id;
        if found != expected {
            return Err(ReconcileError::Stale { expected: expected.to_owned(), found });
        }
    }
    for (name, spec) in &goal.desired.services {
        if goal.only.as_ref().is_some_and(|only| !only.contains(name)) {
            continue;
        }
        moved(host, name, spec.moved_from.as_ref())?;
        let mut ledger = host.load(name)?;
        if ledger.accepted.as_ref() != Some(spec) {
            ledger.generation = ledger.generation.next();
            ledger.accepted = Some(spec.clone());
            host.commit(name, &ledger)?;
        }
    }
    Ok(())
}

/// `moved_from`: the ledger of the old name becomes that of the new one, once.
fn moved<H: Host>(host: &H, name: &ServiceName, from: Option<&ServiceName>) -> Result<(), LedgerError> {
    let names = host.names()?;
    match from {
        Some(from) if names.contains(from) && !names.contains(name) => host.rename(from, name),
        Some(_) | None => Ok(()),
    }
}

/// One pass, under the lock. A service whose accepted state is no longer this goal's is left alone; so is one that a pass has retired.
///
/// # Errors
/// A lock or a ledger that cannot be had. A step that fails is no error: it is in the outcome.
#[tracing::instrument(level = "debug", name = "pass", skip_all)]
pub async fn pass<H: Host>(host: &H, goal: &Goal, watch: &mut Watch, sink: &mut dyn Sink) -> Result<Outcome, ReconcileError> {
    let _guard = host.lock(goal.lock_timeout).await?;
    let began = host.now().at;
    let mut observed = see(host, goal, watch).await?;
    accept_again(host, goal, &mut observed, watch)?;
    let mut plan = first(&goal.desired, &observed, goal.orphans);
    superseded(goal, &observed, &mut plan);
    let (mut stepped, mut failures, mut proxy) = (Vec::new(), Vec::new(), Proxy { written: false, reloaded: Reloaded::No });
    for service in &mut plan.services {
        let done = advance(host, goal, (&mut observed, watch), service, &mut proxy, sink).await;
        stepped.extend(done.stepped.then(|| service.name.clone()));
        failures.extend(done.failure.map(|error| (service.name.clone(), error)));
        let moves = watch.moved(&service.name, done.moved);
        if done.moved {
            service.again = Some(pause(moves));
        }
    }
    let took = host.now().at.since(began);
    let outcome = outcome(plan, stepped, failures, took);
    Ok(Outcome { again: outcome.again.into_iter().chain(watch.awaits()).min(), ..outcome })
}

fn outcome(plan: Plan, stepped: Vec<ServiceName>, failures: Vec<(ServiceName, String)>, took: Duration) -> Outcome {
    let at_once = (!stepped.is_empty()).then_some(Duration::ZERO);
    let after_failure = (!failures.is_empty()).then_some(AFTER_FAILURE);
    let again = plan.services.iter().filter_map(|s| s.again).chain(at_once).chain(after_failure).min();
    let wakes = plan.services.iter().flat_map(|s| s.wakes.clone()).collect();
    Outcome { plan, stepped, failures, again, wakes, took }
}

/// The pause after so many passes in a row in which the host had moved.
fn pause(moves: u32) -> Duration {
    match moves.checked_sub(2) {
        None => Duration::ZERO,
        Some(doubled) => (AFTER_MOVES * (1 << doubled.min(10))).min(AFTER_FAILURE),
    }
}

/// What a pass did about one service.
#[derive(Default)]
struct Advance {
    stepped: bool,
    /// The host was not any more as it had been seen.
    moved: bool,
    failure: Option<String>,
}

/// What has become of the one nginx of all services in this pass.
struct Proxy {
    written: bool,
    reloaded: Reloaded,
}

impl Proxy {
    /// An include that was just written has its own service's reload to come: one reload later is one for both.
    fn puts_off(&self, act: &Act) -> bool {
        matches!(act, Act::Reload { .. }) && self.written
    }

    fn done(&mut self, act: &Act) {
        self.written |= matches!(act, Act::WriteInclude { .. });
        if matches!(act, Act::Reload { .. }) {
            self.reloaded = Reloaded::Already;
        }
    }
}

/// Carries out the silent steps up to the first visible one, and that one; the plan for the service is then the one that was
/// followed last.
async fn advance<H: Host>(
    host: &H,
    goal: &Goal,
    (observed, watch): (&mut ObservedState, &mut Watch),
    service: &mut ServicePlan,
    proxy: &mut Proxy,
    sink: &mut dyn Sink,
) -> Advance {
    let mut done = Advance::default();
    for _ in 0..SILENT_STEPS {
        let Next::Step(step) = service.next.clone() else { break };
        if proxy.puts_off(&step.act) {
            done.stepped = true;
            break;
        }
        if refusals::puts_off(service, &step.act, watch, host.now().at) {
            break;
        }
        match carry_out(host, goal, observed, service, (&step, proxy.reloaded), sink).await {
            Ok(()) => {
                watch.refuses(&service.name, None);
                proxy.done(&step.act);
                done.stepped = true;
            }
            Err(error) => {
                match error.reason() {
                    Some(reason) => refusals::held(service, &step.act, (reason, chain(&error)), watch, host.now().at),
                    None => failed(&error, &mut done),
                }
                break;
            }
        }
        if step.act.outdates_the_look() {
            break;
        }
        replan(goal, observed, service);
    }
    done
}

/// Executes one step and takes the ledger that came of it into the observation.
async fn carry_out<H: Host>(
    host: &H,
    goal: &Goal,
    observed: &mut ObservedState,
    service: &ServicePlan,
    (step, nginx): (&Step, Reloaded),
    sink: &mut dyn Sink,
) -> Result<(), ExecuteError> {
    let Some(seen) = observed.services.get_mut(&service.name) else { return Ok(()) };
    let Some(spec) = spec_of(&goal.desired, &service.name, seen).cloned() else { return Ok(()) };
    let began = host.now().at;
    sink.emit(&service.name, &Event::StepBegan { act: step.act.clone(), why: step.why.clone() });
    let scene = Scene { spec: &spec, seen, live: service.view.live.clone(), nginx };
    let result = execute::execute(host, &scene, &step.act).await;
    let event = match &result {
        Ok(_) => Event::StepDone { act: step.act.clone(), took: host.now().at.since(began) },
        Err(error) => Event::StepFailed { act: step.act.clone(), error: chain(error) },
    };
    sink.emit(&service.name, &event);
    seen.ledger = result?;
    Ok(())
}

/// The whole chain of causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// A step that nobody can decide about is a failure, unless the host moved between the look and the act: then it is only a reason to
/// look again.
fn failed(error: &ExecuteError, done: &mut Advance) {
    done.moved = matches!(error, ExecuteError::Moved { .. });
    done.failure = (!done.moved).then(|| chain(error));
}

fn replan(goal: &Goal, observed: &ObservedState, service: &mut ServicePlan) {
    if let Some(next) = next(&goal.desired, observed, goal.orphans, &service.name) {
        *service = next;
    }
}

/// A ledger that was lost, or an older one that somebody put back, does not know the manifest that this slotd has had accepted: it is
/// accepted again, above every generation that was seen. A newer one supersedes it.
fn accept_again<H: Host>(host: &H, goal: &Goal, observed: &mut ObservedState, watch: &mut Watch) -> Result<(), LedgerError> {
    for (name, seen) in &mut observed.services {
        let Some(spec) = goal.desired.services.get(name) else { continue };
        let ledger = &mut seen.ledger;
        let known = watch.accepted(name).filter(|known| ledger.generation <= *known);
        if let Some(known) = known.filter(|_| ledger.accepted.as_ref() != Some(spec)) {
            ledger.generation = known.next();
            ledger.accepted = Some(spec.clone());
            host.commit(name, ledger)?;
        }
        let accepted = ledger.accepted.as_ref() == Some(spec);
        watch.accepts(name, accepted.then_some(ledger.generation));
    }
    Ok(())
}

/// A newer manifest was accepted meanwhile: this goal has nothing more to say about that service.
fn superseded(goal: &Goal, observed: &ObservedState, plan: &mut Plan) {
    for service in &mut plan.services {
        let accepted = observed.services.get(&service.name).and_then(|s| s.ledger.accepted.as_ref());
        let Some(wanted) = goal.desired.services.get(&service.name) else { continue };
        if accepted.is_none_or(|accepted| accepted == wanted) {
            continue;
        }
        service.next = Next::Hold;
        service.holds.push(Hold {
            reason: Reason::Superseded,
            detail: "another manifest was accepted since this one".to_owned(),
            until: "apply the manifest that is meant".to_owned(),
            again: Duration::from_secs(30),
            wakes: Vec::new(),
        });
    }
}

/// What was decided about each service.
pub type All = Vec<(ServiceName, Decided)>;

/// Takes a person's decision about each of the goal's services (all when `only` is `None`), under the lock. `watch` remembers what the
/// slots answered.
///
/// # Errors
/// The first refusal; the ledgers of the services before it are changed already.
pub async fn decide<H: Host>(host: &H, goal: &Goal, decision: &Decision, watch: &mut Watch) -> Result<All, ReconcileError> {
    let _guard = host.lock(goal.lock_timeout).await?;
    known(host, goal)?;
    let observed = see(host, goal, watch).await?;
    let mut all = Vec::new();
    for service in first(&goal.desired, &observed, goal.orphans).services {
        let Some(seen) = observed.services.get(&service.name) else { continue };
        let mut ledger = seen.ledger.clone();
        let decided = person::decide(decision, &service, &mut ledger, &observed.now)?;
        host.commit(&service.name, &ledger)?;
        history::decided(host, &service.name, &seen.ledger, &ledger, observed.now.wall)?;
        if *decision == Decision::Retry {
            ledger.releases.values().try_for_each(|release| host.retrain(&release.digest))?;
        }
        all.push((service.name, decided));
    }
    Ok(all)
}
