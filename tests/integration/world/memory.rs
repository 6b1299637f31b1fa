//! Ledgers as text, so that what does not survive its format is noticed; histories; the lock.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use slotd::host::ledgers::{HistoryLine, LedgerError, Ledgers};
use slotd::host::lock::{Lock, LockError};
use slotd::model::id::{ServiceName, SlotName};
use slotd::model::ledger::Ledger;

use super::World;

/// A ledger as text and as what is read from it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) text: String,
    pub(crate) read: Ledger,
}

fn io(source: std::io::Error) -> LedgerError {
    LedgerError::Io { act: "write", path: "/state/ledger.json".into(), source }
}

impl Ledgers for World {
    fn names(&self) -> Result<Vec<ServiceName>, LedgerError> {
        Ok(self.see().ledgers.keys().cloned().collect())
    }

    fn load(&self, service: &ServiceName) -> Result<Ledger, LedgerError> {
        let state = self.see();
        Ok(state.ledgers.get(service).map_or_else(Ledger::default, |kept| kept.read.clone()))
    }

    fn commit(&self, service: &ServiceName, ledger: &Ledger) -> Result<(), LedgerError> {
        let text = serde_json::to_string(ledger).expect("a ledger is text");
        let read = serde_json::from_str::<Ledger>(&text).expect("what we write we read");
        assert_eq!(read, *ledger);
        self.change(
            "commit",
            || service.to_string(),
            io,
            |state| {
                state.ledgers.insert(service.clone(), Kept { text, read });
                Ok(())
            },
        )
    }

    fn append(&self, service: &ServiceName, line: &HistoryLine) -> Result<(), LedgerError> {
        self.change(
            "append",
            || format!("{service} {} {:?}", line.version, line.outcome),
            io,
            |state| {
                state.history.entry(service.clone()).or_default().push(line.clone());
                Ok(())
            },
        )
    }

    fn history(&self, service: &ServiceName) -> Result<Vec<HistoryLine>, LedgerError> {
        Ok(self.see().history.get(service).cloned().unwrap_or_default())
    }

    fn rename(&self, from: &ServiceName, to: &ServiceName) -> Result<(), LedgerError> {
        self.change(
            "rename",
            || format!("{from} to {to}"),
            io,
            |state| {
                if let Some(ledger) = state.ledgers.remove(from) {
                    state.ledgers.insert(to.clone(), ledger);
                }
                Ok(())
            },
        )
    }

    fn retire(&self, service: &ServiceName) -> Result<(), LedgerError> {
        self.change(
            "retire",
            || service.to_string(),
            io,
            |state| {
                state.ledgers.remove(service);
                Ok(())
            },
        )
    }

    fn next_log(&self, service: &ServiceName, slot: &SlotName) -> PathBuf {
        let number = self.see().next_pid;
        format!("/state/services/{service}/logs/{slot}.{number}.log").into()
    }

    fn trim_logs(&self, _service: &ServiceName) -> Result<Vec<PathBuf>, LedgerError> {
        Ok(Vec::new())
    }

    fn bound_log(&self, _log: &Path) -> Result<u64, LedgerError> {
        Ok(u64::MAX)
    }
}

/// Gives the lock back.
pub(crate) struct Guard(Rc<Cell<bool>>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Lock for World {
    type Guard = Guard;

    async fn lock(&self, _timeout: Duration) -> Result<Guard, LockError> {
        self.count_pass();
        if self.locked.replace(true) {
            return Err(LockError::Held { state: "/state".into(), pid: Some(1) });
        }
        Ok(Guard(self.locked.clone()))
    }
}
