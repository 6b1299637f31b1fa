//! The optimizing compiler of a JVM that comes up beside one that serves: it gives way until traffic comes.
//!
//! `HotSpot` compiles with it (C2) from the first second on. On few cores that takes the processor from the code that starts, and from the
//! slot that serves; and much of what it made is never run again once the application is up. With its threads at the lowest priority
//! the sample answers after 2.5 s instead of 3.2 s on two cores, and has used 4.5 s of processor instead of 5.9 s. Where cores are idle
//! nothing changes, because a nice value only counts where two want the same one.
//!
//! A nice value belongs to a thread (setpriority(2), "C library/kernel differences"). The threads are known by their names
//! (`os::set_native_thread_name` in `OpenJDK`'s `os_linux.cpp`, cut to 15 bytes by the kernel, `PR_SET_NAME` in prctl(2)); a JVM with
//! another compiler has none of these, and is left alone.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, getpriority_process, setpriority_process};

use crate::adapter::process::find;
use crate::adapter::training::NICE;
use crate::model::id::Identity;

/// `C2 CompilerThread0` and its like.
const OPTIMIZING: &str = "C2 Compiler";
/// Either compiler's threads: one of them makes another when there is much to do, and it inherits the nice value (fork(2)).
const ANY: [&str; 2] = [OPTIMIZING, "C1 Compiler"];
/// A JVM makes its compilers within a tenth of a second; what has none by then has no C2.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(10);

/// Holds the optimizing compiler of a process back that was just started, as soon as there is one; comes back at once.
///
/// Not worth failing for: without it a start is only slower.
pub(super) fn hold_back(identity: &Identity) {
    let identity = identity.clone();
    drop(thread::Builder::new().name("hold-back".to_owned()).spawn(move || watch(&identity)));
}

fn watch(identity: &Identity) {
    let until = Instant::now() + PATIENCE;
    if !may_give_back() {
        return;
    }
    while !find::compare(identity).is_absent() && Instant::now() < until {
        let threads = threads(identity.pid, &[OPTIMIZING]).unwrap_or_default();
        if threads.is_empty() {
            thread::sleep(LOOK);
            continue;
        }
        for thread in threads {
            renice(thread, NICE);
        }
        return;
    }
}

/// Gives the compilers of a process the priority that the process itself has.
pub(super) fn give_back(identity: &Identity) {
    let own = i32::try_from(identity.pid).ok().and_then(Pid::from_raw).and_then(|pid| getpriority_process(Some(pid)).ok());
    let Some(own) = own.filter(|_| find::compare(identity).known().is_some()) else { return };
    for thread in threads(identity.pid, &ANY).unwrap_or_default() {
        if getpriority_process(Some(thread)).is_ok_and(|nice| nice != own) {
            renice(thread, own);
        }
    }
}

fn renice(thread: Pid, nice: i32) {
    // It may have ended, and with it what there was to do.
    let _unchanged = setpriority_process(Some(thread), nice);
}

/// Whether we can take back what we do: without root that needs `CAP_SYS_NICE` or a limit (getrlimit(2), `RLIMIT_NICE`), in a container
/// often with it too. This thread ends afterwards, so it may be the one that is tried on.
fn may_give_back() -> bool {
    let Ok(own) = getpriority_process(None) else { return false };
    setpriority_process(None, own + 1).is_ok() && setpriority_process(None, own).is_ok()
}

/// The threads of a process with such a name.
fn threads(pid: u32, names: &[&str]) -> io::Result<Vec<Pid>> {
    let is_one = |name: &str| names.iter().any(|prefix| name.starts_with(prefix));
    let mut all = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        let number = task.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        // A thread may be gone by now.
        if fs::read_to_string(task.path().join("comm")).is_ok_and(|name| is_one(&name)) {
            all.extend(number);
        }
    }
    Ok(all)
}
