//! How the machine is set up around a service, for `slotd doctor`: not part of the [`Host`](crate::host::Host) that a pass needs.

use crate::model::desired::ServiceSpec;
use crate::model::setup::Setup;

/// Reads the set-up; opens nothing for writing and signals nobody.
pub trait Survey {
    /// All that there is to see. What cannot be read is a fault or is left out, never an error.
    fn survey(&self, service: &ServiceSpec) -> Setup;
}
