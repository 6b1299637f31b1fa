//! The way from users to a slot.

use slotd::model::id::Port;
use slotd::model::observed::{Observation, Worker};
use slotd::model::route::{Include, RouteForm, Target};

use super::table::Situation;
use super::{Host, Life, named, unknown};

fn two(h: &mut Host) {
    h.puts("real2", Life::Ready, "1");
}

fn standby_needed(h: &mut Host) {
    h.asks("3");
    two(h);
}

fn edited(text: &str) -> Observation<Include> {
    Observation::Known(Include::Edited { text: text.to_owned() })
}

/// A reload that was to move the traffic to `real2` was given up so many seconds ago and has moved it since; only the proxy says so.
fn given_up(h: &mut Host, seconds: u64) {
    h.reloads(seconds * 1000);
    let reload = h.ledger().reload.as_mut().unwrap();
    (reload.failed, reload.workers) = (true, Vec::new());
    h.ledger().leaving = Some(named("real1"));
    h.ledger().cutover = None;
    h.route().loaded = unknown();
    h.route().proxied = Observation::Known(named("real2"));
}

/// nginx goes to `real1`, where nothing runs; the flag of `real2` stands, which has failed.
fn only_the_file(h: &mut Host) {
    h.puts("real1", Life::Ended, "1");
    h.puts("real2", Life::Ready, "2");
    h.record("real2").condemned = Some("it failed".to_owned());
    h.route().flags = Observation::Known(vec![named("real2")]);
    h.route().proxied = unknown();
}

fn failed_candidate(h: &mut Host) {
    h.puts("real2", Life::Sick, "2");
    let record = h.record("real2");
    (record.served, record.condemned) = (false, Some("it failed".to_owned()));
    let at = super::ago(0);
    h.ledger().reload = Some(slotd::model::ledger::Reload {
        generation: 5,
        at,
        boot: slotd::model::id::BootId::new("boot"),
        workers: Vec::new(),
        failed: false,
    });
    h.mute();
}

/// Each witness, and what they say together.
pub(super) const ROUTE: &[Situation] = &[
    ("there is no include", |h| h.route().include = Observation::Absent),
    ("there is no include, and nginx cannot be told", |h| {
        h.route().include = Observation::Absent;
        h.route().nginx = unknown();
    }),
    ("the include cannot be read", |h| h.route().include = unknown()),
    ("the include was edited", |h| h.route().include = edited("\n  set $service_url $other;\n")),
    ("the include was edited, and a person wants it repaired", |h| {
        h.route().include = edited("");
        h.ledger().person.repair = true;
    }),
    ("the include was edited, and a release waits", |h| {
        h.asks("3");
        h.route().include = edited("# nothing else");
    }),
    ("another slotd writes the include", |h| {
        h.route().include = Observation::Known(Include::Elsewhere { state: "/other".to_owned() });
    }),
    ("the include is a line of the scripts", |h| {
        h.route().include = Observation::Known(Include::Plain(Target { slot: named("real1"), port: Port(8081) }));
    }),
    ("the include is a line of the scripts that leads elsewhere", |h| {
        two(h);
        h.route().include = Observation::Known(Include::Plain(Target { slot: named("real2"), port: Port(8082) }));
    }),
    ("the include is in the other form", Host::by_reload),
    ("the include is in the other form than the manifest wants", |h| {
        h.spec(|s| s.proxy.cutover = slotd::model::desired::CutoverMode::Reload);
    }),
    ("the include names addresses, and the manifest wants pools", Host::by_pool),
    ("the manifest wants pools, and nginx does not take them in", |h| {
        h.by_pool();
        h.route().faults = vec!["the http block does not include the pools".to_owned()];
    }),
    ("the pools or the include are not there", |h| {
        h.by_pool();
        h.route().include = Observation::Absent;
    }),
    ("the pools were edited", |h| {
        h.by_pool();
        h.route().include = edited("upstream real1 { server 127.0.0.1:1; }");
    }),
    ("the include names pools, and a candidate is ready", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "3");
        h.by_pool();
        h.text(|t| t.form = RouteForm::Pool);
    }),
    ("the include names pools, and the manifest wants addresses", |h| h.text(|t| t.form = RouteForm::Pool)),
    ("the include does not name a slot of the manifest", |h| h.third(Life::Empty, "1")),
    ("the flags cannot be read", |h| {
        standby_needed(h);
        h.route().flags = unknown();
    }),
    ("a flag stands that nginx does not follow", |h| {
        two(h);
        h.route().flags = Observation::Known(vec![named("real2")]);
    }),
    ("a flag too many stands", |h| {
        h.third(Life::Empty, "1");
        h.text(|t| t.targets.push(Target { slot: named("real3"), port: Port(8083) }));
        two(h);
        h.leads_to("real2");
        h.route().flags = Observation::Known(vec![named("real2"), named("real3")]);
    }),
    ("the other slot is live by its flag", |h| {
        two(h);
        h.leads_to("real2");
    }),
    ("nginx does not run", |h| {
        h.route().nginx = Observation::Absent;
        h.mute();
    }),
    ("nginx does not run, and a candidate is ready", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "3");
        h.route().nginx = Observation::Absent;
        h.mute();
    }),
    ("nginx does not run, the live slot is dead, and a standby is ready", |h| {
        h.puts("real1", Life::Ended, "2");
        two(h);
        h.route().nginx = Observation::Absent;
        h.mute();
    }),
    ("nginx does not run, and a standby that answers is needed", |h| {
        standby_needed(h);
        h.route().nginx = Observation::Absent;
        h.mute();
    }),
    ("nginx does not run, and a standby that answers badly is needed", |h| {
        h.asks("3");
        h.puts("real2", Life::Sick, "1");
        h.route().nginx = Observation::Absent;
        h.mute();
    }),
    ("nginx cannot be told, and a standby is needed", |h| {
        standby_needed(h);
        h.route().nginx = unknown();
    }),
    ("neither nginx nor the proxy says anything, and a standby is needed", |h| {
        standby_needed(h);
        h.mute();
    }),
    ("neither nginx nor the proxy says anything of what was seen loaded", |h| h.mute()),
    ("nginx does not say what it has loaded, which was never seen", |h| {
        h.mute();
        h.ledger().proven = 4;
    }),
    ("the proxy alone says which slot answers", |h| {
        standby_needed(h);
        h.route().loaded = unknown();
    }),
    ("nginx and the proxy disagree", |h| {
        standby_needed(h);
        h.route().proxied = Observation::Known(named("real2"));
    }),
    ("nginx has loaded an older text", |h| h.loads(4, "real1")),
    ("nginx has loaded a text that was not seen loaded yet", |h| h.ledger().proven = 4),
    ("nginx has loaded a text that was not seen loaded yet, and old workers accept", |h| {
        h.ledger().proven = 4;
        h.nginx().workers[2].accepting = true;
    }),
    ("old workers accept beside newer ones", |h| {
        standby_needed(h);
        h.nginx().workers[2].accepting = true;
    }),
    ("all workers are of before a reload that was lost", |h| {
        h.nginx().workers = vec![Worker { pid: 1, start: 1, accepting: true }];
    }),
    ("a worker with the pid of an old one", |h| {
        h.nginx().workers[2].accepting = true;
        h.nginx().workers[2].start = 9;
    }),
    ("a reload is under way", |h| {
        two(h);
        h.reloads(4_999);
    }),
    ("a reload was not applied", |h| {
        two(h);
        h.reloads(5_000);
    }),
    ("a reload was not applied, and the slot of before answers badly", |h| {
        two(h);
        h.answers("real1", 0, 1);
        h.reloads(5_000);
    }),
    ("a reload was not applied, and the release of before was given up", |h| {
        two(h);
        h.quarantines("2");
        h.reloads(5_000);
    }),
    ("a reload that moves nothing was not applied", |h| {
        h.reloads(5_000);
        h.text(|t| (t.targets[0].slot, t.targets[0].port) = (named("real1"), Port(8081)));
    }),
    ("a reload that moves nothing was not applied half a minute ago", |h| {
        h.reloads(30_000);
        h.text(|t| (t.targets[0].slot, t.targets[0].port) = (named("real1"), Port(8081)));
    }),
    ("a reload was not applied, and slotd ended before it put the include back", |h| {
        two(h);
        h.reloads(5_000);
        h.ledger().reload.as_mut().unwrap().failed = true;
    }),
    ("a reload failed a while ago, and a candidate is ready", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "3");
        h.by_reload();
        let reload = h.ledger().reload.as_mut().unwrap();
        (reload.failed, reload.at) = (true, super::ago(29));
    }),
    ("a reload failed half a minute ago, and a candidate is ready", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "3");
        h.by_reload();
        let reload = h.ledger().reload.as_mut().unwrap();
        (reload.failed, reload.at) = (true, super::ago(30));
    }),
    ("a reload is to be sent that moves the traffic to a slot that does not answer", |h| {
        h.puts("real2", Life::Sick, "1");
        h.reloads(40_000);
        h.puts("real1", Life::Ended, "2");
    }),
    ("the include was written to lead elsewhere, and nginx was not told yet", |h| {
        two(h);
        h.reloads(40_000);
        h.ledger().reload = None;
        h.ledger().leaving = Some(named("real1"));
        h.mute();
    }),
    ("the include was written to lead elsewhere, and nginx ended meanwhile", |h| {
        two(h);
        h.reloads(40_000);
        h.ledger().leaving = Some(named("real1"));
        h.mute();
        h.route().nginx = Observation::Absent;
    }),
    ("a reload that was given up has been applied, and nginx does not say so", |h| {
        two(h);
        h.spec(|s| s.slot_policy.standby = slotd::model::desired::Standby::Stopped);
        given_up(h, 20);
    }),
    ("a reload that was given up was applied a drain deadline ago, and nginx does not say so", |h| {
        two(h);
        h.spec(|s| s.slot_policy.standby = slotd::model::desired::Standby::Stopped);
        given_up(h, 120);
    }),
    ("the file alone leads to a failed slot, and neither answers", |h| {
        only_the_file(h);
        h.answers("real2", 0, 3);
    }),
    ("the file alone leads to a failed slot that answers, and the live one is dead", only_the_file),
    ("a release waits, and the include leads to the free slot although another one serves", |h| {
        h.asks("3");
        h.puts("real2", Life::Empty, "1");
        h.route().flags = Observation::Known(vec![named("real2")]);
        h.route().loaded = unknown();
    }),
    ("a release waits, and the include leads to the free slot although a dead one serves", |h| {
        h.asks("3");
        h.puts("real2", Life::Empty, "1");
        h.puts("real1", Life::Sick, "1");
        h.route().flags = Observation::Known(vec![named("real2")]);
        h.route().loaded = unknown();
    }),
    ("nothing is known that should serve, and who does is only what nginx was last known to do", |h| {
        two(h);
        h.touch().jar = Observation::Absent;
        h.text(|t| t.generation = 6);
        h.ledger().leaving = Some(named("real2"));
        h.ledger().releases.clear();
        h.mute();
    }),
    ("a candidate has failed, and nobody says what the last reload has loaded", |h| {
        failed_candidate(h);
        h.ledger().reload.as_mut().unwrap().at = super::ago(29);
    }),
    ("a candidate has failed, and nobody has said for half a minute what the last reload has loaded", |h| {
        failed_candidate(h);
        h.ledger().reload.as_mut().unwrap().at = super::ago(30);
    }),
    ("the configuration is unfit for flags", |h| {
        h.asks("3");
        h.puts("real2", Life::Ready, "3");
        h.route().faults = vec!["open_file_cache is on".to_owned(), "no such folder".to_owned()];
    }),
    ("the configuration is unfit for flags, which are not written yet", |h| {
        h.by_reload();
        h.spec(|s| s.proxy.cutover = slotd::model::desired::CutoverMode::Flag);
        h.route().faults = vec!["open_file_cache is on".to_owned()];
    }),
    ("a person stopped the service", |h| {
        two(h);
        h.ledger().person.down = true;
    }),
    ("a person stopped the service, which is led by a static line", |h| {
        two(h);
        h.by_reload();
        h.ledger().person.down = true;
    }),
    ("a person stopped the service, whose static line is not loaded yet", |h| {
        two(h);
        h.by_reload();
        h.text(|t| (t.form, t.generation) = (RouteForm::Static, 6));
        h.ledger().person.down = true;
    }),
    ("a person stopped the service, whose static line nginx does not confirm", |h| {
        h.by_reload();
        h.mute();
        h.ledger().person.down = true;
    }),
    ("a person stopped the service, and a slot cannot be read", |h| {
        two(h);
        h.by_reload();
        h.place("real2").process = unknown();
        h.ledger().person.down = true;
    }),
    ("a person stopped the service, and nothing runs", |h| {
        h.by_reload();
        h.puts("real1", Life::Empty, "2");
        h.ledger().person.down = true;
    }),
    ("a person stopped the service, and the include cannot be read", |h| {
        h.route().include = unknown();
        h.ledger().person.down = true;
    }),
];
