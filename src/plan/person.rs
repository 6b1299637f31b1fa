//! What a person decides, as a change of the ledger that the planner then follows.

use crate::model::id::{Now, ReleaseId, ServiceName};
use crate::model::ledger::{Ledger, Rollback};
use crate::plan::ServicePlan;
use crate::plan::aim::Aim;
use crate::plan::record;
use crate::plan::view::SlotView;
use crate::plan::way_back;

/// A verb of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Back to the previous good release, or to this version.
    Rollback {
        /// Which version.
        to: Option<String>,
    },
    /// Past the manual gate.
    Promote,
    /// No new deployments.
    Pause,
    /// Deployments again.
    Resume,
    /// Try what was quarantined, rolled back, stopped or edited again.
    Retry,
    /// The same release on the other slot.
    Restart,
    /// Stop the service and route nothing to it.
    Down,
}

/// Why a decision cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{service}: {why}")]
pub struct Refusal {
    /// Which service.
    pub service: ServiceName,
    /// One sentence, with what to do instead.
    pub why: String,
}

/// What was decided about a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// One sentence.
    pub said: String,
    /// What it is for.
    pub aim: Aim,
}

/// Changes the ledger as decided.
///
/// # Errors
/// [`Refusal`] when there is nothing that the decision could be about; the ledger is then unchanged.
pub fn decide(decision: &Decision, plan: &ServicePlan, ledger: &mut Ledger, now: &Now) -> Result<Decided, Refusal> {
    let decided = match decision {
        Decision::Rollback { to } => rollback(to.as_deref(), plan, ledger, now),
        Decision::Promote => promote(plan, ledger, now),
        Decision::Pause => Ok(decided(pause(ledger), Aim::Noted)),
        Decision::Resume => Ok(decided(resume(ledger), Aim::Converged)),
        Decision::Retry => Ok(decided(retry(ledger), Aim::Converged)),
        Decision::Restart => restart(plan, ledger),
        Decision::Down => Ok(decided(down(ledger), Aim::Down)),
    };
    decided.map_err(|why| Refusal { service: plan.name.clone(), why })
}

fn decided(said: impl Into<String>, aim: Aim) -> Decided {
    Decided { said: said.into(), aim }
}

fn rollback(to: Option<&str>, plan: &ServicePlan, ledger: &mut Ledger, now: &Now) -> Result<Decided, String> {
    let away = plan.view.rollback.away.clone();
    let away = away.ok_or("the manifest's release is unknown, so there is nothing to go back from")?;
    let current = live(plan).and_then(|slot| slot.running.as_ref()?.release.clone());
    let to = match to {
        Some(version) => named(version, ledger)?,
        None => previous(plan)?,
    };
    if current.as_ref() == Some(&to) {
        return Err(format!("{} serves already", label(&to, ledger)));
    }
    if let Some(by) = way_back::barrier(ledger, current.as_ref(), Some(&to)) {
        let (to, by) = (label(&to, ledger), label(by, ledger));
        return Err(format!(
            "{to} was known before {by}, and release {by} is not safe to go back from (jar.rollback_safe: false)"
        ));
    }
    let sentence = format!(
        "going back to {}; {} is held until the manifest asks for another release",
        label(&to, ledger),
        label(&away, ledger)
    );
    ledger.quarantine.remove(&to);
    record::begin(ledger, &to, &label(&to, ledger), now);
    let aim = Aim::Serves { version: label(&to, ledger), release: to.clone() };
    ledger.person.rollback = (away != to).then_some(Rollback { away, to });
    ledger.person.down = false;
    Ok(decided(sentence, aim))
}

fn asked_for(plan: &ServicePlan) -> Option<ReleaseId> {
    plan.view.desired.as_ref()?.release.clone()
}

fn asked_as(plan: &ServicePlan) -> Option<String> {
    plan.view.desired_version.clone()
}

fn live(plan: &ServicePlan) -> Option<&SlotView> {
    let live = plan.view.live.as_ref()?;
    plan.view.slots.iter().find(|s| s.slot == *live)
}

/// The newest kept release of that version.
fn named(version: &str, ledger: &Ledger) -> Result<ReleaseId, String> {
    let known = ledger.good.iter().rev().chain(ledger.releases.keys());
    let found = known.filter_map(|id| ledger.releases.get(id)).find(|r| r.version == version);
    found.map(|r| r.id.clone()).ok_or_else(|| {
        let kept: Vec<_> = ledger.releases.values().map(|r| r.version.as_str()).collect();
        format!("no release called {version} is kept (kept: {})", kept.join(", "))
    })
}

/// What `status` says that a rollback would go to.
fn previous(plan: &ServicePlan) -> Result<ReleaseId, String> {
    let rollback = &plan.view.rollback;
    let why = || rollback.why.clone().unwrap_or_default();
    rollback.to.clone().ok_or_else(|| format!("there is nothing to go back to: {}; see `slotd history`", why()))
}

fn label(id: &ReleaseId, ledger: &Ledger) -> String {
    ledger.releases.get(id).map_or_else(|| id.to_string(), |r| r.version.clone())
}

fn promote(plan: &ServicePlan, ledger: &mut Ledger, now: &Now) -> Result<Decided, String> {
    let release = asked_for(plan).ok_or("the manifest's release is unknown, so there is nothing to promote")?;
    let version = asked_as(plan).unwrap_or_else(|| label(&release, ledger));
    let sentence = format!("{version} may take the traffic as soon as it is ready");
    if let Some(deployment) = ledger.deployment.as_mut().filter(|deployment| deployment.release == release) {
        deployment.phases.push(("promote".to_owned(), now.at));
    }
    ledger.person.promoted = Some(release.clone());
    Ok(decided(sentence, Aim::Serves { release, version }))
}

fn pause(ledger: &mut Ledger) -> String {
    ledger.person.paused = true;
    "no new deployments; what serves is still healed".to_owned()
}

fn resume(ledger: &mut Ledger) -> String {
    ledger.person.paused = false;
    "deployments go on".to_owned()
}

fn retry(ledger: &mut Ledger) -> String {
    let freed = ledger.quarantine.len();
    ledger.quarantine.clear();
    ledger.failures.clear();
    let back = ledger.person.rollback.take();
    ledger.deployment = ledger.deployment.take().filter(|d| back.as_ref().is_none_or(|back| back.to != d.release));
    ledger.person.down = false;
    ledger.person.repair = true;
    ledger.reload.iter_mut().for_each(|reload| reload.failed = false);
    format!("everything is tried again ({freed} releases leave quarantine)")
}

fn restart(plan: &ServicePlan, ledger: &mut Ledger) -> Result<Decided, String> {
    let was_down = std::mem::take(&mut ledger.person.down);
    let record = plan.view.live.as_ref().and_then(|slot| ledger.slots.get(slot));
    let live = record.and_then(|record| Some((record.release.clone(), record.process.clone()?)));
    match live {
        Some((release, process)) => {
            let sentence = format!("process {} is replaced by the same release on another slot", process.pid);
            let aim = Aim::Renewed { pid: process.pid, release };
            ledger.person.restart = Some(process);
            Ok(decided(sentence, aim))
        }
        None if was_down => Ok(decided("the service comes up again", Aim::Up)),
        None => Err("nothing of ours serves, so there is nothing to restart".to_owned()),
    }
}

fn down(ledger: &mut Ledger) -> String {
    ledger.person.down = true;
    "the service is stopped and nothing is routed to it".to_owned()
}
