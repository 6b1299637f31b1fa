//! Processes and locks of a real Linux, started through the real slotd; a shell script stands in for java where it can.

#![expect(clippy::disallowed_methods, reason = "a test lays out files and starts processes")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use slotd::adapter::LinuxHost;
use slotd::host::artifacts::{ArtifactError, Artifacts};
use slotd::host::clock::Clock;
use slotd::host::ledgers::Ledgers;
use slotd::host::lock::{Lock, LockError};
use slotd::host::processes::{Application, PortQuestion, ProcessError, Processes, Signal, StartOrder};
use slotd::model::desired::LaunchSpec;
use slotd::model::id::{Identity, Port, ReleaseId, ServiceName, SlotName};
use slotd::model::observed::{ExitCause, Observation, Occupant};
use slotd::model::wake::Wake;
use tempfile::TempDir;

/// Bounds a wait that must end by itself.
const LONG: Duration = Duration::from_secs(60);

/// Says what it finds, tells through a pipe that it has, and waits to be stopped.
const REPORT: &str = r#"#!/bin/sh
echo "args: $*"
echo "cwd: $(pwd) umask: $(umask) uid: $(id -u)"
echo "env: $SERVER_PORT $SLOTD_SERVICE $SLOTD_SLOT $SLOTD_RELEASE $FROM_FILE ${NOTIFY_SOCKET:-none}"
echo "descriptors: $(ls /proc/self/fd | tr '\n' ' ')"
grep -E '^(SigIgn|SigBlk|NoNewPrivs)' /proc/self/status
echo "session: $(cut -d' ' -f6 /proc/$$/stat) of $$"
for word in "$@"; do case $word in *.jar) test -r "$word" && echo "jar: readable";; esac; done
echo to stderr >&2
echo ready > "$PIPE"
exec sleep 600
"#;

struct Place {
    dir: TempDir,
    host: LinuxHost,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Another user must be able to come as far as STATE.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let host = LinuxHost::new(dir.path().join("state")).with_launcher(env!("CARGO_BIN_EXE_slotd"));
        Self { dir, host }
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A start of this script as java, with a pipe that the script can tell us through that it is up.
    fn order(&self, script: &str) -> StartOrder {
        let java = self.script("java", script);
        let pipe = self.dir.path().join("pipe");
        drop(fs::remove_file(&pipe));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o622)).unwrap();
        fs::set_permissions(&pipe, fs::Permissions::from_mode(0o622)).unwrap();
        let jar = self.dir.path().join("app.jar");
        fs::write(&jar, empty_jar()).unwrap();
        let env_file = self.dir.path().join("app.env");
        fs::write(&env_file, "FROM_FILE=file\nSLOTD_COOKIE=stolen\n").unwrap();
        let (digest, _) = self.host.digest(&jar).unwrap();
        let env_digest = self.host.env_file(&env_file).unwrap();
        self.host.install(&jar, &digest).unwrap();
        self.host.install(&env_file, &env_digest).unwrap();
        let (service, slot) = (ServiceName::new("web"), SlotName::new("real1"));
        StartOrder {
            log: self.host.next_log(&service, &slot),
            gives_way: false,
            service,
            slot,
            release: ReleaseId::new("r1-0"),
            cookie: self.host.random(),
            port: Port(8081),
            digest,
            boot: slotd::model::boot::BootForm::Jar,
            launch: LaunchSpec {
                java: java.to_string_lossy().into_owned(),
                jvm_args: vec!["-Xmx64m".to_owned()],
                args: vec!["--x".to_owned()],
                profiles: vec!["real1".to_owned()],
                config_locations: Vec::new(),
                env: BTreeMap::from([("PIPE".to_owned(), pipe.to_string_lossy().into_owned())]),
                env_file: None,
                user: None,
                working_dir: None,
                stop_timeout: LONG,
                boot: slotd::model::desired::Boot::Auto,
            },
            env_file: Some(env_digest),
        }
    }

    /// Starts and comes back when the script has said everything; gives what it said.
    fn run(&self, order: &StartOrder) -> (Running<'_>, String) {
        let identity = self.host.start(order).unwrap();
        let running = Running { host: &self.host, identity };
        assert_eq!(fs::read_to_string(self.dir.path().join("pipe")).unwrap(), "ready\n");
        (running, fs::read_to_string(&order.log).unwrap())
    }
}

/// A jar with one entry and nothing in it.
fn empty_jar() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
    let (mut entry, config) = archive.new_file("a").start().unwrap();
    let (_, descriptor) = config.wrap(&mut entry).finish().unwrap();
    entry.finish(descriptor).unwrap();
    archive.finish().unwrap();
    bytes
}

/// Killed at the end of a test, whatever its outcome.
struct Running<'a> {
    host: &'a LinuxHost,
    identity: Identity,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        drop(self.host.signal(&self.identity, Signal::Kill));
    }
}

struct Helper(Child);

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Helper {
    /// Comes back when the command has said its first line.
    fn up(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the helper ended at once");
        Self(child)
    }
}

/// The ignored signals, without 32 and 33, which belong to the C library and which it lets nobody change.
fn ignored(said: &str) -> u64 {
    let mask = said.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & !(0b11 << 31)
}

#[tokio::test]
async fn a_slot_is_started_detached_and_outlives_the_slotd_that_started_it() {
    let place = Place::new();
    let order = place.order(REPORT);
    let (running, said) = place.run(&order);
    let pid = running.identity.pid;
    let jar = place.host.state().join("artifacts").join(order.digest.as_str()).join("app.jar");
    let work = place.host.state().join("services/web/work");
    for expected in [
        format!("args: -Xmx64m -Dspring.profiles.active=real1 -jar {} --x\n", jar.display()),
        format!("cwd: {} umask: 0027 ", work.display()),
        "env: 8081 web real1 r1-0 file none\n".to_owned(),
        // The fourth is the folder that `ls` itself reads.
        "descriptors: 0 1 2 3 \n".to_owned(),
        "SigBlk:\t0000000000000000\n".to_owned(),
        format!("session: {pid} of {pid}\n"),
        "to stderr\n".to_owned(),
    ] {
        assert!(said.contains(&expected), "{expected:?} is not in:\n{said}");
    }
    assert_eq!(ignored(&said), 0, "{said}");
    assert_eq!(fs::metadata(&order.log).unwrap().permissions().mode() & 0o777, 0o600);

    let next_slotd = LinuxHost::new(place.host.state());
    assert!(next_slotd.find(&running.identity).known().is_some_and(|found| found.resident > 0));
    let bearers = next_slotd.bearers();
    let ours = bearers.known().unwrap().iter().find(|b| b.found.identity == running.identity).unwrap();
    assert_eq!((ours.service.as_str(), ours.slot.as_str(), ours.release.as_str()), ("web", "real1", "r1-0"));
    next_slotd.signal(&running.identity, Signal::Term).unwrap();
    next_slotd.wait(&[Wake::Exit(running.identity.clone())], LONG).await;
    assert!(next_slotd.find(&running.identity).is_absent());
    assert!(matches!(next_slotd.signal(&running.identity, Signal::Term), Err(ProcessError::Gone { .. })));
}

#[test]
fn what_slotd_was_started_with_does_not_reach_the_slot() {
    let place = Place::new();
    let order = place.order(REPORT);
    let text = format!(
        "#!/bin/sh\ntrap '' HUP INT QUIT USR1 PIPE CHLD\nexec 7</dev/null\nexec 9>&1\nexec {} \"$@\"\n",
        env!("CARGO_BIN_EXE_slotd")
    );
    let nasty = LinuxHost::new(place.host.state()).with_launcher(place.script("nasty", &text));
    let place = Place { host: nasty, ..place };
    let (_running, said) = place.run(&order);
    assert!(said.contains("descriptors: 0 1 2 3 \n"), "{said}");
    assert_eq!(ignored(&said), 0, "{said}");
}

#[test]
fn a_slot_of_another_user_reads_its_jar_and_owns_its_working_folder() {
    let Ok(Some(nobody)) = nix::unistd::User::from_name("nobody") else { return };
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    let mut order = place.order(REPORT);
    order.launch.user = Some("nobody".to_owned());
    assert_eq!(place.host.launch_fault(&order.launch), None);
    let (running, said) = place.run(&order);
    for expected in [format!("uid: {}\n", nobody.uid), "jar: readable\n".to_owned(), "NoNewPrivs:\t1\n".to_owned()] {
        assert!(said.contains(&expected), "{expected:?} is not in:\n{said}");
    }
    let mode = |path: &str| fs::metadata(place.host.state().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("services/web"), mode("services/web/logs")), (0o711, 0o711, 0o700));
    assert!(place.host.find(&running.identity).known().is_some());
}

#[test]
fn a_start_that_cannot_be_is_refused_and_starts_nothing() {
    let place = Place::new();
    let mut order = place.order(REPORT);
    order.launch.java = "slotd-no-such-java".to_owned();
    assert!(matches!(place.host.start(&order), Err(ProcessError::Start { .. })));
    assert!(place.host.launch_fault(&order.launch).is_some());
    order.launch.java = "sh".to_owned();
    order.launch.working_dir = Some(place.dir.path().join("none"));
    assert!(matches!(place.host.start(&order), Err(ProcessError::File { act: "enter", .. })));
    order.launch.working_dir = None;
    let stored = place.host.state().join("artifacts").join(order.digest.as_str()).join("app.jar");
    fs::write(&stored, "changed").unwrap();
    assert!(matches!(place.host.start(&order), Err(ProcessError::Artifact(ArtifactError::Io { act: "trust", .. }))));
    assert!(!order.log.exists());
}

#[tokio::test]
async fn a_program_that_cannot_be_executed_says_so_in_its_log() {
    let place = Place::new();
    let order = place.order("#!/nonexistent/interpreter\n");
    let identity = place.host.start(&order).unwrap();
    place.host.wait(&[Wake::Exit(identity.clone())], LONG).await;
    assert!(place.host.find(&identity).is_absent());
    let exit = place.host.exit(&order.log);
    assert!(exit.tail.join("\n").contains("cannot execute"), "{exit:?}");
    assert_eq!(exit.cause, ExitCause::Itself);
}

#[tokio::test]
async fn a_lock_is_free_once_its_holder_is_killed() {
    let place = Place::new();
    let free = place.host.lock(Duration::ZERO).await.unwrap();
    drop(free);
    let path = place.host.state().join("lock");
    let mut holder = Helper::up(Command::new("flock").arg("-F").arg(&path).args(["sh", "-c", "echo up; exec sleep 600"]));
    assert!(matches!(place.host.lock(Duration::ZERO).await, Err(LockError::Held { .. })));
    let kill = async { holder.0.kill().unwrap() };
    let (lock, ()) = tokio::join!(place.host.lock(LONG), kill);
    lock.unwrap();
}

#[tokio::test]
async fn a_slot_does_not_inherit_the_lock() {
    let place = Place::new();
    let order = place.order(REPORT);
    let held = place.host.lock(Duration::ZERO).await.unwrap();
    let (_running, _) = place.run(&order);
    drop(held);
    LinuxHost::new(place.host.state()).lock(Duration::ZERO).await.unwrap();
}

/// Listens where it is told to and says so.
const APP: &str = "public class App { public static void main(String[] a) throws Exception { \
    var s = new java.net.ServerSocket(0); System.out.println(s.getLocalPort()); s.accept(); } }";

fn compiled(dir: &Path) -> bool {
    fs::write(dir.join("App.java"), APP).unwrap();
    let done =
        |program: &str, args: &[&str]| Command::new(program).args(args).current_dir(dir).status().is_ok_and(|s| s.success());
    if !done("javac", &["App.java"]) {
        return false;
    }
    for (jar, start_class) in [("app.jar", "App"), ("same.jar", "App"), ("other.jar", "Other")] {
        fs::write(dir.join("manifest"), format!("Main-Class: App\nStart-Class: {start_class}\n")).unwrap();
        assert!(done("jar", &["cfm", jar, "manifest", "App.class"]));
    }
    true
}

#[test]
fn a_jvm_with_a_jar_of_the_same_start_class_is_the_same_application() {
    let place = Place::new();
    let dir = place.dir.path();
    if !compiled(dir) {
        return;
    }
    let java = |words: &[&str], cookie: Option<&str>| {
        let mut command = Command::new("java");
        command.arg("-Xmx32m").args(words).current_dir(dir).stdout(Stdio::piped()).env_remove("SLOTD_COOKIE");
        let mut child = command.envs(cookie.map(|c| ("SLOTD_COOKIE", c))).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.as_mut().unwrap().by_ref()).read_line(&mut port).unwrap();
        (Helper(child), Port(port.trim().parse().unwrap()))
    };
    let ask = |port: Port, jar: &str| {
        let application = Some(Application { jar: dir.join(jar), user: None });
        let question = PortQuestion { port, bind: "::".to_owned(), own: Vec::new(), cookies: Vec::new(), application };
        let Observation::Known(fact) = place.host.port(&question) else { panic!("cannot tell") };
        fact.occupants
    };
    let (orphan, port) = java(&["-jar", "app.jar"], None);
    match ask(port, "same.jar").as_slice() {
        [Occupant::SameApp { identity, evidence, resident }] => {
            assert!(identity.pid == orphan.0.id() && *resident > 0);
            assert!(evidence.contains("Start-Class App") && evidence.contains(&format!(":{port}")), "{evidence}");
            assert!(place.host.find(identity).known().is_some());
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(ask(port, "other.jar").as_slice(), [Occupant::Stranger { .. }]));
    assert!(matches!(ask(port, "none.jar").as_slice(), [Occupant::Stranger { .. }]));
    let (_unpacked, port) = java(&["-cp", ".", "App", "no.jar"], None);
    assert!(matches!(ask(port, "same.jar").as_slice(), [Occupant::SameApp { .. }]), "from a class path");
    assert!(matches!(ask(port, "other.jar").as_slice(), [Occupant::Stranger { .. }]));
    let (_another_slot, port) = java(&["-jar", "app.jar"], Some("of-another-slot"));
    assert!(matches!(ask(port, "same.jar").as_slice(), [Occupant::Stranger { .. }]), "slotd's own are nobody's orphans");
}
