//! Clients that use a site as people do, all kinds at once, while something is done to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::client::{Answer, Broken, Connection, head};
use super::report::{Kind, Origin, Outcome, Record, Report};
use super::socket::Socket;
use super::wait::{PATIENCE, until};

/// Pieces of an upload, and the pause between two.
const PIECES: usize = 20;
const PIECE: usize = 8 * 1024;
const PIECE_PAUSE: Duration = Duration::from_millis(100);

/// Texts over one WebSocket, and the pause between two.
const TEXTS: usize = 30;
const TEXT_PAUSE: Duration = Duration::from_millis(100);

/// How many clients of each kind, and when they end at the latest.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    pub(crate) clients: Vec<Kind>,
    /// Between an answer and the next request of the same client.
    pub(crate) think: Duration,
    /// Between two of the twenty pieces of an upload.
    pub(crate) piece_pause: Duration,
    /// Of one client.
    pub(crate) most_requests: usize,
    pub(crate) longest: Duration,
}

impl Default for Mix {
    /// Every kind; about a thousand requests a second, so that a JVM beside it still starts.
    fn default() -> Self {
        let clients =
            [[Kind::KeepAlive; 3].as_slice(), &[Kind::Fresh; 2], &[Kind::Post; 2], &[Kind::Slow], &[Kind::Upload]].concat();
        Self {
            clients,
            think: Duration::from_millis(5),
            piece_pause: PIECE_PAUSE,
            most_requests: 200_000,
            longest: Duration::from_secs(240),
        }
    }
}

impl Mix {
    /// Uploads alone, each of which takes twenty times this pause.
    pub(crate) fn uploads(clients: usize, piece_pause: Duration) -> Self {
        Self { clients: vec![Kind::Upload; clients], piece_pause, ..Self::default() }
    }

    /// Without what takes seconds, for tests with a drain shorter than that.
    pub(crate) fn quick() -> Self {
        let clients = [[Kind::KeepAlive; 2].as_slice(), &[Kind::Fresh; 2], &[Kind::Post]].concat();
        Self { clients, ..Self::default() }
    }
}

/// A load that is going on; it ends when dropped.
pub(crate) struct Load {
    began: Instant,
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Vec<Record>>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    good: AtomicUsize,
}

impl Load {
    /// Starts the usual mix and waits until the site answers it.
    #[track_caller]
    pub(crate) fn on(address: SocketAddr) -> Self {
        let load = Self::start(address, &Mix::default());
        load.go_on(20);
        load
    }

    /// Starts, and waits for nothing.
    pub(crate) fn start(address: SocketAddr, mix: &Mix) -> Self {
        let (began, shared) = (Instant::now(), Arc::new(Shared::default()));
        let clients = mix.clients.iter().map(|kind| {
            let client = Client { kind: *kind, address, mix: mix.clone(), began, shared: Arc::clone(&shared) };
            thread::spawn(move || client.run())
        });
        Self { began, clients: clients.collect(), shared }
    }

    /// Waits until so many more requests were answered well.
    #[track_caller]
    pub(crate) fn go_on(&self, more: usize) {
        let goal = self.shared.good.load(Ordering::Relaxed) + more;
        until("the load is answered", PATIENCE, || self.shared.good.load(Ordering::Relaxed) >= goal);
    }

    /// Ends it, after the requests that are under way, and tells.
    pub(crate) fn stop(mut self) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        // What is under way may take seconds: its silence is the load's, and not the host's.
        let ended = Instant::now();
        Report::new(self.join(), self.began, ended)
    }

    /// Lets it come to its own bound, and tells.
    pub(crate) fn finish(mut self) -> Report {
        Report::new(self.join(), self.began, Instant::now())
    }

    fn join(&mut self) -> Vec<Record> {
        self.clients.drain(..).flat_map(|client| client.join().unwrap()).collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

/// One closed loop.
struct Client {
    kind: Kind,
    address: SocketAddr,
    mix: Mix,
    began: Instant,
    shared: Arc<Shared>,
}

impl Client {
    fn run(self) -> Vec<Record> {
        let (mut connection, mut records) = (Connection::to(self.address), Vec::new());
        let mut origin = Arc::new(Origin::default());
        while records.len() < self.mix.most_requests && self.began.elapsed() < self.mix.longest {
            if self.shared.stop.load(Ordering::Relaxed) {
                break;
            }
            let record = self.request(&mut connection, records.len(), &mut origin);
            let pause = self.pause(&record);
            records.push(record);
            thread::sleep(pause);
        }
        records
    }

    /// A slow request goes out once a second; after a failure nobody hammers.
    fn pause(&self, record: &Record) -> Duration {
        match (self.kind, record.outcome) {
            (Kind::Slow, _) => Duration::from_secs(1).saturating_sub(record.end - record.begin).max(self.mix.think),
            (_, Outcome::Good) => self.mix.think,
            _ => self.mix.think.max(Duration::from_millis(10)),
        }
    }

    fn request(&self, connection: &mut Connection, number: usize, origin: &mut Arc<Origin>) -> Record {
        let begin = Instant::now();
        if self.kind == Kind::Socket {
            let mut by = Origin::default();
            let outcome = talk(self.address, &mut by).err().unwrap_or(Outcome::Good);
            return self.record(begin, outcome, by, origin);
        }
        let question = Question::new(self.kind, number, self.mix.piece_pause);
        let result = connection.exchange(&question.pieces(), question.pause);
        let outcome = question.judge(&result);
        let by = result.map_or_else(|_| Origin::default(), |answer| Origin { slot: answer.slot, version: answer.version });
        self.record(begin, outcome, by, origin)
    }

    fn record(&self, begin: Instant, outcome: Outcome, by: Origin, origin: &mut Arc<Origin>) -> Record {
        let end = Instant::now();
        if outcome == Outcome::Good {
            self.shared.good.fetch_add(1, Ordering::Relaxed);
        }
        // as a rule it is the same as before, and one allocation serves thousands of records
        if **origin != by {
            *origin = Arc::new(by);
        }
        Record { kind: self.kind, begin, end, outcome, origin: Arc::clone(origin) }
    }
}

/// A WebSocket up to its clean end: each text has to come back, from the one who answered first.
fn talk(address: SocketAddr, by: &mut Origin) -> Result<(), Outcome> {
    let mut socket = Socket::open(address).map_err(Outcome::Broken)?;
    for number in 0..TEXTS {
        let text = format!("text {number}");
        let [slot, version, said] = socket.echo(&text).map_err(Outcome::Broken)?;
        let origin = Origin { slot, version };
        if said != text || (number > 0 && *by != origin) {
            return Err(Outcome::Wrong);
        }
        *by = origin;
        thread::sleep(TEXT_PAUSE);
    }
    socket.close().map_err(Outcome::Broken)
}

/// A request, and what its answer has to hold.
struct Question {
    head: Vec<u8>,
    body: Vec<u8>,
    piece: usize,
    /// Between two pieces.
    pause: Duration,
    expected: Expected,
}

enum Expected {
    /// The answer names its slot and its version.
    Identity,
    /// The answer is the body.
    Body,
    /// The answer names the length and the digest of the body.
    Digest,
}

impl Question {
    fn new(kind: Kind, number: usize, piece_pause: Duration) -> Self {
        let get = |path, connection| Self {
            head: head("GET", path, connection, None),
            body: vec![],
            piece: 1,
            pause: Duration::ZERO,
            expected: Expected::Identity,
        };
        match kind {
            Kind::KeepAlive => get("/version", "keep-alive"),
            Kind::Fresh => get("/version", "close"),
            Kind::Slow => get("/slow?ms=900", "close"),
            Kind::Post => {
                let body = format!("request {number} ").repeat(32).into_bytes();
                let head = head("POST", "/echo", "keep-alive", Some(body.len()));
                Self { head, piece: body.len(), body, pause: Duration::ZERO, expected: Expected::Body }
            }
            Kind::Socket => unreachable!("it is no request of its own"),
            Kind::Upload => {
                let body: Vec<u8> = (0..PIECES * PIECE).map(|at| (at * 31 + number).to_le_bytes()[0]).collect();
                let head = head("POST", "/upload", "close", Some(body.len()));
                Self { head, body, piece: PIECE, pause: piece_pause, expected: Expected::Digest }
            }
        }
    }

    /// A small request goes out in one write; an upload in many.
    fn pieces(&self) -> Vec<&[u8]> {
        std::iter::once(self.head.as_slice()).chain(self.body.chunks(self.piece)).collect()
    }

    fn judge(&self, result: &Result<Answer, Broken>) -> Outcome {
        match result {
            Err(broken) => Outcome::Broken(*broken),
            Ok(answer) if answer.status != 200 => Outcome::Status(answer.status),
            Ok(answer) if self.is_answered_by(answer) => Outcome::Good,
            Ok(_) => Outcome::Wrong,
        }
    }

    fn is_answered_by(&self, answer: &Answer) -> bool {
        let text = answer.text();
        let names = |value: &str| !value.is_empty() && text.contains(&format!("\"{value}\"")) && text.ends_with('}');
        match self.expected {
            Expected::Identity => names(&answer.slot) && names(&answer.version),
            Expected::Body => answer.body == self.body,
            Expected::Digest => {
                let sha256 = hex::encode(Sha256::digest(&self.body));
                names(&answer.slot) && names(&sha256) && text.contains(&format!("\"bytes\":{}", self.body.len()))
            }
        }
    }
}
