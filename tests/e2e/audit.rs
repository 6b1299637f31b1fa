//! What slotd does to the host, as the kernel sees it: a dry run and a second `apply` change no file and signal nobody.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::manifest::Manifest;
use crate::support::site::Site;
use crate::support::wait::{PATIENCE, until};

/// Calls that change a folder or what an inode says, and calls that signal.
const CHANGES: [&str; 22] = [
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "chmod",
    "fchmodat",
    "chown",
    "fchownat",
    "truncate",
    "ftruncate",
    "utimensat",
    "fallocate",
];
const SIGNALS: [&str; 4] = ["tkill", "tgkill", "pidfd_send_signal", "rt_sigqueueinfo"];
const WRITES: [&str; 5] = ["write", "writev", "pwrite64", "pwritev", "pwritev2"];

/// What `apply` may open for writing without writing into it: the lock.
const LOCK: &str = "/state/lock>";

/// Runs slotd under strace with everything that it starts; the calls that leave a trace on the host.
fn touches(site: &Site, arguments: &[&str], code: i32) -> Vec<String> {
    traced(site, &["-f"], arguments, code)
}

/// The same with strace's own options; with `-f` it lasts as long as what was started.
fn traced(site: &Site, options: &[&str], arguments: &[&str], code: i32) -> Vec<String> {
    calls(site, options, arguments, code).lines().filter(|line| touches_the_host(line)).map(str::to_owned).collect()
}

/// Every call about a file, a descriptor, a process or a signal.
fn calls(site: &Site, options: &[&str], arguments: &[&str], code: i32) -> String {
    let log = site.path().join("strace");
    let asked = ["-y", "-s", "0", "-o", log.to_str().unwrap(), "-e", "trace=%file,%desc,%process,%signal"];
    site.trace(&[options, &asked[..]].concat(), arguments).wait(Duration::from_secs(60)).expect_code(code);
    let calls = fs::read_to_string(&log).unwrap();
    assert!(calls.contains("execve("), "strace saw nothing");
    fs::remove_file(log).unwrap();
    calls
}

/// `4711 openat(AT_FDCWD</>, "/etc/passwd", O_RDONLY) = 3</etc/passwd>`; the pid is there with `-f` alone.
fn touches_the_host(line: &str) -> bool {
    let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
    let (name, rest) = call.split_once('(').unwrap_or((call, ""));
    match name {
        "open" | "openat" | "openat2" | "creat" => opens_to_write(rest),
        _ if WRITES.contains(&name) => writes_into_a_file(rest),
        "kill" => !rest.contains(", 0)"), // signal 0 only asks whether a process is there
        _ if SIGNALS.contains(&name) => true,
        _ => CHANGES.contains(&name) && !rest.contains("= -1 EEXIST"),
    }
}

fn opens_to_write(rest: &str) -> bool {
    let for_writing = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| rest.contains(flag));
    for_writing && !rest.contains("\"/dev/null\"") && !rest.ends_with(LOCK)
}

/// Standard output and standard error are the test's own files; sockets, pipes and memory are no files.
fn writes_into_a_file(rest: &str) -> bool {
    let (number, file) = rest.split_once('<').unwrap_or((rest, ""));
    let none = ["socket:", "anon_inode:", "pipe:", "/memfd:", "UNIX", "TCP"].iter().any(|kind| file.starts_with(kind));
    !(number == "1" || number == "2" || none)
}

fn first_and_second(site: &Site, cutover: &str) -> Manifest {
    site.deploy(&Manifest::stub(site, "1").cutover(cutover));
    let second = Manifest::stub(site, "2").cutover(cutover).drain("200ms");
    site.deploy(&second);
    second
}

#[test]
fn a_plan_and_a_doctor_change_no_file_and_signal_nobody_whatever_is_to_be_done() {
    let site = Site::new();
    let nothing: Vec<String> = Vec::new();
    site.desire(&Manifest::stub(&site, "1"));
    assert_eq!(touches(&site, &["plan"], 0), nothing, "before the first deployment");
    assert_eq!(touches(&site, &["doctor"], 0), nothing, "doctor before the first deployment");
    assert!(!site.state().exists());
    first_and_second(&site, "flag");
    assert_eq!(touches(&site, &["plan"], 0), nothing, "with nothing to do");
    assert_eq!(touches(&site, &["doctor", "--exit-code"], 0), nothing, "doctor where all is well");
    site.desire(&Manifest::stub(&site, "3"));
    assert_eq!(touches(&site, &["plan", "--detailed-exitcode"], 2), nothing, "with a deployment to do");
}

#[test]
fn a_second_apply_changes_no_file_and_signals_nobody() {
    for cutover in ["flag", "reload"] {
        let site = Site::new();
        let second = first_and_second(&site, cutover);
        until("the end of bake is noted", PATIENCE, || {
            site.slotd(&["apply"]).expect_code(0);
            let ledger = fs::read(site.state().join("services/webservice/ledger.json")).unwrap();
            serde_json::from_slice::<Value>(&ledger).unwrap()["cutover"]["settled"] == true
        });
        assert_eq!(touches(&site, &["apply"], 0), Vec::<String>::new(), "{cutover}");
        // the same eyes see what a deployment does: otherwise they would prove nothing
        site.desire(&second.env("ANOTHER", "release"));
        let deployment = traced(&site, &[], &["apply"], 0);
        for call in ["rename", "pidfd_send_signal", "openat"] {
            assert!(deployment.iter().any(|line| line.contains(call)), "{cutover}: no {call} in {deployment:#?}");
        }
    }
}

/// What a look costs must not grow with what else runs on the host, nor with the size of a jar that has not changed.
#[test]
fn with_nothing_to_do_neither_the_process_table_nor_the_jar_is_read() {
    let site = Site::new();
    let second = first_and_second(&site, "flag");
    let scans = |calls: &str| calls.lines().filter(|line| line.contains("\"/proc\"")).map(str::to_owned).collect::<Vec<_>>();
    let jar =
        |calls: &str| calls.lines().filter(|line| line.contains("webservice-2.jar\", O_")).map(str::to_owned).collect::<Vec<_>>();
    for arguments in [["plan", "-q"], ["apply", "-q"]] {
        let calls = calls(&site, &[], &arguments, 0);
        assert_eq!((scans(&calls), jar(&calls)), (vec![], vec![]), "{arguments:?}");
    }
    // with a slot of which the ledger knows no living process, a first look must search, and the same eyes see it
    site.deploy(&second.set("slot_policy.standby", json!("stopped")));
    assert_ne!(scans(&calls(&site, &[], &["plan"], 0)), Vec::<String>::new());
    fs::write(site.path().join("webservice-2.jar"), fs::read(site.path().join("webservice-2.jar")).unwrap()).unwrap();
    assert_ne!(jar(&calls(&site, &[], &["plan"], 0)), Vec::<String>::new());
}
