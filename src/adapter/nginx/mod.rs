//! nginx as the proxy in front of the slots: reads what it has, writes the include, moves the flags, proves what is loaded.
//!
//! Observation runs nothing but `nginx -V` and writes nothing: `nginx -t` and `-T` open the logs and the pid file for writing
//! (`src/core/ngx_cycle.c`), so they run only where something was written or is about to be loaded. `nginx -s` is never run: with a
//! stale pid file it signals a stranger.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::adapter::LinuxHost;
use crate::host::proxy::{Proxy, ProxyError};
use crate::model::desired::{ProxySpec, ServiceSpec};
use crate::model::id::SlotName;
use crate::model::observed::{Loaded, Nginx, Observation};
use crate::model::route::{Include, RouteText};

mod access;
mod ask;
mod binary;
mod config;
mod control;
mod faults;
mod file;
mod index;
mod lexer;
mod master;
mod pools;
mod process;
mod render;
mod run;
#[cfg(test)]
mod sample;
mod servers;
mod survey;
mod write;

/// What is kept from pass to pass, each with the stamps of the files that it came from.
#[derive(Debug, Default)]
pub(super) struct Memory {
    binary: Mutex<binary::Kept>,
    config: Mutex<config::Kept>,
}

impl Memory {
    /// Until [`Self::look_ends`] each configuration is compared with the disk once.
    pub(super) fn look_begins(&self) {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).look_begins();
    }

    /// From now on each question compares.
    pub(super) fn look_ends(&self) {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).look_ends();
    }
}

impl Proxy for LinuxHost {
    fn include(&self, service: &ServiceSpec) -> Observation<Include> {
        write::include(&self.state, service)
    }

    fn flags(&self, service: &ServiceSpec) -> Observation<Vec<SlotName>> {
        write::flags(&self.state, service)
    }

    fn nginx(&self, proxy: &ProxySpec) -> Observation<Nginx> {
        master::find(&self.nginx, proxy)
    }

    fn faults(&self, service: &ServiceSpec, nginx: Option<&Nginx>) -> Vec<String> {
        faults::find(&self.nginx, &service.proxy, nginx).iter().map(ToString::to_string).collect()
    }

    async fn loaded(&self, service: &ServiceSpec, text: &RouteText) -> Observation<Loaded> {
        ask::loaded(self, service, text).await
    }

    async fn proxied(&self, service: &ServiceSpec, patience: Option<Duration>) -> Observation<SlotName> {
        ask::proxied(self, service, patience).await
    }

    fn write(&self, service: &ServiceSpec, text: &RouteText, live: &SlotName, nginx: Option<&Nginx>) -> Result<(), ProxyError> {
        write::write(&write::Order { memory: &self.nginx, state: &self.state, service, text, live, nginx })
    }

    fn cut(&self, proxy: &ProxySpec, from: Option<&SlotName>, to: Option<&SlotName>) -> Result<(), ProxyError> {
        write::cut(&proxy.flag_dir, from, to)
    }

    fn reload(&self, proxy: &ProxySpec, nginx: &Nginx) -> Result<(), ProxyError> {
        control::reload(&self.nginx, proxy, nginx)
    }

    fn keep_edited(&self, service: &ServiceSpec, text: &str) -> Result<PathBuf, ProxyError> {
        file::keep(&self.state.join("services").join(service.name.as_str()), text)
    }
}
