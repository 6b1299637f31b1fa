//! Ports that no other test, no other test run and no outgoing connection can get in between.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};

/// Below the ephemeral range of Linux (32768-60999): the kernel never hands one of these to an outgoing connection.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// A port that is ours until this is dropped; a lock file tells other test processes so.
pub(crate) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// The next one that nobody has locked and nobody holds.
    pub(crate) fn reserve() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let start = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap();
        (0..COUNT)
            .map(|_| FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT)
            .find_map(Self::take)
            .expect("no port of 20000-29999 is free")
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    fn take(number: u16) -> Option<Self> {
        let locks = std::env::temp_dir().join("slotd-e2e-ports");
        fs::create_dir_all(&locks).unwrap();
        let lock = File::create(locks.join(format!("{number}.lock"))).ok()?;
        lock.try_lock().ok()?;
        is_free(number).then_some(Self { number, _lock: lock })
    }
}

/// Whether an application could bind it, as Java does (every address) and as nginx does (one address).
pub(crate) fn is_free(number: u16) -> bool {
    TcpListener::bind(("127.0.0.1", number)).is_ok() && TcpListener::bind(("::", number)).is_ok()
}

/// A socket with this address and no more; without `SO_REUSEADDR`, as a client's is.
pub(crate) fn bound(port: u16) -> OwnedFd {
    let held = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(held.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port)).unwrap();
    held
}

/// An outgoing connection whose own port is this one.
///
/// The far end is dropped first: whoever closes first keeps the port for the minute of TIME-WAIT, in which nobody can bind it.
pub(crate) fn outgoing(port: u16) -> (TcpStream, TcpListener, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = listener.local_addr().unwrap().port();
    let near = bound(port);
    connect(near.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, far)).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    (accepted, listener, near)
}
