//! The slots: whose process runs there, who holds the port, what it answers, what is open towards it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::host::Host;
use crate::host::probes::Question;
use crate::host::processes::{Application, Bearer, Found, PortFact, PortQuestion};
use crate::model::desired::ServiceSpec;
use crate::model::id::{Identity, Port, SlotName};
use crate::model::ledger::{Ledger, SlotRecord};
use crate::model::observed::{Answer, Connection, Exit, Observation, ObservedProcess, ObservedSlot, Occupant, Probe, Traffic};
use crate::model::release::bind_address;
use crate::model::route::Include;
use crate::observe::once::Once;
use crate::observe::watch::ServiceWatch;

/// Where the process of a place may listen.
pub(super) struct Place {
    port: Port,
    /// Where it is looked for when it does not listen there: a lost ledger does not say whether what runs in a slot was started
    /// before or after the manifest gave that another port.
    otherwise: Option<Port>,
}

/// Every place that matters: by its record, else by the include and the manifest.
pub(super) fn places(spec: &ServiceSpec, ledger: &Ledger, include: &Observation<Include>) -> BTreeMap<SlotName, Place> {
    let led_to = match include.known() {
        Some(Include::Plain(target)) => std::slice::from_ref(target),
        Some(Include::Ours(text)) => &text.targets,
        Some(Include::Elsewhere { .. } | Include::Edited { .. }) | None => &[],
    };
    let at = |port| Place { port, otherwise: None };
    let mut places: BTreeMap<_, _> = led_to.iter().map(|t| (t.slot.clone(), at(t.port))).collect();
    for slot in &spec.slots {
        let before = places.get(&slot.name).filter(|_| !ledger.slots.contains_key(&slot.name)).map(|place| place.port);
        let place = match before.filter(|port| *port != slot.port) {
            Some(port) => Place { port, otherwise: Some(slot.port) },
            None => at(slot.port),
        };
        places.insert(slot.name.clone(), place);
    }
    places.extend(ledger.slots.iter().filter(|(_, r)| r.process.is_some()).map(|(name, r)| (name.clone(), at(r.port))));
    places
}

/// A place as it is seen without asking anybody.
pub(super) struct Held {
    port: Port,
    process: Observation<ObservedProcess>,
    exit: Observation<Exit>,
    occupants: Observation<Vec<Occupant>>,
    traffic: Observation<Traffic>,
    /// Whether what is open towards it is still to be counted.
    uncounted: bool,
}

impl Held {
    /// The port, if what is open towards it is to be counted.
    pub(super) fn counted(&self) -> Option<Port> {
        self.uncounted.then_some(self.port)
    }
}

/// Looks at all of them.
pub(super) fn held<H: Host>(
    host: &H,
    once: &Once<'_, H>,
    spec: &ServiceSpec,
    ledger: &Ledger,
    places: &BTreeMap<SlotName, Place>,
    watch: &mut ServiceWatch,
) -> BTreeMap<SlotName, Held> {
    // A ledger that somebody has changed, a lost or older one, does not know what runs where it names nobody who lives.
    let known = Some(ledger.slots.iter().map(|(name, record)| (name.clone(), record.cookie.clone())).collect());
    let trust = if watch.searched == known { Trust::Ledger } else { Trust::OnlyTheLiving };
    let mut seen = BTreeMap::new();
    for (name, Place { port, otherwise }) in places {
        let look = Look { spec, name, port: *port, otherwise: *otherwise, record: ledger.slots.get(name), trust };
        seen.insert(name.clone(), look.held(host, ledger, once, watch));
    }
    if let Some(found) = once.searched() {
        // For as long as the ledger does not have what was found: a step that was not carried out is decided on it again.
        let news = found.known().is_none_or(|all| all.iter().any(|b| is_news(b, spec, ledger, places)));
        watch.searched = known.filter(|_| !news);
    } else if watch.searched != known {
        // Were it kept, a copy of that ledger that somebody puts back would be taken at its word.
        watch.searched = None;
    }
    seen
}

/// Adds what was found open to what is known of the slots that drain.
pub(super) fn count<H: Host>(
    host: &H,
    ledger: &Ledger,
    held: &mut BTreeMap<SlotName, Held>,
    open: &BTreeMap<Port, Observation<Vec<Connection>>>,
    watch: &mut ServiceWatch,
) {
    for (name, slot) in held.iter_mut().filter(|(_, slot)| slot.uncounted) {
        let (Some(left), Some(open)) = (ledger.left(name), open.get(&slot.port).cloned()) else { continue };
        slot.traffic = open.map(|open| watch.counted(name, left, open, host.now().at));
        slot.uncounted = false;
    }
}

/// Asks all of them, one after the other.
pub(super) async fn slots<H: Host>(
    host: &H,
    spec: &ServiceSpec,
    ledger: &Ledger,
    held: BTreeMap<SlotName, Held>,
    watch: &mut ServiceWatch,
) -> BTreeMap<SlotName, ObservedSlot> {
    let mut seen = BTreeMap::new();
    for (name, held) in held {
        let Held { port, process, exit, occupants, traffic, uncounted: _ } = held;
        let slot = Asked { spec, name: &name, port, version: ledger.slots.get(&name).map_or("", |record| &record.version) };
        let probe = slot.probe(host, process.known(), watch).await;
        seen.insert(name, ObservedSlot { port, process, exit, occupants, probe, traffic });
    }
    seen
}

/// Whether a process of a slot is in no record.
fn is_news(bearer: &Bearer, spec: &ServiceSpec, ledger: &Ledger, places: &BTreeMap<SlotName, Place>) -> bool {
    let cookie = ledger.slots.get(&bearer.slot).and_then(|record| record.cookie.as_ref());
    bearer.service == spec.name && places.contains_key(&bearer.slot) && cookie != bearer.found.identity.cookie.as_ref()
}

/// What a ledger without a living process for a slot is taken to say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// That slotd started none there, or that it has ended.
    Ledger,
    /// Nothing, before the process table was searched.
    OnlyTheLiving,
}

/// One place that is being looked at.
struct Look<'a> {
    spec: &'a ServiceSpec,
    name: &'a SlotName,
    port: Port,
    otherwise: Option<Port>,
    record: Option<&'a SlotRecord>,
    trust: Trust,
}

/// What was found in the process table, where it was searched.
fn bearers<'o, H: Host>(once: &'o Once<'_, H>) -> &'o [Bearer] {
    once.searched().and_then(Observation::known).map_or(&[], Vec::as_slice)
}

/// A slot's process, and who else holds its port.
type Holders = (Observation<ObservedProcess>, Observation<Vec<Occupant>>);

/// Whether the slot's process, or what may be taken over as such, listens on the port that was looked at, as far as can be told.
fn is_here((process, occupants): &Holders) -> bool {
    let same = |o: &Occupant| matches!(o, Occupant::SameApp { .. });
    let dark = process.unknown().or(occupants.unknown()).is_some();
    let listens = process.known().is_some_and(|p| p.listens != Observation::Known(false));
    dark || listens || occupants.known().is_some_and(|all| all.iter().any(same))
}

impl Look<'_> {
    fn held<H: Host>(mut self, host: &H, ledger: &Ledger, once: &Once<'_, H>, watch: &ServiceWatch) -> Held {
        let found = self.process(host, once);
        let exit = self.exit(host, &found);
        let mut holders = self.port(host, found.clone(), once);
        if let Some(port) = self.otherwise.filter(|_| !is_here(&holders)) {
            self.port = port;
            holders = self.port(host, found, once);
        }
        let (process, occupants) = holders;
        let (traffic, uncounted) = match self.drains(host, ledger, process.known(), watch) {
            Drains::No => (Observation::Absent, false),
            Drains::Emptied(traffic) => (Observation::Known(traffic), false),
            Drains::Yes => (Observation::Absent, true),
        };
        Held { port: self.port, process, exit, occupants, traffic, uncounted }
    }

    /// The recorded process if it still is that one, else whoever carries this slot's cookie.
    fn process<H: Host>(&self, host: &H, once: &Once<'_, H>) -> Observation<Found> {
        let recorded = self.record.and_then(|r| r.process.as_ref());
        if let Some(identity) = recorded {
            let found = host.find(identity);
            if !found.is_absent() {
                return found;
            }
        }
        let started_by_us = self.record.is_some_and(|r| r.cookie.is_some());
        if self.trust == Trust::OnlyTheLiving {
            once.search();
        }
        if started_by_us && let Observation::Unknown(why) = once.search() {
            return Observation::Unknown(why.clone());
        }
        let mine: Vec<_> = bearers(once).iter().filter(|b| self.is_mine(b)).collect();
        let eldest = mine.iter().find(|b| !mine.iter().any(|other| other.found.identity.pid == b.parent));
        eldest.map_or(Observation::Absent, |b| Observation::Known(b.found.clone()))
    }

    fn is_mine(&self, bearer: &Bearer) -> bool {
        let recorded = self.record.and_then(|r| r.cookie.as_ref());
        let named = bearer.service == self.spec.name && bearer.slot == *self.name;
        named || (recorded.is_some() && recorded == bearer.found.identity.cookie.as_ref())
    }

    /// Why the recorded process is gone.
    fn exit<H: Host>(&self, host: &H, found: &Observation<Found>) -> Observation<Exit> {
        match self.record {
            Some(record) if record.process.is_some() && record.cookie.is_some() && found.is_absent() => {
                Observation::Known(host.exit(&record.log))
            }
            Some(_) | None => Observation::Absent,
        }
    }

    /// Who holds the port; the process table is searched for the slot's family only when somebody else seems to hold it.
    fn port<H: Host>(&self, host: &H, found: Observation<Found>, once: &Once<'_, H>) -> Holders {
        let own: Vec<Identity> = found.known().iter().map(|f| f.identity.clone()).collect();
        let mut fact = host.port(&self.question(own.clone()));
        let mut family = Vec::new();
        let foreign = fact.known().is_some_and(|f| !f.own && !f.occupants.is_empty());
        if foreign && !own.is_empty() {
            once.search();
            family = Self::family(&own, bearers(once));
            fact = host.port(&self.question(own.iter().chain(&family).cloned().collect()));
        }
        let release = found.known().and_then(|f| self.named_release(f, bearers(once)));
        let listens = fact.clone().map(|f| f.own);
        let process = found.map(|f| ObservedProcess {
            identity: f.identity,
            release,
            family,
            listens,
            resident: f.resident,
            frozen: f.frozen,
            age: f.age,
        });
        (process, fact.map(|f: PortFact| f.occupants))
    }

    fn family(own: &[Identity], bearers: &[Bearer]) -> Vec<Identity> {
        let cookie = own.first().and_then(|i| i.cookie.as_ref());
        let related = |b: &&Bearer| cookie.is_some() && b.found.identity.cookie.as_ref() == cookie;
        bearers.iter().filter(related).map(|b| b.found.identity.clone()).filter(|i| !own.contains(i)).collect()
    }

    fn named_release(&self, found: &Found, bearers: &[Bearer]) -> Option<crate::model::id::ReleaseId> {
        let bearer = bearers.iter().find(|b| b.found.identity == found.identity);
        bearer.map(|b| b.release.clone()).or_else(|| self.record.and_then(|r| r.release.clone()))
    }

    fn question(&self, own: Vec<Identity>) -> PortQuestion {
        PortQuestion {
            port: self.port,
            bind: bind_address(&self.spec.launch),
            own,
            cookies: self.record.and_then(|r| r.cookie.clone()).into_iter().collect(),
            application: Some(Application { jar: self.spec.jar.path.clone(), user: self.spec.launch.user.clone() }),
        }
    }

    /// Counted only where a drain may have to be judged: on a slot that a cutover left, up to the deadline, and then until
    /// nothing was open once. Nothing leads there any more, and each count makes the kernel walk through all its connections.
    fn drains<H: Host>(&self, host: &H, ledger: &Ledger, process: Option<&ObservedProcess>, watch: &ServiceWatch) -> Drains {
        let Some(left) = process.and_then(|_| ledger.left(self.name)) else { return Drains::No };
        let now = host.now().at;
        let late = now.since(left) >= self.spec.slot_policy.drain_deadline;
        watch.emptied(self.name, left, now).filter(|_| late).map_or(Drains::Yes, Drains::Emptied)
    }
}

/// What there is to know of a drain.
enum Drains {
    /// No cutover left it.
    No,
    /// Nothing was open at a count after the deadline, and nobody has come since.
    Emptied(Traffic),
    /// What is open is to be counted.
    Yes,
}

/// One place that is asked.
struct Asked<'a> {
    spec: &'a ServiceSpec,
    name: &'a SlotName,
    port: Port,
    version: &'a str,
}

impl Asked<'_> {
    /// Asks the slot itself, if the socket there is its own.
    async fn probe<H: Host>(&self, host: &H, process: Option<&ObservedProcess>, watch: &mut ServiceWatch) -> Observation<Probe> {
        let Some(process) = process else { return Observation::Absent };
        if process.frozen {
            // The kernel takes a connection for it, and nobody would answer: what counts is what it says when it goes on.
            watch.forget(self.name);
            return Observation::Absent;
        }
        let answer = match &process.listens {
            Observation::Known(true) => match self.answer(host, &process.identity, watch.patience).await {
                Some(answer) => answer,
                None => return Observation::Known(watch.unanswered(self.name, &process.identity)),
            },
            Observation::Known(false) | Observation::Absent => {
                Answer::None { why: format!("it does not listen on port {} yet", self.port) }
            }
            Observation::Unknown(why) => return Observation::Unknown(why.clone()),
        };
        Observation::Known(watch.answered(self.name, &process.identity, answer, host.now().at, &self.spec.health))
    }

    async fn answer<H: Host>(&self, host: &H, of: &Identity, patience: Option<Duration>) -> Option<Answer> {
        match patience {
            Some(patience) => host.ask_within(&self.health(), of, patience).await,
            None => Some(host.ask(&self.health()).await),
        }
    }

    fn health(&self) -> Question {
        Question::of(self.spec, self.name, self.port, self.version)
    }
}
