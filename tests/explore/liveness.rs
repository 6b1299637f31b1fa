//! Liveness by the shape of the fair part of the graph: no cycle that can go on for ever, and no end without a typed reason.

use crate::graph::Graph;

/// The components of the fair part.
pub(crate) struct Components {
    /// Of each state.
    pub(crate) of: Vec<u32>,
    /// States of components with more than one.
    pub(crate) cyclic: Vec<Vec<u32>>,
    /// Moves of the longest fair path.
    pub(crate) longest: u32,
}

/// Tarjan's algorithm, without recursion; components come out in reverse order, so the longest path is known at once.
pub(crate) fn components(graph: &Graph<'_>) -> Components {
    let n = graph.starts.len() - 1;
    let mut walk = Walk {
        index: vec![u32::MAX; n],
        low: vec![0; n],
        of: vec![u32::MAX; n],
        stack: Vec::new(),
        next: 0,
        count: 0,
        cyclic: Vec::new(),
        depth: Vec::new(),
    };
    for root in 0..u32::try_from(n).unwrap_or(0) {
        if walk.index[root as usize] == u32::MAX {
            walk.from(graph, root);
        }
    }
    Components { of: walk.of, cyclic: walk.cyclic, longest: walk.depth.iter().copied().max().unwrap_or(0) }
}

struct Walk {
    index: Vec<u32>,
    low: Vec<u32>,
    of: Vec<u32>,
    stack: Vec<u32>,
    next: u32,
    count: u32,
    cyclic: Vec<Vec<u32>>,
    /// Of each component: moves of the longest fair path from it.
    depth: Vec<u32>,
}

impl Walk {
    fn from(&mut self, graph: &Graph<'_>, root: u32) {
        let mut calls = vec![(root, 0_usize)];
        self.enter(root);
        while let Some((at, child)) = calls.last().copied() {
            let next = graph.fair_from(at).get(child).copied().filter(|to| (*to as usize) < self.index.len());
            if let Some(call) = calls.last_mut() {
                call.1 += 1;
            }
            match next {
                Some(to) if self.index[to as usize] == u32::MAX => {
                    self.enter(to);
                    calls.push((to, 0));
                }
                Some(to) if self.of[to as usize] == u32::MAX => {
                    self.low[at as usize] = self.low[at as usize].min(self.index[to as usize]);
                }
                Some(_) => {}
                None if child < graph.fair_from(at).len() => {}
                None => {
                    calls.pop();
                    self.leave(graph, at, calls.last().map(|(parent, _)| *parent));
                }
            }
        }
    }

    fn enter(&mut self, at: u32) {
        (self.index[at as usize], self.low[at as usize]) = (self.next, self.next);
        self.next += 1;
        self.stack.push(at);
    }

    fn leave(&mut self, graph: &Graph<'_>, at: u32, parent: Option<u32>) {
        if let Some(parent) = parent {
            self.low[parent as usize] = self.low[parent as usize].min(self.low[at as usize]);
        }
        if self.low[at as usize] != self.index[at as usize] {
            return;
        }
        let mut members = Vec::new();
        while let Some(member) = self.stack.pop() {
            self.of[member as usize] = self.count;
            members.push(member);
            if member == at {
                break;
            }
        }
        self.count += 1;
        self.depth.push(self.longest(graph, &members));
        if members.len() > 1 {
            self.cyclic.push(members);
        }
    }

    fn longest(&self, graph: &Graph<'_>, members: &[u32]) -> u32 {
        let out = members.iter().flat_map(|m| graph.fair_from(*m));
        let known = out.filter(|to| self.of.get(**to as usize).is_some_and(|of| *of != u32::MAX && *of + 1 < self.count));
        known.map(|to| self.depth[self.of[*to as usize] as usize] + 1).max().unwrap_or(0)
    }
}
