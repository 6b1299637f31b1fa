//! The command line: reads what is asked, puts the program together, says how it ended.
//!
//! Decides nothing about services: it reads the manifest, hands it down, and turns what comes back into text and an exit code.
//! Called by `main` alone. `wire` is the only place that makes concrete hosts; `exit` is the table of exit codes.

mod accepted;
mod apply;
pub mod args;
pub mod console;
pub mod context;
mod decide;
mod doctor;
mod ending;
pub mod exit;
mod generated;
mod history;
mod logs;
mod plan;
mod run;
pub mod source;
mod status;
mod validate;
mod wire;

use std::ffi::OsString;
use std::io::Write;

use clap::Parser;

use crate::cli::args::{Cli, Decide, GeneratedVerb, Global, HostVerb, ManifestVerb, Verb};
use crate::cli::console::Console;
use crate::cli::context::Context;
use crate::cli::exit::{CliError, Exit};
use crate::host::Host;
use crate::host::survey::Survey;
use crate::plan::person::Decision;

/// Does what the command line asks, on the streams of this process.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    let mut console = Console::of_process();
    // Not a verb for people: it takes another program's arguments, which no parser of ours may look at.
    if let Some(rest) = args.split_first().and_then(|(_, rest)| rest.split_first()).filter(|(verb, _)| *verb == "launch-slot") {
        let error = wire::launch_slot(rest.1.to_vec());
        return told(&mut console, &CliError::failed(error));
    }
    if let Some(rest) = args.split_first().and_then(|(_, rest)| rest.split_first()).filter(|(verb, _)| *verb == "train-archive") {
        return match wire::train_archive(rest.1.to_vec()) {
            Ok(()) => Exit::Done,
            Err(error) => told(&mut console, &CliError::failed(error)),
        };
    }
    match Cli::try_parse_from(args) {
        Ok(cli) => parsed(cli, console),
        Err(error) => usage(&mut console, &error),
    }
}

/// Help is a result; anything else that clap says is bad usage.
fn usage(console: &mut Console, error: &clap::Error) -> Exit {
    let text = error.render();
    let (out, exit) = if error.use_stderr() { (&mut console.err, Exit::Refused) } else { (&mut console.out, Exit::Done) };
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => exit,
        Err(_) => exit.max(Exit::Failed),
    }
}

fn parsed(cli: Cli, mut console: Console) -> Exit {
    if cli.global.no_color {
        console.without_colours();
    }
    match cli.verb {
        Verb::Generated(verb) => {
            let result = generated(&mut console, &verb).map(|()| Exit::Done);
            ended(&mut console, result)
        }
        Verb::Manifest(verb) => with_context(cli.global, console, |context| on_manifest(context, &verb)),
        Verb::Host(verb) => with_context(cli.global, console, |context| on_host(context, &verb)),
    }
}

fn generated(console: &mut Console, verb: &GeneratedVerb) -> Result<(), CliError> {
    match verb {
        GeneratedVerb::Schema(args) => generated::schema(console, args.output),
        GeneratedVerb::Completions { shell } => generated::completions(console, *shell),
        GeneratedVerb::Man { verb } => generated::man(console, verb.as_deref()),
    }
}

fn with_context(global: Global, mut console: Console, act: impl FnOnce(&mut Context) -> Result<Exit, CliError>) -> Exit {
    match context::state(&global) {
        Ok(state) => {
            let mut context = Context::new(global, state, console);
            wire::trace(&context);
            let result = act(&mut context);
            ended(&mut context.console, result)
        }
        Err(error) => told(&mut console, &error),
    }
}

fn on_manifest(context: &mut Context, verb: &ManifestVerb) -> Result<Exit, CliError> {
    match verb {
        ManifestVerb::Validate => validate::validate(context),
        ManifestVerb::Config => validate::config(context),
    }
}

/// Ends with what was said flushed: what could not be written was not said.
fn ended(console: &mut Console, result: Result<Exit, CliError>) -> Exit {
    let flushed = console.out.flush().map_err(CliError::from);
    match result.and_then(|exit| flushed.map(|()| exit)) {
        Ok(exit) => exit,
        Err(error) => told(console, &error),
    }
}

/// Prints an error; where even that cannot be written, the exit code says it.
fn told(console: &mut Console, error: &CliError) -> Exit {
    let paint = console.err_paint;
    drop(error.print(&mut console.err, &paint).and_then(|()| console.err.flush()));
    error.exit()
}

/// One thread decides and acts, so that what happens happens in one order.
fn on_host(context: &mut Context, verb: &HostVerb) -> Result<Exit, CliError> {
    let host = wire::host(&context.state);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::failed)?;
    runtime.block_on(dispatch(&host, context, verb))
}

async fn dispatch<H: Host + Survey>(host: &H, context: &mut Context, verb: &HostVerb) -> Result<Exit, CliError> {
    match verb {
        HostVerb::Plan(args) => plan::plan(host, context, args).await,
        HostVerb::Apply(args) => apply::apply(host, context, args).await,
        HostVerb::Run(args) => run::run(host, context, args).await,
        HostVerb::Status(args) => status::status(host, context, args).await,
        HostVerb::Doctor(args) => doctor::doctor(host, context, args),
        HostVerb::Logs(args) => logs::logs(host, context, args).await,
        HostVerb::History(args) => history::history(host, context, args),
        HostVerb::Rollback(args) => {
            let decision = Decision::Rollback { to: args.to.clone() };
            decide::carry_out(host, context, std::slice::from_ref(&args.service), &decision, args.patience).await
        }
        HostVerb::Pause(args) => decide::only_note(host, context, &args.services, &Decision::Pause).await,
        HostVerb::Promote(args) => decide(host, context, args, &Decision::Promote).await,
        HostVerb::Resume(args) => decide(host, context, args, &Decision::Resume).await,
        HostVerb::Retry(args) => decide(host, context, args, &Decision::Retry).await,
        HostVerb::Restart(args) => decide(host, context, args, &Decision::Restart).await,
        HostVerb::Down(args) => decide(host, context, args, &Decision::Down).await,
    }
}

async fn decide<H: Host>(host: &H, context: &mut Context, args: &Decide, decision: &Decision) -> Result<Exit, CliError> {
    decide::carry_out(host, context, &args.services.services, decision, args.patience).await
}
