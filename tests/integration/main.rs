//! The tests of slotd as a library: one binary, one module a subject.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on says so by panicking, and reads its cases from files"
)]

mod layering;
mod manifest;
mod schema;
mod support;
