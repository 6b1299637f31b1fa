//! Update summaries: how often each kind of step ran, against the same wishes on a host where nothing goes wrong. A right end with
//! needless starts, stops, reloads or moves of the traffic is a failure.

use slotd::host::ledgers::Outcome;
use slotd::model::id::Port;
use slotd::model::status::Reason;

use crate::oracle::{REST, WATCH};
use crate::run::{Run, Violation};
use crate::story::{Change, Story, What, kind};
use crate::tell;
use crate::world::fault::Fault;
use crate::world::sight::Sight;

/// The longest pause of the product between two tries: `RELOAD_AGAIN` of the planner, `LONGEST` of the refusals.
pub(crate) const PAUSE: u64 = 30_000;

/// Steps that others notice, in the order of an [`Allowance`].
const STEPS: [&str; 5] = ["start", "stop", "write_include", "reload", "cutover"];

/// So many more of each, at most.
type Allowance = [u32; 5];

/// Bad answers in a row that make a live process be replaced, as in the planner.
const BAD_ANSWERS: usize = 3;

/// Compares a calm story with its reference; a release that fails by itself is started as often as there is time, so there is none.
pub(crate) fn compare(story: &Story, run: &Run) -> Option<Violation> {
    if !story.calm || !run.violations.is_empty() || run.kinds.values().any(|kind| !kind.is_good()) {
        return None;
    }
    let reference = tell(&story.reference()?, false);
    if !is_comparable(story, run, &reference) {
        return None;
    }
    // What could not take the traffic before another release was asked for is stopped, where it would have stood by.
    let stopped = superseded(run).saturating_sub(superseded(&reference));
    let costs = story.troubles().map(|what| allowance(story, run, what));
    let allowed = costs.fold([0, stopped, 0, 0, 0], |sum, one| std::array::from_fn(|i| sum[i] + one[i]));
    STEPS.iter().zip(allowed).find_map(|(step, more)| {
        let count = |run: &Run| run.tally.done.get(step).copied().unwrap_or(0);
        let (done, needed) = (count(run), count(&reference));
        let what = || format!("`{step}` was done {done} times; without the fault {needed}, and {more} more are allowed");
        (done > needed + more).then(|| Violation { law: "summary", what: what() })
    })
}

/// How many releases gave way to another one before they served.
fn superseded(run: &Run) -> u32 {
    let state = run.world.see();
    let lines = state.history.values().flatten().filter(|line| line.outcome == Outcome::Superseded);
    u32::try_from(lines.count()).unwrap()
}

/// Whether both had the same to do: each word of a person was heard in both, what held the reference up did not end with the fault, and
/// no deployment came so late that another kind of cutover is asked for by then.
fn is_comparable(story: &Story, run: &Run, reference: &Run) -> bool {
    let held = |reasons: &[Reason]| reasons.iter().any(|reason| reference.tally.reasons.contains_key(reason));
    let freed = story.troubles().any(|what| held(ends(what)));
    let trouble = story.events.iter().find(|(_, what)| story.troubles().any(|trouble| std::ptr::eq(trouble, what)));
    let turns = |what: &What| matches!(what, What::Wants(Change::Mode(..)));
    let turned = story.events.iter().any(|(at, what)| turns(what) && trouble.is_some_and(|(begins, _)| begins < at));
    run.heard == reference.heard && !freed && !turned
}

/// The holds that a trouble may end, so that more can be done than without it.
fn ends(what: &What) -> &'static [Reason] {
    match what.kind() {
        // What a person said is forgotten, and so is what a port was held by.
        "ledger_lost" | "ledger_older" => {
            &[Reason::PortTaken, Reason::AwaitingPromotion, Reason::Paused, Reason::RolledBack, Reason::Down]
        }
        // Who has died holds no port, and a release that got no traffic for it leaves its slot to the next one, which then needs no other
        // slot's port; what waits for a person serves where nothing else does.
        _ => &[Reason::PortTaken, Reason::AwaitingPromotion],
    }
}

/// What one trouble may cost beyond what was asked for.
fn allowance(story: &Story, run: &Run, what: &What) -> Allowance {
    // What lasts for good is lifted when the story has come to rest and was watched.
    let longest = story.events.last().map_or(0, |(at, _)| *at) + REST + WATCH;
    match what {
        // The same path with other bytes: a relabel is then another deployment, and so is the way back from it.
        What::Fault(Fault::JarBytes(..)) => [story.renamings(); 5],
        // A fault that falls between two looks is still only that fault.
        What::Fault(fault) | What::Ambush(_, fault) => of(fault, 1),
        // While it lasts, what was done is undone again and again; how often follows from the pauses of the product.
        What::Lasting(fault, _, lasts) => of(fault, u32::try_from((*lasts).min(longest) / PAUSE).unwrap_or(0) + 1),
        // What was done and not noted is done again; a start never, because what runs is found by its cookie. A reload that was noted
        // and not sent looks like one that was lost: its include goes back and forth.
        What::Kill(..) => [0, 1, 2, 1, 1],
        // What could not be done is taken back and done again. A reload is noted before it is sent, so one that is refused looks like one
        // that was lost.
        What::Refused(_) => [1, 1, 1 + run.tally.failed.get("reload").copied().unwrap_or(0), 1, 1],
        // A good answer that is lost is a bad one; each process that is replaced for it takes three, and is taken for lost itself at its
        // deadline alone.
        What::Hidden(Sight::Health, _, times) => {
            of(&Fault::Crash(Port(0)), 1).map(|n| n * u32::try_from(times.div_ceil(BAD_ANSWERS)).unwrap())
        }
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
        _ => [0; 5],
    }
}
