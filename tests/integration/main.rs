//! Tests of the parts against the real thing, one binary.

mod nginx;
