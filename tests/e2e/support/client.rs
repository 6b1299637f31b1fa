//! HTTP/1.1 over a plain socket, without any retry: what a client library would hide is what is counted here.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest that one answer may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Who answered, by the head of the answer; empty when nginx answered by itself.
    pub(crate) slot: String,
    pub(crate) version: String,
    pub(crate) body: Vec<u8>,
    keep_alive: bool,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }
}

/// Why there is no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Broken {
    /// Nobody took the connection.
    Refused,
    /// A connection that had already carried a request ended without one byte of an answer to the next: the race of every
    /// server that closes idle connections.
    IdleReset,
    /// The connection ended before an answer began.
    Reset,
    /// … after an answer began.
    Truncated,
    /// Nothing came in time.
    Timeout,
    /// What came is no HTTP.
    Garbled,
    /// The other side closed a `WebSocket` before its time, with this code (RFC 6455, 7.4: 1001 is one that goes away).
    Closed(u16),
}

/// A connection, kept for as long as both sides like.
pub(crate) struct Connection {
    address: SocketAddr,
    open: Option<BufReader<TcpStream>>,
    used: bool,
}

impl Connection {
    /// Connects at the first request.
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self { address, open: None, used: false }
    }

    /// Sends a request, in pieces with a pause between them, and takes the answer. A broken connection is not used again.
    pub(crate) fn exchange(&mut self, pieces: &[&[u8]], pause: Duration) -> Result<Answer, Broken> {
        let result = self.try_exchange(pieces, pause);
        self.used = true;
        if !result.as_ref().is_ok_and(|answer| answer.keep_alive) {
            self.open = None;
            self.used = false;
        }
        result
    }

    fn try_exchange(&mut self, pieces: &[&[u8]], pause: Duration) -> Result<Answer, Broken> {
        let ended = if self.used { Broken::IdleReset } else { Broken::Reset };
        let stream = match &mut self.open {
            Some(stream) => stream,
            empty => empty.insert(connect(self.address)?),
        };
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                std::thread::sleep(pause);
            }
            if stream.get_mut().write_all(piece).is_err() {
                break; // an answer may be there already, as after an error; reading tells
            }
        }
        receive(stream, ended)
    }
}

/// One request on a connection of its own.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<Answer, Broken> {
    Connection::to(address).exchange(&[&head("GET", path, "close", None)], Duration::ZERO)
}

/// The head of a request.
pub(crate) fn head(method: &str, path: &str, connection: &str, length: Option<usize>) -> Vec<u8> {
    let length = length
        .map_or_else(String::new, |length| format!("Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n"));
    format!("{method} {path} HTTP/1.1\r\nHost: site.test\r\nConnection: {connection}\r\n{length}\r\n").into_bytes()
}

pub(crate) fn connect(address: SocketAddr) -> Result<BufReader<TcpStream>, Broken> {
    let failed = |e: std::io::Error| if is_timeout(&e) { Broken::Timeout } else { Broken::Refused };
    let stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(failed)?;
    let prepared =
        stream.set_read_timeout(Some(TIMEOUT)).and(stream.set_write_timeout(Some(TIMEOUT))).and(stream.set_nodelay(true));
    prepared.map_err(|_| Broken::Reset)?;
    Ok(BufReader::new(stream))
}

/// Reads one answer; `ended` is what it means when not a byte of it comes.
fn receive(stream: &mut BufReader<TcpStream>, ended: Broken) -> Result<Answer, Broken> {
    match stream.fill_buf() {
        Ok([]) => return Err(ended),
        Ok(_) => {}
        Err(e) if is_timeout(&e) => return Err(Broken::Timeout),
        Err(_) => return Err(ended),
    }
    let mut words = line(stream)?;
    words = words.strip_prefix("HTTP/1.1 ").ok_or(Broken::Garbled)?.to_owned();
    let status = words.get(..3).and_then(|code| code.parse().ok()).ok_or(Broken::Garbled)?;
    let mut answer = Answer { status, slot: String::new(), version: String::new(), body: Vec::new(), keep_alive: true };
    let length = headers(stream, &mut answer)?;
    answer.body = match length {
        Some(length) => exactly(stream, length)?,
        None => chunks(stream)?,
    };
    Ok(answer)
}

/// Reads the rest of the head; the length of the body, or `None` when it comes in chunks.
fn headers(stream: &mut BufReader<TcpStream>, answer: &mut Answer) -> Result<Option<usize>, Broken> {
    let (mut length, mut chunked) = (None, false);
    loop {
        let line = line(stream)?;
        if line.is_empty() {
            return if chunked { Ok(None) } else { length.map(Some).ok_or(Broken::Garbled) };
        }
        let (name, value) = line.split_once(':').ok_or(Broken::Garbled)?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.parse().map_err(|_| Broken::Garbled)?),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => answer.keep_alive = !value.eq_ignore_ascii_case("close"),
            "x-slot" => value.clone_into(&mut answer.slot),
            "x-version" => value.clone_into(&mut answer.version),
            _ => {}
        }
    }
}

fn chunks(stream: &mut BufReader<TcpStream>) -> Result<Vec<u8>, Broken> {
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(line(stream)?.trim(), 16).map_err(|_| Broken::Garbled)?;
        body.extend(exactly(stream, size)?);
        line(stream)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn exactly(stream: &mut BufReader<TcpStream>, length: usize) -> Result<Vec<u8>, Broken> {
    let mut body = vec![0; length];
    stream.read_exact(&mut body).map_err(|e| if is_timeout(&e) { Broken::Timeout } else { Broken::Truncated })?;
    Ok(body)
}

pub(crate) fn line(stream: &mut BufReader<TcpStream>) -> Result<String, Broken> {
    let mut line = String::new();
    match stream.take(16 * 1024).read_line(&mut line) {
        Ok(_) if line.ends_with('\n') => Ok(line.trim_end().to_owned()),
        Err(e) if is_timeout(&e) => Err(Broken::Timeout),
        _ => Err(Broken::Truncated),
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
