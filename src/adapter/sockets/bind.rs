//! Trying to bind a port, the only thing that proves it free: a socket that is bound and does not listen stands in no table.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt};

use crate::model::id::Port;

/// What a bind came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bind {
    /// It succeeded, and was undone.
    Free,
    /// The address is in use.
    Taken,
    /// It failed for another reason, which says nothing about who holds the port.
    Impossible(String),
}

/// The address that a text names. A name is looked up as the JVM does it, IPv4 first (`java.net.preferIPv6Addresses` is false).
pub(super) fn address(text: &str) -> io::Result<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse() {
        return Ok(ip);
    }
    let all: Vec<_> = (bare, 0).to_socket_addrs()?.map(|address| address.ip()).collect();
    all.iter().find(|ip| ip.is_ipv4()).or(all.first()).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Binds as the JVM will: with `SO_REUSEADDR`, and `::` for both families at once. Nothing listens, and the socket is closed at
/// once; but a JVM that comes to its `listen` in just that moment fails, so this is never done while the slot's process lives.
pub(super) fn attempt(ip: IpAddr, port: Port) -> Bind {
    match bound(ip, port) {
        // Without IPv6 in the kernel the JVM takes IPv4 alone.
        Err(Errno::EAFNOSUPPORT) if ip.is_unspecified() => judge(bound(Ipv4Addr::UNSPECIFIED.into(), port)),
        other => judge(other),
    }
}

fn judge(result: nix::Result<()>) -> Bind {
    match result {
        Ok(()) => Bind::Free,
        Err(Errno::EADDRINUSE) => Bind::Taken,
        Err(other) => Bind::Impossible(other.desc().to_owned()),
    }
}

fn bound(ip: IpAddr, port: Port) -> nix::Result<()> {
    let family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let probe = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&probe, sockopt::ReuseAddr, &true)?;
    if ip == IpAddr::from(Ipv6Addr::UNSPECIFIED) {
        setsockopt(&probe, sockopt::Ipv6V6Only, &false)?;
    }
    bind(probe.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(ip, port.0)))
}

/// Whether a socket on `other` can keep `ip` from being bound: the same address, or one of them the wildcard.
pub(super) fn overlaps(ip: IpAddr, other: IpAddr) -> bool {
    let (ip, other) = (ip.to_canonical(), other.to_canonical());
    ip == other || ip.is_unspecified() || other.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_every_spelling() {
        assert_eq!(address("::").unwrap(), IpAddr::from(Ipv6Addr::UNSPECIFIED));
        assert_eq!(address("[::1]").unwrap(), IpAddr::from(Ipv6Addr::LOCALHOST));
        assert_eq!(address("localhost").unwrap(), IpAddr::from(Ipv4Addr::LOCALHOST));
        address("no such host.invalid").unwrap_err();
    }

    #[test]
    fn an_address_of_another_machine_is_impossible_not_taken() {
        assert!(matches!(attempt("192.0.2.1".parse().unwrap(), Port(8081)), Bind::Impossible(_)));
    }

    #[test]
    fn wildcards_overlap_with_everything_and_loopback_addresses_only_with_themselves() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(overlaps(ip("::"), ip("127.0.0.2")) && overlaps(ip("127.0.0.1"), ip("0.0.0.0")));
        assert!(overlaps(ip("127.0.0.1"), ip("::ffff:127.0.0.1")));
        assert!(!overlaps(ip("127.0.0.1"), ip("127.0.0.2")));
    }
}
