//! The laws of `slotd::plan`, on any manifest beside any observed state.

mod again;
mod chance;
mod decisions;
mod hide;
mod host;
mod oracle;
mod place;
mod remembered;
mod route;
mod situations;
mod verbs;
mod way_back;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use slotd::model::desired::ServiceSpec;
use slotd::model::observed::Observation;
use slotd::model::status::Status;
use slotd::plan::step::Act;
use slotd::plan::{Next, Plan, ServicePlan, plan};

use host::Host;
use oracle::{act, is_named, is_overdue, is_ready, loaded, may_answer, moves, next, pass};

/// Hosts for each law; `PROPTEST_CASES` asks for more, `PROPTEST_RNG_SEED` for others.
const HOSTS: u32 = 2_000;

/// What a law says of one host: on how many counts it was put to the test, or how it is broken.
type Verdict = Result<u32, String>;

#[expect(clippy::print_stdout, reason = "how often a law was put to the test is worth knowing")]
/// Tries a law. One that is put to the test fewer than `floor` times in a thousand hosts says nothing.
fn holds(floor: u32, law: impl Fn(&Host) -> Verdict) {
    let given = Config::default();
    let rng_seed = if std::env::var_os("PROPTEST_RNG_SEED").is_some() { given.rng_seed } else { RngSeed::Fixed(1) };
    let config = Config { cases: given.cases.max(HOSTS), failure_persistence: None, rng_seed, ..given };
    let (cases, met) = (config.cases, Cell::new(0_u32));
    let outcome = TestRunner::new(config).run(&Host::any(), |host| match law(&host) {
        Ok(times) => {
            met.set(met.get() + times);
            Ok(())
        }
        Err(broken) => Err(TestCaseError::fail(broken)),
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    println!("{cases} hosts, put to the test {} times", met.get());
    let often = u64::from(met.get()) * 1000 / u64::from(cases);
    assert!(often >= u64::from(floor), "put to the test {often} times in a thousand hosts, {floor} at least are wanted");
}

fn planned(host: &Host) -> Plan {
    plan(&host.desired, &host.observed, host.orphans)
}

/// Broken, unless it is so.
fn so(it_is: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if it_is { Ok(()) } else { Err(otherwise()) }
}

#[test]
fn the_same_inputs_give_the_same_plan_and_a_pass_follows_the_dry_run() {
    holds(500, |host| {
        let (first, second) = (planned(host), planned(host));
        so(first == second, || format!("{first:#?}\nis not\n{second:#?}"))?;
        let (Some(dry), Some(real)) = (first.services.first(), next(host)) else { return Ok(0) };
        let same = dry.next == real.next && dry.holds == real.holds && dry.view == real.view && dry.serves == real.serves;
        so(same, || format!("{dry:#?}\nis not\n{real:#?}"))?;
        Ok(u32::from(act(&real).is_some()))
    });
}

#[test]
fn a_converged_service_has_no_step_no_hold_and_no_drift() {
    holds(50, |host| {
        let plan = planned(host);
        let Some(service) = plan.services.first().filter(|s| s.status == Status::Converged) else { return Ok(0) };
        let quiet = act(service).is_none_or(|act| !act.is_worth_saying() && !act.is_visible());
        so(quiet && service.steps.is_empty(), || format!("converged, and still to do: {:#?}", service.next))?;
        so(service.next != Next::Hold && service.holds.is_empty(), || format!("converged, and held: {:#?}", service.holds))?;
        so(service.drift.is_empty(), || format!("converged, and yet {service:?}"))?;
        let live = service.view.live.clone();
        so(live.is_some_and(|live| is_ready(host, &live) || is_foreign(host, service)), || {
            "converged, and nobody serves".to_owned()
        })?;
        Ok(1)
    });
}

/// Whether somebody else's process serves, which nobody of ours may ask.
fn is_foreign(host: &Host, service: &ServicePlan) -> bool {
    let place = service.view.live.as_ref().and_then(|live| host.seen().slots.get(live));
    place.is_some_and(|p| p.process.known().is_none() && p.occupants.known().is_some_and(|o| !o.is_empty()))
}

#[test]
fn no_step_takes_the_live_slot_away_unless_a_person_said_so() {
    holds(100, |host| {
        let Some(service) = next(host) else { return Ok(0) };
        let live = |slot| is_named(host, slot) || service.view.live.as_ref() == Some(slot);
        match act(&service) {
            Some(Act::Stop { slot, .. } | Act::Freeze { slot, .. }) if !host.goes_down() => {
                so(!live(slot), || format!("{slot} is live: {:#?}", service.next)).map(|()| 1)
            }
            // One that was told to end by a person is killed when its time is over, whatever was decided since.
            Some(Act::Kill { slot, .. }) if !host.goes_down() => {
                so(!live(slot) || is_overdue(host, slot), || format!("{slot} is live: {:#?}", service.next)).map(|()| 1)
            }
            Some(Act::Start { slot, .. }) => {
                let free = host.seen().slots.get(slot).is_some_and(|s| s.process.is_absent());
                so(free, || format!("{slot} has a process: {:#?}", service.next)).map(|()| 1)
            }
            Some(_) | None => Ok(0),
        }
    });
}

#[test]
fn traffic_moves_only_to_a_slot_that_is_known_to_be_ready() {
    holds(20, |host| {
        let Some(service) = next(host) else { return Ok(0) };
        let Some((from, to)) = act(&service).and_then(|act| moves(host, &service, act)) else { return Ok(0) };
        if host.goes_down() {
            return Ok(0);
        }
        so(from.as_ref() != Some(&to), || "it moves nothing".to_owned())?;
        so(is_ready(host, &to), || format!("{to} is not known to be ready: {:#?}", service.next)).map(|()| 1)
    });
}

#[test]
fn a_pass_has_one_visible_step_at_most_behind_a_few_silent_ones() {
    holds(100, |host| {
        let Some((_, last, silent)) = pass(host) else { return Ok(0) };
        so(silent.iter().all(|act| !act.is_visible()), || format!("{silent:#?}"))?;
        so(silent.len() <= 6, || format!("{silent:#?}"))?;
        so(act(&last).is_none_or(Act::outdates_the_look), || format!("{:#?}", last.next))?;
        Ok(u32::from(!silent.is_empty()))
    });
}

#[test]
fn every_hold_says_why_until_when_and_when_to_look_again() {
    holds(200, |host| {
        let Some(service) = next(host) else { return Ok(0) };
        for hold in &service.holds {
            let speaks = !hold.detail.trim().is_empty() && !hold.until.trim().is_empty();
            so(speaks && !(hold.again.is_zero() && hold.wakes.is_empty()), || format!("{hold:#?}"))?;
        }
        so(service.next != Next::Hold || !service.holds.is_empty(), || "held, and nobody knows why".to_owned())?;
        so(service.again.is_none_or(|again| !again.is_zero()), || "it looks again without a pause".to_owned())?;
        Ok(u32::try_from(service.holds.len()).unwrap_or(u32::MAX))
    });
}

/// The same host, a moment later: nothing that a decision may rest on has changed.
fn aged(host: &Host) -> Host {
    let mut host = host.clone();
    host.observed.now.wall += 60_000;
    for place in host.touch().slots.values_mut() {
        if let Observation::Known(process) = &mut place.process {
            process.age += Duration::from_secs(1);
            process.resident += 4096;
        }
        if let Observation::Known(traffic) = &mut place.traffic {
            let busy = traffic.open > 0;
            traffic.open += u32::from(busy);
            traffic.samples += u32::from(!busy);
        }
        if let Observation::Known(probe) = &mut place.probe {
            probe.good += u32::from(probe.good > 2);
            probe.bad += u32::from(probe.bad > 3);
        }
        if let Observation::Known(others) = &mut place.occupants {
            others.iter_mut().for_each(older);
        }
    }
    host
}

fn older(occupant: &mut slotd::model::observed::Occupant) {
    if let slotd::model::observed::Occupant::SameApp { evidence, resident, .. } = occupant {
        *resident += 4096;
        evidence.push_str(", running for 8 s");
    }
}

/// The lines in which two texts differ.
fn difference(one: &str, other: &str) -> String {
    let lines = one.lines().zip(other.lines()).filter(|(a, b)| a != b);
    lines.map(|(a, b)| format!("{}  is not  {}", a.trim(), b.trim())).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_plan_id_knows_no_ages_and_no_counters_but_the_manifest() {
    holds(300, |host| {
        let (id, later) = (planned(host).id, planned(&aged(host)));
        so(id == later.id, || difference(&format!("{:#?}", planned(host)), &format!("{later:#?}")))?;
        let changes: [fn(&mut ServiceSpec); 3] = [
            |spec| spec.jar.version.push('x'),
            |spec| spec.slot_policy.drain += Duration::from_secs(1),
            |spec| spec.launch.args.push("--x".to_owned()),
        ];
        for change in changes {
            let mut other = host.clone();
            other.desired.services.values_mut().for_each(change);
            so(planned(&other).id != id, || "another manifest, the same plan".to_owned())?;
        }
        Ok(u32::from(!later.services.iter().all(|s| s.steps.is_empty())))
    });
}

#[test]
fn a_plan_is_the_same_when_it_is_read_back() {
    holds(500, |host| {
        let plan = planned(host);
        let text = serde_json::to_string(&plan).map_err(|e| e.to_string())?;
        let back: Plan = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
        so(back == plan, || text.clone())?;
        Ok(u32::from(plan.services.iter().any(|s| !s.steps.is_empty())))
    });
}

#[test]
fn a_process_is_started_only_where_nothing_runs_and_nobody_else_is() {
    holds(40, |host| {
        let Some(service) = next(host) else { return Ok(0) };
        let Some(Act::Start { slot, port, .. }) = act(&service) else { return Ok(0) };
        let place = &host.seen().slots[slot];
        let free = place.process.is_absent() && place.occupants.known().is_none_or(Vec::is_empty);
        so(free, || format!("{slot} is not free: {:#?}", service.next))?;
        let on = host.seen().slots.iter().find(|(_, other)| other.port == *port && other.process.known().is_some());
        so(on.is_none(), || format!("port {port} of {slot} is that of {on:?}"))?;
        Ok(1)
    });
}

#[test]
fn an_include_names_each_slot_and_each_port_once() {
    holds(15, |host| {
        let Some(service) = next(host) else { return Ok(0) };
        let Some(Act::WriteInclude { targets, live, .. }) = act(&service) else { return Ok(0) };
        let slots: BTreeSet<_> = targets.iter().map(|t| &t.slot).collect();
        let ports: BTreeSet<_> = targets.iter().map(|t| t.port).collect();
        so(slots.len() == targets.len() && ports.len() == targets.len(), || format!("{targets:?}"))?;
        so(slots.contains(live), || format!("{live} is not in {targets:?}"))?;
        let runs = |t: &&slotd::model::route::Target| host.seen().slots.get(&t.slot).is_some_and(|s| s.process.known().is_some());
        let record = |t: &slotd::model::route::Target| host.seen().ledger.slots.get(&t.slot).map(|r| r.port);
        let astray = targets.iter().filter(runs).find(|t| record(t).is_some_and(|port| port != t.port));
        so(astray.is_none(), || format!("the process is not where {astray:?} says"))?;
        Ok(1)
    });
}

/// What a slot that is taken out of service must not leave open.
fn unknown_behind(host: &Host, slot: &slotd::model::id::SlotName) -> Option<&'static str> {
    let (seen, route) = (host.seen(), &host.seen().route);
    let record = seen.ledger.slots.get(slot);
    let candidate = record.is_some_and(|r| !r.served && r.cookie.is_some());
    let others = || seen.slots.keys().any(|other| other != slot && is_ready(host, other));
    let given_up = record.is_some_and(|r| !r.served && r.condemned.is_some());
    if route.include.unknown().or(route.flags.unknown()).is_some() {
        return Some("what stands on disk");
    }
    if !candidate && route.nginx.unknown().is_some() {
        return Some("whether nginx runs");
    }
    if !candidate && route.nginx.known().is_some() && loaded(host).is_none() && route.proxied.known().is_none() {
        return Some("where nginx goes");
    }
    (may_answer(host, slot) && !others() && !given_up).then_some("whether another slot answers")
}

#[test]
fn a_slot_is_taken_out_of_service_only_on_what_is_known_whatever_else_cannot_be_read() {
    holds(500, |host| {
        let mut times = 0;
        for (what, other) in hide::hidden(host).into_iter().chain([("nothing".to_owned(), host.clone())]) {
            let Some((then, plan, _)) = pass(&other).filter(|_| !host.goes_down()) else { continue };
            let Some(Act::Stop { slot, .. } | Act::Freeze { slot, .. }) = act(&plan) else { continue };
            let open = unknown_behind(&then, slot);
            so(open.is_none(), || format!("{what} is hidden, and {slot} is stopped without knowing {open:?}"))?;
            times += 1;
        }
        Ok(times)
    });
}

#[test]
fn traffic_moves_only_to_what_is_known_to_be_ready_whatever_else_cannot_be_read() {
    holds(200, |host| {
        let mut times = 0;
        for (what, other) in hide::hidden(host) {
            let Some((then, plan, _)) = pass(&other).filter(|_| !host.goes_down()) else { continue };
            let Some((_, to)) = act(&plan).and_then(|act| moves(&then, &plan, act)) else { continue };
            so(is_ready(&then, &to), || format!("{what} is hidden, and traffic moves to {to}: {:#?}", plan.next))?;
            times += 1;
        }
        Ok(times)
    });
}
