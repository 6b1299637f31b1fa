//! The host of a story, and every move that it can be made to do.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::story::{Move, Service};
use crate::support::client;
use crate::support::jar::stub_binary;
use crate::support::manifest::Manifest;
use crate::support::process::{self, MARK};
use crate::support::site::{Site, await_profile};
use crate::support::wait::{PATIENCE, until};

/// The longest that one pass may take.
const PASS: Duration = Duration::from_secs(60);

/// A site whose applications wait for their cues.
pub(crate) struct Stage {
    pub(crate) site: Site,
    service: Service,
    /// The number of the manifest that is asked for.
    wish: usize,
    strangers: BTreeMap<String, TcpListener>,
    /// nginx's master while it stands still, and the workers of before while they do.
    held: Option<i32>,
    /// What somebody else started.
    beside: Vec<Child>,
    old: Vec<i32>,
}

impl Stage {
    /// The story's beginning.
    pub(crate) fn set(service: &Service) -> Self {
        let site = if service.begin == "serving" { Site::new() } else { Site::without_nginx() };
        let mut stage = Self {
            site,
            service: service.clone(),
            wish: 0,
            strangers: BTreeMap::new(),
            held: None,
            beside: Vec::new(),
            old: Vec::new(),
        };
        fs::create_dir(stage.folder()).unwrap();
        match service.begin.as_str() {
            "serving" => stage.serving(),
            "scripts" => stage.scripts(),
            _empty => stage.desire(0),
        }
        stage
    }

    fn serving(&mut self) {
        self.set_cue("free");
        self.site.deploy(&self.timed(0, SHORT));
        self.site.slotd(&["apply"]).expect_code(0); // bake is over: what serves counts as good
        fs::remove_file(self.folder().join("free")).unwrap();
        self.desire(self.service.manifests.len().min(2) - 1);
    }

    fn scripts(&mut self) {
        self.desire(0);
        self.site.route_to(self.site.port("real1"));
        self.site.nginx.start();
        self.start_beside("real1");
    }

    fn folder(&self) -> PathBuf {
        self.site.path().join("stage")
    }

    fn set_cue(&self, name: &str) {
        fs::write(self.folder().join(name), "").unwrap();
    }

    /// The times of the story are long, so that nothing passes before its move; those of its end are short.
    fn manifest(&self, wish: usize) -> Manifest {
        self.timed(wish, ["30s", "60s", "50s"])
    }

    fn timed(&self, wish: usize, [drain, deadline, bake]: [&str; 3]) -> Manifest {
        let Service { cutover, standby, promote, on_crash, port_conflict, manifests, .. } = &self.service;
        let (release, stage) = (&manifests[wish], self.folder().display().to_string());
        let orders = [fate(release), &[("STUB_STAGE", &stage)]].concat();
        Manifest::stub_with(&self.site, of(release), &orders)
            .set("jar.version", json!(release))
            .cutover(cutover)
            .set("slot_policy.standby", json!(standby))
            .set("slot_policy.promote", json!(promote))
            .set("slot_policy.on_crash", json!(on_crash))
            .set("slot_policy.port_conflict", json!(port_conflict))
            .set("slot_policy.max_attempts", json!(2))
            .set("slot_policy.drain", json!(drain))
            .set("slot_policy.drain_deadline", json!(deadline))
            .set("slot_policy.bake", json!(bake))
            .set("health.successes", json!(1))
            .set("launch.stop_timeout", json!("10s"))
    }

    fn desire(&mut self, wish: usize) {
        self.wish = wish;
        self.site.desire(&self.manifest(wish));
    }

    /// One pass of a slotd that is started for it; gives the steps that it carried out and that others can see. The master stands still
    /// meanwhile, and after a reload until its move comes.
    pub(crate) fn pass(&mut self) -> Vec<String> {
        self.hold();
        let said = self.apply(&["--timeout", "0s"]);
        let visible = ["install", "write_include", "reload", "start", "cutover", "stop", "kill"];
        let done = said.lines().filter(|line| line.contains("done: "));
        let steps = done.filter_map(|line| Some(line.split_once("step=\"")?.1.split_once('"')?.0.to_owned()));
        let steps: Vec<_> = steps.filter(|step| visible.contains(&step.as_str())).collect();
        if !steps.iter().any(|step| step == "reload") {
            self.go_on();
        }
        steps
    }

    /// `apply`, with what it traces.
    pub(crate) fn apply(&self, arguments: &[&str]) -> String {
        let ended = self.site.slotd(&[&["-v", "apply"], arguments].concat());
        assert!(matches!(ended.code, Some(0 | 3)), "{ended}");
        ended.stderr
    }

    /// A pass that is killed when it opens the service's folder for this time: once before the ledger takes its place, and once
    /// behind that, to make it durable.
    pub(crate) fn killed(&self, open: u32) {
        let accepts = self.is_news();
        let folder = self.site.state().join("services/webservice");
        let inject = format!("inject=openat:signal=KILL:when={}", open + if accepts { 2 } else { 0 });
        let strace = ["-qq", "-o", "/dev/null", "-P", folder.to_str().unwrap(), "-e", &inject];
        let ended = self.site.trace(&strace, &["apply", "--timeout", "0s"]).wait(PASS);
        assert_eq!(ended.code, None, "it was not killed: {ended}");
    }

    /// Whether the next `apply` accepts another manifest, which is a commit of its own.
    fn is_news(&self) -> bool {
        let wanted = &self.service.manifests[self.wish];
        self.ledger()["accepted"]["jar"]["version"] != json!(wanted)
    }

    /// What a slot's port shows, in the story's words.
    pub(crate) fn slot(&self, slot: &str) -> String {
        let port = self.site.port(slot);
        let there = self.site.apps().iter().any(|app| app.slot.as_deref() == Some(slot));
        if self.strangers.contains_key(slot) {
            return if there { "silent" } else { "empty" }.to_owned(); // he takes connections and says nothing
        }
        let answer = client::get(SocketAddr::from(([127, 0, 0, 1], port)), "/profile");
        match answer {
            Ok(answer) if answer.status != 200 => "sick".to_owned(),
            Ok(answer) if answer.text() != slot => "wrong".to_owned(),
            Ok(answer) => format!("ready {}", answer.version),
            Err(_) if there => "silent".to_owned(),
            Err(_) => "empty".to_owned(),
        }
    }

    pub(crate) fn include(&self) -> String {
        let word = match fs::read_to_string(self.site.nginx.include()) {
            Err(_) => "none",
            Ok(text) if text == GARBAGE => "garbage",
            Ok(text) if text.starts_with("set $service_url") && text.lines().count() == 1 => "plain",
            Ok(_) => "ours",
        };
        word.to_owned()
    }

    /// From here on everything goes on by itself, and times are short.
    pub(crate) fn free(&mut self) {
        self.thaw();
        self.set_cue("free");
        for cue in ["real1-sick", "real2-sick", "real1-wrong", "real2-wrong"] {
            let _none = fs::remove_file(self.folder().join(cue));
        }
        if self.site.nginx.master().is_none() && matches!(self.include().as_str(), "ours" | "plain") {
            self.site.nginx.start();
        }
        self.site.desire(&self.timed(self.wish, SHORT));
    }

    fn ledger_path(&self) -> PathBuf {
        self.site.state().join("services/webservice/ledger.json")
    }

    fn ledger(&self) -> Value {
        fs::read(self.ledger_path()).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap())
    }

    /// Puts moments of the ledger back by so many seconds.
    fn ages(&self, seconds: u64, moments: impl Fn(&mut Value) -> Vec<&mut Value>) {
        let mut ledger = self.ledger();
        for moment in moments(&mut ledger) {
            let at = moment.as_u64().unwrap_or_else(|| panic!("no moment: {moment}"));
            *moment = json!(at.saturating_sub(seconds * 1000));
        }
        fs::write(self.ledger_path(), format!("{ledger:#}\n")).unwrap();
    }

    /// The same application, started by somebody else.
    fn start_beside(&mut self, slot: &str) {
        self.set_cue(&format!("{slot}-up"));
        let jar = self.jar_path();
        let mut stub = Command::new(stub_binary());
        stub.arg(format!("-Dspring.profiles.active={slot}")).arg("-jar").arg(jar).env(MARK, self.site.path());
        stub.env("SERVER_PORT", self.site.port(slot).to_string()).stdout(Stdio::null());
        self.beside.push(stub.spawn().unwrap());
        await_profile(slot, self.site.port(slot));
    }

    /// Ends what a slot has, and waits for it.
    fn end(&self, slot: &str) {
        let apps = self.site.apps();
        let pids: Vec<_> = apps.iter().filter(|app| app.slot.as_deref() == Some(slot)).map(|app| app.pid).collect();
        for pid in &pids {
            process::signal(*pid, Signal::SIGKILL);
        }
        until("it is gone", PATIENCE, || pids.iter().all(|pid| !process::is_alive(*pid)));
    }

    /// The master is told nothing new until it goes on.
    fn hold(&mut self) {
        let master = self.site.nginx.master().filter(|_| self.held.is_none());
        if let Some(master) = master {
            process::signal(master, Signal::SIGSTOP);
            self.held = Some(master);
        }
    }

    fn go_on(&mut self) {
        self.held.take().into_iter().for_each(|pid| process::signal(pid, Signal::SIGCONT));
    }

    fn thaw(&mut self) {
        self.go_on();
        self.old.drain(..).for_each(|pid| process::signal(pid, Signal::SIGCONT));
    }
}

/// What the world does.
impl Stage {
    /// Makes the host do a move, or says that no host can be made to.
    pub(crate) fn cue(&mut self, it: &Move) {
        match &it.slot {
            Some(slot) => self.slot_cue(slot, it),
            None => self.host_cue(it),
        }
    }

    fn slot_cue(&mut self, slot: &str, it: &Move) {
        let flag = self.site.nginx.include().with_extension("inc.live").join(slot);
        let sick = |word: &str| self.folder().join(format!("{slot}-{word}"));
        match it.word.as_str() {
            "comes_up" | "cannot_bind" => self.set_cue(&format!("{slot}-up")),
            "crashes" => self.end(slot),
            "has_ended" => self.set_cue(&format!("{slot}-end")),
            "turns_sick" => self.set_cue(&format!("{slot}-sick")),
            "answers_as_another" => self.set_cue(&format!("{slot}-wrong")),
            "recovers" => ["sick", "wrong"].iter().for_each(|word| drop(fs::remove_file(sick(word)))),
            "deadline_passes" => self.ages(3600, |l| vec![&mut l["slots"][slot]["since"]]),
            "stop_timeout_passes" => self.ages(60, |l| vec![&mut l["slots"][slot]["stopping"]]),
            "port_taken" => self.take(slot),
            "port_left" => drop(self.strangers.remove(slot)),
            "include_edited" => self.site.route_to(self.site.port(slot)),
            "flag_set" => fs::write(flag, "").unwrap(),
            "flag_removed" => fs::remove_file(flag).unwrap(),
            _other => refuse(it),
        }
    }

    fn host_cue(&mut self, it: &Move) {
        let include = self.site.nginx.include();
        match it.word.as_str() {
            "nginx_loads" => self.nginx_loads(),
            "old_workers_stop" => self.thaw(),
            "nginx_starts" => self.site.nginx.start(),
            "nginx_dies" => {
                self.thaw();
                self.site.nginx.stop();
            }
            "reload_lost" => self.reload_lost(),
            "configuration_broken" => self.set_broken(true),
            "configuration_mended" => self.set_broken(false),
            "cutover_ages" => self.ages(40, |l| vec![&mut l["cutover"]["at"]]),
            "reload_ages" => self.ages(20, |l| vec![&mut l["reload"]["at"]]),
            "include_garbled" => fs::write(include, GARBAGE).unwrap(),
            "include_removed" => fs::remove_file(include).unwrap(),
            "jar_torn" => fs::write(self.jar_path(), "PK").unwrap(),
            "jar_gone" => fs::remove_file(self.jar_path()).unwrap(),
            "jar_back" => self.desire(self.wish),
            "ledger_lost" => fs::remove_file(self.ledger_path()).unwrap(),
            "manifest" => self.desire(it.number.unwrap()),
            "reboot" => self.reboot(),
            _other => refuse(it),
        }
    }

    fn jar_path(&self) -> PathBuf {
        self.site.path().join(format!("webservice-{}.jar", of(&self.service.manifests[self.wish])))
    }

    fn take(&mut self, slot: &str) {
        let port = self.site.port(slot);
        let stranger = TcpListener::bind(("127.0.0.1", port)).unwrap();
        self.strangers.insert(slot.to_owned(), stranger);
    }

    /// The master goes on with the reload that it was sent; the workers of before go on accepting until they are told otherwise, by
    /// standing still: the kernel gives every new connection to those of now.
    fn nginx_loads(&mut self) {
        self.old = self.site.nginx.workers();
        self.old.iter().for_each(|pid| process::signal(*pid, Signal::SIGSTOP));
        self.go_on();
        let new = || self.site.nginx.workers().iter().filter(|pid| !self.old.contains(pid)).count();
        until("nginx has workers of now", PATIENCE, || new() == 2);
    }

    /// The master is told to go on while its configuration is broken: it logs that, and keeps what it has.
    fn reload_lost(&mut self) {
        let complaints = || self.site.nginx.complaints();
        let before = complaints();
        self.set_broken(true);
        self.held.iter().for_each(|pid| process::signal(*pid, Signal::SIGCONT));
        until("nginx complains", PATIENCE, || complaints() > before);
        self.set_broken(false);
        self.held = None;
    }

    fn set_broken(&self, broken: bool) {
        let config = self.site.nginx.config();
        let text = fs::read_to_string(&config).unwrap().replace(BROKEN, "");
        fs::write(config, if broken { text + BROKEN } else { text }).unwrap();
    }

    /// Nothing runs any more, and the ledger is of another boot.
    fn reboot(&mut self) {
        self.thaw();
        self.site.nginx.stop();
        self.site.apps().iter().for_each(|app| process::signal(app.pid, Signal::SIGKILL));
        until("nothing runs", PATIENCE, || self.site.apps().is_empty());
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let ledger = fs::read_to_string(self.ledger_path()).unwrap();
        fs::write(self.ledger_path(), ledger.replace(boot.trim(), "00000000-0000-4000-8000-000000000000")).unwrap();
    }
}

impl Drop for Stage {
    /// Whoever stands still hears no TERM.
    fn drop(&mut self) {
        self.thaw();
        for child in &mut self.beside {
            let _ended = child.kill().and_then(|()| child.wait());
        }
    }
}

/// What no real host can be made to do at a time of one's choice: to read a fact in vain, to be raced between two system calls.
fn refuse(it: &Move) -> ! {
    panic!("`{}` cannot be played on a real host, at {}", it.word, it.text);
}

/// Drain, drain deadline and bake where nothing is to be told apart by them.
const SHORT: [&str; 3] = ["300ms", "5s", "1ms"];

/// The release whose bytes a name stands for.
fn of(release: &str) -> &str {
    release.strip_suffix("-renamed").unwrap_or(release)
}

/// What becomes of a release when it has its cue.
fn fate(release: &str) -> &'static [(&'static str, &'static str)] {
    match release {
        "bad" => &[("STUB_EXIT_ON_START", "1")],
        "hangs" => &[("STUB_NO_PORT", "1")],
        _good => &[],
    }
}

/// What nobody understands.
const GARBAGE: &str = "set $service_url by hand;\n";

/// A line elsewhere in the configuration that nginx refuses.
const BROKEN: &str = "no_such_directive on;\n";
