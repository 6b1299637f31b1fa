//! `run`: the controller, and what makes it look.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::adapter::watch::FolderWatch;
use crate::cli::accepted;
use crate::cli::args::RunArgs;
use crate::cli::context::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::source::{Source, SourceError};
use crate::cli::wire;
use crate::controller::{self, Trigger};
use crate::host::Host;
use crate::model::desired::DesiredState;
use crate::plan::Orphans;
use crate::reconcile::Goal;

/// The manifest is read this often even if nobody says that it changed: inotify does not see what a symbolic link far away or a
/// network file system does.
const READ: Duration = Duration::from_secs(5);

/// A file that was just written is often written again at once.
const SETTLE: Duration = Duration::from_millis(50);

/// Triggers that may wait; they are coalesced, so more would say nothing more.
const QUEUE: usize = 8;

/// Runs it.
pub(super) async fn run<H: Host>(host: &H, context: &mut Context, args: &RunArgs) -> Result<Exit, CliError> {
    let (source, nowhere) = followed(context)?;
    let Some(path) = source.path() else {
        return Err(CliError::refused(anyhow::anyhow!("a controller cannot read standard input again"))
            .hint("write the manifest to a file and name it with -f"));
    };
    let Start { seen, desired } = Start::read(host, context, &source, nowhere)?;
    let goal = context.goal(desired, &[], Orphans::Keep);
    let _claim = wire::claim(&context.state, path)?;
    let (triggers, queue) = mpsc::channel(QUEUE);
    let feed = Feed::new(source.clone(), goal.clone(), seen, triggers).map_err(CliError::failed)?;
    let mut sink = wire::lines(context);
    tokio::select! {
        ended = controller::run(host, goal, args.interval, queue, &mut *sink) => ended?,
        never = feed.run() => match never {},
    }
    Ok(Exit::Done)
}

/// The manifest that a controller follows, and why it was not found, where it is yet to come.
fn followed(context: &Context) -> Result<(Source, Option<SourceError>), CliError> {
    match context.source() {
        Ok(source) => Ok((source, None)),
        Err(error) => Ok((Source::awaited()?, Some(error))),
    }
}

/// What a controller begins with.
struct Start {
    /// The manifest as it was read, or why it could not be.
    seen: Result<String, String>,
    /// What the manifest asks for; while it cannot be used, what was accepted last.
    desired: DesiredState,
}

impl Start {
    /// Reads the manifest once. After a reboot a typo must not keep the services down that served before it.
    fn read<H: Host>(host: &H, context: &mut Context, source: &Source, nowhere: Option<SourceError>) -> Result<Self, CliError> {
        let text = source.text();
        let seen = text.as_ref().map(String::clone).map_err(|error| chain(error));
        let read = nowhere.map_or(text, Err).and_then(|text| source.parse(&text));
        let desired = match read {
            Ok(desired) => desired,
            Err(error) => {
                let (desired, note) = accepted::instead(host, error)?;
                accepted::warn(context, Some(&note))?;
                desired
            }
        };
        Ok(Self { seen, desired })
    }
}

/// Whatever makes the controller look, as triggers.
struct Feed {
    source: Source,
    goal: Goal,
    /// The manifest as it was read last, or why it could not be.
    seen: Result<String, String>,
    triggers: mpsc::Sender<Trigger>,
    folder: Option<FolderWatch>,
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Feed {
    fn new(source: Source, goal: Goal, seen: Result<String, String>, triggers: mpsc::Sender<Trigger>) -> io::Result<Self> {
        let folder = source.path().and_then(Path::parent).map(FolderWatch::new);
        let folder = folder.and_then(|watch| {
            let warn = |error: &io::Error| tracing::warn!(%error, "changes of the manifest are noticed late");
            watch.inspect_err(warn).ok()
        });
        Ok(Self {
            source,
            goal,
            seen,
            triggers,
            folder,
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Feeds until the controller has been told to stop; then waits for it to end.
    async fn run(mut self) -> Infallible {
        loop {
            let trigger = tokio::select! {
                _ = self.terminate.recv() => Trigger::Stop,
                _ = self.interrupt.recv() => Trigger::Stop,
                _ = self.hangup.recv() => self.reread().unwrap_or(Trigger::Look),
                () = written(&mut self.folder) => match self.reread() {
                    Some(trigger) => trigger,
                    None => continue,
                },
                () = tokio::time::sleep(READ) => match self.reread() {
                    Some(trigger) => trigger,
                    None => continue,
                },
            };
            let stops = matches!(trigger, Trigger::Stop);
            // The queue is closed only when the controller has ended, and then so have we.
            if self.triggers.send(trigger).await.is_err() || stops {
                return pending().await;
            }
        }
    }

    /// A new goal, where the manifest says something new that is good. Of what is broken or missing people are told once, and the
    /// last good goal stays.
    fn reread(&mut self) -> Option<Trigger> {
        let now = self.source.text().map_err(|error| chain(&error));
        if now == self.seen {
            return None;
        }
        let desired = now.clone().and_then(|text| self.source.parse(&text).map_err(|error| chain(&error)));
        self.seen = now;
        match desired {
            Ok(desired) => {
                tracing::info!(manifest = self.source.label(), "the manifest was read anew");
                self.goal.desired = desired;
                Some(Trigger::Goal(Box::new(self.goal.clone())))
            }
            Err(error) => {
                tracing::warn!("{error}\nthe last good manifest goes on being followed");
                None
            }
        }
    }
}

/// Returns when something in the folder was written and has settled; never without a watch.
async fn written(folder: &mut Option<FolderWatch>) {
    let Some(watch) = folder else { return pending().await };
    if let Err(error) = watch.changed().await {
        tracing::warn!(%error, "changes of the manifest are noticed late from now on");
        *folder = None;
        return;
    }
    tokio::time::sleep(SETTLE).await;
}

fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    format!("{error}{source}")
}
