//! What `/proc/PID/stat` says (proc(5)): state, parent and start time, which with boot and cookie make an identity.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use crate::adapter::clock;
use crate::model::id::Moment;

/// The three fields that we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `Z`, …
    pub state: char,
    /// The pid of its parent.
    pub parent: u32,
    /// Clock ticks since boot.
    pub start: u64,
}

impl Stat {
    /// A zombie (`Z`) or one that is being removed (`X`) holds nothing any more; only its number is still taken.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// Stopped by a signal (`T`); a debugger's stop is another letter, and its own business.
    pub fn is_frozen(&self) -> bool {
        self.state == 'T'
    }

    /// Time since it started, to a tick (10 ms).
    pub fn age(&self) -> Duration {
        let started = self.start.saturating_mul(1000) / procfs::ticks_per_second().max(1);
        clock::since_boot().since(Moment(started))
    }
}

/// Room for the line of any process: 52 numbers and a name.
const LINE: usize = 1024;

/// A file of a process, read at once where growing would take five reads: it has no size before it is read, and `take` keeps the
/// standard library from asking for one.
pub(super) fn file(pid: u32, name: &str, room: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(room);
    File::open(format!("/proc/{pid}/{name}"))?.take(u64::MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads the line of a process. [`is_gone`] tells whether an error means that there is no such process.
pub fn read(pid: u32) -> io::Result<Stat> {
    let line = file(pid, "stat", LINE)?;
    parse(&String::from_utf8_lossy(&line)).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unexpected /proc/PID/stat"))
}

/// How many bytes of environment a process has: none without memory (`vsize`, field 23: a kernel thread, a zombie), else those
/// between `env_start` and `env_end` (fields 50 and 51). `None`: it is in the middle of an `exec`, with memory of its own already
/// and a place for the environment that is not there yet or still grows. The kernel fills in `startcode` (field 26) only after
/// that place (`load_elf_binary` in `fs/binfmt_elf.c`).
pub(super) fn environment_size(pid: u32) -> io::Result<Option<u64>> {
    let line = file(pid, "stat", LINE)?;
    Ok(said_size(&String::from_utf8_lossy(&line)))
}

fn said_size(line: &str) -> Option<u64> {
    let (_, rest) = line.rsplit_once(')')?;
    let fields: Vec<_> = rest.split_ascii_whitespace().collect();
    // The third field is the first behind the name.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    if field(23)? == 0 {
        return Some(0);
    }
    field(26).filter(|code| *code != 0)?;
    field(51)?.checked_sub(field(50)?)
}

/// Whether an error from a file under `/proc/PID` means that the process is gone: the folder is, or the process went between
/// open and read.
pub fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ESRCH)
}

/// The second field is the name in parentheses, which the process chooses itself and which may hold blanks and parentheses:
/// the fields that count stand behind the last one.
fn parse(line: &str) -> Option<Stat> {
    let (_, rest) = line.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    // Field 22; the parent was field 4, and 17 stand between them.
    let start = fields.nth(17)?.parse().ok()?;
    Some(Stat { state, parent, start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_fields_does_not_mislead() {
        let rest = "S 42 7 7 0 -1 4194304 1 0 0 0 1 2 0 0 20 0 1 0 987654 1 2 3";
        let expected = Some(Stat { state: 'S', parent: 42, start: 987_654 });
        for name in ["(sh)", "((a) R 1 (x))", "()", "(a b)c)"] {
            assert_eq!(parse(&format!("10 {name} {rest}")), expected, "{name}");
        }
        assert_eq!(parse("10 (sh S 42"), None);
        assert_eq!(parse("10 (sh) S 42 7"), None);
    }

    #[test]
    fn an_environment_has_a_size_but_not_in_the_middle_of_an_exec() {
        let line = |vsize: &str, code: &str, start: &str, end: &str| {
            let mut fields = ["1"; 50];
            (fields[23 - 3], fields[26 - 3], fields[50 - 3], fields[51 - 3]) = (vsize, code, start, end);
            format!("10 (java) {}", fields.join(" "))
        };
        assert_eq!(said_size(&line("0", "0", "0", "0")), Some(0), "a kernel thread");
        assert_eq!(said_size(&line("4096", "9", "140737", "140737")), Some(0), "started with an empty one");
        assert_eq!(said_size(&line("4096", "0", "0", "0")), None, "in the middle of an exec");
        assert_eq!(said_size(&line("4096", "0", "140737", "140737")), None, "a little later");
        assert_eq!(said_size(&line("4096", "9", "140700", "140737")), Some(37));
        assert!(environment_size(std::process::id()).unwrap().is_some_and(|size| size > 0));
    }

    #[test]
    fn our_own_start_is_in_the_past() {
        let me = read(std::process::id()).unwrap();
        assert!(!me.is_dead() && me.age() < Duration::from_secs(3600));
        assert!(is_gone(&read(u32::MAX).unwrap_err()));
    }
}
