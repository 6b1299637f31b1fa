//! `logs`: the application's own output. Needs no manifest and no lock.

use std::io::Write;
use std::time::Duration;

use crate::adapter::start_logs::{LogReader, StartLog, start_logs};
use crate::cli::args::LogsArgs;
use crate::cli::context::Context;
use crate::cli::exit::{CliError, Exit};
use crate::host::ledgers::Ledgers;

/// `--follow` looks this often.
const LOOK: Duration = Duration::from_millis(250);

/// Runs it.
pub(super) async fn logs<H: Ledgers>(host: &H, context: &mut Context, args: &LogsArgs) -> Result<Exit, CliError> {
    let folder = context.state.join("services").join(args.service.as_str()).join("logs");
    let all = || start_logs(&folder).map_err(CliError::failed);
    let mut log = choose(host, all()?, args)?;
    let mut reader = open(&log, args.lines)?;
    loop {
        let bytes = reader.more().map_err(CliError::failed)?;
        if !bytes.is_empty() {
            context.console.out.write_all(&bytes)?;
            continue;
        }
        context.console.out.flush()?;
        if !args.follow || context.console.out.is_closed() {
            return Ok(Exit::Done);
        }
        if let Some(next) = all()?.into_iter().find(|other| other.slot == log.slot && other.number > log.number) {
            (reader, log) = (open(&next, None)?, next);
            continue;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn open(log: &StartLog, lines: Option<usize>) -> Result<LogReader, CliError> {
    LogReader::open(&log.path, lines)
        .map_err(|error| CliError::failed(anyhow::Error::new(error).context(format!("cannot read {}", log.path.display()))))
}

/// The log that is meant.
fn choose<H: Ledgers>(host: &H, mut all: Vec<StartLog>, args: &LogsArgs) -> Result<StartLog, CliError> {
    let slot = match &args.slot {
        Some(slot) => Some(slot.clone()),
        None => live(host, args).filter(|slot| all.iter().any(|log| log.slot == *slot)),
    };
    match slot {
        Some(slot) => all.retain(|log| log.slot == slot),
        // Nothing was cut over yet: what was started last is what is meant.
        None => all.sort_by_key(|log| log.written),
    }
    let found = match args.start {
        None => all.pop(),
        Some(number @ 1..) => all.into_iter().find(|log| u64::try_from(number) == Ok(log.number)),
        Some(back) => usize::try_from(-back).ok().and_then(|back| all.into_iter().rev().nth(back)),
    };
    found.ok_or_else(|| nothing(args))
}

/// Where traffic was moved to last. A ledger that cannot be read keeps nobody from reading logs.
fn live<H: Ledgers>(host: &H, args: &LogsArgs) -> Option<String> {
    Some(host.load(&args.service).ok()?.cutover?.to.to_string())
}

fn nothing(args: &LogsArgs) -> CliError {
    let slot = args.slot.as_ref().map_or_else(String::new, |slot| format!(" on {slot}"));
    let start = args.start.map_or_else(String::new, |start| format!(" of start {start}"));
    CliError::refused(anyhow::anyhow!("there is no log of {}{slot}{start}", args.service))
        .hint("slotd has the logs of what it started itself; `slotd history` says what that was")
}
