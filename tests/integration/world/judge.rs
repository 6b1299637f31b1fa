//! What slotd must never do, judged at the call that does it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use slotd::host::processes::StartOrder;
use slotd::model::id::ServiceName;

use super::State;

/// The law and its breaches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judge {
    /// The includes of nginx's configuration.
    includes: BTreeSet<PathBuf>,
    /// Whether users of an include were served when it was last looked at.
    served: BTreeMap<PathBuf, bool>,
    /// Includes whose service a person takes down.
    pub(crate) excused: BTreeSet<PathBuf>,
    /// Processes of a service at most; by default two.
    pub(crate) limit: BTreeMap<ServiceName, usize>,
    pub(crate) breaches: Vec<String>,
}

impl Judge {
    pub(crate) fn includes(&self) -> impl Iterator<Item = &PathBuf> {
        self.includes.iter()
    }

    pub(crate) fn watch(&mut self, include: PathBuf) {
        self.includes.insert(include);
    }
}

impl State {
    /// Whether every request through an include is answered well.
    pub(crate) fn serves(&self, include: &std::path::Path) -> bool {
        let routes = self.routes(include);
        !routes.is_empty() && routes.iter().all(|port| port.is_some_and(|port| self.is_served(port)))
    }

    pub(crate) fn breach(&mut self, what: String) {
        self.note(|| format!("BREACH {what}"));
        self.judge.breaches.push(what);
    }

    /// What slotd did may take nothing away from users.
    pub(crate) fn judge_change(&mut self, word: &str) {
        for include in self.judge.includes.clone() {
            let served = self.judge.served.get(&include).copied().unwrap_or(false);
            if served && !self.serves(&include) && !self.judge.excused.contains(&include) {
                self.breach(format!("`{word}` took the service behind {} away", include.display()));
            }
        }
        self.judge_fault();
    }

    /// Nor may what it did earlier come to do so with time.
    pub(crate) fn judge_time(&mut self) {
        self.judge_change("what was done before");
    }

    /// What others did is not slotd's fault.
    pub(crate) fn judge_fault(&mut self) {
        let now = self.now;
        for port in self.routed() {
            self.last_routed.insert(port, now);
        }
        for include in self.judge.includes.clone() {
            let serves = self.serves(&include);
            self.judge.served.insert(include, serves);
        }
    }

    /// Only what is ours, or the same application that was taken over, is ever signalled; the rest is not even in `processes`.
    pub(crate) fn judge_signal(&mut self, pid: u32) {
        let Some(process) = self.processes.get(&pid) else { return };
        let (port, ready) = (process.port, process.is_ready(self.now));
        let leads = |include: &&PathBuf| self.routes(include).contains(&Some(port));
        let excused = self.judge.includes.iter().filter(leads).all(|include| self.judge.excused.contains(include));
        if ready && self.routed().contains(&port) && !excused {
            self.breach(format!("process {pid} was signalled while nginx routes to its port {port}"));
        }
    }

    /// A slot has one process, and a service no more of them than slots.
    pub(crate) fn judge_start(&mut self, order: &StartOrder) {
        let of_service: Vec<_> = self.processes.values().filter(|p| p.service == order.service).collect();
        let limit = self.judge.limit.get(&order.service).copied().unwrap_or(2);
        let (all, same) = (of_service.len(), of_service.iter().any(|p| p.slot == order.slot && p.cookie.is_some()));
        if same {
            self.breach(format!("a second process was started on {}", order.slot));
        }
        if all >= limit {
            self.breach(format!("process number {} of {} was started", all + 1, order.service));
        }
        if self.foreigners.contains_key(&order.port) || self.at_port(order.port).is_some() {
            self.breach(format!("a process was started on port {}, which is taken", order.port));
        }
    }
}
