//! The moment between slotd and the slot's program: the hidden subcommand `launch-slot`.
//!
//! A process that has to outlive us needs a session of its own, default signals, no foreign descriptors, and perhaps another
//! user. Between fork and exec only unsafe code can do that, so slotd runs itself once more, does it there as an ordinary
//! program, and becomes the slot's program by exec: pid and start time stay.
//!
//! `slotd launch-slot [--bound] [--user NAME] -- PROGRAM [ARGUMENT…]`, with stdin, stdout, stderr, environment and working folder as the
//! program is to have them. `--bound` is for a training run (see [`training`](super::training)): it ends with its parent, and is the
//! first that the kernel ends when memory is short.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{close, getpid, getsid, initgroups, setgid, setsid, setuid};

use crate::adapter::process::fault;

/// The word that main looks for before it parses anything.
pub const SUBCOMMAND: &str = "launch-slot";

/// What the application makes is for its user and group: logs and uploads are nobody else's business.
const UMASK: Mode = Mode::S_IWGRP.union(Mode::S_IRWXO);

/// Signals that no handler can stand for, or that tokio leaves to the program's own faults: KILL, STOP, ILL, FPE, SEGV.
const UNTOUCHABLE: [i32; 5] = [9, 19, 4, 8, 11];

/// Rust ignores PIPE in its own programs and gives it back at exec.
const PIPE: i32 = 13;

/// Becomes the program; `args` are those after [`SUBCOMMAND`].
///
/// # Errors
/// Returns only when that failed; what it says belongs on standard error, which is the slot's log.
pub fn run(args: Vec<OsString>) -> io::Error {
    match become_program(args) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn become_program(args: Vec<OsString>) -> io::Result<Infallible> {
    let order = parse(args)?;
    own_session()?;
    default_signals()?;
    umask(UMASK);
    // A supervisor may have made slotd hard to kill; the application is not to inherit that. Not worth failing for.
    drop(set_oom_score(if order.is_bound { FIRST_TO_GO } else { "0" }));
    if let Some(user) = &order.user {
        turn_into(user)?;
    }
    if order.is_bound {
        // After the change of the user, which would clear it (prctl(2)).
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    }
    close_inherited()?;
    let error = Command::new(&order.program).args(&order.arguments).exec();
    Err(io::Error::new(error.kind(), format!("cannot execute {}: {error}", order.program.display())))
}

/// The argv form, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    is_bound: bool,
    user: Option<String>,
    program: OsString,
    arguments: Vec<OsString>,
}

fn parse(args: Vec<OsString>) -> io::Result<Order> {
    let usage =
        || io::Error::new(io::ErrorKind::InvalidInput, "usage: launch-slot [--bound] [--user NAME] -- PROGRAM [ARGUMENT…]");
    let mut args = args.into_iter();
    let (mut is_bound, mut user) = (false, None);
    loop {
        match args.next().as_deref().and_then(|word| word.to_str()) {
            Some("--bound") if !is_bound => is_bound = true,
            Some("--user") if user.is_none() => user = args.next().and_then(|name| name.into_string().ok()),
            Some("--") => break,
            _ => return Err(usage()),
        }
    }
    let program = args.next().ok_or_else(usage)?;
    Ok(Order { is_bound, user, program, arguments: args.collect() })
}

/// Away from the terminal and the CI job that we run in: a HUP at their end would end the JVM.
pub(super) fn own_session() -> io::Result<()> {
    if getsid(None)? != getpid() {
        setsid()?;
    }
    Ok(())
}

/// Exec keeps ignored signals ignored and makes handled ones default (execve(2)). So a signal that we were started with as
/// ignored (`nohup` does that to HUP) gets a handler, which exec then takes away. The others are left alone: a handler would
/// swallow a TERM that arrives now.
pub(super) fn default_signals() -> io::Result<()> {
    SigSet::empty().thread_set_mask()?;
    let ignored = ignored()?;
    if ignored.is_empty() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    for number in ignored {
        // The handler stays when its receiver goes.
        drop(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(number))?);
    }
    Ok(())
}

/// From the mask `SigIgn` in `/proc/self/status` (proc(5)): bit n-1 stands for signal n.
fn ignored() -> io::Result<Vec<i32>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    // 32 and 33 belong to the C library.
    let ours = |number: &i32| *number != PIPE && !UNTOUCHABLE.contains(number) && !(32..=33).contains(number);
    Ok((1..=64).filter(|number| mask & (1 << (number - 1)) != 0).filter(ours).collect())
}

/// The kernel's own word for "this one first" (proc(5), `oom_score_adj`).
const FIRST_TO_GO: &str = "1000";

fn set_oom_score(score: &str) -> io::Result<()> {
    const FILE: &str = "/proc/self/oom_score_adj";
    if fs::read_to_string(FILE)?.trim() == score { Ok(()) } else { fs::write(FILE, score) }
}

/// Groups first: without root they cannot be left any more. Then no program of theirs can give root back (`prctl(2)`,
/// `PR_SET_NO_NEW_PRIVS`).
fn turn_into(name: &str) -> io::Result<()> {
    let user = fault::user(name)?;
    if user.uid != nix::unistd::geteuid() {
        initgroups(&CString::new(name)?, user.gid)?;
        setgid(user.gid)?;
        setuid(user.uid)?;
    }
    nix::sys::prctl::set_no_new_privs()?;
    Ok(())
}

/// What slotd opened itself is closed at exec anyway; this is for what slotd inherited from whoever started it, and would hand
/// on for as long as the slot runs (a lock, the pipe of a CI job that waits for its end).
pub(super) fn close_inherited() -> io::Result<()> {
    let names: Vec<_> = fs::read_dir("/proc/self/fd")?.flatten().map(|entry| entry.file_name()).collect();
    let numbers = names.iter().filter_map(|name| name.to_str()?.parse::<i32>().ok());
    for number in numbers.filter(|number| *number > 2 && outlives_exec(*number)) {
        close(number)?;
    }
    Ok(())
}

/// Without `O_CLOEXEC` (02000000) in its flags (proc(5)). One that is closed by now has no entry.
fn outlives_exec(descriptor: i32) -> bool {
    let Ok(info) = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")) else { return false };
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.and_then(|octal| i32::from_str_radix(octal.trim(), 8).ok()).is_some_and(|flags| flags & 0o2_000_000 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_ascii_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_program_begins_behind_two_dashes() {
        let order = parse(words("--user app -- java -jar --user x")).unwrap();
        assert_eq!(
            order,
            Order { is_bound: false, user: Some("app".to_owned()), program: "java".into(), arguments: words("-jar --user x") }
        );
        assert_eq!(parse(words("-- java")).unwrap().user, None);
        assert!(parse(words("--bound --user a -- java")).unwrap().is_bound);
        for wrong in ["", "java", "--user", "--user a", "--", "--user a --user b -- java"] {
            parse(words(wrong)).expect_err(wrong);
        }
    }
}
