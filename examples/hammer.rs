//! A small load for the quick start: `hammer http://127.0.0.1:8080/version [CLIENTS [SECONDS]]`.
//!
//! Closed-loop clients, every second one with a new connection for each request, none with a retry. It ends on TERM or after
//! so many seconds, prints what it counted, and exits with 1 when one request failed or none was answered.
#![expect(clippy::disallowed_methods, reason = "what stands outside slotd touches the machine by itself")]
#![expect(clippy::print_stdout, reason = "the counts are what it is for")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};

/// Between two requests of a client: enough to leave a small machine some time for what is deployed on it.
const THINK: Duration = Duration::from_millis(5);
/// The longest that an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((host, path)) = arguments.first().and_then(|url| url.strip_prefix("http://")?.split_once('/')) else {
        println!("usage: hammer http://HOST:PORT/PATH [CLIENTS [SECONDS]]");
        return ExitCode::from(4);
    };
    let number = |at: usize, default: u64| arguments.get(at).and_then(|word| word.parse().ok()).unwrap_or(default);
    if signals.thread_block().is_err() {
        return ExitCode::FAILURE;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let clients = start(host, path, number(1, 8), &stop);
    stop_on(signals, &stop, Duration::from_secs(number(2, 600)));
    finish(clients, &stop)
}

fn start(host: &str, path: &str, count: u64, stop: &Arc<AtomicBool>) -> Vec<thread::JoinHandle<Counts>> {
    let client = |index| {
        let (host, path, stop) = (host.to_owned(), format!("/{path}"), Arc::clone(stop));
        thread::spawn(move || hammer(&host, &path, index % 2 == 0, &stop))
    };
    (0..count).map(client).collect()
}

/// The signal is waited for on the side, so that the time can run out as well.
fn stop_on(signals: SigSet, stop: &Arc<AtomicBool>, longest: Duration) {
    let flag = Arc::clone(stop);
    thread::spawn(move || {
        let _caught = signals.wait();
        flag.store(true, Ordering::Relaxed);
    });
    let end = Instant::now() + longest;
    while Instant::now() < end && !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(20));
    }
    stop.store(true, Ordering::Relaxed);
}

fn finish(clients: Vec<thread::JoinHandle<Counts>>, stop: &AtomicBool) -> ExitCode {
    stop.store(true, Ordering::Relaxed);
    let mut all = Counts::default();
    for client in clients {
        match client.join() {
            Ok(counts) => all.add(counts),
            Err(_) => return ExitCode::FAILURE,
        }
    }
    all.print();
    if all.failed == 0 && !all.answered.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a client counted.
#[derive(Default)]
struct Counts {
    /// By the version that answered.
    answered: BTreeMap<String, u64>,
    failed: u64,
    /// The first few reasons.
    reasons: Vec<String>,
    slowest: Duration,
}

impl Counts {
    fn add(&mut self, other: Self) {
        for (version, count) in other.answered {
            *self.answered.entry(version).or_insert(0) += count;
        }
        self.failed += other.failed;
        self.reasons.extend(other.reasons);
        self.slowest = self.slowest.max(other.slowest);
    }

    fn print(&self) {
        let answered: u64 = self.answered.values().sum();
        println!("requests={} failed={} slowest_ms={}", answered + self.failed, self.failed, self.slowest.as_millis());
        for (version, count) in &self.answered {
            println!("  answered by version {version}: {count}");
        }
        for reason in self.reasons.iter().take(5) {
            println!("  failed: {reason}");
        }
    }
}

fn hammer(host: &str, path: &str, keep: bool, stop: &AtomicBool) -> Counts {
    let mut counts = Counts::default();
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match request(&mut connection, host, path, keep) {
            Ok(version) => *counts.answered.entry(version).or_insert(0) += 1,
            Err(error) => {
                connection = None;
                counts.failed += 1;
                counts.reasons.push(error.to_string());
                counts.reasons.truncate(5);
            }
        }
        counts.slowest = counts.slowest.max(begun.elapsed());
        thread::sleep(THINK);
    }
    counts
}

/// One request; the version that answered it.
fn request(connection: &mut Option<BufReader<TcpStream>>, host: &str, path: &str, keep: bool) -> Result<String> {
    let mut stream = match connection.take() {
        Some(stream) => stream,
        None => BufReader::new(connect(host)?),
    };
    let persistence = if keep { "keep-alive" } else { "close" };
    let text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {persistence}\r\n\r\n");
    stream.get_mut().write_all(text.as_bytes())?;
    let answer = Head::read(&mut stream)?;
    match answer.length {
        Some(length) => skip(&mut stream, length)?,
        None => skip_chunks(&mut stream)?,
    }
    if answer.status != "200" {
        return Err(Error::other(format!("status {}", answer.status)));
    }
    if keep && answer.keep_alive {
        *connection = Some(stream);
    }
    Ok(answer.version)
}

fn connect(host: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The head of an answer.
struct Head {
    status: String,
    version: String,
    /// `None`: the body comes in chunks.
    length: Option<u64>,
    keep_alive: bool,
}

impl Head {
    fn read(stream: &mut impl BufRead) -> Result<Self> {
        let first = line(stream)?;
        let status = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut head = Self { status, version: "unknown".to_owned(), length: None, keep_alive: true };
        loop {
            let line = line(stream)?;
            let Some((name, value)) = line.split_once(':') else { return Ok(head) };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = Some(value.trim().parse().map_err(Error::other)?),
                "connection" => head.keep_alive = !value.trim().eq_ignore_ascii_case("close"),
                "x-version" => value.trim().clone_into(&mut head.version),
                _ => {}
            }
        }
    }
}

fn line(stream: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    stream.take(16 * 1024).read_line(&mut line)?;
    if line.ends_with('\n') { Ok(line.trim_end().to_owned()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn skip(stream: &mut impl Read, length: u64) -> Result<()> {
    let count = std::io::copy(&mut stream.take(length), &mut std::io::sink())?;
    if count == length { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn skip_chunks(stream: &mut impl BufRead) -> Result<()> {
    loop {
        let size = u64::from_str_radix(&line(stream)?, 16).map_err(Error::other)?;
        skip(stream, size)?;
        line(stream)?;
        if size == 0 {
            return Ok(());
        }
    }
}
