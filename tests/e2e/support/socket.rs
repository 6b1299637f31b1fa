//! A WebSocket (RFC 6455), as far as an echo needs it: short texts, one at a time.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::client::{Broken, connect, line};

/// The pair of the RFC's own example.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// Any will do: it is there for proxies that do not know what they carry.
const MASK: [u8; 4] = [7, 11, 13, 17];
/// A whole text, and the end.
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;

/// One that is open.
pub(crate) struct Socket(BufReader<TcpStream>);

impl Socket {
    /// Opens one at `/socket`.
    pub(crate) fn open(address: SocketAddr) -> Result<Self, Broken> {
        let mut stream = connect(address)?;
        let head = format!(
            "GET /socket HTTP/1.1\r\nHost: site.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.get_mut().write_all(head.as_bytes()).map_err(|_| Broken::Reset)?;
        let status = line(&mut stream)?;
        let mut accepted = false;
        loop {
            let line = line(&mut stream)?;
            if line.is_empty() {
                return if accepted && status.starts_with("HTTP/1.1 101") { Ok(Self(stream)) } else { Err(Broken::Garbled) };
            }
            accepted |= line
                .split_once(": ")
                .is_some_and(|(name, value)| name.eq_ignore_ascii_case("sec-websocket-accept") && value == ACCEPT);
        }
    }

    /// Sends a short text and takes what comes back: slot, version, and the text.
    pub(crate) fn echo(&mut self, text: &str) -> Result<[String; 3], Broken> {
        self.send(TEXT, text.as_bytes())?;
        let (kind, said) = self.receive()?;
        if kind == CLOSE {
            return Err(Broken::Closed(said.first_chunk().copied().map_or(1005, u16::from_be_bytes)));
        }
        let said = String::from_utf8(said).map_err(|_| Broken::Garbled)?;
        let mut words = said.splitn(3, ' ').map(str::to_owned);
        match (kind, [words.next(), words.next(), words.next()]) {
            (TEXT, [Some(slot), Some(version), Some(text)]) => Ok([slot, version, text]),
            _ => Err(Broken::Garbled),
        }
    }

    /// Ends it as both sides should.
    pub(crate) fn close(mut self) -> Result<(), Broken> {
        self.send(CLOSE, &1000_u16.to_be_bytes())?;
        let (kind, _) = self.receive()?;
        if kind == CLOSE { Ok(()) } else { Err(Broken::Garbled) }
    }

    fn send(&mut self, kind: u8, content: &[u8]) -> Result<(), Broken> {
        let length = u8::try_from(content.len()).ok().filter(|length| *length < 126).expect("a short text");
        let masked = content.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let frame: Vec<u8> = [kind, 0x80 | length].into_iter().chain(MASK).chain(masked).collect();
        self.0.get_mut().write_all(&frame).map_err(|_| Broken::Reset)
    }

    fn receive(&mut self) -> Result<(u8, Vec<u8>), Broken> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).map_err(|_| Broken::Truncated)?;
        let mut content = vec![0; usize::from(head[1] & 0x7f)];
        self.0.read_exact(&mut content).map_err(|_| Broken::Truncated)?;
        Ok((head[0], content))
    }
}
