//! The nouns: what a service, a slot, a release, an observation and a ledger *are*.
//!
//! Decides nothing, reads no clock, does no I/O, logs nothing. Everyone may import it; it imports nothing of ours.

pub mod boot;
pub mod desired;
pub mod id;
pub mod ledger;
pub mod observed;
pub mod past;
pub mod release;
pub mod route;
pub mod setup;
pub mod status;
pub mod wake;
