//! The laws: what holds at every pass, and where a story has to end.

use slotd::model::id::SlotName;
use slotd::model::ledger::SlotRecord;
use slotd::model::status::{HoldKind, Reason, Status};
use slotd::plan::hold::Hold;
use slotd::plan::person::Decision;
use slotd::plan::{Next, ServicePlan};
use slotd::reconcile::Outcome;

use crate::run::Run;
use crate::story::{Change, Kind};
use crate::summary::PAUSE;
use crate::world::fault::Fault;
use crate::world::memory::Kept;
use crate::world::nginx::{Pools, Text};
use crate::world::sight::Sight;

/// Virtual time in which a story has to come to rest once nothing happens any more: three starts that run into their deadline, with
/// their pauses and the stop that each needs, a drain to its deadline, and the pause after a reload that was lost.
pub(crate) const REST: u64 = 900_000;

/// Nothing has moved for this long: longer than any pause of a policy that the stories draw.
const STILL: u64 = 125_000;

/// Longer than the controller's interval: it has looked at what happened last.
const LOOK: u64 = 36_000;

/// How long a story that has come to rest is watched.
pub(crate) const WATCH: u64 = 1_800_000;

/// Starts, reloads, writes and cutovers of a service that does not serve as it should, in that time. A crashing release is started once a
/// minute, a reload that is lost is sent again every thirty seconds, and a release that stops answering is replaced by a new process of
/// the same as often as its deadline passes, which is after fifteen seconds at the earliest.
const STORM: usize = 120;

/// Writes that nginx refuses and that are taken back, in that time: while nobody serves one every four seconds, after the shorter
/// pauses of the first ones.
const VAIN: usize = 460;

impl Run {
    /// S10 and S14 at a pass.
    pub(crate) fn judge_outcome(&mut self, outcome: &Outcome, changes: usize) {
        if self.tally.began == 0 && changes > 0 {
            self.breaks("S10", format!("a pass without a step made {changes} changes"));
        }
        for service in &outcome.plan.services {
            if let Some(why) = wordless(service, outcome) {
                self.breaks("S14", why);
            }
        }
    }

    /// The rest of the story from the moment when nothing new happens any more.
    pub(crate) fn concludes(&mut self) {
        self.until(self.last_end());
        if self.lasting() {
            self.rests("while what lasts goes on");
        }
        self.lift();
        self.rests("after the faults have stopped");
        self.is_served();
    }

    /// A person mends what only a person can, and asks for a good release: it must come to serve.
    pub(crate) fn recovers(&mut self) {
        if !self.violations.is_empty() {
            return;
        }
        self.mended();
        self.comes_to_rest();
        // What `retry` did not let slotd mend, because no witness says where the traffic goes, a person puts back by hand; first, because
        // such an include may lead to what was taken over and is to be ended.
        if matches!(self.world.see().includes.get(&self.spec.proxy.include), Some(Text::Edited(_))) {
            self.world.befall(Fault::Include(self.spec.proxy.include.clone(), None));
            self.comes_to_rest();
        }
        if self.world.see().pools.get(&self.spec.proxy.pool_include) == Some(&Pools::Edited) {
            self.world.befall(Fault::Pools(self.spec.proxy.include.clone(), None));
            self.comes_to_rest();
        }
        // What was taken over is not slotd's to stop, if the policy says so.
        // Each deployment may lead the traffic away from one more.
        for _ in 0..=self.spec.slots.len() {
            if self.violations.is_empty() && self.sweeps() {
                self.comes_to_rest();
            }
        }
        self.keeps_still();
        if self.violations.is_empty() {
            self.is_converged();
        }
        self.is_idle();
    }

    fn mended(&mut self) {
        let include = self.spec.proxy.include.clone();
        if self.world.see().includes.get(&include) == Some(&Text::Elsewhere) {
            self.world.befall(Fault::Include(include, None));
        }
        for change in [Change::Promote(slotd::model::desired::Promote::Auto), Change::Version(Kind::Good)] {
            self.wants(&change);
        }
        self.until(self.now() + 3_000);
        for decision in [Decision::Resume, Decision::Retry] {
            self.says(&decision);
        }
        // Only now, so that nothing is started that is no longer asked for.
        self.sweeps();
    }

    /// Ends what others started, where nobody is sent; says whether there was any.
    fn sweeps(&mut self) -> bool {
        let routed = self.world.see().routed();
        let strangers: Vec<_> = {
            let state = self.world.see();
            let all = state.processes.values().filter(|p| !routed.contains(&p.port));
            all.filter(|p| p.cookie.is_none() || self.is_taken_over(p.pid)).map(|p| p.port).collect()
        };
        let taken: Vec<_> = self.world.see().foreigners.keys().copied().collect();
        let some = !strangers.is_empty() || !taken.is_empty();
        strangers.into_iter().for_each(|port| self.world.befall(Fault::Crash(port)));
        taken.into_iter().for_each(|port| self.world.befall(Fault::Foreign(port, None)));
        some
    }

    /// Whether the ledger has taken a process over, rather than started it.
    pub(crate) fn is_taken_over(&self, pid: u32) -> bool {
        let state = self.world.see();
        let records = state.ledgers.get(&self.spec.name).into_iter().flat_map(|kept| kept.read.slots.values());
        let over = |record: &SlotRecord| record.evidence.is_some() && record.process.as_ref().is_some_and(|p| p.pid == pid);
        records.into_iter().any(over)
    }

    /// It comes to rest in time, held for reasons that the host bears out.
    fn rests(&mut self, when: &str) {
        let rested = self.comes_to_rest();
        if !self.violations.is_empty() {
            return;
        }
        let holds = self.holds();
        if !rested && !self.is_restless() {
            let reasons: Vec<_> = holds.iter().map(|h| h.reason).collect();
            self.breaks("L1", format!("{when} it does not come to rest within {} s: {reasons:?}", REST / 1000));
            return;
        }
        for hold in holds.iter().filter(|_| rested) {
            if !self.bears_out(hold.reason) {
                self.breaks(
                    "L2",
                    format!("{when} it is held for {}, which the host does not bear out ({})", hold.reason, hold.detail),
                );
            }
        }
        self.does_not_storm(rested);
    }

    fn holds(&self) -> Vec<Hold> {
        self.plan.iter().flat_map(|plan| &plan.services).flat_map(|s| s.holds.clone()).collect()
    }

    /// Passes until nothing moves any more and nothing is waited for that slotd itself ends.
    fn comes_to_rest(&mut self) -> bool {
        let end = self.now() + REST;
        self.until(self.now() + LOOK);
        while self.violations.is_empty() && self.now() < end {
            let progress = self.holds().iter().any(|h| h.kind() == HoldKind::Progress);
            let acts = self.plan.iter().flat_map(|plan| &plan.services).any(|s| matches!(s.next, Next::Step(_)));
            let tries = self.tries_in_vain();
            if !progress && (!acts || tries) && (self.now() >= self.moved + STILL || tries) {
                return true;
            }
            self.until(self.now() + 5_000);
        }
        false
    }

    /// Whether the world lets slotd try again and again: each try is taken back, or has no effect.
    fn tries_in_vain(&self) -> bool {
        let state = self.world.see();
        !state.contested.is_empty() || state.nginx.broken || state.nginx.loses_reloads
    }

    /// Whether what is asked for, or what is left to serve, can never do so for long.
    fn is_restless(&self) -> bool {
        let bad = |digest: &slotd::model::id::Digest| self.kinds.get(digest).is_some_and(|kind| !kind.is_good());
        let wanted = self.plan.iter().flat_map(|plan| &plan.services).find_map(|s| s.view.desired.as_ref()?.sha256.clone());
        let state = self.world.see();
        let recorded = |kept: &Kept| {
            let releases = kept.read.slots.values().filter_map(|record| record.release.as_ref());
            releases.filter_map(|id| kept.read.releases.get(id)).any(|release| bad(&release.digest))
        };
        // What has died and waits for its next start is in the ledger alone.
        let waits = state.ledgers.get(&self.spec.name).is_some_and(recorded);
        wanted.as_ref().is_some_and(bad) || waits || state.processes.values().any(|p| bad(&p.digest))
    }

    /// L3: nothing is done again and again.
    fn does_not_storm(&mut self, rested: bool) {
        let before = self.world.see().counts.clone();
        // What lies in wait now may be over by then, and was more than nothing.
        let clear = self.world.see().sights.is_clear();
        self.until(self.now() + WATCH);
        let after = self.world.see().counts.clone();
        for word in ["start", "reload", "write", "cut", "term", "install"] {
            let count = |counts: &crate::world::Counts| counts.get(word).copied().unwrap_or(0);
            let done = count(&after) - count(&before);
            let limit = match word {
                _ if rested && self.holds().is_empty() && !self.tries_in_vain() && clear => 0,
                "write" if self.world.see().nginx.broken => VAIN,
                // Led on and put back each time.
                "write" if self.world.see().nginx.loses_reloads => 2 * STORM,
                _ => STORM,
            };
            if done > limit {
                self.breaks("L3", format!("`{word}` was done {done} times in {} s", WATCH / 1000));
            }
        }
    }

    /// Whether the host shows why.
    fn bears_out(&self, reason: Reason) -> bool {
        let state = self.world.see();
        let include = state.includes.get(&self.spec.proxy.include);
        let pools = state.pools.get(&self.spec.proxy.pool_include);
        let person = state.ledgers.get(&self.spec.name).map(|kept| kept.read.person.clone()).unwrap_or_default();
        // The hold is of the last look, which may have been the last in vain.
        let hidden = |sight: &Sight| state.sights.hides(*sight) || state.sights.dark.get(sight) == Some(&self.looked);
        let dark = |sights: &[Sight]| sights.iter().any(hidden);
        let port_is_taken = |p: slotd::model::id::Port| !state.is_unclaimed(p);
        match reason {
            Reason::PortTaken => {
                let strangers = state.processes.values().any(|p| p.cookie.is_none() || self.is_taken_over(p.pid));
                strangers || self.spec.slots.iter().any(|s| state.foreigners.contains_key(&s.port) && port_is_taken(s.port))
            }
            Reason::ProxyDown => !state.nginx.up,
            Reason::ProxyUnverified => state.nginx.hidden || !state.nginx.up || dark(&[Sight::Nginx]),
            Reason::ConfigBroken => state.nginx.broken || include == Some(&Text::Edited(None)),
            Reason::ReloadNotApplied => state.nginx.loses_reloads || state.nginx.broken || self.waits_to_reload(),
            Reason::FlagUnfit => !state.nginx.faults.is_empty(),
            Reason::RouteUnproven => {
                let dark = dark(&[Sight::Include, Sight::Flags, Sight::Loaded, Sight::Proxied]);
                dark || self.is_mute() || !state.serves(&self.spec.proxy.include)
            }
            Reason::RouteSplit => {
                let on_disk = state.on_disk(&self.spec.proxy.include);
                state.routes(&self.spec.proxy.include).any(|port| port != on_disk)
            }
            // What was refused is the reason until the next try.
            Reason::RouteFailed => state.refused > 0 || state.refused_at.is_some_and(|at| state.now - at <= PAUSE),
            Reason::LowMemory => state.memory < 1 << 30,
            Reason::ArtifactMissing => {
                !state.jars.contains_key(&self.spec.jar.path)
                    || state.store.is_empty()
                    || self.befallen.contains_key("store_lost")
            }
            Reason::LaunchUnfit => state.launch_fault.is_some(),
            Reason::ProcessUnknown => state.blind || dark(&[Sight::Process, Sight::Bearers, Sight::Port]),
            Reason::ArtifactUnfit => dark(&[Sight::Jar]),
            Reason::LastSlot => state.processes.values().filter(|p| p.is_ready(state.now)).count() <= 1,
            Reason::Quarantined => state.ledgers.get(&self.spec.name).is_some_and(|kept| !kept.read.quarantine.is_empty()),
            Reason::AwaitingPromotion => self.spec.slot_policy.promote == slotd::model::desired::Promote::Manual,
            Reason::Paused => person.paused,
            Reason::RolledBack => person.rollback.is_some(),
            Reason::Down => person.down,
            Reason::HandEdited => matches!(include, Some(Text::Edited(_))) || pools == Some(&Pools::Edited),
            Reason::OwnedElsewhere => include == Some(&Text::Elsewhere),
            Reason::NoRelease => self.befallen.contains_key("ledger_lost") || self.befallen.contains_key("ledger_older"),
            // Nothing in the stories makes these last.
            Reason::Superseded => {
                let accepted = state.ledgers.get(&self.spec.name).and_then(|kept| kept.read.accepted.as_ref());
                accepted != self.slotds[0].goal.desired.services.get(&self.spec.name)
            }
            Reason::ProbeSuspect
            | Reason::RollbackUnsafe
            | Reason::NotStopped
            | Reason::Starting
            | Reason::Stopping
            | Reason::Draining
            | Reason::Reloading
            | Reason::BackingOff
            | Reason::Confirming => false,
        }
    }

    /// Whether the next reload may have to wait until the slots can be looked at.
    fn waits_to_reload(&self) -> bool {
        let state = self.world.see();
        state.blind && !state.is_loaded(&self.spec.proxy.include)
    }

    /// Whether neither nginx nor an application can say which slot users reach.
    fn is_mute(&self) -> bool {
        let state = self.world.see();
        let include = &self.spec.proxy.include;
        let unnamed = || state.processes.values().any(|p| p.slot.is_unnamed());
        let speaks = matches!(state.includes.get(include), Some(Text::Ours(_))) && state.is_loaded(include);
        (self.spec.proxy.url.is_none() || unnamed()) && !speaks
    }

    /// L2: what can serve does, whatever else is held.
    fn is_served(&mut self) {
        if !self.violations.is_empty() || self.is_restless() {
            return;
        }
        let excuse = [
            Reason::HandEdited,
            Reason::OwnedElsewhere,
            Reason::Down,
            Reason::NoRelease,
            Reason::Superseded,
            Reason::PortTaken,
            Reason::ArtifactMissing,
        ];
        let holds = self.holds();
        // A person has to decide first, and nothing was ever deployed that could be started again.
        let nothing = self.world.see().ledgers.get(&self.spec.name).is_none_or(|kept| kept.read.good.is_empty());
        let person = [Reason::Paused, Reason::Quarantined];
        let excused = holds.iter().any(|h| excuse.contains(&h.reason) || (nothing && person.contains(&h.reason)));
        let serves = self.world.see().serves(&self.spec.proxy.include);
        if !serves && !excused {
            let reasons: Vec<_> = holds.iter().map(|h| h.reason).collect();
            self.breaks("L2", format!("after the faults have stopped nobody serves: {reasons:?}"));
        }
    }

    /// L1, L4, S13: what was asked for last serves, and the controller says so.
    fn is_converged(&mut self) {
        let plan = self.plan.clone();
        let status = plan.iter().flat_map(|plan| &plan.services).map(|s| s.status).next();
        let live = self.live();
        let digest = self.world.see().jars.get(&self.spec.jar.path).map(|(digest, _)| digest.to_string());
        if status != Some(Status::Converged) || live.as_ref().map(|(_, digest)| digest.clone()) != digest {
            let reasons: Vec<_> = self.holds().iter().map(|h| format!("{} ({})", h.reason, h.detail)).collect();
            self.breaks("L1", format!("{digest:?} was asked for, {live:?} serves, {status:?}, {reasons:?}"));
        }
    }

    /// The slot and the bytes that users reach.
    fn live(&self) -> Option<(SlotName, String)> {
        let state = self.world.see();
        let port = state.routes(&self.spec.proxy.include).next()??;
        let process = state.at_port(port).filter(|p| p.is_ready(state.now))?;
        Some((process.slot.clone(), process.digest.to_string()))
    }

    /// What a policy still does by itself comes to its end.
    fn keeps_still(&mut self) {
        let policy = &self.spec.slot_policy;
        let longest = policy.standby_for.unwrap_or_default() + policy.drain_deadline + policy.bake;
        self.until(self.now() + u64::try_from(longest.as_millis()).unwrap() + 60_000);
    }

    /// S10: on a converged host a slotd that has just been started does nothing at all, however often it looks.
    fn is_idle(&mut self) {
        if !self.violations.is_empty() {
            return;
        }
        let before = self.world.see().counts.clone();
        let now = self.now();
        self.slotds[0].starts_again(now);
        self.until(now + WATCH / 10);
        let after = self.world.see().counts.clone();
        if before != after {
            self.breaks("S10", format!("a converged host was touched: {before:?} became {after:?}"));
        }
    }
}

/// S14: whoever does nothing says why, what ends it and when he looks again.
fn wordless(service: &ServicePlan, outcome: &Outcome) -> Option<String> {
    let silent = service.holds.iter().find(|h| h.detail.is_empty() || h.until.is_empty() || h.again.is_zero());
    if let Some(hold) = silent {
        return Some(format!("the hold {} has no detail, no end or no time", hold.reason));
    }
    let failed = outcome.failures.iter().any(|(name, _)| *name == service.name);
    match &service.next {
        Next::Hold if service.holds.is_empty() => Some("nothing is done, and no reason is given".to_owned()),
        Next::Nothing if !failed && !outcome.stepped.contains(&service.name) && service.status != Status::Converged => {
            Some(format!("nothing is left to do, and it stands {}", service.status))
        }
        Next::Step(_) | Next::Hold | Next::Nothing => None,
    }
}
