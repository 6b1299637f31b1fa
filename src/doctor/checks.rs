//! The findings: each a fact that was measured or documented to cost requests, with how bad it is for the cutover asked for.

use crate::doctor::nginx::{self, SPARES_KEPT, TESTS_QUIETLY, TRUNCATES, Version};
use crate::doctor::{Finding, Severity};
use crate::model::desired::{CutoverMode, ServiceSpec, Upstream};
use crate::model::setup::{Check, Fault, Setup, Spot};

/// All that is judged.
pub(super) struct Seen<'a> {
    pub(super) service: &'a ServiceSpec,
    pub(super) setup: &'a Setup,
    /// That runs, else on disk.
    pub(super) version: Option<Version>,
}

impl Seen<'_> {
    /// `nginx 1.22.1`
    pub(super) fn nginx(&self) -> String {
        let version = self.setup.nginx.known().map(|nginx| &nginx.version).or(self.setup.on_disk.as_ref());
        version.map_or_else(|| "nginx".to_owned(), |version| format!("nginx {version}"))
    }

    fn reloads(&self) -> bool {
        self.service.proxy.cutover == CutoverMode::Reload
    }
}

/// Whether a cutover does not work where this was found. Where the include stands matters to both; how flags are seen, to one.
pub(super) fn breaks(check: Check, cutover: CutoverMode) -> bool {
    match check {
        Check::ConfigUnreadable
        | Check::OpenFileCache
        | Check::DisableSymlinks
        | Check::FlagDirName
        | Check::MountNamespace
        | Check::FlagDirClosed
        | Check::WorkersUser
        | Check::PoolsNowhere => cutover == CutoverMode::Flag,
        Check::IncludeNowhere
        | Check::IncludeMisplaced
        | Check::IncludeMissing
        | Check::RewriteBeforeInclude
        | Check::ProxyPassUri
        | Check::NginxDown
        | Check::NginxUnverified => true,
        Check::ConfigNotLoaded
        | Check::BinaryReplaced
        | Check::KeepaliveClosed
        | Check::TruncatedAnswers
        | Check::WorkerShutdownTimeout
        | Check::Reuseport
        | Check::ProxyCache
        | Check::PoolUnused
        | Check::EphemeralPort => false,
    }
}

/// Every finding, in the order of the checks.
pub(super) fn findings(seen: &Seen<'_>) -> Vec<Finding> {
    let mut all = Vec::new();
    all.extend(nginx_itself(seen));
    all.extend(seen.setup.faults.iter().map(|fault| of_route(seen, fault)));
    all.extend(not_loaded(seen));
    all.extend(replaced(seen));
    all.extend(keepalive(seen));
    all.extend(truncated(seen));
    all.extend(shutdown(seen));
    all.extend(seen.setup.reuseport.iter().map(|at| reuseport(seen, at)));
    all.extend(caches(seen));
    all.extend(unused_pools(seen));
    all.extend(ephemeral(seen));
    all
}

fn finding(severity: Severity, check: Check, at: Option<&Spot>, words: [String; 3]) -> Finding {
    let [found, means, mend] = words;
    Finding { severity, fault: Fault { check, at: at.cloned(), found, means, mend } }
}

fn of_route(seen: &Seen<'_>, fault: &Fault) -> Finding {
    let severity = if breaks(fault.check, seen.service.proxy.cutover) { Severity::Error } else { Severity::Note };
    Finding { severity, fault: fault.clone() }
}

fn nginx_itself(seen: &Seen<'_>) -> Option<Finding> {
    let main = Spot { file: seen.service.proxy.nginx.config.clone(), line: None };
    let waits = || "a deployment prepares the idle slot and waits before the cutover".to_owned();
    if seen.setup.nginx.is_absent() {
        let found = "no nginx serves this configuration".to_owned();
        let mend = "start nginx (slotd never does), or name its binary and configuration under proxy.nginx".to_owned();
        return Some(finding(Severity::Error, Check::NginxDown, Some(&main), [found, waits(), mend]));
    }
    let why = seen.setup.nginx.unknown()?.to_owned();
    let mend = "see to it that one master of proxy.nginx.binary serves this file and that its pid file names it".to_owned();
    Some(finding(Severity::Error, Check::NginxUnverified, Some(&main), [why, waits(), mend]))
}

fn not_loaded(seen: &Seen<'_>) -> Option<Finding> {
    let at = seen.setup.changed.as_ref()?;
    let found = "changed after nginx last loaded its configuration".to_owned();
    let means = "nginx may do something else than the files say, and slotd's next reload brings that in as well".to_owned();
    Some(finding(
        Severity::Warning,
        Check::ConfigNotLoaded,
        Some(at),
        [found, means, "reload nginx, or undo the change".to_owned()],
    ))
}

fn replaced(seen: &Seen<'_>) -> Option<Finding> {
    let (running, on_disk) = (&seen.setup.nginx.known()?.version, seen.setup.on_disk.as_ref()?);
    (running != on_disk).then(|| {
        let found = format!("nginx {running} runs, and its binary is nginx {on_disk} by now");
        let means = "a reload goes on with the old one, and `nginx -t` tests with the new one".to_owned();
        let mend = "restart nginx at a quiet time, or upgrade it by USR2".to_owned();
        finding(Severity::Note, Check::BinaryReplaced, None, [found, means, mend])
    })
}

/// Reused idle connections die at a reload: 5 to 30 requests at each, under load (measured on 1.22.1 and 1.31 without the directive;
/// none in 363,573 with it).
fn keepalive(seen: &Seen<'_>) -> Vec<Finding> {
    let closed = |way: &&crate::model::setup::Way| nginx::keeps(way) && nginx::spares(way, seen.version).is_none();
    let knows = seen.version.is_some_and(|version| version >= SPARES_KEPT);
    let mend = if knows {
        "write `keepalive_min_timeout 10s;` into the http block, or use `cutover: flag`"
    } else {
        "use `cutover: flag`, or nginx 1.27.4 or later with `keepalive_min_timeout 10s;`"
    };
    let ways = seen.setup.ways.iter().filter(|_| seen.reloads()).filter(closed);
    ways.map(|way| {
        let found = format!("{} keeps idle connections of clients here and closes them at a reload", seen.nginx());
        let means = "a client that is just sending its next request on one sees it reset, without an answer".to_owned();
        finding(Severity::Warning, Check::KeepaliveClosed, Some(&way.at), [found, means, mend.to_owned()])
    })
    .collect()
}

fn truncated(seen: &Seen<'_>) -> Option<Finding> {
    let [since, mended] = TRUNCATES;
    let affected = seen.version.is_some_and(|version| since <= version && version < mended);
    (affected && seen.reloads()).then(|| {
        let found = format!("{} (1.17.5 to 1.23.0 have this fault on Linux)", seen.nginx());
        let means = "an answer that is under way at a reload might be truncated, says nginx's list of changes".to_owned();
        let mend = "use `cutover: flag`, or nginx 1.23.1 or later".to_owned();
        finding(Severity::Warning, Check::TruncatedAnswers, None, [found, means, mend])
    })
}

/// Measured: `worker_shutdown_timeout 1s` cut a request of 2.5 s after 1.4 s; without it a WebSocket keeps its worker for hours.
fn shutdown(seen: &Seen<'_>) -> Option<Finding> {
    if !seen.reloads() {
        return None;
    }
    let wanted = seen.service.slot_policy.drain_deadline;
    let mend = || format!("write `worker_shutdown_timeout {}s;` at main level", wanted.as_secs().max(1));
    let check = Check::WorkerShutdownTimeout;
    let Some(setting) = seen.setup.main.get("worker_shutdown_timeout") else {
        let main = Spot { file: seen.service.proxy.nginx.config.clone(), line: None };
        let found = "worker_shutdown_timeout is not set".to_owned();
        let means = "each reload leaves old workers behind for as long as a WebSocket or a download lasts".to_owned();
        return Some(finding(Severity::Note, check, Some(&main), [found, means, mend()]));
    };
    let limit = nginx::time_of(&seen.setup.main, "worker_shutdown_timeout").filter(|limit| *limit < wanted)?;
    let found = format!("worker_shutdown_timeout is {limit:?}, and slot_policy.drain_deadline is {wanted:?}");
    let means = format!("a request that lasts longer than {limit:?} after a reload is cut without an answer");
    Some(finding(Severity::Warning, check, Some(&setting.at), [found, means, mend()]))
}

/// Measured: 73 resets in 20 reloads where the number of workers fell, none where it stayed, none with `tcp_migrate_req`.
fn reuseport(seen: &Seen<'_>, at: &Spot) -> Finding {
    let noisy_test = seen.version.is_some_and(|version| version < TESTS_QUIETLY);
    let severity = match (noisy_test, seen.reloads() && !seen.setup.migrates) {
        (true, _) | (_, true) => Severity::Warning,
        (false, false) => Severity::Note,
    };
    let means = match (noisy_test, seen.setup.migrates) {
        (true, _) => {
            "before nginx 1.13.4 even `nginx -t`, which slotd runs before each reload, takes waiting connections with it"
        }
        (false, true) => "the kernel hands waiting connections on (net.ipv4.tcp_migrate_req is 1), so that a reload loses none",
        (false, false) => "a reload with fewer workers than before resets the connections that wait for the ones that end",
    };
    let mend = if seen.setup.migrates && !noisy_test {
        "nothing; keep net.ipv4.tcp_migrate_req"
    } else {
        "take `reuseport` away, or set net.ipv4.tcp_migrate_req=1 and never change worker_processes together with a deployment"
    };
    let found = "each worker has a socket of its own (`listen … reuseport`)".to_owned();
    finding(severity, Check::Reuseport, Some(at), [found, means.to_owned(), mend.to_owned()])
}

fn caches(seen: &Seen<'_>) -> Vec<Finding> {
    let caches = seen.setup.ways.iter().filter_map(|way| way.settings.get("proxy_cache"));
    let on = caches.filter(|cache| cache.args.first().is_some_and(|zone| zone != "off"));
    on.map(|cache| {
        let found = format!("answers are cached (`proxy_cache {}`)", cache.args.join(" "));
        let means = "after a cutover users get the old release's answers for as long as they are cached".to_owned();
        let mend = "`proxy_cache off;` where the route is used, or a version in proxy_cache_key".to_owned();
        finding(Severity::Warning, Check::ProxyCache, Some(&cache.at), [found, means, mend])
    })
    .collect()
}

/// Measured: without both lines a pool changes nothing; with them small answers come several times as often.
fn unused_pools(seen: &Seen<'_>) -> Vec<Finding> {
    let pooled = seen.service.proxy.upstream == Upstream::Pool;
    let unused = seen.setup.ways.iter().filter(|way| pooled && !nginx::reuses(way, seen.version));
    unused
        .map(|way| {
            let found = "nginx asks the slots for one answer a connection here".to_owned();
            let means = "the pools of `upstream: pool` are of no use: each request makes a connection of its own".to_owned();
            let mend = "write `proxy_http_version 1.1; proxy_set_header Connection \"\";` beside it".to_owned();
            finding(Severity::Note, Check::PoolUnused, Some(&way.at), [found, means, mend])
        })
        .collect()
}

/// An outgoing connection may have a slot's port as its own, and then the JVM cannot bind it.
fn ephemeral(seen: &Seen<'_>) -> Vec<Finding> {
    let within = |port: u16, (first, last): &(u16, u16)| (*first..=*last).contains(&port);
    let Some(range) = seen.setup.outgoing else { return Vec::new() };
    let reserved = |port: u16| seen.setup.reserved.iter().any(|reserved| within(port, reserved));
    let at = Spot { file: "/proc/sys/net/ipv4/ip_local_port_range".into(), line: None };
    let taken = seen.service.slots.iter().filter(|slot| within(slot.port.0, &range) && !reserved(slot.port.0));
    taken
        .map(|slot| {
            let (name, port, (first, last)) = (&slot.name, slot.port, range);
            let found = format!("port {port} of slot {name} is in {first}-{last}, from which outgoing connections take theirs");
            let means = "any of them may hold it just when the slot is to start: the deployment waits (`port_taken`)".to_owned();
            let mend = format!("give the slot a port below {first}, or add {port} to net.ipv4.ip_local_reserved_ports");
            finding(Severity::Warning, Check::EphemeralPort, Some(&at), [found, means, mend])
        })
        .collect()
}
