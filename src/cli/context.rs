//! What every verb needs, resolved from the global options once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::adapter::surroundings;
use crate::cli::args::{Format, Global, Services};
use crate::cli::console::Console;
use crate::cli::exit::CliError;
use crate::cli::source::{Source, SourceError};
use crate::cli::wire;
use crate::controller::Follow;
use crate::model::desired::DesiredState;
use crate::model::id::ServiceName;
use crate::plan::Orphans;
use crate::reconcile::Goal;

/// How much is said beside the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// `-q`
    Quiet,
    /// Progress.
    Normal,
    /// `-v` and more: traces, so many levels of them.
    Traced(u8),
}

/// The global options, resolved, and the streams.
pub struct Context {
    /// `-f`, as it was given.
    pub file: Option<PathBuf>,
    /// STATE, absolute.
    pub state: PathBuf,
    /// `-o`
    pub format: Format,
    /// `-v`, `-q`
    pub verbosity: Verbosity,
    /// `--lock-timeout`
    pub lock_timeout: Duration,
    /// Where results and messages go.
    pub console: Console,
}

impl Context {
    /// The context of one run of slotd.
    pub fn new(global: Global, state: PathBuf, console: Console) -> Self {
        let verbosity = match (global.quiet, global.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, level) => Verbosity::Traced(level),
        };
        let Global { file, format, lock_timeout, .. } = global;
        Self { file, state, format, verbosity, lock_timeout, console }
    }

    /// The manifest that `-f` or its defaults name.
    pub fn source(&self) -> Result<Source, SourceError> {
        Source::find(self.file.as_deref())
    }

    /// Whether the manifest comes on standard input, which can be read only once.
    pub fn reads_stdin(&self) -> bool {
        self.file.as_deref().is_some_and(|file| file.as_os_str() == "-")
    }

    /// What a pass is to be about.
    pub fn goal(&self, desired: DesiredState, services: &[ServiceName], orphans: Orphans) -> Goal {
        let only = (!services.is_empty()).then(|| services.iter().cloned().collect::<BTreeSet<_>>());
        Goal { desired, only, orphans, lock_timeout: self.lock_timeout }
    }

    /// Reads the manifest into a goal.
    pub fn read_goal(&self, services: &Services, orphans: Orphans) -> Result<Goal, CliError> {
        Ok(self.goal(self.source()?.read()?, &services.services, orphans))
    }

    /// Who looks after what an apply leaves. Refused while a controller follows another manifest: the two would undo each other. Without
    /// a manifest that can be used (`None`) there is nothing that a controller would undo.
    pub fn follow(&self, source: Option<&Source>) -> Result<Follow, CliError> {
        let Some((pid, manifest)) = wire::controller(&self.state) else { return Ok(Follow::Nobody) };
        let Some(source) = source else { return Ok(Follow::Controller) };
        let ours = source.path().map(surroundings::canonical);
        if ours.as_deref() == Some(surroundings::canonical(&manifest).as_path()) {
            return Ok(Follow::Controller);
        }
        let theirs = manifest.display();
        let cause = anyhow::anyhow!("the controller with pid {pid} follows {theirs}, not {}", source.label());
        Err(CliError::refused(cause).hint(format!("change that file, or name it: -f {theirs}")))
    }

    /// One JSON document on standard output.
    pub fn json<T: Serialize>(&mut self, document: &T) -> Result<(), CliError> {
        use std::io::Write;
        let text = serde_json::to_string_pretty(document).map_err(CliError::failed)?;
        Ok(writeln!(self.console.out, "{text}")?)
    }
}

/// STATE, absolute: `--state-dir`, or the default for whoever we are.
pub(super) fn state(global: &Global) -> Result<PathBuf, CliError> {
    let state = global.state_dir.clone().map_or_else(default_state, Ok)?;
    surroundings::absolute(&state).map_err(CliError::failed)
}

fn default_state() -> Result<PathBuf, CliError> {
    if let Some(dir) = surroundings::variable("SLOTD_STATE_DIR") {
        return Ok(dir.into());
    }
    if surroundings::is_root() {
        return Ok("/var/lib/slotd".into());
    }
    let (xdg, home) = (surroundings::variable("XDG_STATE_HOME"), surroundings::variable("HOME"));
    // The XDG specification: a relative path in XDG_STATE_HOME is invalid and ignored.
    let base = xdg.map(PathBuf::from).filter(|dir| dir.is_absolute());
    let base = base.or_else(|| home.map(|home| Path::new(&home).join(".local/state")));
    base.map(|base| base.join("slotd")).ok_or_else(|| {
        let cause = anyhow::anyhow!("neither SLOTD_STATE_DIR nor XDG_STATE_HOME nor HOME says where the state is kept");
        CliError::refused(cause).hint("name the folder with --state-dir")
    })
}
