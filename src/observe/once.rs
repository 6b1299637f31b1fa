//! What is looked at once for all services of a pass, however many ask: the process table, and the nginx in front of them.

use std::cell::{OnceCell, RefCell};

use crate::host::Host;
use crate::host::processes::Bearer;
use crate::model::desired::{NginxSpec, ProxySpec};
use crate::model::observed::{Nginx, Observation};

/// The looks of one pass.
pub(super) struct Once<'h, H> {
    host: &'h H,
    bearers: OnceCell<Observation<Vec<Bearer>>>,
    /// By what the manifest says of it: as a rule one for all services.
    masters: RefCell<Vec<(NginxSpec, Observation<Nginx>)>>,
}

impl<'h, H: Host> Once<'h, H> {
    pub(super) fn new(host: &'h H) -> Self {
        Self { host, bearers: OnceCell::new(), masters: RefCell::default() }
    }

    /// The process table, searched for our cookies: only where no kept identity answers, for it costs as much as the host has
    /// processes.
    pub(super) fn search(&self) -> &Observation<Vec<Bearer>> {
        self.bearers.get_or_init(|| self.host.bearers())
    }

    /// What an earlier search found, if there was one.
    pub(super) fn searched(&self) -> Option<&Observation<Vec<Bearer>>> {
        self.bearers.get()
    }

    /// The nginx that serves a configuration.
    pub(super) fn nginx(&self, proxy: &ProxySpec) -> Observation<Nginx> {
        let known = self.masters.borrow().iter().find(|(spec, _)| *spec == proxy.nginx).map(|(_, nginx)| nginx.clone());
        known.unwrap_or_else(|| {
            let nginx = self.host.nginx(proxy);
            self.masters.borrow_mut().push((proxy.nginx.clone(), nginx.clone()));
            nginx
        })
    }
}
