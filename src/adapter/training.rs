//! A training run: the hidden subcommand `train-archive`, a small supervisor that outlives slotd's pass.
//!
//! Who decides on a training is the planner (`plan::boot`): one after a deployment has settled, only where `launch.boot` is `cds`,
//! never two at once, not beside a deployment or when memory is short. This program only carries one out, and slotd does not wait
//! for it. **The application is started for it up to the end of its preparation** (`spring.context.exit=onRefresh`: every bean is
//! made, no port is bound), so it connects to what the application connects to.
//!
//! * It is one process with an identity of its own kind: it carries `SLOTD_COOKIE` and `SLOTD_STATE` like a slot's, so that it is
//!   nobody's stranger, but no `SLOTD_SLOT`, so that it is no slot's process.
//! * Its standard input is `STATE/training`, locked by the slotd that started it. The lock is the open file's, not the process's
//!   (flock(2)): it is held from before the start until the end of this program, whatever becomes of that slotd, and no other
//!   training begins meanwhile.
//! * It gives way: nice 19 (in its autogroup too), idle I/O, first in line for the OOM killer. A start of a slot waits for nothing.
//! * It is bounded by `health.deadline`. The JVM dies with it (`PR_SET_PDEATHSIG`).
//! * `<id>.failed` is there before it begins and is removed when the archive is: however it ends, it is not tried again for this
//!   jar, this JVM and these options, unless the machine was restarted meanwhile.
//!
//! `slotd train-archive [--user NAME] FEATURE FOLDER ID SECONDS -- JAVA [ARGUMENT…]`

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::adapter::{archive, clock, launch, log_files};

/// The word that main looks for before it parses anything.
pub const SUBCOMMAND: &str = "train-archive";

/// From this version on a JVM has an ahead-of-time cache (JEP 483), which holds more than an archive of class data.
const AOT_SINCE: u32 = 24;

/// Ends the application when its context is complete, before it serves (Spring Framework 6.1).
const ON_REFRESH: &str = "-Dspring.context.exit=onRefresh";

/// The lowest priority that there is (nice(2)).
pub(super) const NICE: i32 = 19;

/// Carries out one training; `args` are those after [`SUBCOMMAND`].
///
/// # Errors
/// When it could not even be begun; whatever comes of it later is written down beside the jar.
pub fn run(args: Vec<OsString>) -> io::Result<()> {
    let order = parse(args)?;
    launch::own_session()?;
    launch::default_signals()?;
    launch::close_inherited()?;
    give_way();
    let scratch = order.scratch();
    let done = trained(&order, &scratch);
    drop(fs::remove_dir_all(&scratch));
    match done {
        Ok(()) => Ok(()),
        Err(error) => archive::fail(&order.folder, &order.id, &format!("{error} (its output: {})", order.log().display())),
    }
}

/// The argv form, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    user: Option<OsString>,
    feature: u32,
    folder: PathBuf,
    id: String,
    limit: Duration,
    command: Vec<OsString>,
}

impl Order {
    /// Where the JVM writes: a folder that is its user's.
    fn scratch(&self) -> PathBuf {
        scratch(&self.folder, &self.id)
    }

    fn log(&self) -> PathBuf {
        archive::named(&self.folder, &self.id, "log")
    }

    fn kind(&self) -> &'static str {
        archive::KINDS[usize::from(self.feature >= AOT_SINCE)]
    }
}

/// The folder that a training writes into.
pub(super) fn scratch(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("training-{id}"))
}

fn parse(args: Vec<OsString>) -> io::Result<Order> {
    let usage = || {
        let text = "usage: train-archive [--user NAME] FEATURE FOLDER ID SECONDS -- JAVA [ARGUMENT…]";
        io::Error::new(io::ErrorKind::InvalidInput, text)
    };
    let mut args = args.into_iter();
    let mut next = || args.next().ok_or_else(usage);
    let mut first = next()?;
    let mut user = None;
    if first == "--user" {
        user = Some(next()?);
        first = next()?;
    }
    let number = |text: OsString| text.to_str().and_then(|text| text.parse().ok()).ok_or_else(usage);
    let feature = number(first)?;
    let (folder, id) = (PathBuf::from(next()?), next()?.into_string().map_err(|_| usage())?);
    let limit = Duration::from_secs(u64::from(number(next()?)?));
    if next()? != "--" {
        return Err(usage());
    }
    let command: Vec<_> = args.collect();
    if command.is_empty() { Err(usage()) } else { Ok(Order { user, feature, folder, id, limit, command }) }
}

/// None of this is worth failing for: without it a training is only less polite.
fn give_way() {
    let _unlowered = rustix::process::nice(NICE);
    // A session of its own is a group of its own for the scheduler, inside which alone a nice value counts (sched(7), autogroup).
    drop(fs::write("/proc/self/autogroup", NICE.to_string()));
    let mut ionice = Command::new("ionice");
    ionice.args(["-c3", "-p", &std::process::id().to_string()]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(ionice.status());
}

fn trained(order: &Order, scratch: &Path) -> io::Result<()> {
    let until = Instant::now() + order.limit;
    let made = scratch.join("made");
    for arguments in runs(order.feature, scratch, &made) {
        run_to_its_end(order, &arguments, until)?;
    }
    archive::finish(&order.folder, &order.id, order.kind(), &made)
}

/// What the JVM is told in front of everything else, for each of its runs: one writes an archive at its end; for a cache the first
/// observes the application, and the second only writes.
fn runs(feature: u32, scratch: &Path, made: &Path) -> Vec<Vec<OsString>> {
    let with = |flag: &str, path: &Path| OsString::from(format!("{flag}={}", path.display()));
    if feature < AOT_SINCE {
        return vec![vec![with("-XX:ArchiveClassesAtExit", made), ON_REFRESH.into()]];
    }
    let seen = with("-XX:AOTConfiguration", &scratch.join("seen"));
    vec![
        vec!["-XX:AOTMode=record".into(), seen.clone(), ON_REFRESH.into()],
        vec!["-XX:AOTMode=create".into(), seen, with("-XX:AOTCache", made)],
    ]
}

/// The flag that gives a JVM an archive of this kind.
pub(super) fn flag(path: &Path) -> OsString {
    let is_cache = path.extension().is_some_and(|kind| kind == archive::KINDS[1]);
    let flag = if is_cache { "-XX:AOTCache" } else { "-XX:SharedArchiveFile" };
    OsString::from(format!("{flag}={}", path.display()))
}

/// Through the hidden subcommand that starts slots too, bound to our own life.
fn run_to_its_end(order: &Order, arguments: &[OsString], until: Instant) -> io::Result<()> {
    let (java, rest) = order.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let user = order.user.iter().flat_map(|user| [OsString::from("--user"), user.clone()]);
    let mut command = Command::new("/proc/self/exe");
    command.arg(launch::SUBCOMMAND).arg("--bound").args(user).arg("--").arg(java).args(arguments).args(rest);
    let status = bounded(command.stdin(Stdio::null()).spawn()?, until)?;
    if status.success() {
        return Ok(());
    }
    let bytes = log_files::last_bytes(&order.log(), 4096);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it left no word");
    Err(io::Error::other(format!("its training ended with {status}: {}", last.trim())))
}

/// Waits for a child; one that takes too long is ended, and has then failed.
fn bounded(mut child: Child, until: Instant) -> io::Result<ExitStatus> {
    let pinned = clock::pidfd(child.id())?;
    let left = until.saturating_duration_since(Instant::now());
    let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    if poll(&mut [PollFd::new(pinned.as_fd(), PollFlags::POLLIN)], left)? == 0 {
        child.kill()?;
        child.wait()?;
        return Err(io::Error::new(io::ErrorKind::TimedOut, "its training did not come to an end in time"));
    }
    child.wait()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_ascii_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn an_order_is_read_and_anything_else_refused() {
        let order = parse(words("--user app 17 /a/archives id 300 -- java -jar a.jar --user x")).unwrap();
        let expected = Order {
            user: Some("app".into()),
            feature: 17,
            folder: "/a/archives".into(),
            id: "id".to_owned(),
            limit: Duration::from_secs(300),
            command: words("java -jar a.jar --user x"),
        };
        assert_eq!(order, expected);
        assert_eq!(parse(words("24 /a id 3 -- java")).unwrap().kind(), "aot");
        for wrong in ["", "--user", "x /a id 3 -- java", "17 /a id x -- java", "17 /a id 3 java", "17 /a id 3 --"] {
            parse(words(wrong)).expect_err(wrong);
        }
    }

    #[test]
    fn a_jvm_of_24_or_later_gets_its_own_kind_of_archive() {
        let (scratch, made) = (Path::new("/s"), Path::new("/s/made"));
        assert_eq!(runs(17, scratch, made), [words("-XX:ArchiveClassesAtExit=/s/made -Dspring.context.exit=onRefresh")]);
        let cache = runs(25, scratch, made);
        assert_eq!(cache[0], words("-XX:AOTMode=record -XX:AOTConfiguration=/s/seen -Dspring.context.exit=onRefresh"));
        assert_eq!(cache[1], words("-XX:AOTMode=create -XX:AOTConfiguration=/s/seen -XX:AOTCache=/s/made"));
        assert_eq!(flag(Path::new("/a/id.jsa")), "-XX:SharedArchiveFile=/a/id.jsa");
        assert_eq!(flag(Path::new("/a/id.aot")), "-XX:AOTCache=/a/id.aot");
    }

    #[test]
    fn a_run_that_takes_too_long_is_ended() {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let began = Instant::now();
        let error = bounded(child, began + Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() < Duration::from_secs(30));
        assert!(bounded(Command::new("true").spawn().unwrap(), began + Duration::from_secs(60)).unwrap().success());
    }
}
