//! TCP sockets of this network namespace: who listens on a port, who else keeps it, what is open towards it.
//!
//! Only states that matter are asked for: after load a port has tens of thousands of rows in TIME-WAIT, which keep nobody from
//! binding it (a JVM sets `SO_REUSEADDR`).
//!
//! **How long a connection has been open** is kept nowhere on Linux: `tcp_info` has no such field, a socket's inode has no times (all of
//! them are 1970), and those of `/proc/PID/fd/N` are of the moment at which somebody first looked. What the kernel does keep is when data
//! last went each way, and both begin with the connection (`tcp_create_openreq_child`), so the longer of the two silences is a time
//! that the connection has been open *at least*. It is exact where one side has not spoken since: a download, server-sent events, an idle
//! WebSocket. Of one that both sides use more is known only to who has seen it before (`observe::watch`), or where a cutover by flag
//! lies between (`reconcile`).

mod bind;
mod diag;
mod holders;
mod occupied;
mod same_app;
mod table;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::model::id::Port;
use crate::model::observed::{Connection, Observation};

/// The states of TCP as the kernel numbers them (`include/net/tcp_states.h`).
mod state {
    pub(super) const ESTABLISHED: u8 = 1;
    pub(super) const SYN_SENT: u8 = 2;
    pub(super) const SYN_RECV: u8 = 3;
    pub(super) const FIN_WAIT1: u8 = 4;
    pub(super) const FIN_WAIT2: u8 = 5;
    pub(super) const CLOSE_WAIT: u8 = 8;
    pub(super) const LAST_ACK: u8 = 9;
    pub(super) const LISTEN: u8 = 10;
    pub(super) const CLOSING: u8 = 11;
}

/// One socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    state: u8,
    local: SocketAddr,
    remote: SocketAddr,
    /// What `/proc/PID/fd` calls it by; zero for a connection that no process holds yet or any more.
    inode: u64,
    /// Where it was asked for and the kernel tells.
    silence: Option<Silence>,
}

/// The time since data last went over a connection, each way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Silence {
    sent: Duration,
    received: Duration,
}

/// All ports from one to another: what the kernel can compare with by two orders, however many ports are meant.
type Ports = (u16, u16);

/// Which sockets are asked for.
#[derive(Clone, Copy, Debug)]
struct Filter {
    /// Bit n stands for state n.
    states: u32,
    local: Option<Ports>,
    remote: Option<Ports>,
    /// Whether the silence of each is asked for too.
    with_silence: bool,
}

impl Filter {
    fn local(port: Port, states: &[u8]) -> Self {
        Self { local: Some((port.0, port.0)), ..Self::any(states) }
    }

    fn remote(port: Port, states: &[u8]) -> Self {
        Self { remote: Some((port.0, port.0)), ..Self::any(states) }
    }

    fn any(states: &[u8]) -> Self {
        Self { states: bits(states), local: None, remote: None, with_silence: false }
    }

    fn takes(&self, socket: &Socket) -> bool {
        self.states & (1 << socket.state) != 0
            && self.local.is_none_or(|ports| within(ports, socket.local))
            && self.remote.is_none_or(|ports| within(ports, socket.remote))
    }
}

fn within((first, last): Ports, address: SocketAddr) -> bool {
    (first..=last).contains(&address.port())
}

fn bits(states: &[u8]) -> u32 {
    states.iter().fold(0, |all, state| all | 1 << state)
}

/// Asks the kernel over netlink, or reads its tables where that is refused (an old kernel, a sandbox).
fn sockets(filter: Filter) -> io::Result<Vec<Socket>> {
    diag::sockets(filter).or_else(|_refused| table::sockets(filter))
}

/// Who listens on a port, on any address of either family.
pub(super) fn listeners(port: Port) -> io::Result<Vec<Socket>> {
    sockets(Filter::local(port, &[state::LISTEN]))
}

/// What was seen of the listeners of each port. May be lost at any time.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The listening sockets at the last look.
    seen: BTreeMap<Port, BTreeSet<u64>>,
    /// Those that the slot's own process held: a child that holds one later has inherited it.
    own: BTreeMap<Port, BTreeSet<u64>>,
}

impl Memory {
    /// Takes note of what listens now, and tells whether one of them is new.
    pub(super) fn saw(&mut self, port: Port, listeners: &[Socket]) -> bool {
        let now: BTreeSet<u64> = listeners.iter().map(|socket| socket.inode).collect();
        let before = self.seen.insert(port, now);
        let before = before.unwrap_or_default();
        listeners.iter().any(|socket| !before.contains(&socket.inode))
    }

    /// Sockets of the slot's own process are kept in mind, up to the last that it had.
    fn held_by_own(&mut self, port: Port, inodes: BTreeSet<u64>) {
        if !inodes.is_empty() {
            self.own.insert(port, inodes);
        }
    }

    fn was_own(&self, port: Port, inode: u64) -> bool {
        self.own.get(&port).is_some_and(|inodes| inodes.contains(&inode))
    }
}

/// Distinct connections towards each port, from the side of whoever serves it: there the other end of a loopback connection has the
/// port as its remote one and is not counted again. A connection that is only being made may have no end here yet, so those are
/// taken from the caller's side. Two questions to the kernel for all ports together.
pub(super) fn connections(ports: &BTreeSet<Port>) -> BTreeMap<Port, Observation<Vec<Connection>>> {
    let (Some(first), Some(last)) = (ports.first(), ports.last()) else { return BTreeMap::new() };
    let towards = towards((first.0, last.0));
    let of = |port: &Port| match &towards {
        Ok(pairs) => {
            let there = pairs.get(port).into_iter().flatten();
            Observation::Known(there.map(|((peer, _), silence)| connection(*peer, *silence)).collect())
        }
        Err(error) => Observation::Unknown(format!("cannot list the connections to port {port}: {error}")),
    };
    ports.iter().map(|port| (*port, of(port))).collect()
}

/// Both ends of each connection towards a port, the caller's first.
type Pairs = BTreeMap<(SocketAddr, SocketAddr), Option<Silence>>;

fn towards(ports: Ports) -> io::Result<BTreeMap<Port, Pairs>> {
    let served = Filter::any(&[state::ESTABLISHED, state::SYN_RECV, state::CLOSE_WAIT]);
    let served = sockets(Filter { local: Some(ports), with_silence: true, ..served })?;
    let called = sockets(Filter { remote: Some(ports), ..Filter::any(&[state::SYN_SENT]) })?;
    let mut pairs: BTreeMap<Port, Pairs> = BTreeMap::new();
    let mut add = |peer: SocketAddr, at: SocketAddr, silence| {
        pairs.entry(Port(at.port())).or_default().insert((plain(peer), plain(at)), silence);
    };
    for socket in &served {
        add(socket.remote, socket.local, socket.silence);
    }
    let here = if called.is_empty() { HashSet::new() } else { local_addresses() };
    for socket in called.iter().filter(|s| is_here(s.remote.ip(), &here)) {
        add(socket.local, socket.remote, None);
    }
    Ok(pairs)
}

fn connection(peer: SocketAddr, silence: Option<Silence>) -> Connection {
    let age = silence.map_or(Duration::ZERO, |s| s.sent.max(s.received));
    Connection { peer, age, silent: silence.map(|s| s.sent.min(s.received)), worker: None }
}

/// Which of these processes holds the calling end of each connection towards a port, as far as they may be looked at.
pub(super) fn callers(port: Port, among: &[u32]) -> BTreeMap<SocketAddr, u32> {
    let calling = sockets(Filter::remote(port, &[state::ESTABLISHED, state::CLOSE_WAIT])).unwrap_or_default();
    let mut found = BTreeMap::new();
    for pid in among {
        let held = holders::sockets_of(*pid);
        found.extend(calling.iter().filter(|s| held.contains(&s.inode)).map(|s| (plain(s.local), *pid)));
    }
    found
}

/// An IPv4 connection to a dual-stack socket has mapped addresses on that side alone.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn is_here(ip: IpAddr, here: &HashSet<IpAddr>) -> bool {
    let ip = ip.to_canonical();
    ip.is_loopback() || here.contains(&ip)
}

fn local_addresses() -> HashSet<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return HashSet::new() };
    let addresses = interfaces.filter_map(|interface| interface.address);
    let ip = |address: nix::sys::socket::SockaddrStorage| {
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::from(a.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::from(a.ip())))
    };
    addresses.filter_map(ip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    fn listener(address: &str) -> (TcpListener, Port) {
        let listener = TcpListener::bind(address).unwrap();
        let port = Port(listener.local_addr().unwrap().port());
        (listener, port)
    }

    fn open(port: Port) -> Vec<Connection> {
        connections(&[port].into())[&port].known().unwrap().clone()
    }

    fn count(port: Port) -> usize {
        open(port).len()
    }

    #[test]
    fn both_sources_see_the_same_sockets() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let (listener, port) = listener(address);
            let client = TcpStream::connect(("127.0.0.1", port.0)).or_else(|_| TcpStream::connect(("::1", port.0))).unwrap();
            let (served, _) = listener.accept().unwrap();
            for filter in [
                Filter::local(port, &[state::LISTEN]),
                Filter::local(port, &[state::ESTABLISHED]),
                Filter::remote(port, &[state::ESTABLISHED]),
            ] {
                let (one, other) = (diag::sockets(filter).unwrap(), table::sockets(filter).unwrap());
                assert_eq!(one, other, "{address} {filter:?}");
                assert_eq!(one.len(), 1, "{address} {filter:?}");
                assert!(one[0].inode > 0 && filter.takes(&one[0]));
            }
            drop((client, served));
        }
    }

    #[test]
    fn a_loopback_connection_counts_once_and_one_that_the_client_closed_still_counts() {
        let (listener, port) = listener("[::]:0");
        assert_eq!(count(port), 0);
        let one = TcpStream::connect(("127.0.0.1", port.0)).unwrap();
        let (served, _) = listener.accept().unwrap();
        assert_eq!(count(port), 1);
        let two = TcpStream::connect(("::1", port.0)).unwrap();
        assert_eq!(count(port), 2, "not accepted yet");
        one.shutdown(std::net::Shutdown::Both).unwrap();
        drop(one);
        assert_eq!(count(port), 2, "CLOSE-WAIT until the server closes");
        drop((served, two));
        assert_eq!(count(port), 1, "the second is in CLOSE-WAIT in the queue");
    }

    /// The clock is the kernel's own: the silence that it tells passes the time that the test has waited for one byte.
    #[test]
    fn a_connection_is_as_old_as_the_longer_silence_and_its_caller_is_known() {
        use std::io::{Read, Write};
        let (listener, port) = listener("127.0.0.1:0");
        let mut client = TcpStream::connect(("127.0.0.1", port.0)).unwrap();
        let (mut served, _) = listener.accept().unwrap();
        let began = std::time::Instant::now();
        let one = || open(port)[0].clone();
        while one().silent < Some(Duration::from_millis(60)) {
            assert!(began.elapsed() < Duration::from_secs(10), "{:?}", one());
        }
        client.write_all(b"x").unwrap();
        served.read_exact(&mut [0]).unwrap();
        let after = one();
        assert!(after.age >= Duration::from_millis(60), "it has sent nothing yet: {after:?}");
        assert!(after.silent.unwrap() < after.age && after.age < began.elapsed() + Duration::from_millis(60), "{after:?}");
        assert_eq!(after.peer, client.local_addr().unwrap());
        assert_eq!(callers(port, &[std::process::id()]), BTreeMap::from([(after.peer, std::process::id())]));
        assert!(callers(port, &[]).is_empty());
    }

    #[test]
    fn a_connection_that_waits_in_a_full_queue_counts_once() {
        use nix::sys::socket::{
            AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, connect, getsockname, listen, socket,
        };
        use std::os::fd::AsRawFd;
        let flags = SockFlag::SOCK_CLOEXEC;
        let server = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
        bind(server.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        listen(&server, Backlog::new(1).unwrap()).unwrap();
        let address: SockaddrIn = getsockname(server.as_raw_fd()).unwrap();
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let client = socket(AddressFamily::Inet, SockType::Stream, flags | SockFlag::SOCK_NONBLOCK, None).unwrap();
                connect(client.as_raw_fd(), &address).expect_err("it is under way");
                client
            })
            .collect();
        let count = count(Port(address.port()));
        assert_eq!(count, 4, "two in the queue, two that still send SYN");
        drop(clients);
    }

    #[test]
    fn the_connections_of_many_ports_are_told_by_one_question_as_by_one_for_each() {
        let servers: Vec<_> = (0..3).map(|_| listener("127.0.0.1:0")).collect();
        let clients: Vec<_> = [0, 0, 2].map(|at: usize| TcpStream::connect(("127.0.0.1", servers[at].1.0)).unwrap()).into();
        let ports = servers.iter().map(|(_, port)| *port).collect();
        let (all, peers) = (connections(&ports), |found: &[Connection]| found.iter().map(|c| c.peer).collect::<BTreeSet<_>>());
        for (_, port) in &servers {
            let to_it = clients.iter().filter(|client| client.peer_addr().unwrap().port() == port.0);
            let expected: BTreeSet<_> = to_it.map(|client| client.local_addr().unwrap()).collect();
            assert_eq!(peers(all[port].known().unwrap()), expected);
            assert_eq!(peers(&open(*port)), expected);
        }
        assert_eq!(all.len(), 3, "and of no other port that lies between");
        assert!(connections(&BTreeSet::new()).is_empty());
        let wide = Filter { local: Some((1, u16::MAX)), ..Filter::any(&[state::ESTABLISHED]) };
        let held = diag::sockets(wide).unwrap().iter().filter(|s| ports.contains(&Port(s.local.port()))).count();
        assert_eq!(held, clients.len(), "the kernel compares with both ends of the range");
    }

    #[test]
    fn a_listener_is_new_once() {
        let (listener, port) = listener("127.0.0.1:0");
        let mut memory = Memory::default();
        let now = listeners(port).unwrap();
        assert!(memory.saw(port, &now) && !memory.saw(port, &now) && !memory.saw(port, &[]));
        assert!(memory.saw(port, &now), "it was away in between");
        drop(listener);
    }
}
