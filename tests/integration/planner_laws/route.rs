//! The way from users to a slot on any host, with what the ledger remembers of it.

use std::collections::BTreeMap;

use slotd::model::desired::{CutoverMode, ServiceSpec, Upstream};
use slotd::model::id::{BootId, Identity, Moment, SlotName};
use slotd::model::ledger::{Cutover, Ledger, Reload};
use slotd::model::observed::{Loaded, Nginx, Observation, ObservedRoute, ObservedSlot, Worker};
use slotd::model::route::{Include, RouteForm, RouteText, Target};

use super::chance::{Chance, unknown};
use super::host::NOW;

/// The generation of the include that nginx has usually loaded.
const GENERATION: u64 = 5;

/// The way to the slot `live`, as it usually is or in odd ways.
pub(crate) fn route(
    chance: &mut Chance,
    spec: &ServiceSpec,
    live: usize,
    slots: &BTreeMap<SlotName, ObservedSlot>,
    ledger: &mut Ledger,
) -> ObservedRoute {
    let names: Vec<_> = spec.slots.iter().map(|s| s.name.clone()).collect();
    let (live, other) = (names[live].clone(), names[(live + 1) % names.len()].clone());
    let text = text(chance, spec, &live, slots);
    remembered(chance, ledger, &text, &live, &other);
    let written = chance
        .mostly(text.clone(), &[leading(spec, &other, &text, slots), RouteText { generation: GENERATION + 1, ..text.clone() }]);
    ledger.route = chance.mostly(Some(written.clone()), &[Some(text.clone()), None]);
    let flagged = text.form.has_flags() && text.targets.first().is_some_and(|t| t.slot != live);
    let stands: Vec<_> = flagged.then(|| live.clone()).into_iter().collect();
    let flags = chance.mostly(stands, &[vec![other.clone()], vec![live.clone(), other.clone()], Vec::new()]);
    let nginx = nginx(chance, ledger);
    let (loaded, proxied) = answers(chance, spec, &nginx, &live, &other);
    ObservedRoute {
        include: include(chance, written, &other, slots),
        flags: chance.seen(flags),
        nginx,
        loaded,
        proxied,
        faults: chance.mostly(Vec::new(), &[vec!["open_file_cache is on".to_owned()]]),
    }
}

/// The text that leads to the live slot, in the form of the manifest or the other one.
fn text(chance: &mut Chance, spec: &ServiceSpec, live: &SlotName, slots: &BTreeMap<SlotName, ObservedSlot>) -> RouteText {
    let usual = match (spec.proxy.cutover, spec.proxy.upstream) {
        (CutoverMode::Flag, Upstream::Address) => RouteForm::Flag,
        (CutoverMode::Flag, Upstream::Pool) => RouteForm::Pool,
        (CutoverMode::Reload, _) => RouteForm::Static,
    };
    let form = chance.mostly(usual, &[RouteForm::Flag, RouteForm::Pool, RouteForm::Static]);
    let base = RouteText { generation: GENERATION, nonce: "nonce".to_owned(), form, targets: Vec::new() };
    let targets = targets(spec, form, live, slots);
    RouteText { targets, ..base }
}

/// The same text, one generation later, leading elsewhere.
fn leading(spec: &ServiceSpec, to: &SlotName, text: &RouteText, slots: &BTreeMap<SlotName, ObservedSlot>) -> RouteText {
    RouteText { generation: GENERATION + 1, targets: targets(spec, text.form, to, slots), ..text.clone() }
}

fn targets(spec: &ServiceSpec, form: RouteForm, live: &SlotName, slots: &BTreeMap<SlotName, ObservedSlot>) -> Vec<Target> {
    let all = spec.slots.iter().filter_map(|s| Some(Target { slot: s.name.clone(), port: slots.get(&s.name)?.port }));
    all.filter(|t| form.has_flags() || t.slot == *live).collect()
}

/// The last cutover and the last reload.
fn remembered(chance: &mut Chance, ledger: &mut Ledger, text: &RouteText, live: &SlotName, other: &SlotName) {
    ledger.proven = chance.mostly(text.generation, &[text.generation - 1, 0]);
    ledger.leaving = chance.mostly(None, &[Some(other.clone()), Some(live.clone())]);
    let boot = |chance: &mut Chance| BootId::new(chance.mostly("boot", &["earlier"]));
    if chance.one(&[true, true, false]) {
        let (from, to) =
            chance.mostly((Some(other.clone()), live.clone()), &[(Some(live.clone()), other.clone()), (None, live.clone())]);
        let at = Moment(NOW - chance.span());
        ledger.cutover = Some(Cutover { from, to, at, boot: boot(chance), settled: chance.one(&[true, false]), cut: None });
    }
    if chance.one(&[true, false]) {
        let generation = chance.mostly(GENERATION, &[GENERATION + 1, GENERATION - 1]);
        let at = Moment(NOW - chance.span());
        let workers = chance.mostly(vec![(1, 1)], &[vec![(2, 2)], vec![(2, 2), (3, 3)]]);
        ledger.reload = Some(Reload { generation, at, boot: boot(chance), workers, failed: chance.odd() });
    }
}

fn nginx(chance: &mut Chance, ledger: &Ledger) -> Observation<Nginx> {
    let worker = |pid: u32, accepting| Worker { pid, start: u64::from(pid), accepting };
    let hands_over = ledger.reload.is_some() && chance.odd();
    let nginx = Nginx {
        master: Identity { boot: BootId::new("boot"), pid: 1, start: 1, cookie: None },
        version: "1.22.1".to_owned(),
        workers: [(2, true), (3, true), (1, hands_over)].map(|(pid, accepting)| worker(pid, accepting)).to_vec(),
    };
    chance.seen(nginx)
}

/// What nginx says, and what answers through it: nothing when it does not run.
fn answers(
    chance: &mut Chance,
    spec: &ServiceSpec,
    nginx: &Observation<Nginx>,
    live: &SlotName,
    other: &SlotName,
) -> (Observation<Loaded>, Observation<SlotName>) {
    if nginx.known().is_none() && !chance.odd() {
        return (unknown(), unknown());
    }
    let slot = chance.mostly(live.clone(), &[other.clone()]);
    let loaded = Loaded { generation: chance.mostly(GENERATION, &[GENERATION + 1, GENERATION - 1]), slot: slot.clone() };
    let loaded = chance.mostly(Observation::Known(loaded), &[unknown()]);
    let proxied = chance.mostly(Observation::Known(slot), &[unknown(), Observation::Known(other.clone()), unknown()]);
    (loaded, if spec.proxy.url.is_some() { proxied } else { unknown() })
}

fn include(
    chance: &mut Chance,
    text: RouteText,
    other: &SlotName,
    slots: &BTreeMap<SlotName, ObservedSlot>,
) -> Observation<Include> {
    let plain = slots.get(other).map(|s| Include::Plain(Target { slot: other.clone(), port: s.port }));
    let elsewhere = Include::Elsewhere { state: "/other".to_owned() };
    let edited = Include::Edited { text: "set $service_url $other;".to_owned() };
    let found = chance.mostly(Include::Ours(text), &[plain.unwrap_or_else(|| elsewhere.clone()), elsewhere, edited]);
    chance.seen(found)
}
