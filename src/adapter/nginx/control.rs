//! Testing a configuration, and telling the verified master to load it.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::adapter::nginx::binary::{self, Binary};
use crate::adapter::nginx::file::io_error;
use crate::adapter::nginx::process::{self, Seen};
use crate::adapter::nginx::run::{Ended, run};
use crate::adapter::nginx::{Memory, master};
use crate::host::proxy::ProxyError;
use crate::model::desired::ProxySpec;
use crate::model::observed::Nginx;

/// A large configuration with many certificates is tested in a second or two; a name that does not resolve takes longer.
const TEST_LIMIT: Duration = Duration::from_secs(30);
/// `systemctl reload` waits for the unit's own command.
const RELOAD_LIMIT: Duration = Duration::from_secs(60);

/// Lets nginx read its configuration from disk with the arguments of the running master.
pub(super) fn test(memory: &Memory, proxy: &ProxySpec, nginx: &Nginx) -> Result<(), ProxyError> {
    let (seen, binary) = verified(memory, proxy, nginx)?;
    let gone = || ProxyError::MasterGone { pid: nginx.master.pid };
    let started = master::started(&seen, &binary).ok_or_else(gone)?;
    let mut command = Command::new(&binary.path);
    command.arg("-t").arg("-c").arg(&started.config);
    if let Some(prefix) = &started.prefix {
        command.arg("-p").arg(prefix);
    }
    let ended = run(&mut command, TEST_LIMIT).map_err(io_error("run", &binary.path))?;
    if ended.status.success() || cannot_tell(&ended) { Ok(()) } else { Err(ProxyError::Refused { said: complaint(&ended.said) }) }
}

/// Without root, nginx finds the syntax good and then may not open the master's logs and pid file: that says nothing about the text.
fn cannot_tell(ended: &Ended) -> bool {
    let denied = complaint(&ended.said).contains("(13: Permission denied)");
    !nix::unistd::geteuid().is_root() && denied && ended.said.contains("syntax is ok")
}

/// nginx's own line: the first `[emerg]`, else the last that it said.
fn complaint(said: &str) -> String {
    if let Some((_, why)) = said.lines().find_map(|line| line.split_once("[emerg] ")) {
        // Where nginx's own log is the terminal, it stamps the line with the time before and `pid#thread: ` behind the level.
        let stamp = |stamp: &str| stamp.chars().all(|c| c.is_ascii_digit() || c == '#');
        let why = why.split_once(": ").filter(|(start, _)| stamp(start)).map_or(why, |(_, why)| why);
        return format!("[emerg] {why}");
    }
    said.lines().last().unwrap_or("nothing").trim_start_matches("nginx: ").to_owned()
}

/// The master as it is now, if it still is the one that was seen and still serves this configuration.
fn verified(memory: &Memory, proxy: &ProxySpec, nginx: &Nginx) -> Result<(Seen, Binary), ProxyError> {
    let gone = || ProxyError::MasterGone { pid: nginx.master.pid };
    let binary = binary::find(&memory.binary, &proxy.nginx.binary)
        .map_err(|why| io_error("run", Path::new(&proxy.nginx.binary))(io::Error::other(why)))?;
    let seen = process::look(nginx.master.pid).filter(|_| process::is(&nginx.master)).ok_or_else(gone)?;
    if master::serves(&seen, proxy, &binary) { Ok((seen, binary)) } else { Err(gone()) }
}

/// Tests, then HUP to exactly this master, or the manifest's own command.
pub(super) fn reload(memory: &Memory, proxy: &ProxySpec, nginx: &Nginx) -> Result<(), ProxyError> {
    test(memory, proxy, nginx)?;
    proxy.nginx.reload_command.as_deref().map_or_else(|| hang_up(memory, proxy, nginx), by_command)
}

fn hang_up(memory: &Memory, proxy: &ProxySpec, nginx: &Nginx) -> Result<(), ProxyError> {
    let pid = nginx.master.pid;
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(ProxyError::MasterGone { pid })?;
    let pinned = pidfd_open(raw, PidfdFlags::empty()).map_err(|_| ProxyError::MasterGone { pid })?;
    // Compared after it is pinned: whoever has this pid now cannot be followed by another before the signal.
    verified(memory, proxy, nginx)?;
    let proc = format!("/proc/{pid}");
    pidfd_send_signal(pinned, Signal::HUP).map_err(|error| io_error("signal", Path::new(&proc))(error.into()))
}

fn by_command(words: &[String]) -> Result<(), ProxyError> {
    let failed = |status: String, said: &str| ProxyError::Command {
        command: words.join(" "),
        status,
        said: said.lines().last().unwrap_or("nothing").to_owned(),
    };
    let (program, arguments) = words.split_first().ok_or_else(|| failed("nothing to run".to_owned(), ""))?;
    let ended = run(Command::new(program).args(arguments), RELOAD_LIMIT);
    let ended = ended.map_err(|error| failed("an error".to_owned(), &error.to_string()))?;
    if ended.status.success() { Ok(()) } else { Err(failed(ended.status.to_string(), &ended.said)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nginx_is_quoted_by_its_first_emergency() {
        let said = "nginx: [warn] a\nnginx: [emerg] unknown directive \"x\" in /f:1\nnginx: configuration file /f test failed\n";
        assert_eq!(complaint(said), "[emerg] unknown directive \"x\" in /f:1");
        assert_eq!(complaint("2026/11/23 21:20:10 [emerg] 9#9: no \"x\": y\n"), "[emerg] no \"x\": y");
    }

    #[test]
    fn a_reload_command_that_fails_is_quoted() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(by_command(&words("true")).is_ok());
        let failed = by_command(&words("ls /nonexistent-folder")).unwrap_err().to_string();
        assert!(failed.starts_with("`ls /nonexistent-folder` ended with exit status: 2: ls:"), "{failed}");
        assert!(by_command(&words("no-such-command-here")).is_err());
    }
}
