//! The facts of one service, put so that a rule can be read aloud. Decides nothing.

use std::time::Duration;

use crate::model::desired::{CutoverMode, ServiceSpec, Upstream};
use crate::model::id::{Identity, Moment, Now, Port, ReleaseId, SlotName};
use crate::model::ledger::{Cutover, Failure, FailureKind, Ledger, SlotRecord};
use crate::model::observed::{Nginx, Observation, ObservedProcess, ObservedService, ObservedSlot, Occupant};
use crate::model::release::Release;
use crate::model::route::{Include, RouteForm, RouteText, Target};

use crate::plan::hold::Hold;
use crate::plan::lead::RELOAD_AGAIN;
use crate::plan::pace;
use crate::plan::way_back;

/// Bad answers in a row before a live slot counts as not ready: one or two are a slow garbage collection, and a cutover for
/// each of those would move traffic back and forth.
pub(super) const BAD_ANSWERS: u32 = 3;

/// For this long nothing may be open towards a slot before it counts as drained, over at least [`QUIET_SAMPLES`]. Stopping at the
/// first count of zero lost 116 of 279 uploads: nginx connects only when it has the body.
pub(super) const QUIET: Duration = Duration::from_secs(1);

/// Fewer samples could miss a connection that lives for a tenth of the time between them.
pub(super) const QUIET_SAMPLES: u32 = 10;

/// What the manifest has to do with a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It names it.
    Wanted,
    /// It does not; the service goes on.
    Orphan,
    /// It does not, and a person asked to retire such services.
    Pruned,
}

/// One service with everything that a decision about it may use.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) spec: &'a ServiceSpec,
    pub(super) standing: Standing,
    pub(super) seen: &'a ObservedService,
    /// The release of the manifest, or why it is not known; worked out once, because its identity is a hash.
    pub(super) wanted: &'a Result<Release, Hold>,
    pub(super) now: &'a Now,
    pub(super) memory: &'a Observation<u64>,
}

impl<'a> Case<'a> {
    pub(super) fn ledger(&self) -> &'a Ledger {
        &self.seen.ledger
    }

    pub(super) fn slot(&self, slot: &SlotName) -> Option<&'a ObservedSlot> {
        self.seen.slots.get(slot)
    }

    pub(super) fn record(&self, slot: &SlotName) -> Option<&'a SlotRecord> {
        self.ledger().slots.get(slot)
    }

    pub(super) fn process(&self, slot: &SlotName) -> Option<&'a ObservedProcess> {
        self.slot(slot).and_then(|s| s.process.known())
    }

    /// The slots of the manifest first, in its order, then every other place.
    pub(super) fn places(&self) -> Vec<&'a SlotName> {
        let named = self.spec.slots.iter().map(|s| &s.name).filter(|name| self.seen.slots.contains_key(*name));
        let others = self.seen.slots.keys().filter(|name| self.spec.port_of(name).is_none());
        named.chain(others).collect()
    }

    pub(super) fn occupants(&self, slot: &SlotName) -> &'a [Occupant] {
        self.slot(slot).and_then(|s| s.occupants.known()).map_or(&[], Vec::as_slice)
    }

    /// What runs in a slot, where that is known.
    pub(super) fn release(&self, slot: &SlotName) -> Option<&'a ReleaseId> {
        self.record(slot).and_then(|r| r.release.as_ref())
    }

    pub(super) fn is_stopping(&self, slot: &SlotName) -> bool {
        self.record(slot).is_some_and(|r| r.stopping.is_some())
    }

    /// Good answers in a row, from a socket that is the slot's own.
    pub(super) fn good(&self, slot: &SlotName) -> u32 {
        let listens = self.process(slot).is_some_and(|p| p.listens.known() == Some(&true));
        let good = self.slot(slot).and_then(|s| s.probe.known()).map_or(0, |p| p.good);
        if listens && !self.is_stopping(slot) { good } else { 0 }
    }

    /// Other answers in a row.
    pub(super) fn bad(&self, slot: &SlotName) -> u32 {
        self.slot(slot).and_then(|s| s.probe.known()).map_or(0, |p| p.bad)
    }

    /// Whether the process of a slot is stopped in place.
    pub(super) fn is_frozen(&self, slot: &SlotName) -> bool {
        self.process(slot).is_some_and(|p| p.frozen)
    }

    /// Time since the process of a slot was continued.
    pub(super) fn thawed(&self, slot: &SlotName) -> Option<Duration> {
        let record = self.record(slot)?;
        self.since(&record.boot, record.thawed?)
    }

    /// Whether a slot may take traffic: as many good answers in a row as the manifest asks for.
    pub(super) fn is_ready(&self, slot: &SlotName) -> bool {
        self.good(slot) >= self.spec.health.successes
    }

    /// Whether a slot answers as it should at this instant.
    pub(super) fn answers(&self, slot: &SlotName) -> bool {
        self.good(slot) > 0
    }

    /// Whether a slot answers for all that is known: what cannot be read, or was not asked yet, is no reason to stop it.
    pub(super) fn may_answer(&self, slot: &SlotName) -> bool {
        let listens = self.process(slot).is_some_and(|p| !p.listens.is_absent() && p.listens.known() != Some(&false));
        listens && !self.is_stopping(slot) && self.bad(slot) == 0
    }

    /// The include on disk, when it is ours.
    pub(super) fn text(&self) -> Option<&'a RouteText> {
        match self.seen.route.include.known() {
            Some(Include::Ours(text)) => Some(text),
            Some(Include::Plain(_) | Include::Elsewhere { .. } | Include::Edited { .. }) | None => None,
        }
    }

    /// Where the include with its flags leads.
    pub(super) fn on_disk(&self) -> Option<&'a SlotName> {
        match self.seen.route.include.known()? {
            Include::Ours(text) => self.leads(text),
            Include::Plain(target) => Some(&target.slot),
            Include::Elsewhere { .. } | Include::Edited { .. } => None,
        }
    }

    /// Where a text of ours leads while the flags stand that do.
    fn leads(&self, text: &'a RouteText) -> Option<&'a SlotName> {
        let flags = match (text.form, &self.seen.route.flags) {
            (RouteForm::Static, _) | (_, Observation::Absent) => &[],
            (RouteForm::Flag | RouteForm::Pool, Observation::Known(flags)) => flags.as_slice(),
            (RouteForm::Flag | RouteForm::Pool, Observation::Unknown(_)) => return None,
        };
        text.effective(flags).map(|target| &target.slot)
    }

    /// The include as it was written last, while the file is gone: nginx goes on following what it has loaded.
    fn lost(&self) -> Option<&'a RouteText> {
        self.ledger().route.as_ref().filter(|_| self.seen.route.include.is_absent())
    }

    /// Where nginx says that it would go.
    pub(super) fn loaded(&self) -> Option<&'a SlotName> {
        self.seen.route.loaded.known().map(|l| &l.slot)
    }

    /// Which slot answers through the proxy. Where others have started an application outside the manifest, it may be that one, which
    /// calls itself by whatever name they gave it: then this tells nothing.
    pub(super) fn proxied(&self) -> Option<&'a SlotName> {
        let outside = |slot: &&SlotName| slot.is_unnamed() && self.slot(slot).is_some_and(|s| !s.process.is_absent());
        self.seen.route.proxied.known().filter(|_| !self.places().iter().any(outside))
    }

    /// Whether any witness calls a slot live.
    pub(super) fn is_named(&self, slot: &SlotName) -> bool {
        [self.on_disk(), self.loaded(), self.proxied()].contains(&Some(slot))
    }

    /// The slot that users reach: by what nginx says, else by what answers, else by what stands on disk (or stood there, where the
    /// file is gone), unless that was written since nginx was last seen to load it.
    pub(super) fn live(&self) -> Option<&'a SlotName> {
        let written = || self.leaving().or_else(|| self.on_disk()).or_else(|| self.leads(self.lost()?));
        self.loaded().or_else(|| self.proxied()).or_else(written)
    }

    /// The slot that served when the include was written, while nginx has not loaded it yet.
    fn leaving(&self) -> Option<&'a SlotName> {
        let written = self.text().or_else(|| self.lost());
        let unloaded = written.is_some_and(|text| text.generation > self.ledger().proven);
        // An nginx that is down goes where the file leads as soon as it starts.
        self.ledger().leaving.as_ref().filter(|_| unloaded && !self.seen.route.nginx.is_absent())
    }

    pub(super) fn nginx(&self) -> Option<&'a Nginx> {
        self.seen.route.nginx.known()
    }

    /// Whether the live slot may go on serving: its process is there and has not answered badly too often.
    pub(super) fn is_fit(&self, slot: &SlotName) -> bool {
        let foreign = self.process(slot).is_none() && !self.occupants(slot).is_empty();
        let runs = self.process(slot).is_some_and(|process| !process.frozen);
        let own = runs && !self.is_stopping(slot) && self.bad(slot) < BAD_ANSWERS;
        foreign || own
    }

    /// The port that the route uses for a slot: of the process that runs there, else of the manifest; none while another slot's
    /// process has not left that port, because a port must not name two slots.
    fn port(&self, slot: &SlotName) -> Option<Port> {
        let runs = self.slot(slot).is_some_and(|s| !s.process.is_absent());
        let here = self.record(slot).filter(|_| runs).map(|record| record.port);
        here.or_else(|| self.spec.port_of(slot).filter(|port| self.holder(*port).is_none()))
    }

    /// Where a process of a slot is started: the manifest says so, but for a place outside it.
    pub(super) fn start_port(&self, slot: &SlotName) -> Option<Port> {
        self.spec.port_of(slot).or_else(|| self.slot(slot).map(|s| s.port))
    }

    /// The slot whose process has a port.
    pub(super) fn holder(&self, port: Port) -> Option<&'a SlotName> {
        let has = |slot: &&SlotName| self.process(slot).is_some() && self.slot(slot).is_some_and(|s| s.port == port);
        self.places().into_iter().find(has)
    }

    /// Whether the process of a slot listens where the manifest wants it.
    pub(super) fn is_in_place(&self, slot: &SlotName) -> bool {
        match (self.spec.port_of(slot), self.record(slot)) {
            (Some(port), Some(record)) => record.port == port,
            (_, None) => true,
            (None, Some(_)) => false,
        }
    }

    /// The form that the manifest's cutover and upstream need.
    pub(super) fn form(&self) -> RouteForm {
        match (self.spec.proxy.cutover, self.spec.proxy.upstream) {
            (CutoverMode::Flag, Upstream::Address) => RouteForm::Flag,
            (CutoverMode::Flag, Upstream::Pool) => RouteForm::Pool,
            (CutoverMode::Reload, _) => RouteForm::Static,
        }
    }

    /// The targets of a text of this form that leads to `live`.
    pub(super) fn targets(&self, form: RouteForm, live: &SlotName) -> Vec<Target> {
        let at = |slot: &SlotName| self.port(slot).map(|port| Target { slot: slot.clone(), port });
        match form {
            RouteForm::Flag | RouteForm::Pool => self.spec.slots.iter().filter_map(|s| at(&s.name)).collect(),
            RouteForm::Static => at(live).or_else(|| self.observed_target(live)).into_iter().collect(),
        }
    }

    /// A place that no manifest names, by the port that it was seen on.
    fn observed_target(&self, slot: &SlotName) -> Option<Target> {
        self.slot(slot).map(|s| Target { slot: slot.clone(), port: s.port })
    }

    /// The last cutover, when it is of this boot and led to the slot that is live.
    pub(super) fn cutover(&self) -> Option<&'a Cutover> {
        let cutover = self.ledger().cutover.as_ref()?;
        (cutover.boot == self.now.boot && Some(&cutover.to) == self.live()).then_some(cutover)
    }

    /// When a cutover of ours moved the traffic away from a slot that it does not lead to now. Until nginx says that it follows the text
    /// that was to do it, the reload that may have done it counts.
    pub(super) fn left(&self, slot: &SlotName) -> Option<Moment> {
        let last = self.cutover().filter(|cutover| cutover.from.as_ref() == Some(slot)).map(|cutover| cutover.at);
        let idle = self.live() != Some(slot);
        let before = || self.record(slot).filter(|record| idle && record.boot == self.now.boot)?.left;
        let ledger = self.ledger();
        let unproven = ledger.route.as_ref().is_some_and(|text| text.generation > ledger.proven);
        let leaves = idle && unproven && ledger.leaving.as_ref() == Some(slot);
        let reload = || ledger.reload.as_ref().filter(|reload| leaves && reload.boot == self.now.boot);
        last.or_else(before).or_else(|| reload().map(|reload| reload.at))
    }

    /// Time since something that the ledger dates in this boot; `None` for another boot.
    pub(super) fn since(&self, boot: &crate::model::id::BootId, at: crate::model::id::Moment) -> Option<Duration> {
        (*boot == self.now.boot).then(|| self.now.at.since(at))
    }

    /// Whether the live slot was ready at its cutover and is still within `bake`.
    pub(super) fn is_baking(&self, slot: &SlotName) -> bool {
        self.cutover().is_some_and(|c| c.to == *slot && !c.settled && self.now.at.since(c.at) < self.spec.slot_policy.bake)
    }

    /// Accepting workers that were there before the last reload: they still follow the old route.
    pub(super) fn old_workers(&self) -> usize {
        let Some(reload) = self.ledger().reload.as_ref().filter(|r| r.boot == self.now.boot) else { return 0 };
        let Some(nginx) = self.nginx() else { return 0 };
        let accepting = || nginx.workers.iter().filter(|w| w.accepting);
        let old = accepting().filter(|w| reload.workers.contains(&(w.pid, w.start))).count();
        // Those of a reload that was not applied, or never sent because we died, are the only ones there are. One that was given up may
        // be applied all the same, noted with those of two generations: nginx has to say that it runs an older one, or time tells.
        let older = self.seen.route.loaded.known().is_some_and(|loaded| loaded.generation < reload.generation);
        let never = (reload.failed && older) || self.now.at.since(reload.at) >= RELOAD_AGAIN;
        if never && old == accepting().count() { 0 } else { old }
    }

    /// Whether workers of before the last reload accept beside newer ones: it has been applied, and they will stop by themselves.
    pub(super) fn hands_over(&self) -> bool {
        let accepting = self.nginx().map_or(0, |n| n.workers.iter().filter(|w| w.accepting).count());
        (1..accepting).contains(&self.old_workers())
    }

    /// Other slots that could take the traffic at once, the best first: the slot that served before, then the manifest's order.
    pub(super) fn alternatives(&self, not: &SlotName) -> Vec<&'a SlotName> {
        self.others_to_serve(not, |slot| self.answers(slot))
    }

    /// The same, and where there is none, a slot that was given up and is ready all the same: users are to reach something.
    pub(super) fn resorts(&self, not: &SlotName) -> Vec<&'a SlotName> {
        let all = self.alternatives(not);
        let served = |slot: &&SlotName| self.record(slot).is_some_and(|record| record.served);
        if all.is_empty() { self.others_ready(not).into_iter().filter(served).collect() } else { all }
    }

    /// Every other slot that is ready, given up or not, the better ones first: for when nothing else is left.
    pub(super) fn last_resorts(&self, not: &SlotName) -> Vec<&'a SlotName> {
        let mut all: Vec<_> = self.ready_beside(not).filter(|slot| !self.is_stopping(slot)).collect();
        all.sort_by_key(|slot| self.has_failed(slot));
        all
    }

    /// Every other slot that is ready and whose release is not in quarantine, whether it has served or not.
    pub(super) fn others_ready(&self, not: &SlotName) -> Vec<&'a SlotName> {
        let quarantined = |slot: &SlotName| self.release(slot).is_some_and(|r| self.ledger().quarantine.contains_key(r));
        self.ready_beside(not).filter(|slot| !quarantined(slot)).collect()
    }

    /// Every other slot that is ready and whose release may be gone to.
    fn ready_beside(&self, not: &SlotName) -> impl Iterator<Item = &'a SlotName> {
        let fit = move |slot: &&SlotName| *slot != not && self.is_ready(slot) && self.barrier(self.release(slot)).is_none();
        self.places().into_iter().filter(fit)
    }

    /// Other slots that could take the traffic were they not stopped in place, the one that served before first.
    pub(super) fn sleepers(&self, not: &SlotName) -> Vec<&'a SlotName> {
        self.others_to_serve(not, |slot| self.is_frozen(slot) && !self.is_stopping(slot))
    }

    /// Other slots whose release may serve again and that are so, the slot that served before first.
    fn others_to_serve(&self, not: &SlotName, is_so: impl Fn(&SlotName) -> bool) -> Vec<&'a SlotName> {
        let before = self.ledger().cutover.as_ref().and_then(|c| c.from.as_ref());
        let fit = |slot: &&SlotName| *slot != not && is_so(slot) && self.can_serve(slot);
        let mut all: Vec<_> = self.places().into_iter().filter(fit).collect();
        all.sort_by_key(|slot| Some(*slot) != before);
        all
    }

    /// Whether what runs in a slot has served and may serve again.
    pub(super) fn can_serve(&self, slot: &SlotName) -> bool {
        let served = self.record(slot).is_some_and(|record| record.served);
        served && !self.has_failed(slot) && self.barrier(self.release(slot)).is_none()
    }

    /// The release that forbids going back to this one.
    pub(super) fn barrier(&self, release: Option<&ReleaseId>) -> Option<&'a ReleaseId> {
        way_back::barrier(self.ledger(), self.live().and_then(|live| self.release(live)), release)
    }

    /// What people call a release.
    pub(super) fn label(&self, release: &'a ReleaseId) -> &'a str {
        self.ledger().releases.get(release).map_or(release.as_str(), |known| known.version.as_str())
    }

    /// Whether what runs in a slot has failed: it is condemned, or its release is in quarantine.
    pub(super) fn has_failed(&self, slot: &SlotName) -> bool {
        let quarantined = self.release(slot).is_some_and(|r| self.ledger().quarantine.contains_key(r));
        quarantined || self.record(slot).is_some_and(|record| record.condemned.is_some())
    }

    /// Whether a release is the one that was deployed last: bringing it back, after a failure or for a restart, is no new deployment.
    pub(super) fn was_last(&self, release: &Release) -> bool {
        self.ledger().good.last() == Some(&release.id)
    }

    /// What identifies the live process, for a restart that a person asked for.
    pub(super) fn live_identity(&self) -> Option<&'a Identity> {
        self.live().and_then(|slot| self.process(slot)).map(|p| &p.identity)
    }

    /// Whether it cannot be told that something else is asked for than what a slot has: of a candidate not while the jar is not there, of
    /// a standby not while it cannot be read.
    pub(super) fn may_be_asked_for(&self, record: &SlotRecord) -> bool {
        self.is_dark() || (!record.served && self.wanted.is_err())
    }

    /// Whether what the manifest asks for cannot be read, though it may well be there.
    pub(super) fn is_dark(&self) -> bool {
        self.seen.jar.unknown().or(self.seen.env_file.unknown()).is_some()
    }

    /// Failures of a release of these kinds, as [`pace::failures`] counts them.
    pub(super) fn failures(&self, release: &ReleaseId, kinds: &[FailureKind]) -> Vec<Failure> {
        pace::failures(self.ledger(), release, kinds, &self.now.boot, self.now.at)
    }

    /// Whether a release has failed in these ways as often as the policy allows.
    pub(super) fn is_exhausted(&self, release: &ReleaseId, kinds: &[FailureKind]) -> bool {
        let allowed = usize::try_from(self.spec.slot_policy.max_attempts).unwrap_or(usize::MAX);
        self.failures(release, kinds).len() >= allowed
    }
}
