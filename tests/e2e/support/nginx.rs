//! A private nginx: a folder, a configuration as the sample's origin describes it, and a master known by its own pid file.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;

use super::process;
use super::wait::{PATIENCE, until};

/// Which nginx is run: `SLOTD_NGINX`, else the one in PATH.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("SLOTD_NGINX").unwrap_or_else(|| "nginx".into()).into()
}

/// Directives of that nginx's own for its http block, which an older one may not know: `SLOTD_NGINX_HTTP`.
fn more() -> String {
    std::env::var("SLOTD_NGINX_HTTP").unwrap_or_default()
}

/// nginx with a prefix of its own.
pub(crate) struct Nginx {
    prefix: PathBuf,
    address: SocketAddr,
    servers: String,
}

impl Nginx {
    /// One server with the include; writes the configuration and starts nothing.
    pub(crate) fn new(prefix: &Path, address: SocketAddr) -> Self {
        Self::routing(prefix, address, "", "")
    }

    /// The same, ready for pools: it takes in what lies in `conf.d`, as the packages of nginx do, and keeps connections to the slots.
    pub(crate) fn pooled(prefix: &Path, address: SocketAddr) -> Self {
        let taken_in = format!("include {}/conf.d/*.conf;\n  ", prefix.display());
        Self::routing(prefix, address, &taken_in, "proxy_http_version 1.1; proxy_set_header Connection \"\";")
    }

    fn routing(prefix: &Path, address: SocketAddr, http: &str, location: &str) -> Self {
        let include = prefix.join("conf.d/service-url.inc");
        let route = format!("location / {{ proxy_pass $service_url; proxy_set_header Host $http_host; {location} }}");
        let upgrade = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";
        let socket = format!("location /socket {{ proxy_pass $service_url; {upgrade} proxy_read_timeout 1h; }}");
        let server = format!(
            "{http}server {{\n    listen {address};\n    include {};\n    {route}\n    {socket}\n  }}",
            include.display()
        );
        Self::serving(prefix, address, &server)
    }

    /// These servers, one of which listens on the address.
    pub(crate) fn serving(prefix: &Path, address: SocketAddr, servers: &str) -> Self {
        fs::create_dir_all(prefix.join("conf.d")).unwrap();
        let nginx = Self { prefix: prefix.to_owned(), address, servers: servers.to_owned() };
        fs::write(nginx.config(), nginx.configuration()).unwrap();
        nginx
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.prefix.join("nginx.conf")
    }

    pub(crate) fn include(&self) -> PathBuf {
        self.prefix.join("conf.d/service-url.inc")
    }

    fn pid_file(&self) -> PathBuf {
        self.prefix.join("nginx.pid")
    }

    fn configuration(&self) -> String {
        let (prefix, servers, more) = (self.prefix.display(), &self.servers, more());
        format!(
            "worker_processes 2;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log notice;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {prefix}/body;
  proxy_temp_path {prefix}/proxy;
  fastcgi_temp_path {prefix}/fastcgi;
  uwsgi_temp_path {prefix}/uwsgi;
  scgi_temp_path {prefix}/scgi;
  client_max_body_size 64m;
  server_names_hash_bucket_size 128;
  {more}
  {servers}
}}
"
        )
    }

    /// Starts it and waits until it takes connections.
    pub(crate) fn start(&self) {
        let output = Command::new(binary()).args(self.arguments()).output().expect("nginx is not installed");
        assert!(output.status.success(), "nginx does not start: {}", String::from_utf8_lossy(&output.stderr));
        until("nginx takes connections", PATIENCE, || TcpStream::connect(self.address).is_ok() && self.master().is_some());
    }

    /// The arguments under which every call means this nginx and no other.
    fn arguments(&self) -> [PathBuf; 6] {
        let log = self.prefix.join("error.log");
        ["-p".into(), self.prefix.clone(), "-c".into(), self.config(), "-e".into(), log]
    }

    /// The pid of the master, when the process of the pid file is one that was started with our configuration.
    pub(crate) fn master(&self) -> Option<i32> {
        let pid: i32 = fs::read_to_string(self.pid_file()).ok()?.trim().parse().ok()?;
        let title = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let title = String::from_utf8_lossy(&title).into_owned();
        (title.contains("master process") && title.contains(self.config().to_str()?)).then_some(pid)
    }

    /// The pids of its workers, those of before a reload too (`/proc/PID/task/TID/children`, proc(5)).
    pub(crate) fn workers(&self) -> Vec<i32> {
        let master = self.master().unwrap_or_default();
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// How often it refused its configuration, by its own log.
    pub(crate) fn complaints(&self) -> usize {
        let log = fs::read_to_string(self.prefix.join("error.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains("[emerg]")).count()
    }

    /// Asks the master to end now, and waits until it has.
    pub(crate) fn stop(&self) {
        let Some(master) = self.master() else { return };
        process::signal(master, Signal::SIGTERM);
        until("nginx ends", PATIENCE, || !process::is_alive(master));
    }

    /// How often it was told to reload since it was first started, by its own log.
    pub(crate) fn reloads(&self) -> usize {
        let log = fs::read_to_string(self.prefix.join("error.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains("(SIGHUP) received") && line.contains(", reconfiguring")).count()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let Some(master) = self.master() else { return };
        process::signal(master, Signal::SIGTERM);
    }
}
