//! What `/proc/PID/stat` says (proc(5)): state, parent and start time, which with boot and cookie make an identity.

use std::io;
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

    /// Time since it started, to a tick (10 ms).
    pub fn age(&self) -> Duration {
        let started = self.start.saturating_mul(1000) / procfs::ticks_per_second().max(1);
        clock::since_boot().since(Moment(started))
    }
}

/// Reads the line of a process. [`is_gone`] tells whether an error means that there is no such process.
pub fn read(pid: u32) -> io::Result<Stat> {
    let line = std::fs::read(format!("/proc/{pid}/stat"))?;
    parse(&String::from_utf8_lossy(&line)).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unexpected /proc/PID/stat"))
}

/// Whether a process is in the middle of an `exec`: it has memory of its own already (`vsize`, field 23; a kernel thread never
/// has any), and the place of its environment is not known yet (`env_end`, field 51).
pub(super) fn is_in_exec(pid: u32) -> io::Result<bool> {
    let line = std::fs::read(format!("/proc/{pid}/stat"))?;
    Ok(lies_in_exec(&String::from_utf8_lossy(&line)))
}

fn lies_in_exec(line: &str) -> bool {
    let Some((_, rest)) = line.rsplit_once(')') else { return false };
    let fields: Vec<_> = rest.split_ascii_whitespace().collect();
    // The third field is the first behind the name.
    let is_zero = |number: usize| fields.get(number - 3).is_none_or(|field| *field == "0");
    !is_zero(23) && is_zero(51)
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
    fn an_exec_under_way_has_memory_and_no_environment_yet() {
        let line = |vsize: &str, env_end: &str| {
            let mut fields = ["1"; 50];
            (fields[23 - 3], fields[51 - 3]) = (vsize, env_end);
            format!("10 (java) {}", fields.join(" "))
        };
        assert!(lies_in_exec(&line("4096", "0")));
        assert!(!lies_in_exec(&line("4096", "140737")) && !lies_in_exec(&line("0", "0")), "past it; a kernel thread");
        assert!(!is_in_exec(std::process::id()).unwrap());
    }

    #[test]
    fn our_own_start_is_in_the_past() {
        let me = read(std::process::id()).unwrap();
        assert!(!me.is_dead() && me.age() < Duration::from_secs(3600));
        assert!(is_gone(&read(u32::MAX).unwrap_err()));
    }
}
