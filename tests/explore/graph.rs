//! Every state that can be reached, breadth first, so that the first violation found is one of the nearest.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

use crate::act::{Mind, forgotten};
use crate::check::violated;

use crate::config::{Begin, Given};
use crate::family::Families;
use crate::intern::Interner;
use crate::label::{Edge, Label};
use crate::model::{FIRST, Life, Slot, Text, World};
use crate::moves::{Meets, Out, Successor, Which, environment};
use crate::mutants::Mutant;
use crate::pass::{Seen, slotd};
use crate::see::Gap;

/// Where an exploration is stopped, when nothing else does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) states: usize,
    /// Stop at the first violation: a mutant is dead then.
    pub(crate) first: bool,
}

/// Something that must not be.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) what: String,
    /// The path to the state before, and the last move.
    pub(crate) at: u32,
    pub(crate) last: Option<(Label, World)>,
}

/// All that was found.
pub(crate) struct Graph<'a> {
    pub(crate) mind: Mind<'a>,
    pub(crate) states: Interner<World>,
    parents: Vec<u32>,
    /// Fair successors: where those of a state begin, and all of them.
    pub(crate) starts: Vec<u32>,
    pub(crate) fair: Vec<u32>,
    pub(crate) transitions: u64,
    pub(crate) violations: Vec<Violation>,
    pub(crate) met: Met,
    pub(crate) took: Duration,
}

/// What kind of thing a label says.
type Kind = (Discriminant<Label>, Option<Discriminant<Gap>>, &'static str);

fn kind(label: Label) -> Kind {
    match label {
        Label::Gap { gap, .. } => (discriminant(&label), Some(discriminant(&gap)), ""),
        Label::Verb(word) => (discriminant(&label), None, word),
        _other => (discriminant(&label), None, ""),
    }
}

/// What was met at least once.
#[derive(Default)]
pub(crate) struct Met {
    pub(crate) labels: HashMap<Kind, Label>,
    pub(crate) steps: BTreeMap<&'static str, u64>,
    pub(crate) holds: u64,
    pub(crate) failures: BTreeSet<u8>,
}

/// The successors of a world.
pub(crate) fn successors(mind: &mut Mind<'_>, world: &World, which: Which, seen: &mut Vec<Seen>) -> Vec<Successor> {
    let mut out = Out { from: world, which, to: Vec::new() };
    slotd(mind, &mut out, seen);
    let meets = world.look.checked_sub(1).map_or(Meets::All, |at| Meets::of(&mind.looks[at as usize].act));
    environment(mind.given, &mut out, meets);
    out.to
}

/// The host before anything was explored, with the first manifest of the exploration accepted.
pub(crate) fn beginning(given: &mut Given) -> World {
    let empty = World { mem: crate::model::Mem { accepted: true, ..forgotten() }, ..World::default() };
    match given.config.begin {
        Begin::Empty => empty,
        Begin::Scripts => {
            let mut world = World { disk: Text::Plain { slot: 0 }, ..empty };
            world.nginx.up = true;
            world.nginx.cur = world.disk;
            world.slots[0] = Slot { life: Life::Ready, rel: FIRST, ..Slot::default() };
            world
        }
        Begin::Serving => {
            let mut world = settled(given, empty);
            given.older = world.mem;
            crate::moves::accept(&mut world, 1, crate::config::Kind::Wanted);
            world
        }
    }
}

/// Where the host comes to rest without faults.
pub(crate) fn settled(given: &Given, from: World) -> World {
    let mut mind = Mind::new(given, Mutant::default());
    let mut world = from;
    for _ in 0..500 {
        let all = successors(&mut mind, &world, Which::Usual(Families::none()), &mut Vec::new());
        let Some((_, _, next)) = all.into_iter().find(|(edge, ..)| *edge == Edge::Fair) else { break };
        world = next;
    }
    world
}

impl<'a> Graph<'a> {
    /// Explores everything from a beginning.
    pub(crate) fn explore(given: &'a Given, mutant: Mutant, beginning: World, bounds: Bounds) -> Self {
        crate::check::note_pruned(given);
        let mut graph = Self {
            mind: Mind::new(given, mutant),
            states: Interner::default(),
            parents: vec![u32::MAX],
            starts: vec![0],
            fair: Vec::new(),
            transitions: 0,
            violations: Vec::new(),
            met: Met::default(),
            took: Duration::ZERO,
        };
        let began = Instant::now();
        graph.states.put(beginning);
        let mut spread = 0;
        for faults in 0..=given.config.budget {
            let left = if faults < given.config.budget { given.config.faults } else { Families::none() };
            graph.close(left, bounds);
            let end = graph.starts.len() - 1;
            if faults < given.config.budget {
                (spread..end).for_each(|at| graph.expand(at, Which::Faults(given.config.faults)));
                spread = end;
            }
        }
        graph.took = began.elapsed();
        graph
    }

    /// Everything that the states so far lead to without another fault. A state that few faults lead to needs no second look
    /// when more do: what may still happen to it then is less.
    fn close(&mut self, left: Families, bounds: Bounds) {
        while self.starts.len() <= self.states.items.len().min(bounds.states) && !self.is_over(bounds) {
            self.expand(self.starts.len() - 1, Which::Usual(left));
            self.starts.push(u32::try_from(self.fair.len()).unwrap_or(u32::MAX));
        }
    }

    fn is_over(&self, bounds: Bounds) -> bool {
        bounds.first && !self.violations.is_empty()
    }

    fn expand(&mut self, at: usize, which: Which) {
        let (world, at) = (self.states.items[at], u32::try_from(at).unwrap_or(u32::MAX));
        let mut seen = Vec::new();
        for (edge, label, mut next) in successors(&mut self.mind, &world, which, &mut seen) {
            crate::request::follow(&mut next);
            self.transitions += 1;
            self.meet(label);
            if let Some(what) = violated(&self.mind, &world, label, &next) {
                self.violate(what, at, Some((label, next)));
            }
            let (to, new) = self.states.put(next);
            if new {
                self.parents.push(at);
            }
            if edge == Edge::Fair {
                self.fair.push(to);
            }
        }
        self.looked(at, &seen);
    }

    fn looked(&mut self, at: u32, seen: &[Seen]) {
        for Seen { decided, .. } in seen {
            let decided = self.mind.decided(*decided);
            self.met.holds |= decided.holds;
            for (kind, _) in &decided.silent {
                *self.met.steps.entry(kind).or_default() += 1;
            }
            for what in [decided.fault.clone(), decided.rash.clone()].into_iter().flatten() {
                self.violate(what, at, None);
            }
        }
    }

    fn meet(&mut self, label: Label) {
        self.met.labels.entry(kind(label)).or_insert(label);
        match label {
            Label::Step { look } => {
                *self.met.steps.entry(self.mind.looks[look as usize - 1].act.kind()).or_default() += 1;
            }
            Label::Failed { reason, .. } => {
                self.met.failures.insert(reason);
            }
            _other => {}
        }
    }

    /// Keeps the first of each kind.
    pub(crate) fn violate(&mut self, what: String, at: u32, last: Option<(Label, World)>) {
        let kind: String = what.chars().take_while(|c| *c != '(' && *c != '`').collect();
        if !self.violations.iter().any(|v| v.what.starts_with(&kind)) {
            self.violations.push(Violation { what, at, last });
        }
    }

    /// The states from the beginning to one, itself included.
    pub(crate) fn path(&self, to: u32) -> Vec<u32> {
        let mut path = vec![to];
        while let Some(&parent) = path.last().and_then(|at| self.parents.get(*at as usize)).filter(|p| **p != u32::MAX) {
            path.push(parent);
        }
        path.reverse();
        path
    }

    /// Fair successors of a state.
    pub(crate) fn fair_from(&self, at: u32) -> &[u32] {
        let (from, to) = (self.starts[at as usize], self.starts[at as usize + 1]);
        &self.fair[from as usize..to as usize]
    }
}
