//! One host in a folder: nginx, two slots, a manifest and a state; nothing of it survives the test.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::client;
use super::manifest::{Manifest, temporary};
use super::nginx::Nginx;
use super::port::Port;
use super::process::{self, MARK, Process};
use super::slotd::{Background, Ended, Slotd};
use super::status::Status;
use super::wait::{PATIENCE, until};

/// A host as one test sees it.
pub(crate) struct Site {
    /// Dropped first: it ends the processes that use the rest.
    guard: Processes,
    pub(crate) nginx: Nginx,
    folder: tempfile::TempDir,
    proxy: Port,
    slots: [Port; 2],
    legacy: Port,
}

impl Site {
    /// With nginx running, and pointed where the origin's instructions point it first: at a third port, where nothing listens.
    pub(crate) fn new() -> Self {
        Self::without_nginx().begun()
    }

    /// The same with an nginx that is ready for pools.
    pub(crate) fn pooled() -> Self {
        Self::behind(Nginx::pooled).begun()
    }

    fn begun(self) -> Self {
        self.route_to(self.legacy_port());
        self.nginx.start();
        self
    }

    /// With nginx prepared and not started, and no include.
    pub(crate) fn without_nginx() -> Self {
        Self::behind(Nginx::new)
    }

    fn behind(nginx: fn(&Path, SocketAddr) -> Nginx) -> Self {
        let folder = tempfile::Builder::new().prefix("slotd-e2e-").tempdir().unwrap();
        // nginx's workers run as another user when the test runs as root, and have to see the flags
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (proxy, slots, legacy) = (Port::reserve(), [Port::reserve(), Port::reserve()], Port::reserve());
        let nginx = nginx(&folder.path().join("nginx"), SocketAddr::from(([127, 0, 0, 1], proxy.number())));
        let guard = Processes(folder.path().to_str().unwrap().to_owned());
        Self { guard, nginx, folder, proxy, slots, legacy }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where users come in.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.proxy.number()))
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.path().join("desired.yaml")
    }

    /// The port of `real1` or `real2`.
    pub(crate) fn port(&self, slot: &str) -> u16 {
        match slot {
            "real1" => self.slots[0].number(),
            "real2" => self.slots[1].number(),
            other => panic!("no slot {other}"),
        }
    }

    /// Where an application runs that was there before there were slots.
    pub(crate) fn legacy_port(&self) -> u16 {
        self.legacy.number()
    }

    /// Writes the include as the scripts do, and reloads nothing.
    pub(crate) fn route_to(&self, port: u16) {
        fs::write(self.nginx.include(), format!("set $service_url http://127.0.0.1:{port};\n")).unwrap();
    }

    /// Puts the manifest where slotd reads it, whole or not at all.
    pub(crate) fn desire(&self, manifest: &Manifest) {
        let aside = self.path().join(".desired.yaml");
        fs::write(&aside, manifest.yaml()).unwrap();
        fs::rename(aside, self.manifest()).unwrap();
    }

    /// Runs the binary to its end.
    pub(crate) fn slotd(&self, arguments: &[&str]) -> Ended {
        Slotd::new(&self.manifest(), &self.state()).run(arguments)
    }

    /// Starts the binary and returns.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Background {
        Slotd::new(&self.manifest(), &self.state()).spawn(arguments)
    }

    /// Starts the binary under `strace` with these arguments, and returns.
    pub(crate) fn trace(&self, strace: &[&str], arguments: &[&str]) -> Background {
        Slotd::new(&self.manifest(), &self.state()).trace(strace, arguments)
    }

    /// Deploys, and insists on it.
    #[track_caller]
    pub(crate) fn deploy(&self, manifest: &Manifest) -> Ended {
        self.desire(manifest);
        self.slotd(&["apply"]).expect_code(0)
    }

    /// What slotd says about the service.
    #[track_caller]
    pub(crate) fn status(&self) -> Status {
        Status::parse(&self.slotd(&["status", "-o", "json"]).expect_code(0).stdout)
    }

    /// Waits until slotd calls the service converged on this version.
    #[track_caller]
    pub(crate) fn await_converged(&self, version: &str) {
        let mut last = String::new();
        until(&format!("converged on {version}"), PATIENCE, || {
            let status = self.status();
            last = status.to_string();
            status.status() == "converged" && status.live_version() == Some(version)
        });
    }

    /// The applications that run here, whoever started them.
    pub(crate) fn apps(&self) -> Vec<Process> {
        process::of_site(&self.guard.0).into_iter().filter(|process| process.app).collect()
    }

    /// How many processes slotd ever started here: each start has a log file of its own.
    pub(crate) fn starts(&self) -> usize {
        let logs = fs::read_dir(self.state().join("services/webservice/logs"));
        logs.map_or(0, |files| {
            files.filter(|file| file.as_ref().is_ok_and(|f| f.file_name().to_string_lossy().ends_with(".log"))).count()
        })
    }

    /// Starts the real application as `start.sh` does: no slotd, nobody waits for it, its output in one file.
    pub(crate) fn launch_by_script(&self, jar: &Path, profile: &str, port: u16) {
        let output = fs::File::create(self.path().join(format!("nohup-{profile}.out"))).unwrap();
        let started = Command::new("setsid")
            .args(["--fork", "nohup", "java", &temporary(self), "-jar"])
            .arg(format!("-Dspring.profiles.active={profile}"))
            .arg(jar)
            .env(MARK, self.path())
            .env("SERVER_PORT", port.to_string())
            .stdin(Stdio::null())
            .stderr(output.try_clone().unwrap())
            .stdout(output)
            .status();
        assert!(started.unwrap().success(), "setsid does not start");
    }

    /// The same, until it answers.
    pub(crate) fn start_by_script(&self, jar: &Path, profile: &str, port: u16) {
        self.launch_by_script(jar, profile, port);
        await_profile(profile, port);
    }
}

/// Waits until the application on a port says that it is this one.
#[track_caller]
pub(crate) fn await_profile(profile: &str, port: u16) {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    until(&format!("{profile} answers"), PATIENCE, || {
        client::get(address, "/profile").is_ok_and(|answer| answer.status == 200 && answer.text() == profile)
    });
}

/// Ends every process of a site when dropped.
struct Processes(String);

impl Drop for Processes {
    fn drop(&mut self) {
        // twice: one that was just forking is seen the second time
        for _ in 0..2 {
            for process in process::of_site(&self.0) {
                process::signal(process.pid, Signal::SIGKILL);
            }
        }
    }
}
