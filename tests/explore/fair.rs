//! Which cycles of the fair part can go on for ever: those that no progress which stays possible leads out of.

use std::collections::BTreeMap;

use crate::family::Families;
use crate::graph::{Graph, successors};
use crate::label::{Edge, Label};
use crate::moves::Which;

/// Whether the members of a component can be gone through for ever although whatever stays possible happens.
pub(crate) fn goes_on(graph: &mut Graph<'_>, of: &[u32], members: &[u32]) -> bool {
    let mut enabled: BTreeMap<String, (usize, bool)> = BTreeMap::new();
    let component = of[members[0] as usize];
    for at in members {
        let world = graph.states.items[*at as usize];
        let mut here: BTreeMap<String, bool> = BTreeMap::new();
        for (edge, label, mut next) in successors(&mut graph.mind, &world, Which::Usual(Families::none()), &mut Vec::new()) {
            if edge != Edge::Fair || !is_progress(label) {
                continue;
            }
            crate::request::follow(&mut next);
            let (to, _) = graph.states.put(next);
            let inside = of.get(to as usize) == Some(&component);
            *here.entry(format!("{label:?}")).or_default() |= inside;
        }
        for (label, inside) in here {
            let entry = enabled.entry(label).or_default();
            *entry = (entry.0 + 1, entry.1 || inside);
        }
    }
    !enabled.values().any(|(count, inside)| *count == members.len() && !inside)
}

/// Progress of the world: what slotd itself does is another step each time.
fn is_progress(label: Label) -> bool {
    !matches!(label, Label::Look { .. } | Label::Refused { .. } | Label::Failed { .. } | Label::Step { .. })
}
