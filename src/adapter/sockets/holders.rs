//! Which processes hold a socket. One socket may have many (a descriptor is inherited by children), and some that we cannot see.

use std::collections::{BTreeMap, BTreeSet};

use nix::unistd::{Uid, User};

use crate::adapter::process::{find, stat};
use crate::model::observed::Owner;

/// A command line is cut to this many characters: it is there to recognise a process by.
const COMMAND: usize = 120;

/// The sockets of one process; none when it may not be looked at.
pub(super) fn sockets_of(pid: u32) -> BTreeSet<u64> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return BTreeSet::new() };
    entries.flatten().filter_map(|entry| inode(std::fs::read_link(entry.path()).ok()?.to_str()?)).collect()
}

/// `socket:[4711]`
fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// The processes that hold one of these sockets, by socket, the eldest first: a server stands before its workers.
pub(super) fn holders(inodes: &BTreeSet<u64>) -> BTreeMap<u64, Vec<u32>> {
    let mut all: BTreeMap<u64, Vec<(u64, u32)>> = BTreeMap::new();
    for pid in find::pids().unwrap_or_default() {
        let held = sockets_of(pid);
        let wanted: Vec<_> = held.intersection(inodes).copied().collect();
        let Some(stat) = (!wanted.is_empty()).then(|| stat::read(pid).ok()).flatten() else { continue };
        for inode in wanted {
            all.entry(inode).or_default().push((stat.start, pid));
        }
    }
    let by_age = |mut found: Vec<(u64, u32)>| {
        found.sort_unstable();
        found.into_iter().map(|(_, pid)| pid).collect()
    };
    all.into_iter().map(|(inode, found)| (inode, by_age(found))).collect()
}

/// A process as a person recognises it.
pub(super) fn owner(pid: u32) -> Owner {
    let Ok(stat) = stat::read(pid) else { return Owner::Unseen };
    let user = user_of(pid).map_or_else(|| "unknown".to_owned(), name);
    Owner::Process { pid, user, command: command(pid), seconds: stat.age().as_secs() }
}

/// The effective user (`Uid:` of `/proc/PID/status`, second number). The owner of the folder itself is root for a process that
/// may not be dumped (proc(5)).
pub(super) fn user_of(pid: u32) -> Option<Uid> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_ascii_whitespace().nth(1)?.parse().ok().map(Uid::from_raw)
}

pub(super) fn name(uid: Uid) -> String {
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// The words of the command line.
pub(super) fn words(pid: u32) -> Vec<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.trim_end_matches('\0').split('\0').map(str::to_owned).collect()
}

fn command(pid: u32) -> String {
    let text: String = words(pid).join(" ");
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(COMMAND).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_described_by_user_command_and_age() {
        let Owner::Process { pid, user, command, .. } = owner(std::process::id()) else { panic!("we exist") };
        assert_eq!((pid, user), (std::process::id(), name(nix::unistd::geteuid())));
        assert!(!command.is_empty() && command.chars().count() <= COMMAND);
        assert_eq!(owner(u32::MAX), Owner::Unseen);
    }

    #[test]
    fn the_holder_of_a_socket_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = crate::model::id::Port(listener.local_addr().unwrap().port());
        let inode = crate::adapter::sockets::listeners(port).unwrap()[0].inode;
        assert!(sockets_of(std::process::id()).contains(&inode));
        // Behind us may stand a child of another test, between its fork and its exec.
        assert_eq!(holders(&[inode].into())[&inode].first(), Some(&std::process::id()));
    }
}
