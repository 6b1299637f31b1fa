//! A stand-in for a Spring Boot application, for tests that cannot wait for a JVM: name it as `launch.java`.
//!
//! It takes a JVM's arguments (`-Dspring.profiles.active=real1 -jar app.jar`), binds `[::]:$SERVER_PORT` after a start delay,
//! answers what the sample in `examples/spring-boot` answers, and ends as that one does on TERM. A fault is ordered by an
//! environment variable, or by a header of the same name in the jar's manifest, so that a bad release is just another jar:
//!
//! | order | what goes wrong |
//! | --- | --- |
//! | `STUB_START_MS=n` | the port is bound n ms after the start (50) |
//! | `STUB_EXIT_ON_START=1` | exits with 1 before it binds |
//! | `STUB_BIND_ERROR=1` | says that the address is in use and exits with 1 |
//! | `STUB_NO_PORT=1` | says so too, and stays alive without a port |
//! | `STUB_NEVER_READY=1` | answers 503 to `/profile`, always |
//! | `STUB_UNREADY_AFTER_MS=n` | … from n ms after the start |
//! | `STUB_IDENTITY=name` | answers another profile than its own |
//! | `STUB_EXIT_AFTER_MS=n` | exits with 1, n ms after the start |
//! | `STUB_HANG_ON_TERM=1` | closes the listener on TERM and lives on |
//! | `STUB_FORK_CHILD_HOLDING_LISTENER=1` | a child of it holds the listening socket and outlives it |
//! | `STUB_SPAM=file` | once that file is there, writes as many MiB to its log as the file says, 100 a second, and removes the file |
//! | `STUB_STAGE=folder` | comes up, and ends on TERM, when the file `SLOT-up` or `SLOT-end` of the folder says so, each once, or `free` for good; answers 503 or another profile while there is `SLOT-sick` or `SLOT-wrong` |
#![expect(clippy::disallowed_methods, reason = "what stands outside slotd touches the machine by itself")]
#![expect(clippy::print_stdout, reason = "an application's log goes to standard output")]

use std::io::{BufRead, BufReader, Read, Write, pipe};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use sha2::{Digest, Sha256};

/// What a JVM exits with after TERM.
const TERMINATED: u8 = 143;
/// The longest that requests are waited for after TERM, as in Spring Boot.
const GRACE: Duration = Duration::from_secs(30);

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<ExitCode, Failure> {
    let mut term = SigSet::empty();
    term.add(Signal::SIGTERM);
    term.thread_block()?; // before any thread is there, so that all inherit it
    let app = Arc::new(App::from_process()?);
    log(&format!("Starting {} with PID {}, profile {}", app.version, std::process::id(), app.slot));
    let signals = thread::spawn(move || term.wait().map_err(|errno| errno.to_string()));
    let up = app.until_cue("up", &|| signals.is_finished());
    let code = if up { run(&app, signals)? } else { ExitCode::from(TERMINATED) };
    if code == ExitCode::from(TERMINATED) {
        app.until_cue("end", &|| false);
    }
    Ok(code)
}

/// The start with its faults, then service until TERM.
fn run(app: &Arc<App>, signals: thread::JoinHandle<Result<Signal, String>>) -> Result<ExitCode, Failure> {
    if !wait_unless(&signals, app.number("STUB_START_MS").unwrap_or(50)) {
        return Ok(ExitCode::from(TERMINATED));
    }
    if app.asks("STUB_EXIT_ON_START") {
        log("APPLICATION FAILED TO START");
        return Ok(ExitCode::FAILURE);
    }
    if app.asks("STUB_BIND_ERROR") {
        return Ok(bind_failed(app.port));
    }
    if app.asks("STUB_NO_PORT") {
        bind_failed(app.port);
        return Ok(until_term(app, signals));
    }
    let Ok(listener) = bind(app.port) else { return Ok(bind_failed(app.port)) };
    serve(app, listener, signals)
}

fn serve(
    app: &Arc<App>,
    listener: TcpListener,
    signals: thread::JoinHandle<Result<Signal, String>>,
) -> Result<ExitCode, Failure> {
    if app.asks("STUB_FORK_CHILD_HOLDING_LISTENER") {
        Command::new("sleep").arg("600").stdin(OwnedFd::from(listener.try_clone()?)).spawn()?;
    }
    listener.set_nonblocking(true)?;
    let (stopped, stop) = pipe()?;
    let acceptor = {
        let app = Arc::clone(app);
        thread::spawn(move || accept(&app, &listener, &stopped))
    };
    log(&format!("Tomcat started on port {} (http)", app.port));
    if let Some(order) = app.order("STUB_SPAM").map(PathBuf::from) {
        thread::spawn(move || spam(&order));
    }
    let code = until_term(app, signals);
    drop(stop);
    acceptor.join().map_err(|_| "the acceptor panicked")?;
    drain(app);
    Ok(code)
}

/// Waits for TERM, or for the moment at which this application is to die by itself.
fn until_term(app: &App, signals: thread::JoinHandle<Result<Signal, String>>) -> ExitCode {
    if let Some(life) = app.number("STUB_EXIT_AFTER_MS") {
        let left = Duration::from_millis(life).saturating_sub(app.born.elapsed());
        if wait_unless(&signals, u64::try_from(left.as_millis()).unwrap_or(u64::MAX)) {
            log("a fault that was ordered: exiting");
            return ExitCode::FAILURE;
        }
    }
    let _caught = signals.join();
    log("Commencing graceful shutdown. Waiting for active requests to complete");
    ExitCode::from(TERMINATED)
}

/// After TERM: requests that are under way are finished; idle connections are dropped with the process.
fn drain(app: &App) {
    while app.asks("STUB_HANG_ON_TERM") {
        thread::park(); // until KILL
    }
    let end = Instant::now() + GRACE;
    while app.active.load(Ordering::SeqCst) > 0 && Instant::now() < end {
        thread::sleep(Duration::from_millis(2));
    }
    log("Graceful shutdown complete");
}

/// Waits; false when TERM came first.
fn wait_unless(signals: &thread::JoinHandle<Result<Signal, String>>, ms: u64) -> bool {
    let end = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < end && !signals.is_finished() {
        thread::sleep(Duration::from_millis(5).min(end.saturating_duration_since(Instant::now())));
    }
    !signals.is_finished()
}

/// Spring Boot's banner for it.
fn bind_failed(port: u16) -> ExitCode {
    log("***************************\nAPPLICATION FAILED TO START\n***************************");
    log(&format!("java.net.BindException: Address already in use\nWeb server failed to start. Port {port} was already in use."));
    ExitCode::FAILURE
}

/// As Java does: both families on one socket, or the older one where the machine has no other.
fn bind(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind(("::", port)) {
        Err(e) if e.kind() != std::io::ErrorKind::AddrInUse => TcpListener::bind(("0.0.0.0", port)),
        other => other,
    }
}

/// Takes connections until the other end of `stopped` is closed; the listener is closed when this returns.
fn accept(app: &Arc<App>, listener: &TcpListener, stopped: &impl AsFd) {
    loop {
        let mut wanted = [PollFd::new(listener.as_fd(), PollFlags::POLLIN), PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
        let _count = poll(&mut wanted, PollTimeout::NONE);
        if wanted[1].any().unwrap_or(true) {
            return;
        }
        if let Ok((stream, _)) = listener.accept() {
            let app = Arc::clone(app);
            app.active.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || converse(&app, stream));
        }
    }
}

/// One connection: requests until either side has enough. It counts as active but for the time between two requests.
fn converse(app: &App, stream: TcpStream) {
    let Ok(reading) = stream.try_clone() else { return };
    let (mut reader, mut writer) = (BufReader::new(reading), stream);
    let _quick = writer.set_nodelay(true);
    loop {
        let done = match Request::read(&mut reader) {
            Some(request) => answer(app, &request, &mut reader, &mut writer).is_err() || !request.keep_alive,
            None => true,
        };
        app.active.fetch_sub(1, Ordering::SeqCst);
        if done || !matches!(reader.fill_buf(), Ok(more) if !more.is_empty()) {
            return;
        }
        app.active.fetch_add(1, Ordering::SeqCst);
    }
}

fn answer(app: &App, request: &Request, reader: &mut impl Read, writer: &mut impl Write) -> std::io::Result<()> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut body = reader.take(request.length);
    let (status, kind, text) = match (request.method.as_str(), path) {
        ("GET", "/profile") => profile(app),
        ("GET", "/") => ("200 OK", "text/html", format!("<p>version {}, slot {}</p>\n", app.version, app.slot).into_bytes()),
        ("GET", "/version") => ("200 OK", "application/json", app.version_json()),
        ("GET", "/slow") => {
            thread::sleep(Duration::from_millis(parameter(query, "ms").unwrap_or(1000)));
            ("200 OK", "application/json", app.version_json())
        }
        ("POST", "/echo") => ("200 OK", "application/octet-stream", whole(&mut body)?),
        ("POST", "/upload") => ("200 OK", "application/json", upload(app, &mut body)?),
        _ => ("404 Not Found", "text/plain", b"not found\n".to_vec()),
    };
    std::io::copy(&mut body, &mut std::io::sink())?;
    let connection = if request.keep_alive { "keep-alive" } else { "close" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nX-Slot: {}\r\nX-Version: {}\r\nConnection: {connection}\r\n\r\n",
        text.len(),
        app.slot,
        app.version
    );
    writer.write_all(&[head.as_bytes(), &text].concat())
}

fn profile(app: &App) -> (&'static str, &'static str, Vec<u8>) {
    let unready = app.number("STUB_UNREADY_AFTER_MS").is_some_and(|ms| app.born.elapsed() >= Duration::from_millis(ms));
    if unready || app.asks("STUB_NEVER_READY") || app.is_cued("sick") {
        return ("503 Service Unavailable", "text/plain", b"not ready".to_vec());
    }
    if app.is_cued("wrong") {
        return ("200 OK", "text/plain", b"another".to_vec());
    }
    ("200 OK", "text/plain", app.order("STUB_IDENTITY").unwrap_or_else(|| app.slot.clone()).into_bytes())
}

fn whole(body: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn upload(app: &App, body: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let (mut hash, mut total, mut piece) = (Sha256::new(), 0, vec![0; 64 * 1024]);
    loop {
        let count = body.read(&mut piece)?;
        if count == 0 {
            let sha256 = hex::encode(hash.finalize());
            return Ok(format!(r#"{{"bytes":{total},"sha256":"{sha256}","slot":"{}"}}"#, app.slot).into_bytes());
        }
        hash.update(&piece[..count]);
        total += count;
    }
}

fn parameter(query: &str, name: &str) -> Option<u64> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?.1.parse().ok()
}

fn log(line: &str) {
    println!("{line}");
}

/// Waits for the order, and writes 4 MiB every 40 ms until it is carried out.
fn spam(order: &Path) -> std::io::Result<()> {
    let wanted = loop {
        match std::fs::read_to_string(order) {
            Ok(text) => break text.trim().parse::<u64>().map_err(std::io::Error::other)?,
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    };
    let line = [vec![b'.'; 1023], vec![b'\n']].concat();
    for _ in 0..wanted.div_ceil(4) {
        std::io::stdout().write_all(&line.repeat(4 * 1024))?;
        thread::sleep(Duration::from_millis(40));
    }
    log("everything is said");
    std::fs::remove_file(order)
}

/// The head of a request.
struct Request {
    method: String,
    target: String,
    length: u64,
    keep_alive: bool,
}

impl Request {
    /// None at the end of the connection, and for what is no request.
    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let line = read_line(reader)?;
        let mut words = line.split(' ');
        let (method, target, protocol) = (words.next()?.to_owned(), words.next()?.to_owned(), words.next()?.to_owned());
        let mut request = Self { method, target, length: 0, keep_alive: protocol == "HTTP/1.1" };
        loop {
            let line = read_line(reader)?;
            let Some((name, value)) = line.split_once(':') else { return line.is_empty().then_some(request) };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => request.length = value.trim().parse().ok()?,
                "connection" => request.keep_alive = value.trim().eq_ignore_ascii_case("keep-alive"),
                _ => {}
            }
        }
    }
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let count = reader.take(16 * 1024).read_line(&mut line).ok()?;
    (count > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}

/// What this process is, and what was ordered to go wrong with it.
struct App {
    slot: String,
    version: String,
    port: u16,
    born: Instant,
    /// Connections that have a request under way, or that have not sent one yet.
    active: AtomicUsize,
    manifest: String,
}

impl App {
    fn from_process() -> Result<Self, Failure> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let profiles = args.iter().find_map(|arg| arg.strip_prefix("-Dspring.profiles.active=")).unwrap_or("");
        let jar = args.iter().skip_while(|arg| *arg != "-jar").nth(1).ok_or("-jar FILE is missing")?;
        let manifest = manifest_of(&std::fs::read(jar)?).ok_or("Invalid or corrupt jarfile")?;
        Ok(Self {
            slot: slot_of(profiles),
            version: header(&manifest, "Implementation-Version").unwrap_or_else(|| "unstamped".to_owned()),
            port: std::env::var("SERVER_PORT").map_or(Ok(8080), |port| port.parse())?,
            born: Instant::now(),
            active: AtomicUsize::new(0),
            manifest,
        })
    }

    fn order(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().or_else(|| header(&self.manifest, name)).filter(|value| !value.is_empty())
    }

    fn asks(&self, name: &str) -> bool {
        self.order(name).is_some_and(|value| value != "0")
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.order(name)?.parse().ok()
    }

    /// Waits for a cue of the stage and takes it away; false when something else came first.
    fn until_cue(&self, word: &str, or: &dyn Fn() -> bool) -> bool {
        let Some(stage) = self.order("STUB_STAGE").map(PathBuf::from) else { return true };
        let cue = stage.join(format!("{}-{word}", self.slot));
        while !stage.join("free").exists() && std::fs::remove_file(&cue).is_err() {
            if or() {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        true
    }

    fn is_cued(&self, word: &str) -> bool {
        self.order("STUB_STAGE").is_some_and(|stage| PathBuf::from(stage).join(format!("{}-{word}", self.slot)).exists())
    }

    fn version_json(&self) -> Vec<u8> {
        format!(r#"{{"version":"{}","slot":"{}"}}"#, self.version, self.slot).into_bytes()
    }
}

/// The same rule as in the sample's `ProfileController`.
fn slot_of(profiles: &str) -> String {
    let mut names = profiles.split(',').filter(|name| !name.is_empty());
    let first = names.clone().next().unwrap_or("default");
    names.find(|name| matches!(*name, "real" | "real1" | "real2")).unwrap_or(first).to_owned()
}

/// The text of `META-INF/MANIFEST.MF`, when it is the first entry of the zip and stored without compression; empty when not.
fn manifest_of(jar: &[u8]) -> Option<String> {
    let number = |at: usize| jar.get(at..at + 2).map(|two| usize::from(u16::from_le_bytes([two[0], two[1]])));
    let whole = jar.starts_with(b"PK\x03\x04") && jar.windows(4).rev().take(1 << 16).any(|four| four == b"PK\x05\x06");
    let (name, extra) = (number(26)?, number(28)?);
    let stored = number(8)? == 0 && jar.get(30..30 + name)? == b"META-INF/MANIFEST.MF";
    let size = if stored { number(18)? } else { 0 };
    let text = jar.get(30 + name + extra..30 + name + extra + size)?;
    whole.then(|| String::from_utf8_lossy(text).into_owned())
}

fn header(manifest: &str, name: &str) -> Option<String> {
    let line = manifest.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}
