//! Many services behind one nginx, for what slotd itself costs: each with a server of its own, two slots, a live process and a standby.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};

use crate::support::jar;
use crate::support::nginx::{self, Nginx};
use crate::support::port::Port;
use crate::support::process::{self, MARK};
use crate::support::slotd::{Background, Ended, Slotd};
use crate::support::wait::until;

/// Two deployments of 200 services start 400 processes on two cores.
const LONGEST: Duration = Duration::from_secs(300);

/// A host with so many services.
pub(crate) struct Fleet {
    nginx: Nginx,
    folder: tempfile::TempDir,
    proxy: Port,
    slots: Vec<[Port; 2]>,
    standby: &'static str,
}

impl Fleet {
    /// Deploys two releases of each, so that one runs and the one before is its standby (`running` or `stopped`).
    pub(crate) fn deployed(services: usize, standby: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let proxy = Port::reserve();
        let slots: Vec<_> = (0..services).map(|_| [Port::reserve(), Port::reserve()]).collect();
        let address = SocketAddr::from(([127, 0, 0, 1], proxy.number()));
        let prefix = folder.path().join("nginx");
        let include = |number| prefix.join(format!("conf.d/{}.inc", name(number))).display().to_string();
        let server = |number: usize| {
            let (name, include) = (name(number), include(number));
            let route = format!("location / {{ proxy_pass $url_{name}; proxy_set_header Host $http_host; }}");
            format!("server {{ listen {address}; server_name {name}.test; include {include}; {route} }}\n")
        };
        let servers: String = (0..services).map(server).collect();
        let nginx = Nginx::serving(&prefix, address, &servers);
        for (number, [first, _]) in slots.iter().enumerate() {
            fs::write(include(number), format!("set $url_{} http://127.0.0.1:{};\n", name(number), first.number())).unwrap();
        }
        nginx.start();
        let fleet = Self { nginx, folder, proxy, slots, standby };
        fleet.deploy("1");
        fleet.deploy("2");
        until("the end of each bake is noted, so that there is nothing to do", LONGEST, || {
            fleet.slotd(&["apply", "--timeout", "5m"]).expect_code(0);
            (0..services).all(|number| fleet.is_settled(number))
        });
        fleet
    }

    fn deploy(&self, version: &str) {
        let services: Map<String, Value> =
            (0..self.slots.len()).map(|number| (name(number), self.service(number, version))).collect();
        fs::write(self.manifest(), json!({ "services": services }).to_string()).unwrap();
        self.slotd(&["apply", "--timeout", "5m"]).expect_code(0);
    }

    fn is_settled(&self, number: usize) -> bool {
        let ledger = fs::read(self.state().join("services").join(name(number)).join("ledger.json")).unwrap();
        serde_json::from_slice::<Value>(&ledger).unwrap()["cutover"]["settled"] == true
    }

    fn service(&self, number: usize, version: &str) -> Value {
        let [first, second] = &self.slots[number];
        let version = format!("{version}-{}", name(number));
        json!({
            "jar": { "version": version, "path": jar::stub_jar(self.folder.path(), &version, &[]) },
            "slots": { "real1": { "port": first.number() }, "real2": { "port": second.number() } },
            "slot_policy": { "drain": "100ms", "drain_deadline": "1s", "bake": "100ms", "standby": self.standby },
            "launch": { "java": jar::stub_binary(), "env": { MARK: self.folder.path() } },
            "health": { "deadline": "2m" },
            "proxy": {
                "url": format!("http://127.0.0.1:{}/profile", self.proxy.number()),
                "host": format!("{}.test", name(number)),
                "variable": format!("url_{}", name(number)),
                "include": self.folder.path().join(format!("nginx/conf.d/{}.inc", name(number))),
                "nginx": { "config": self.nginx.config(), "binary": nginx::binary() },
            },
        })
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.folder.path().join("desired.yaml")
    }

    fn calls(&self) -> Slotd {
        Slotd::new(&self.manifest(), &self.state())
    }

    /// A dry run that finds nothing to do; not through [`Slotd`], which looks for the end now and then.
    pub(crate) fn plan_converged(&self) {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_slotd"));
        command.arg("-f").arg(self.manifest()).arg("--state-dir").arg(self.state());
        let output = command.args(["plan", "--detailed-exitcode"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    fn slotd(&self, arguments: &[&str]) -> Ended {
        self.calls().spawn(arguments).wait(LONGEST)
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Background {
        self.calls().spawn(arguments)
    }
}

fn name(number: usize) -> String {
    format!("s{number}")
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let folder = self.folder.path().to_str().unwrap_or_default().to_owned();
        for process in process::of_site(&folder) {
            process::signal(process.pid, Signal::SIGKILL);
        }
    }
}

/// Other processes on the host, all asleep, in a process group of their own which ends with this.
pub(crate) struct Strangers(Option<std::process::Child>);

impl Strangers {
    /// Starts so many; fewer where the host does not permit more. Gives how many there are.
    pub(crate) fn sleeping(wanted: usize) -> (Self, usize) {
        use std::os::unix::process::CommandExt;
        if wanted == 0 {
            return (Self(None), 0);
        }
        let script = format!("i=0; while [ $i -lt {wanted} ]; do sleep 3600 & i=$((i+1)); done; wait");
        let mut command = std::process::Command::new("sh");
        let child = command.args(["-c", &script]).process_group(0).stderr(std::process::Stdio::null()).spawn().unwrap();
        let list = format!("/proc/{0}/task/{0}/children", child.id());
        let count = || fs::read_to_string(&list).unwrap_or_default().split_whitespace().count();
        let (mut last, mut still) = (0, Instant::now());
        until("the others are there", LONGEST, || {
            let now = count();
            if now != last {
                (last, still) = (now, Instant::now());
            }
            now >= wanted || still.elapsed() > Duration::from_secs(5)
        });
        (Self(Some(child)), count())
    }
}

impl Drop for Strangers {
    fn drop(&mut self) {
        let Some(child) = &mut self.0 else { return };
        let group = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        let _gone = nix::sys::signal::killpg(group, Signal::SIGKILL);
        let _reaped = child.wait();
    }
}
