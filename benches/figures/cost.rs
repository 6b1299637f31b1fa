//! What slotd itself costs: an idle controller, a pass with nothing to do, a dry run; over services and over other processes.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::fleet::{Fleet, Strangers};
use crate::record::{self, Spread};
use crate::support::process;
use crate::support::slotd::Background;
use crate::support::wait::until;

const SERVICES: [usize; 4] = [1, 10, 50, 200];
const STRANGERS: [usize; 3] = [100, 1_000, 10_000];
const PLANS: u32 = 7;
const PASSES: u32 = 20;
/// The controller's default interval: its idle share is that of one pass in so long.
const INTERVAL: Duration = Duration::from_secs(30);

/// Both tables.
pub(crate) fn cost() {
    println!(
        "| services | other processes | standby | `plan`, wall | `plan`, CPU | a pass, CPU | idle controller | its memory |"
    );
    println!("| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |");
    let mut rows: Vec<Value> = SERVICES.iter().map(|services| row(*services, 0, "running")).collect();
    for standby in ["running", "stopped"] {
        rows.extend(STRANGERS.iter().map(|strangers| row(1, *strangers, standby)));
    }
    record::put("cost", &Value::Array(rows));
}

fn row(services: usize, strangers: usize, standby: &'static str) -> Value {
    let fleet = Fleet::deployed(services, standby);
    let (_others, strangers) = Strangers::sleeping(strangers);
    fleet.plan_converged();
    let before = children();
    let wall = Spread::of((0..PLANS).map(|_| one_plan(&fleet).as_secs_f64() * 1e3));
    let cpu = children().saturating_sub(before).as_secs_f64() * 1e3 / f64::from(PLANS);
    let watched = services == 1 && strangers == 0;
    let Controller { pass, idle, resident } = controller(&fleet, watched);
    println!(
        "| {services} | {strangers} | {standby} | {:.1} ms | {:.1} ms | {:.2} ms | {:.3} % | {:.1} MB |",
        wall.median,
        cpu,
        pass.median,
        idle * 100.0,
        resident
    );
    json!({
        "services": services, "strangers": strangers, "standby": standby, "plan_wall_ms": wall, "plan_cpu_ms": cpu,
        "pass_cpu_ms": pass, "idle_share": idle, "resident_mb": resident,
    })
}

/// Wall time of a dry run with nothing to do.
fn one_plan(fleet: &Fleet) -> Duration {
    let began = Instant::now();
    fleet.plan_converged();
    began.elapsed()
}

/// CPU of all children that have ended (`/proc/self/stat`, in ticks of 10 ms: only a sum over several is worth anything).
fn children() -> Duration {
    let stat = procfs::process::Process::myself().unwrap().stat().unwrap();
    let ticks = u64::try_from(stat.cutime + stat.cstime).unwrap();
    Duration::from_millis(ticks * 1000 / procfs::ticks_per_second())
}

struct Controller {
    /// CPU of a pass, ms.
    pass: Spread,
    /// Share of a core over an interval with its pass: measured for one service, else that of the pass.
    idle: f64,
    /// MB.
    resident: f64,
}

fn controller(fleet: &Fleet, watched: bool) -> Controller {
    let run = fleet.spawn(&["run"]);
    settled(&run, Duration::ZERO);
    let pass = Spread::of((0..PASSES).map(|_| {
        let before = used(&run);
        process::signal(run.pid(), Signal::SIGHUP);
        settled(&run, before).saturating_sub(before).as_secs_f64() * 1e3
    }));
    let idle = if watched { over_an_interval(&run) } else { pass.median / 1e3 / INTERVAL.as_secs_f64() };
    let status = fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: f64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    run.terminate().expect_code(0);
    Controller { pass, idle, resident: kilobytes / 1024.0 }
}

fn over_an_interval(run: &Background) -> f64 {
    let (before, began) = (used(run), Instant::now());
    until("an interval with its pass is over", INTERVAL * 2, || began.elapsed() >= INTERVAL);
    used(run).saturating_sub(before).as_secs_f64() / began.elapsed().as_secs_f64()
}

/// Time on a core of all its threads (`/proc/PID/task/TID/schedstat`, nanoseconds).
fn used(run: &Background) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{}/task", run.pid())).unwrap();
    let one = |task: std::io::Result<fs::DirEntry>| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.filter_map(one).sum())
}

/// Waits until it has worked since `before` and works no more; gives what it has used then.
fn settled(run: &Background, before: Duration) -> Duration {
    let (mut last, mut still) = (before, Instant::now());
    until("the controller rests", Duration::from_secs(120), || {
        let now = used(run);
        if now != last {
            (last, still) = (now, Instant::now());
        }
        now > before && still.elapsed() > Duration::from_millis(400)
    });
    last
}
