//! Finding the nginx that serves a configuration. A pid file is a hint: it can be stale, empty, or name a stranger. A process is our
//! master when it runs the configured binary, calls itself a master, and serves the configured file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::adapter::clock;
use crate::adapter::nginx::Memory;
use crate::adapter::nginx::binary::{self, Binary};
use crate::adapter::nginx::config::{self, same_file};
use crate::adapter::nginx::process::{self, Seen};
use crate::model::desired::ProxySpec;
use crate::model::id::Identity;
use crate::model::observed::{Nginx, Observation, Worker};

/// `src/os/unix/ngx_process_cycle.c`
const MASTER: &str = "nginx: master process";
const WORKER: &str = "nginx: worker process";
const LEAVING: &str = "is shutting down";
const UPGRADE: &str = "a binary upgrade of nginx is under way";

/// The configuration that a master was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Started {
    /// `-c`, absolute.
    pub(super) config: PathBuf,
    /// `-p`, absolute; `None`: the built-in one.
    pub(super) prefix: Option<PathBuf>,
}

/// The nginx that serves this configuration.
pub(super) fn find(memory: &Memory, proxy: &ProxySpec) -> Observation<Nginx> {
    let binary = match binary::find(&memory.binary, &proxy.nginx.binary) {
        Ok(binary) => binary,
        Err(why) => return Observation::Unknown(why),
    };
    let pid_file = pid_file(memory, proxy, &binary);
    let by_file = match named(&pid_file) {
        Named::Hidden(pid) => {
            let file = pid_file.display();
            return Observation::Unknown(format!("process {pid}, which {file} names, cannot be looked at by this user"));
        }
        Named::Pid(pid) => process::look(pid).filter(|seen| serves(seen, proxy, &binary)),
        Named::Nobody => None,
    };
    let masters = by_file.map_or_else(|| scan(proxy, &binary), |seen| vec![seen]);
    if masters.iter().any(|master| upgrading(master, &pid_file)) {
        return Observation::Unknown(UPGRADE.to_owned());
    }
    match masters.as_slice() {
        [] => Observation::Absent,
        [master] => described(master, &binary),
        several => {
            let pids: Vec<String> = several.iter().map(|master| master.pid.to_string()).collect();
            let (config, pids) = (proxy.nginx.config.display(), pids.join(", "));
            Observation::Unknown(format!(
                "several nginx masters serve {config}: {pids}; {} does not tell them apart",
                pid_file.display()
            ))
        }
    }
}

fn described(master: &Seen, binary: &Binary) -> Observation<Nginx> {
    let Ok(boot) = clock::boot_id() else { return Observation::Unknown("this boot's id cannot be read".to_owned()) };
    let worker = |child: &Seen| {
        let accepting = !child.title.contains(LEAVING);
        child.title.starts_with(WORKER).then_some(Worker { pid: child.pid, start: child.start, accepting })
    };
    let mut workers: Vec<Worker> = process::children(master.pid).iter().filter_map(worker).collect();
    workers.sort();
    let master = Identity { boot, pid: master.pid, start: master.start, cookie: None };
    Observation::Known(Nginx { master, version: binary.build.version.clone(), workers })
}

/// What a pid file says.
enum Named {
    Pid(u32),
    /// There is such a process, and `/proc` does not show it to us (`hidepid`, proc(5)).
    Hidden(u32),
    Nobody,
}

fn named(file: &Path) -> Named {
    let Some(pid) = fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<u32>().ok()) else { return Named::Nobody };
    let raw = i32::try_from(pid).ok().filter(|pid| *pid > 0);
    let Some(raw) = raw else { return Named::Nobody };
    let there = nix::sys::signal::kill(nix::unistd::Pid::from_raw(raw), None);
    let hidden = there == Err(nix::errno::Errno::EPERM) && !Path::new(&format!("/proc/{pid}")).exists();
    if hidden { Named::Hidden(pid) } else { Named::Pid(pid) }
}

/// The manifest's, else the configuration's, else the built-in one.
fn pid_file(memory: &Memory, proxy: &ProxySpec, binary: &Binary) -> PathBuf {
    let configured = || {
        let config = config::load(&memory.config, &proxy.nginx.config);
        let said = config.main("pid").and_then(<[String]>::first).cloned();
        said.map(|file| binary.build.prefix.join(file))
    };
    proxy.nginx.pid_file.clone().or_else(configured).unwrap_or_else(|| binary.build.pid_file.clone())
}

fn scan(proxy: &ProxySpec, binary: &Binary) -> Vec<Seen> {
    process::pids().into_iter().filter_map(process::look).filter(|seen| serves(seen, proxy, binary)).collect()
}

/// Whether this process is a master of the configured binary that serves the configured file.
pub(super) fn serves(seen: &Seen, proxy: &ProxySpec, binary: &Binary) -> bool {
    seen.title.starts_with(MASTER)
        && runs(seen.pid, &binary.path)
        && started(seen, binary).is_some_and(|started| serves_file(seen.pid, &started.config, &proxy.nginx.config))
}

/// The binary that a process runs; after a package upgrade the old file is gone, and the kernel says so behind the path (proc(5)).
fn runs(pid: u32, binary: &Path) -> bool {
    let Ok(exe) = fs::read_link(format!("/proc/{pid}/exe")) else {
        // Another user's process does not show its binary. Root's word is enough: root could do all that slotd can be tricked into.
        return fs::metadata(format!("/proc/{pid}")).is_ok_and(|process| process.uid() == 0);
    };
    let exe = exe.to_string_lossy().into_owned();
    Path::new(exe.strip_suffix(" (deleted)").unwrap_or(&exe)) == binary
}

/// The same name, and the same file as the master itself sees it: a container's nginx has its own `/etc/nginx`.
fn serves_file(pid: u32, started: &Path, configured: &Path) -> bool {
    let file = |path: &Path| fs::metadata(path).map(|m| (m.dev(), m.ino()));
    let within = started.strip_prefix("/").unwrap_or(started);
    match (file(&Path::new(&format!("/proc/{pid}/root")).join(within)), file(configured)) {
        (Ok(theirs), Ok(ours)) => theirs == ours,
        // Not ours to look through, or the file is gone: the names must do.
        (Err(_), _) | (_, Err(_)) => same_file(started, configured),
    }
}

/// What the title says about `-c` and `-p`; the title is the command line joined by blanks (`src/os/unix/ngx_process_cycle.c`).
pub(super) fn started(seen: &Seen, binary: &Binary) -> Option<Started> {
    let words: Vec<&str> = seen.title.strip_prefix(MASTER)?.split_whitespace().collect();
    let value = |flag: &str| {
        let at = words.iter().skip(1).position(|word| word.starts_with(flag))? + 1;
        let glued = words[at].strip_prefix(flag).filter(|rest| !rest.is_empty());
        glued.or_else(|| words.get(at + 1).copied()).map(PathBuf::from)
    };
    let home = || fs::read_link(format!("/proc/{}/cwd", seen.pid)).unwrap_or_else(|_| PathBuf::from("/"));
    let prefix = value("-p").map(|prefix| if prefix.is_absolute() { prefix } else { home().join(prefix) });
    let under = prefix.clone().unwrap_or_else(|| binary.build.prefix.clone());
    let config = value("-c").unwrap_or_else(|| binary.build.config.clone());
    Some(Started { config: under.join(config), prefix })
}

/// During an upgrade HUP only restarts the workers of the old master, so nothing may be loaded.
/// <https://nginx.org/en/docs/control.html#upgrade>
fn upgrading(master: &Seen, pid_file: &Path) -> bool {
    let is_master = |pid| process::look(pid).is_some_and(|seen| seen.title.starts_with(MASTER));
    let mut old = pid_file.as_os_str().to_owned();
    old.push(".oldbin");
    let old_lives = match named(Path::new(&old)) {
        Named::Pid(pid) => is_master(pid),
        Named::Hidden(_) => true,
        Named::Nobody => false,
    };
    old_lives || is_master(master.parent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::nginx::binary::Build;

    fn read(title: &str) -> Option<Started> {
        let build = Build {
            version: "1".into(),
            prefix: "/usr/share/nginx".into(),
            config: "/etc/nginx/nginx.conf".into(),
            pid_file: "/run/nginx.pid".into(),
            user: "nobody".into(),
        };
        let seen = Seen { pid: std::process::id(), start: 1, parent: 1, title: title.into() };
        started(&seen, &Binary { path: "/usr/sbin/nginx".into(), build })
    }

    #[test]
    fn the_title_tells_the_configuration() {
        let config = |title| read(title).unwrap().config;
        assert_eq!(config("nginx: master process /usr/sbin/nginx"), Path::new("/etc/nginx/nginx.conf"));
        assert_eq!(config("nginx: master process nginx -g daemon on; master_process on;"), Path::new("/etc/nginx/nginx.conf"));
        assert_eq!(config("nginx: master process nginx -c /a.conf"), Path::new("/a.conf"));
        assert_eq!(config("nginx: master process nginx -p /x -ca.conf"), Path::new("/x/a.conf"));
        assert_eq!(read("nginx: worker process"), None);
    }
}
