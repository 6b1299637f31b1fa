//! Update summaries: how often each kind of step ran, against the same wishes on a host where nothing goes wrong. A right end with
//! needless starts, stops, reloads or moves of the traffic is a failure.

use crate::oracle::{REST, WATCH};
use crate::run::{Run, Violation};
use crate::story::{Story, What, kind};
use crate::tell;
use crate::world::fault::Fault;

/// The longest pause of the product between two tries: `RELOAD_AGAIN` of the planner, `LONGEST` of the refusals.
const PAUSE: u64 = 30_000;

/// Steps that others notice, in the order of an [`Allowance`].
const STEPS: [&str; 5] = ["start", "stop", "write_include", "reload", "cutover"];

/// So many more of each, at most.
type Allowance = [u32; 5];

/// Compares a calm story with its reference; a release that fails by itself is started as often as there is time, so there is none.
pub(crate) fn compare(story: &Story, run: &Run) -> Option<Violation> {
    if !story.calm || !run.violations.is_empty() || run.kinds.values().any(|kind| !kind.is_good()) {
        return None;
    }
    let reference = tell(&story.reference()?, false);
    let allowed =
        story.troubles().map(|what| allowance(story, what)).fold([0; 5], |sum, one| std::array::from_fn(|i| sum[i] + one[i]));
    STEPS.iter().zip(allowed).find_map(|(step, more)| {
        let count = |run: &Run| run.tally.done.get(step).copied().unwrap_or(0);
        let (done, needed) = (count(run), count(&reference));
        let what = || format!("`{step}` was done {done} times; without the fault {needed}, and {more} more are allowed");
        (done > needed + more).then(|| Violation { law: "summary", what: what() })
    })
}

/// What one trouble may cost beyond what was asked for.
fn allowance(story: &Story, what: &What) -> Allowance {
    // What lasts for good is lifted when the story has come to rest and was watched.
    let longest = story.events.last().map_or(0, |(at, _)| *at) + REST + WATCH;
    match what {
        // A fault that falls between two looks is still only that fault.
        What::Fault(fault) | What::Ambush(_, fault) => of(fault, 1),
        // While it lasts, what was done is undone again and again; how often follows from the pauses of the product.
        What::Lasting(fault, _, lasts) => of(fault, u32::try_from((*lasts).min(longest) / PAUSE).unwrap_or(0) + 1),
        // What was done and not noted is done again; a start never, because what runs is found by its cookie. A reload that was noted
        // and not sent looks like one that was lost: its include goes back and forth.
        What::Kill(..) => [0, 1, 2, 1, 1],
        // What could not be done is taken back and done again.
        What::Refused(_) => [1, 1, 1, 1, 1],
        // What cannot be seen is waited for.
        What::Hidden(..) | What::Wants(_) | What::Says(_) | What::Applies => [0; 5],
    }
}

/// The same of a fault that lasts for so many times the longest pause of the product.
fn of(fault: &Fault, times: u32) -> Allowance {
    // The way there and back: to a standby and forward again to the release that is started anew, and its stop.
    let over_and_back = [2, 2, 2, 2, 2];
    match kind(fault) {
        "crash" => over_and_back,
        // Each process that does not answer in time is replaced by another one.
        "sick" => over_and_back.map(|n| n * times),
        "reboot" => [2, 1, 1, 1, 1],
        // The application of others is taken over, and gives way.
        "same_app" => [1, 2, 1, 1, 1],
        // What is forgotten is learnt again from what runs; what nobody can know any more is deployed anew.
        "ledger_lost" | "ledger_older" => [1, 1, 1, 1, 1],
        // The include is written again, loaded, and leads back.
        "include" | "flag" | "refusals" => [1, 1, 2, 2, 2],
        // A start that finds its port taken.
        "foreign" | "contested" => [times, 1, 0, 0, 0],
        // Each reload that is lost is sent again, and its include goes back and forth.
        "reloads_lost" => [0, 0, 2 * times, times, 0],
        "nginx_stops" | "config_broken" => [0, 0, 1, 1, 1],
        // The same path with other bytes: a relabel is then another deployment.
        "jar_bytes" => [1; 5],
        _ => [0; 5],
    }
}
