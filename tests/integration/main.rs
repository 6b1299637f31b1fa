//! The tests of slotd as a library and of its binary: one program, one module a subject.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on says so by panicking, and reads its cases from files"
)]

mod cli;
mod convergence;
mod layering;
mod manifest;
mod nginx;
mod report;
mod schema;
mod support;
mod world;
