//! One run of a story: the world, its slotd processes, and what happens when.

use std::collections::BTreeMap;

use slotd::model::desired::{JarSpec, ServiceSpec};
use slotd::model::id::{Digest, Port, ReleaseId};
use slotd::model::wake::Wake;
use slotd::observe::watch::Watch;
use slotd::plan::person::Decision;
use slotd::plan::{Next, Plan};
use slotd::reconcile::{Goal, Outcome, ReconcileError, decide};

use crate::controller::{Fate, Slotd, Tally};
use crate::story::{Change, FOR_GOOD, Kind, Origin, Story, What};
use crate::world::drive::block_on;
use crate::world::fault::Fault;
use crate::world::manifest::{goal, renamed};
use crate::world::nginx::Text;
use crate::world::{Dice, World};

/// More passes without any time in between are a circle.
const AT_ONCE: u32 = 60;

/// Whoever looks after nginx tries to start it this often.
const NGINX_AGAIN: u64 = 5_000;

/// A broken law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) law: &'static str,
    pub(crate) what: String,
}

/// A story that is being told.
pub(crate) struct Run {
    pub(crate) story: Story,
    pub(crate) world: World,
    /// The manifest as it is now.
    pub(crate) spec: ServiceSpec,
    version: u32,
    pub(crate) kinds: BTreeMap<Digest, Kind>,
    /// The controller first.
    pub(crate) slotds: Vec<Slotd>,
    /// What is still to happen, in the order of the story within one instant.
    queue: BTreeMap<(u64, usize), What>,
    numbered: usize,
    dice: Dice,
    pub(crate) began: u64,
    /// The plan of the controller's last pass, if that came to one.
    pub(crate) plan: Option<Plan>,
    /// When it was made.
    pub(crate) looked: u64,
    /// Whether each word of a person was heard.
    pub(crate) heard: Vec<bool>,
    /// When slotd changed something last.
    pub(crate) moved: u64,
    at_once: (u64, u32),
    pub(crate) befallen: BTreeMap<&'static str, u32>,
    /// Wishes that came while the one before was still being worked on.
    pub(crate) hasty: u32,
    pub(crate) tally: Tally,
    /// Starts of a release that did not come to serve, and how much others had done by the last of them.
    pub(crate) tries: (BTreeMap<ReleaseId, u32>, u32),
    /// When a reload was sent last that had no effect, if nothing new has happened since.
    pub(crate) lost: Option<u64>,
    pub(crate) violations: Vec<Violation>,
}

impl Run {
    pub(crate) fn new(story: &Story, tells: bool) -> Self {
        let world = World::new(story.seed);
        let spec = story.setting.spec.clone();
        let began = world.see().now;
        world.touch().tells = tells;
        world.touch().lingering = story.setting.lingering;
        let mut run = Self {
            story: story.clone(),
            slotds: Vec::new(),
            spec,
            version: 1,
            kinds: BTreeMap::new(),
            queue: BTreeMap::new(),
            numbered: 0,
            dice: Dice(story.seed ^ 0x5107),
            began,
            plan: None,
            looked: 0,
            heard: Vec::new(),
            moved: began,
            at_once: (0, 0),
            befallen: BTreeMap::new(),
            hasty: 0,
            tally: Tally { told: tells.then(Vec::new), ..Tally::default() },
            tries: (BTreeMap::new(), 0),
            lost: None,
            violations: Vec::new(),
            world,
        };
        run.sets_out();
        run
    }

    /// The host of before slotd, the first manifest, and the controller.
    fn sets_out(&mut self) {
        self.build(Kind::Good);
        let first = self.spec.slots[0].clone();
        let port = if self.story.setting.origin == Origin::Scripts { first.port } else { Port(8080) };
        if self.story.setting.origin != Origin::Empty {
            let name = if port == first.port { first.name.as_str() } else { "8080" };
            self.world.by_others(&self.spec, name, port);
            self.world.touch().pass_time(5_000, &[]);
            self.world.befall(Fault::Include(self.spec.proxy.include.clone(), Some(Text::Plain(port))));
            self.world.befall(Fault::NginxReloads);
            self.world.touch().pass_time(2_000, &[]);
        }
        let limit = self.spec.slots.len() + usize::from(self.story.setting.origin == Origin::Elsewhere);
        self.world.touch().judge.limit.insert(self.spec.name.clone(), limit);
        let now = self.now();
        self.slotds.push(Slotd::new(self.goal(), now, None));
        for (at, what) in self.story.events.clone() {
            self.enqueue(self.began + at, what);
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.world.see().now
    }

    fn goal(&self) -> Goal {
        goal(&[self.spec.clone()])
    }

    fn enqueue(&mut self, at: u64, what: What) {
        self.numbered += 1;
        self.queue.insert((at, self.numbered), what);
    }

    /// Puts the manifest's jar at its place.
    fn build(&mut self, kind: Kind) {
        let limit = self.world.see().judge.limit.get(&self.spec.name).copied();
        let digest = self.world.build(&self.spec, kind.behaviour());
        if let Some(limit) = limit {
            self.world.touch().judge.limit.insert(self.spec.name.clone(), limit);
        }
        self.kinds.insert(digest, kind);
    }

    pub(crate) fn breaks(&mut self, law: &'static str, what: impl Into<String>) {
        let what = what.into();
        self.world.touch().note(|| format!("BREACH {law}: {what}"));
        self.violations.push(Violation { law, what });
    }

    /// What is still to happen after this instant.
    pub(crate) fn last_event(&self) -> u64 {
        self.queue.last_key_value().map_or(self.began, |((at, _), _)| *at)
    }

    /// When the last fault ends that does not last for good.
    pub(crate) fn last_end(&self) -> u64 {
        let ends = self.queue.keys().map(|(at, _)| *at).filter(|at| *at < self.began + FOR_GOOD);
        ends.max().unwrap_or_else(|| self.now())
    }

    /// Faults that have begun and would end later.
    pub(crate) fn lasting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Everything that is still to happen happens now, and nothing lies in wait any more.
    pub(crate) fn lift(&mut self) {
        while let Some((_, what)) = self.queue.pop_first() {
            self.happens(what);
        }
        self.world.disarm();
        let mut state = self.world.touch();
        state.sights.clear();
        (state.refused, state.refuse_in) = (0, None);
    }

    /// Time passes, until then or until a law is broken.
    pub(crate) fn until(&mut self, end: u64) {
        while self.violations.is_empty() {
            while let Some(what) = self.next_event() {
                self.happens(what);
            }
            self.all_look();
            let now = self.now();
            let next = self.next(end);
            if next <= now && now >= end {
                return;
            }
            if next > now {
                self.passes(next - now);
            }
        }
    }

    fn next_event(&mut self) -> Option<What> {
        let entry = self.queue.first_entry()?;
        (entry.key().0 <= self.world.see().now).then(|| entry.remove())
    }

    /// When something is due next.
    fn next(&self, end: u64) -> u64 {
        let event = self.queue.first_key_value().map(|((at, _), _)| *at);
        self.slotds.iter().map(Slotd::due).chain(event).chain([end]).min().unwrap_or(end)
    }

    fn passes(&mut self, milliseconds: u64) {
        let wakes: Vec<_> = self.slotds.iter().flat_map(|s| s.wakes.clone()).collect();
        let mut state = self.world.touch();
        let until = state.now + milliseconds;
        state.pass_time(milliseconds, &wakes);
        let now = state.now;
        if now / NGINX_AGAIN != (now - milliseconds.min(now)) / NGINX_AGAIN {
            state.want_nginx();
        }
        drop(state);
        if now < until {
            // Something that was waited for happened.
            self.slotds.iter_mut().filter(|s| !s.wakes.is_empty()).for_each(|s| s.next = now);
        }
    }

    /// Everybody whose time has come makes a pass, in an order that the seed draws.
    fn all_look(&mut self) {
        let now = self.now();
        let mut due: Vec<usize> = (0..self.slotds.len()).filter(|i| self.slotds[*i].due() <= now).collect();
        if due.len() > 1 && self.dice.below(2) == 0 {
            due.reverse();
        }
        for index in &due {
            self.looks(*index);
            if !self.violations.is_empty() {
                return;
            }
        }
        let ended = |s: &Slotd| s.until.is_some_and(|until| until <= now);
        self.slotds.retain(|s| !ended(s));
    }

    fn looks(&mut self, index: usize) {
        self.excuse();
        self.tally.passes += 1;
        (self.tally.began, self.tally.acts) = (0, Vec::new());
        if self.slotds[index].is_told(self.now()) {
            self.tries.0.clear();
            self.lost = None;
        }
        let forgotten = self.is_forgotten(index);
        let fate = self.slotds[index].pass(&self.world, &mut self.tally);
        self.tells();
        let changes = self.world.see().counts.values().sum::<usize>() - self.tally.changes;
        if changes > 0 {
            self.moved = self.now();
        }
        match fate {
            Fate::Killed => self.dies(index),
            Fate::Failed(error) => self.failed(index, &error),
            Fate::Passed(outcome) => self.passed(index, *outcome, changes - usize::from(forgotten && changes > 0)),
        }
        // What ended during the pass is noticed as soon as it is waited for.
        self.wakes();
        self.is_circle();
        let breach = self.world.see().judge.breaches.first().cloned();
        if let Some(breach) = breach {
            self.breaks("S", breach);
        }
    }

    /// Whether the ledger has lost what was accepted: noting that again is no step.
    fn is_forgotten(&self, index: usize) -> bool {
        let state = self.world.see();
        let accepted = state.ledgers.get(&self.spec.name).and_then(|kept| kept.read.accepted.as_ref());
        accepted != self.slotds[index].goal.desired.services.get(&self.spec.name)
    }

    /// What slotd told goes into the trace.
    fn tells(&mut self) {
        let Some(told) = &mut self.tally.told else { return };
        for line in std::mem::take(told) {
            self.world.touch().note(|| line);
        }
    }

    fn dies(&mut self, index: usize) {
        self.lost = None;
        let pause = 200 + self.dice.below(5_000);
        let now = self.now();
        self.slotds[index].starts_again(now + pause);
        self.forgets(index);
    }

    /// An `apply` is not started again.
    fn forgets(&mut self, index: usize) {
        let now = self.now();
        if let Some(until) = &mut self.slotds[index].until {
            *until = now;
        }
    }

    fn failed(&mut self, index: usize, error: &ReconcileError) {
        self.world.touch().note(|| format!("no pass: {error}"));
        if index == 0 {
            // What it found before is old, and it says nothing new.
            self.plan = None;
        }
        if self.slotds[index].is_hopeless() {
            self.forgets(index);
        }
    }

    fn passed(&mut self, index: usize, outcome: Outcome, changes: usize) {
        for hold in outcome.plan.services.iter().flat_map(|s| &s.holds) {
            *self.tally.reasons.entry(hold.reason).or_default() += 1;
        }
        self.judge_outcome(&outcome, changes);
        self.judge_tries();
        self.judge_drain();
        self.judge_whose();
        self.judge_pauses();
        let rests = outcome.stepped.is_empty() && outcome.plan.services.iter().all(|s| !matches!(s.next, Next::Step(_)));
        if rests && self.slotds[index].until.is_some() && outcome.again.is_none_or(|again| again.as_secs() >= 20) {
            self.forgets(index);
        }
        if index == 0 {
            (self.plan, self.looked) = (Some(outcome.plan), self.now());
        }
    }

    fn is_circle(&mut self) {
        let now = self.now();
        let count = if self.at_once.0 == now { self.at_once.1 + 1 } else { 0 };
        self.at_once = (now, count);
        if count > AT_ONCE {
            self.breaks("L3", format!("{AT_ONCE} passes in one instant"));
        }
    }

    /// Users of a service that a person takes down expect nothing of it.
    fn excuse(&mut self) {
        let mut state = self.world.touch();
        let down = state.ledgers.get(&self.spec.name).is_some_and(|kept| kept.read.person.down);
        let include = &self.spec.proxy.include;
        if down && !state.judge.excused.contains(include) {
            state.judge.excused.insert(include.clone());
        } else if !down {
            state.judge.excused.remove(include);
        }
    }

    fn happens(&mut self, what: What) {
        *self.befallen.entry(what.kind()).or_default() += 1;
        self.tries.0.clear();
        self.lost = None;
        if what.is_wish() {
            let rests = self.now() > self.moved + 100_000;
            self.hasty += u32::from(!rests);
        }
        match what {
            What::Fault(fault) => self.befalls(fault),
            What::Lasting(begins, ends, lasts) => {
                self.befalls(begins);
                *self.befallen.entry("ends").or_default() += 1;
                let at = self.now() + lasts;
                self.enqueue(at, What::Fault(ends));
            }
            What::Hidden(sight, after, times) => self.world.touch().hide(sight, after, times),
            What::Ambush(after, fault) => self.world.touch().lie_in_wait(after, fault),
            What::Kill(after, when) => self.world.crash_at(after, when),
            What::Refused(after) => self.world.refuse_at(after),
            What::Wants(change) => self.wants(&change),
            What::Says(decision) => self.says(&decision),
            What::Applies => {
                let now = self.now();
                self.slotds.push(Slotd::new(self.goal(), now, Some(now + 200_000)));
            }
        }
    }

    /// A fault that is about the jar is about the one that the manifest names by then.
    fn befalls(&mut self, fault: Fault) {
        let path = self.spec.jar.path.clone();
        let reboots = matches!(fault, Fault::Reboot);
        self.world.befall(match fault {
            Fault::JarGone(_) => Fault::JarGone(path),
            Fault::JarBytes(_, digest) => Fault::JarBytes(path, digest),
            other => other,
        });
        if reboots {
            (0..self.slotds.len()).for_each(|index| self.dies(index));
        }
        self.wakes();
    }

    /// Who waits for a process to end notices that it has.
    fn wakes(&mut self) {
        let state = self.world.see();
        let now = state.now;
        let gone = |wake: &Wake| matches!(wake, Wake::Exit(identity) if state.find_process(identity).is_none());
        for slotd in self.slotds.iter_mut().filter(|s| s.wakes.iter().any(gone)) {
            slotd.next = slotd.next.min(now + 1);
        }
    }

    /// The manifest is changed; the controller notices a little later.
    pub(crate) fn wants(&mut self, change: &Change) {
        self.world.touch().note(|| format!("> {change:?}"));
        self.changed(change);
        let at = self.now() + self.dice.below(2_000);
        self.slotds[0].told = Some((at, self.goal()));
    }

    fn changed(&mut self, change: &Change) {
        let policy = &mut self.spec.slot_policy;
        match change {
            Change::Version(kind) => {
                self.version += 1;
                self.spec = renamed(&self.spec, &self.version.to_string());
                self.build(*kind);
            }
            Change::Back => {
                let before = self.version.saturating_sub(1).max(1);
                self.spec = renamed(&self.spec, &before.to_string());
            }
            Change::Relabel => self.relabel(),
            Change::Standby(standby, limit) => (policy.standby, policy.standby_for) = (*standby, *limit),
            Change::Mode(mode, upstream) => (self.spec.proxy.cutover, self.spec.proxy.upstream) = (*mode, *upstream),
            Change::OnCrash(on_crash) => policy.on_crash = *on_crash,
            Change::Promote(promote) => policy.promote = *promote,
            Change::Interval(milliseconds) => self.spec.health.interval = std::time::Duration::from_millis(*milliseconds),
            Change::Moves(index) => self.moves(*index),
        }
    }

    /// A slot gets another port. What others started on the one that it had, and that was not taken over yet, is in no slot any more.
    fn moves(&mut self, index: usize) {
        let before = self.spec.slots[index].port;
        self.spec.slots[index].port = Port(before.0 + 1_000);
        let outside = {
            let state = self.world.see();
            let mut there = state.processes.values().filter(|p| p.port == before && p.cookie.is_none());
            there.any(|p| !self.is_taken_over(p.pid))
        };
        if outside {
            *self.world.touch().judge.limit.entry(self.spec.name.clone()).or_default() += 1;
        }
    }

    /// The same bytes, where they still are, under another name and path.
    fn relabel(&mut self) {
        let found = self.world.see().jars.get(&self.spec.jar.path).map(|(digest, _)| digest.clone());
        let Some(digest) = found else { return };
        let version = format!("{}-final", self.spec.jar.version);
        let JarSpec { path, .. } = renamed(&self.spec, &version).jar;
        self.world.touch().put_jar(path, digest);
        self.spec = renamed(&self.spec, &version);
    }

    pub(crate) fn says(&mut self, decision: &Decision) {
        self.world.touch().note(|| format!("> {decision:?}"));
        if *decision == Decision::Down {
            self.world.touch().judge.excused.insert(self.spec.proxy.include.clone());
        }
        let goal = self.slotds[0].goal.clone();
        let world = &self.world;
        let mut said = None;
        world.survives(|| said = Some(block_on(decide(world, &goal, decision, &mut Watch::default()))));
        self.heard.push(matches!(said, Some(Ok(_))));
        self.world.touch().note(|| match said {
            Some(Ok(said)) => said.into_iter().map(|(_, decided)| decided.said).collect(),
            Some(Err(error)) => format!("not said: {error}"),
            None => "killed while saying so".to_owned(),
        });
        self.excuse();
        let now = self.now();
        // A decision is one of the things that wake the controller.
        self.slotds[0].next = now;
    }
}
