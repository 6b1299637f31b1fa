//! A machine in memory: everything of `slotd::host`, with a clock that only `wait` moves and with faults on demand.
//!
//! Reality is modelled, not slotd: a process listens after a while, nginx follows what it has *loaded* and the flags that stand,
//! old workers go on accepting for 110 ms, a ledger is text. Whatever slotd must never do is noticed here, at the call that did
//! it ([`judge`]); what it should have done is up to the tests.

pub(crate) mod drive;
pub(crate) mod fault;
pub(crate) mod judge;
pub(crate) mod manifest;
pub(crate) mod memory;
pub(crate) mod nginx;
pub(crate) mod ports;
pub(crate) mod processes;
pub(crate) mod sight;
mod store;

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use slotd::host::clock::Clock;
use slotd::host::ledgers::HistoryLine;
use slotd::model::boot::Archive;
use slotd::model::id::{ArchiveId, BootId, Cookie, Digest, Moment, Now, Port, ReleaseId, ServiceName, SlotName};
use slotd::model::observed::ExitCause;
use slotd::model::wake::Wake;

use fault::Fault;
use judge::Judge;
use nginx::{Nginx, Pools, Text};
use processes::{Behaviour, Process};

/// Chance that can be repeated (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit.max(1)
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(items.len() as u64)).unwrap();
        &items[index]
    }
}

/// Something that is due at a time.
#[derive(Clone, Debug)]
pub(crate) enum Due {
    Listens(u32),
    Dies(u32),
    Sickens,
    Fault(Fault),
}

/// What slotd did to the machine, by the first word of each call.
pub(crate) type Counts = BTreeMap<&'static str, usize>;

/// When a crash comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

/// The payload of an injected crash.
pub(crate) struct Crash;

/// The whole machine.
pub(crate) struct State {
    pub(crate) now: u64,
    boot: (u32, BootId),
    pub(crate) dice: Dice,
    pub(crate) processes: BTreeMap<u32, Process>,
    pub(crate) next_pid: u32,
    pub(crate) exits: BTreeMap<PathBuf, ExitCause>,
    pub(crate) foreigners: BTreeMap<Port, ports::Foreigner>,
    /// Ports that are free when they are observed and taken when they are about to be used.
    pub(crate) contested: BTreeSet<Port>,
    pub(crate) last_routed: BTreeMap<Port, u64>,
    /// How long connections outlive a cutover, in milliseconds.
    pub(crate) lingering: u64,
    pub(crate) nginx: Nginx,
    pub(crate) includes: BTreeMap<PathBuf, Text>,
    pub(crate) pools: BTreeMap<PathBuf, Pools>,
    pub(crate) flags: BTreeMap<PathBuf, BTreeSet<SlotName>>,
    pub(crate) jars: BTreeMap<PathBuf, (Digest, u64)>,
    pub(crate) store: BTreeSet<Digest>,
    /// Jars of the store that lie unpacked beside themselves.
    pub(crate) unpacked: BTreeSet<Digest>,
    /// What trainings leave, each from a moment on.
    pub(crate) archives: BTreeMap<(Digest, ArchiveId), (u64, Archive)>,
    /// The training under way ends then.
    pub(crate) training: u64,
    /// What the next trainings come to.
    pub(crate) trained: Archive,
    pub(crate) behaviours: BTreeMap<Digest, Behaviour>,
    pub(crate) ledgers: BTreeMap<ServiceName, memory::Kept>,
    /// Copies of ledgers that somebody keeps.
    copied: BTreeMap<ServiceName, memory::Kept>,
    pub(crate) history: BTreeMap<ServiceName, Vec<HistoryLine>>,
    pub(crate) kept: Vec<String>,
    pub(crate) launch_fault: Option<String>,
    pub(crate) memory: u64,
    /// So many of the next changes fail with an I/O error.
    pub(crate) refused: u32,
    /// The change after so many others fails.
    pub(crate) refuse_in: Option<usize>,
    /// When a change failed last.
    pub(crate) refused_at: Option<u64>,
    /// What was started and found its port in use, since somebody last asked.
    pub(crate) collisions: Vec<ReleaseId>,
    /// Processes cannot be read.
    pub(crate) blind: bool,
    /// The processes on these ports cannot be read.
    pub(crate) unreadable: BTreeSet<Port>,
    /// Who listens on these ports cannot be read.
    pub(crate) unlisted: BTreeSet<Port>,
    pub(crate) sights: sight::Sights,
    agenda: BTreeMap<(u64, u64), Due>,
    due: u64,
    pub(crate) counts: Counts,
    /// The change at which slotd was killed last.
    pub(crate) struck: Option<(&'static str, When)>,
    /// Things that others did so far.
    pub(crate) faults: u32,
    /// Whether the trace is written: a million passes have no reader.
    pub(crate) tells: bool,
    pub(crate) trace: Vec<String>,
    pub(crate) judge: Judge,
}

/// The machine, shared by whoever looks at it.
pub(crate) struct World {
    state: RefCell<State>,
    fuse: Cell<Option<(usize, When)>>,
    locked: Rc<Cell<bool>>,
    /// Passes at this instant, and in all.
    passes: Cell<(u64, usize, usize)>,
}

/// Passes without any time in between: more is a circle.
const AT_ONCE: usize = 200;

/// Passes in one test at most.
const PASSES: usize = 200_000;

impl World {
    /// A host as the README's quick start leaves it: nginx runs, its configuration names the includes, which are not there yet.
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            now: 10_000_000,
            boot: (0, BootId::new("")),
            dice: Dice(seed),
            processes: BTreeMap::new(),
            next_pid: 1000,
            exits: BTreeMap::new(),
            foreigners: BTreeMap::new(),
            contested: BTreeSet::new(),
            last_routed: BTreeMap::new(),
            lingering: 0,
            nginx: Nginx::default(),
            includes: BTreeMap::new(),
            pools: BTreeMap::new(),
            flags: BTreeMap::new(),
            jars: BTreeMap::new(),
            store: BTreeSet::new(),
            unpacked: BTreeSet::new(),
            archives: BTreeMap::new(),
            training: 0,
            trained: Archive::Ready,
            behaviours: BTreeMap::new(),
            ledgers: BTreeMap::new(),
            copied: BTreeMap::new(),
            history: BTreeMap::new(),
            kept: Vec::new(),
            launch_fault: None,
            memory: 8 << 30,
            refused: 0,
            refuse_in: None,
            refused_at: None,
            collisions: Vec::new(),
            blind: false,
            unreadable: BTreeSet::new(),
            unlisted: BTreeSet::new(),
            sights: sight::Sights::default(),
            agenda: BTreeMap::new(),
            due: 0,
            counts: Counts::new(),
            struck: None,
            faults: 0,
            tells: true,
            trace: Vec::new(),
            judge: Judge::default(),
        };
        let world = Self {
            state: RefCell::new(state),
            fuse: Cell::new(None),
            locked: Rc::new(Cell::new(false)),
            passes: Cell::new((0, 0, 0)),
        };
        world.state.borrow_mut().boot();
        world.state.borrow_mut().start_nginx();
        world
    }

    pub(crate) fn see(&self) -> Ref<'_, State> {
        self.state.borrow()
    }

    pub(crate) fn touch(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// The k-th change from now crashes slotd, before or after its effect.
    pub(crate) fn crash_at(&self, k: usize, when: When) {
        self.fuse.set(Some((k, when)));
    }

    /// The k-th change from now fails with an I/O error.
    pub(crate) fn refuse_at(&self, k: usize) {
        self.touch().refuse_in = Some(k);
    }

    /// Whether the crash is still to come.
    pub(crate) fn disarm(&self) -> bool {
        self.fuse.take().is_some()
    }

    /// A pass begins; a loop that goes in circles ends here.
    fn count_pass(&self) {
        let now = self.state.borrow().now;
        let (at, here, all) = self.passes.get();
        let here = if at == now { here + 1 } else { 0 };
        self.passes.set((now, here, all + 1));
        let fine = here < AT_ONCE && all < PASSES;
        assert!(fine, "it does not come to rest\n{}", self.tail());
    }

    fn tail(&self) -> String {
        let state = self.state.borrow();
        state.trace[state.trace.len().saturating_sub(60)..].join("\n")
    }

    fn strike(&self, when: When, word: &'static str) {
        let Some((left, moment)) = self.fuse.get() else { return };
        if moment == when && left == 0 {
            self.fuse.set(None);
            self.state.borrow_mut().note(|| format!("slotd is killed {when:?} that"));
            self.state.borrow_mut().struck = Some((word, when));
            // Without the panic hook: this is no failure of the test.
            std::panic::resume_unwind(Box::new(Crash));
        }
        if when == When::After {
            self.fuse.set(Some((left.saturating_sub(1), moment)));
        }
    }

    /// Every change that slotd makes goes through here.
    fn change<T, E>(
        &self,
        word: &'static str,
        what: impl FnOnce() -> String,
        refusal: impl FnOnce(std::io::Error) -> E,
        act: impl FnOnce(&mut State) -> Result<T, E>,
    ) -> Result<T, E> {
        self.strike(When::Before, word);
        let mut state = self.state.borrow_mut();
        state.note(|| format!("{word} {}", what()));
        *state.counts.entry(word).or_default() += 1;
        let due = state.refuse_in.take();
        state.refuse_in = due.and_then(|left| left.checked_sub(1));
        if state.refused > 0 || due == Some(0) {
            (state.refused, state.refused_at) = (state.refused.saturating_sub(1), Some(state.now));
            state.note(|| "  fails".to_owned());
            return Err(refusal(std::io::Error::other("no space left on device")));
        }
        let result = act(&mut state);
        state.judge_change(word);
        drop(state);
        self.strike(When::After, word);
        result
    }
}

impl State {
    /// Writes a line into the trace.
    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        if !self.tells {
            return;
        }
        let line = format!("{:>9} {}", self.now, what());
        self.trace.push(line);
    }

    /// Something will happen after so many milliseconds.
    pub(crate) fn schedule(&mut self, after: u64, due: Due) {
        self.due += 1;
        self.agenda.insert((self.now + after, self.due), due);
    }

    /// Forgets what was due of this boot.
    pub(crate) fn clear_agenda(&mut self) {
        self.agenda.retain(|_, due| matches!(due, Due::Fault(_)));
    }

    /// Lets the next thing happen that is due by then; says whether one of the wakes saw it.
    fn step_to(&mut self, until: u64, wakes: &[Wake]) -> Option<bool> {
        let (&(at, _), _) = self.agenda.first_key_value().filter(|((at, _), _)| *at <= until)?;
        let (_, due) = self.agenda.pop_first()?;
        self.now = self.now.max(at);
        let awaited = match &due {
            Due::Listens(pid) => self.listens(*pid).is_some_and(|port| wakes.contains(&Wake::Listens(port))),
            Due::Dies(pid) => {
                let identity = self.processes.get(pid).map(Process::identity);
                self.dies(*pid);
                identity.is_some_and(|identity| wakes.contains(&Wake::Exit(identity)))
            }
            Due::Sickens => {
                self.judge.last_fault = Some(self.now);
                self.judge_fault();
                false
            }
            Due::Fault(fault) => {
                let gone = self.exits_of(wakes);
                self.befall(fault.clone());
                self.exits_of(wakes) > gone
            }
        };
        Some(awaited)
    }

    /// How many of the awaited processes are gone.
    fn exits_of(&self, wakes: &[Wake]) -> usize {
        let gone = |wake: &&Wake| matches!(wake, Wake::Exit(identity) if self.find_process(identity).is_none());
        wakes.iter().filter(gone).count()
    }

    /// Time passes until then, or until an awaited event.
    pub(crate) fn pass_time(&mut self, milliseconds: u64, wakes: &[Wake]) {
        let until = self.now + milliseconds;
        while let Some(awaited) = self.step_to(until, wakes) {
            if awaited {
                return;
            }
        }
        self.now = until;
        self.judge_time();
    }
}

impl Clock for World {
    fn now(&self) -> Now {
        let state = self.state.borrow();
        let wall = 1_790_000_000_000 + i64::try_from(state.now).unwrap();
        Now { boot: state.boot_id(), at: Moment(state.now), wall }
    }

    fn random(&self) -> Cookie {
        let roll = self.state.borrow_mut().dice.roll();
        Cookie::new(format!("{roll:032x}"))
    }

    async fn wait(&self, wakes: &[Wake], at_most: Duration) {
        let mut state = self.state.borrow_mut();
        let gone = state.exits_of(wakes) > 0;
        let limit = u64::try_from(at_most.as_millis()).unwrap().max(1);
        state.pass_time(if gone { 1 } else { limit }, wakes);
    }
}

impl State {
    /// The machine starts.
    pub(crate) fn boot(&mut self) {
        let number = self.boot.0 + 1;
        self.boot = (number, BootId::new(format!("boot-{number}")));
    }

    pub(crate) fn boot_id(&self) -> BootId {
        self.boot.1.clone()
    }
}
