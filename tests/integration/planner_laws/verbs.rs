//! What a person decides, where the answer depends on the host.

use slotd::model::id::ReleaseId;
use slotd::model::ledger::{Deployment, Ledger, Rollback};
use slotd::plan::aim::Aim;
use slotd::plan::person::{Decision, decide};

use super::host::{Host, slot};
use super::oracle::next;
use super::place::Life;

/// What is said, and the ledger as it is then.
fn decided(host: &Host, decision: &Decision) -> (Result<String, String>, Ledger) {
    let mut ledger = host.seen().ledger.clone();
    let said = decide(decision, &next(host).unwrap(), &mut ledger, &host.observed.now);
    (said.map(|decided| decided.said).map_err(|refusal| refusal.why), ledger)
}

fn deploys(host: &mut Host, release: ReleaseId) {
    host.ledger().deployment = Some(Deployment { release, version: "2".to_owned(), slot: None, began: 0, phases: Vec::new() });
}

#[test]
fn nobody_goes_back_to_what_serves_and_nothing_is_noted_then() {
    let mut host = Host::plain();
    host.puts("real2", Life::Ready, "1");
    let back = |version: &str| decided(&host, &Decision::Rollback { to: Some(version.to_owned()) });
    assert_eq!(back("2"), (Err("2 serves already".to_owned()), host.seen().ledger.clone()));
    let (said, ledger) = back("1");
    assert!(said.unwrap().starts_with("going back to 1;"));
    assert_eq!(ledger.person.rollback, Some(Rollback { away: host.id("2"), to: host.id("1") }));
}

#[test]
fn a_release_is_let_pass_within_its_own_deployment() {
    let mut host = Host::plain();
    let phases = |host: &Host| decided(host, &Decision::Promote).1.deployment.unwrap().phases;
    let (own, other) = (host.id("2"), host.id("1"));
    deploys(&mut host, own);
    assert_eq!(phases(&host), [("promote".to_owned(), host.observed.now.at)]);
    deploys(&mut host, other);
    assert_eq!(phases(&host), [], "that is about another release");
}

#[test]
fn a_retry_ends_the_deployment_of_the_way_back_and_no_other_one() {
    let mut host = Host::plain();
    let (away, to) = (host.id("2"), host.id("1"));
    host.ledger().person.rollback = Some(Rollback { away: away.clone(), to: to.clone() });
    deploys(&mut host, to);
    let (_, ledger) = decided(&host, &Decision::Retry);
    assert_eq!((ledger.deployment, ledger.person.rollback), (None, None));
    deploys(&mut host, away);
    assert!(decided(&host, &Decision::Retry).1.deployment.is_some());
}

#[test]
fn what_does_not_run_is_not_replaced_unless_it_comes_up_again() {
    let mut host = Host::plain();
    let process = host.process("real1").identity.clone();
    assert_eq!(decided(&host, &Decision::Restart).1.person.restart, Some(process));
    host.puts("real1", Life::Empty, "2");
    assert!(!host.seen().ledger.slots.contains_key(&slot("real1")));
    let (said, _) = decided(&host, &Decision::Restart);
    assert_eq!(said, Err("nothing of ours serves, so there is nothing to restart".to_owned()));
    host.ledger().person.down = true;
    let (said, ledger) = decided(&host, &Decision::Restart);
    assert_eq!((said, ledger.person.down), (Ok("the service comes up again".to_owned()), false));
}

/// What a decision is for, and how far the host is from it.
fn missing(host: &Host, aim: &Aim) -> Option<String> {
    aim.missing(next(host).as_ref())
}

#[test]
fn a_decision_is_carried_out_only_where_the_host_shows_it() {
    let mut host = Host::plain();
    let serves = |host: &Host, version: &str| Aim::Serves { release: host.id(version), version: version.to_owned() };
    let pid = host.process("real1").identity.pid;
    let renewed = Aim::Renewed { pid, release: Some(host.id("2")) };
    assert_eq!((missing(&host, &serves(&host, "2")), missing(&host, &Aim::Up)), (None, None));
    assert_eq!(missing(&host, &serves(&host, "1")), Some("1 does not serve yet, 2 does".to_owned()));
    assert_eq!(missing(&host, &renewed), Some(format!("process {pid} still serves")));
    assert_eq!(missing(&host, &Aim::Renewed { pid: pid + 900, release: Some(host.id("2")) }), None);
    let other = Aim::Renewed { pid: pid + 900, release: Some(host.id("1")) };
    assert_eq!(missing(&host, &other), Some("another release serves by now".to_owned()));
    assert_eq!(missing(&host, &Aim::Down), Some(format!("process {pid} still runs on real1")));
    host.puts("real1", Life::Empty, "2");
    host.puts("real2", Life::Empty, "2");
    host.ledger().person.down = true;
    let still = Some("it is still going down".to_owned());
    assert_eq!(missing(&host, &Aim::Down), still, "the include leads by flag, which would outlive the service");
    assert_eq!(Aim::Down.missing(None), None, "an orphan that went down is forgotten");
    assert!(serves(&host, "2").missing(None).is_some());
}
