//! What slotd looks at, one call at a time: a look can be in vain, and the world can move between two of them.

use std::collections::BTreeMap;

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
    /// The looks of a kind that are in vain: after so many more, so many.
    hidden: BTreeMap<Sight, (usize, usize)>,
    /// This befalls the world at the look after so many more, whatever it is at.
    ambush: Option<(usize, Box<Fault>)>,
}

impl Sights {
    /// Whether this look is in vain.
    fn fails(&mut self, sight: Sight) -> bool {
        *self.taken.entry(sight).or_default() += 1;
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

    /// Nothing lies in wait any more.
    pub(crate) fn clear(&mut self) {
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
        Some(format!("{sight:?} cannot be seen"))
    }
}
