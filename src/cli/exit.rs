//! How slotd ends: the table of exit codes, and errors with what to do about them.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::host::lock::LockError;
use crate::model::status::Status;
use crate::plan::{Next, Plan, ServicePlan};
use crate::reconcile::ReconcileError;
use crate::report::palette::Palette;

/// How a verb ended, from the best to the worst: over several services the largest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Converged, valid, nothing to do.
    Done,
    /// `plan --detailed-exitcode`: changes are pending.
    Pending,
    /// Not at the desired state; what serves, serves on.
    Held,
    /// Something broke that is nobody's decision.
    Failed,
    /// Another slotd works on this state.
    Locked,
    /// Bad usage, a bad manifest, a stale plan.
    Refused,
}

impl Exit {
    /// The code of the contract.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Pending => 2,
            Self::Held => 3,
            Self::Refused => 4,
            Self::Locked => 5,
        }
    }

    /// The worst of several; [`Exit::Done`] where there are none.
    pub fn worst(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().max().unwrap_or(Self::Done)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// `plan --detailed-exitcode`: pending where a step can be taken, held where something keeps every step from being taken. What only
/// keeps the ledger true (the end of `bake`) is in no plan, so it is nothing that is pending either: 2 means that the plan shows something.
pub fn of_plan(plan: &Plan) -> Exit {
    let one = |service: &ServicePlan| match (&service.next, service.status) {
        (Next::Step(_), _) if !service.steps.is_empty() => Exit::Pending,
        (Next::Step(_) | Next::Hold | Next::Nothing, Status::Progressing) => Exit::Pending,
        (Next::Step(_) | Next::Hold | Next::Nothing, Status::Held | Status::Degraded) => Exit::Held,
        (Next::Step(_) | Next::Hold | Next::Nothing, Status::Converged | Status::Orphaned) => Exit::Done,
    };
    Exit::worst(plan.services.iter().map(one))
}

/// `status --exit-code`: held unless everything that the manifest asks for is there. An orphan is asked for by nobody.
pub fn of_status(plan: &Plan) -> Exit {
    let one = |service: &ServicePlan| match service.status {
        Status::Converged | Status::Orphaned => Exit::Done,
        Status::Progressing | Status::Held | Status::Degraded => Exit::Held,
    };
    Exit::worst(plan.services.iter().map(one))
}

/// Why a verb did not come to an end of its own.
#[derive(Debug)]
pub struct CliError {
    exit: Exit,
    cause: anyhow::Error,
    hints: Vec<String>,
}

impl CliError {
    /// Something broke.
    pub fn failed(cause: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Failed, cause: cause.into(), hints: Vec::new() }
    }

    /// What was asked is not done, and nothing was touched.
    pub fn refused(cause: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Refused, cause: cause.into(), hints: Vec::new() }
    }

    /// Another slotd is in the way.
    pub fn locked(cause: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Locked, cause: cause.into(), hints: Vec::new() }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// How slotd ends with it.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Prints it once, with the chain of its causes and what to do.
    pub fn print(&self, out: &mut dyn Write, paint: &Palette) -> io::Result<()> {
        writeln!(out, "{} {}", paint.bad("error:"), self.cause)?;
        for cause in self.cause.chain().skip(1) {
            writeln!(out, "  caused by: {cause}")?;
        }
        self.hints.iter().try_for_each(|hint| writeln!(out, "{} {hint}", paint.strong("hint:")))
    }
}

/// Standard output cannot be written to.
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::failed(anyhow::Error::new(error).context("cannot write the output"))
    }
}

impl From<ReconcileError> for CliError {
    fn from(error: ReconcileError) -> Self {
        match &error {
            ReconcileError::Lock(LockError::Held { .. }) => {
                Self::locked(error).hint("it works in short passes: try again, or wait longer with --lock-timeout")
            }
            ReconcileError::Lock(LockError::Io { .. }) | ReconcileError::Ledger(_) | ReconcileError::Artifact(_) => {
                Self::failed(error)
            }
            ReconcileError::Refused(_) | ReconcileError::NoSuchService { .. } => Self::refused(error),
            ReconcileError::Stale { .. } => Self::refused(error).hint("look at `slotd plan` again, then apply that plan"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::ledgers::LedgerError;
    use crate::model::id::ServiceName;
    use crate::plan::person::Refusal;

    fn exit(error: ReconcileError) -> u8 {
        CliError::from(error).exit().code()
    }

    #[test]
    fn done_is_0() {
        assert_eq!(Exit::Done.code(), 0);
        assert_eq!(Exit::worst([]).code(), 0);
    }

    #[test]
    fn failed_is_1() {
        let path = std::path::PathBuf::from("/state/ledger.json");
        assert_eq!(exit(LedgerError::Unreadable { path: path.clone(), why: "torn".into() }.into()), 1);
        assert_eq!(exit(LockError::Io { path, source: io::ErrorKind::PermissionDenied.into() }.into()), 1);
        assert_eq!(CliError::from(io::Error::from(io::ErrorKind::StorageFull)).exit().code(), 1);
    }

    #[test]
    fn pending_is_2() {
        assert_eq!(Exit::Pending.code(), 2);
    }

    #[test]
    fn held_is_3() {
        assert_eq!(Exit::Held.code(), 3);
    }

    #[test]
    fn refused_is_4() {
        let service = ServiceName::new("webservice");
        assert_eq!(exit(ReconcileError::Stale { expected: "a".into(), found: "b".into() }), 4);
        assert_eq!(exit(ReconcileError::NoSuchService { service: service.clone(), known: "none".into() }), 4);
        assert_eq!(exit(Refusal { service, why: "nothing to go back to".into() }.into()), 4);
    }

    #[test]
    fn locked_is_5() {
        assert_eq!(exit(LockError::Held { state: "/state".into(), pid: Some(7) }.into()), 5);
    }

    #[test]
    fn the_worst_wins_in_the_order_of_the_contract() {
        let mut all = [Exit::Done, Exit::Failed, Exit::Pending, Exit::Held, Exit::Refused, Exit::Locked];
        all.sort_by_key(|exit| std::cmp::Reverse(*exit));
        assert_eq!(all.map(Exit::code), [4, 5, 1, 3, 2, 0]);
        assert_eq!(Exit::worst([Exit::Pending, Exit::Held, Exit::Done]), Exit::Held);
    }

    #[test]
    fn an_error_is_printed_once_with_its_causes_and_what_to_do() {
        let source = io::Error::new(io::ErrorKind::PermissionDenied, "permission denied");
        let error = CliError::failed(LockError::Io { path: "/state/lock".into(), source }).hint("become root");
        let mut bytes = Vec::new();
        error.print(&mut bytes, &Palette::plain()).unwrap();
        let said = String::from_utf8(bytes).unwrap();
        assert_eq!(said, "error: cannot lock /state/lock\n  caused by: permission denied\nhint: become root\n");
    }
}
