//! Leading the traffic to a slot: the include in the right form, loaded, and then the cutover itself.

use std::time::Duration;

use crate::model::desired::{ProxySpec, Upstream};
use crate::model::id::SlotName;
use crate::model::observed::Observation;
use crate::model::route::{Include, RouteForm, RouteText};
use crate::model::status::Reason;
use crate::plan::facts::Case;
use crate::plan::heal;
use crate::plan::hold::Hold;
use crate::plan::pace;
use crate::plan::ruling::{Ruling, hold};
use crate::plan::step::{Act, Move};

/// nginx starts new workers, sleeps 100 ms and then asks the old ones to quit (`ngx_process_cycle.c`): a reload that has not
/// taken effect after this long has not been applied.
const RELOAD_DEADLINE: Duration = Duration::from_secs(5);

/// After a reload that was not applied the next one is tried this much later: the cause is in nginx's error log and needs a person.
pub(super) const RELOAD_AGAIN: Duration = Duration::from_secs(30);

/// While old workers still accept, looking oftener than this would only cost.
const RELOAD_LOOK: Duration = Duration::from_millis(20);

/// What has to be done, or stands in the way, so that nginx sends every new request to `goal`. Clear: it does.
///
/// The caller has made sure that `goal` may take traffic.
pub(super) fn lead(case: &Case<'_>, goal: &SlotName) -> Ruling {
    if let Some(hold) = untouchable(case) {
        return Ruling::block(hold);
    }
    if let Some(hold) = split(case) {
        return Ruling::block(hold);
    }
    if let Observation::Unknown(why) = &case.seen.route.nginx {
        return restore(case).then(|| Ruling::block(unverified(why)));
    }
    reloading(case).then(|| tidy(case)).then(|| write(case, goal)).then(|| {
        let Some(text) = case.text() else { return Ruling::clear() };
        if case.nginx().is_none() { down(case, goal) } else { load(case, text, goal) }
    })
}

/// Why the include may not be written, whatever for.
pub(super) fn untouchable(case: &Case<'_>) -> Option<Hold> {
    let path = route_files(&case.spec.proxy);
    match &case.seen.route.include {
        Observation::Known(Include::Elsewhere { state }) => Some(hold(
            Reason::OwnedElsewhere,
            format!("{path} is written by the slotd of {state}"),
            "remove the service there (`slotd down`), or give this one an include of its own",
            pace::PERSON,
        )),
        Observation::Known(Include::Edited { text }) if !case.ledger().person.repair => Some(hold(
            Reason::HandEdited,
            format!("{path} says what slotd does not understand: {}", shortened(text)),
            format!("put it back by hand, or let slotd rewrite it: `slotd retry {}`", case.spec.name),
            pace::PERSON,
        )),
        Observation::Unknown(why) => {
            Some(hold(Reason::RouteUnproven, format!("{path} cannot be read: {why}"), "make it readable", pace::WORLD))
        }
        Observation::Known(Include::Ours(_) | Include::Plain(_) | Include::Edited { .. }) | Observation::Absent => None,
    }
}

/// What the route is written in.
pub(super) fn route_files(proxy: &ProxySpec) -> String {
    let include = proxy.include.display();
    match proxy.upstream {
        Upstream::Address => include.to_string(),
        Upstream::Pool => format!("{include} with {}", proxy.pool_include.display()),
    }
}

/// The first line that says something, for a message.
fn shortened(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or("(nothing)");
    line.chars().take(80).collect()
}

/// Two witnesses that are known and disagree.
pub(super) fn split(case: &Case<'_>) -> Option<Hold> {
    let (loaded, proxied) = (case.loaded()?, case.proxied()?);
    (loaded != proxied && case.old_workers() == 0).then(|| {
        hold(
            Reason::RouteSplit,
            format!("nginx says that it goes to {loaded}, but {proxied} answers through the proxy"),
            "find out which server proxy.url reaches (proxy.host?), or which cache answers",
            pace::WORLD,
        )
    })
}

fn unverified(why: &str) -> Hold {
    hold(Reason::ProxyUnverified, why, "see that exactly one nginx runs with proxy.nginx.config", pace::WORLD)
}

/// A lost include keeps nginx from starting again, so it is written back where the traffic goes even while nginx cannot be asked.
fn restore(case: &Case<'_>) -> Ruling {
    match case.live() {
        Some(live) if case.seen.route.include.is_absent() => write(case, live),
        Some(_) | None => Ruling::clear(),
    }
}

/// A reload that is under way, or that has not taken effect.
pub(super) fn reloading(case: &Case<'_>) -> Ruling {
    let Some(reload) = case.ledger().reload.as_ref() else { return Ruling::clear() };
    let Some(elapsed) = case.since(&reload.boot, reload.at) else { return Ruling::clear() };
    let current = case.text().is_some_and(|t| t.generation == reload.generation);
    let proven = case.ledger().proven >= reload.generation;
    let loaded = case.seen.route.loaded.known().map_or(proven, |loaded| loaded.generation >= reload.generation);
    if case.hands_over() {
        // Late or not, and whatever stands on disk by now: which slot users reach depends on the worker that they meet.
        return Ruling::block(under_way(case));
    }
    if !current || case.seen.route.nginx.is_absent() || (loaded && case.old_workers() == 0) {
        return Ruling::clear();
    }
    let again = RELOAD_AGAIN.saturating_sub(elapsed);
    match back(case) {
        _any if !reload.failed && (loaded || elapsed < RELOAD_DEADLINE) => Ruling::block(under_way(case)),
        // Also where slotd ended between noting that the include goes back and writing it.
        Some(from) => put_back(case, from),
        None if is_unread(case) => Ruling::block(not_applied(case, again.max(pace::WORLD))),
        None if reload.failed || again.is_zero() => Ruling::clear(),
        None => Ruling::block(not_applied(case, again)),
    }
}

/// Whether what serves can be told from what nginx says, but not whether it answers: then it may be the better one of two.
fn is_unread(case: &Case<'_>) -> bool {
    let from = case.loaded().or_else(|| case.proxied()).and_then(|from| case.slot(from));
    from.is_some_and(|slot| slot.process.unknown().or(slot.occupants.unknown()).or(slot.probe.unknown()).is_some())
}

fn under_way(case: &Case<'_>) -> Hold {
    hold(
        Reason::Reloading,
        format!("{} workers of before the reload still accept", case.old_workers()),
        "they stop accepting within a second",
        RELOAD_LOOK,
    )
}

/// Where the include goes back to: only where nginx is known to go still, and only if that answers and may, or what the include leads
/// to has failed as well, which would keep its place for ever. A reload that moves nothing is sent again instead.
fn back<'a>(case: &Case<'a>) -> Option<&'a SlotName> {
    let serves = |from: &SlotName| case.answers(from) && !case.has_failed(from);
    let in_vain = |to: &SlotName| case.has_failed(to) && !case.answers(to);
    let moves = |from: &&SlotName| case.on_disk().is_some_and(|to| to != *from && (serves(from) || in_vain(to)));
    case.loaded().or_else(|| case.proxied()).filter(moves)
}

/// The include must not go on saying what nginx does not do: the next `nginx -s reload` by anybody would make it true.
fn put_back(case: &Case<'_>, from: &SlotName) -> Ruling {
    let form = if case.spec.port_of(from).is_some() { case.form() } else { RouteForm::Static };
    Ruling::act(
        Act::WriteInclude { form, targets: case.targets(form, from), live: from.clone(), put_back: true },
        "nginx was told to reload and still runs the old configuration",
        format!("the include leads to {from} again, as nginx does"),
    )
}

fn not_applied(case: &Case<'_>, again: Duration) -> Hold {
    let why = case.seen.route.loaded.unknown().unwrap_or("it answers with an older route");
    hold(
        Reason::ReloadNotApplied,
        format!("nginx was told to reload and does not run the new configuration: {why}"),
        "see nginx's error log; slotd tries again by itself",
        again.max(Duration::from_millis(1)),
    )
}

/// The include, where it is not ours or says something else than it should.
pub(super) fn write(case: &Case<'_>, goal: &SlotName) -> Ruling {
    let live = case.live().filter(|live| *live != goal && case.spec.port_of(live).is_some() && case.answers(live));
    // A place that no manifest names has no flag: traffic goes back to it as it came, by a plain line.
    let form = if case.spec.port_of(goal).is_some() && !is_blind(case) { case.form() } else { RouteForm::Static };
    if form.has_flags() && !case.seen.route.faults.is_empty() && case.text().is_none_or(|t| t.form != form) {
        return Ruling::block(unfit(case));
    }
    // The flag form is installed where the traffic is, so that its one reload moves nothing.
    let leads_to = match (form, live) {
        (RouteForm::Flag | RouteForm::Pool, Some(live)) => live,
        (RouteForm::Flag | RouteForm::Pool, None) | (RouteForm::Static, _) => goal,
    };
    let targets = case.targets(form, leads_to);
    if targets.iter().all(|target| target.slot != *leads_to) {
        return Ruling::block(port_is_anothers(case, leads_to, "which the process of another slot has"));
    }
    if let Some(text) = case.text().filter(|text| text.says_the_same(form, &targets)) {
        if is_loaded(case, text) || case.on_disk() == Some(leads_to) {
            return Ruling::clear();
        }
        if let Some(why) = case.seen.route.flags.unknown().filter(|_| form.has_flags()) {
            // Written again it would still not be known where it leads.
            return Ruling::block(unread(why));
        }
    }
    if case.nginx().is_none() && case.on_disk().is_some_and(|slot| slot != leads_to && case.answers(slot)) {
        return Ruling::block(proxy_down(case));
    }
    // An include that says again where the traffic goes tries nothing that failed.
    if let Some(hold) = failed_lately(case).filter(|_| case.live() != Some(leads_to)) {
        return Ruling::block(hold);
    }
    Ruling::act(
        Act::WriteInclude { form, targets, live: leads_to.clone(), put_back: false },
        why_write(case),
        format!("{} leads to {leads_to}", case.spec.proxy.include.display()),
    )
}

/// What says where the include leads cannot be read.
pub(super) fn unread(why: &str) -> Hold {
    hold(Reason::RouteUnproven, why, "let slotd read the include and its flags", pace::WORLD)
}

/// A slot that neither a process can be started on nor an include can name, because the port of the manifest is another one's.
pub(super) fn port_is_anothers(case: &Case<'_>, slot: &SlotName, whose: &str) -> Hold {
    let port = case.spec.port_of(slot).map_or(0, |port| port.0);
    let detail = format!("{slot} is to get port {port}, {whose}");
    hold(Reason::PortTaken, detail, format!("give {slot} a port in the manifest that no running slot has"), pace::WORLD)
}

/// Whether nginx may follow flags in a text that nobody knows any more: setting one for a new text could move the traffic at once.
fn is_blind(case: &Case<'_>) -> bool {
    let unseen = case.live().is_none() || is_only_written(case);
    unseen && case.nginx().is_some() && case.seen.route.flags.known().is_some()
}

/// Whether a plain line of ours is all that speaks of the route, and nginx has yet to load it.
fn is_only_written(case: &Case<'_>) -> bool {
    let unloaded = |text: &RouteText| text.form == RouteForm::Static && text.generation > case.ledger().proven;
    case.loaded().is_none() && case.proxied().is_none() && case.text().is_some_and(unloaded)
}

fn why_write(case: &Case<'_>) -> String {
    match &case.seen.route.include {
        Observation::Known(Include::Ours(_)) => "the include says something else".to_owned(),
        Observation::Known(Include::Plain(_)) => "the include is in the form of the old scripts".to_owned(),
        Observation::Known(Include::Elsewhere { .. } | Include::Edited { .. }) => "the include was edited by hand".to_owned(),
        Observation::Absent if case.form() == RouteForm::Pool => "the include and its pools are not there".to_owned(),
        Observation::Absent => "there is no include yet".to_owned(),
        Observation::Unknown(why) => why.clone(),
    }
}

fn is_loaded(case: &Case<'_>, text: &RouteText) -> bool {
    case.seen.route.loaded.known().is_some_and(|l| l.generation == text.generation)
}

/// nginx does not run: what it will load at its next start is prepared, unless something that serves would lose by it.
fn down(case: &Case<'_>, goal: &SlotName) -> Ruling {
    let from = case.on_disk().filter(|from| *from != goal && !case.answers(from));
    match (case.form(), from) {
        (RouteForm::Flag | RouteForm::Pool, Some(from)) => cutover(case, from, goal),
        (RouteForm::Flag | RouteForm::Pool, None) | (RouteForm::Static, _) => Ruling::block(proxy_down(case)),
    }
}

fn proxy_down(case: &Case<'_>) -> Hold {
    let config = case.spec.proxy.nginx.config.display();
    hold(Reason::ProxyDown, format!("no nginx runs with {config}"), "start nginx; slotd goes on by itself", pace::WORLD)
}

fn unfit(case: &Case<'_>) -> Hold {
    let instead = if case.form() == RouteForm::Pool { "upstream: address` or `cutover: reload" } else { "cutover: reload" };
    let until = format!("mend the nginx configuration, or use `{instead}`");
    hold(Reason::FlagUnfit, case.seen.route.faults.join("; "), until, pace::WORLD)
}

/// nginx runs and the include is right: it must be loaded, and lead to the goal.
fn load(case: &Case<'_>, text: &RouteText, goal: &SlotName) -> Ruling {
    if !is_loaded(case, text) {
        // What was seen loaded once and cannot be asked now is unknown, not gone: a reload would tell no more.
        let silent = case.loaded().is_none() && case.ledger().proven >= text.generation;
        return if silent { Ruling::block(unproven(case)) } else { reload(case, text) };
    }
    match case.loaded() {
        Some(loaded) if loaded == goal => Ruling::clear(),
        Some(loaded) if text.form.has_flags() => {
            if case.seen.route.faults.is_empty() {
                cutover(case, loaded, goal)
            } else {
                Ruling::block(unfit(case))
            }
        }
        Some(_) | None => Ruling::block(unproven(case)),
    }
}

/// Flags beside that of the live slot change nothing now, but would at the next cutover. The flag of a text that nginx has yet to
/// load is no such flag: without it that text would lead elsewhere.
fn tidy(case: &Case<'_>) -> Ruling {
    let flags = case.seen.route.flags.known().map_or(&[][..], Vec::as_slice);
    let leads = |flag: &&SlotName| case.live() == Some(*flag) || case.on_disk() == Some(*flag);
    let slots: Vec<_> = flags.iter().filter(|flag| !leads(flag)).cloned().collect();
    if slots.is_empty() || is_blind(case) {
        return Ruling::clear();
    }
    Ruling::act(Act::TidyFlags { slots }, "they lead nowhere while the other one stands", "one flag at most stands")
}

fn unproven(case: &Case<'_>) -> Hold {
    let why = case.seen.route.loaded.unknown().unwrap_or("it names another slot than the include");
    hold(Reason::RouteUnproven, format!("nginx does not confirm its route: {why}"), "see the nginx configuration", pace::WORLD)
}

fn cutover(case: &Case<'_>, from: &SlotName, goal: &SlotName) -> Ruling {
    Ruling::act(
        Act::Cutover { from: from.clone(), to: goal.clone(), release: case.release(goal).cloned() },
        format!("{goal} is ready"),
        format!("nginx answers that it goes to {goal}, in every server that uses ${}", case.spec.proxy.variable),
    )
}

/// After a reload that was not applied neither the include nor nginx is touched for a while.
fn failed_lately(case: &Case<'_>) -> Option<Hold> {
    let failed = case.ledger().reload.as_ref().filter(|r| r.failed && case.nginx().is_some())?;
    let again = RELOAD_AGAIN.saturating_sub(case.since(&failed.boot, failed.at)?);
    (!again.is_zero()).then(|| not_applied(case, again))
}

fn reload(case: &Case<'_>, text: &RouteText) -> Ruling {
    if let Some(hold) = failed_lately(case) {
        return Ruling::block(hold);
    }
    let Some(to) = case.on_disk() else { return Ruling::block(unproven(case)) };
    if case.loaded() != Some(to) && !case.answers(to) {
        return Ruling::block(heal::confirming(case, to));
    }
    let from = case.live().filter(|live| *live != to);
    let moves = from.map(|from| Move { from: from.clone(), to: to.clone() });
    Ruling::act(
        Act::Reload { generation: text.generation, moves },
        "nginx has not loaded the include as it is on disk",
        format!("nginx answers with route {} and goes to {to}, and no worker of before still accepts", text.generation),
    )
}
