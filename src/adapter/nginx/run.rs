//! Running a command with a bound, for the few that slotd runs: `nginx -V`, `nginx -t`, the reload command.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// How a command ended and what it said.
#[derive(Debug)]
pub(super) struct Ended {
    /// How.
    pub(super) status: ExitStatus,
    /// Both streams, in order.
    pub(super) said: String,
}

/// Runs a command to its end, or kills it when the time is up.
pub(super) fn run(command: &mut Command, limit: Duration) -> io::Result<Ended> {
    // In memory, not a pipe (which would fill) and not a file (observation writes nothing).
    let mut said = File::from(rustix::fs::memfd_create("said", rustix::fs::MemfdFlags::CLOEXEC)?);
    let streams = (Stdio::from(said.try_clone()?), Stdio::from(said.try_clone()?));
    // An inherited NGINX would make nginx take over sockets that are not there (src/core/nginx.c).
    command.env_remove("NGINX").stdin(Stdio::null()).stdout(streams.0).stderr(streams.1);
    let mut child = command.spawn()?;
    if !ended_within(&child, limit)? {
        child.kill()?;
        child.wait()?;
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("it did not end within {limit:?}")));
    }
    let status = child.wait()?;
    let mut bytes = Vec::new();
    said.rewind()?;
    said.read_to_end(&mut bytes)?;
    Ok(Ended { status, said: String::from_utf8_lossy(&bytes).into_owned() })
}

fn ended_within(child: &Child, limit: Duration) -> io::Result<bool> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    loop {
        match poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(ready) => return Ok(ready > 0),
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_says_is_kept_and_an_endless_one_is_ended() {
        let ended = run(Command::new("sh").args(["-c", "echo a; echo b >&2; exit 3"]), Duration::from_secs(10)).unwrap();
        assert_eq!((ended.status.code(), ended.said.as_str()), (Some(3), "a\nb\n"));
        let error = run(Command::new("sleep").arg("1000"), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
