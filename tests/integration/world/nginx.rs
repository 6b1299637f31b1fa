//! nginx: it follows what it has loaded and the flags that stand; a reload brings new workers, and the old ones go on accepting for
//! a while.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use slotd::host::proxy::{Proxy, ProxyError};
use slotd::model::desired::{ProxySpec, ServiceSpec, Upstream};
use slotd::model::id::{Identity, Port, SlotName};
use slotd::model::observed::{self, Loaded, Observation, Worker as SeenWorker};
use slotd::model::route::{Include, RouteForm, RouteText, Target};

use super::sight::Sight;
use super::{State, World};

/// nginx sleeps 100 ms before it asks the old workers to quit.
const OLD_WORKERS: u64 = 110;

/// A worker that no longer accepts finishes what it has.
const FINISHING: u64 = 1_000;

/// What an include says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    Ours(RouteText),
    Plain(Port),
    Elsewhere,
    /// By hand; nginx refuses it when it leads nowhere.
    Edited(Option<Port>),
}

/// What a file of pools says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pools {
    Ours(BTreeSet<Target>),
    Edited,
}

/// The includes as some worker has loaded them.
type Texts = Rc<BTreeMap<PathBuf, Text>>;

/// One worker.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pid: u32,
    born: u64,
    texts: Texts,
    accepts_until: Option<u64>,
}

impl Worker {
    fn accepts(&self, now: u64) -> bool {
        self.accepts_until.is_none_or(|until| now < until)
    }
}

/// The nginx of the machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nginx {
    pub(crate) up: bool,
    /// Somebody wants it to run: it comes up as soon as its configuration lets it.
    pub(crate) wanted: bool,
    pub(crate) broken: bool,
    pub(crate) loses_reloads: bool,
    pub(crate) hidden: bool,
    /// What `faults` says.
    pub(crate) faults: Vec<String>,
    master: u32,
    born: u64,
    workers: Vec<Worker>,
}

/// The folder of the flags of an include.
pub(crate) fn flag_dir(include: &Path) -> PathBuf {
    PathBuf::from(format!("{}.live", include.display()))
}

/// The file of the pools of an include.
pub(crate) fn pool_include(include: &Path) -> PathBuf {
    PathBuf::from(format!("{}.pool.conf", include.display()))
}

impl State {
    /// Whether an include finds the pools that it names, if it names any.
    fn has_pools(&self, include: &Path, text: &Text) -> bool {
        let Text::Ours(RouteText { form: RouteForm::Pool, targets, .. }) = text else { return true };
        let pools = self.pools.get(&pool_include(include));
        matches!(pools, Some(Pools::Ours(pools)) if targets.iter().all(|target| pools.contains(target)))
    }

    /// Whether nginx would take every include for its pools.
    pub(crate) fn is_pooled(&self) -> bool {
        self.includes.iter().all(|(path, text)| self.has_pools(path, text))
    }

    /// Where a text leads while these flags stand.
    fn leads(&self, include: &Path, text: &Text) -> Option<Port> {
        match text {
            Text::Ours(route) if route.form == RouteForm::Static => route.targets.first().map(|t| t.port),
            Text::Ours(route) => {
                let flags: Vec<_> = self.flags.get(&flag_dir(include)).into_iter().flatten().cloned().collect();
                route.effective(&flags).map(|t| t.port)
            }
            Text::Plain(port) => Some(*port),
            Text::Edited(port) => *port,
            Text::Elsewhere => None,
        }
    }

    pub(crate) fn accepting(&self) -> impl Iterator<Item = &Worker> {
        self.nginx.workers.iter().filter(|w| self.nginx.up && w.accepts(self.now))
    }

    /// Every port that some accepting worker sends requests to.
    pub(crate) fn routed(&self) -> BTreeSet<Port> {
        let ports = |w: &Worker| w.texts.iter().filter_map(|(path, text)| self.leads(path, text)).collect::<Vec<_>>();
        self.accepting().flat_map(ports).collect()
    }

    /// Where requests through an include end, one port for each accepting worker; `None`: nowhere.
    pub(crate) fn routes(&self, include: &Path) -> impl Iterator<Item = Option<Port>> {
        self.accepting().map(|w| w.texts.get(include).and_then(|text| self.leads(include, text)))
    }

    /// Whether nginx runs the include that is on disk.
    pub(crate) fn is_loaded(&self, include: &Path) -> bool {
        self.accepting().all(|w| w.texts.get(include) == self.includes.get(include))
    }

    /// Where the include on disk leads.
    pub(crate) fn on_disk(&self, include: &Path) -> Option<Port> {
        self.includes.get(include).and_then(|text| self.leads(include, text))
    }

    /// `nginx -t`.
    fn test(&self) -> Result<(), ProxyError> {
        let refused = |said: &str| Err(ProxyError::Refused { said: said.to_owned() });
        if self.nginx.broken {
            return refused("unknown directive \"oops\"");
        }
        let missing = self.judge.includes().find(|path| !self.includes.contains_key(*path));
        if missing.is_some() || self.includes.values().any(|text| *text == Text::Edited(None)) {
            return refused("open() service-url.inc failed");
        }
        if !self.is_pooled() {
            return refused("unknown \"slotd_webservice\" variable");
        }
        Ok(())
    }

    /// nginx comes up with what is on disk, if that lets it.
    pub(crate) fn start_nginx(&mut self) {
        self.nginx.wanted = true;
        let fresh = self.nginx.master == 0;
        if self.nginx.up || (!fresh && self.test().is_err()) {
            return;
        }
        self.next_pid += 1;
        (self.nginx.up, self.nginx.master, self.nginx.born) = (true, self.next_pid, self.now);
        self.nginx.workers.clear();
        self.fork_worker();
        self.note(|| "nginx runs".to_owned());
    }

    pub(crate) fn stop_nginx(&mut self) {
        (self.nginx.up, self.nginx.wanted) = (false, false);
        self.nginx.workers.clear();
    }

    fn fork_worker(&mut self) {
        self.next_pid += 1;
        let texts = Rc::new(self.includes.clone());
        self.nginx.workers.push(Worker { pid: self.next_pid, born: self.now, texts, accepts_until: None });
    }

    /// The signal has arrived.
    pub(crate) fn reloaded(&mut self) {
        let now = self.now;
        self.nginx.workers.retain(|w| w.accepts_until.is_none_or(|until| now < until + FINISHING));
        self.nginx.workers.iter_mut().for_each(|w| w.accepts_until = w.accepts_until.or(Some(now + OLD_WORKERS)));
        self.fork_worker();
    }

    /// The pools of a text, beside those of the include that still stands.
    fn pooled(&mut self, include: &Path, text: &RouteText) {
        let before = match self.includes.get(include) {
            Some(Text::Ours(before)) if before.form == RouteForm::Pool => before.targets.as_slice(),
            _ => &[],
        };
        let pools = before.iter().chain(&text.targets).cloned().collect();
        self.pools.insert(pool_include(include), Pools::Ours(pools));
    }

    fn written(&mut self, spec: &ServiceSpec, text: &RouteText, live: &SlotName) -> Result<(), ProxyError> {
        let path = &spec.proxy.include;
        let led = self.on_disk(path);
        let flags_before = self.flags.get(&flag_dir(path)).cloned();
        if text.form.has_flags() {
            let flags = self.flags.entry(flag_dir(path)).or_default();
            flags.retain(|flag| flag == live);
            flags.extend(text.targets.first().filter(|t| t.slot != *live).map(|_| live.clone()));
        }
        let before = self.includes.insert(path.clone(), Text::Ours(text.clone()));
        let verdict = if self.nginx.up { self.test() } else { Ok(()) };
        match (verdict, before) {
            (Err(error), Some(before)) => {
                self.includes.insert(path.clone(), before);
                // The folder stays.
                if let Some(flags) = self.flags.get_mut(&flag_dir(path)) {
                    *flags = flags_before.unwrap_or_default();
                }
                return Err(error);
            }
            // There was none before: nginx refused its configuration already, and putting that back would help nobody.
            (Err(_), None) | (Ok(()), _) => {}
        }
        self.judge_route(path, led);
        Ok(())
    }

    fn cut(&mut self, proxy: &ProxySpec, from: Option<&SlotName>, to: Option<&SlotName>) -> Result<(), ProxyError> {
        let led = self.on_disk(&proxy.include);
        let flags = self.flags.entry(flag_dir(&proxy.include)).or_default();
        let missing = from.filter(|flag| !flags.contains(*flag));
        if let Some(flag) = missing.filter(|_| to.is_some()) {
            let path = proxy.flag_dir.join(flag.as_str());
            return Err(ProxyError::Io { act: "rename", path, source: std::io::ErrorKind::NotFound.into() });
        }
        from.into_iter().for_each(|flag| {
            flags.remove(flag);
        });
        flags.extend(to.cloned());
        self.judge_route(&proxy.include, led);
        Ok(())
    }

    /// One fresh connection lands on any of the accepting workers.
    fn any_worker(&mut self) -> Option<Worker> {
        let all: Vec<_> = self.accepting().cloned().collect();
        if all.is_empty() { None } else { Some(self.dice.pick(&all).clone()) }
    }
}

fn seen(text: &Text, spec: &ServiceSpec) -> Include {
    match text {
        Text::Ours(route) => Include::Ours(route.clone()),
        Text::Plain(port) => {
            let slot = spec.slot_at(*port).cloned().unwrap_or_else(|| SlotName::unnamed(*port));
            Include::Plain(Target { slot, port: *port })
        }
        Text::Elsewhere => Include::Elsewhere { state: "/other".to_owned() },
        Text::Edited(_) => Include::Edited { text: "set $service_url $other;".to_owned() },
    }
}

impl Proxy for World {
    fn include(&self, service: &ServiceSpec) -> Observation<Include> {
        self.sees(Sight::Include, &service.name, || {
            let (state, path) = (self.see(), &service.proxy.include);
            let wanted = service.proxy.upstream == Upstream::Pool;
            match (state.pools.get(&pool_include(path)).filter(|_| wanted), state.includes.get(path)) {
                (Some(Pools::Edited), _) => Observation::Known(Include::Edited { text: "upstream u { }".to_owned() }),
                (_, Some(text)) if !wanted || state.has_pools(path, text) => Observation::Known(seen(text, service)),
                (_, Some(_) | None) => Observation::Absent,
            }
        })
    }

    fn flags(&self, service: &ServiceSpec) -> Observation<Vec<SlotName>> {
        self.sees(Sight::Flags, &service.name, || {
            let state = self.see();
            let Some(flags) = state.flags.get(&flag_dir(&service.proxy.include)) else { return Observation::Absent };
            Observation::Known(service.slots.iter().map(|s| s.name.clone()).filter(|name| flags.contains(name)).collect())
        })
    }

    fn nginx(&self, _proxy: &ProxySpec) -> Observation<observed::Nginx> {
        self.sees(Sight::Nginx, "", || {
            let state = self.see();
            if state.nginx.hidden {
                return Observation::Unknown("two nginx run with this configuration".to_owned());
            }
            if !state.nginx.up {
                return Observation::Absent;
            }
            let worker = |w: &Worker| SeenWorker { pid: w.pid, start: w.born / 10, accepting: w.accepts(state.now) };
            Observation::Known(observed::Nginx {
                master: state.master(),
                version: "1.22.1".to_owned(),
                workers: state.nginx.workers.iter().map(worker).collect(),
            })
        })
    }

    fn faults(&self, _service: &ServiceSpec, _nginx: Option<&observed::Nginx>) -> Vec<String> {
        self.see().nginx.faults.clone()
    }

    async fn loaded(&self, service: &ServiceSpec, text: &RouteText) -> Observation<Loaded> {
        self.sees(Sight::Loaded, &service.name, || {
            let unknown = |why: &str| Observation::Unknown(why.to_owned());
            let Some(worker) = self.touch().any_worker() else { return unknown("connection refused") };
            let state = self.see();
            let path = &service.proxy.include;
            match worker.texts.get(path) {
                Some(Text::Ours(loaded)) if loaded.nonce == text.nonce => {
                    let port = state.leads(path, &Text::Ours(loaded.clone()));
                    let target = loaded.targets.iter().find(|t| Some(t.port) == port);
                    target.map_or(unknown("no target"), |t| {
                        Observation::Known(Loaded { generation: loaded.generation, slot: t.slot.clone() })
                    })
                }
                Some(_) | None => unknown("nginx does not answer the probe"),
            }
        })
    }

    async fn proxied(&self, service: &ServiceSpec, _patience: Option<Duration>) -> Observation<SlotName> {
        self.sees(Sight::Proxied, &service.name, || {
            let unknown = |why: &str| Observation::Unknown(why.to_owned());
            let Some(worker) = self.touch().any_worker() else { return unknown("connection refused") };
            let state = self.see();
            let path = &service.proxy.include;
            let port = worker.texts.get(path).and_then(|text| state.leads(path, text));
            match port.filter(|port| state.is_served(*port)).and_then(|port| state.at_port(port)) {
                Some(process) if service.port_of(&process.slot).is_some() => Observation::Known(process.slot.clone()),
                Some(_) => unknown("does not reach this service"),
                None => unknown("502"),
            }
        })
    }

    fn write(
        &self,
        service: &ServiceSpec,
        text: &RouteText,
        live: &SlotName,
        _nginx: Option<&observed::Nginx>,
    ) -> Result<(), ProxyError> {
        let targets: Vec<_> = text.targets.iter().map(|t| format!("{}:{}", t.slot, t.port)).collect();
        let what = || format!("{:?} {} to {live}, generation {}", text.form, targets.join(" "), text.generation);
        let refusal = |source| ProxyError::Io { act: "write", path: service.proxy.include.clone(), source };
        if text.form == RouteForm::Pool {
            let path = &service.proxy.include;
            let refusal = |source| ProxyError::Io { act: "write", path: pool_include(path), source };
            self.change("pools", String::new, refusal, |state| {
                state.pooled(path, text);
                Ok(())
            })?;
        }
        self.change("write", what, refusal, |state| state.written(service, text, live))
    }

    fn cut(&self, proxy: &ProxySpec, from: Option<&SlotName>, to: Option<&SlotName>) -> Result<(), ProxyError> {
        let refusal = |source| ProxyError::Io { act: "rename", path: proxy.flag_dir.clone(), source };
        self.change("cut", || format!("{from:?} to {to:?}"), refusal, |state| state.cut(proxy, from, to))
    }

    fn reload(&self, _proxy: &ProxySpec, nginx: &observed::Nginx) -> Result<(), ProxyError> {
        let refusal = |source: std::io::Error| ProxyError::Command {
            command: "nginx -s reload".to_owned(),
            status: "1".to_owned(),
            said: source.to_string(),
        };
        self.change("reload", String::new, refusal, |state| {
            if !state.nginx.up || state.master() != nginx.master {
                return Err(ProxyError::MasterGone { pid: nginx.master.pid });
            }
            state.test()?;
            if !state.nginx.loses_reloads {
                state.reloaded();
            }
            Ok(())
        })
    }

    fn keep_edited(&self, _service: &ServiceSpec, text: &str) -> Result<PathBuf, ProxyError> {
        let refusal = |source| ProxyError::Io { act: "write", path: "/state/edited".into(), source };
        self.change("keep", String::new, refusal, |state| {
            state.kept.push(text.to_owned());
            Ok("/state/edited".into())
        })
    }
}

impl State {
    fn master(&self) -> Identity {
        Identity { boot: self.boot_id(), pid: self.nginx.master, start: self.nginx.born / 10, cookie: None }
    }
}
