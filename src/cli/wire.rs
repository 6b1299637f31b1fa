//! Puts the program together: the only place that names the concrete host, the sinks and the tracing subscriber.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use indicatif::ProgressDrawTarget;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::adapter::surroundings;
use crate::cli::context::{Context, Verbosity};
use crate::cli::exit::CliError;
use crate::event::Sink;
use crate::host::Host;
use crate::host::survey::Survey;
use crate::model::desired::DesiredState;
use crate::report::progress::{Lines, Silent, Spinners};
use crate::report::trace::Trace;

use crate::adapter::lock::{self, ControllerError, ControllerGuard};
use crate::adapter::{LinuxHost, launch, training};
use crate::manifest;
pub(super) use crate::manifest::problem::Problems;

/// The machine with this state folder; nothing is touched or made yet.
pub(super) fn host(state: &Path) -> impl Host + Survey + use<> {
    // reqwest without a TLS provider panics when a client is built, for http:// too. A second call finds the first one's: no error.
    drop(rustls::crypto::ring::default_provider().install_default());
    LinuxHost::new(state)
}

/// What a manifest asks for; `label` is what its faults call it.
pub(super) fn parse(text: &str, folder: &Path, label: &str) -> Result<DesiredState, Problems> {
    manifest::parse(text, folder, label)
}

/// A manifest with every default filled in.
pub(super) fn render(desired: &DesiredState) -> String {
    manifest::render(desired)
}

/// The JSON Schema of the manifest.
pub(super) fn schema() -> serde_json::Value {
    manifest::schema().to_value()
}

/// Pid and manifest of the controller that runs on a state folder.
pub(super) fn controller(state: &Path) -> Option<(u32, PathBuf)> {
    lock::controller(state).map(|controller| (controller.process.pid, controller.manifest))
}

/// Makes this process the controller.
pub(super) fn claim(state: &Path, manifest: &Path) -> Result<ControllerGuard, CliError> {
    lock::claim_controller(state, manifest).map_err(|error| match &error {
        ControllerError::Runs { .. } | ControllerError::Busy { .. } => CliError::locked(error),
        ControllerError::Io { .. } => CliError::failed(error),
    })
}

/// Becomes a slot's process; returns only when that failed.
pub(super) fn launch_slot(args: Vec<OsString>) -> io::Error {
    launch::run(args)
}

/// Carries out a training run.
pub(super) fn train_archive(args: Vec<OsString>) -> io::Result<()> {
    training::run(args)
}

/// Who is told what happens while somebody waits: a person, a log, or a trace.
pub(super) fn sink(context: &Context) -> Box<dyn Sink> {
    if context.verbosity == Verbosity::Normal && context.console.err_is_terminal {
        return Box::new(Spinners::new(ProgressDrawTarget::stderr(), Box::new(surroundings::stopwatch())));
    }
    lines(context)
}

/// The same for a controller, whose events are read later if at all.
pub(super) fn lines(context: &Context) -> Box<dyn Sink> {
    match context.verbosity {
        Verbosity::Quiet => Box::new(Silent),
        Verbosity::Normal => Box::new(Lines::new(io::stderr(), Box::new(surroundings::stopwatch()), context.console.err_paint)),
        Verbosity::Traced(_) => Box::new(Trace),
    }
}

/// Traces to standard error: warnings, and more with each `-v`, unless `SLOTD_LOG` says something else. From `-vv` on the end of
/// each pass, look and step says how long it took: what of a deployment's time was slotd's own.
pub(super) fn trace(context: &Context) {
    let level = match context.verbosity {
        Verbosity::Quiet => "error",
        Verbosity::Normal => "warn",
        Verbosity::Traced(1) => "warn,slotd=info",
        Verbosity::Traced(2) => "info,slotd=debug",
        Verbosity::Traced(_) => "debug,slotd=trace",
    };
    let asked = surroundings::variable("SLOTD_LOG").and_then(|text| EnvFilter::try_new(text.to_str()?).ok());
    let filter = asked.unwrap_or_else(|| EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_span_events(FmtSpan::CLOSE);
    // A second subscriber is refused; the first one, of a test, is as good.
    drop(subscriber.log_internal_errors(false).with_ansi(context.console.err_is_coloured).try_init());
}
