//! Questions over HTTP: to a slot, to nginx, and through nginx. One fresh connection each, no redirect, no proxy of the environment.
//!
//! Decides nothing about what an answer means beyond "is it the one that was asked for". Never keeps a connection.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{HOST, HeaderName, HeaderValue, LOCATION};
use reqwest::{Certificate, Client, ClientBuilder, redirect};

use crate::adapter::LinuxHost;
use crate::adapter::direct::{self, Own};
use crate::host::probes::{Probes, Question};
use crate::model::id::Identity;
use crate::model::observed::Answer;

/// A health page is a word; more than this is another page, and reading on would let a stranger fill our memory.
pub(super) const BODY_LIMIT: usize = 64 * 1024;
/// Clients that are kept at most: names and addresses change with the nginx configuration, so the store must not grow for ever.
const KEPT: usize = 64;

/// Whose certificate is good enough.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trust {
    /// Anybody's: a slot on the loopback address, or nginx, which proves itself by a nonce. Also for plain http, because then no
    /// CA certificate is loaded.
    Anyone,
    /// The certificate authorities of the machine.
    Machine,
    /// A private authority alone, as PEM (kept by content, so that a renewed file is a new client).
    Authority(Vec<u8>),
}

/// Where the connection goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Via {
    /// Where the URL says.
    Url,
    /// The URL's host is a name for TLS and nginx only; the connection goes to this address.
    Pinned(String, SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// Clients, built when they are first needed: building one costs milliseconds, asking costs microseconds.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<BTreeMap<(Trust, Via), Client>>);

impl Clients {
    /// The client for this trust and way.
    pub(super) fn get(&self, trust: Trust, via: Via) -> Result<Client, String> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (trust, via);
        if let Some(client) = kept.get(&key) {
            return Ok(client.clone());
        }
        let client = build(&key.0, &key.1)?;
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, client.clone());
        Ok(client)
    }
}

fn build(trust: &Trust, via: &Via) -> Result<Client, String> {
    // Without a provider reqwest panics in `build`, even for plain http. The error says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().redirect(redirect::Policy::none()).pool_max_idle_per_host(0).http1_only();
    let client = match via {
        Via::Url => client,
        Via::Pinned(name, address) => client.resolve(name, *address),
        Via::Unix(path) => client.unix_socket(path.clone()),
    };
    trusting(client, trust)?.build().map_err(|error| innermost(&error))
}

fn trusting(client: ClientBuilder, trust: &Trust) -> Result<ClientBuilder, String> {
    match trust {
        Trust::Anyone => Ok(client.tls_danger_accept_invalid_certs(true)),
        Trust::Machine => Ok(client),
        Trust::Authority(pem) => {
            let certificates = Certificate::from_pem_bundle(pem).map_err(|error| innermost(&error))?;
            Ok(client.tls_certs_only(certificates))
        }
    }
}

/// What is sent: GET, this URL, these headers.
#[derive(Clone, Debug)]
pub(super) struct Get {
    /// The URL.
    pub(super) url: String,
    /// `Host`, where it is not the URL's.
    pub(super) host: Option<String>,
    /// One more header.
    pub(super) header: Option<(HeaderName, String)>,
    /// For the whole exchange.
    pub(super) timeout: Duration,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    /// The status.
    pub(super) status: u16,
    /// Where a redirect leads.
    pub(super) location: Option<String>,
    /// The body, trimmed; `None`: larger than any health page.
    pub(super) body: Option<String>,
}

/// Why nothing came back.
#[derive(Debug)]
pub(super) struct Silence {
    /// Nobody listens there.
    pub(super) refused: bool,
    /// For a person.
    pub(super) why: String,
}

/// Asks once.
pub(super) async fn get(client: &Client, get: &Get) -> Result<Reply, Silence> {
    let asked = tokio::time::timeout(get.timeout, exchange(client, get)).await;
    asked.unwrap_or_else(|_| Err(Silence { refused: false, why: format!("no answer within {:?}", get.timeout) }))
}

async fn exchange(client: &Client, get: &Get) -> Result<Reply, Silence> {
    let mut request = client.get(&get.url);
    if let Some(host) = &get.host {
        request = request.header(HOST, header(host)?);
    }
    if let Some((name, value)) = &get.header {
        request = request.header(name, header(value)?);
    }
    let mut response = request.send().await.map_err(|error| silence(&error))?;
    let location = response.headers().get(LOCATION).map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| silence(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_LIMIT {
            return Ok(Reply { status: response.status().as_u16(), location, body: None });
        }
    }
    let body = Some(String::from_utf8_lossy(&body).trim().to_owned());
    Ok(Reply { status: response.status().as_u16(), location, body })
}

fn header(text: &str) -> Result<HeaderValue, Silence> {
    let why = || format!("`{}` cannot be sent as a header", shortened(text));
    HeaderValue::from_str(text).map_err(|_| Silence { refused: false, why: why() })
}

fn silence(error: &reqwest::Error) -> Silence {
    let mut cause: Option<&dyn Error> = Some(error);
    let mut refused = false;
    while let Some(error) = cause {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        refused |= kind == Some(std::io::ErrorKind::ConnectionRefused);
        cause = error.source();
    }
    Silence { refused, why: innermost(error) }
}

/// reqwest's own sentence only repeats the URL; the reason is at the end of the chain.
pub(super) fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// At most sixty printable characters of a text that somebody else wrote.
pub(super) fn shortened(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(60).map(printable).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

/// `127.0.0.1` and `[::1]`, as a URL wants them.
pub(super) fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

impl Probes for LinuxHost {
    async fn ask(&self, question: &Question) -> Answer {
        ask(question.clone(), Own::default()).await
    }

    async fn ask_within(&self, question: &Question, of: &Identity, patience: Duration) -> Option<Answer> {
        let ask = |own| ask(question.clone(), own);
        self.outstanding.answer(question, of, patience, ask).await
    }
}

async fn ask(question: Question, own: Own) -> Answer {
    match direct::get(&question, &own).await {
        Ok(reply) => judge(&question, &reply),
        Err(silence) => Answer::None { why: silence.why },
    }
}

fn judge(question: &Question, reply: &Reply) -> Answer {
    if reply.status != question.status {
        return Answer::WrongStatus { status: reply.status };
    }
    match (&question.expect, &reply.body) {
        (None, _) => Answer::Good,
        (Some(expected), Some(body)) if expected.trim() == body => Answer::Good,
        (Some(_), Some(body)) => Answer::WrongIdentity { found: shortened(body) },
        (Some(_), None) => Answer::WrongIdentity { found: format!("a page of more than {BODY_LIMIT} bytes") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::desired::Scheme;
    use crate::model::id::Port;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers one connection with these bytes, or holds it open without a word.
    async fn server(answer: Option<String>) -> Port {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = Port(listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4096]).await;
            match answer {
                Some(text) => drop(socket.write_all(text.as_bytes()).await),
                None => std::future::pending::<()>().await,
            }
        });
        port
    }

    fn page(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    async fn asked(port: Port) -> Answer {
        let host = LinuxHost::new(PathBuf::from("/nonexistent"));
        let question = Question {
            scheme: Scheme::Http,
            host: "127.0.0.1".into(),
            port,
            path: "/profile".into(),
            status: 200,
            expect: Some("real1".into()),
            timeout: Duration::from_millis(400),
        };
        host.ask(&question).await
    }

    #[tokio::test]
    async fn the_expected_body_is_good_whatever_blanks_stand_around_it() {
        assert_eq!(asked(server(Some(page(" real1\r\n"))).await).await, Answer::Good);
    }

    #[tokio::test]
    async fn another_body_is_another_application_and_is_shown_short() {
        let answer = asked(server(Some(page(&"\u{1b}é".repeat(100)))).await).await;
        let Answer::WrongIdentity { found } = answer else { panic!("{answer:?}") };
        assert_eq!(found.chars().count(), 61);
        assert!(!found.contains('\u{1b}'));
    }

    #[tokio::test]
    async fn an_endless_body_is_not_read_to_its_end() {
        let body = "x".repeat(BODY_LIMIT + 1);
        let answer = asked(server(Some(page(&body))).await).await;
        assert_eq!(answer, Answer::WrongIdentity { found: "a page of more than 65536 bytes".into() });
    }

    #[tokio::test]
    async fn a_redirect_is_a_wrong_status_and_is_not_followed() {
        let to = Some("HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n".to_owned());
        assert_eq!(asked(server(to).await).await, Answer::WrongStatus { status: 302 });
    }

    #[tokio::test]
    async fn silence_ends_with_the_timeout() {
        assert_eq!(asked(server(None).await).await, Answer::None { why: "no answer within 400ms".into() });
    }

    #[tokio::test]
    async fn nobody_there_says_so() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let Answer::None { why } = asked(Port(free)).await else { panic!() };
        assert!(why.contains("refused"), "{why}");
    }
}
