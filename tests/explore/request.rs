//! One request, whose checks of flags are separate moments: 2, 3, …, N, …, 3, 2, as the include has them.

use crate::config::Given;
use crate::label::{Edge, Label};
use crate::model::{Request, Text, World};
use crate::moves::Out;

/// Which flags nginx looks at, in its order.
fn order(slots: u8) -> Vec<u8> {
    (1..slots).chain((1..slots.saturating_sub(1)).rev()).collect()
}

/// A request begins, or takes its next check.
pub(crate) fn request(given: &Given, out: &mut Out<'_>) {
    let world = *out.from;
    if !given.config.request || !world.nginx.up || !matches!(world.nginx.cur, Text::Flag { .. }) {
        return;
    }
    let checks = order(given.config.slots);
    let Request { stage, mut to, right } = world.request;
    let request = match stage {
        0 => Request { stage: 1, to: 0, right: right_now(&world) },
        _next => {
            let flag = checks.get(usize::from(stage) - 1).copied().unwrap_or(0);
            to = if world.flags & (1 << flag) != 0 { flag } else { to };
            let last = usize::from(stage) >= checks.len();
            if last { Request::default() } else { Request { stage: stage + 1, to, right } }
        }
    };
    let label = if stage == 0 { Label::Request } else { Label::Check };
    // One may begin at any time; one that has begun goes on.
    let edge = if stage == 0 { Edge::Free } else { Edge::Fair };
    out.add(edge, label, World { request, ..world });
}

/// The slots that are right now.
fn right_now(world: &World) -> u8 {
    world.nginx.cur.leads(world.flags).map_or(0, |slot| 1 << slot)
}

/// Where a request under way ends up is right, at some moment since it began; the reason why not.
pub(crate) fn wrong(given: &Given, before: &World, after: &World) -> Option<String> {
    let Request { stage, mut to, right } = before.request;
    let checks = order(given.config.slots);
    if stage == 0 || usize::from(stage) < checks.len() || after.request.stage != 0 || before.flags != after.flags {
        return None;
    }
    let flag = checks.last().copied().unwrap_or(0);
    to = if before.flags & (1 << flag) != 0 { flag } else { to };
    (right & (1 << to) == 0).then(|| format!("a request went to real{}, which no flag named since it began", to + 1))
}

/// What is right now is right for the request under way too.
pub(crate) fn follow(world: &mut World) {
    if world.request.stage > 0 {
        world.request.right |= right_now(world);
    }
}
