//! The command line as people and scripts meet it: help, usage errors, exit codes, what goes to which stream.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use assert_cmd::cargo::CommandCargoExt;

use crate::support::golden;

/// slotd with nothing of our own surroundings: no terminal width, no colours, no state, no home.
fn slotd(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("slotd").unwrap();
    command.current_dir(folder).env_clear().env("HOME", folder).env("SLOTD_STATE_DIR", folder.join("state"));
    command
}

fn run(line: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    slotd(folder.path()).args(line.split_whitespace()).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_help_is_the_reference() {
    let help = run("--help");
    assert_eq!((help.status.code(), err(&help).as_str()), (Some(0), ""));
    golden("cli/help.txt", &out(&help));
}

#[test]
fn every_verb_explains_itself() {
    let verbs = [
        "validate",
        "config",
        "plan",
        "apply",
        "run",
        "status",
        "doctor",
        "logs",
        "history",
        "rollback",
        "promote",
        "pause",
        "resume",
        "retry",
        "restart",
        "down",
        "schema",
        "completions",
        "man",
    ];
    for verb in verbs {
        let help = run(&format!("{verb} --help"));
        assert_eq!(help.status.code(), Some(0), "{verb}");
        golden(&format!("cli/help-{verb}.txt"), &out(&help));
    }
}

#[test]
fn what_launches_slots_is_no_verb_for_people() {
    assert!(!out(&run("--help")).contains("launch-slot"));
}

#[test]
fn bad_usage_is_refused_with_4_on_standard_error() {
    let lines = [
        "",
        "nosuch",
        "plan --nosuch",
        "logs",
        "rollback",
        "apply --timeout 30",
        "plan Web",
        "plan -v -q",
        "-o yaml plan",
        "status --watch --exit-code",
        "logs web --follow --start 1",
    ];
    for line in lines {
        let output = run(line);
        assert_eq!(output.status.code(), Some(4), "slotd {line}: {}", err(&output));
        assert_eq!(out(&output), "", "slotd {line}");
        assert_ne!(err(&output), "", "slotd {line}");
    }
}

#[test]
fn a_mistyped_verb_or_option_is_guessed() {
    assert!(err(&run("aply")).contains("'apply'"));
    assert!(err(&run("apply --prun")).contains("'--prune'"));
}

#[test]
fn without_a_manifest_nothing_is_done_and_4_is_the_end() {
    for verb in ["validate", "config", "plan", "diff", "apply", "run", "status", "doctor", "rollback web", "pause", "down"] {
        let output = run(verb);
        assert_eq!(output.status.code(), Some(4), "{verb}");
        golden("cli/no-manifest.txt", &err(&output));
    }
}

#[test]
fn a_manifest_that_cannot_be_read_is_refused_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let output = slotd(folder.path()).args(["apply", "-f", "none.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    golden("cli/unreadable-manifest.txt", &err(&output));
    assert!(!folder.path().join("state").exists());
}

#[test]
fn the_manifest_named_after_the_verb_wins() {
    let folder = tempfile::tempdir().unwrap();
    let output = slotd(folder.path()).args(["-f", "first.yaml", "plan", "-f", "second.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(err(&output).contains("second.yaml"), "{}", err(&output));
}

#[test]
fn a_controller_needs_a_manifest_that_it_can_read_again() {
    let output = run("run -f -");
    assert_eq!(output.status.code(), Some(4));
    assert!(err(&output).contains("standard input"), "{}", err(&output));
}

#[test]
fn nobody_without_a_home_is_given_a_state_folder_by_chance() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = slotd(folder.path());
    command.env_remove("HOME").env_remove("SLOTD_STATE_DIR").arg("plan");
    let said = err(&command.output().unwrap());
    let is_root = nix::unistd::geteuid().is_root();
    assert_eq!(said.contains("--state-dir"), !is_root, "{said}");
}

#[test]
fn completions_and_manual_pages_are_generated() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&format!("completions {shell}"));
        assert_eq!(output.status.code(), Some(0));
        assert!(out(&output).contains("rollback"), "{shell}");
    }
    assert!(out(&run("man")).contains(".TH slotd 1"));
    assert!(out(&run("man plan")).contains("detailed"), "a verb has a page of its own");
    assert_eq!(run("man nosuch").status.code(), Some(4));
}

#[test]
fn the_documents_have_schemas() {
    for (document, part) in [("status", "rollback"), ("plan", "drift"), ("history", "phases"), ("doctor", "guarantees")] {
        let schema: serde_json::Value = serde_json::from_str(&out(&run(&format!("schema --output {document}")))).unwrap();
        assert_eq!(schema["title"], format!("slotd {document}"));
        assert!(schema.to_string().contains(part), "{document}");
    }
    let manifest = serde_json::to_string_pretty(&slotd::manifest::schema().to_value()).unwrap();
    assert_eq!(out(&run("schema")), manifest + "\n");
}

/// The page is larger than any pipe's buffer only in sum, so the reader is gone before slotd writes.
#[test]
fn a_reader_that_has_gone_is_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut child =
        slotd(folder.path()).args(["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn colours_are_for_terminals_only() {
    for line in ["--help", "plan", "nosuch"] {
        let output = run(line);
        assert!(!out(&output).contains('\u{1b}') && !err(&output).contains('\u{1b}'), "{line}");
    }
}

fn with_logs(folder: &Path) {
    let logs = folder.join("state/services/web/logs");
    std::fs::create_dir_all(&logs).unwrap();
    for (name, text) in [("real1.1.log", "one\n"), ("real1.2.log", "two\nthree\n"), ("real2.1.log", "four\n")] {
        std::fs::write(logs.join(name), text).unwrap();
    }
}

#[test]
fn logs_are_of_the_last_start_unless_another_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    with_logs(folder.path());
    let said = |line: &str| {
        let output = slotd(folder.path()).args(line.split(' ')).output().unwrap();
        (output.status.code(), out(&output))
    };
    assert_eq!(said("logs web --slot real1"), (Some(0), "two\nthree\n".to_owned()));
    assert_eq!(said("logs web --slot real1 -n 1"), (Some(0), "three\n".to_owned()));
    assert_eq!(said("logs web --slot real1 --start 1"), (Some(0), "one\n".to_owned()));
    assert_eq!(said("logs web --slot real1 --start -1"), (Some(0), "one\n".to_owned()));
    assert_eq!(said("logs web --slot real2"), (Some(0), "four\n".to_owned()));
    assert_eq!(said("logs web --slot real1 --start 7").0, Some(4));
    assert_eq!(said("logs other").0, Some(4));
}

/// A manifest that can be followed without touching anything outside `folder`: its jar is missing and its nginx does not run.
fn manifest(folder: &Path) -> String {
    let at = folder.display();
    format!(
        "services:\n  web:\n    jar: {{ version: '1', path: none.jar }}\n    slots: {{ a: {{ port: 48731 }}, b: {{ port: 48732 }} }}\n    \
         proxy: {{ include: {at}/route.inc, url: null, nginx: {{ binary: {at}/no-nginx, config: {at}/nginx.conf }} }}\n"
    )
}

fn write(folder: &Path, text: &str) {
    let aside = folder.join("aside");
    std::fs::write(&aside, text).unwrap();
    std::fs::rename(aside, folder.join("desired.yaml")).unwrap();
}

/// Waits until `path` says `text`, for as long as a slow machine may need.
fn says(path: &Path, text: &str) {
    for _ in 0..400 {
        if std::fs::read_to_string(path).is_ok_and(|said| said.contains(text)) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    panic!("{text:?} was never said: {}", std::fs::read_to_string(path).unwrap());
}

#[test]
fn a_controller_survives_a_broken_manifest_and_ends_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &manifest(folder.path()));
    let log = folder.path().join("log");
    let mut child = slotd(folder.path())
        .args(["run", "--interval", "200ms"])
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    says(&log, "web: held (artifact_missing)");
    let second = slotd(folder.path()).args(["run"]).output().unwrap();
    assert_eq!(second.status.code(), Some(5), "{}", err(&second));
    let other = folder.path().join("other.yaml");
    std::fs::write(&other, manifest(folder.path())).unwrap();
    for verb in [["apply", "-f"], ["down", "-f"]] {
        let refused = slotd(folder.path()).args(verb).arg(&other).output().unwrap();
        assert_eq!(refused.status.code(), Some(4), "{verb:?}: {}", err(&refused));
    }
    write(folder.path(), "services:\n");
    says(&log, "the last good manifest goes on being followed");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn apply_gives_up_after_its_timeout_and_says_what_holds() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &manifest(folder.path()));
    let output = slotd(folder.path()).args(["apply", "-o", "json", "--timeout", "300ms"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    let document: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(document["outcome"], "held");
    assert_eq!(document["services"][0]["holds"][0]["reason"], "artifact_missing");
    let plan = slotd(folder.path()).args(["plan", "--detailed-exitcode"]).output().unwrap();
    assert_eq!(plan.status.code(), Some(3), "{}", out(&plan));
    let stale = slotd(folder.path()).args(["apply", "--plan", "0123456789abcdef"]).output().unwrap();
    assert_eq!(stale.status.code(), Some(4), "{}", err(&stale));
}

#[test]
fn a_doctor_ends_with_3_only_where_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &manifest(folder.path()));
    let run = |line: &str| slotd(folder.path()).args(line.split(' ')).output().unwrap();
    let output = run("doctor -o json");
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let document: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(document["services"][0]["guarantees"][0]["promise"], "unknown");
    assert_eq!(document["services"][0]["findings"][0]["severity"], "error");
    assert_eq!(run("doctor web --exit-code").status.code(), Some(3));
    let unknown = run("doctor nosuch");
    assert_eq!(unknown.status.code(), Some(4));
    assert!(err(&unknown).contains("known: web"), "{}", err(&unknown));
    assert!(!folder.path().join("state").exists());
}

#[test]
fn a_person_may_pause_and_the_decision_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &manifest(folder.path()));
    let output = slotd(folder.path()).arg("pause").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(out(&output).starts_with("web: no new deployments"), "{}", out(&output));
    let nothing = slotd(folder.path()).args(["rollback", "web"]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(4), "{}", err(&nothing));
}

/// A state in which `manifest` was accepted once, and the fault that its manifest has since.
fn accepted(folder: &Path) {
    write(folder, &manifest(folder));
    let output = slotd(folder).args(["apply", "-q", "--timeout", "0s"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
}

const TYPO: &str = "services:\n  web:\n    jar: { version: '1', path: none.jar }\n    slot: {}\n    prxy: {}\n";

/// The warning that a verb of an incident gives for `fault`, in one line.
fn warns(output: &Output, fault: &str) {
    let said = err(output);
    let first = said.lines().next().unwrap_or_default();
    assert!(first.starts_with("warning: ") && first.contains(fault), "{said}");
    assert!(first.ends_with("; the manifest that was accepted last is used instead"), "{said}");
}

#[test]
fn with_a_typo_in_the_manifest_the_verbs_of_an_incident_go_by_what_was_accepted_last() {
    let folder = tempfile::tempdir().unwrap();
    accepted(folder.path());
    write(folder.path(), TYPO);
    let run = |line: &str| slotd(folder.path()).args(line.split(' ')).output().unwrap();
    let verbs = [
        ("status", 0),
        ("status web --exit-code", 3),
        ("pause web", 0),
        ("resume web --timeout 0s", 3),
        ("retry --timeout 0s", 3),
    ];
    let decided = [("promote web", 4), ("rollback web", 4), ("restart web", 4), ("down web --timeout 10s", 0)];
    for (line, code) in verbs.into_iter().chain(decided) {
        let output = run(line);
        assert_eq!(output.status.code(), Some(code), "{line}: {}", err(&output));
        warns(&output, "desired.yaml:4:5: at services.web.slot: ");
        assert!(err(&output).lines().next().unwrap().contains("(and 1 more)"), "{}", err(&output));
        assert!(!err(&output).contains("error: the manifest"), "{line}: {}", err(&output));
    }
    for (line, code) in [("history web", 0), ("logs web", 4)] {
        let output = run(line);
        assert_eq!((output.status.code(), err(&output).contains("manifest")), (Some(code), false), "{line}: {}", err(&output));
    }
    for line in ["plan", "apply", "validate", "config", "doctor"] {
        assert_eq!(run(line).status.code(), Some(4), "{line}");
    }
    let unknown = run("status other");
    assert!(err(&unknown).contains("known: web"), "{}", err(&unknown));
}

#[test]
fn a_document_says_why_the_manifest_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    accepted(folder.path());
    let run = |line: &str| slotd(folder.path()).args(line.split(' ')).output().unwrap();
    let document = |output: &Output| serde_json::from_str::<serde_json::Value>(&out(output)).unwrap();
    assert_eq!(document(&run("status -o json")).get("notes"), None);
    write(folder.path(), TYPO);
    for line in ["status -o json", "pause -o json", "resume -o json --timeout 0s"] {
        let said = document(&run(line));
        let note = said["notes"][0].as_str().unwrap_or_else(|| panic!("{line}: {said}"));
        assert!(note.starts_with("desired.yaml:4:5: "), "{line}: {note}");
        assert_eq!(said["services"][0]["name"], "web", "{line}");
    }
}

#[test]
fn with_no_manifest_left_the_verbs_of_an_incident_go_by_what_was_accepted_last() {
    let folder = tempfile::tempdir().unwrap();
    accepted(folder.path());
    std::fs::remove_file(folder.path().join("desired.yaml")).unwrap();
    let run = |line: &str| slotd(folder.path()).args(line.split(' ')).output().unwrap();
    for (line, fault) in [
        ("pause", "there is no manifest: neither ./desired.yaml nor /etc/slotd/desired.yaml exists"),
        ("status -f none.yaml", "cannot read the manifest none.yaml: No such file or directory"),
        ("pause -f -", "<stdin>"),
    ] {
        let output = run(line);
        assert_eq!(output.status.code(), Some(0), "{line}: {}", err(&output));
        warns(&output, fault);
    }
    assert_eq!(run("plan").status.code(), Some(4));
}

#[test]
fn a_controller_that_starts_with_a_broken_manifest_keeps_to_what_was_accepted_last() {
    for beginning in [Some(TYPO), None] {
        let folder = tempfile::tempdir().unwrap();
        accepted(folder.path());
        match beginning {
            Some(text) => write(folder.path(), text),
            None => std::fs::remove_file(folder.path().join("desired.yaml")).unwrap(),
        }
        let log = folder.path().join("log");
        let mut child = slotd(folder.path())
            .args(["run", "--interval", "200ms", "-f", "desired.yaml"])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        says(&log, "the manifest that was accepted last is used instead");
        says(&log, "web: held (artifact_missing)");
        let other = slotd(folder.path()).args(["pause", "-f", "none.yaml"]).output().unwrap();
        assert_eq!(other.status.code(), Some(0), "{}", err(&other));
        write(folder.path(), &manifest(folder.path()).replace("version: '1'", "version: '2'"));
        says(&folder.path().join("state/services/web/ledger.json"), "\"version\": \"2\"");
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}
