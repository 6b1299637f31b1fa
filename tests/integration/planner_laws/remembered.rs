//! What a step writes into the ledger: before the act what must survive a crash in it, after it what came of it.

use std::collections::{BTreeMap, BTreeSet};

use slotd::model::id::{Cookie, Digest, Identity, Port, ReleaseId};
use slotd::model::ledger::{Cutover, Deployment, FailureKind, JarStamp, Ledger, OneWay, ResolvedJar, Rollback};
use slotd::model::route::{RouteForm, RouteText, Target};
use slotd::plan::record::{Prepared, after, before};
use slotd::plan::step::Act;

use super::host::{Host, slot};
use super::oracle::{next, prepared};
use super::place::Life;

/// `real1` serves release 2, `real2` is a standby with release 1.
fn two() -> Host {
    let mut host = Host::plain();
    host.puts("real2", Life::Ready, "1");
    host
}

fn with(host: &Host) -> Prepared {
    Prepared { generation: 5, ..prepared(host, &next(host).unwrap()) }
}

/// The ledger right before an act.
fn begun(host: &Host, act: &Act, with: &Prepared) -> Ledger {
    let mut ledger = host.seen().ledger.clone();
    before(&mut ledger, act, with);
    ledger
}

/// The ledger behind it.
fn done(host: &Host, act: &Act, with: &Prepared) -> Ledger {
    let mut ledger = host.seen().ledger.clone();
    before(&mut ledger, act, with);
    after(&mut ledger, act, with, None);
    ledger
}

fn to(name: &str, port: u16) -> Vec<Target> {
    vec![Target { slot: slot(name), port: Port(port) }]
}

fn write(name: &str, port: u16, put_back: bool) -> Act {
    Act::WriteInclude { form: RouteForm::Static, targets: to(name, port), live: slot(name), put_back }
}

#[test]
fn an_include_that_leads_elsewhere_notes_where_the_traffic_still_is() {
    let host = two();
    let leaving = |act: &Act| begun(&host, act, &with(&host)).leaving;
    assert_eq!(leaving(&write("real2", 8082, false)), Some(slot("real1")));
    assert_eq!(leaving(&write("real1", 8081, false)), None, "it leaves nothing");
    assert_eq!(leaving(&write("real1", 8081, true)), Some(slot("real1")), "a reload that is given up may still be applied");
}

/// The text that is written for `real2`, where the last one was of this generation, this one stands on disk or is loaded, and that
/// one was proven.
fn written(last: u64, on_disk: u64, proven: u64, leads_to: &str) -> (RouteText, RouteText) {
    let mut host = two();
    let old = RouteText {
        generation: last,
        nonce: "first".to_owned(),
        form: RouteForm::Static,
        targets: to(leads_to, if leads_to == "real2" { 8082 } else { 8081 }),
    };
    host.ledger().route = Some(old.clone());
    host.ledger().proven = proven;
    let with = Prepared { generation: on_disk, ..with(&host) };
    (old, begun(&host, &write("real2", 8082, false), &with).route.unwrap())
}

#[test]
fn a_text_that_nginx_runs_is_written_again_as_it_was() {
    let (old, new) = written(5, 5, 5, "real2");
    assert_eq!(new, old, "nothing has to be reloaded for a file that was lost");
}

#[test]
fn a_text_that_never_stood_on_disk_is_tried_again_as_it_was() {
    let (old, new) = written(6, 5, 5, "real2");
    assert_eq!(new, old, "trying again leaves no trace");
}

#[test]
fn a_text_older_than_what_was_loaded_is_written_under_a_new_generation() {
    // The last of them was loaded by nginx, and an older one was put in its place.
    for (last, on_disk, proven) in [(5, 6, 5), (5, 6, 6), (6, 5, 6)] {
        let (old, new) = written(last, on_disk, proven, "real2");
        assert_eq!((new.generation, new.nonce), (7, old.nonce), "{last} was written, {on_disk} is on disk, {proven} was proven");
    }
}

#[test]
fn another_text_gets_a_generation_above_every_one_that_was_seen() {
    for (last, on_disk, proven, expected) in [(5, 5, 5, 6), (5, 8, 5, 9), (5, 5, 8, 9), (7, 5, 5, 8)] {
        let (old, new) = written(last, on_disk, proven, "real1");
        assert_eq!((new.generation, new.nonce), (expected, old.nonce));
    }
}

fn start(host: &Host, version: &str) -> Act {
    Act::Start {
        slot: slot("real2"),
        port: Port(8082),
        release: host.id(version),
        version: version.to_owned(),
        serves: false,
        boot: slotd::model::boot::BootForm::Jar,
    }
}

#[test]
fn a_way_back_is_forgotten_when_a_third_release_is_started_and_only_then() {
    let mut host = two();
    let back = Rollback { away: host.id("2"), to: host.id("1") };
    host.ledger().person.rollback = Some(back.clone());
    for (version, kept) in [("1", true), ("2", true), ("3", false)] {
        let ledger = begun(&host, &start(&host, version), &with(&host));
        assert_eq!(ledger.person.rollback, kept.then(|| back.clone()), "{version} is started");
    }
}

#[test]
fn a_start_begins_a_deployment_or_goes_on_with_that_of_its_release() {
    let mut host = two();
    let begins = |host: &Host| begun(host, &start(host, "3"), &with(host)).deployment.unwrap();
    let fresh = begins(&host);
    assert_eq!((&fresh.release, &*fresh.version, fresh.slot.clone()), (&host.id("3"), "3", Some(slot("real2"))));
    assert_eq!(fresh.began, host.observed.now.wall);

    let deployment = |version: &str| Deployment {
        release: host.id(version),
        version: version.to_owned(),
        slot: None,
        began: 7,
        phases: vec![("began".to_owned(), super::situations::ago(9))],
    };
    let (same, other) = (deployment("3"), deployment("2"));
    host.ledger().deployment = Some(same);
    assert_eq!(begins(&host).began, 7, "it has begun already");
    host.ledger().deployment = Some(other);
    assert_eq!(begins(&host), fresh, "another release, another deployment");
}

#[test]
fn each_visible_step_of_a_deployment_is_dated() {
    let mut host = two();
    let ledger = done(&host, &start(&host, "3"), &with(&host));
    let words: Vec<_> = ledger.deployment.iter().flat_map(|d| &d.phases).map(|(word, _)| word.as_str()).collect();
    assert_eq!(words, ["began", "start"]);
    host.touch().ledger = ledger.clone();
    assert_eq!(done(&host, &Act::RecordHealth, &with(&host)).deployment, ledger.deployment, "nobody notices that one");
}

#[test]
fn a_stop_is_dated_and_notes_what_it_cuts_if_it_cuts_anything() {
    let mut host = two();
    host.cut("real2", "real1", 130);
    let process = host.process("real2").identity.clone();
    let noted = |cut: u32| {
        let ledger = done(&host, &Act::Stop { slot: slot("real2"), process: process.clone(), cut }, &with(&host));
        assert_eq!(ledger.slots[&slot("real2")].stopping, Some(host.observed.now.at));
        ledger.cutover.unwrap().cut
    };
    assert_eq!([noted(0), noted(1), noted(3)], [None, Some(1), Some(3)]);
}

#[test]
fn a_quarantine_takes_the_release_alone_from_the_good_ones_and_ends_its_deployment() {
    let mut host = two();
    host.proved(&["1", "2"]);
    let quarantined = |host: &Host| {
        let act = Act::Quarantine { release: host.id("2"), cause: "it failed".to_owned() };
        done(host, &act, &with(host))
    };
    let (one, two) = (host.id("1"), host.id("2"));
    host.ledger().deployment =
        Some(Deployment { release: two, version: "2".to_owned(), slot: None, began: 0, phases: Vec::new() });
    let ledger = quarantined(&host);
    assert_eq!((&ledger.good, &ledger.deployment), (&vec![one.clone()], &None));
    host.ledger().deployment.as_mut().unwrap().release = one;
    assert!(quarantined(&host).deployment.is_some(), "that of another release goes on");
}

#[test]
fn what_has_proved_itself_forgets_its_failed_starts_and_no_others() {
    let mut host = two();
    for (version, kind) in [("2", FailureKind::Start), ("2", FailureKind::Crash), ("1", FailureKind::Start)] {
        host.failed(version, kind, &[9]);
    }
    let ledger = done(&host, &Act::Settle { release: Some(host.id("2")) }, &with(&host));
    let left: Vec<_> = ledger.failures.iter().map(|f| (f.release.clone(), f.kind)).collect();
    assert_eq!(left, [(host.id("2"), FailureKind::Crash), (host.id("1"), FailureKind::Start)]);
}

#[test]
fn a_release_that_proves_itself_again_is_the_newest_good_one_and_counts_once() {
    let mut host = two();
    host.proved(&["2", "1"]);
    let ledger = done(&host, &Act::Settle { release: Some(host.id("2")) }, &with(&host));
    assert_eq!(ledger.good, [host.id("1"), host.id("2")]);
}

#[test]
fn what_is_collected_is_forgotten_and_nothing_else() {
    let mut host = two();
    host.proved(&["3", "1", "2"]);
    host.quarantines("3");
    host.quarantines("1");
    let jar = |version: &str| ResolvedJar {
        version: version.to_owned(),
        path: "/x.jar".into(),
        sha256: None,
        digest: Digest::new(version),
        stamp: JarStamp { len: 1, mtime: 1, inode: 1 },
    };
    host.ledger().jars = vec![jar("3"), jar("2")];
    let act = Act::Collect { releases: vec![host.id("3")], digests: vec![Digest::new("3")] };
    let ledger = done(&host, &act, &with(&host));
    assert_eq!(ledger.good, [host.id("1"), host.id("2")]);
    assert_eq!(ledger.quarantine.keys().collect::<Vec<_>>(), [&host.id("1")]);
    assert_eq!(ledger.jars, [jar("2")]);
    let known = |version: &str| ledger.releases.contains_key(&host.id(version));
    assert_eq!([known("1"), known("2"), known("3")], [true, true, false]);
}

/// What is left of the barrier of release 9, which shut these off, when release 3 is collected.
fn barrier(host: &mut Host, way: OneWay) -> Option<OneWay> {
    let id = ReleaseId::new("9");
    host.ledger().one_way = BTreeMap::from([(id.clone(), way)]);
    let act = Act::Collect { releases: vec![host.id("3")], digests: Vec::new() };
    done(host, &act, &with(host)).one_way.remove(&id)
}

#[test]
fn a_barrier_is_forgotten_with_its_release_and_the_last_one_behind_it() {
    let mut host = two();
    let behind = |host: &Host, versions: &[&str]| OneWay::Behind(versions.iter().map(|v| host.id(v)).collect());
    let (both, one) = (behind(&host, &["1", "3"]), behind(&host, &["1"]));
    assert_eq!(barrier(&mut host, both), Some(one), "release 1 is still behind it");
    let last = behind(&host, &["3"]);
    assert_eq!(barrier(&mut host, last.clone()), None, "nothing is behind it any more");
    assert_eq!(barrier(&mut host, OneWay::Ahead), None, "it never served, and is gone");

    // What others started is of no release that could be named, and is behind every barrier.
    host.puts("real2", Life::Adopted, "1");
    assert_eq!(barrier(&mut host, last), Some(OneWay::Behind(BTreeSet::new())));
    assert_eq!(barrier(&mut host, OneWay::Ahead), None);

    // One whose release is known stays, whatever is behind it.
    let known = host.release("9");
    let id = known.id.clone();
    host.ledger().releases.insert(id.clone(), known);
    host.ledger().one_way = BTreeMap::from([(id.clone(), OneWay::Ahead)]);
    let act = Act::Collect { releases: vec![host.id("3")], digests: Vec::new() };
    assert_eq!(done(&host, &act, &with(&host)).one_way.remove(&id), Some(OneWay::Ahead));
}

#[test]
fn an_installed_jar_is_remembered_once_a_version_path_and_checksum() {
    let mut host = two();
    let jar = |version: &str, digest: &str| ResolvedJar {
        version: version.to_owned(),
        path: "/x.jar".into(),
        sha256: None,
        digest: Digest::new(digest),
        stamp: JarStamp { len: 1, mtime: 1, inode: 1 },
    };
    host.ledger().jars = vec![jar("3", "before"), jar("2", "2")];
    let with = Prepared { jar: Some(jar("3", "now")), ..with(&host) };
    let ledger = done(&host, &Act::Install { release: host.release("3") }, &with);
    assert_eq!(ledger.jars, [jar("2", "2"), jar("3", "now")]);
}

#[test]
fn a_process_with_the_cookie_of_its_slot_completes_the_record_and_any_other_one_replaces_it() {
    let mut host = two();
    let cookie = host.record("real2").cookie.clone();
    let adopted = |cookie: Option<Cookie>| {
        let process = Identity { pid: 77, cookie, ..host.seen().slots[&slot("real1")].process.known().unwrap().identity.clone() };
        let evidence = "it listens there".to_owned();
        let act = Act::Adopt { slot: slot("real2"), port: Port(8082), process: process.clone(), release: None, evidence };
        let record = done(&host, &act, &with(&host)).slots.remove(&slot("real2")).unwrap();
        assert_eq!(record.process, Some(process));
        (record.release, record.evidence.is_some())
    };
    assert_eq!(adopted(cookie), (Some(host.id("1")), false), "our own intent");
    assert_eq!(adopted(Some(Cookie::new("another"))), (None, true), "another start of ours");
    assert_eq!(adopted(None), (None, true), "somebody else's");

    // A record without a cookie is no intent of ours, and a process without one does not complete it.
    host.record("real2").cookie = None;
    let process = Identity { pid: 77, cookie: None, ..host.process("real1").identity.clone() };
    let evidence = "it listens there".to_owned();
    let act = Act::Adopt { slot: slot("real2"), port: Port(8082), process, release: None, evidence };
    let record = done(&host, &act, &with(&host)).slots.remove(&slot("real2")).unwrap();
    assert_eq!((record.release, record.evidence.is_some()), (None, true));
}

/// The cutover that is known when nginx was seen to have loaded the text, which was written to leave `from`; `real1` is live.
fn found_loaded(host: &mut Host, from: Option<&str>, known: Option<(&str, &str)>) -> Option<Cutover> {
    host.ledger().cutover = None;
    if let Some((from, to)) = known {
        host.cut(from, to, 500);
    }
    host.ledger().leaving = from.map(slot);
    host.record("real1").served = false;
    let ledger = done(host, &Act::Prove { generation: 6 }, &with(host));
    assert_eq!((ledger.proven, &ledger.leaving), (6, &None));
    ledger.cutover
}

#[test]
fn a_text_that_moved_the_traffic_without_a_step_of_ours_was_a_cutover() {
    let mut host = two();
    let now = host.observed.now.at;
    let new = found_loaded(&mut host, Some("real2"), None).unwrap();
    assert_eq!((new.from, new.to, new.at), (Some(slot("real2")), slot("real1"), now));
    let new = found_loaded(&mut host, Some("real2"), Some(("real1", "real2"))).unwrap();
    assert_eq!((new.to, new.at), (slot("real1"), now), "that was the cutover before it");
    let new = found_loaded(&mut host, Some("real2"), Some(("real3", "real1"))).unwrap();
    assert_eq!((new.from, new.at), (Some(slot("real2")), now), "that one came from elsewhere");
    let new = found_loaded(&mut host, Some("real2"), Some(("real2", "real3"))).unwrap();
    assert_eq!((new.to, new.at), (slot("real1"), now), "that one led elsewhere");
}

#[test]
fn a_text_that_moved_nothing_or_whose_cutover_is_noted_is_none() {
    let mut host = two();
    let noted = found_loaded(&mut host, Some("real2"), Some(("real2", "real1"))).unwrap();
    assert_eq!(noted.at, super::situations::ago(500));
    assert_eq!(found_loaded(&mut host, None, None), None);
    assert_eq!(found_loaded(&mut host, Some("real1"), None), None);
}
