//! The situations: how each differs from the usual host.

use super::Host;

/// One of them.
pub(super) type Situation = (&'static str, fn(&mut Host));

/// All of them.
pub(super) fn all() -> Vec<Situation> {
    [
        super::serving::SERVING,
        super::deploying::DEPLOYING,
        super::stopping::STOPPING,
        super::frozen::FROZEN,
        super::way::ROUTE,
        super::memory::REMEMBERED,
    ]
    .concat()
}
