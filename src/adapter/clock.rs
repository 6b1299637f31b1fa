//! Time, chance, and waiting for a process to end or a port to be listened on.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::adapter::{LinuxHost, sockets};
use crate::host::clock::Clock;
use crate::host::processes::Processes;
use crate::model::id::{BootId, Cookie, Identity, Moment, Now, Port};
use crate::model::wake::Wake;

/// Between two looks at the listeners. Longer delays every deployment by as much; shorter costs CPU, because the kernel has to
/// walk its table of listeners (well below a millisecond) for each look.
const LISTEN_LOOK: Duration = Duration::from_millis(20);

impl Clock for LinuxHost {
    fn look_begins(&self) {
        self.nginx.look_begins();
    }

    fn look_ends(&self) {
        self.nginx.look_ends();
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            // Without /proc no process can be looked at either, and then `find` says Unknown: the word leads to no act.
            boot: boot_id().unwrap_or_else(|_| BootId::new("unreadable")),
            at: since_boot(),
            wall: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX),
        }
    }

    #[expect(clippy::expect_used, reason = "getrandom(2) has no error for 16 bytes on the kernels that have pidfds")]
    fn random(&self) -> Cookie {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the kernel gives random bytes");
        Cookie::new(hex::encode(bytes))
    }

    async fn wait(&self, wakes: &[Wake], at_most: Duration) {
        self.reap();
        let mut pins = Vec::new();
        let mut ports = Vec::new();
        for wake in wakes {
            match wake {
                Wake::Exit(identity) => match self.pin(identity) {
                    Pin::Ended => return,
                    Pin::Runs(fd) => pins.push(fd),
                    Pin::Unwatchable => {}
                },
                Wake::Listens(port) => ports.push(*port),
            }
        }
        tokio::select! {
            () = any_ends(&pins) => {}
            () = self.any_listens(&ports) => {}
            () = tokio::time::sleep(at_most) => {}
        }
    }
}

/// A process that is waited for.
enum Pin {
    Ended,
    Runs(AsyncFd<OwnedFd>),
    /// No pidfd could be had; the time limit of the wait ends it.
    Unwatchable,
}

impl LinuxHost {
    /// Pins first and compares then, so that what is watched is what was meant. A pidfd is readable once its process has ended,
    /// a zombie's too (`pidfd_open(2)`).
    fn pin(&self, identity: &Identity) -> Pin {
        let fd = match pidfd(identity.pid) {
            Ok(fd) => fd,
            Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => return Pin::Ended,
            Err(_) => return Pin::Unwatchable,
        };
        if self.find(identity).is_absent() {
            return Pin::Ended;
        }
        watched(fd).map_or(Pin::Unwatchable, Pin::Runs)
    }

    /// Ends when a socket listens that neither a look at the port nor an earlier wait has seen: a listener that was known when
    /// the wait began, the slot's own or a stranger's, would otherwise end every wait at once.
    async fn any_listens(&self, ports: &[Port]) {
        if ports.is_empty() {
            return std::future::pending().await;
        }
        while !ports.iter().any(|port| self.new_listener(*port)) {
            tokio::time::sleep(LISTEN_LOOK).await;
        }
    }

    fn new_listener(&self, port: Port) -> bool {
        let Ok(listeners) = sockets::listeners(port) else { return false };
        self.sockets.borrow_mut().saw(port, &listeners)
    }
}

/// tokio replaced this call by an unsafe one, because a type of one's own may name another descriptor later; `OwnedFd` cannot.
#[expect(
    deprecated,
    reason = "the newer call is unsafe, which this crate forbids, and what it guards against cannot happen here"
)]
fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

async fn any_ends(pins: &[AsyncFd<OwnedFd>]) {
    poll_fn(|cx| if pins.iter().any(|pin| pin.poll_read_ready(cx).is_ready()) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// A descriptor that means this very process for as long as it is open, whatever becomes of the number.
pub(super) fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    // No process can have a number that the kernel has no type for.
    let no_such = || io::Error::from_raw_os_error(nix::libc::ESRCH);
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(no_such)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Time since boot, time asleep included, as `/proc/PID/stat` counts it too.
pub(super) fn since_boot() -> Moment {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    Moment(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

/// The running boot (random(4)), which is asked for with every process and cannot change while we run.
pub(super) fn boot_id() -> io::Result<BootId> {
    static BOOT: OnceLock<BootId> = OnceLock::new();
    if let Some(boot) = BOOT.get() {
        return Ok(boot.clone());
    }
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(BOOT.get_or_init(|| BootId::new(text.trim())).clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::process::stat;
    use std::net::TcpListener;
    use std::process::Command;

    const LONG: Duration = Duration::from_secs(20);

    fn host() -> LinuxHost {
        LinuxHost::new("/nonexistent/slotd")
    }

    async fn ends_early(host: &LinuxHost, wake: Wake) -> bool {
        let began = since_boot();
        host.wait(&[wake], LONG).await;
        since_boot().since(began) < LONG / 2
    }

    fn identity(pid: u32) -> Identity {
        Identity { boot: boot_id().unwrap(), pid, start: stat::read(pid).unwrap().start, cookie: None }
    }

    #[tokio::test]
    async fn a_wait_ends_when_the_process_does_and_at_once_for_a_zombie() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let wake = Wake::Exit(identity(child.id()));
        let host = host();
        let ended = ends_early(&host, wake.clone());
        let kill = async {
            tokio::task::yield_now().await;
            child.kill().unwrap();
        };
        assert!(tokio::join!(ended, kill).0);
        assert!(ends_early(&host, wake.clone()).await, "a zombie is dead");
        child.wait().unwrap();
        assert!(ends_early(&host, wake).await, "and so is a process that is gone");
    }

    #[tokio::test]
    async fn a_wait_ends_when_a_listener_appears_and_not_for_one_that_was_seen() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = Port(free.local_addr().unwrap().port());
        let host = host();
        assert!(ends_early(&host, Wake::Listens(port)).await, "nobody has seen it yet");
        let began = since_boot();
        host.wait(&[Wake::Listens(port)], Duration::from_millis(60)).await;
        assert!(since_boot().since(began) >= Duration::from_millis(50), "it is known now");
        drop(free);
        // A child that another test is just starting holds a copy until its exec.
        while !sockets::listeners(port).unwrap().is_empty() {
            std::thread::yield_now();
        }
        let again = async {
            tokio::task::yield_now().await;
            TcpListener::bind(("127.0.0.1", port.0)).unwrap()
        };
        assert!(tokio::join!(ends_early(&host, Wake::Listens(port)), again).0);
    }

    #[test]
    fn chance_is_128_bits_and_not_twice_the_same() {
        let (a, b) = (host().random(), host().random());
        assert_eq!(a.as_str().len(), 32);
        assert_ne!(a, b);
    }
}
