//! End to end: the real binary, a real nginx of its own for each test, and the stub or the real application behind it.
#![expect(clippy::disallowed_methods, reason = "what stands outside slotd touches the machine by itself")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, and says where")]

mod audit;
mod boot;
mod conflicts;
mod deploy;
mod drain;
mod failover;
mod figures;
mod frozen;
mod harness;
mod interrupted;
mod logs;
mod pool;
mod stage;
mod story;
mod support;
mod takeover;
mod together;
mod verbs;
