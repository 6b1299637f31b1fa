//! What the configuration says where the route is used, and whether the running nginx is the one that the files speak of.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::adapter::LinuxHost;
use crate::adapter::nginx::config::{self, Config, same_file};
use crate::adapter::nginx::lexer::Directive;
use crate::adapter::nginx::servers::{self, Server};
use crate::adapter::nginx::{Memory, binary, faults, master, write};
use crate::adapter::process::stat;
use crate::host::survey::Survey;
use crate::model::desired::{ProxySpec, ServiceSpec};
use crate::model::observed::Nginx;
use crate::model::route::Include;
use crate::model::setup::{CONNECTION, Setting, Settings, Setup, Spot, Way};

/// What decides over a client's requests around a cutover.
const IN_FORCE: [&str; 5] =
    ["keepalive_timeout", "keepalive_min_timeout", "keepalive_requests", "proxy_cache", "proxy_http_version"];
const MAIN: [&str; 1] = ["worker_shutdown_timeout"];

/// Stamps are taken in whole seconds here; a file written this long after the workers began is certainly not what they read.
const CERTAINLY_LATER: Duration = Duration::from_secs(1);

impl Survey for LinuxHost {
    fn survey(&self, service: &ServiceSpec) -> Setup {
        of_nginx(&self.nginx, &self.state, service)
    }
}

fn of_nginx(memory: &Memory, state: &Path, service: &ServiceSpec) -> Setup {
    let proxy = &service.proxy;
    let config = config::load(&memory.config, &proxy.nginx.config);
    let on_disk = binary::find(&memory.binary, &proxy.nginx.binary).ok().map(|binary| binary.build.version);
    let nginx = master::find(memory, proxy).map(running_version);
    let servers = servers::of(&config, proxy);
    Setup {
        on_disk,
        changed: nginx.known().and_then(|nginx| changed(&config, nginx)),
        installed: installed(state, service),
        faults: faults::find(memory, proxy, nginx.known()),
        main: config.tree.iter().filter(|d| MAIN.contains(&d.name.as_str())).map(setting).collect(),
        ways: servers.iter().flat_map(|server| ways(server, proxy)).collect(),
        reuseport: servers.iter().flat_map(reuseport).collect(),
        nginx,
        migrates: kernel("tcp_migrate_req") == "1",
        outgoing: ranges(&kernel("ip_local_port_range").replace('\t', "-")).first().copied(),
        reserved: ranges(&kernel("ip_local_reserved_ports")),
    }
}

/// A setting of the kernel's network; empty: it does not have it. `tcp_migrate_req` is there since Linux 5.14.
/// <https://docs.kernel.org/networking/ip-sysctl.html>
fn kernel(name: &str) -> String {
    fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default().trim().to_owned()
}

/// `8080,9000-9100`
fn ranges(text: &str) -> Vec<(u16, u16)> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
    };
    text.split(',').filter_map(range).collect()
}

/// After an upgrade of the package the master runs a file that is gone; it can still be asked through the kernel (proc(5)).
fn running_version(nginx: Nginx) -> Nginx {
    let exe = format!("/proc/{}/exe", nginx.master.pid);
    let replaced = fs::read_link(&exe).is_ok_and(|path| path.to_string_lossy().ends_with(" (deleted)"));
    let asked = replaced.then(|| binary::version(Command::new(exe).arg("-V"))).flatten();
    Nginx { version: asked.unwrap_or_else(|| nginx.version.clone()), ..nginx }
}

fn installed(state: &Path, service: &ServiceSpec) -> bool {
    matches!(write::include(state, service).known(), Some(Include::Ours(text)) if text.form.has_flags())
}

/// A file that was changed after the youngest worker began: since the last load.
fn changed(config: &Config, nginx: &Nginx) -> Option<Spot> {
    let youngest = nginx.workers.iter().filter(|worker| worker.accepting).map(|worker| worker.pid);
    let age = youngest.filter_map(|pid| stat::read(pid).ok()).map(|stat| stat.age()).min()?;
    let later = |path: &Path| {
        let ctime = fs::metadata(path).ok().and_then(|meta| u64::try_from(meta.ctime()).ok());
        let since = ctime.and_then(|seconds| SystemTime::now().duration_since(UNIX_EPOCH + Duration::from_secs(seconds)).ok());
        since.is_some_and(|since| since + CERTAINLY_LATER < age)
    };
    config.files.iter().find(|path| later(path)).map(|path| Spot { file: path.to_path_buf(), line: None })
}

fn setting(directive: &Directive) -> (String, Setting) {
    (directive.name.clone(), Setting { args: directive.args.clone(), at: Spot::from(&directive.at) })
}

/// Each use of the variable, with what the nearest block around it says.
fn ways(server: &Server<'_>, proxy: &ProxySpec) -> Vec<Way> {
    let mut ways = Vec::new();
    servers::walk(server.body, &mut |directive, around| {
        let uses = directive.args.iter().any(|argument| servers::holds_variable(argument, &proxy.variable));
        if uses && directive.name != "set" && !same_file(&directive.at.file, &proxy.include) {
            let blocks = around.iter().rev().filter_map(|d| d.block.as_deref()).chain([server.body, server.http]);
            ways.push(Way { at: Spot::from(&directive.at), settings: in_force(blocks) });
        }
    });
    ways
}

/// The nearest block comes first, and wins.
fn in_force<'a>(blocks: impl Iterator<Item = &'a [Directive]> + Clone) -> Settings {
    let mut settings: Settings = connection(blocks.clone()).into_iter().collect();
    for directive in blocks.flatten().filter(|d| IN_FORCE.contains(&d.name.as_str())) {
        let (name, setting) = setting(directive);
        settings.entry(name).or_insert(setting);
    }
    settings
}

/// The nearest block that sets any header sets them all. <https://nginx.org/r/proxy_set_header>
fn connection<'a>(mut blocks: impl Iterator<Item = &'a [Directive]>) -> Option<(String, Setting)> {
    let sets = |d: &&Directive| d.name == "proxy_set_header";
    let headers = blocks.find(|block| block.iter().any(|d| sets(&d)))?.iter().filter(sets);
    let value = |d: &Directive| match d.args.as_slice() {
        [name, value] if name.eq_ignore_ascii_case("connection") => Some(value.clone()),
        _ => None,
    };
    let found = headers.filter_map(|d| Some(Setting { args: vec![value(d)?], at: Spot::from(&d.at) })).next_back()?;
    Some((CONNECTION.to_owned(), found))
}

/// `reuseport` is a property of the socket, whichever server of the address says it.
/// <https://nginx.org/en/docs/http/ngx_http_core_module.html#listen>
fn reuseport(server: &Server<'_>) -> Vec<Spot> {
    let addresses: Vec<&String> = server.body.iter().filter(|d| d.name == "listen").filter_map(|d| d.args.first()).collect();
    let shared = |d: &&Directive| d.args.first().is_some_and(|address| addresses.contains(&address));
    let all = server.http.iter().filter(|d| d.name == "server").filter_map(|d| d.block.as_deref()).flatten();
    let found = all.filter(|d| d.name == "listen" && d.args.iter().any(|word| word == "reuseport")).filter(shared);
    found.map(|d| Spot::from(&d.at)).collect()
}
