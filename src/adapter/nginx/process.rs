//! Processes as far as nginx needs them: who a pid is now.

use std::fs;

use procfs::process::Process;

use crate::adapter::clock;
use crate::model::id::Identity;

/// A living process.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Its pid.
    pub(super) pid: u32,
    /// Start time in clock ticks.
    pub(super) start: u64,
    /// Its parent.
    pub(super) parent: u32,
    /// Its command line; nginx writes its title there (`src/os/unix/ngx_setproctitle.c`).
    pub(super) title: String,
}

/// Who this pid is; `None`: nobody, or a zombie.
pub(super) fn look(pid: u32) -> Option<Seen> {
    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    let stat = process.stat().ok()?;
    if matches!(stat.state, 'Z' | 'X') {
        return None;
    }
    let title = process.cmdline().ok()?.join(" ");
    Some(Seen { pid, start: stat.starttime, parent: u32::try_from(stat.ppid).ok()?, title })
}

/// Every pid.
pub(super) fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The children of a process with one thread, as nginx's master is.
pub(super) fn children(pid: u32) -> Vec<Seen> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    // The list is there only with CONFIG_PROC_CHILDREN (proc(5)).
    let pids = listed.map_or_else(|_| pids(), |text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect());
    pids.into_iter().filter_map(look).filter(|seen| seen.parent == pid).collect()
}

/// Whether a recorded process still is that process.
pub(super) fn is(identity: &Identity) -> bool {
    clock::boot_id().is_ok_and(|boot| boot == identity.boot)
        && look(identity.pid).is_some_and(|seen| seen.start == identity.start)
}
