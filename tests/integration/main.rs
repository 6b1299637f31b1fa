//! The integration tests: one binary, so that it links once.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should end here, loudly")]

mod convergence;
mod world;
