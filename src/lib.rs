//! slotd: zero-downtime deployment of Spring Boot jars behind nginx on one Linux host, as desired state.
//!
//! The whole program is one sentence: *observe the host, plan against the desired state, execute the steps, say when to look
//! again.*
//!
//! | layer | module | what it is | imports |
//! | --- | --- | --- | --- |
//! | 0 | [`model`] | the nouns | nothing of ours |
//! | 1 | [`manifest`] | text to desired state | model |
//! | 1 | [`plan`] | the decision, pure | model |
//! | 1 | [`doctor`] | what a set-up guarantees, pure | model |
//! | 1 | [`host`] | what we need of the machine, as traits | model |
//! | 2 | [`event`] | what happened | model, plan |
//! | 2 | [`observe`] | host to observed state | model, host |
//! | 2 | [`adapter`] | `host` for Linux; the only place that touches files, processes and sockets | model, host |
//! | 3 | [`execute`] | carries out steps | model, plan, host, event |
//! | 3 | [`report`] | events, plans and statuses to text | model, manifest, plan, event, doctor |
//! | 4 | [`reconcile`] | one pass | model, plan, host, event, observe, execute |
//! | 5 | [`controller`] | the loop around it | model, plan, host, event, observe, reconcile |
//! | 6 | [`cli`] | puts it together | all |
//!
//! Reading order: [`model::observed`] and [`model::ledger`], then [`plan`], then [`reconcile`].

pub mod adapter;
pub mod cli;
pub mod controller;
pub mod doctor;
pub mod event;
pub mod execute;
pub mod host;
pub mod manifest;
pub mod model;
pub mod observe;
pub mod plan;
pub mod reconcile;
pub mod report;
