//! The tests of slotd as a library: one binary, one module a subject.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

mod nginx;
