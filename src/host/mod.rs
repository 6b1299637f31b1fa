//! What slotd needs of the machine, as traits with their errors, and nothing else.
//!
//! A port knows nothing of why it is called. `adapter` implements these for Linux; the tests implement them for a world in memory.
//! Methods that are not `async` finish at once (a file, a signal); the `async` ones ask somebody over a socket, with a bound.

#![expect(async_fn_in_trait, reason = "one thread drives everything, so no future has to be Send")]

pub mod artifacts;
pub mod clock;
pub mod ledgers;
pub mod lock;
pub mod probes;
pub mod processes;
pub mod proxy;
pub mod survey;

/// The whole machine, as the core sees it.
pub trait Host:
    artifacts::Artifacts + clock::Clock + ledgers::Ledgers + lock::Lock + probes::Probes + processes::Processes + proxy::Proxy
{
}

impl<T> Host for T where
    T: artifacts::Artifacts + clock::Clock + ledgers::Ledgers + lock::Lock + probes::Probes + processes::Processes + proxy::Proxy
{
}
