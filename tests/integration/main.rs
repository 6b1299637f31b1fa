//! The tests of slotd as a library and of its binary: one program, one module a subject.
#![expect(clippy::disallowed_methods, reason = "what stands outside slotd touches the machine by itself")]
#![expect(
    clippy::needless_for_each,
    clippy::wildcard_enum_match_arm,
    clippy::struct_excessive_bools,
    clippy::unused_self,
    clippy::enum_variant_names,
    clippy::cloned_ref_to_slice_refs,
    dead_code,
    reason = "the world in memory is wider than today's scenarios"
)]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

mod cli;
mod convergence;
mod doctor;
mod layering;
mod ledgers;
mod linux;
mod manifest;
mod nginx;
mod pictures;
mod planner_laws;
mod report;
mod schema;
mod support;
mod world;
