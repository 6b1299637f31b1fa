//! What several modules of these tests need.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

pub(crate) mod golden;
