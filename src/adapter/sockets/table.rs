//! The kernel's tables as text, `/proc/net/tcp` and `tcp6` (proc(5)): every socket in every state, so only the second choice.

use std::io;

use procfs::ProcError;
use procfs::net::{TcpNetEntry, tcp, tcp6};

use crate::adapter::sockets::{Filter, Socket};

/// The sockets of both families that pass the filter.
pub(super) fn sockets(filter: Filter) -> io::Result<Vec<Socket>> {
    let mut rows = tcp().map_err(io::Error::other)?;
    match tcp6() {
        Ok(more) => rows.extend(more),
        // A kernel without IPv6 has no such table.
        Err(ProcError::NotFound(_)) => {}
        Err(error) => return Err(io::Error::other(error)),
    }
    Ok(distinct(rows.iter().filter_map(socket).filter(|socket| filter.takes(socket))))
}

/// The kernel writes the table in pieces, each from where the last one ended by count: a socket that comes meanwhile moves the others
/// along, and a row is read twice (`net/ipv4/tcp_ipv4.c`, `tcp_seek_last_pos`).
fn distinct(sockets: impl Iterator<Item = Socket>) -> Vec<Socket> {
    let mut distinct: Vec<Socket> = Vec::new();
    for socket in sockets {
        if !distinct.contains(&socket) {
            distinct.push(socket);
        }
    }
    distinct
}

fn socket(row: &TcpNetEntry) -> Option<Socket> {
    let state = u8::try_from(u32::from(row.state.to_u8())).ok()?;
    Some(Socket { state, local: row.local_address, remote: row.remote_address, inode: row.inode, silence: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_was_read_twice_is_one_socket() {
        let socket = |inode| Socket {
            state: 10,
            local: ([127, 0, 0, 1], 8081).into(),
            remote: ([0, 0, 0, 0], 0).into(),
            inode,
            silence: None,
        };
        assert_eq!(distinct([socket(1), socket(2), socket(1)].into_iter()), vec![socket(1), socket(2)]);
    }
}
