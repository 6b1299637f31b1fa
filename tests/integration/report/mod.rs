//! Reports of plans made by hand.

mod sample;

use std::io::{self, Write};
use std::time::Duration;

use indicatif::ProgressDrawTarget;
use schemars::JsonSchema;
use serde::Serialize;
use slotd::cli::exit::{Exit, of_plan, of_status};
use slotd::event::Sink;
use slotd::model::id::{ReleaseId, ServiceName};
use slotd::model::status::Status;
use slotd::plan::Next;
use slotd::plan::step::{Act, Step};
use slotd::report::palette::Palette;
use slotd::report::progress::{Lines, Spinners};
use slotd::report::summary::{Ending, Outcome, Said};
use slotd::report::{doctor, human, json, markdown, summary};

use crate::support::golden;

fn text(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn pretty<T: Serialize>(document: &T) -> String {
    serde_json::to_string_pretty(document).unwrap() + "\n"
}

fn keys(value: &serde_json::Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn a_deployment_under_way_is_shown_step_by_step() {
    golden("report/plan.txt", &text(|out| human::plan(out, &sample::deploying(), &Palette::plain())));
}

#[test]
fn a_converged_plan_says_that_there_is_nothing_to_do() {
    golden("report/plan-converged.txt", &text(|out| human::plan(out, &sample::converged(), &Palette::plain())));
}

#[test]
fn colours_change_nothing_but_colours() {
    let coloured = text(|out| human::plan(out, &sample::deploying(), &Palette::coloured()));
    assert!(coloured.contains('\u{1b}'));
    let plain = text(|out| human::plan(out, &sample::deploying(), &Palette::plain()));
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
}

#[test]
fn a_status_names_slots_witnesses_and_the_way_back() {
    golden("report/status.txt", &text(|out| human::status(out, &sample::deploying(), &Palette::plain())));
}

#[test]
fn a_history_says_how_long_each_phase_took() {
    golden("report/history.txt", &text(|out| human::history(out, &sample::history(), &Palette::plain())));
    golden("report/history.md", &text(|out| markdown::history(out, &sample::history())));
    golden("report/history.json", &pretty(&sample::history()));
}

#[test]
fn a_good_end_is_one_line_a_service() {
    let ending = Ending { plan: sample::converged(), outcome: Outcome::Done, decided: vec![], errors: vec![], notes: vec![] };
    let said = text(|out| summary::human(out, &ending, &Palette::plain()));
    assert_eq!(said, "webservice: converged, 1.0.2 live on real2 (pid 4712)\n");
}

fn held() -> Ending {
    let missing = Some("1.0.3 does not serve yet, 1.0.2 does".to_owned());
    let decision = "1.0.3 may take the traffic as soon as it is ready".to_owned();
    let decided = vec![Said { service: ServiceName::new("webservice"), decision, missing }];
    let errors = vec!["webservice: start: no such file".to_owned()];
    Ending { plan: sample::deploying(), outcome: Outcome::Held, decided, errors, notes: vec![] }
}

#[test]
fn a_held_end_says_why_and_what_ends_it() {
    golden("report/summary-held.txt", &text(|out| summary::human(out, &held(), &Palette::plain())));
    golden("report/summary-held.md", &text(|out| markdown::ending(out, &held())));
    golden("report/summary-held.json", &pretty(&json::ending(&held())));
}

#[test]
fn the_plan_document_is_as_the_contract_says() {
    golden("report/plan.json", &pretty(&json::plan(&sample::deploying())));
}

#[test]
fn the_status_document_is_as_the_contract_says() {
    golden("report/status.json", &pretty(&json::status(&sample::deploying(), &[])));
}

#[test]
fn a_quiet_status_has_the_keys_of_the_contract_and_no_others() {
    let document = serde_json::to_value(json::status(&sample::converged(), &[])).unwrap();
    assert_eq!(keys(&document), ["format_version", "services"]);
    let service = &document["services"][0];
    assert_eq!(keys(service), ["desired", "holds", "live", "name", "rollback", "route", "slots", "status"]);
    assert_eq!(keys(&service["live"]), ["pid", "port", "ready", "release", "sha256", "slot", "version"]);
    assert_eq!(keys(&service["slots"][0]), ["pid", "port", "release", "slot", "state", "version"]);
    assert_eq!(keys(&service["route"]), ["include", "loaded", "proxied"]);
    assert_eq!(keys(&service["rollback"]), ["kind", "version"]);
}

#[test]
fn every_document_meets_its_own_schema() {
    check(&json::plan(&sample::deploying()));
    check(&json::status(&sample::deploying(), &[]));
    check(&json::ending(&held()));
    check(&sample::history());
    check(&doctor::document(&sample::diagnoses()));
}

#[test]
fn a_diagnosis_says_the_guarantee_of_each_cutover_and_what_to_do() {
    golden("report/doctor.txt", &text(|out| doctor::human(out, &sample::diagnoses(), &Palette::plain())));
    golden("report/doctor.md", &text(|out| doctor::markdown(out, &sample::diagnoses())));
    golden("report/doctor.json", &pretty(&doctor::document(&sample::diagnoses())));
}

fn check<T: Serialize + JsonSchema>(document: &T) {
    let schema = serde_json::to_value(schemars::schema_for!(T)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let document = serde_json::to_value(document).unwrap();
    let faults: Vec<_> = validator.iter_errors(&document).map(|fault| fault.to_string()).collect();
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn a_plan_for_a_pull_request_is_a_table_with_a_collapsed_difference() {
    golden("report/plan.md", &text(|out| markdown::plan(out, &sample::deploying())));
}

#[test]
fn a_status_for_a_pull_request_is_a_table() {
    golden("report/status.md", &text(|out| markdown::status(out, &sample::deploying())));
}

#[test]
fn a_plan_is_pending_where_a_step_can_be_taken_and_held_where_none_can() {
    let (converged, mut held) = (sample::converged(), sample::deploying());
    assert_eq!((of_plan(&converged), of_plan(&held)), (Exit::Done, Exit::Held));
    for service in held.services.iter_mut().filter(|s| !s.steps.is_empty()) {
        service.next = Next::Step(service.steps[0].clone());
    }
    assert_eq!(of_plan(&held), Exit::Pending);
}

#[test]
fn a_plan_with_nothing_to_show_is_not_pending_though_the_ledger_has_something_to_note() {
    let mut silent = sample::converged();
    let act = Act::Settle { release: Some(ReleaseId::new("r1-2222222222222222")) };
    silent.services[0].next = Next::Step(Step { act, why: "bake is over".to_owned(), expect: "it counts as good".to_owned() });
    assert!(text(|out| human::plan(out, &silent, &Palette::plain())).contains("Nothing to do"));
    assert_eq!(of_plan(&silent), Exit::Done);
}

#[test]
fn a_status_is_held_unless_everything_that_is_asked_for_is_there() {
    let mut plan = sample::converged();
    let codes = [Status::Converged, Status::Orphaned, Status::Progressing, Status::Held, Status::Degraded].map(|status| {
        plan.services[0].status = status;
        of_status(&plan).code()
    });
    assert_eq!(codes, [0, 0, 3, 3, 3]);
}

#[test]
fn plain_progress_is_one_line_an_event() {
    let said = text(|out| {
        let mut lines = Lines::new(out, Box::new(|| Duration::from_millis(12_345)), Palette::plain());
        for event in sample::events() {
            lines.emit(&ServiceName::new("webservice"), &event);
        }
        lines.broken("another slotd works on /state (pid 7)");
        Ok(())
    });
    golden("report/events.txt", &said);
}

#[test]
fn spinners_take_every_event() {
    let mut spinners = Spinners::new(ProgressDrawTarget::hidden(), Box::new(Duration::default));
    for event in sample::events() {
        spinners.emit(&ServiceName::new("webservice"), &event);
    }
    spinners.broken("another slotd works on /state (pid 7)");
}
