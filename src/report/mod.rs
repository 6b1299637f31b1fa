//! Plans, statuses, histories and events as text: for people, for programs, for a pull request.
//!
//! Decides how things are worded and laid out, and nothing else: what is shown was decided in `plan`. Writes into the writer that
//! it is given, never to a terminal of its own choice. Called by `cli`; the sinks among it are called by `reconcile` and
//! `controller` through [`crate::event::Sink`].
//!
//! | module | for whom |
//! | --- | --- |
//! | [`human`], [`summary`] | a person at a terminal, the log of a CI job |
//! | [`doctor`] | each of them: what a host guarantees |
//! | [`json`], [`history`] | programs; the documents of the contract |
//! | [`markdown`] | a comment on a pull request |
//! | [`progress`] | whoever waits for an `apply` |
//! | [`trace`] | `-v`, and whatever collects traces |

pub mod doctor;
pub mod drain;
pub mod history;
pub mod human;
pub mod json;
pub mod markdown;
pub mod palette;
pub mod progress;
pub mod summary;
pub mod trace;
pub mod wording;
