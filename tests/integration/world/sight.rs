//! What slotd looks at, one call at a time: a look can be in vain, and the world can move between two of them.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;

use slotd::model::observed::Observation;

use super::fault::Fault;
use super::{State, World};

/// One kind of look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sight {
    Include,
    Flags,
    Nginx,
    Loaded,
    Proxied,
    Process,
    Bearers,
    Port,
    Open,
    Memory,
    Jar,
    Health,
}

impl Sight {
    pub(crate) const ALL: [Self; 12] = [
        Self::Include,
        Self::Flags,
        Self::Nginx,
        Self::Loaded,
        Self::Proxied,
        Self::Process,
        Self::Bearers,
        Self::Port,
        Self::Open,
        Self::Memory,
        Self::Jar,
        Self::Health,
    ];
}

/// Looks so far, and what becomes of those to come.
#[derive(Debug, Default)]
pub(crate) struct Sights {
    /// So many looks of a kind were taken.
    pub(crate) taken: BTreeMap<Sight, usize>,
    /// So often connections were counted, of however many ports at once.
    pub(crate) walks: usize,
    /// The looks of a kind that are in vain: after so many more, so many.
    hidden: BTreeMap<Sight, (usize, usize)>,
    /// When a look of a kind was in vain last.
    pub(crate) dark: BTreeMap<Sight, u64>,
    /// This befalls the world at the look after so many more, whatever it is at.
    ambush: Option<(usize, Box<Fault>)>,
    /// The look after so many more, whatever it is at, is in vain.
    pub(crate) veiled: Option<usize>,
    /// The look after so many more shows what the one before at the same thing did.
    pub(crate) stale: Option<usize>,
    before: BTreeMap<(Sight, String), Box<dyn Any>>,
}

/// Counts down; says whether this is the one.
fn is_up(left: &mut Option<usize>) -> bool {
    let up = *left == Some(0);
    *left = left.and_then(|left| left.checked_sub(1));
    up
}

impl Sights {
    /// Whether this look is in vain.
    fn fails(&mut self, sight: Sight) -> bool {
        *self.taken.entry(sight).or_default() += 1;
        if is_up(&mut self.veiled) {
            return true;
        }
        match self.hidden.get_mut(&sight) {
            None => false,
            Some((after @ 1.., _)) => {
                *after -= 1;
                false
            }
            Some((0, times)) => {
                *times = times.saturating_sub(1);
                if *times == 0 {
                    self.hidden.remove(&sight);
                }
                true
            }
        }
    }

    /// What happens before this look.
    fn sprung(&mut self) -> Option<Fault> {
        let (left, fault) = self.ambush.take()?;
        if left == 0 {
            return Some(*fault);
        }
        self.ambush = Some((left - 1, fault));
        None
    }

    /// Whether looks of a kind are in vain now.
    pub(crate) fn hides(&self, sight: Sight) -> bool {
        self.hidden.get(&sight).is_some_and(|(after, _)| *after == 0)
    }

    /// Whether no look is or will be in vain, and nothing lies in wait.
    pub(crate) fn is_clear(&self) -> bool {
        self.hidden.is_empty() && self.ambush.is_none()
    }

    /// What a look shows: what it found, or what the one before did.
    fn shows<T: Clone + 'static>(&mut self, sight: Sight, of: impl fmt::Display, found: T) -> T {
        if self.stale.is_none() {
            return found;
        }
        let before = self.before.insert((sight, of.to_string()), Box::new(found.clone()));
        let old = before.and_then(|before| before.downcast::<T>().ok());
        if is_up(&mut self.stale) { old.map_or(found, |old| *old) } else { found }
    }

    /// Nothing lies in wait any more.
    pub(crate) fn clear(&mut self) {
        (self.veiled, self.stale) = (None, None);
        self.hidden.clear();
        self.ambush = None;
    }
}

impl State {
    /// The looks of this kind after so many more are in vain, so many times.
    pub(crate) fn hide(&mut self, sight: Sight, after: usize, times: usize) {
        self.sights.hidden.insert(sight, (after, times));
    }

    /// It befalls the world between two looks, after so many more.
    pub(crate) fn lie_in_wait(&mut self, after: usize, fault: Fault) {
        self.sights.ambush = Some((after, Box::new(fault)));
    }
}

impl World {
    /// slotd looks: nothing where the look is in vain, else what it is shown of what it would find.
    pub(super) fn sees<T: Clone + 'static>(
        &self,
        sight: Sight,
        of: impl fmt::Display,
        found: impl FnOnce() -> Observation<T>,
    ) -> Observation<T> {
        if let Some(why) = self.hides(sight) {
            return Observation::Unknown(why);
        }
        let found = found();
        self.shows(sight, of, found)
    }

    /// What slotd is shown of what it would find.
    pub(super) fn shows<T: Clone + 'static>(&self, sight: Sight, of: impl fmt::Display, found: T) -> T {
        self.touch().sights.shows(sight, of, found)
    }

    /// slotd looks; gives why it sees nothing.
    pub(super) fn hides(&self, sight: Sight) -> Option<String> {
        let mut state = self.touch();
        if let Some(fault) = state.sights.sprung() {
            state.befall(fault);
        }
        if !state.sights.fails(sight) {
            return None;
        }
        state.note(|| format!("! {sight:?} cannot be seen"));
        let now = state.now;
        state.sights.dark.insert(sight, now);
        Some(format!("{sight:?} cannot be seen"))
    }
}
