//! What slotd must never do, judged at the call that does it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use slotd::host::processes::StartOrder;
use slotd::model::id::{Digest, Identity, Port, ServiceName};

use super::State;
use super::processes::Process;

/// The law and its breaches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judge {
    /// The includes of nginx's configuration.
    includes: BTreeSet<PathBuf>,
    /// Whether users of an include were served when it was last looked at.
    served: BTreeMap<PathBuf, bool>,
    /// Includes whose service a person takes down.
    pub(crate) excused: BTreeSet<PathBuf>,
    /// Bytes that may never serve again: the last that answers is no loss when it is of these.
    pub(crate) barred: BTreeSet<Digest>,
    /// Processes of a service at most; by default two.
    pub(crate) limit: BTreeMap<ServiceName, usize>,
    /// When the world did something last: what slotd does in the same instant may rest on a look of before.
    pub(crate) last_fault: Option<u64>,
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
    pub(crate) fn serves(&self, include: &Path) -> bool {
        let mut routes = self.routes(include).peekable();
        routes.peek().is_some() && routes.all(|port| port.is_some_and(|port| self.is_served(port)))
    }

    pub(crate) fn breach(&mut self, what: String) {
        self.note(|| format!("BREACH {what}"));
        self.judge.breaches.push(what);
    }

    /// Whether the world moved in this very instant.
    fn is_raced(&self) -> bool {
        self.judge.last_fault == Some(self.now)
    }

    /// What slotd did may take nothing away from users.
    pub(crate) fn judge_change(&mut self, word: &str) {
        let lost =
            |include: &&PathBuf| self.judge.served[*include] && !self.serves(include) && !self.judge.excused.contains(*include);
        let lost: Vec<_> =
            self.judge.includes.iter().filter(|include| self.judge.served.contains_key(*include)).filter(lost).cloned().collect();
        for include in lost {
            self.breach(format!("`{word}` took the service behind {} away", include.display()));
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
            self.processes.values_mut().filter(|p| p.port == port && p.listening).for_each(|p| p.routed = true);
        }
        let serves: Vec<bool> = self.judge.includes.iter().map(|include| self.serves(include)).collect();
        let mut judge = std::mem::take(&mut self.judge);
        for (include, serves) in judge.includes.iter().zip(serves) {
            match judge.served.get_mut(include) {
                Some(served) => *served = serves,
                None => drop(judge.served.insert(include.clone(), serves)),
            }
        }
        self.judge = judge;
    }

    /// Only what is ours, or the same application that was taken over, is ever signalled; the rest is not even in `processes`.
    pub(crate) fn judge_signal(&mut self, pid: u32, meant: &Identity) {
        let Some(process) = self.processes.get(&pid) else { return };
        let (port, ready, has_served) = (process.port, process.is_ready(self.now), process.routed);
        if process.cookie != meant.cookie {
            self.breach(format!("process {pid} was signalled as one with another cookie"));
        }
        let leads = |include: &&PathBuf| self.routes(include).any(|to| to == Some(port));
        let excused = self.judge.includes.iter().filter(leads).all(|include| self.judge.excused.contains(include));
        if ready && self.routed().contains(&port) && !excused && !self.is_raced() {
            self.breach(format!("process {pid} was signalled while nginx routes to its port {port}"));
        }
        self.judge_last(pid, ready && has_served);
    }

    /// The last slot that answers and has served is not stopped.
    fn judge_last(&mut self, pid: u32, answers: bool) {
        let served = self.processes.get(&pid).filter(|p| !self.judge.barred.contains(&p.digest));
        let Some(service) = served.map(|p| p.service.clone()) else { return };
        let another = self.processes.values().any(|p| p.pid != pid && p.service == service && p.is_ready(self.now));
        if answers && !another && self.judge.excused.is_empty() && !self.is_raced() {
            self.breach(format!("process {pid} was signalled, the last of {service} that answers"));
        }
    }

    /// A route on disk is not led away from a slot that answers to one that does not.
    pub(crate) fn judge_route(&mut self, include: &Path, before: Option<Port>) {
        let now = self.on_disk(include);
        let well = |port: Option<Port>| port.is_some_and(|port| self.is_served(port));
        if well(before) && !well(now) && !self.judge.excused.contains(include) && !self.is_raced() {
            self.breach(format!("{} was led from {before:?}, which answers, to {now:?}, which does not", include.display()));
        }
        self.judge_share(include, before);
    }

    /// Nor to one that still gives way to it; what it led to before is judged only where users reach that.
    fn judge_share(&mut self, include: &Path, before: Option<Port>) {
        let leads = self.on_disk(include);
        if leads == before && !self.routes(include).any(|to| to == leads) {
            return;
        }
        if let Some(pid) = self.processes.values().find(|p| Some(p.port) == leads && p.gives_way).map(|p| p.pid) {
            self.breach(format!("{} was led to process {pid}, whose compiler is held back", include.display()));
        }
    }

    /// Whether the ledger of a service has this process in a slot.
    fn is_recorded(&self, service: &ServiceName, pid: u32) -> bool {
        let records = self.ledgers.get(service).into_iter().flat_map(|kept| kept.read.slots.values());
        records.into_iter().any(|record| record.process.as_ref().is_some_and(|process| process.pid == pid))
    }

    /// A slot has one process, and a service no more of them than slots.
    pub(crate) fn judge_start(&mut self, order: &StartOrder) {
        let known = |pid: u32| self.is_recorded(&order.service, pid);
        let ours = |p: &&Process| p.service == order.service && (p.cookie.is_some() || known(p.pid));
        let of_service: Vec<_> = self.processes.values().filter(ours).collect();
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
