//! Seeded mutants of the planner and its preconditions: what it is given, or what it says, is bent from outside, so that the
//! shipped code carries none.

use slotd::model::observed::ObservedState;
use slotd::plan::ServicePlan;
use slotd::plan::precondition::Fact;

/// One mutant.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mutant {
    /// What it does.
    pub(crate) name: &'static str,
    /// Changes what is seen.
    pub(crate) blind: Option<fn(&mut ObservedState)>,
    /// Changes what is decided.
    pub(crate) bend: Option<fn(&ObservedState, &mut ServicePlan)>,
    /// Changes what is read again.
    pub(crate) trust: Option<fn(&mut Vec<Fact>)>,
}

impl Mutant {
    pub(crate) fn blind(&self, seen: &mut ObservedState) {
        self.blind.into_iter().for_each(|f| f(seen));
    }

    pub(crate) fn bend(&self, seen: &ObservedState, planned: &mut ServicePlan) {
        self.bend.into_iter().for_each(|f| f(seen, planned));
    }

    pub(crate) fn trust(&self, mut facts: Vec<Fact>) -> Vec<Fact> {
        self.trust.into_iter().for_each(|f| f(&mut facts));
        facts
    }
}
