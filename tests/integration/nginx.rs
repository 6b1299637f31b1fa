//! The nginx adapter against a real, private nginx: its own folder, its own ports, stopped by its own pid.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use slotd::adapter::LinuxHost;
use slotd::host::proxy::{Proxy, ProxyError};
use slotd::model::desired::*;
use slotd::model::id::{Port, ServiceName, SlotName};
use slotd::model::observed::{Loaded, Nginx, Observation};
use slotd::model::route::{RouteForm, RouteText, Target};

/// A folder with a configuration, and whatever of nginx was started in it.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
    pub(crate) root: PathBuf,
    plain: u16,
    tls: u16,
    pub(crate) service: ServiceSpec,
    pub(crate) host: LinuxHost,
}

/// Ends every nginx that was started with this bench's folder in its command line: the pid file may be what a test broke.
impl Drop for Bench {
    fn drop(&mut self) {
        for pid in self.titled() {
            signal(pid, "QUIT");
            wait("nginx ends", || !alive(pid));
        }
    }
}

/// A child that a test wants to see unharmed.
struct Victim(Child);

impl Victim {
    fn new() -> Self {
        Self(Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "{what}: not within 20 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within 20 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status();
}

fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A certificate that nobody trusts, made once.
static CERTIFICATE: LazyLock<(String, String)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let (key, cert) = (dir.path().join("key.pem"), dir.path().join("cert.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=b.test", "-addext", "subjectAltName=DNS:b.test", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    (fs::read_to_string(key).unwrap(), fs::read_to_string(cert).unwrap())
});

pub(crate) const ROUTE: &str = "include ROOT/service-url.inc; location / { proxy_pass $service_url; }";

impl Bench {
    /// An http and an https server of the same service.
    fn new() -> Self {
        Self::with(&format!(
            "server {{ listen 127.0.0.1:PLAIN; server_name _; return 444; }}
             server {{ listen 127.0.0.1:PLAIN; server_name a.test; {ROUTE} }}
             server {{ listen 127.0.0.1:TLS ssl; server_name other.test; ssl_certificate ROOT/cert.pem; ssl_certificate_key ROOT/key.pem; return 444; }}
             server {{ listen 127.0.0.1:TLS ssl; server_name b.test; ssl_certificate ROOT/cert.pem; ssl_certificate_key ROOT/key.pem; {ROUTE} }}"
        ))
    }

    pub(crate) fn with(servers: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::write(root.join("key.pem"), &CERTIFICATE.0).unwrap();
        fs::write(root.join("cert.pem"), &CERTIFICATE.1).unwrap();
        fs::create_dir(root.join("logs")).unwrap();
        let (plain, tls) = (free_port(), free_port());
        let service = service(&root);
        let bench = Self { host: LinuxHost::new(root.join("state")), dir, root, plain, tls, service };
        bench.configure(servers);
        bench
    }

    fn configure(&self, servers: &str) {
        let temps: String =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|name| format!("{name}_temp_path ROOT/{name};\n")).concat();
        let text = format!(
            "daemon on; worker_processes 1; pid ROOT/nginx.pid; error_log ROOT/logs/error.log;
             events {{ worker_connections 64; }}
             http {{ access_log off; {temps} {servers} }}\n"
        );
        fs::write(self.service.proxy.nginx.config.clone(), self.filled(&text)).unwrap();
    }

    pub(crate) fn filled(&self, text: &str) -> String {
        text.replace("ROOT", self.root.to_str().unwrap())
            .replace("PLAIN", &self.plain.to_string())
            .replace("TLS", &self.tls.to_string())
    }

    pub(crate) fn start(&self) -> Nginx {
        self.start_binary(&binary())
    }

    pub(crate) fn start_binary(&self, program: &Path) -> Nginx {
        self.run(Command::new(program), &self.service.proxy.nginx.config);
        // A worker names itself a moment after it was forked.
        wait("titles", || self.nginx().known().is_some_and(|nginx| !nginx.workers.is_empty()));
        self.nginx().known().cloned().unwrap_or_else(|| panic!("{:?}", self.nginx()))
    }

    /// In a mount namespace of its own with another folder at this place; not where that is forbidden.
    pub(crate) fn start_with_another(&self, folder: &Path) -> bool {
        let mount = format!("mount -t tmpfs none '{}' && exec \"$0\" \"$@\"", folder.display());
        let within = |script: &str| {
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", script]);
            command
        };
        let may = within(&mount.replace("\"$0\"", "true")).output().is_ok_and(|output| output.status.success());
        if may {
            let mut command = within(&mount);
            command.arg(binary());
            self.run(command, &self.service.proxy.nginx.config);
        }
        may
    }

    fn start_with(&self, config: &Path) {
        self.run(Command::new(binary()), config);
    }

    fn run(&self, mut command: Command, config: &Path) {
        let log = self.root.join("logs/error.log");
        let before = self.masters().len();
        let started = command.arg("-e").arg(&log).arg("-c").arg(config).output().unwrap();
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        // The command ends at the fork; the new master takes its title, and its workers, a moment later.
        wait("workers", || self.masters().len() > before);
    }

    pub(crate) fn nginx(&self) -> Observation<Nginx> {
        self.host.nginx(&self.service.proxy)
    }

    /// With workers: a worker that was forked just now still has its master's title.
    pub(crate) fn masters(&self) -> Vec<u32> {
        self.titled().into_iter().filter(|pid| !children(*pid).is_empty()).collect()
    }

    fn titled(&self) -> Vec<u32> {
        let root = self.root.to_str().unwrap();
        let pids = fs::read_dir("/proc").unwrap().filter_map(|e| e.ok()?.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let title = String::from_utf8_lossy(&title).into_owned();
            title.starts_with("nginx: master process") && title.contains(root)
        })
        .collect()
    }

    fn pid_file(&self) -> PathBuf {
        self.root.join("nginx.pid")
    }

    fn faults(&self) -> Vec<String> {
        let nginx = self.nginx();
        self.host.faults(&self.service, nginx.known())
    }
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

pub(crate) fn binary() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join("nginx")).find(|path| path.exists()).expect("these tests need nginx")
}

pub(crate) fn slot(name: &str) -> SlotName {
    SlotName::new(name)
}

fn text(form: RouteForm, generation: u64, slots: &[(&str, u16)]) -> RouteText {
    let targets = slots.iter().map(|(name, port)| Target { slot: slot(name), port: Port(*port) }).collect();
    RouteText { generation, nonce: "c0ffee".into(), form, targets }
}

pub(crate) fn both(generation: u64) -> RouteText {
    text(RouteForm::Flag, generation, &[("real1", 8081), ("real2", 8082)])
}

fn service(root: &Path) -> ServiceSpec {
    let place = |name: &str, port| SlotSpec { name: slot(name), port: Port(port) };
    ServiceSpec {
        name: ServiceName::new("webservice"),
        moved_from: None,
        jar: JarSpec { version: "1".into(), path: "/app.jar".into(), sha256: None, rollback_safe: true },
        slots: vec![place("real1", 8081), place("real2", 8082)],
        slot_policy: SlotPolicy {
            standby: Standby::Running,
            standby_for: None,
            drain: Duration::from_secs(30),
            drain_deadline: Duration::from_secs(120),
            promote: Promote::Auto,
            bake: Duration::from_secs(60),
            on_crash: OnCrash::Standby,
            max_attempts: 3,
            port_conflict: PortConflict::SameApp,
        },
        launch: LaunchSpec {
            java: "java".into(),
            jvm_args: vec![],
            args: vec![],
            profiles: vec![],
            config_locations: vec![],
            env: BTreeMap::new(),
            env_file: None,
            user: None,
            working_dir: None,
            stop_timeout: Duration::from_secs(40),
            boot: slotd::model::desired::Boot::Auto,
        },
        health: HealthSpec {
            scheme: Scheme::Http,
            ports: BTreeMap::new(),
            path: "/profile".into(),
            status: 200,
            expect: Some("{slot}".into()),
            interval: Duration::from_millis(100),
            timeout: Duration::from_secs(2),
            successes: 2,
            deadline: Duration::from_secs(300),
        },
        proxy: ProxySpec {
            url: None,
            host: None,
            ca: None,
            include: root.join("service-url.inc"),
            variable: "service_url".into(),
            upstream_host: "127.0.0.1".into(),
            cutover: CutoverMode::Flag,
            flag_dir: root.join("service-url.inc.live"),
            upstream: Upstream::Address,
            pool_include: root.join("service-url.inc.pool.conf"),
            nginx: NginxSpec {
                binary: binary().to_str().unwrap().into(),
                config: root.join("nginx.conf"),
                pid_file: None,
                reload_command: None,
            },
        },
    }
}

#[test]
fn no_nginx_is_absent_and_a_running_one_is_found_with_its_workers() {
    let bench = Bench::new();
    assert_eq!(bench.nginx(), Observation::Absent);
    bench.host.write(&bench.service, &both(1), &slot("real1"), None).unwrap();
    let nginx = bench.start();
    assert_eq!(vec![nginx.master.pid], bench.masters());
    assert_eq!(nginx.workers.iter().map(|w| (w.pid, w.accepting)).collect::<Vec<_>>(), [(children(nginx.master.pid)[0], true)]);
    assert!(nginx.version.starts_with("1."), "{}", nginx.version);
    assert_eq!(bench.faults(), Vec::<String>::new());
}

#[test]
fn a_pid_file_that_names_a_stranger_finds_the_master_and_harms_nobody() {
    let bench = Bench::new();
    bench.host.write(&bench.service, &both(1), &slot("real1"), None).unwrap();
    let mut victim = Victim::new();
    fs::write(bench.pid_file(), format!("{}\n", victim.0.id())).unwrap();
    assert_eq!(bench.nginx(), Observation::Absent);
    let nginx = bench.start();
    fs::write(bench.pid_file(), format!("{}\n", victim.0.id())).unwrap();
    assert_eq!(bench.nginx(), Observation::Known(nginx.clone()));

    let worker = nginx.workers[0].pid;
    bench.host.reload(&bench.service.proxy, &nginx).unwrap();
    wait("the master follows the signal", || !alive(worker));
    assert!(victim.0.try_wait().unwrap().is_none(), "the stranger of the pid file lives on");

    let mut other = nginx.clone();
    other.master.pid = victim.0.id();
    let result = bench.host.reload(&bench.service.proxy, &other);
    assert!(matches!(result, Err(ProxyError::MasterGone { .. })), "{result:?}");
    let mut reused = nginx;
    reused.master.start += 1;
    let result = bench.host.reload(&bench.service.proxy, &reused);
    assert!(matches!(result, Err(ProxyError::MasterGone { .. })), "{result:?}");
    assert!(victim.0.try_wait().unwrap().is_none());
    fs::write(bench.pid_file(), bench.masters()[0].to_string()).unwrap();
}

#[test]
fn an_empty_or_missing_pid_file_still_finds_the_master() {
    let bench = Bench::new();
    bench.host.write(&bench.service, &both(1), &slot("real1"), None).unwrap();
    let nginx = bench.start();
    fs::write(bench.pid_file(), "").unwrap();
    assert_eq!(bench.nginx(), Observation::Known(nginx.clone()));
    fs::remove_file(bench.pid_file()).unwrap();
    assert_eq!(bench.nginx(), Observation::Known(nginx));
}

#[test]
fn two_masters_of_one_configuration_are_told_apart_by_the_pid_file_alone() {
    let bench =
        Bench::with("server { listen unix:ROOT/SOCKET; include ROOT/service-url.inc; location / { proxy_pass $service_url; } }");
    bench.host.write(&bench.service, &both(1), &slot("real1"), None).unwrap();
    let config = fs::read_to_string(&bench.service.proxy.nginx.config).unwrap();
    fs::write(&bench.service.proxy.nginx.config, config.replace("SOCKET", "one")).unwrap();
    let first = bench.start();
    fs::write(&bench.service.proxy.nginx.config, config.replace("SOCKET", "two")).unwrap();
    bench.start_with(&bench.service.proxy.nginx.config);
    assert_eq!(bench.masters().len(), 2);
    fs::write(bench.pid_file(), first.master.pid.to_string()).unwrap();
    assert_eq!(bench.nginx().known().map(|n| n.master.pid), Some(first.master.pid));
    fs::write(bench.pid_file(), "").unwrap();
    let why = bench.nginx().unknown().unwrap().to_owned();
    assert!(bench.masters().iter().all(|pid| why.contains(&pid.to_string())), "{why}");
}

#[test]
fn a_master_of_another_configuration_is_not_ours() {
    let bench = Bench::new();
    bench.host.write(&bench.service, &both(1), &slot("real1"), None).unwrap();
    let other = bench.root.join("other.conf");
    fs::copy(&bench.service.proxy.nginx.config, &other).unwrap();
    bench.start_with(&other);
    assert_eq!(bench.nginx(), Observation::Absent);
}

#[test]
fn a_binary_upgrade_under_way_is_unknown() {
    let bench = Bench::new();
    bench.host.write(&bench.service, &both(1), &slot("real1"), None).unwrap();
    let nginx = bench.start();
    signal(nginx.master.pid, "USR2");
    wait("the second master", || bench.masters().len() == 2 && bench.root.join("nginx.pid.oldbin").exists());
    let why = bench.nginx().unknown().unwrap_or_default().to_owned();
    assert!(why.contains("binary upgrade"), "{why} {:?}", bench.nginx());
}

#[tokio::test]
async fn nginx_itself_says_what_it_has_loaded_over_http_and_https() {
    let bench = Bench::new();
    let loaded = async |text: &RouteText| bench.host.loaded(&bench.service, text).await;
    bench.host.write(&bench.service, &both(7), &slot("real1"), None).unwrap();
    let silent = loaded(&both(7)).await;
    let named = |port: u16| silent.unknown().is_some_and(|why| why.contains(&format!("127.0.0.1:{port}")));
    assert!(silent.unknown().is_some_and(|why| why.starts_with("nobody answers on ")), "{silent:?}");
    assert!(named(bench.plain) && named(bench.tls), "{silent:?}");

    let nginx = bench.start();
    let said = |generation, name| Observation::Known(Loaded { generation, slot: slot(name) });
    assert_eq!(loaded(&both(7)).await, said(7, "real1"));
    bench.host.cut(&bench.service.proxy, None, Some(&slot("real2"))).unwrap();
    assert_eq!(loaded(&both(7)).await, said(7, "real2"), "the next request after the cut, without a reload");
    bench.host.cut(&bench.service.proxy, Some(&slot("real2")), None).unwrap();
    assert_eq!(loaded(&both(7)).await, said(7, "real1"));

    let next = text(RouteForm::Static, 8, &[("real2", 8082)]);
    bench.host.write(&bench.service, &next, &slot("real2"), Some(&nginx)).unwrap();
    assert_eq!(loaded(&next).await, said(7, "real1"), "what is written is not yet loaded");
    bench.host.reload(&bench.service.proxy, &nginx).unwrap();
    until("the new text", async || (loaded(&next).await == said(8, "real2")).then_some(())).await;

    let mut stranger = next;
    stranger.nonce = "other".into();
    let why = loaded(&stranger).await;
    assert!(why.unknown().is_some_and(|why| why.contains("instead of the route")), "{why:?}");
}

/// An include that names pools which nginx has not read is refused, before any request could miss them.
#[tokio::test]
async fn pools_are_written_before_the_include_and_nginx_takes_neither_without_the_other() {
    let mut bench = Bench::with(&format!("include ROOT/*.pool.conf; server {{ listen 127.0.0.1:PLAIN; {ROUTE} }}"));
    let by_address = both(1);
    bench.host.write(&bench.service, &by_address, &slot("real1"), None).unwrap();
    let nginx = bench.start();
    bench.service.proxy.upstream = Upstream::Pool;
    assert_eq!(bench.faults(), Vec::<String>::new());
    let pooled = text(RouteForm::Pool, 2, &[("real1", 8081), ("real2", 8082)]);
    bench.host.write(&bench.service, &pooled, &slot("real1"), Some(&nginx)).unwrap();
    bench.host.reload(&bench.service.proxy, &nginx).unwrap();
    let said = |name| Observation::Known(Loaded { generation: 2, slot: slot(name) });
    wait("the workers of before have ended", || !alive(nginx.workers[0].pid));
    assert_eq!(bench.host.loaded(&bench.service, &pooled).await, said("real1"));
    bench.host.cut(&bench.service.proxy, None, Some(&slot("real2"))).unwrap();
    assert_eq!(bench.host.loaded(&bench.service, &pooled).await, said("real2"), "without a reload");

    fs::remove_file(&bench.service.proxy.pool_include).unwrap();
    let refused = bench.host.reload(&bench.service.proxy, &nginx);
    let Err(ProxyError::Refused { said }) = refused else { panic!("{refused:?}") };
    assert!(said.contains("unknown \"slotd_webservice\" variable"), "{said}");
    assert_eq!(bench.host.include(&bench.service), Observation::Absent);
    bench.host.write(&bench.service, &pooled, &slot("real2"), Some(&nginx)).unwrap();
    bench.host.reload(&bench.service.proxy, &nginx).unwrap();
}

#[test]
fn pools_that_no_http_block_takes_in_are_refused_and_both_files_come_back() {
    let mut bench = Bench::new();
    bench.host.write(&bench.service, &both(1), &slot("real1"), None).unwrap();
    let nginx = bench.start();
    let before = fs::read(&bench.service.proxy.include).unwrap();
    bench.service.proxy.upstream = Upstream::Pool;
    assert!(bench.faults().iter().any(|fault| fault.contains("does not include")), "{:?}", bench.faults());
    let pooled = text(RouteForm::Pool, 2, &[("real1", 8081), ("real2", 8082)]);
    let refused = bench.host.write(&bench.service, &pooled, &slot("real1"), Some(&nginx));
    assert!(matches!(refused, Err(ProxyError::Refused { .. })), "{refused:?}");
    assert_eq!(fs::read(&bench.service.proxy.include).unwrap(), before);
    assert!(!bench.service.proxy.pool_include.exists());
}

#[tokio::test]
async fn servers_that_disagree_are_named() {
    let bench = Bench::with(&format!(
        "server {{ listen 127.0.0.1:PLAIN; server_name a.test; {ROUTE} }}
         server {{ listen 127.0.0.1:PLAIN; server_name b.test; set $service_url http://127.0.0.1:8082;
                   if ($http_x_slotd_probe = c0ffee) {{ return 200 \"7 $service_url\"; }} location / {{ proxy_pass $service_url; }} }}"
    ));
    bench.host.write(&bench.service, &both(7), &slot("real1"), None).unwrap();
    bench.start();
    let found = bench.host.loaded(&bench.service, &both(7)).await;
    let why = found.unknown().unwrap();
    assert!(why.contains("disagree") && why.contains("a.test") && why.contains("b.test"), "{why}");
    assert!(bench.faults()[0].contains("without include"), "{:?}", bench.faults());
}

#[tokio::test]
async fn a_server_on_a_unix_socket_is_asked_too() {
    let bench = Bench::with(&format!("server {{ listen unix:ROOT/s.sock; {ROUTE} }}"));
    bench.host.write(&bench.service, &both(7), &slot("real1"), None).unwrap();
    bench.start();
    let loaded = bench.host.loaded(&bench.service, &both(7)).await;
    assert_eq!(loaded, Observation::Known(Loaded { generation: 7, slot: slot("real1") }));
}

#[tokio::test]
async fn no_server_that_uses_the_route_is_unknown() {
    let bench = Bench::with("server { listen 127.0.0.1:PLAIN; }");
    let found = bench.host.loaded(&bench.service, &both(7)).await;
    assert!(found.unknown().is_some_and(|why| why.contains("no server of")), "{found:?}");
}

#[test]
fn a_configuration_that_is_broken_elsewhere_refuses_the_write_and_the_old_text_comes_back_with_its_flags() {
    let bench = Bench::new();
    bench.host.write(&bench.service, &both(1), &slot("real1"), None).unwrap();
    let nginx = bench.start();
    bench.host.cut(&bench.service.proxy, None, Some(&slot("real2"))).unwrap();
    let before = fs::read(&bench.service.proxy.include).unwrap();
    let config = fs::read_to_string(&bench.service.proxy.nginx.config).unwrap();
    fs::write(&bench.service.proxy.nginx.config, config.replace("access_log off;", "acces_log off;")).unwrap();

    let refused = bench.host.write(&bench.service, &both(2), &slot("real1"), Some(&nginx));
    let Err(ProxyError::Refused { said }) = refused else { panic!("{refused:?}") };
    assert!(said.starts_with("[emerg] unknown directive \"acces_log\""), "{said}");
    assert_eq!(fs::read(&bench.service.proxy.include).unwrap(), before);
    assert_eq!(bench.host.flags(&bench.service), Observation::Known(vec![slot("real2")]));
    let refused = bench.host.reload(&bench.service.proxy, &nginx);
    assert!(matches!(refused, Err(ProxyError::Refused { .. })), "{refused:?}");
    assert_eq!(bench.nginx(), Observation::Known(nginx), "no worker was replaced");
}

#[test]
fn a_first_text_that_is_refused_is_taken_away_again() {
    let bench = Bench::with("server { listen 127.0.0.1:PLAIN; }");
    let nginx = bench.start();
    bench.configure("server { listen 127.0.0.1:PLAIN; open_file_cache max=9; include ROOT/service-url.inc; }");
    let refused = bench.host.write(&bench.service, &both(1), &slot("real1"), Some(&nginx));
    let Err(ProxyError::Refused { said }) = refused else { panic!("{refused:?}") };
    assert!(said.contains("duplicate"), "{said}");
    assert!(!bench.service.proxy.include.exists());
    assert!(bench.faults()[0].contains("\"duplicate\""), "{:?}", bench.faults());
}

#[test]
fn a_reload_command_is_run_instead_of_the_signal() {
    let mut bench = Bench::new();
    bench.host.write(&bench.service, &both(1), &slot("real1"), None).unwrap();
    let nginx = bench.start();
    let mark = bench.root.join("mark").to_str().unwrap().to_owned();
    bench.service.proxy.nginx.reload_command = Some(vec!["touch".into(), mark.clone()]);
    bench.host.reload(&bench.service.proxy, &nginx).unwrap();
    assert!(Path::new(&mark).exists());
    assert_eq!(bench.nginx(), Observation::Known(nginx));
}

/// The workers' user is another one only where root starts nginx.
#[tokio::test]
async fn a_closed_folder_is_a_fault_and_really_hides_the_flag() {
    let bench = Bench::new();
    bench.host.write(&bench.service, &both(7), &slot("real1"), None).unwrap();
    let nginx = bench.start();
    let worker = fs::read_to_string(format!("/proc/{}/status", nginx.workers[0].pid)).unwrap();
    if worker.lines().any(|line| line.starts_with("Uid:\t0")) || !fs::metadata("/proc/self").is_ok_and(|_| running_as_root()) {
        return;
    }
    bench.host.cut(&bench.service.proxy, None, Some(&slot("real2"))).unwrap();
    fs::set_permissions(&bench.service.proxy.flag_dir, fs::Permissions::from_mode(0o700)).unwrap();
    let loaded = bench.host.loaded(&bench.service, &both(7)).await;
    assert_eq!(loaded.known().map(|l| l.slot.clone()), Some(slot("real1")), "nginx sees no flag");
    let faults = bench.faults();
    assert!(faults.len() == 1 && faults[0].contains("cannot be searched by nginx's workers"), "{faults:?}");
    fs::set_permissions(&bench.service.proxy.flag_dir, fs::Permissions::from_mode(0o711)).unwrap();
    assert_eq!(bench.faults(), Vec::<String>::new());
}

pub(crate) fn running_as_root() -> bool {
    fs::read_to_string("/proc/self/status").unwrap().lines().any(|line| line.starts_with("Uid:\t0"))
}

#[tokio::test]
async fn what_answers_through_the_proxy_is_a_slot_or_says_why_not() {
    let answer =
        |status: &str| format!("server {{ listen 127.0.0.1:PLAIN; server_name a.test; location / {{ return {status}; }} }}");
    let mut bench = Bench::with(&format!(
        "server {{ listen 127.0.0.1:PLAIN; return 302 /login; }} {}
         server {{ listen 127.0.0.1:TLS ssl; server_name b.test; ssl_certificate ROOT/cert.pem; ssl_certificate_key ROOT/key.pem;
                   return 200 real1; }}",
        answer("200 real2")
    ));
    bench.start_with(&bench.service.proxy.nginx.config);
    assert_eq!(bench.host.proxied(&bench.service, None).await, Observation::Absent);
    bench.service.proxy.url = Some(format!("http://127.0.0.1:{}/profile", bench.plain));
    let found = bench.host.proxied(&bench.service, None).await;
    let why = found.unknown().unwrap();
    assert!(why.contains(" answers 302 to http://127.0.0.1") && why.ends_with("is proxy.host needed?"), "{why}");

    bench.service.proxy.host = Some("a.test".into());
    assert_eq!(bench.host.proxied(&bench.service, None).await, Observation::Known(slot("real2")));
    bench.service.health.expect = Some("{slot} {version}".into());
    assert!(bench.host.proxied(&bench.service, None).await.unknown().unwrap().contains("{version}"));
    bench.service.health.expect = Some("{slot}".into());

    bench.service.proxy.url = Some(format!("https://127.0.0.1:{}/profile", bench.tls));
    bench.service.proxy.host = Some("b.test".into());
    let untrusted = bench.host.proxied(&bench.service, None).await;
    assert!(untrusted.unknown().is_some_and(|why| why.contains("certificate")), "{untrusted:?}");
    bench.service.proxy.ca = Some(bench.root.join("cert.pem"));
    assert_eq!(bench.host.proxied(&bench.service, None).await, Observation::Known(slot("real1")));
}

#[test]
fn a_hand_edited_text_is_kept_in_the_state_folder() {
    let bench = Bench::new();
    let path = bench.host.keep_edited(&bench.service, "mine").unwrap();
    assert_eq!(path, bench.root.join("state/services/webservice/hand-edited-1.inc"));
    assert_eq!(fs::read_to_string(path).unwrap(), "mine");
    assert!(bench.dir.path().exists());
}
