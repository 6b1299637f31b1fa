//! Tests of the library and the binary through their public faces.

mod report;
mod support;
