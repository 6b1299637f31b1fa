//! What the world does by itself, to slotd's dismay.

use std::collections::BTreeSet;
use std::path::PathBuf;

use slotd::model::id::{Digest, Port, ServiceName, SlotName};
use slotd::model::observed::ExitCause;

use super::nginx::{Pools, Text, flag_dir, pool_include};
use super::ports::Foreigner;
use super::{Due, State, World};

/// One thing that others do.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The process that listens on the port, or is about to, ends.
    Crash(Port),
    /// The process on the port answers 503 from now on, or well again.
    Sick(Port, bool),
    /// Somebody stops what listens there in place (SIGSTOP).
    Stopped(Port),
    NginxStops,
    NginxStarts,
    NginxRestarts,
    /// Somebody else reloads it.
    NginxReloads,
    /// Something else in the configuration is broken, or mended.
    ConfigBroken(bool),
    ReloadsLost(bool),
    /// Two nginx seem to run.
    NginxHidden(bool),
    FlagFaults(Vec<String>),
    Include(PathBuf, Option<Text>),
    /// Somebody edits or removes the file of an include's pools.
    Pools(PathBuf, Option<Pools>),
    Flag(PathBuf, SlotName, bool),
    /// Somebody takes the port if it is free; or leaves.
    Foreign(Port, Option<Foreigner>),
    /// Somebody takes the port for a moment each time it is about to be used; or no more.
    Contested(Port, bool),
    Reboot,
    LedgerLost(ServiceName),
    /// Somebody keeps a copy of the ledger, to put it back some day.
    LedgerCopied(ServiceName),
    LedgerRestored(ServiceName),
    /// Somebody starts the application by hand, if the port is free.
    SameApp(ServiceName, SlotName, Port),
    /// The store of artifacts is emptied.
    StoreLost,
    /// Other bytes lie at the manifest's path.
    JarBytes(PathBuf, Digest),
    Blind(bool),
    /// The process on the port cannot be read, or again.
    Unreadable(Port, bool),
    /// Who listens on the port cannot be read, or again.
    Unlisted(Port, bool),
    /// So many of the next changes fail.
    Refused(u32),
    Memory(u64),
    LaunchFault(Option<String>),
    JarGone(PathBuf),
}

impl World {
    /// It happens now.
    pub(crate) fn befall(&self, fault: Fault) {
        self.touch().befall(fault);
    }

    /// It happens after so many milliseconds.
    pub(crate) fn after(&self, milliseconds: u64, fault: Fault) {
        self.touch().schedule(milliseconds, Due::Fault(fault));
    }
}

impl State {
    pub(crate) fn befall(&mut self, fault: Fault) {
        self.note(|| format!("! {fault:?}"));
        self.judge.last_fault = Some(self.now);
        self.faults += 1;
        match fault {
            Fault::Crash(_)
            | Fault::Stopped(_)
            | Fault::Sick(..)
            | Fault::Foreign(..)
            | Fault::Contested(..)
            | Fault::SameApp(..) => {
                self.befall_ports(fault);
            }
            Fault::NginxStops
            | Fault::NginxStarts
            | Fault::NginxRestarts
            | Fault::NginxReloads
            | Fault::ConfigBroken(_)
            | Fault::ReloadsLost(_)
            | Fault::NginxHidden(_)
            | Fault::FlagFaults(_)
            | Fault::Include(..)
            | Fault::Pools(..)
            | Fault::Flag(..) => self.befall_nginx(fault),
            Fault::Reboot => self.reboot(),
            Fault::LedgerLost(_) | Fault::LedgerCopied(_) | Fault::LedgerRestored(_) => self.befall_ledgers(fault),
            Fault::StoreLost => self.store.clear(),
            Fault::JarBytes(path, digest) => self.put_jar(path, digest),
            Fault::Blind(on) => self.blind = on,
            Fault::Unreadable(port, on) => marked(&mut self.unreadable, port, on),
            Fault::Unlisted(port, on) => marked(&mut self.unlisted, port, on),
            Fault::Refused(count) => self.refused = count,
            Fault::Memory(bytes) => self.memory = bytes,
            Fault::LaunchFault(why) => self.launch_fault = why,
            Fault::JarGone(path) => {
                self.jars.remove(&path);
            }
        }
        self.want_nginx();
        self.judge_fault();
    }

    /// Whoever looks after nginx starts it again as soon as its configuration lets it.
    pub(crate) fn want_nginx(&mut self) {
        if self.nginx.wanted && !self.nginx.up {
            self.start_nginx();
        }
    }

    fn befall_ledgers(&mut self, fault: Fault) {
        match fault {
            Fault::LedgerLost(service) => {
                self.ledgers.remove(&service);
            }
            Fault::LedgerCopied(service) => {
                let copy = self.ledgers.get(&service).cloned();
                self.copied.extend(copy.map(|ledger| (service, ledger)));
            }
            Fault::LedgerRestored(service) => {
                let copy = self.copied.get(&service).cloned();
                self.ledgers.extend(copy.map(|ledger| (service, ledger)));
            }
            _other => {}
        }
    }

    fn befall_ports(&mut self, fault: Fault) {
        match fault {
            Fault::Crash(port) => {
                let pid = self.processes.values().find(|p| p.port == port).map(|p| p.pid);
                pid.into_iter().for_each(|pid| self.end(pid, ExitCause::Itself));
            }
            Fault::Stopped(port) => self.processes.values_mut().filter(|p| p.port == port).for_each(|p| p.frozen = true),
            Fault::Sick(port, on) => self.processes.values_mut().filter(|p| p.port == port).for_each(|p| p.sick = on),
            Fault::Contested(port, true) => {
                self.contested.insert(port);
            }
            Fault::Contested(port, false) => {
                self.contested.remove(&port);
            }
            Fault::Foreign(port, None) => {
                self.foreigners.remove(&port);
            }
            Fault::Foreign(port, Some(kind)) if self.at_port(port).is_none() => {
                self.foreigners.insert(port, kind);
            }
            Fault::SameApp(service, slot, port) if self.is_unclaimed(port) => self.begin_by_others(&service, &slot, port),
            _other => {}
        }
    }

    fn befall_nginx(&mut self, fault: Fault) {
        match fault {
            Fault::NginxStops => self.stop_nginx(),
            Fault::NginxStarts => self.start_nginx(),
            Fault::NginxRestarts => {
                self.stop_nginx();
                self.start_nginx();
            }
            Fault::NginxReloads if self.nginx.up && !self.nginx.broken && self.is_pooled() => self.reloaded(),
            Fault::ConfigBroken(on) => self.nginx.broken = on,
            Fault::ReloadsLost(on) => self.nginx.loses_reloads = on,
            Fault::NginxHidden(on) => self.nginx.hidden = on,
            Fault::FlagFaults(faults) => self.nginx.faults = faults,
            Fault::Include(path, Some(text)) => {
                self.includes.insert(path, text);
            }
            Fault::Include(path, None) => {
                self.includes.remove(&path);
            }
            Fault::Pools(include, Some(pools)) => {
                self.pools.insert(pool_include(&include), pools);
            }
            Fault::Pools(include, None) => {
                self.pools.remove(&pool_include(&include));
            }
            Fault::Flag(include, slot, true) => {
                self.flags.entry(flag_dir(&include)).or_default().insert(slot);
            }
            Fault::Flag(include, slot, false) => {
                self.flags.entry(flag_dir(&include)).or_default().remove(&slot);
            }
            _other => {}
        }
    }

    /// Everything that ran is gone; nginx comes up with the machine, and pids begin anew.
    fn reboot(&mut self) {
        self.clear_agenda();
        self.processes.clear();
        self.foreigners.clear();
        self.last_routed.clear();
        self.stop_nginx();
        self.boot();
        self.next_pid = 1000;
        self.start_nginx();
    }
}

fn marked(ports: &mut BTreeSet<Port>, port: Port, on: bool) {
    if on {
        ports.insert(port)
    } else {
        ports.remove(&port)
    };
}
