use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, getsockname, socket};

use super::*;
use crate::adapter::clock;
use crate::adapter::process::stat;
use crate::model::id::{Cookie, Identity, Port};

fn host() -> LinuxHost {
    LinuxHost::new("/nonexistent/slotd")
}

fn question(port: Port, bind: &str) -> PortQuestion {
    PortQuestion { port, bind: bind.to_owned(), own: Vec::new(), cookies: Vec::new(), application: None }
}

fn listener(address: &str) -> (TcpListener, Port) {
    let listener = TcpListener::bind(address).unwrap();
    let port = Port(listener.local_addr().unwrap().port());
    (listener, port)
}

/// Closes a listener for good: a child that another test is just starting holds a copy until its exec.
fn close(listener: TcpListener, port: Port) {
    drop(listener);
    while !listeners(port).unwrap().is_empty() {
        std::thread::yield_now();
    }
}

fn me() -> Identity {
    let pid = std::process::id();
    Identity { boot: clock::boot_id().unwrap(), pid, start: stat::read(pid).unwrap().start, cookie: None }
}

fn occupants(host: &LinuxHost, question: &PortQuestion) -> Vec<Occupant> {
    let fact = host.occupied(question);
    let fact = fact.known().unwrap_or_else(|| panic!("{fact:?}"));
    assert!(!fact.own);
    fact.occupants.clone()
}

/// A process that holds a listener which it got as its standard input; ended with the test.
struct Heir(Child);

impl Heir {
    fn of(listener: &TcpListener, cookie: &str) -> Self {
        let inherited: OwnedFd = listener.try_clone().unwrap().into();
        let mut command = Command::new("sleep");
        Self(command.arg("60").env("SLOTD_COOKIE", cookie).stdin(Stdio::from(inherited)).spawn().unwrap())
    }
}

impl Drop for Heir {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_free_port_has_no_occupants_even_with_connections_that_have_just_ended() {
    let (listener, port) = listener("127.0.0.1:0");
    let client = TcpStream::connect(("127.0.0.1", port.0)).unwrap();
    let (served, _) = listener.accept().unwrap();
    // The side that closes first is left in TIME-WAIT, here the server's.
    drop(served);
    drop(client);
    close(listener, port);
    assert!(occupants(&host(), &question(port, "::")).is_empty());
}

#[test]
fn the_slot_that_listens_itself_is_no_occupant() {
    let (listener, port) = listener("[::]:0");
    let mine = PortQuestion { own: vec![me()], ..question(port, "::") };
    assert_eq!(host().occupied(&mine), Observation::Known(PortFact { own: true, occupants: Vec::new() }));
    close(listener, port);
    assert_eq!(host().occupied(&mine), Observation::Known(PortFact { own: false, occupants: Vec::new() }));
}

#[test]
fn a_stranger_is_named_with_its_address() {
    for (address, bind) in [("127.0.0.1:0", "::"), ("127.0.0.1:0", "127.0.0.1"), ("[::]:0", "127.0.0.1"), ("0.0.0.0:0", "::")] {
        let (_listener, port) = listener(address);
        match occupants(&host(), &question(port, bind)).as_slice() {
            [Occupant::Stranger { owner: Owner::Process { pid, .. }, address: on }] => {
                assert_eq!((*pid, on), (std::process::id(), &address.replace(":0", &format!(":{port}"))));
            }
            other => panic!("{address} {bind}: {other:?}"),
        }
    }
}

#[test]
fn a_stranger_on_another_loopback_address_is_in_the_way_of_a_wildcard_alone() {
    let (_listener, port) = listener("127.0.0.2:0");
    assert!(occupants(&host(), &question(port, "127.0.0.1")).is_empty());
    assert_eq!(occupants(&host(), &question(port, "::")).len(), 1);
    let _own = TcpListener::bind(("127.0.0.1", port.0)).unwrap();
    let sleeper = Heir(Command::new("sleep").arg("60").spawn().unwrap());
    let pid = sleeper.0.id();
    let starting = Identity { pid, start: stat::read(pid).unwrap().start, ..me() };
    let while_it_starts = PortQuestion { own: vec![starting], ..question(port, "127.0.0.2") };
    assert_eq!(occupants(&host(), &while_it_starts).len(), 1, "no bind is tried beside a living process");
}

#[test]
fn a_socket_that_is_bound_and_does_not_listen_is_told_apart() {
    let bound = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    nix::sys::socket::bind(bound.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, 0)).unwrap();
    let address: SockaddrIn = getsockname(bound.as_raw_fd()).unwrap();
    assert_eq!(occupants(&host(), &question(Port(address.port()), "::")), [Occupant::BoundNotListening]);
}

#[test]
fn an_outgoing_connection_is_told_apart() {
    let (listener, _) = listener("127.0.0.1:0");
    let there = listener.local_addr().unwrap();
    let client = TcpStream::connect(there).unwrap();
    let port = Port(client.local_addr().unwrap().port());
    match occupants(&host(), &question(port, "::")).as_slice() {
        [Occupant::Outgoing { owner: Owner::Process { pid, .. }, remote }] => {
            assert_eq!((*pid, remote), (std::process::id(), &there.to_string()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_child_that_carries_the_cookie_has_inherited_the_listener() {
    let (listener, port) = listener("127.0.0.1:0");
    let heir = Heir::of(&listener, "heir-1");
    drop(listener);
    let asked = PortQuestion { cookies: vec![Cookie::new("heir-1")], ..question(port, "::") };
    match occupants(&host(), &asked).as_slice() {
        [Occupant::Inherited { owner: Owner::Process { pid, .. } }] => assert_eq!(*pid, heir.0.id()),
        other => panic!("{other:?}"),
    }
    let by_others = PortQuestion { cookies: vec![Cookie::new("heir-2")], ..question(port, "::") };
    assert!(matches!(occupants(&host(), &by_others).as_slice(), [Occupant::Stranger { .. }]));
}

#[test]
fn a_socket_that_the_slot_once_held_is_known_again_without_a_cookie() {
    let (listener, port) = listener("127.0.0.1:0");
    let host = host();
    let mine = PortQuestion { own: vec![me()], ..question(port, "::") };
    assert!(host.occupied(&mine).known().unwrap().own);
    let heir = Heir::of(&listener, "");
    drop(listener);
    match occupants(&host, &question(port, "::")).as_slice() {
        [Occupant::Inherited { owner: Owner::Process { pid, .. } }] => assert_eq!(*pid, heir.0.id()),
        other => panic!("{other:?}"),
    }
}
