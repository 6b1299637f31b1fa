//! Processes and ports of this machine: proves, starts, signals. Decides nothing; a process is only ever meant by its identity.

mod compiler;
mod exit;
pub(super) mod fault;
pub(super) mod find;
mod start;
pub mod stat;
mod train;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use procfs::Current;

use crate::adapter::{LinuxHost, jvm, sockets};
use crate::host::processes::{Bearer, Found, PortFact, PortQuestion, ProcessError, Processes, Signal, StartOrder};
use crate::model::boot::Jvm;
use crate::model::desired::LaunchSpec;
use crate::model::id::{ArchiveId, Identity, Port};
use crate::model::observed::{Connection, Exit, Observation};

impl Processes for LinuxHost {
    fn find(&self, identity: &Identity) -> Observation<Found> {
        self.found(identity)
    }

    fn bearers(&self) -> Observation<Vec<Bearer>> {
        find::bearers(&self.state)
    }

    fn port(&self, question: &PortQuestion) -> Observation<PortFact> {
        self.occupied(question)
    }

    fn open(&self, ports: &BTreeSet<Port>) -> BTreeMap<Port, Observation<Vec<Connection>>> {
        let open = sockets::connections(ports).into_iter();
        open.map(|(port, open)| (port, open.map(|open| self.outstanding.without(port, open)))).collect()
    }

    fn callers(&self, port: Port, among: &[u32]) -> BTreeMap<SocketAddr, u32> {
        sockets::callers(port, among)
    }

    fn start(&self, order: &StartOrder) -> Result<Identity, ProcessError> {
        let identity = self.launched(order)?;
        if order.gives_way {
            compiler::hold_back(&identity);
        }
        Ok(identity)
    }

    fn give_back(&self, identity: &Identity) {
        compiler::give_back(identity);
    }

    fn jvm(&self, java: &str) -> Option<Jvm> {
        jvm::jvm(java)
    }

    fn training(&self) -> bool {
        self.is_training()
    }

    fn train(&self, order: &StartOrder, archive: &ArchiveId, limit: Duration) -> Result<(), ProcessError> {
        self.begin_training(order, archive, limit)
    }

    fn signal(&self, identity: &Identity, signal: Signal) -> Result<(), ProcessError> {
        find::signal(identity, signal)
    }

    fn exit(&self, log: &Path) -> Exit {
        exit::exit(log)
    }

    fn launch_fault(&self, launch: &LaunchSpec) -> Option<String> {
        fault::fault(launch)
    }

    /// `MemAvailable` and `SwapFree` of `/proc/meminfo` (proc(5)).
    fn memory(&self) -> Observation<u64> {
        match procfs::Meminfo::current() {
            Ok(info) => match info.mem_available {
                Some(available) => Observation::Known(available.saturating_add(info.swap_free)),
                None => Observation::Unknown("/proc/meminfo has no MemAvailable".to_owned()),
            },
            Err(error) => Observation::Unknown(format!("cannot read /proc/meminfo: {error}")),
        }
    }
}
