//! The kernel's own answer over netlink (`sock_diag(7)`): filtered there by state and port, so nothing else is copied.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::adapter::sockets::{Filter, Ports, Silence, Socket};

/// `TCPDIAG_GETSOCK`: both families in one walk through the kernel's tables, where `SOCK_DIAG_BY_FAMILY` takes a walk for each. On
/// a host with much memory a walk is most of the cost: 262,144 buckets.
const GET_SOCKETS: u16 = 18;
/// `NLM_F_REQUEST | NLM_F_DUMP`
const DUMP: u16 = 0x301;
/// `NLMSG_ERROR` and `NLMSG_DONE`
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Bytes of `struct nlmsghdr`, of `struct inet_diag_req`, and of `struct inet_diag_msg`.
const HEADER: usize = 16;
const REQUEST: usize = 60;
const MESSAGE: usize = 72;
/// `INET_DIAG_REQ_BYTECODE`; bytes of an order with its port; the codes of "this port or above" and "this port or below".
const BYTECODE: u16 = 1;
const ORDER: usize = 8;
const LOCAL: [u8; 2] = [2, 3];
const REMOTE: [u8; 2] = [4, 5];
/// `INET_DIAG_INFO`, and the bit that asks for it: `struct tcp_info` behind each socket (`include/uapi/linux/inet_diag.h`).
const INFO: u16 = 2;
const WITH_INFO: u8 = 1 << (INFO - 1);
/// Of `tcp_info` the milliseconds since data was sent, and since data came (`include/uapi/linux/tcp.h`).
const LAST_DATA_SENT: usize = 44;
const LAST_DATA_RECEIVED: usize = 52;
/// The kernel fills one page or two for a read; a smaller buffer would cut its messages off.
const BUFFER: usize = 64 * 1024;
/// The kernel answers within the call that asks; without a limit an answer that never comes would stop the controller.
const SECONDS: i64 = 2;

/// The sockets of both families that pass the filter.
pub(super) fn sockets(filter: Filter) -> io::Result<Vec<Socket>> {
    let netlink = socket(AddressFamily::Netlink, SockType::Datagram, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)?;
    setsockopt(&netlink, sockopt::ReceiveTimeout, &TimeVal::seconds(SECONDS))?;
    let mut found = Vec::new();
    sendto(netlink.as_raw_fd(), &request(filter), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    receive(&netlink, &mut found)?;
    // A kernel that did not filter by port would make strangers of connections elsewhere.
    found.retain(|socket| filter.takes(socket));
    Ok(found)
}

/// `struct nlmsghdr`, `struct inet_diag_req` and the orders that compare with a range of ports (`include/uapi/linux/inet_diag.h`). A
/// port of zero means any.
fn request(filter: Filter) -> Vec<u8> {
    let exact = |ports: Option<Ports>| ports.filter(|(first, last)| first == last).map_or(0, |(port, _)| port);
    let orders = orders(filter);
    let mut bytes = Vec::with_capacity(HEADER + REQUEST + orders.len());
    let length = u32::try_from(HEADER + REQUEST + orders.len()).unwrap_or_default();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(GET_SOCKETS.to_ne_bytes());
    bytes.extend(DUMP.to_ne_bytes());
    // Sequence and sender: one question at a time over a socket of its own.
    bytes.extend([0; 8]);
    // Family and lengths of prefixes: of no meaning in a list.
    bytes.extend([0, 0, 0, if filter.with_silence { WITH_INFO } else { 0 }]);
    bytes.extend(exact(filter.local).to_be_bytes());
    bytes.extend(exact(filter.remote).to_be_bytes());
    // Addresses and interface: any. The cookie is all ones for "none" (INET_DIAG_NOCOOKIE).
    bytes.extend([0; 36]);
    bytes.extend([0xff; 8]);
    bytes.extend(filter.states.to_ne_bytes());
    // A field of old kernels.
    bytes.extend([0; 4]);
    bytes.extend(orders);
    bytes
}

/// One attribute, `INET_DIAG_REQ_BYTECODE`, with two orders of eight bytes for each range: from the first port on, up to the last one.
/// An order that does not hold leads four bytes behind the end of all, which is how the kernel knows that a socket is not meant.
fn orders(filter: Filter) -> Vec<u8> {
    let wide = |ports: Option<Ports>, [from, to]: [u8; 2]| {
        let ports = ports.filter(|(first, last)| first != last);
        ports.into_iter().flat_map(move |(first, last)| [(from, first), (to, last)])
    };
    let all: Vec<_> = wide(filter.local, LOCAL).chain(wide(filter.remote, REMOTE)).collect();
    let bytes = u16::try_from(all.len() * ORDER).unwrap_or_default();
    let mut attribute = Vec::new();
    if !all.is_empty() {
        attribute.extend((bytes + 4).to_ne_bytes());
        attribute.extend(BYTECODE.to_ne_bytes());
    }
    for ((code, port), left) in all.iter().zip((1..=all.len()).rev()) {
        let refused = u16::try_from(left * ORDER).unwrap_or_default() + 4;
        attribute.extend([*code, 8]);
        attribute.extend(refused.to_ne_bytes());
        attribute.extend([0, 0]);
        attribute.extend(port.to_ne_bytes());
    }
    attribute
}

/// Reads until the kernel says that this was all.
fn receive(netlink: &OwnedFd, found: &mut Vec<Socket>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = recv(netlink.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = &buffer[..length];
        while let Some((kind, body, next)) = message(rest) {
            match kind {
                DONE => return Ok(()),
                ERROR => return refusal(body),
                GET_SOCKETS => found.extend(parse(body)),
                _other => {}
            }
            rest = next;
        }
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// One message off the front: its type, its body, and what follows (each begins on four bytes).
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(part(bytes, 0)?)).ok()?;
    let kind = u16::from_ne_bytes(part(bytes, 4)?);
    let body = bytes.get(HEADER..length)?;
    let next = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, body, next))
}

fn refusal(body: &[u8]) -> io::Result<()> {
    match part(body, 0).map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// `struct inet_diag_msg`: ports and addresses stand in network order, the rest in that of the machine.
fn parse(body: &[u8]) -> Option<Socket> {
    let (body, attributes) = body.split_at_checked(MESSAGE)?;
    let address = |ip_at: usize, port_at: usize| {
        let ip = if i32::from(body[0]) == libc::AF_INET {
            IpAddr::from(Ipv4Addr::from(part::<4>(body, ip_at)?))
        } else {
            IpAddr::from(Ipv6Addr::from(part::<16>(body, ip_at)?))
        };
        Some(SocketAddr::new(ip, u16::from_be_bytes(part(body, port_at)?)))
    };
    let inode = u64::from(u32::from_ne_bytes(part(body, 68)?));
    Some(Socket { state: body[1], local: address(8, 4)?, remote: address(24, 6)?, inode, silence: silence(attributes) })
}

/// What the attributes behind the message say; a connection that is only being made has none.
fn silence(attributes: &[u8]) -> Option<Silence> {
    let mut rest = attributes;
    loop {
        let length = usize::from(u16::from_ne_bytes(part(rest, 0)?));
        let value = rest.get(4..length)?;
        if u16::from_ne_bytes(part(rest, 2)?) == INFO {
            let millis = |at| Some(Duration::from_millis(u32::from_ne_bytes(part(value, at)?).into()));
            return Some(Silence { sent: millis(LAST_DATA_SENT)?, received: millis(LAST_DATA_RECEIVED)? });
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_is_cut_short_is_no_socket_and_no_panic() {
        let whole = request(Filter { states: 1, local: Some((8081, 8081)), remote: None, with_silence: true });
        assert_eq!(whole.len(), HEADER + REQUEST);
        for length in 0..whole.len() {
            assert!(message(&whole[..length]).is_none(), "{length}");
        }
        assert!(message(&whole).is_some());
        assert_eq!(parse(&[0; MESSAGE - 1]), None);
        assert_eq!(parse(&[0; MESSAGE + 8]).unwrap().silence, None, "a length of zero would go on for ever");
        assert!(message(&[0; 16]).is_none(), "a length of zero would go on for ever");
    }
}
