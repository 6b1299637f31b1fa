//! Processes: born by `start`, or by others; they listen, get ready, answer, and end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use slotd::host::artifacts::ArtifactError;
use slotd::host::probes::{Probes, Question};
use slotd::host::processes::{Bearer, Found, PortFact, PortQuestion, ProcessError, Processes, Signal, StartOrder};
use slotd::model::boot::{BootForm, Jvm};
use slotd::model::desired::{LaunchSpec, ServiceSpec};
use slotd::model::id::{ArchiveId, Cookie, Digest, Identity, Port, ReleaseId, ServiceName, SlotName};
use slotd::model::observed::{Answer, Connection, Exit, ExitCause, Observation};

use super::sight::Sight;
use super::{Due, State, World};

/// How a release behaves, in milliseconds after the start of its process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behaviour {
    /// When its socket listens; `None`: never.
    pub(crate) listens: Option<u64>,
    /// When it answers well; `None`: never.
    pub(crate) ready: Option<u64>,
    /// When it ends by itself.
    pub(crate) ends: Option<u64>,
    /// When it begins to answer 503 again.
    pub(crate) sickens: Option<u64>,
    /// How long it takes to end after TERM; `None`: it ignores it.
    pub(crate) term: Option<u64>,
}

impl Behaviour {
    pub(crate) fn good() -> Self {
        Self { listens: Some(2_000), ready: Some(2_300), ends: None, sickens: None, term: Some(300) }
    }
}

/// One process of the application.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) born: u64,
    pub(crate) boot: slotd::model::id::BootId,
    pub(crate) cookie: Option<Cookie>,
    pub(crate) service: ServiceName,
    pub(crate) slot: SlotName,
    pub(crate) release: ReleaseId,
    pub(crate) digest: Digest,
    pub(crate) port: Port,
    pub(crate) log: PathBuf,
    pub(crate) behaviour: Behaviour,
    pub(crate) listening: bool,
    pub(crate) told: bool,
    /// Stopped in place.
    pub(crate) frozen: bool,
    /// A fault made it answer 503 until it is lifted.
    pub(crate) sick: bool,
    /// nginx has sent requests to it.
    pub(crate) routed: bool,
    /// Its compiler is held back.
    pub(crate) gives_way: bool,
}

impl Process {
    pub(crate) fn identity(&self) -> Identity {
        Identity { boot: self.boot.clone(), pid: self.pid, start: self.born / 10, cookie: self.cookie.clone() }
    }

    /// Whether it answers as it should.
    pub(crate) fn is_ready(&self, now: u64) -> bool {
        self.listening && self.is_well(now) && !self.told && !self.frozen
    }

    /// Whether it would answer as it should, if it were not told to end.
    pub(crate) fn is_well(&self, now: u64) -> bool {
        let age = now.saturating_sub(self.born);
        let up = self.behaviour.ready.is_some_and(|at| age >= at);
        up && self.behaviour.sickens.is_none_or(|at| age < at) && !self.sick
    }

    fn found(&self, now: u64) -> Found {
        let age = Duration::from_millis(now.saturating_sub(self.born));
        Found { identity: self.identity(), resident: 200 << 20, frozen: self.frozen, age }
    }
}

impl State {
    pub(crate) fn find_process(&self, identity: &Identity) -> Option<&Process> {
        let same = |p: &&Process| p.boot == identity.boot && p.born / 10 == identity.start;
        self.processes.get(&identity.pid).filter(same)
    }

    pub(crate) fn at_port(&self, port: Port) -> Option<&Process> {
        self.processes.values().find(|p| p.port == port && p.listening)
    }

    /// Whether nobody listens on the port, or is about to.
    pub(crate) fn is_unclaimed(&self, port: Port) -> bool {
        !self.foreigners.contains_key(&port) && self.processes.values().all(|p| p.port != port)
    }

    /// Whether a request to the port is answered well.
    pub(crate) fn is_served(&self, port: Port) -> bool {
        !self.foreigners.contains_key(&port) && self.at_port(port).is_some_and(|p| p.is_ready(self.now))
    }

    /// A process begins; its life is scheduled.
    pub(crate) fn begin(&mut self, mut process: Process) -> Identity {
        self.next_pid += 1;
        process.pid = self.next_pid;
        let (pid, behaviour) = (process.pid, process.behaviour);
        let identity = process.identity();
        self.processes.insert(pid, process);
        if let Some(after) = behaviour.listens {
            self.schedule(after, Due::Listens(pid));
        }
        if let Some(after) = behaviour.ends {
            self.schedule(after, Due::Dies(pid));
        }
        if let Some(after) = behaviour.sickens {
            self.schedule(after, Due::Sickens);
        }
        identity
    }

    /// A process that others started: the same application, with the profile that they gave it.
    pub(crate) fn begin_by_others(&mut self, service: &ServiceName, slot: &SlotName, port: Port) {
        let (born, boot) = (self.now, self.boot_id());
        self.begin(Process {
            pid: 0,
            born,
            boot,
            cookie: None,
            service: service.clone(),
            slot: slot.clone(),
            release: ReleaseId::new("scripts"),
            digest: Digest::new("scripts"),
            port,
            log: format!("/home/{slot}/nohup.out").into(),
            behaviour: Behaviour::good(),
            listening: false,
            told: false,
            frozen: false,
            sick: false,
            routed: false,
            gives_way: false,
        });
    }

    /// The process binds its port, or finds it taken and ends.
    pub(crate) fn listens(&mut self, pid: u32) -> Option<Port> {
        let port = self.processes.get(&pid)?.port;
        if self.foreigners.contains_key(&port) || self.at_port(port).is_some_and(|p| p.pid != pid) {
            self.note(|| format!("process {pid} finds port {port} in use"));
            self.collisions.extend(self.processes.get(&pid).map(|p| p.release.clone()));
            self.end(pid, ExitCause::AddressInUse);
            return None;
        }
        let process = self.processes.get_mut(&pid)?;
        if process.told {
            return None;
        }
        process.listening = true;
        self.note(|| format!("process {pid} listens on {port}"));
        Some(port)
    }

    /// The process ends when it was to end; by itself that is a fault of the world.
    pub(crate) fn dies(&mut self, pid: u32) {
        let Some(process) = self.processes.get(&pid) else { return };
        let by_itself = !process.told;
        if by_itself && process.frozen {
            // Nothing happens in it while it is stopped in place; it does what it was to do when it goes on.
            self.schedule(1_000, Due::Dies(pid));
            return;
        }
        self.note(|| format!("process {pid} ends"));
        self.end(pid, ExitCause::Itself);
        if by_itself {
            self.judge.last_fault = Some(self.now);
            self.judge_fault();
        } else {
            self.judge_time();
        }
    }

    pub(crate) fn end(&mut self, pid: u32, cause: ExitCause) {
        if let Some(process) = self.processes.remove(&pid) {
            self.exits.insert(process.log, cause);
        }
    }

    fn signalled(&mut self, identity: &Identity, signal: Signal) -> Result<(), ProcessError> {
        let Some(pid) = self.find_process(identity).map(|p| p.pid) else {
            return Err(ProcessError::Gone { pid: identity.pid });
        };
        if signal != Signal::Thaw {
            self.judge_signal(pid, identity);
        }
        let Some(process) = self.processes.get_mut(&pid) else { return Ok(()) };
        match signal {
            Signal::Freeze => process.frozen = true,
            Signal::Thaw => process.frozen = false,
            Signal::Term | Signal::Kill => process.told = true,
        }
        if signal == Signal::Kill {
            self.schedule(10, Due::Dies(pid));
        } else if process.told && !process.frozen {
            // The connector closes first (Spring's graceful shutdown); the process ends when it is done with the rest.
            process.listening &= process.behaviour.term.is_none();
            let after = process.behaviour.term;
            after.into_iter().for_each(|after| self.schedule(after, Due::Dies(pid)));
        }
        Ok(())
    }

    fn started(&mut self, order: &StartOrder) -> Result<Identity, ProcessError> {
        if !self.store.contains(&order.digest) {
            let source = std::io::Error::other("no such artifact");
            return Err(ProcessError::Start { program: "java".to_owned(), source });
        }
        if order.boot != BootForm::Jar && !self.unpacked.contains(&order.digest) {
            return Err(ProcessError::Artifact(ArtifactError::Missing { path: "unpacked".into() }));
        }
        self.judge_start(order);
        let behaviour = self.behaviours.get(&order.digest).copied().unwrap_or_else(Behaviour::good);
        Ok(self.begin(Process {
            pid: 0,
            born: self.now,
            boot: self.boot_id(),
            cookie: Some(order.cookie.clone()),
            service: order.service.clone(),
            slot: order.slot.clone(),
            release: order.release.clone(),
            digest: order.digest.clone(),
            port: order.port,
            log: order.log.clone(),
            behaviour,
            listening: false,
            told: false,
            frozen: false,
            sick: false,
            routed: false,
            gives_way: order.gives_way,
        }))
    }

    fn gave_back(&mut self, identity: &Identity) {
        self.processes.values_mut().filter(|p| p.identity() == *identity).for_each(|p| p.gives_way = false);
    }

    fn answer(&self, question: &Question) -> Answer {
        let refused = || Answer::None { why: "connection refused".to_owned() };
        if self.foreigners.contains_key(&question.port) {
            return Answer::WrongIdentity { found: "somebody else".to_owned() };
        }
        let Some(process) = self.at_port(question.port).filter(|p| !p.told && !p.frozen) else { return refused() };
        if question.path != "/profile" {
            return Answer::WrongStatus { status: 404 };
        }
        if !process.is_ready(self.now) {
            return Answer::WrongStatus { status: 503 };
        }
        match &question.expect {
            Some(expected) if expected != process.slot.as_str() => Answer::WrongIdentity { found: process.slot.to_string() },
            Some(_) | None => Answer::Good,
        }
    }
}

impl World {
    /// See [`State::begin_by_others`].
    pub(crate) fn by_others(&self, spec: &ServiceSpec, name: &str, port: Port) {
        self.touch().begin_by_others(&spec.name, &SlotName::new(name), port);
    }
}

impl Processes for World {
    fn find(&self, identity: &Identity) -> Observation<Found> {
        self.sees(Sight::Process, identity.pid, || {
            let state = self.see();
            let dark = state.find_process(identity).is_some_and(|p| state.unreadable.contains(&p.port));
            if state.blind || dark {
                return Observation::Unknown("/proc is mounted with hidepid".to_owned());
            }
            state.find_process(identity).map_or(Observation::Absent, |p| Observation::Known(p.found(state.now)))
        })
    }

    fn bearers(&self) -> Observation<Vec<Bearer>> {
        self.sees(Sight::Bearers, "", || {
            let state = self.see();
            if state.blind {
                return Observation::Unknown("/proc is mounted with hidepid".to_owned());
            }
            let ours = state.processes.values().filter(|p| p.cookie.is_some()).map(|p| Bearer {
                found: p.found(state.now),
                parent: 1,
                service: p.service.clone(),
                slot: p.slot.clone(),
                release: p.release.clone(),
            });
            Observation::Known(ours.collect())
        })
    }

    fn port(&self, question: &PortQuestion) -> Observation<PortFact> {
        self.sees(Sight::Port, format_args!("{} {}", question.port, question.application.is_some()), || {
            let state = self.see();
            // Only what is about to bind the port asks without an application in mind.
            if question.application.is_none() && state.contested.contains(&question.port) {
                return state.held_by_a_stranger(question.port);
            }
            state.holders(question)
        })
    }

    fn open(&self, ports: &BTreeSet<Port>) -> BTreeMap<Port, Observation<Vec<Connection>>> {
        self.touch().sights.walks += 1;
        let of = |port| match self.hides(Sight::Open) {
            Some(why) => Observation::Unknown(why),
            None => Observation::Known(self.see().open_towards(port)),
        };
        ports.iter().map(|port| (*port, of(*port))).collect()
    }

    fn callers(&self, port: Port, among: &[u32]) -> BTreeMap<SocketAddr, u32> {
        let open = self.see().open_towards(port);
        open.into_iter().zip(among).map(|(connection, pid)| (connection.peer, *pid)).collect()
    }

    fn start(&self, order: &StartOrder) -> Result<Identity, ProcessError> {
        let what = || format!("{} of {} on {} port {} {:?}", order.release, order.service, order.slot, order.port, order.boot);
        let refusal = |source| ProcessError::Start { program: "java".to_owned(), source };
        self.change("start", what, refusal, |state| state.started(order))
    }

    fn give_back(&self, identity: &Identity) {
        self.touch().gave_back(identity);
    }

    fn jvm(&self, _java: &str) -> Option<Jvm> {
        Some(Jvm { feature: 17, name: "Java 17".to_owned(), stamp: "17".to_owned() })
    }

    fn training(&self) -> bool {
        let state = self.see();
        state.now < state.training
    }

    fn train(&self, order: &StartOrder, archive: &ArchiveId, limit: Duration) -> Result<(), ProcessError> {
        let refusal = |source| ProcessError::Start { program: "java".to_owned(), source };
        self.change(
            "train",
            || format!("{archive} of {}", order.service),
            refusal,
            |state| {
                assert!(state.now >= state.training && !limit.is_zero(), "two trainings at once");
                state.training = state.now + 6_000;
                let made = (state.training, state.trained.clone());
                state.archives.insert((order.digest.clone(), archive.clone()), made);
                Ok(())
            },
        )
    }

    fn signal(&self, identity: &Identity, signal: Signal) -> Result<(), ProcessError> {
        let what = || format!("{signal:?} to {}", identity.pid);
        let refusal = |source| ProcessError::Signal { pid: identity.pid, source };
        let word = match signal {
            Signal::Term => "term",
            Signal::Kill => "kill",
            Signal::Freeze => "freeze",
            Signal::Thaw => "thaw",
        };
        self.change(word, what, refusal, |state| state.signalled(identity, signal))
    }

    fn exit(&self, log: &Path) -> Exit {
        let cause = self.see().exits.get(log).copied().unwrap_or(ExitCause::Itself);
        Exit { cause, tail: vec!["java.lang.IllegalStateException: no".to_owned()] }
    }

    fn launch_fault(&self, _launch: &LaunchSpec) -> Option<String> {
        self.see().launch_fault.clone()
    }

    fn memory(&self) -> Observation<u64> {
        if let Some(why) = self.hides(Sight::Memory) {
            return Observation::Unknown(why);
        }
        Observation::Known(self.see().memory)
    }
}

impl Probes for World {
    async fn ask(&self, question: &Question) -> Answer {
        if let Some(why) = self.hides(Sight::Health) {
            let mut state = self.touch();
            // An answer that is lost is no unknown: slotd is told the same as by one who does not answer.
            state.judge.last_fault = Some(state.now);
            return Answer::None { why };
        }
        let found = || self.see().answer(question);
        let found = found();
        self.shows(Sight::Health, question.port, found)
    }

    async fn ask_within(&self, question: &Question, _of: &Identity, _patience: Duration) -> Option<Answer> {
        Some(self.ask(question).await)
    }
}
