//! What can happen, in the words of the glossary.

use std::fmt;

use crate::family::Family;
use crate::see::{Asked, Gap};

/// Who makes it happen, and whether it may be counted on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Edge {
    /// It happens if it stays possible: liveness may count on it.
    Fair,
    /// It may happen any number of times, or never.
    Free,
    /// It takes one from the budget.
    Fault,
}

/// One thing that happens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Label {
    /// slotd observes and plans; silent steps are done; the number of the look when a visible step follows.
    Look {
        who: u8,
        fresh: bool,
        asked: Asked,
        /// Releases after whose failures it finds that the pause is not over yet, one bit each.
        waits: u8,
        look: u32,
        silent: u8,
    },
    /// The same with one fact unread.
    Gap {
        who: u8,
        gap: Gap,
        look: u32,
        silent: u8,
    },
    /// slotd is killed behind so many silent steps of a pass.
    KilledSilent {
        silent: u8,
    },
    /// The precondition no longer holds.
    Refused {
        look: u32,
    },
    /// The step fails, for a reason of `Reason::ALL` or for none.
    Failed {
        look: u32,
        reason: u8,
    },
    /// The visible step is carried out.
    Step {
        look: u32,
    },
    /// slotd is killed before the act, which is written down as begun.
    KilledBefore {
        look: u32,
    },
    /// slotd is killed behind the act, before that is written down.
    KilledBehind {
        look: u32,
    },
    /// Somebody binds the port between the precondition and the JVM's own bind.
    Stolen {
        look: u32,
    },
    /// A process comes up.
    Ready(u8),
    /// A process ends by itself.
    Ends(u8),
    /// A process that was told to end has ended.
    Ended(u8),
    /// The port of a starting process is taken.
    InUse(u8),
    /// Open connections come to their end.
    Closes(u8),
    /// nginx loads what stands on disk.
    Reloads,
    /// Workers of before stop accepting.
    OldStop,
    /// nginx is started.
    NginxUp,
    /// A process is past its health deadline.
    Deadline(u8),
    /// A stop has taken too long.
    StopOver(u8),
    /// A process that went on has had the time to answer.
    Woken(u8),
    /// Time since the cutover.
    CutAges,
    /// Time since the cutover before it, which left a slot.
    LeftAges(u8),
    /// Time since the reload.
    HupAges,
    /// Ten minutes pass.
    Window(u8),
    /// A sick process recovers.
    Recovers(u8),
    /// A stranger leaves a port.
    Leaves(u8),
    /// Somebody mends the configuration.
    Mended,
    /// Somebody puts the jar back.
    JarBack,
    /// nginx does the next check of a request.
    Check,
    /// A request begins.
    Request,
    Crash(u8),
    Flap(u8),
    Wrong(u8),
    Hang(u8),
    Taken(u8),
    SameApp(u8),
    NginxDies,
    ReloadLost,
    Broken,
    EditOther(u8),
    EditGarbage,
    EditGone,
    FlagGone(u8),
    FlagTooMany(u8),
    JarTorn,
    JarGone,
    StoreTorn(u8),
    LedgerLost,
    LedgerOlder,
    Manifest(u8),
    Reboot,
    Verb(&'static str),
}

impl Label {
    /// The family of a fault; none for what else happens, and for being killed in a look that could not read everything.
    pub(crate) fn family(self) -> Option<Family> {
        match self {
            Self::Crash(_) | Self::Flap(_) | Self::Wrong(_) | Self::Hang(_) => Some(Family::Processes),
            Self::Taken(_) | Self::SameApp(_) | Self::Stolen { .. } => Some(Family::Ports),
            Self::NginxDies | Self::ReloadLost | Self::Broken => Some(Family::Nginx),
            Self::EditOther(_) | Self::EditGarbage | Self::EditGone | Self::FlagGone(_) | Self::FlagTooMany(_) => {
                Some(Family::Include)
            }
            Self::JarTorn | Self::JarGone | Self::StoreTorn(_) => Some(Family::Jars),
            Self::LedgerLost | Self::LedgerOlder => Some(Family::Ledger),
            Self::Manifest(_) => Some(Family::Manifest),
            Self::Reboot => Some(Family::Reboot),
            Self::Verb(_) => Some(Family::Person),
            Self::Gap { .. } => Some(Family::Unread),
            _other => None,
        }
    }

    /// One word for the kind, which the non-vacuity list is made of.
    pub(crate) fn word(self) -> String {
        let text = format!("{self:?}");
        match self {
            Self::Gap { gap, .. } => format!("unknown {}", format!("{gap:?}").split('(').next().unwrap_or_default()),
            Self::Verb(word) => format!("verb {word}"),
            _other => text.split([' ', '(', '{']).next().unwrap_or_default().to_owned(),
        }
    }
}

/// The slot as people name it.
fn real(slot: u8) -> String {
    format!("real{}", slot + 1)
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Look { who, fresh, asked, waits, silent, .. } => {
                let first = if *fresh { " for the first time since its start" } else { "" };
                let early = if *waits == 0 { "" } else { " before the pause after a failure is over" };
                write!(f, "slotd {} observes{first}{early} ({asked:?} workers answer), and does {silent} silent steps", who + 1)
            }
            Self::Gap { who, gap, silent, .. } => {
                write!(f, "slotd {} observes, cannot read {gap:?}, and does {silent} silent steps", who + 1)
            }
            Self::KilledSilent { silent } => write!(f, "slotd observes and is killed behind {silent} silent steps"),
            Self::Refused { .. } => write!(f, "slotd reads the precondition again; it no longer holds"),
            Self::Failed { .. } => write!(f, "slotd begins the step, which fails"),
            Self::Step { .. } => write!(f, "slotd carries the step out"),
            Self::KilledBefore { .. } => write!(f, "slotd writes down that the step begins, and is killed before the act"),
            Self::KilledBehind { .. } => write!(f, "slotd does the act, and is killed before it writes that down"),
            Self::Stolen { .. } => write!(f, "slotd starts the process, and a stranger binds the port first"),
            Self::Ready(slot) => write!(f, "the process on {} comes up", real(*slot)),
            Self::Ends(slot) => write!(f, "the process on {} ends by itself", real(*slot)),
            Self::Ended(slot) => write!(f, "the process on {} has ended as it was told", real(*slot)),
            Self::InUse(slot) => write!(f, "the process on {} ends: address already in use", real(*slot)),
            Self::Closes(slot) => write!(f, "the last connection to {} is closed", real(*slot)),
            Self::Reloads => write!(f, "nginx loads the include; workers of before still accept"),
            Self::OldStop => write!(f, "the workers of before stop accepting"),
            Self::NginxUp => write!(f, "nginx is started"),
            Self::Deadline(slot) => write!(f, "the health deadline of {} passes", real(*slot)),
            Self::StopOver(slot) => write!(f, "the stop timeout of {} passes", real(*slot)),
            Self::Woken(slot) => write!(f, "the time in which {} was to answer again passes", real(*slot)),
            Self::CutAges => write!(f, "time passes since the cutover (drain, then bake and the drain deadline)"),
            Self::LeftAges(slot) => write!(f, "the drain deadline of {}, which was left before, passes", real(*slot)),
            Self::HupAges => write!(f, "time passes since the reload (5 s, then 30 s)"),
            Self::Window(_) => write!(f, "ten minutes pass since the failures"),
            Self::Recovers(slot) => write!(f, "{} answers well again", real(*slot)),
            Self::Leaves(slot) => write!(f, "the stranger leaves the port of {}", real(*slot)),
            Self::Mended => write!(f, "somebody mends the nginx configuration"),
            Self::JarBack => write!(f, "somebody puts the jar back"),
            Self::Check => write!(f, "nginx does the next check of the request"),
            Self::Request => write!(f, "a request begins"),
            Self::Crash(slot) => write!(f, "FAULT: the process on {} crashes", real(*slot)),
            Self::Flap(slot) => write!(f, "FAULT: {} answers 503", real(*slot)),
            Self::Wrong(slot) => write!(f, "FAULT: {} answers with another name", real(*slot)),
            Self::Hang(slot) => write!(f, "FAULT: {} does not end on TERM", real(*slot)),
            Self::Taken(slot) => write!(f, "FAULT: a stranger takes the port of {}", real(*slot)),
            Self::SameApp(slot) => write!(f, "FAULT: somebody starts the same application on {}", real(*slot)),
            Self::NginxDies => write!(f, "FAULT: nginx dies"),
            Self::ReloadLost => write!(f, "FAULT: the reload is lost"),
            Self::Broken => write!(f, "FAULT: somebody breaks the nginx configuration elsewhere"),
            Self::EditOther(slot) => write!(f, "FAULT: somebody writes {} into the include", real(*slot)),
            Self::EditGarbage => write!(f, "FAULT: somebody writes garbage into the include"),
            Self::EditGone => write!(f, "FAULT: somebody removes the include"),
            Self::FlagGone(slot) => write!(f, "FAULT: somebody removes the flag of {}", real(*slot)),
            Self::FlagTooMany(slot) => write!(f, "FAULT: somebody sets the flag of {}", real(*slot)),
            Self::JarTorn => write!(f, "FAULT: the jar at the path is torn"),
            Self::JarGone => write!(f, "FAULT: the jar at the path is gone"),
            Self::StoreTorn(rel) => write!(f, "FAULT: {} in the store is corrupted", crate::config::label(*rel, 0)),
            Self::LedgerLost => write!(f, "FAULT: the ledger is lost"),
            Self::LedgerOlder => write!(f, "FAULT: an older ledger is restored"),
            Self::Manifest(wish) => write!(f, "FAULT: manifest {wish} is accepted"),
            Self::Reboot => write!(f, "FAULT: the machine reboots"),
            Self::Verb(word) => write!(f, "FAULT: a person says `slotd {word}`"),
        }
    }
}
