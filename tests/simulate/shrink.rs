//! From a story that breaks a law to the shortest one that still does.

use crate::judged;
use crate::run::Violation;
use crate::story::Story;

/// Leaves out one event after the other, as long as the same law is broken.
pub(crate) fn shrunk(story: &Story, law: &str) -> Story {
    let breaks = |story: &Story| judged(story, false).violations.first().is_some_and(|v| v.law == law);
    let mut story = story.clone();
    let mut index = story.events.len();
    while index > 0 {
        index -= 1;
        let shorter = story.without(index);
        if breaks(&shorter) {
            story = shorter;
        }
    }
    story
}

/// What a person needs: the law, the line that repeats it, the story, and what happened.
pub(crate) fn report(story: &Story, violation: &Violation) -> String {
    let short = shrunk(story, violation.law);
    let run = judged(&short, true);
    let broken = run.violations.first().unwrap_or(violation);
    let seed = story.seed;
    let trace = run.world.story();
    format!(
        "{}: {}\nrepeat it with: SLOTD_SEED={seed} cargo test --test simulate one_seed -- --nocapture\n{short}\n{trace}\n{}: {}\n",
        violation.law, violation.what, broken.law, broken.what
    )
}
