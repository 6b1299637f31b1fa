//! Which cycles of the fair part can go on for ever: those that no progress which stays possible leads out of.

use std::collections::{BTreeMap, BTreeSet};

use crate::family::Families;
use crate::graph::{Graph, successors};
use crate::label::{Edge, Label};
use crate::model::World;
use crate::moves::Which;

/// Whether the members of a component can be gone through for ever although whatever stays possible happens.
///
/// After a failure that is not the first one the next look finds that the pause is not over: where such a look leads out, nobody goes
/// round for ever.
pub(crate) fn goes_on(graph: &mut Graph<'_>, of: &[u32], members: &[u32]) -> bool {
    let mut enabled: BTreeMap<String, (usize, bool)> = BTreeMap::new();
    let component = of[members[0] as usize];
    let mut rest: BTreeSet<u32> = members.iter().copied().collect();
    for at in members {
        let world = graph.states.items[*at as usize];
        let mut here: BTreeMap<String, bool> = BTreeMap::new();
        for (edge, label, mut next) in successors(&mut graph.mind, &world, Which::Usual(Families::none()), &mut Vec::new()) {
            let waits = matches!(label, Label::Look { who: 0, waits, .. } if waits & failed(&world) != 0);
            if !waits && (edge != Edge::Fair || !is_progress(label)) {
                continue;
            }
            crate::request::follow(&mut next);
            let (to, _) = graph.states.put(next);
            let inside = of.get(to as usize) == Some(&component);
            if waits {
                if !inside {
                    rest.remove(at);
                }
                continue;
            }
            *here.entry(format!("{label:?}")).or_default() |= inside;
        }
        for (label, inside) in here {
            let entry = enabled.entry(label).or_default();
            *entry = (entry.0 + 1, entry.1 || inside);
        }
    }
    is_cyclic(graph, rest) && !enabled.values().any(|(count, inside)| *count == members.len() && !inside)
}

/// Whether some of these states can be gone through again and again without the others.
fn is_cyclic(graph: &Graph<'_>, mut states: BTreeSet<u32>) -> bool {
    loop {
        let ends: Vec<u32> =
            states.iter().copied().filter(|at| !graph.fair_from(*at).iter().any(|to| states.contains(to))).collect();
        if ends.is_empty() {
            return !states.is_empty();
        }
        states.retain(|at| !ends.contains(at));
    }
}

/// Releases that have failed by themselves, one bit each.
pub(crate) fn failed(world: &World) -> u8 {
    (0..).zip(world.mem.fails).filter(|(_, fails)| fails.start + fails.crash > 0).fold(0, |set, (rel, _)| set | 1_u8 << rel)
}

/// Progress of the world: what slotd itself does is another step each time.
fn is_progress(label: Label) -> bool {
    !matches!(label, Label::Look { .. } | Label::Refused { .. } | Label::Failed { .. } | Label::Step { .. })
}
