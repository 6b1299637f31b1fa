//! nginx, its include and its flags, as others leave them.

use slotd::model::desired::Upstream;
use slotd::model::status::Reason;
use slotd::plan::person::Decision;

use super::{Stage, port, slot};
use crate::world::fault::Fault;
use crate::world::manifest;
use crate::world::nginx::{Pools, Text};
use crate::world::processes::Behaviour;

fn include(stage: &Stage, text: Option<Text>) -> Fault {
    Fault::Include(stage.spec.proxy.include.clone(), text)
}

fn flag(stage: &Stage, name: &str, stands: bool) -> Fault {
    Fault::Flag(stage.spec.proxy.include.clone(), slot(name), stands)
}

#[test]
fn without_nginx_a_first_deployment_is_prepared_and_held() {
    let stage = Stage::empty();
    stage.befall(Fault::NginxStops);
    stage.world.holds(&stage.goal(), Reason::ProxyDown);
    stage.did(&[("install", 1), ("start", 1), ("write", 1)]);
    stage.befall(Fault::NginxStarts);
    stage.world.converges(&stage.goal());
    stage.did(&[]);
    stage.is("real1 webservice-1");
}

#[test]
fn without_nginx_a_second_deployment_waits_with_its_candidate_ready() {
    for change in [|_: &mut slotd::model::desired::ServiceSpec| {}, Stage::reload_mode] {
        let mut stage = Stage::serving_as(&["1"], change);
        stage.befall(Fault::NginxStops);
        stage.wants("2", Behaviour::good());
        stage.world.holds(&stage.goal(), Reason::ProxyDown);
        stage.runs(&["real1 webservice-1", "real2 webservice-2"]);
        stage.befall(Fault::NginxStarts);
        stage.is("real1 webservice-1");
        stage.world.converges(&stage.goal());
        stage.is("real2 webservice-2");
    }
}

#[test]
fn nginx_that_goes_down_at_any_time_of_a_deployment_loses_nothing() {
    for change in [|_: &mut slotd::model::desired::ServiceSpec| {}, Stage::reload_mode] {
        for at in (0..3_000).step_by(50) {
            let mut stage = Stage::serving_as(&["1", "2"], change);
            stage.wants("3", Behaviour::good());
            stage.world.after(at, Fault::NginxStops);
            stage.world.after(at + 9_000, Fault::NginxStarts);
            stage.world.apply(&stage.goal());
            stage.keep(20);
            stage.is("real1 webservice-3");
            let reloads = stage.world.take_counts().get("reload").copied().unwrap_or(0);
            assert!(reloads <= 1, "{reloads} reloads\n{}", stage.world.story());
        }
    }
}

#[test]
fn a_lost_reload_is_noticed_and_the_include_put_back() {
    let mut stage = Stage::serving_as(&["1"], Stage::reload_mode);
    stage.befall(Fault::ReloadsLost(true));
    stage.wants("2", Behaviour::good());
    stage.world.holds(&stage.goal(), Reason::ReloadNotApplied);
    stage.is("real1 webservice-1");
    stage.befall(Fault::NginxReloads);
    stage.is("real1 webservice-1");
    stage.befall(Fault::ReloadsLost(false));
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
}

#[test]
fn a_lost_first_reload_of_the_flag_form_is_tried_again() {
    let stage = Stage::empty();
    stage.befall(Fault::ReloadsLost(true));
    stage.world.holds(&stage.goal(), Reason::ReloadNotApplied);
    stage.befall(Fault::ReloadsLost(false));
    stage.world.converges(&stage.goal());
    stage.is("real1 webservice-1");
}

#[test]
fn a_broken_configuration_holds_the_reload_until_it_is_mended() {
    let mut stage = Stage::serving_as(&["1"], Stage::reload_mode);
    stage.befall(Fault::ConfigBroken(true));
    stage.wants("2", Behaviour::good());
    stage.world.holds(&stage.goal(), Reason::ConfigBroken);
    stage.is("real1 webservice-1");
    stage.befall(Fault::ConfigBroken(false));
    stage.befall(Fault::NginxReloads);
    stage.is("real1 webservice-1");
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
}

#[test]
fn a_broken_configuration_is_no_matter_for_a_cutover_by_flag() {
    let mut stage = Stage::serving(&["1"]);
    stage.befall(Fault::ConfigBroken(true));
    stage.deploy("2");
    stage.is("real2 webservice-2");
}

#[test]
fn nginx_that_cannot_be_told_for_certain_holds_the_cutover() {
    let mut stage = Stage::serving(&["1"]);
    stage.befall(Fault::NginxHidden(true));
    stage.wants("2", Behaviour::good());
    stage.world.holds(&stage.goal(), Reason::ProxyUnverified);
    stage.is("real1 webservice-1");
    stage.befall(Fault::NginxHidden(false));
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
}

#[test]
fn a_configuration_that_is_unfit_for_flags_holds_the_cutover() {
    let mut stage = Stage::serving(&["1"]);
    stage.befall(Fault::FlagFaults(vec!["open_file_cache is on".to_owned()]));
    stage.wants("2", Behaviour::good());
    stage.world.holds(&stage.goal(), Reason::FlagUnfit);
    stage.is("real1 webservice-1");
    stage.befall(Fault::FlagFaults(Vec::new()));
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
}

/// What a person has written is kept for them, and written over when they say so.
fn is_left_alone_until_a_person_says_so(mut stage: Stage, edit: Fault) {
    stage.befall(edit);
    stage.wants("3", Behaviour::good());
    stage.world.holds(&stage.goal(), Reason::HandEdited);
    stage.is("real2 webservice-2");
    stage.decide(&Decision::Retry);
    stage.world.converges(&stage.goal());
    stage.is("real1 webservice-3");
    assert_eq!(stage.world.see().kept.len(), 1);
}

#[test]
fn an_edited_include_is_left_alone_until_a_person_says_so() {
    for change in [|_: &mut slotd::model::desired::ServiceSpec| {}, Stage::reload_mode] {
        let stage = Stage::serving_as(&["1", "2"], change);
        let edit = include(&stage, Some(Text::Edited(Some(port(8082)))));
        is_left_alone_until_a_person_says_so(stage, edit);
    }
}

#[test]
fn a_deleted_include_is_written_again() {
    for change in [|_: &mut slotd::model::desired::ServiceSpec| {}, Stage::reload_mode, Stage::pool_mode] {
        let mut stage = Stage::serving_as(&["1", "2"], change);
        stage.befall(include(&stage, None));
        stage.world.converges(&stage.goal());
        stage.is("real2 webservice-2");
        stage.deploy("3");
        stage.is("real1 webservice-3");
    }
}

#[test]
fn an_include_that_is_deleted_while_nginx_cannot_be_told_leads_back_to_where_the_traffic_goes() {
    for change in [|_: &mut slotd::model::desired::ServiceSpec| {}, Stage::reload_mode] {
        for next in ["2", "3"] {
            let mut stage = Stage::serving_as(&["1", "2"], change);
            stage.befall(Fault::NginxHidden(true));
            stage.befall(include(&stage, None));
            stage.wants(next, Behaviour::good());
            stage.world.accept(&stage.goal());
            stage.keep(10);
            stage.befall(Fault::NginxStops);
            stage.befall(Fault::NginxStarts);
            stage.is("real2 webservice-2");
            stage.befall(Fault::NginxHidden(false));
            stage.world.converges(&stage.goal());
            assert!(stage.live().ends_with(&format!("webservice-{next}")), "{}", stage.world.story());
        }
    }
}

#[test]
fn a_lost_reload_that_moves_nothing_is_sent_again_and_not_taken_back() {
    let mut stage = Stage::serving(&["1", "2"]);
    stage.befall(Fault::ReloadsLost(true));
    stage.spec.slots.push(manifest::slot("real3", 8083));
    stage.wants("3", Behaviour::good());
    stage.world.accept(&stage.goal());
    stage.keep(40);
    stage.did(&[("install", 1), ("write", 1), ("reload", 2)]);
    stage.befall(Fault::ReloadsLost(false));
    stage.world.converges(&stage.goal());
    stage.is("real3 webservice-3");
}

#[test]
fn a_line_of_the_old_scripts_to_the_other_slot_is_put_right() {
    for change in [|_: &mut slotd::model::desired::ServiceSpec| {}, Stage::reload_mode] {
        let stage = Stage::serving_as(&["1", "2"], change);
        stage.befall(include(&stage, Some(Text::Plain(port(8081)))));
        stage.world.converges(&stage.goal());
        stage.is("real2 webservice-2");
        stage.befall(Fault::NginxReloads);
        stage.is("real2 webservice-2");
    }
}

#[test]
fn a_line_of_the_old_scripts_that_nginx_has_loaded_is_followed_by_a_way_back() {
    let stage = Stage::serving_as(&["1", "2"], Stage::reload_mode);
    stage.befall(include(&stage, Some(Text::Plain(port(8081)))));
    stage.befall(Fault::NginxReloads);
    stage.is("real1 webservice-1");
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
}

#[test]
fn another_slotds_include_is_not_touched() {
    let mut stage = Stage::serving(&["1"]);
    stage.befall(include(&stage, Some(Text::Elsewhere)));
    stage.wants("2", Behaviour::good());
    stage.world.holds(&stage.goal(), Reason::OwnedElsewhere);
    stage.did(&[]);
}

#[test]
fn a_flag_that_is_removed_by_hand_is_set_again() {
    let stage = Stage::serving(&["1", "2"]);
    stage.befall(flag(&stage, "real2", false));
    stage.is("real1 webservice-1");
    stage.world.converges(&stage.goal());
    stage.is("real2 webservice-2");
    stage.did(&[("cut", 1)]);
}

#[test]
fn a_flag_too_many_is_removed_before_it_can_mislead() {
    let three = |spec: &mut slotd::model::desired::ServiceSpec| spec.slots.push(manifest::slot("real3", 8083));
    let mut stage = Stage::serving_as(&["1", "2"], three);
    stage.befall(flag(&stage, "real3", true));
    stage.is("real2 webservice-2");
    stage.world.converges(&stage.goal());
    stage.did(&[("cut", 1)]);
    stage.is("real2 webservice-2");
    stage.deploy("3");
    stage.is("real3 webservice-3");
}

#[test]
fn a_flag_that_takes_the_traffic_from_the_live_slot_is_taken_away() {
    let three = |spec: &mut slotd::model::desired::ServiceSpec| spec.slots.push(manifest::slot("real3", 8083));
    let stage = Stage::serving_as(&["1", "2", "3"], three);
    stage.befall(flag(&stage, "real2", true));
    stage.is("real2 webservice-2");
    stage.world.converges(&stage.goal());
    stage.is("real3 webservice-3");
}

#[test]
fn every_write_that_fails_once_is_tried_again() {
    for change in [|_: &mut slotd::model::desired::ServiceSpec| {}, Stage::reload_mode] {
        for nth in 0..40 {
            let mut stage = Stage::serving_as(&["1", "2"], change);
            stage.wants("3", Behaviour::good());
            stage.world.accept(&stage.goal());
            stage.world.refuse_at(nth);
            stage.world.converges(&stage.goal());
            stage.is("real1 webservice-3");
        }
    }
}

fn pools(stage: &Stage, pools: Option<Pools>) -> Fault {
    Fault::Pools(stage.spec.proxy.include.clone(), pools)
}

#[test]
fn pools_come_and_go_with_one_reload_each_and_restart_no_process() {
    let mut stage = Stage::serving(&["1", "2"]);
    for upstream in [Upstream::Pool, Upstream::Address] {
        stage.spec.proxy.upstream = upstream;
        stage.world.converges(&stage.goal());
        stage.did(&[("write", 1), ("reload", 1)]);
        stage.is("real2 webservice-2");
    }
    stage.spec.proxy.upstream = Upstream::Pool;
    stage.deploy("3");
    stage.is("real1 webservice-3");
}

#[test]
fn pools_that_were_deleted_are_written_again_without_a_reload() {
    let mut stage = Stage::serving_as(&["1", "2"], Stage::pool_mode);
    stage.befall(pools(&stage, None));
    stage.befall(Fault::NginxReloads);
    stage.is("real2 webservice-2");
    stage.world.converges(&stage.goal());
    stage.did(&[("write", 1)]);
    stage.befall(Fault::NginxReloads);
    stage.is("real2 webservice-2");
    stage.deploy("3");
    stage.is("real1 webservice-3");
}

#[test]
fn edited_pools_are_left_alone_until_a_person_says_so() {
    let stage = Stage::serving_as(&["1", "2"], Stage::pool_mode);
    let edit = pools(&stage, Some(Pools::Edited));
    is_left_alone_until_a_person_says_so(stage, edit);
}

#[test]
fn another_port_of_a_slot_is_another_pool_and_one_reload() {
    let mut stage = Stage::serving_as(&["1", "2"], Stage::pool_mode);
    stage.spec.slots[0].port = port(9081);
    stage.deploy("3");
    stage.is("real1 webservice-3");
    let counts = stage.world.take_counts();
    assert_eq!((counts.get("pools"), counts.get("reload"), counts.get("cut")), (Some(&1), Some(&1), Some(&1)), "{counts:?}");
}
