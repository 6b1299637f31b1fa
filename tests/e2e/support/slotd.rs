//! The real binary: run to its end, or in the background and killed.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::wait::{PATIENCE, eventually};

/// The longest that one call may take.
const LONGEST: Duration = Duration::from_secs(180);

/// How to call it on one site.
pub(crate) struct Slotd {
    manifest: PathBuf,
    state: PathBuf,
}

/// What a call came to.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None`: a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {:?}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

impl Ended {
    /// Insists on an exit code; shows everything when it is another.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }
}

impl Slotd {
    pub(crate) fn new(manifest: &Path, state: &Path) -> Self {
        Self { manifest: manifest.to_owned(), state: state.to_owned() }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.spawn(arguments).wait(LONGEST)
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Background {
        Background::start(self.with_arguments(Command::new(env!("CARGO_BIN_EXE_slotd")), arguments))
    }

    /// Under `strace`, with its arguments first.
    pub(crate) fn trace(&self, strace: &[&str], arguments: &[&str]) -> Background {
        let mut command = Command::new("strace");
        command.args(strace).arg(env!("CARGO_BIN_EXE_slotd"));
        Background::start(self.with_arguments(command, arguments))
    }

    fn with_arguments(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.arg("-f").arg(&self.manifest).arg("--state-dir").arg(&self.state).args(arguments);
        command.env_remove("SLOTD_STATE_DIR").env("NO_COLOR", "1");
        command
    }
}

/// A call that is under way; killed with its process group when dropped. A slot's process is in a session of its own.
pub(crate) struct Background {
    child: Child,
    stdout: File,
    stderr: File,
}

impl Background {
    fn start(mut command: Command) -> Self {
        // files, not pipes: nothing that is started can block on them or keep them open
        let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        command.stdin(Stdio::null()).stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
        let child = command.process_group(0).spawn().expect("the binary does not start");
        Self { child, stdout, stderr }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it has said so far on standard error.
    pub(crate) fn said(&self) -> String {
        let mut bytes = vec![0; usize::try_from(self.stderr.metadata().unwrap().len()).unwrap()];
        self.stderr.read_exact_at(&mut bytes, 0).unwrap(); // not by seeking: the offset is the writer's too
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// SIGKILL, as an OOM killer or an impatient person sends it, and what it came to.
    pub(crate) fn kill_9(mut self) -> Ended {
        self.kill_group();
        self.wait(PATIENCE)
    }

    /// SIGTERM, and what it came to.
    pub(crate) fn terminate(self) -> Ended {
        super::process::signal(self.pid(), Signal::SIGTERM);
        self.wait(PATIENCE)
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn wait(mut self, within: Duration) -> Ended {
        let status = eventually("slotd ends", within, || self.child.try_wait().unwrap());
        self.ended(status)
    }

    fn ended(&mut self, status: ExitStatus) -> Ended {
        let code = if status.signal().is_some() { None } else { status.code() };
        Ended { code, stdout: content(&mut self.stdout), stderr: content(&mut self.stderr) }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    fn kill_group(&mut self) {
        if self.is_running() {
            let _gone = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.kill_group();
        let _reaped = self.child.wait();
    }
}

fn content(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
