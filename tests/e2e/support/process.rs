//! The processes of one site, found by a mark that the test itself put into their environment: never by name.

use std::fs;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getsid};

/// The variable that marks every application a site starts; its value is the folder of the site.
pub(crate) const MARK: &str = "E2E_SITE";

/// A process as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// The slot that slotd started it for; `None` for one that slotd did not start.
    pub(crate) slot: Option<String>,
    /// Whether it is an application, not a helper that one forked.
    pub(crate) app: bool,
}

/// Every process that carries the mark, or that slotd started out of this site's state folder.
pub(crate) fn of_site(folder: &str) -> Vec<Process> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| look(pid, folder)).collect()
}

fn look(pid: i32, folder: &str) -> Option<Process> {
    let environ = words(&fs::read(format!("/proc/{pid}/environ")).ok()?);
    let cmdline = words(&fs::read(format!("/proc/{pid}/cmdline")).ok()?);
    let value = |name: &str| environ.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned);
    let marked = value(MARK).is_some_and(|found| found == folder);
    let started_here = value("SLOTD_COOKIE").is_some() && cmdline.iter().any(|word| word.contains(folder));
    (marked || started_here).then(|| Process {
        pid,
        slot: value("SLOTD_SLOT"),
        app: cmdline.iter().any(|word| word == "-jar" || word.contains("-Dspring.profiles.active")),
    })
}

/// The command line of a process, by words; none for one that is gone.
pub(crate) fn command_line(pid: i32) -> Vec<String> {
    words(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default())
}

fn words(bytes: &[u8]) -> Vec<String> {
    bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Whether it is there and no zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Whether no signal to another session's group reaches it.
pub(crate) fn leads_a_session(pid: i32) -> bool {
    getsid(Some(Pid::from_raw(pid))) == Ok(Pid::from_raw(pid))
}

/// Signals a process that the caller knows to be its own; one that has gone meanwhile is fine.
pub(crate) fn signal(pid: i32, signal: Signal) {
    assert!(pid > 1, "refusing to signal {pid}");
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => panic!("signal {signal} to {pid}: {errno}"),
    }
}
