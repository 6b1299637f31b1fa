//! Whether a process is the recorded one, and which processes carry a cookie of slotd.

use std::io;
use std::path::Path;

use crate::adapter::process::stat::{self, Stat};
use crate::adapter::{LinuxHost, clock};
use crate::host::processes::{Bearer, Found, ProcessError, Signal};
use crate::model::id::{BootId, Cookie, Identity, ReleaseId, ServiceName, SlotName};
use crate::model::observed::Observation;

/// While a process runs `exec` its environment reads as empty or cut short, usually for some microseconds. With fewer looks a machine that is
/// out of breath makes more of its processes Unknown for a pass; so many take some milliseconds.
const EXEC_LOOKS: u32 = 200;

impl LinuxHost {
    pub(super) fn found(&self, identity: &Identity) -> Observation<Found> {
        self.reap();
        compare(identity).map(|stat| Found {
            identity: identity.clone(),
            resident: resident(identity.pid).unwrap_or(0),
            frozen: stat.is_frozen(),
            age: stat.age(),
        })
    }
}

/// The process with this pid, if it is the recorded one.
pub(super) fn compare(identity: &Identity) -> Observation<Stat> {
    match clock::boot_id() {
        Ok(boot) if boot != identity.boot => return Observation::Absent,
        Ok(_) => {}
        Err(error) => return Observation::Unknown(format!("cannot read the boot id: {error}")),
    }
    match same_start(identity) {
        Observation::Known(stat) => match bears(identity) {
            // The environment may have been a successor's: the number is looked at once more.
            Observation::Known(()) => same_start(identity).map(|_| stat),
            Observation::Absent => Observation::Absent,
            Observation::Unknown(why) => same_start(identity).known().map_or(Observation::Absent, |_| Observation::Unknown(why)),
        },
        Observation::Absent => Observation::Absent,
        Observation::Unknown(why) => Observation::Unknown(why),
    }
}

fn same_start(identity: &Identity) -> Observation<Stat> {
    match stat::read(identity.pid) {
        Ok(stat) if stat.is_dead() || stat.start != identity.start => Observation::Absent,
        Ok(stat) => Observation::Known(stat),
        Err(error) if stat::is_gone(&error) => hidden(identity.pid),
        Err(error) => Observation::Unknown(format!("cannot look at process {}: {error}", identity.pid)),
    }
}

/// A /proc mounted with `hidepid` shows no processes of other users (proc(5)): there is then a pid without a folder.
fn hidden(pid: u32) -> Observation<Stat> {
    match clock::pidfd(pid) {
        Ok(_) if stat::read(pid).is_err() => Observation::Unknown(format!("process {pid} runs, but /proc does not show it")),
        Ok(_) | Err(_) => Observation::Absent,
    }
}

/// Whether it carries the recorded cookie.
fn bears(identity: &Identity) -> Observation<()> {
    let Some(cookie) = &identity.cookie else { return Observation::Known(()) };
    match environment(identity.pid) {
        Ok(env) if variable(&env, "SLOTD_COOKIE").as_deref() == Some(cookie.as_str()) => Observation::Known(()),
        Ok(_) => Observation::Absent,
        Err(error) if stat::is_gone(&error) => Observation::Absent,
        Err(error) => Observation::Unknown(format!("cannot read the environment of process {}: {error}", identity.pid)),
    }
}

/// What the process was started with (`/proc/PID/environ`), which only its user and root can read. In the middle of an `exec`
/// it has none or a part, and that must not be taken for one without our cookie: spawning returns to us in just that moment,
/// and a wrapper that ends in `exec java` passes through it once more.
pub(in crate::adapter) fn environment(pid: u32) -> io::Result<Vec<u8>> {
    for _ in 0..EXEC_LOOKS {
        // An exec that begins between two reads ends the file early: only the size tells a whole environment from a cut one.
        let size = stat::environment_size(pid)?;
        let room = size.and_then(|size| usize::try_from(size).ok()).unwrap_or_default();
        let env = stat::file(pid, "environ", room + 1)?;
        if size == u64::try_from(env.len()).ok() {
            return Ok(env);
        }
        std::thread::yield_now();
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, "it is just being started"))
}

/// One variable of such an environment.
pub(in crate::adapter) fn variable(env: &[u8], name: &str) -> Option<String> {
    let value = |entry: &[u8]| Some(entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.to_vec());
    env.split(|byte| *byte == 0).find_map(value).map(|value| String::from_utf8_lossy(&value).into_owned())
}

/// Resident memory in bytes: the second field of `/proc/PID/statm` counts pages (proc(5)).
pub(in crate::adapter) fn resident(pid: u32) -> Option<u64> {
    let line = stat::file(pid, "statm", 128).ok()?;
    let pages: u64 = String::from_utf8_lossy(&line).split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * procfs::page_size())
}

/// Every process number there is.
pub(in crate::adapter) fn pids() -> io::Result<Vec<u32>> {
    let entries = std::fs::read_dir("/proc")?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// Which state folder a process belongs to: two slotd on one host may both have a service of the same name.
pub(super) const STATE: &str = "SLOTD_STATE";

/// Every process with our variables and of this state folder. Those whose environment we may not read are other users': a slot
/// of ours runs as our own user, or we are root.
pub(super) fn bearers(state: &Path) -> Observation<Vec<Bearer>> {
    let (boot, pids) = match (clock::boot_id(), pids()) {
        (Ok(boot), Ok(pids)) => (boot, pids),
        (Err(error), _) | (_, Err(error)) => return Observation::Unknown(format!("cannot read the process table: {error}")),
    };
    let mut all = Vec::new();
    for pid in pids.into_iter().filter(|pid| *pid != std::process::id()) {
        let found = match environment(pid) {
            Ok(env) => bearer(pid, &env, &boot, state),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Observation::Unknown(format!("cannot read the environment of process {pid}: {error}"))
            }
            Err(_others_or_gone) => Observation::Absent,
        };
        match found {
            Observation::Known(bearer) => all.push(bearer),
            Observation::Absent => {}
            // It may be one of ours, and "none" could lead to a second start.
            Observation::Unknown(why) => return Observation::Unknown(why),
        }
    }
    Observation::Known(all)
}

/// The process is compared once more with what was read of it, so that both are the same process's.
fn bearer(pid: u32, env: &[u8], boot: &BootId, state: &Path) -> Observation<Bearer> {
    let marks = || {
        let cookie = Cookie::new(variable(env, "SLOTD_COOKIE")?);
        variable(env, STATE).filter(|text| Path::new(text) == state)?;
        let stat = stat::read(pid).ok().filter(|stat| !stat.is_dead())?;
        let identity = Identity { boot: boot.clone(), pid, start: stat.start, cookie: Some(cookie) };
        let found = Found { resident: resident(pid).unwrap_or(0), frozen: stat.is_frozen(), age: stat.age(), identity };
        Some(Bearer {
            service: ServiceName::new(variable(env, "SLOTD_SERVICE")?),
            slot: SlotName::new(variable(env, "SLOTD_SLOT")?),
            release: ReleaseId::new(variable(env, "SLOTD_RELEASE")?),
            parent: stat.parent,
            found,
        })
    };
    let Some(bearer) = marks() else { return Observation::Absent };
    compare(&bearer.found.identity).map(|_| bearer)
}

/// Pins the process first, compares then, and signals what is pinned: between comparing and signalling a number could become
/// another process's. kill(2) is never used, for nothing pins what it hits.
pub(super) fn signal(identity: &Identity, signal: Signal) -> Result<(), ProcessError> {
    let pid = identity.pid;
    let failed = |source| ProcessError::Signal { pid, source };
    let pinned = match clock::pidfd(pid) {
        Ok(fd) => fd,
        Err(error) if stat::is_gone(&error) => return Err(ProcessError::Gone { pid }),
        Err(error) => return Err(failed(error)),
    };
    match compare(identity) {
        Observation::Known(_) => {}
        Observation::Absent => return Err(ProcessError::Gone { pid }),
        Observation::Unknown(why) => return Err(failed(io::Error::other(why))),
    }
    let number = match signal {
        Signal::Term => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
        Signal::Freeze => rustix::process::Signal::STOP,
        Signal::Thaw => rustix::process::Signal::CONT,
    };
    match rustix::process::pidfd_send_signal(&pinned, number) {
        Err(rustix::io::Errno::SRCH) => Err(ProcessError::Gone { pid }),
        other => other.map_err(|error| failed(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::processes::Processes;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command};

    /// Killed at the end of a test, whatever its outcome.
    struct Sleeper(Child);

    impl Drop for Sleeper {
        fn drop(&mut self) {
            drop(self.0.kill());
            drop(self.0.wait());
        }
    }

    fn sleeper(cookie: &str) -> (Sleeper, Identity) {
        bearing(Command::new("sleep").arg("60"), cookie)
    }

    fn bearing(command: &mut Command, cookie: &str) -> (Sleeper, Identity) {
        command
            .env(STATE, "/nonexistent/slotd")
            .env("SLOTD_COOKIE", cookie)
            .env("SLOTD_SERVICE", "web")
            .env("SLOTD_SLOT", "real1");
        let child = command.env("SLOTD_RELEASE", "r1-0").spawn().unwrap();
        let start = stat::read(child.id()).unwrap().start;
        let identity = Identity { boot: clock::boot_id().unwrap(), pid: child.id(), start, cookie: Some(Cookie::new(cookie)) };
        (Sleeper(child), identity)
    }

    #[test]
    fn only_the_very_process_is_found() {
        let host = LinuxHost::new("/nonexistent/slotd");
        let (mut child, identity) = sleeper("found-1");
        assert!(host.find(&identity).known().is_some_and(|f| f.resident > 0));
        assert!(host.find(&Identity { cookie: None, ..identity.clone() }).known().is_some(), "an adopted one has no cookie");
        for other in [
            Identity { start: identity.start + 1, ..identity.clone() },
            Identity { boot: BootId::new("another"), ..identity.clone() },
            Identity { cookie: Some(Cookie::new("another")), ..identity.clone() },
            Identity { pid: u32::MAX, ..identity.clone() },
        ] {
            assert!(host.find(&other).is_absent(), "{other:?}");
            assert!(matches!(host.signal(&other, Signal::Kill), Err(ProcessError::Gone { .. })), "{other:?}");
        }
        assert!(child.0.try_wait().unwrap().is_none(), "nothing was signalled");
    }

    #[test]
    fn the_pinned_process_is_signalled_and_a_zombie_is_gone() {
        let host = LinuxHost::new("/nonexistent/slotd");
        let (mut child, identity) = sleeper("found-2");
        host.signal(&identity, Signal::Term).unwrap();
        let ended = rustix::process::waitid(
            rustix::process::WaitId::Pid(rustix::process::Pid::from_raw(identity.pid.cast_signed()).unwrap()),
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
        );
        assert!(ended.unwrap().is_some());
        assert!(host.find(&identity).is_absent(), "a zombie");
        assert!(matches!(host.signal(&identity, Signal::Kill), Err(ProcessError::Gone { .. })));
        assert_eq!(child.0.wait().unwrap().signal(), Some(15));
    }

    #[test]
    fn a_process_is_stopped_in_place_and_hears_of_the_signals_of_that_time_when_it_goes_on() {
        let host = LinuxHost::new("/nonexistent/slotd");
        let (mut child, identity) = sleeper("found-3");
        let is_frozen = || host.find(&identity).known().is_some_and(|found| found.frozen);
        assert!(!is_frozen());
        host.signal(&identity, Signal::Freeze).unwrap();
        while !is_frozen() {
            std::thread::yield_now();
        }
        host.signal(&identity, Signal::Term).unwrap();
        assert!(is_frozen() && child.0.try_wait().unwrap().is_none(), "TERM waits");
        host.signal(&identity, Signal::Thaw).unwrap();
        assert_eq!(child.0.wait().unwrap().signal(), Some(15));
    }

    /// A wrapper that ends in `exec java` does this once, and just then it must not look like a stranger or be overlooked.
    #[test]
    fn a_process_that_replaces_its_program_over_and_over_is_never_lost() {
        let again = r#"test "$1" -lt 800 && exec /bin/sh -c "$0" "$0" $(($1 + 1)); exec sleep 60"#;
        let mut command = Command::new("/bin/sh");
        let (_child, identity) = bearing(command.args(["-c", again, again, "0"]), "found-4");
        let host = LinuxHost::new("/nonexistent/slotd");
        let title = || std::fs::read(format!("/proc/{}/cmdline", identity.pid)).unwrap();
        while !title().starts_with(b"sleep") {
            assert!(!host.find(&identity).is_absent());
            let all = host.bearers();
            assert!(all.known().is_none_or(|all| all.iter().any(|b| b.found.identity == identity)), "{all:?}");
        }
    }

    #[test]
    fn bearers_are_found_by_their_environment() {
        let (_child, identity) = sleeper("found-3");
        let host = LinuxHost::new("/nonexistent/slotd");
        let all = host.bearers();
        let bearer = all.known().unwrap().iter().find(|b| b.found.identity == identity).unwrap();
        assert_eq!((bearer.service.as_str(), bearer.slot.as_str(), bearer.parent), ("web", "real1", std::process::id()));
    }

    /// A number without a pin may be another process's by the time it is used. Two things are no signal by number: asking with
    /// signal 0, and ending a child that was not waited for yet, whose number is therefore still its own.
    #[test]
    fn nothing_in_the_adapter_can_signal_by_number() {
        fn look(folder: &std::path::Path) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    look(&path);
                } else if path.file_name().is_some_and(|name| name != "tests.rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                    let found = code.lines().find(|line| signals_by_number(line));
                    assert_eq!(found, None, "in {}", path.display());
                }
            }
        }
        look(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/adapter"));
    }

    fn signals_by_number(line: &str) -> bool {
        let banned = ["signal::kill", "killpg", "process::kill", "kill_process", "libc::kill", ".kill()", "Command::new(\"kill"];
        let is_harmless = line.ends_with(", None);") || line.trim() == "child.kill()?;";
        !is_harmless && banned.iter().any(|word| line.contains(word))
    }
}
