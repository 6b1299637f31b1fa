//! A story: a host, and what happens on it when, all drawn from a seed.

use std::fmt;
use std::time::Duration;

use slotd::model::desired::{CutoverMode, OnCrash, PortConflict, Promote, ServiceSpec, Standby, Upstream};
use slotd::model::id::{Digest, Port};
use slotd::plan::person::Decision;

use crate::world::fault::Fault;
use crate::world::manifest::{slot, webservice};
use crate::world::nginx::{Pools, Text};
use crate::world::ports::Foreigner;
use crate::world::processes::Behaviour;
use crate::world::sight::Sight;
use crate::world::{Dice, When};

/// One run, told before it happens.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) seed: u64,
    pub(crate) setting: Setting,
    /// Whether each wish has the time it needs, and one fault at most befalls them all.
    pub(crate) calm: bool,
    /// By time, in milliseconds since the beginning.
    pub(crate) events: Vec<(u64, What)>,
}

/// The host and the manifest at the beginning.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) spec: ServiceSpec,
    pub(crate) origin: Origin,
    /// How long connections outlive a cutover, in milliseconds.
    pub(crate) lingering: u64,
}

/// What was there before slotd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Empty,
    /// The application runs on the first slot's port, and a plain line leads there.
    Scripts,
    /// It runs on a port that is no slot's.
    Elsewhere,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Fault(Fault),
    /// It begins, and ends after so many milliseconds, or with the story.
    Lasting(Fault, Fault, u64),
    /// Looks of a kind are in vain: after so many more, so many.
    Hidden(Sight, usize, usize),
    /// It befalls the world between two looks of one pass: what was seen before is stale.
    Ambush(usize, Fault),
    /// slotd is killed at the change after so many others.
    Kill(usize, When),
    /// The change after so many others fails.
    Refused(usize),
    Wants(Change),
    Says(Decision),
    /// A second slotd, beside the controller.
    Applies,
}

/// A change of the manifest.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Version(Kind),
    /// The version of before.
    Back,
    /// The same bytes under another name.
    Relabel,
    Standby(Standby, Option<Duration>),
    Mode(CutoverMode, Upstream),
    OnCrash(OnCrash),
    Promote(Promote),
    Interval(u64),
    /// A slot moves to a port of its own.
    Moves(usize),
}

/// What a release is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Good,
    Slow,
    Stubborn,
    Exits,
    NeverReady,
    NeverListens,
    DiesLater,
    SickensLater,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Good,
        Self::Slow,
        Self::Stubborn,
        Self::Exits,
        Self::NeverReady,
        Self::NeverListens,
        Self::DiesLater,
        Self::SickensLater,
    ];

    pub(crate) fn behaviour(self) -> Behaviour {
        let good = Behaviour::good();
        match self {
            Self::Good => good,
            Self::Slow => Behaviour { listens: Some(6_000), ready: Some(11_000), ..good },
            Self::Stubborn => Behaviour { term: None, ..good },
            Self::Exits => Behaviour { listens: None, ends: Some(700), ..good },
            Self::NeverReady => Behaviour { ready: None, ..good },
            Self::NeverListens => Behaviour { listens: None, term: None, ..good },
            Self::DiesLater => Behaviour { ends: Some(50_000), ..good },
            Self::SickensLater => Behaviour { sickens: Some(45_000), ..good },
        }
    }

    /// Whether it serves for as long as nobody disturbs it.
    pub(crate) fn is_good(self) -> bool {
        matches!(self, Self::Good | Self::Slow | Self::Stubborn)
    }
}

impl What {
    /// The word for counts and allowances.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Fault(fault) | Self::Lasting(fault, ..) => kind(fault),
            Self::Hidden(..) => "hidden",
            Self::Ambush(..) => "ambush",
            Self::Kill(..) => "kill",
            Self::Refused(_) => "refused",
            Self::Wants(_) => "wants",
            Self::Says(decision) => verb(decision),
            Self::Applies => "apply",
        }
    }

    /// Whether it is asked for, rather than suffered.
    pub(crate) fn is_wish(&self) -> bool {
        matches!(self, Self::Wants(_) | Self::Says(_))
    }
}

/// The word of a fault.
pub(crate) fn kind(fault: &Fault) -> &'static str {
    match fault {
        Fault::Crash(_) => "crash",
        Fault::Sick(..) => "sick",
        Fault::Stopped(_) => "stopped",
        Fault::NginxStops | Fault::NginxStarts | Fault::NginxRestarts => "nginx_stops",
        Fault::NginxReloads => "nginx_reloads",
        Fault::ConfigBroken(_) => "config_broken",
        Fault::ReloadsLost(_) => "reloads_lost",
        Fault::NginxHidden(_) => "nginx_hidden",
        Fault::FlagFaults(_) => "flag_faults",
        Fault::Include(..) | Fault::Pools(..) => "include",
        Fault::Flag(..) => "flag",
        Fault::Foreign(..) => "foreign",
        Fault::Contested(..) => "contested",
        Fault::Reboot => "reboot",
        Fault::LedgerLost(_) => "ledger_lost",
        Fault::LedgerCopied(_) | Fault::LedgerRestored(_) => "ledger_older",
        Fault::SameApp(..) => "same_app",
        Fault::StoreLost => "store_lost",
        Fault::JarBytes(..) => "jar_bytes",
        Fault::Blind(_) | Fault::Unreadable(..) | Fault::Unlisted(..) => "blind",
        Fault::Refused(_) => "refusals",
        Fault::Memory(_) => "memory",
        Fault::LaunchFault(_) => "launch_fault",
        Fault::JarGone(_) => "jar_gone",
    }
}

/// The word of a decision.
pub(crate) fn verb(decision: &Decision) -> &'static str {
    match decision {
        Decision::Rollback { .. } => "rollback",
        Decision::Promote => "promote",
        Decision::Pause => "pause",
        Decision::Resume => "resume",
        Decision::Retry => "retry",
        Decision::Restart => "restart",
        Decision::Down => "down",
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { spec, origin, lingering } = &self.setting;
        let policy = &spec.slot_policy;
        writeln!(
            f,
            "  seed {}, {} slots, {:?}, {origin:?}, {lingering} ms lingering",
            self.seed,
            spec.slots.len(),
            spec.proxy.cutover
        )?;
        writeln!(f, "  {policy:?}")?;
        writeln!(f, "  ready within {:?}, stopped within {:?}", spec.health.deadline, spec.launch.stop_timeout)?;
        self.events.iter().try_for_each(|(at, what)| writeln!(f, "  {at:>9} {what:?}"))
    }
}

/// What lasts longer than any story.
pub(crate) const FOR_GOOD: u64 = 100_000_000;

/// Draws stories.
struct Draw {
    dice: Dice,
}

/// How much happens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weather {
    /// One change after the other has all the time it needs, and one fault befalls them all.
    Calm,
    /// Everything at any time.
    Storm,
}

impl Story {
    /// The story of a seed.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut draw = Draw { dice: Dice(seed) };
        let weather = if draw.one_in(2) { Weather::Calm } else { Weather::Storm };
        let setting = draw.setting();
        let mut events = draw.wishes(weather);
        let span = events.last().map_or(0, |(at, _)| *at) + 60_000;
        let faults = match weather {
            Weather::Calm => draw.dice.below(3).min(1),
            Weather::Storm => 1 + draw.dice.below(8),
        };
        for _ in 0..faults {
            let at = draw.dice.below(span);
            events.push((at, draw.trouble(&setting.spec)));
        }
        events.sort_by_key(|(at, _)| *at);
        Self { seed, setting, calm: weather == Weather::Calm, events }
    }

    /// What was asked for, on a host where nothing goes wrong; nothing if nothing does.
    pub(crate) fn reference(&self) -> Option<Self> {
        let wishes = |(_, what): &&(u64, What)| what.is_wish() || matches!(what, What::Applies);
        let events: Vec<_> = self.events.iter().filter(wishes).cloned().collect();
        (events.len() < self.events.len()).then(|| Self { events, ..self.clone() })
    }

    /// What was not asked for.
    pub(crate) fn troubles(&self) -> impl Iterator<Item = &What> {
        self.events.iter().map(|(_, what)| what).filter(|what| !what.is_wish() && !matches!(what, What::Applies))
    }

    /// Wishes for what the manifest asked for before, or for the same bytes by another name.
    pub(crate) fn renamings(&self) -> u32 {
        let renames = |what: &What| matches!(what, What::Wants(Change::Relabel | Change::Back));
        self.events.iter().map(|(_, what)| u32::from(renames(what))).sum()
    }

    /// Without one of its events.
    pub(crate) fn without(&self, index: usize) -> Self {
        let mut story = self.clone();
        story.events.remove(index);
        story
    }
}

impl Draw {
    fn one_in(&mut self, n: u64) -> bool {
        self.dice.below(n) == 0
    }

    fn seconds(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_secs(from + self.dice.below(to - from + 1))
    }

    fn setting(&mut self) -> Setting {
        let mut spec = webservice("1");
        if self.one_in(4) {
            spec.slots.push(slot("real3", 8083));
        }
        (spec.proxy.cutover, spec.proxy.upstream) = self.way();
        self.policy(&mut spec);
        let origin = *self.dice.pick(&[Origin::Empty, Origin::Empty, Origin::Empty, Origin::Scripts, Origin::Elsewhere]);
        let lingering = *self.dice.pick(&[0, 0, 3_000, 40_000]);
        Setting { spec, origin, lingering }
    }

    fn way(&mut self) -> (CutoverMode, Upstream) {
        let reload = (CutoverMode::Reload, Upstream::Address);
        *self.dice.pick(&[(CutoverMode::Flag, Upstream::Address), (CutoverMode::Flag, Upstream::Pool), reload, reload])
    }

    fn policy(&mut self, spec: &mut ServiceSpec) {
        let policy = &mut spec.slot_policy;
        policy.drain = self.seconds(2, 30);
        policy.drain_deadline = policy.drain + self.seconds(5, 40);
        policy.bake = self.seconds(5, 60);
        policy.max_attempts = 1 + u32::try_from(self.dice.below(3)).unwrap();
        match self.dice.below(6) {
            0..=1 => policy.standby = Standby::Stopped,
            2..=3 => policy.standby_for = Some(self.seconds(30, 120)),
            4 => policy.standby = Standby::Frozen,
            _ => {}
        }
        if self.one_in(6) {
            policy.promote = Promote::Manual;
        }
        if self.one_in(3) {
            policy.on_crash = OnCrash::Restart;
        }
        policy.port_conflict = *self.dice.pick(&[PortConflict::SameApp, PortConflict::Own, PortConflict::Nothing]);
        spec.health.deadline = self.seconds(15, 30);
        spec.launch.stop_timeout = self.seconds(3, 10);
        if self.one_in(6) {
            spec.proxy.url = None;
        }
    }

    fn wishes(&mut self, weather: Weather) -> Vec<(u64, What)> {
        let mut at = 0;
        let (count, pause) = match weather {
            Weather::Calm => (2 + self.dice.below(3), (250_000, 400_000)),
            Weather::Storm => (3 + self.dice.below(5), (200, 90_000)),
        };
        let mut events = Vec::new();
        for _ in 0..count {
            at += pause.0 + self.dice.below(pause.1 - pause.0);
            let what = if self.one_in(3) { What::Says(self.decision()) } else { What::Wants(self.change()) };
            events.push((at, what));
            if self.one_in(4) {
                events.push((at + self.dice.below(2_000), What::Applies));
            }
        }
        events
    }

    fn decision(&mut self) -> Decision {
        let all = [
            Decision::Rollback { to: None },
            Decision::Rollback { to: Some("1".to_owned()) },
            Decision::Promote,
            Decision::Pause,
            Decision::Resume,
            Decision::Retry,
            Decision::Restart,
            Decision::Down,
        ];
        self.dice.pick(&all).clone()
    }

    fn change(&mut self) -> Change {
        match self.dice.below(16) {
            0..=6 => Change::Version(Kind::Good),
            7..=9 => Change::Version(*self.dice.pick(&Kind::ALL)),
            10 => Change::Back,
            11 => Change::Relabel,
            12 => Change::Standby(
                *self.dice.pick(&[Standby::Running, Standby::Stopped, Standby::Frozen]),
                self.one_in(2).then_some(Duration::from_secs(60)),
            ),
            13 => {
                let (cutover, upstream) = self.way();
                Change::Mode(cutover, upstream)
            }
            14 => match self.dice.below(3) {
                0 => Change::OnCrash(*self.dice.pick(&[OnCrash::Standby, OnCrash::Restart])),
                1 => Change::Promote(*self.dice.pick(&[Promote::Auto, Promote::Manual])),
                _ => Change::Interval(100 + self.dice.below(400)),
            },
            _ => Change::Moves(usize::try_from(self.dice.below(2)).unwrap()),
        }
    }

    /// Something that nobody asked for.
    fn trouble(&mut self, spec: &ServiceSpec) -> What {
        let count = |draw: &mut Self, n| usize::try_from(draw.dice.below(n)).unwrap();
        match self.dice.below(12) {
            0..=5 => self.fault(spec),
            6..=7 => What::Kill(count(self, 6), *self.dice.pick(&[When::Before, When::After])),
            8 => What::Refused(count(self, 6)),
            9 => What::Hidden(*self.dice.pick(&Sight::ALL), count(self, 300), 1),
            10 => What::Hidden(*self.dice.pick(&Sight::ALL), count(self, 300), 1 + count(self, 30)),
            _ => match self.fault(spec) {
                What::Fault(fault) | What::Lasting(fault, ..) if is_sudden(&fault) => What::Ambush(count(self, 40), fault),
                other => other,
            },
        }
    }

    fn fault(&mut self, spec: &ServiceSpec) -> What {
        let lasts = match self.dice.below(6) {
            0..=1 => 500 + self.dice.below(5_000),
            2..=4 => 5_000 + self.dice.below(120_000),
            _ => FOR_GOOD,
        };
        let place = self.dice.pick(&spec.slots).clone();
        let (include, service) = (spec.proxy.include.clone(), spec.name.clone());
        let once = What::Fault;
        let lasting = |begins, ends| What::Lasting(begins, ends, lasts);
        match self.dice.below(27) {
            0..=2 => once(Fault::Crash(place.port)),
            3..=4 => lasting(Fault::Sick(place.port, true), Fault::Sick(place.port, false)),
            5 => lasting(Fault::NginxStops, Fault::NginxStarts),
            6 => once(Fault::NginxReloads),
            7 => lasting(Fault::ConfigBroken(true), Fault::ConfigBroken(false)),
            8 => lasting(Fault::ReloadsLost(true), Fault::ReloadsLost(false)),
            9 => lasting(Fault::NginxHidden(true), Fault::NginxHidden(false)),
            10 => {
                lasting(Fault::FlagFaults(vec!["the include stands in the http block".to_owned()]), Fault::FlagFaults(Vec::new()))
            }
            11 if spec.proxy.upstream == Upstream::Pool && self.one_in(2) => {
                once(Fault::Pools(include, self.one_in(2).then_some(Pools::Edited)))
            }
            11 => once(Fault::Include(include, self.edit(place.port))),
            12 => once(Fault::Flag(include, place.name, self.one_in(2))),
            13..=14 => {
                let foreigner = *self.dice.pick(&[Foreigner::Stranger, Foreigner::Bound]);
                lasting(Fault::Foreign(place.port, Some(foreigner)), Fault::Foreign(place.port, None))
            }
            15 => once(Fault::Reboot),
            16 => once(Fault::LedgerLost(service)),
            17 => lasting(Fault::LedgerCopied(service.clone()), Fault::LedgerRestored(service)),
            18 => once(Fault::SameApp(service, place.name, place.port)),
            19 => once(Fault::StoreLost),
            20 => once(Fault::JarBytes(spec.jar.path.clone(), Digest::new("other bytes"))),
            21 => lasting(Fault::Blind(true), Fault::Blind(false)),
            22 => once(Fault::Refused(1 + u32::try_from(self.dice.below(12)).unwrap())),
            23 => lasting(Fault::Memory(1 << 20), Fault::Memory(8 << 30)),
            24 => lasting(Fault::LaunchFault(Some("java: no such file".to_owned())), Fault::LaunchFault(None)),
            25 => lasting(Fault::Contested(place.port, true), Fault::Contested(place.port, false)),
            _ => once(Fault::JarGone(spec.jar.path.clone())),
        }
    }

    /// What somebody makes of the include.
    fn edit(&mut self, port: Port) -> Option<Text> {
        match self.dice.below(6) {
            0 => None,
            1..=2 => Some(Text::Plain(port)),
            3 => Some(Text::Edited(Some(port))),
            4 => Some(Text::Edited(None)),
            _ => Some(Text::Elsewhere),
        }
    }
}

/// Whether it happens at one instant, so that it can happen between two looks.
fn is_sudden(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Crash(_)
            | Fault::Include(..)
            | Fault::Pools(..)
            | Fault::Flag(..)
            | Fault::NginxReloads
            | Fault::Foreign(..)
            | Fault::SameApp(..)
    )
}
