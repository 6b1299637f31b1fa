//! Plans made by hand, for the tests of the reports.

use std::time::Duration;

use slotd::doctor::{Diagnosis, Finding, Guarantee, Promise, Severity};
use slotd::event::Event;
use slotd::model::boot::BootForm;
use slotd::model::desired::CutoverMode;
use slotd::model::id::{BootId, Digest, Identity, Port, ReleaseId, ServiceName, SlotName};
use slotd::model::observed::Connection;
use slotd::model::past::{Past, Starts};
use slotd::model::setup::{Check, Fault, Spot};
use slotd::model::status::{Reason, Status};
use slotd::plan::drift::Drift;
use slotd::plan::hold::Hold;
use slotd::plan::step::{Act, Step};
use slotd::plan::view::{Drain, Rollback, RollbackKind, RouteView, Running, SlotState, SlotView, View};
use slotd::plan::{Next, Plan, ServicePlan};
use slotd::report::history::{CutDocument, Deployment, HistoryDocument, Phase, ServiceHistory, timestamp};

fn running(version: &str, release: &str) -> Running {
    let digest = Digest::new(release.chars().last().unwrap().to_string().repeat(64));
    Running { version: version.to_owned(), sha256: Some(digest), release: Some(ReleaseId::new(release)) }
}

fn slot(name: &str, port: u16, state: SlotState, pid: Option<u32>, running: Option<Running>) -> SlotView {
    let ready = pid.map(|_| true);
    SlotView { slot: SlotName::new(name), port: Port(port), state, pid, running, ready }
}

fn route(live: &str) -> RouteView {
    let live = Some(SlotName::new(live));
    RouteView { include: live.clone(), loaded: live.clone(), proxied: live, unknown: vec![] }
}

fn hold(reason: Reason, detail: &str, until: &str) -> Hold {
    let (detail, until) = (detail.to_owned(), until.to_owned());
    Hold { reason, detail, until, again: Duration::from_secs(5), wakes: vec![] }
}

fn service(name: &str, status: Status, view: View) -> ServicePlan {
    ServicePlan {
        name: ServiceName::new(name),
        status,
        drift: vec![],
        next: Next::Nothing,
        steps: vec![],
        holds: vec![],
        ahead: vec![],
        notes: vec![],
        serves: status == Status::Converged,
        again: None,
        wakes: vec![],
        view,
    }
}

/// One service, converged on real2.
pub(crate) fn converged() -> Plan {
    let view = View {
        desired: Some(running("1.0.2", "r1-2222222222222222")),
        desired_version: Some("1.0.2".to_owned()),
        live: Some(SlotName::new("real2")),
        slots: vec![
            slot("real1", 8081, SlotState::Standby, Some(4711), Some(running("1.0.1", "r1-1111111111111111"))),
            slot("real2", 8082, SlotState::Live, Some(4712), Some(running("1.0.2", "r1-2222222222222222"))),
        ],
        route: route("real2"),
        drain: None,
        rollback: back(RollbackKind::Warm, "1.0.1"),
        past: Past::default(),
    };
    Plan { id: "0123456789abcdef".to_owned(), services: vec![service("webservice", Status::Converged, view)] }
}

fn back(kind: RollbackKind, version: &str) -> Rollback {
    Rollback { kind, version: Some(version.to_owned()), to: Some(ReleaseId::new("r1-1111111111111111")), away: None, why: None }
}

/// Three services: one being deployed whose slot is taken, one converged, one orphan without an answer from nginx.
pub(crate) fn deploying() -> Plan {
    let mut quiet = ServicePlan { name: ServiceName::new("quiet"), ..converged().services.remove(0) };
    quiet.view.drain = Some(draining());
    quiet.view.past.warm = Some(Duration::from_millis(230));
    Plan { id: "fedcba9876543210".to_owned(), services: vec![orphan(), quiet, blocked()] }
}

/// Of four connections two are long, and one of those was made by nobody that slotd may look at.
fn draining() -> Drain {
    let connection = |port: u16, seconds: u64, silent, worker| Connection {
        peer: ([127, 0, 0, 1], port).into(),
        age: Duration::from_millis(seconds * 1000 + 100),
        silent,
        worker,
    };
    let longest = vec![
        connection(50_001, 72, Some(Duration::from_millis(3200)), Some(4713)),
        connection(50_002, 5, None, None),
        connection(50_003, 4, Some(Duration::ZERO), Some(4713)),
        connection(50_004, 0, Some(Duration::ZERO), None),
    ];
    Drain { slot: SlotName::new("real1"), open: 4, longest }
}

fn orphan() -> ServicePlan {
    let view = View {
        desired: None,
        desired_version: None,
        live: Some(SlotName::new("8080")),
        slots: vec![slot(
            "8080",
            8080,
            SlotState::Live,
            Some(99),
            Some(Running { version: "unknown".to_owned(), sha256: None, release: None }),
        )],
        route: RouteView {
            include: Some(SlotName::new("8080")),
            loaded: None,
            proxied: None,
            unknown: vec!["loaded: nginx answered 404 to the probe".to_owned()],
        },
        drain: None,
        rollback: Rollback {
            kind: RollbackKind::None,
            version: None,
            to: None,
            away: None,
            why: Some("the release of the manifest is unknown".to_owned()),
        },
        past: Past::default(),
    };
    let notes = vec!["8080 was taken over: a JVM, the same user, Start-Class com.example.App".to_owned()];
    ServicePlan { notes, ..service("old", Status::Orphaned, view) }
}

fn blocked() -> ServicePlan {
    let view = View {
        desired: Some(running("1.0.2", "r1-2222222222222222")),
        desired_version: Some("1.0.2".to_owned()),
        live: Some(SlotName::new("real1")),
        slots: vec![
            slot("real1", 8081, SlotState::Live, Some(4711), Some(running("1.0.1", "r1-1111111111111111"))),
            slot("real2", 8082, SlotState::Occupied, None, None),
        ],
        route: route("real1"),
        drain: None,
        rollback: back(RollbackKind::Cold, "1.0.0"),
        past: Past { starts: Some(starts()), ..Past::default() },
    };
    ServicePlan {
        drift: vec![Drift {
            path: "release".to_owned(),
            desired: "1.0.2 (r1-2222222222222222)".to_owned(),
            observed: "1.0.1 (r1-1111111111111111)".to_owned(),
            evidence: "include real1, loaded real1, proxied real1; pid 4711".to_owned(),
        }],
        next: Next::Hold,
        steps: steps(),
        holds: vec![hold(Reason::PortTaken, "pid 99 (python3) listens on 8082", "port 8082 is free")],
        ahead: vec![hold(Reason::AwaitingPromotion, "1.0.2 is ready on real2", "`slotd promote webservice`")],
        ..service("webservice", Status::Held, view)
    }
}

fn starts() -> Starts {
    let time = Duration::from_millis;
    Starts { count: 5, median: time(6_100), fastest: time(5_800), slowest: time(6_600) }
}

fn start() -> Act {
    Act::Start {
        slot: SlotName::new("real2"),
        port: Port(8082),
        release: ReleaseId::new("r1-2222222222222222"),
        version: "1.0.2".to_owned(),
        serves: false,
        boot: BootForm::Jar,
    }
}

fn cutover() -> Act {
    Act::Cutover { from: SlotName::new("real1"), to: SlotName::new("real2"), release: None }
}

fn steps() -> Vec<Step> {
    let step = |act, why: &str, expect: &str| Step { act, why: why.to_owned(), expect: expect.to_owned() };
    vec![step(start(), "real2 is idle", "real2 is ready within 5m"), step(cutover(), "real2 is ready", "users reach 1.0.2")]
}

/// A deployment from its first event to its last, with a failure on the way.
pub(crate) fn events() -> Vec<Event> {
    let boot = BootId::new("boot");
    let process = Identity { boot, pid: 4711, start: 1, cookie: None };
    let stop = Act::Stop { slot: SlotName::new("real1"), process, cut: 2 };
    vec![
        Event::StatusChanged { from: None, to: Status::Progressing, live: Some(("real1".to_owned(), "1.0.1".to_owned())) },
        Event::StepBegan { act: start(), why: "real2 is idle".to_owned() },
        Event::StepDone { act: start(), took: Duration::from_millis(210) },
        Event::Held { hold: hold(Reason::Starting, "real2 answers 503", "real2 answers 200"), usual: Some(starts()) },
        Event::StepBegan { act: Act::RecordHealth, why: "bookkeeping is not told".to_owned() },
        Event::StepDone { act: Act::RecordHealth, took: Duration::ZERO },
        Event::StepFailed { act: cutover(), error: "cannot create the flag: no space left on device".to_owned() },
        Event::LogsUntrimmed { error: "cannot trim the logs in /state/services/web/logs: permission denied".to_owned() },
        Event::StepBegan { act: stop, why: "the drain deadline has passed".to_owned() },
        Event::Held { hold: hold(Reason::Quarantined, "1.0.2 failed 3 times", "`slotd retry`"), usual: None },
        Event::StatusChanged { from: None, to: Status::Converged, live: Some(("real2".to_owned(), "1.0.2".to_owned())) },
    ]
}

/// Two deployments, the second one not good, and a stop that cut connections.
pub(crate) fn history() -> HistoryDocument {
    let phase = |name: &str, took_ms| Phase { name: name.to_owned(), took_ms };
    let one = |began: i64, took_ms: u64, version: &str, outcome: &str, why: Option<&str>| Deployment {
        began: timestamp(began),
        ended: timestamp(began + i64::try_from(took_ms).unwrap()),
        took_ms,
        version: version.to_owned(),
        release: "r1-1111111111111111".to_owned(),
        slot: "real1".to_owned(),
        outcome: outcome.to_owned(),
        phases: vec![phase("install", 120), phase("start", 15_000)],
        why: why.map(str::to_owned),
        cut: (outcome == "not_clean").then_some(CutDocument { connections: 2, oldest_ms: Some(122_300) }),
    };
    let deployments = vec![
        one(1_795_343_465_000, 15_400, "1.0.1", "deployed", None),
        one(1_795_343_965_000, 65_400, "1.0.2", "quarantined", Some("it failed 3 times: exit status 1")),
        one(1_795_344_465_000, 0, "1.0.1", "not_clean", Some("the drain deadline cut 2 open connections, the oldest …")),
    ];
    HistoryDocument::new(vec![
        ServiceHistory { name: "fresh".to_owned(), deployments: vec![] },
        ServiceHistory { name: "webservice".to_owned(), deployments },
    ])
}

/// One service on which all is well, and one by reload on a stock nginx.
pub(crate) fn diagnoses() -> Vec<Diagnosis> {
    let guarantees = |flag: &str| {
        [
            Guarantee { cutover: CutoverMode::Flag, promise: Promise::NoneLost, sentence: flag.to_owned() },
            Guarantee {
                cutover: CutoverMode::Reload,
                promise: Promise::IdleClosed,
                sentence: "no request on a fresh connection is lost; idle ones are closed".to_owned(),
            },
        ]
    };
    let fault = Fault {
        check: Check::KeepaliveClosed,
        at: Some(Spot { file: "/etc/nginx/conf.d/site.conf".into(), line: Some(7) }),
        found: "nginx 1.22.1 keeps idle connections of clients here and closes them at a reload".to_owned(),
        means: "a client that is just sending its next request on one sees it reset".to_owned(),
        mend: "use `cutover: flag` | or a newer nginx".to_owned(),
    };
    let one = |name: &str, cutover, findings| Diagnosis {
        service: ServiceName::new(name),
        cutover,
        nginx: "nginx 1.22.1 (master 4711)".to_owned(),
        version: Some("1.22.1".to_owned()),
        guarantees: guarantees("no request is lost, on fresh and on kept connections"),
        findings,
    };
    let finding = Finding { severity: Severity::Warning, fault };
    vec![one("old", CutoverMode::Reload, vec![finding]), one("web", CutoverMode::Flag, vec![])]
}
