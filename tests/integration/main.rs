//! Tests of the library and the binary through their public faces.

mod cli;
mod report;
mod support;
