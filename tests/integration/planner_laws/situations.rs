//! What the planner says of hosts that somebody has met, in its own words: each with its drift, its way and its holds in
//! `golden/planner/situations.txt`. The usual host has its release on `real1`, nothing on `real2`, and everything written down.

mod deploying;
mod frozen;
mod memory;
mod print;
mod serving;
mod stopping;
mod table;
mod way;

use std::collections::BTreeMap;
use std::time::Duration;

use slotd::model::desired::ServiceSpec;
use slotd::model::id::{BootId, Digest, Identity, Moment, Port, ReleaseId, SlotName};
use slotd::model::ledger::{Cutover, Failure, FailureKind, Ledger, Reload, SlotRecord};
use slotd::model::observed::{JarFact, Loaded, Nginx, Observation, ObservedProcess, ObservedRoute, ObservedSlot, Probe};
use slotd::model::release::Release;
use slotd::model::route::{Include, RouteForm, RouteText};

use super::chance::{Chance, unknown};
use super::host::{Host, NOW, slot};
use super::place::{Life, Places};
use crate::support::golden;

#[test]
fn what_a_plan_says_of_each_situation_is_as_it_was_read() {
    let text: String = table::all().into_iter().map(|(title, change)| print::situation(title, &Host::usual(change))).collect();
    golden("planner/situations.txt", &text);
}

/// Changes of a usual host, short enough to be read in a table.
impl Host {
    /// The usual host, changed.
    fn usual(change: fn(&mut Self)) -> Self {
        let mut host = Self::plain();
        change(&mut host);
        host
    }

    /// The manifest, wherever it stands.
    pub(super) fn spec(&mut self, change: impl Fn(&mut ServiceSpec)) {
        change(&mut self.spec);
        self.desired.services.values_mut().for_each(&change);
        self.touch().ledger.accepted.iter_mut().for_each(change);
    }

    /// The manifest asks for another version, whose jar is there.
    pub(super) fn asks(&mut self, version: &str) {
        self.spec(|spec| version.clone_into(&mut spec.jar.version));
        if let Observation::Known(JarFact { digest, .. }) = &mut self.touch().jar {
            *digest = Digest::new(version);
        }
    }

    pub(super) fn release(&self, version: &str) -> Release {
        Release::new(version, Digest::new(version), self.spec.launch.clone(), None)
    }

    pub(super) fn id(&self, version: &str) -> ReleaseId {
        self.release(version).id
    }

    /// A third slot.
    pub(super) fn third(&mut self, life: Life, version: &str) {
        self.spec(|spec| spec.slots.push(crate::world::manifest::slot("real3", 8083)));
        self.puts("real3", life, version);
    }

    /// A slot is so, with this release.
    pub(super) fn puts(&mut self, name: &str, life: Life, version: &str) {
        let port = self.spec.port_of(&slot(name)).unwrap_or(Port(8080));
        let (spec, releases) = (self.spec.clone(), [version; 3].map(|version| self.release(version)));
        let (mut chance, name) = (Chance::new(Vec::new()), slot(name));
        let (records, slots) = (BTreeMap::new(), BTreeMap::new());
        let mut places = Places { chance: &mut chance, spec: &spec, releases: &releases, records, slots };
        places.place(&name, port, life, 0);
        let Places { records, slots, .. } = places;
        let seen = self.touch();
        seen.ledger.slots.remove(&name);
        seen.ledger.slots.extend(records);
        seen.slots.extend(slots);
    }

    pub(super) fn ledger(&mut self) -> &mut Ledger {
        &mut self.touch().ledger
    }

    pub(super) fn route(&mut self) -> &mut ObservedRoute {
        &mut self.touch().route
    }

    pub(super) fn place(&mut self, name: &str) -> &mut ObservedSlot {
        self.touch().slots.get_mut(&slot(name)).unwrap()
    }

    pub(super) fn process(&mut self, name: &str) -> &mut ObservedProcess {
        let Observation::Known(process) = &mut self.place(name).process else { panic!("nothing runs on {name}") };
        process
    }

    pub(super) fn record(&mut self, name: &str) -> &mut SlotRecord {
        self.ledger().slots.get_mut(&slot(name)).unwrap()
    }

    pub(super) fn answers(&mut self, name: &str, good: u32, bad: u32) {
        let Observation::Known(probe) = &mut self.place(name).probe else { panic!("{name} was not asked") };
        *probe = Probe { good, bad, ..probe.clone() };
    }

    /// The last cutover led here so many seconds ago.
    pub(super) fn cut(&mut self, from: &str, to: &str, seconds: u64) {
        let at = ago(seconds);
        let (from, to) = (Some(slot(from)), slot(to));
        self.ledger().cutover = Some(Cutover { from, to, at, boot: BootId::new("boot"), settled: false, cut: None });
    }

    /// Users reach this slot, says everybody.
    pub(super) fn leads_to(&mut self, name: &str) {
        let flagged = name != "real1";
        self.route().flags = Observation::Known(flagged.then(|| slot(name)).into_iter().collect());
        self.loads(5, name);
        self.route().proxied = Observation::Known(slot(name));
    }

    /// What nginx says.
    pub(super) fn loads(&mut self, generation: u64, name: &str) {
        self.route().loaded = Observation::Known(Loaded { generation, slot: slot(name) });
    }

    /// Neither nginx nor the proxy says anything.
    pub(super) fn mute(&mut self) {
        (self.route().loaded, self.route().proxied) = (unknown(), unknown());
    }

    /// The text on disk, ours.
    pub(super) fn text(&mut self, change: impl FnOnce(&mut RouteText)) {
        let Observation::Known(Include::Ours(text)) = &mut self.route().include else { panic!("it is not ours") };
        change(text);
        let text = text.clone();
        self.ledger().route = Some(text);
    }

    /// The manifest wants pools.
    pub(super) fn by_pool(&mut self) {
        self.spec(|spec| spec.proxy.upstream = slotd::model::desired::Upstream::Pool);
    }

    /// Cut over by reloads: one static line to `real1`.
    pub(super) fn by_reload(&mut self) {
        self.spec(|spec| spec.proxy.cutover = slotd::model::desired::CutoverMode::Reload);
        self.text(|text| {
            text.form = RouteForm::Static;
            text.targets.truncate(1);
        });
    }

    /// The include was written to lead to `real2`, and nginx was told to reload so many milliseconds ago.
    pub(super) fn reloads(&mut self, milliseconds: u64) {
        self.by_reload();
        self.text(|text| {
            text.generation = 6;
            text.targets[0].slot = slot("real2");
            text.targets[0].port = Port(8082);
        });
        let at = Moment(NOW - milliseconds);
        self.ledger().reload =
            Some(Reload { generation: 6, at, boot: BootId::new("boot"), workers: vec![(2, 2), (3, 3)], failed: false });
    }

    pub(super) fn nginx(&mut self) -> &mut Nginx {
        let Observation::Known(nginx) = &mut self.route().nginx else { panic!("nginx does not run") };
        nginx
    }

    /// A release failed so many seconds ago.
    pub(super) fn failed(&mut self, version: &str, kind: FailureKind, seconds: &[u64]) {
        let release = self.id(version);
        let one = |ago_: &u64| Failure {
            release: release.clone(),
            kind,
            at: ago(*ago_),
            boot: BootId::new("boot"),
            why: "it failed".to_owned(),
        };
        let all: Vec<_> = seconds.iter().map(one).collect();
        self.ledger().failures.extend(all);
    }

    pub(super) fn quarantines(&mut self, version: &str) {
        let id = self.id(version);
        self.ledger().quarantine.insert(id, "it failed".to_owned());
    }

    /// These proved themselves, the last one last.
    pub(super) fn proved(&mut self, versions: &[&str]) {
        let all = versions.iter().map(|version| self.id(version)).collect();
        self.ledger().good = all;
    }
}

/// So many seconds ago.
pub(super) fn ago(seconds: u64) -> Moment {
    Moment(NOW - seconds * 1000)
}

fn seconds(many: u64) -> Duration {
    Duration::from_secs(many)
}

/// A process that others started.
fn others(pid: u32) -> Identity {
    Identity { boot: BootId::new("boot"), pid, start: 50, cookie: None }
}

fn named(name: &str) -> SlotName {
    slot(name)
}
