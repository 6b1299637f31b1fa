//! What a cutover is worth on this host, in one sentence.

use std::time::Duration;

use crate::doctor::checks::{self, Seen};
use crate::doctor::nginx;
use crate::doctor::{Guarantee, Promise};
use crate::model::desired::CutoverMode;

/// The guarantee of one cutover.
pub(super) fn of(seen: &Seen<'_>, cutover: CutoverMode) -> Guarantee {
    let broken = seen.setup.faults.iter().filter(|fault| checks::breaks(fault.check, cutover)).count();
    let (promise, sentence) = match (seen.setup.nginx.known(), broken) {
        (None, _) => (Promise::Unknown, unseen(seen)),
        (Some(_), 0) if cutover == CutoverMode::Flag => by_flag(seen),
        (Some(_), 0) => by_reload(seen),
        (Some(_), count) => (Promise::Broken, does_not_work(count)),
    };
    Guarantee { cutover, promise, sentence: sentence + unloaded(seen) }
}

fn unseen(seen: &Seen<'_>) -> String {
    let why = if seen.setup.nginx.is_absent() { "nginx does not run" } else { "which nginx serves this cannot be told" };
    format!("nothing can be promised: {why}")
}

fn does_not_work(count: usize) -> String {
    let what = if count == 1 { "the error below is" } else { "the errors below are" };
    format!("does not work here until {what} mended")
}

/// What the files say holds only once nginx has read them.
fn unloaded(seen: &Seen<'_>) -> &'static str {
    if seen.setup.changed.is_some() { " (as the files say, which nginx has not loaded yet)" } else { "" }
}

fn by_flag(seen: &Seen<'_>) -> (Promise, String) {
    let nginx = seen.nginx();
    let text = format!("no request is lost, on fresh and on kept connections: {nginx} looks at the flag for each request");
    let text = if seen.setup.installed {
        format!("{text}, and no deployment reloads it")
    } else {
        format!("{text}; only the one reload before the first cutover ever is as for `reload`")
    };
    (Promise::NoneLost, text)
}

fn by_reload(seen: &Seen<'_>) -> (Promise, String) {
    let ways = &seen.setup.ways;
    if !ways.iter().any(nginx::keeps) {
        let why = "keeps no connection between two requests";
        return (Promise::NoneLost, format!("no request is lost: each has a fresh connection, because {} {why}", seen.nginx()));
    }
    let kept = || ways.iter().filter(|way| nginx::keeps(way));
    match kept().map(|way| nginx::spares(way, seen.version)).min().flatten() {
        Some(spared) => (Promise::NoneLost, spared_for(seen, spared)),
        None => (Promise::IdleClosed, idle_closed(seen)),
    }
}

fn spared_for(seen: &Seen<'_>, spared: Duration) -> String {
    let nginx = seen.nginx();
    format!(
        "no request is lost, on a fresh connection or on a kept one whose last request is less than {spared:?} ago: so long {nginx} \
         spares it at a reload"
    )
}

fn idle_closed(seen: &Seen<'_>) -> String {
    let nginx = seen.nginx();
    format!(
        "no request on a fresh connection is lost; {nginx} closes idle kept connections at each deployment's reload, and a client that \
         is just reusing one sees it reset"
    )
}
