//! One question straight to a slot, over a connection that is reset unless the answer has come whole.
//!
//! Whoever gives up on an answer and closes leaves the application with a connection in CLOSE-WAIT until it looks at it, which one that
//! hangs never does; a drain counts those. With `SO_LINGER` of zero a close is a reset (socket(7)) and the connection is gone at once:
//! also when the question is dropped half-way, and when slotd is killed.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, LOCATION};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::adapter::http::{BODY_LIMIT, Reply, Silence, bracketed, innermost};
use crate::host::probes::Question;
use crate::model::desired::Scheme;

/// Our end of the connection, once there is one.
pub(super) type Own = Arc<OnceLock<SocketAddr>>;

/// Asks once.
pub(super) async fn get(question: &Question, own: &Own) -> Result<Reply, Silence> {
    let asked = tokio::time::timeout(question.timeout, exchange(question, own)).await;
    asked.unwrap_or_else(|_| Err(Silence { refused: false, why: format!("no answer within {:?}", question.timeout) }))
}

async fn exchange(question: &Question, own: &Own) -> Result<Reply, Silence> {
    let host = question.host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, question.port.0)).await.map_err(|error| unconnected(&error))?;
    let reset = Reset::at_close(&stream).map_err(|error| unconnected(&error))?;
    if let Ok(address) = stream.local_addr() {
        let _first = own.set(address);
    }
    let reply = match question.scheme {
        Scheme::Http => talk(stream, question).await,
        Scheme::Https => {
            let name = ServerName::try_from(host.to_owned()).map_err(|error| silence(&error))?;
            let connected = TlsConnector::from(anyone()?).connect(name, stream).await;
            talk(connected.map_err(|error| silence(&error))?, question).await
        }
    };
    if reply.as_ref().is_ok_and(|reply| reply.body.is_some()) {
        reset.not_needed();
    }
    reply
}

/// The connection ends with this: hyper closes it when the one who asks has let go of it.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: S, question: &Question) -> Result<Reply, Silence> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| silence(&error))?;
    let request = request(question)?;
    let asked = async move {
        let response = sender.send_request(request).await.map_err(|error| silence(&error))?;
        read(response).await
    };
    let (reply, _ended) = tokio::join!(asked, connection);
    reply
}

fn request(question: &Question) -> Result<Request<Empty<Bytes>>, Silence> {
    let host = format!("{}:{}", bracketed(&question.host), question.port);
    let request = Request::get(&question.path).header(HOST, host).header(ACCEPT, "*/*").body(Empty::new());
    request.map_err(|error| silence(&error))
}

async fn read(response: Response<hyper::body::Incoming>) -> Result<Reply, Silence> {
    let (head, mut incoming) = response.into_parts();
    let location = head.headers.get(LOCATION).map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
    let (status, mut body) = (head.status.as_u16(), Vec::new());
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| silence(&error))?;
        body.extend_from_slice(frame.data_ref().map_or(&[], |data| data.as_ref()));
        if body.len() > BODY_LIMIT {
            return Ok(Reply { status, location, body: None });
        }
    }
    Ok(Reply { status, location, body: Some(String::from_utf8_lossy(&body).trim().to_owned()) })
}

fn unconnected(error: &io::Error) -> Silence {
    Silence { refused: error.kind() == io::ErrorKind::ConnectionRefused, why: error.to_string() }
}

fn silence(error: &(dyn std::error::Error + 'static)) -> Silence {
    Silence { refused: false, why: innermost(error) }
}

/// A second descriptor of the connection, by which its end is chosen.
struct Reset(OwnedFd);

impl Reset {
    /// From now on the connection ends by a reset, whoever closes it.
    fn at_close(stream: &TcpStream) -> io::Result<Self> {
        let connection = stream.as_fd().try_clone_to_owned()?;
        setsockopt(&connection, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 })?;
        Ok(Self(connection))
    }

    /// It ends as usual: an application would log a reset after each answer.
    fn not_needed(self) {
        let _usual = setsockopt(&self.0, sockopt::Linger, &linger { l_onoff: 0, l_linger: 0 });
    }
}

/// TLS with whoever holds the slot's port: that it is the slot's own process is known from its sockets.
/// Made once: every slot is asked several times a second while it starts.
fn anyone() -> Result<Arc<ClientConfig>, Silence> {
    static MADE: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(made) = MADE.get() {
        return Ok(Arc::clone(made));
    }
    let provider = Arc::new(ring::default_provider());
    let versions = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let config =
        versions.map_err(|error| silence(&error))?.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)));
    Ok(Arc::clone(MADE.get_or_init(|| Arc::new(config.with_no_client_auth()))))
}

#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::sockets;
    use crate::model::id::Port;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    fn question(port: u16) -> Question {
        Question {
            scheme: Scheme::Http,
            host: "127.0.0.1".into(),
            port: Port(port),
            path: "/profile".into(),
            status: 200,
            expect: None,
            timeout: Duration::from_millis(100),
        }
    }

    #[tokio::test]
    async fn a_question_that_is_given_up_leaves_no_connection_with_an_application_that_hangs() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = Own::default();
        let silence = get(&question(port), &own).await.unwrap_err();
        assert_eq!(silence.why, "no answer within 100ms");
        assert!(own.get().is_some_and(|own| own.ip().is_loopback() && own.port() != port));
        let open = || sockets::connections(&[Port(port)].into())[&Port(port)].known().map(Vec::len);
        assert_eq!(open(), Some(0), "still in the queue of the listener");
        let (accepted, question) = (std::thread::spawn(move || listener.accept()), question(port));
        let (_, Ok(Ok((hung, _)))) = (get(&question, &Own::default()).await.unwrap_err(), accepted.join()) else { panic!() };
        assert_eq!(open(), Some(0), "accepted, and never read");
        drop(hung);
    }

    #[tokio::test]
    async fn after_a_whole_answer_the_connection_ends_as_usual() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (ended, end) = std::sync::mpsc::channel::<()>();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept()?;
            let mut request = [0; 4096];
            let read = stream.read(&mut request)?;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nreal1")?;
            end.recv().map_err(io::Error::other)?;
            io::Result::Ok((String::from_utf8_lossy(&request[..read]).into_owned(), stream.read(&mut request)?))
        });
        let reply = get(&question(port), &Own::default()).await.unwrap();
        assert_eq!((reply.status, reply.body.as_deref()), (200, Some("real1")));
        ended.send(()).unwrap();
        let (asked, end) = server.join().unwrap().expect("an end, and no reset");
        assert!(
            asked.starts_with("GET /profile HTTP/1.1\r\n") && asked.contains(&format!("host: 127.0.0.1:{port}\r\n")),
            "{asked}"
        );
        assert_eq!(end, 0);
    }
}
