//! How long the connections of a draining slot have been open, as far as whoever looks again and again knows better than the kernel.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::model::id::Moment;
use crate::model::observed::Connection;

/// So many are kept by name: enough to find whoever holds up a drain, and few enough to be copied with every look.
const LONGEST: usize = 16;

/// When each connection that is open was seen first, since one cutover. A caller's port that is used anew between two looks would be
/// taken for the same connection; while a slot drains, the looks are closer than that.
#[derive(Debug)]
pub(super) struct Met {
    cutover: Moment,
    first: BTreeMap<SocketAddr, Moment>,
}

impl Met {
    /// Nobody yet.
    pub(super) fn since(cutover: Moment) -> Self {
        Self { cutover, first: BTreeMap::new() }
    }

    /// Whether this is about that cutover.
    pub(super) fn is_of(&self, cutover: Moment) -> bool {
        self.cutover == cutover
    }

    /// Takes note of what is open now; gives those that have been so for longest, the longest first.
    pub(super) fn saw(&mut self, open: Vec<Connection>, at: Moment) -> Vec<Connection> {
        let before = std::mem::take(&mut self.first);
        let mut all: Vec<_> = open
            .into_iter()
            .map(|connection| {
                let first = *self.first.entry(connection.peer).or_insert(before.get(&connection.peer).copied().unwrap_or(at));
                Connection { age: connection.age.max(at.since(first)), ..connection }
            })
            .collect();
        all.sort_by_key(|connection| (std::cmp::Reverse(connection.age), connection.peer));
        all.truncate(LONGEST);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn open(port: u16, age: u64) -> Connection {
        let age = Duration::from_millis(age);
        Connection { peer: ([127, 0, 0, 1], port).into(), age, silent: Some(Duration::ZERO), worker: None }
    }

    #[test]
    fn a_connection_is_as_old_as_it_was_seen_or_as_the_kernel_knows_whichever_is_more() {
        let mut met = Met::since(Moment(0));
        assert_eq!(met.saw(vec![open(1, 0), open(2, 9000)], Moment(100)), [open(2, 9000), open(1, 0)]);
        assert_eq!(met.saw(vec![open(1, 10), open(2, 20)], Moment(5100)), [open(1, 5000), open(2, 5000)]);
    }

    #[test]
    fn one_that_was_gone_in_between_is_another_one() {
        let mut met = Met::since(Moment(0));
        met.saw(vec![open(1, 0)], Moment(100));
        met.saw(Vec::new(), Moment(200));
        assert_eq!(met.saw(vec![open(1, 0)], Moment(300)), [open(1, 0)]);
    }

    #[test]
    fn only_the_longest_are_named() {
        let many = (1..=40).map(|port| open(port, u64::from(port))).collect();
        let named = Met::since(Moment(0)).saw(many, Moment(1));
        assert_eq!((named.len(), &named[0]), (LONGEST, &open(40, 40)));
    }
}
