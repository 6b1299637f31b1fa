//! Puts the program together: the only place that names the concrete host, the sinks and the tracing subscriber.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use indicatif::ProgressDrawTarget;
use tracing_subscriber::EnvFilter;

use crate::adapter::surroundings;
use crate::cli::context::{Context, Verbosity};
use crate::cli::exit::CliError;
use crate::event::Sink;
use crate::model::desired::DesiredState;
use crate::report::progress::{Lines, Silent, Spinners};
use crate::report::trace::Trace;

// Until the branches meet. At the merge: delete `mod placeholder` below and take these from where they are made:
// use crate::adapter::{LinuxHost, launch, lock::{self, ControllerError, ControllerGuard}};
// use crate::manifest::{self, problem::Problems};
use placeholder::launch;
use placeholder::lock::{self, ControllerError, ControllerGuard};
pub(super) use placeholder::manifest::Problems;
use placeholder::{LinuxHost, manifest};

/// The machine with this state folder; nothing is touched or made yet.
pub(super) fn host(state: &Path) -> LinuxHost {
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
pub(super) fn schema() -> impl serde::Serialize {
    manifest::schema()
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

/// Traces to standard error: warnings, and more with each `-v`, unless `SLOTD_LOG` says something else.
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
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).log_internal_errors(false);
    // A second subscriber is refused; the first one, of a test, is as good.
    drop(subscriber.with_ansi(context.console.err_is_coloured).try_init());
}

/// Stands in for what other branches make: it compiles, and refuses.
mod placeholder {
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use crate::host::artifacts::{ArtifactError, Artifacts};
    use crate::host::clock::Clock;
    use crate::host::ledgers::{HistoryLine, LedgerError, Ledgers};
    use crate::host::lock::{Lock, LockError};
    use crate::host::probes::{Probes, Question};
    use crate::host::processes::{Bearer, Found, PortFact, PortQuestion, ProcessError, Processes, Signal, StartOrder};
    use crate::host::proxy::{Proxy, ProxyError};
    use crate::model::desired::{LaunchSpec, ProxySpec, ServiceSpec};
    use crate::model::id::{Cookie, Digest, Identity, Now, Port, ServiceName, SlotName};
    use crate::model::ledger::{JarStamp, Ledger};
    use crate::model::observed::{Answer, Exit, Loaded, Nginx, Observation};
    use crate::model::route::{Include, RouteText};
    use crate::model::wake::Wake;

    pub(crate) struct LinuxHost;

    impl LinuxHost {
        pub(super) fn new(_state: &Path) -> Self {
            Self
        }
    }

    pub(super) mod manifest {
        use std::path::Path;

        use crate::model::desired::DesiredState;

        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[error("{label}: this build has no manifest reader")]
        pub struct Problems {
            label: String,
        }

        pub(in crate::cli::wire) fn parse(_text: &str, _folder: &Path, label: &str) -> Result<DesiredState, Problems> {
            Err(Problems { label: label.to_owned() })
        }

        pub(in crate::cli::wire) fn render(_state: &DesiredState) -> String {
            String::new()
        }

        pub(in crate::cli::wire) fn schema() -> serde_json::Value {
            serde_json::Value::Bool(true)
        }
    }

    pub(super) mod launch {
        use std::ffi::OsString;
        use std::io;

        pub(in crate::cli::wire) fn run(_args: Vec<OsString>) -> io::Error {
            io::ErrorKind::Unsupported.into()
        }
    }

    pub(super) mod lock {
        use std::io;
        use std::path::{Path, PathBuf};

        use crate::model::id::Identity;

        #[derive(Debug)]
        pub(crate) struct Controller {
            pub process: Identity,
            pub manifest: PathBuf,
        }

        #[derive(Debug, thiserror::Error)]
        #[expect(dead_code, reason = "a placeholder")]
        pub(crate) enum ControllerError {
            #[error("a controller runs on {state} already")]
            Runs { state: PathBuf, controller: Box<Controller> },
            #[error("{path} is locked by another controller")]
            Busy { path: PathBuf },
            #[error("cannot write {path}")]
            Io {
                path: PathBuf,
                #[source]
                source: io::Error,
            },
        }

        #[derive(Debug)]
        pub(crate) struct ControllerGuard;

        pub(in crate::cli::wire) fn claim_controller(state: &Path, _manifest: &Path) -> Result<ControllerGuard, ControllerError> {
            Err(ControllerError::Busy { path: state.to_owned() })
        }

        pub(in crate::cli::wire) fn controller(_state: &Path) -> Option<Controller> {
            None
        }
    }

    impl Lock for LinuxHost {
        type Guard = ();

        async fn lock(&self, _timeout: Duration) -> Result<(), LockError> {
            todo!()
        }
    }

    impl Artifacts for LinuxHost {
        fn stamp(&self, _path: &Path) -> Observation<JarStamp> {
            todo!()
        }

        fn digest(&self, _path: &Path) -> Result<(Digest, JarStamp), ArtifactError> {
            todo!()
        }

        fn env_file(&self, _path: &Path) -> Result<Digest, ArtifactError> {
            todo!()
        }

        fn stored(&self, _digest: &Digest) -> bool {
            todo!()
        }

        fn install(&self, _source: &Path, _expected: &Digest) -> Result<(), ArtifactError> {
            todo!()
        }

        fn list(&self) -> Vec<Digest> {
            todo!()
        }

        fn discard(&self, _digest: &Digest) -> Result<(), ArtifactError> {
            todo!()
        }
    }

    impl Probes for LinuxHost {
        async fn ask(&self, _question: &Question) -> Answer {
            todo!()
        }
    }

    impl Proxy for LinuxHost {
        fn include(&self, _service: &ServiceSpec) -> Observation<Include> {
            todo!()
        }

        fn flags(&self, _service: &ServiceSpec) -> Observation<Vec<SlotName>> {
            todo!()
        }

        fn nginx(&self, _proxy: &ProxySpec) -> Observation<Nginx> {
            todo!()
        }

        fn faults(&self, _service: &ServiceSpec, _nginx: Option<&Nginx>) -> Vec<String> {
            todo!()
        }

        async fn loaded(&self, _service: &ServiceSpec, _text: &RouteText) -> Observation<Loaded> {
            todo!()
        }

        async fn proxied(&self, _service: &ServiceSpec) -> Observation<SlotName> {
            todo!()
        }

        fn write(
            &self,
            _service: &ServiceSpec,
            _text: &RouteText,
            _live: &SlotName,
            _nginx: Option<&Nginx>,
        ) -> Result<(), ProxyError> {
            todo!()
        }

        fn cut(&self, _proxy: &ProxySpec, _from: Option<&SlotName>, _to: Option<&SlotName>) -> Result<(), ProxyError> {
            todo!()
        }

        fn reload(&self, _proxy: &ProxySpec, _nginx: &Nginx) -> Result<(), ProxyError> {
            todo!()
        }

        fn keep_edited(&self, _service: &ServiceSpec, _text: &str) -> Result<PathBuf, ProxyError> {
            todo!()
        }
    }

    impl Processes for LinuxHost {
        fn find(&self, _identity: &Identity) -> Observation<Found> {
            todo!()
        }

        fn bearers(&self) -> Observation<Vec<Bearer>> {
            todo!()
        }

        fn port(&self, _question: &PortQuestion) -> Observation<PortFact> {
            todo!()
        }

        fn open(&self, _port: Port) -> Observation<u32> {
            todo!()
        }

        fn start(&self, _order: &StartOrder) -> Result<Identity, ProcessError> {
            todo!()
        }

        fn signal(&self, _identity: &Identity, _signal: Signal) -> Result<(), ProcessError> {
            todo!()
        }

        fn exit(&self, _log: &Path) -> Exit {
            todo!()
        }

        fn launch_fault(&self, _launch: &LaunchSpec) -> Option<String> {
            todo!()
        }

        fn memory(&self) -> Observation<u64> {
            todo!()
        }
    }

    impl Clock for LinuxHost {
        fn now(&self) -> Now {
            todo!()
        }

        fn random(&self) -> Cookie {
            todo!()
        }

        async fn wait(&self, _wakes: &[Wake], _at_most: Duration) {
            todo!()
        }
    }

    impl Ledgers for LinuxHost {
        fn names(&self) -> Result<Vec<ServiceName>, LedgerError> {
            Ok(Vec::new())
        }

        fn load(&self, _service: &ServiceName) -> Result<Ledger, LedgerError> {
            Ok(Ledger::default())
        }

        fn commit(&self, _service: &ServiceName, _ledger: &Ledger) -> Result<(), LedgerError> {
            todo!()
        }

        fn append(&self, _service: &ServiceName, _line: &HistoryLine) -> Result<(), LedgerError> {
            todo!()
        }

        fn history(&self, _service: &ServiceName) -> Result<Vec<HistoryLine>, LedgerError> {
            Ok(Vec::new())
        }

        fn rename(&self, _from: &ServiceName, _to: &ServiceName) -> Result<(), LedgerError> {
            todo!()
        }

        fn retire(&self, _service: &ServiceName) -> Result<(), LedgerError> {
            todo!()
        }

        fn next_log(&self, _service: &ServiceName, _slot: &SlotName) -> PathBuf {
            todo!()
        }

        fn trim_logs(&self, _service: &ServiceName) -> Result<(), LedgerError> {
            todo!()
        }
    }
}
