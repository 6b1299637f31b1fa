//! The state of a small host: everything that the planner can see, and what it cannot (a reload on its way, what a release will do).
//!
//! Exact and compact: a state is compared whole, never by its hash. Time is kept as classes of age, see [`Mem`].

/// Slots of the largest configuration.
pub(crate) const SLOTS: usize = 3;

/// Releases that exist.
pub(crate) const RELEASES: usize = 5;

/// "None" for a slot or a release.
pub(crate) const NONE: u8 = u8::MAX;

/// A good release that serves at the beginning.
pub(crate) const FIRST: u8 = 0;
/// Another good one.
pub(crate) const SECOND: u8 = 1;
/// Ends soon after its start, every time.
pub(crate) const BAD: u8 = 2;
/// Comes up and may end at any time while users reach it.
pub(crate) const DIES: u8 = 3;
/// Stays alive and never answers.
pub(crate) const HANGS: u8 = 4;

/// How the process of a slot is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Life {
    /// There is none.
    #[default]
    None,
    /// Started, does not listen yet.
    Boot,
    /// Answers as it should.
    Ready,
    /// Listens and answers badly.
    Sick,
    /// Answers with another name.
    Wrong,
    /// Answered as it should, and is stopped in place.
    Frozen,
    /// Was told to end.
    Ending,
    /// Was told to end and does not.
    Hung,
    /// Was killed; the kernel has not reaped it yet.
    Killed,
}

/// What of the ledger is about a slot's process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Link {
    /// Nothing.
    #[default]
    Stray,
    /// The record's cookie is its own; slotd died before it wrote the identity down.
    Cookie,
    /// The record's identity is its own.
    Recorded,
}

/// One place of the host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Slot {
    pub(crate) life: Life,
    /// What runs.
    pub(crate) rel: u8,
    pub(crate) link: Link,
    /// Carries a cookie; else it is the same application, started by others.
    pub(crate) ours: bool,
    /// Connections from before are open.
    pub(crate) open: bool,
    /// The last recorded process ended because its port was taken.
    pub(crate) in_use: bool,
    /// Somebody else listens on the port.
    pub(crate) stranger: bool,
}

impl Slot {
    /// A process that may answer.
    pub(crate) fn alive(self) -> bool {
        matches!(self.life, Life::Boot | Life::Ready | Life::Sick | Life::Wrong)
    }

    /// Any process at all.
    pub(crate) fn there(self) -> bool {
        self.life != Life::None
    }
}

/// A route as a file or as nginx has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Text {
    /// There is none.
    #[default]
    Absent,
    /// Ours, with flags.
    Flag { gen_: u8 },
    /// Ours, one line.
    Line { gen_: u8, slot: u8 },
    /// One line of somebody else.
    Plain { slot: u8 },
    /// Not understood, and no nginx loads it.
    Garbage,
}

impl Text {
    /// Where a request goes while these flags stand.
    pub(crate) fn leads(self, flags: u8) -> Option<u8> {
        match self {
            Self::Absent | Self::Garbage => None,
            Self::Flag { .. } => Some((1..8).find(|bit| flags & (1 << bit) != 0).unwrap_or(0)),
            Self::Line { slot, .. } | Self::Plain { slot } => Some(slot),
        }
    }

    /// Its generation, where it is ours.
    pub(crate) fn generation(self) -> Option<u8> {
        match self {
            Self::Flag { gen_ } | Self::Line { gen_, .. } => Some(gen_),
            Self::Absent | Self::Plain { .. } | Self::Garbage => None,
        }
    }

    /// The same under another number.
    pub(crate) fn renumbered(self, f: impl Fn(u8) -> u8) -> Self {
        match self {
            Self::Flag { gen_ } => Self::Flag { gen_: f(gen_) },
            Self::Line { gen_, slot } => Self::Line { gen_: f(gen_), slot },
            Self::Absent | Self::Plain { .. } | Self::Garbage => self,
        }
    }

    /// Whether nginx can start or reload with it.
    pub(crate) fn loadable(self) -> bool {
        !matches!(self, Self::Absent | Self::Garbage)
    }
}

/// nginx.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Nginx {
    pub(crate) up: bool,
    /// What its newest workers have loaded.
    pub(crate) cur: Text,
    /// What older workers that still accept have loaded; [`Text::Absent`]: there are none.
    pub(crate) old: Text,
    /// Whether those workers are in the ledger's last reload.
    pub(crate) cur_noted: bool,
    pub(crate) old_noted: bool,
    /// Whether the look under way has seen those workers.
    pub(crate) cur_looked: bool,
    pub(crate) old_looked: bool,
    /// A signal to reload is on its way.
    pub(crate) pending: bool,
    /// Its configuration is broken elsewhere.
    pub(crate) broken: bool,
    /// It was started since the look under way.
    pub(crate) restarted: bool,
}

/// What the ledger remembers of a slot. Ages: `past` is past the health deadline, `pre` is before the last cutover to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Rec {
    pub(crate) on: bool,
    pub(crate) rel: u8,
    pub(crate) label: u8,
    pub(crate) cookie: bool,
    pub(crate) process: bool,
    pub(crate) evidence: bool,
    pub(crate) past: bool,
    pub(crate) pre: bool,
    pub(crate) this_boot: bool,
    pub(crate) served: bool,
    /// 0: not told to end, 1: told, 2: told longer ago than the stop timeout.
    pub(crate) stopping: u8,
    pub(crate) killing: bool,
    pub(crate) condemned: bool,
    /// It went on a moment ago.
    pub(crate) thawed: bool,
    /// A cutover before the last one left it, and its drain is not at its deadline.
    pub(crate) left: bool,
}

impl Rec {
    /// Ages count for a process that is there, in the boot that they are of.
    fn rest(&mut self, there: bool) {
        self.past &= there && self.this_boot;
        self.pre &= there && self.this_boot;
        self.thawed &= there && self.this_boot;
        self.left &= there && self.this_boot;
        let told = if there && self.this_boot { 2 } else { 1 };
        self.stopping = self.stopping.min(told);
    }
}

/// What the ledger remembers of the last cutover.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Cut {
    pub(crate) on: bool,
    pub(crate) from: u8,
    pub(crate) to: u8,
    /// 0: young, 1: past `drain`, 2: past `bake`, `drain_deadline` and `standby_for`.
    pub(crate) age: u8,
    pub(crate) this_boot: bool,
    pub(crate) settled: bool,
}

/// What the ledger remembers of the last reload.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Hup {
    pub(crate) on: bool,
    pub(crate) gen_: u8,
    /// 0: young, 1: past the time that a reload takes, 2: past the time after which it is tried again, and past `drain_deadline`.
    pub(crate) age: u8,
    pub(crate) this_boot: bool,
    pub(crate) failed: bool,
}

/// Failures of one release by itself, as many as the policy counts; whether the pause after the last one is over is no part of the state,
/// see [`crate::see::Pause`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Fails {
    pub(crate) start: u8,
    /// Failed starts of more than ten minutes ago.
    pub(crate) start_old: u8,
    pub(crate) crash: u8,
}

/// The ledger in its essentials; `ledger.rs` turns it into the shipped one and back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Mem {
    pub(crate) recs: [Rec; SLOTS],
    pub(crate) cut: Cut,
    pub(crate) hup: Hup,
    pub(crate) fails: [Fails; RELEASES],
    /// Sets of releases, one bit each.
    pub(crate) releases: u8,
    pub(crate) relabelled: u8,
    pub(crate) quarantine: u8,
    /// Newest last, filled up with [`NONE`].
    pub(crate) good: [u8; RELEASES],
    /// Which jars (release, label) were resolved: bit `2 * release + label`.
    pub(crate) jars: u16,
    pub(crate) route: Text,
    pub(crate) leaving: u8,
    pub(crate) proven: u8,
    pub(crate) paused: bool,
    pub(crate) back_away: u8,
    pub(crate) back_to: u8,
    pub(crate) promoted: u8,
    pub(crate) down: bool,
    /// The slot whose process is to be replaced.
    pub(crate) restart: u8,
    pub(crate) repair: bool,
    pub(crate) deployment: u8,
    /// 0: none, else one more than the variant of the health settings.
    pub(crate) health: u8,
    /// Whether the manifest's state has been accepted: false only before the first `apply`.
    pub(crate) accepted: bool,
}

/// What lies at the manifest's path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Jar {
    /// The jar of the wish.
    #[default]
    Good,
    /// Nothing.
    Gone,
    /// Other bytes.
    Torn,
}

/// The whole host with slotd on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct World {
    pub(crate) slots: [Slot; SLOTS],
    pub(crate) nginx: Nginx,
    /// The include on disk and the flags beside it, one bit a slot.
    pub(crate) disk: Text,
    pub(crate) flags: u8,
    pub(crate) mem: Mem,
    /// Which of the configuration's manifests is accepted.
    pub(crate) wish: u8,
    pub(crate) jar: Jar,
    /// Which releases lie whole in the store.
    pub(crate) stored: u8,
    /// Which of them lie unpacked beside themselves; a start that expects more than there is fails.
    pub(crate) unpacked: u8,
    /// Which of those have an archive of their classes: a training comes to its end at once here, because nothing waits for it.
    pub(crate) archived: u8,
    /// 0: no pass under way, else one more than the number of a [`crate::act::Look`].
    pub(crate) look: u32,
    /// Starts of the wished release since it was last asked for: a ghost that no planner sees.
    pub(crate) tries: u8,
    /// A request under way: 0 none, else a stage of nginx's checks, see `request.rs`.
    pub(crate) request: Request,
}

/// One request whose checks of flags are separate moments.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Request {
    /// 0: none; else the number of the next check, from one.
    pub(crate) stage: u8,
    /// Where it would go by the checks so far.
    pub(crate) to: u8,
    /// Slots that were right at some moment since it began.
    pub(crate) right: u8,
}

impl World {
    /// Slots that a new request can reach now: by the newest workers, and by older ones that still accept.
    pub(crate) fn reached(&self) -> [Option<u8>; 2] {
        if !self.nginx.up {
            return [None, None];
        }
        [self.nginx.cur.leads(self.flags), self.nginx.old.leads(self.flags)]
    }

    /// Whether a new request can reach a slot.
    pub(crate) fn reaches(&self, slot: u8) -> bool {
        self.reached().contains(&Some(slot))
    }

    /// Whether every new request is answered as it should be.
    pub(crate) fn serves(&self) -> bool {
        let [cur, old] = self.reached();
        let ready = |slot: u8| self.slots[usize::from(slot)].life == Life::Ready;
        cur.is_some_and(ready) && old.is_none_or(ready)
    }

    /// The same world in its one form: what nobody looks at any more, neither the planner nor a property, has its first value.
    /// Two worlds that differ in nothing else have the same future, so exploring one of them is exploring both.
    pub(crate) fn canonical(self) -> Self {
        let mut world = self.renumbered().rested();
        world.nginx.restarted = false;
        let (leaving, moves) = (world.mem.leaving, world.nginx.pending || world.nginx.old != Text::Absent);
        let cut = &mut world.mem.cut;
        if !cut.this_boot {
            // A cutover of before a reboot says only who served before: the planner's `cutover()` wants this boot.
            (cut.age, cut.settled) = (0, false);
        }
        let cut = *cut;
        for (at, (slot, rec)) in (0_u8..).zip(world.slots.iter_mut().zip(&mut world.mem.recs)) {
            rec.rest(slot.there());
            // Open connections are counted on a slot that a cutover left, or a reload on its way is about to leave.
            slot.open &= (cut.on && cut.from == at) || rec.left || leaving == at || moves;
        }
        world
    }

    /// A reload that has come to its end is old, whenever that was.
    fn rested(mut self) -> Self {
        let loaded = self.nginx.up && self.nginx.cur.generation().is_some_and(|gen_| gen_ >= self.mem.hup.gen_);
        let done = loaded && !self.nginx.pending && self.nginx.old == Text::Absent;
        if self.mem.hup.on && done && !self.mem.hup.failed {
            self.mem.hup.age = 2;
            self.nginx.cur_noted = false;
        }
        self
    }

    /// Gives generations the smallest numbers that keep their order, so that a long history is no other state.
    fn renumbered(mut self) -> Self {
        let mut known = [0_u8; 7];
        let texts = [self.disk, self.nginx.cur, self.nginx.old, self.mem.route];
        for (at, text) in texts.iter().enumerate() {
            known[at] = text.generation().unwrap_or(0);
        }
        known[4] = self.mem.proven;
        known[5] = if self.mem.hup.on { self.mem.hup.gen_ } else { 0 };
        // The older ledger, which may come back, has the first one: no other text may get its number.
        known[6] = 1;
        known.sort_unstable();
        let rank = |gen_: u8| {
            let below = (0..7).filter(|&i| known[i] > 0 && known[i] < gen_ && (i == 0 || known[i] != known[i - 1])).count();
            if gen_ == 0 { 0 } else { u8::try_from(below + 1).unwrap_or(NONE) }
        };
        self.disk = self.disk.renumbered(rank);
        self.nginx.cur = self.nginx.cur.renumbered(rank);
        self.nginx.old = self.nginx.old.renumbered(rank);
        self.mem.route = self.mem.route.renumbered(rank);
        self.mem.proven = rank(self.mem.proven);
        self.mem.hup.gen_ = if self.mem.hup.on { rank(self.mem.hup.gen_) } else { 0 };
        self
    }
}
