//! What a step writes into the ledger: before the act what must survive a crash in it, after it what came of it.
//!
//! One place for the executor, the dry run and the tests, so that they cannot disagree.

use std::path::PathBuf;

use crate::model::desired::ServiceSpec;
use crate::model::id::{Cookie, Identity, Now, ReleaseId, SlotName};
use crate::model::ledger::{Cutover, Deployment, Failure, FailureKind, Ledger, Reload, ResolvedJar, SlotRecord};
use crate::model::route::{RouteForm, RouteText, Target};
use crate::plan::step::{Act, Fate, Move};
use crate::plan::way_back;

/// Failures remembered; the planner looks at the last ten minutes.
const FAILURES: usize = 20;

/// Good releases remembered; more than are kept in the store.
const GOOD: usize = 10;

/// What the executor brings along.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The instant of the act.
    pub now: Now,
    /// Random, for a start or an include.
    pub random: Cookie,
    /// The log file of a start.
    pub log: PathBuf,
    /// nginx's accepting workers, as (pid, start time).
    pub workers: Vec<(u32, u64)>,
    /// The jar as it was resolved.
    pub jar: Option<ResolvedJar>,
    /// The slot that serves now.
    pub live: Option<SlotName>,
    /// The highest generation seen on disk or in nginx.
    pub generation: u64,
    /// The specification that the plan was made from.
    pub spec: ServiceSpec,
}

/// What must be in the ledger before the act.
pub fn before(ledger: &mut Ledger, act: &Act, with: &Prepared) {
    match act {
        Act::WriteInclude { form, targets, live, put_back } => {
            ledger.route = Some(text(ledger, *form, targets, with));
            // A reload that is given up may still be applied, and then this is what it leaves.
            ledger.leaving = with.live.clone().filter(|from| from != live || *put_back);
            if *put_back {
                ledger.reload.iter_mut().for_each(|reload| reload.failed = true);
                ledger.cutover = None;
            }
        }
        Act::Reload { generation, moves } => {
            let workers = with.workers.clone();
            let (at, boot) = (with.now.at, with.now.boot.clone());
            ledger.reload = Some(Reload { generation: *generation, at, boot, workers, failed: false });
            if let Some(Move { from, to }) = moves {
                moves_on(ledger, from, to, with);
            }
        }
        Act::Cutover { from, to, .. } => moves_on(ledger, from, to, with),
        Act::Start { slot, release, .. } => start(ledger, slot, release, act, with),
        Act::Thaw { slot, .. } => ledger.slots.get_mut(slot).into_iter().for_each(|r| r.thawed = Some(with.now.at)),
        Act::Install { .. }
        | Act::Unpack { .. }
        | Act::Train { .. }
        | Act::Relabel { .. }
        | Act::Adopt { .. }
        | Act::TidyFlags { .. }
        | Act::Stop { .. }
        | Act::Freeze { .. }
        | Act::Kill { .. }
        | Act::RecordFailure { .. }
        | Act::Forget { .. }
        | Act::Quarantine { .. }
        | Act::Mark { .. }
        | Act::Settle { .. }
        | Act::Prove { .. }
        | Act::RecordHealth
        | Act::Finish { .. }
        | Act::Collect { .. }
        | Act::Retire => {}
    }
}

/// The text to write: the very same bytes again where nginx still runs them, so that mending a lost file needs no reload, or where
/// they never were, so that trying again what could not be written leaves no trace in the ledger.
fn text(ledger: &Ledger, form: RouteForm, targets: &[Target], with: &Prepared) -> RouteText {
    let last = ledger.route.as_ref();
    let is_current = |r: &&RouteText| r.generation == with.generation || r.generation > ledger.proven.max(with.generation);
    if let Some(same) = last.filter(|r| r.says_the_same(form, targets)).filter(is_current) {
        return same.clone();
    }
    // Above what nginx was ever seen to have loaded: a ledger that was lost meanwhile has no route, but may know that.
    let generation = last.map_or(0, |r| r.generation).max(with.generation).max(ledger.proven) + 1;
    // One nonce for the life of the service: an older text that nginx has loaded still answers, and says its generation.
    let nonce = last.map_or_else(|| with.random.as_str().to_owned(), |r| r.nonce.clone());
    RouteText { generation, nonce, form, targets: targets.to_vec() }
}

/// The cutover that is about to be; the slot that the one before it left goes on draining since then.
fn moves_on(ledger: &mut Ledger, from: &SlotName, to: &SlotName, with: &Prepared) {
    let (at, boot) = (with.now.at, with.now.boot.clone());
    let next = Cutover { from: Some(from.clone()), to: to.clone(), at, boot, settled: false, cut: None };
    let last = ledger.cutover.replace(next).filter(|last| last.boot == with.now.boot);
    let drains = last.and_then(|last| Some((last.from?, last.at))).filter(|(slot, _)| slot != from && slot != to);
    if let Some((slot, at)) = drains {
        ledger.slots.get_mut(&slot).into_iter().for_each(|record| record.left = Some(at));
    }
}

/// The intent, with the cookie, so that the process is found even when we die right after starting it.
fn start(ledger: &mut Ledger, slot: &SlotName, release: &ReleaseId, act: &Act, with: &Prepared) {
    let Act::Start { port, version, serves, .. } = act else { return };
    ledger.slots.insert(
        slot.clone(),
        SlotRecord {
            port: *port,
            release: Some(release.clone()),
            version: version.clone(),
            cookie: Some(with.random.clone()),
            process: None,
            evidence: None,
            since: with.now.at,
            boot: with.now.boot.clone(),
            served: *serves,
            stopping: None,
            killing: None,
            condemned: None,
            thawed: None,
            left: None,
            log: with.log.clone(),
        },
    );
    if ledger.person.rollback.as_ref().is_some_and(|r| r.away != *release && r.to != *release) {
        ledger.person.rollback = None;
    }
    begin(ledger, release, version, &with.now);
    if let Some(deployment) = &mut ledger.deployment {
        deployment.slot = Some(slot.clone());
    }
}

/// A deployment begins with the first step for another release than the last one's, or with a person's word to go back.
pub(super) fn begin(ledger: &mut Ledger, release: &ReleaseId, version: &str, now: &Now) {
    if ledger.deployment.as_ref().is_some_and(|d| d.release == *release) {
        return;
    }
    ledger.deployment = Some(Deployment {
        release: release.clone(),
        version: version.to_owned(),
        slot: None,
        began: now.wall,
        phases: vec![("began".to_owned(), now.at)],
    });
}

/// What came of the act.
pub fn after(ledger: &mut Ledger, act: &Act, with: &Prepared, started: Option<&Identity>) {
    match act {
        Act::Install { release } => {
            ledger.releases.insert(release.id.clone(), release.clone());
            resolved(ledger, with.jar.as_ref());
            begin(ledger, &release.id, &release.version, &with.now);
        }
        Act::Relabel { release, version } => relabel(ledger, release, version),
        Act::Adopt { .. } => adopt(ledger, act, with),
        Act::WriteInclude { .. } => ledger.person.repair = false,
        Act::Reload { moves: Some(Move { to, .. }), .. } | Act::Cutover { to, .. } => served(ledger, to),
        Act::Start { slot, .. } => {
            if let (Some(record), Some(process)) = (ledger.slots.get_mut(slot), started) {
                record.process = Some(process.clone());
            }
        }
        Act::Stop { slot, cut, .. } => {
            ledger.slots.get_mut(slot).into_iter().for_each(|r| r.stopping = Some(with.now.at));
            cuts(ledger, *cut);
        }
        Act::Freeze { cut, .. } => cuts(ledger, *cut),
        Act::Kill { slot, .. } => ledger.slots.get_mut(slot).into_iter().for_each(|r| r.killing = Some(with.now.at)),
        Act::Forget { slot } => {
            ledger.slots.remove(slot);
        }
        Act::Prove { generation } => proved(ledger, *generation, with),
        Act::RecordHealth => ledger.proven_health = Some(with.spec.health.clone()),
        Act::Mark { release, one_way: Some(way) } => drop(ledger.one_way.insert(release.clone(), way.clone())),
        Act::Mark { release, one_way: None } => drop(ledger.one_way.remove(release)),
        Act::RecordFailure { .. } | Act::Quarantine { .. } | Act::Settle { .. } | Act::Finish { .. } | Act::Collect { .. } => {
            judged(ledger, act, with);
        }
        Act::Unpack { .. }
        | Act::Train { .. }
        | Act::Reload { moves: None, .. }
        | Act::TidyFlags { .. }
        | Act::Thaw { .. }
        | Act::Retire => {}
    }
    phase(ledger, act, with);
}

/// Connections that the drain deadline cut.
fn cuts(ledger: &mut Ledger, cut: u32) {
    if let Some(cutover) = ledger.cutover.as_mut().filter(|_| cut > 0) {
        cutover.cut = Some(cut);
    }
}

/// What a release's fate writes down.
fn judged(ledger: &mut Ledger, act: &Act, with: &Prepared) {
    match act {
        Act::RecordFailure { slot, release, failure, fate, cause } => {
            let (at, boot, why) = (with.now.at, with.now.boot.clone(), cause.clone());
            ledger.failures.push(Failure { release: release.clone(), kind: *failure, at, boot, why });
            let surplus = ledger.failures.len().saturating_sub(FAILURES);
            ledger.failures.drain(..surplus);
            fated(ledger, slot, *fate, cause);
        }
        Act::Quarantine { release, cause } => {
            ledger.quarantine.insert(release.clone(), cause.clone());
            ledger.good.retain(|good| good != release);
            ledger.deployment = ledger.deployment.take().filter(|d| d.release != *release);
        }
        Act::Settle { release } => {
            ledger.cutover.iter_mut().for_each(|c| c.settled = true);
            // Crashes go on counting: a release that dies every minute settles in between.
            ledger.failures.retain(|f| Some(&f.release) != release.as_ref() || f.kind == FailureKind::Crash);
            if let Some(release) = release {
                good(ledger, release);
            }
        }
        Act::Finish { release } => {
            // Whoever died between the act that moved the traffic and noting it left that to be noted here.
            with.live.iter().for_each(|live| served(ledger, live));
            good(ledger, release);
            ledger.deployment = None;
        }
        Act::Collect { releases, digests } => {
            ledger.releases.retain(|id, _| !releases.contains(id));
            ledger.good.retain(|id| !releases.contains(id));
            ledger.quarantine.retain(|id, _| !releases.contains(id));
            ledger.jars.retain(|jar| !digests.contains(&jar.digest));
            way_back::forget(ledger, releases);
        }
        Act::Install { .. }
        | Act::Unpack { .. }
        | Act::Train { .. }
        | Act::Relabel { .. }
        | Act::Adopt { .. }
        | Act::WriteInclude { .. }
        | Act::Reload { .. }
        | Act::TidyFlags { .. }
        | Act::Start { .. }
        | Act::Cutover { .. }
        | Act::Stop { .. }
        | Act::Freeze { .. }
        | Act::Thaw { .. }
        | Act::Kill { .. }
        | Act::Forget { .. }
        | Act::Mark { .. }
        | Act::Prove { .. }
        | Act::RecordHealth
        | Act::Retire => {}
    }
}

fn resolved(ledger: &mut Ledger, jar: Option<&ResolvedJar>) {
    let Some(jar) = jar else { return };
    ledger.jars.retain(|j| (&j.version, &j.path, &j.sha256) != (&jar.version, &jar.path, &jar.sha256));
    ledger.jars.push(jar.clone());
}

fn relabel(ledger: &mut Ledger, release: &ReleaseId, version: &str) {
    let known = ledger.releases.get_mut(release).map(|r| &mut r.version);
    let running = ledger.slots.values_mut().filter(|r| r.release.as_ref() == Some(release)).map(|r| &mut r.version);
    known.into_iter().chain(running).for_each(|label| version.clone_into(label));
}

/// A process that our own intent is about needs no more than its pid; any other one gets a record.
fn adopt(ledger: &mut Ledger, act: &Act, with: &Prepared) {
    let Act::Adopt { slot, port, process, release, evidence } = act else { return };
    let ours = ledger.slots.get_mut(slot).filter(|r| r.cookie.is_some() && r.cookie == process.cookie);
    if let Some(record) = ours {
        record.process = Some(process.clone());
        return;
    }
    let known = release.as_ref().and_then(|id| ledger.releases.get(id));
    ledger.slots.insert(
        slot.clone(),
        SlotRecord {
            port: *port,
            version: known.map_or_else(|| "unknown".to_owned(), |r| r.version.clone()),
            release: release.clone(),
            cookie: process.cookie.clone(),
            process: Some(process.clone()),
            evidence: Some(evidence.clone()),
            since: with.now.at,
            boot: with.now.boot.clone(),
            served: true,
            stopping: None,
            killing: None,
            condemned: None,
            thawed: None,
            left: None,
            log: PathBuf::new(),
        },
    );
}

/// nginx has loaded the text. Where that moved the traffic and no step of ours did it (somebody else reloaded or restarted nginx
/// meanwhile), this was the cutover.
fn proved(ledger: &mut Ledger, generation: u64, with: &Prepared) {
    ledger.proven = generation;
    let (Some(from), Some(to)) = (ledger.leaving.take(), &with.live) else { return };
    let noted = ledger.cutover.as_ref().is_some_and(|c| c.from.as_ref() == Some(&from) && c.to == *to);
    if from != *to && !noted {
        moves_on(ledger, &from, to, with);
        served(ledger, to);
    }
}

fn served(ledger: &mut Ledger, to: &SlotName) {
    ledger.slots.get_mut(to).into_iter().for_each(|r| (r.served, r.condemned, r.left) = (true, None, None));
    ledger.person.promoted = None;
}

fn fated(ledger: &mut Ledger, slot: &SlotName, fate: Fate, cause: &str) {
    match fate {
        Fate::Gone => {
            ledger.slots.remove(slot);
        }
        Fate::GoneWhileServing => {
            if let Some(record) = ledger.slots.get_mut(slot) {
                (record.process, record.cookie, record.stopping, record.killing) = (None, None, None, None);
            }
        }
        Fate::Condemned => {
            ledger.slots.get_mut(slot).into_iter().for_each(|r| r.condemned = Some(cause.to_owned()));
        }
    }
}

fn good(ledger: &mut Ledger, release: &ReleaseId) {
    ledger.good.retain(|known| known != release);
    ledger.good.push(release.clone());
    let surplus = ledger.good.len().saturating_sub(GOOD);
    ledger.good.drain(..surplus);
}

/// When each visible step of the deployment under way was done.
fn phase(ledger: &mut Ledger, act: &Act, with: &Prepared) {
    let Some(deployment) = ledger.deployment.as_mut().filter(|_| act.is_visible()) else { return };
    deployment.phases.push((act.kind().to_owned(), with.now.at));
}
