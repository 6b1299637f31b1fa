//! What the steps of a pass say: how often a release is tried (S12), and when an old slot is stopped (S3).

use slotd::model::id::ReleaseId;
use slotd::plan::step::Act;

use crate::run::Run;

/// Workers of before a reload accept for as long, after the moment that counts as the cutover.
const OLD_WORKERS: u64 = 1_000;

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
        let down = self.world.see().judge.excused.contains(&self.spec.proxy.include);
        if down || self.story.troubles().next().is_some() || self.kinds.values().any(|kind| !kind.is_good()) {
            return;
        }
        let policy = &self.spec.slot_policy;
        let early = self.stopped().find_map(|pid| {
            let state = self.world.see();
            let process = state.processes.get(&pid).filter(|p| p.routed && p.cookie.is_some())?;
            let left = state.now - state.last_routed.get(&process.port)?;
            let needed = if left < state.lingering { policy.drain_deadline } else { policy.drain };
            let early = u128::from(left + OLD_WORKERS) < needed.as_millis();
            early.then(|| format!("process {pid} was stopped {left} ms after the traffic had left it, and not after {needed:?}"))
        });
        if let Some(early) = early {
            self.breaks("S3", early);
        }
    }

    /// Processes that were told to end in the last pass.
    fn stopped(&self) -> impl Iterator<Item = u32> {
        self.tally.acts.iter().filter_map(|act| match act {
            Act::Stop { process, .. } => Some(process.pid),
            _other => None,
        })
    }
}
