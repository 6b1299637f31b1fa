//! What the steps of a pass say: how often a release is tried (S12), when an old slot is stopped (S3) and whose process that is (S17), and
//! how soon after a failure the same is tried again (S18).

use slotd::model::desired::PortConflict;
use slotd::model::id::ReleaseId;
use slotd::model::ledger::{Failure, FailureKind};
use slotd::plan::step::Act;

use crate::run::Run;

/// Workers of before a reload accept for as long, after the moment that counts as the cutover.
const OLD_WORKERS: u64 = 1_000;

/// A crash counts for as long.
const CRASHES: u64 = 600_000;

/// The longest pause before the next start.
const LONGEST: u64 = 60_000;

/// The pause after a reload that had no effect.
const AFTER_LOST: u64 = 30_000;

/// What takes no traffic from one slot to another and keeps slotd from no witness of where it goes.
const HARMLESS: [&str; 9] =
    ["memory", "launch_fault", "jar_gone", "jar_bytes", "store_lost", "config_broken", "foreign", "contested", "same_app"];

impl Run {
    /// S12: a release is not started more often than the manifest says, unless something new happened or nothing else serves.
    pub(crate) fn judge_tries(&mut self) {
        let state = self.world.see();
        let news = state.faults != self.tries.1 || !state.sights.is_clear() || state.refused > 0 || !state.contested.is_empty();
        self.tries.1 = state.faults;
        let serves = state.serves(&self.spec.proxy.include);
        drop(state);
        let moves = |act: &Act| matches!(act, Act::Cutover { .. } | Act::Reload { moves: Some(_), .. });
        if news || !serves || self.tally.acts.iter().any(moves) {
            self.tries.0.clear();
        }
        for act in &self.tally.acts {
            if let Act::Start { release, serves: false, .. } = act {
                *self.tries.0.entry(release.clone()).or_default() += 1;
            }
        }
        for release in self.undecided() {
            self.tries.0.entry(release).and_modify(|times| *times = times.saturating_sub(1));
        }
        let limit = self.spec.slot_policy.max_attempts;
        if let Some((release, times)) = self.tries.0.iter().find(|(_, times)| **times > limit) {
            let what = format!("{release} was started {times} times, and slot_policy.max_attempts is {limit}");
            self.breaks("S12", what);
        }
    }

    /// Starts that say nothing of their release: its port was taken between the probe and the bind, which spends no attempt, or it was
    /// stopped because something else is asked for, while it was well or its deadline was still to come.
    fn undecided(&mut self) -> Vec<ReleaseId> {
        let mut state = self.world.touch();
        let mut all = std::mem::take(&mut state.collisions);
        let (now, deadline) = (state.now, u64::try_from(self.spec.health.deadline.as_millis()).unwrap());
        let stopped = self.stopped().filter_map(|pid| state.processes.get(&pid));
        all.extend(stopped.filter(|p| p.is_well(now) || now - p.born < deadline).map(|p| p.release.clone()));
        all
    }

    /// S3: an old slot is stopped when it has drained: not before `drain` has passed, and while something is open not before the
    /// deadline. Only where nothing goes wrong: an include that others edit, or a ledger that they lose, moves traffic without a word.
    pub(crate) fn judge_drain(&mut self) {
        if self.goes_down() || self.is_troubled() || self.kinds.values().any(|kind| !kind.is_good()) {
            return;
        }
        let policy = &self.spec.slot_policy;
        let early = self.stopped().find_map(|pid| {
            let state = self.world.see();
            let process = state.processes.get(&pid).filter(|p| p.routed && p.cookie.is_some())?;
            let at = *state.last_routed.get(&process.port)?;
            let left = state.now - at;
            let needed = if left < state.lingering { policy.drain_deadline } else { policy.drain };
            let early = u128::from(left + OLD_WORKERS) < needed.as_millis();
            early.then(|| format!("process {pid} was stopped {left} ms after the traffic had left it, and not after {needed:?}"))
        });
        if let Some(early) = early {
            self.breaks("S3", early);
        }
    }

    fn goes_down(&self) -> bool {
        self.world.see().judge.excused.contains(&self.spec.proxy.include)
    }

    /// Whether something has befallen the host that moves traffic, or hides where it goes.
    fn is_troubled(&self) -> bool {
        let asked = |kind: &str| {
            let verbs = ["rollback", "promote", "pause", "resume", "retry", "restart", "down"];
            ["wants", "apply", "ends"].contains(&kind) || verbs.contains(&kind)
        };
        self.befallen.keys().any(|kind| !asked(kind) && !HARMLESS.contains(kind))
    }

    /// S17: what others have started is stopped only as far as the policy says.
    pub(crate) fn judge_whose(&mut self) {
        if self.goes_down() || self.spec.slot_policy.port_conflict == PortConflict::SameApp {
            return;
        }
        let by_others = |pid: &u32| self.world.see().processes.get(pid).is_some_and(|p| p.cookie.is_none());
        let stopped = self.stopped().find(by_others);
        if let Some(pid) = stopped {
            let policy = self.spec.slot_policy.port_conflict;
            self.breaks("S17", format!("process {pid} of others was stopped, and slot_policy.port_conflict is {policy:?}"));
        }
    }

    /// S18: after failures the same release is started again after a pause that grows, and after a reload that had no effect the next
    /// one is sent after a pause.
    pub(crate) fn judge_pauses(&mut self) {
        let early = self.tally.acts.iter().find_map(|act| match act {
            Act::Start { release, serves, .. } => self.hasty_start(release, *serves),
            _other => None,
        });
        if let Some(early) = early {
            self.breaks("S18", early);
        }
        let (now, lost) = (self.now(), self.world.see().nginx.loses_reloads);
        if !self.tally.acts.iter().any(|act| matches!(act, Act::Reload { .. })) {
            return;
        }
        if let Some(after) = self.lost.map(|at| now - at).filter(|after| *after < AFTER_LOST) {
            self.breaks("S18", format!("a reload was sent {after} ms after one that had no effect"));
        }
        self.lost = lost.then_some(now);
    }

    /// A release is started without a pause after the first failure where it served, then after 1, 2, 4 … 60 seconds.
    fn hasty_start(&self, release: &ReleaseId, serves: bool) -> Option<String> {
        let state = self.world.see();
        let counts = |f: &&Failure| {
            let recent = f.kind == FailureKind::Start || state.now - f.at.0 < CRASHES;
            f.release == *release && f.kind != FailureKind::World && f.boot == state.boot_id() && recent
        };
        let failures: Vec<_> = state.ledgers.get(&self.spec.name)?.read.failures.iter().filter(counts).collect();
        let paused = failures.len().checked_sub(usize::from(serves) + 1)?;
        let pause = LONGEST.min(1_000 << paused.min(6));
        let after = state.now - failures.last()?.at.0;
        (after < pause).then(|| format!("{release} was started {after} ms after its failure number {}", failures.len()))
    }

    /// Processes that were told to end in the last pass.
    fn stopped(&self) -> impl Iterator<Item = u32> {
        self.tally.acts.iter().filter_map(|act| match act {
            Act::Stop { process, .. } => Some(process.pid),
            _other => None,
        })
    }
}
