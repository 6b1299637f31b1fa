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
    Ok(rows.iter().filter_map(socket).filter(|socket| filter.takes(socket)).collect())
}

fn socket(row: &TcpNetEntry) -> Option<Socket> {
    let state = u8::try_from(u32::from(row.state.to_u8())).ok()?;
    Some(Socket { state, local: row.local_address, remote: row.remote_address, inode: row.inode })
}
