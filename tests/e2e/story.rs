//! Stories of the explorer, played on a real host: a real nginx, the real binary, and the stub behind it, which waits for its cues.
//!
//! Each file of `stories/` is the shortest way to a state in which a planner without one of its guards breaks a law at its next pass.
//! `tests/explore/stage.rs` finds and writes them; whoever writes one by hand keeps to this form:
//!
//! | key | what it says |
//! | --- | --- |
//! | `without`, `law` | the guard (and the one behind it), and what breaks without it |
//! | `service` | policies; `manifests` by release, the first of which serves at the beginning (`begin`: `serving`, `scripts` or `empty`) |
//! | `moves` | what happens, in order; `then` is what the host shows after each |
//! | `requests` | `none fails`: the story promises it, and a load on the site holds it to that |
//! | `end` | where `slotd apply` comes to when everything that goes on by itself goes on |
//!
//! A move is a pass of slotd (`pass` with the steps that it carries out; `killed` before or behind its step), or one of [`Stage`]'s.
//! Time passes by putting the ledger's moments back, so that nothing is waited for.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use crate::stage::Stage;
use crate::support::client;
use crate::support::load::{Load, Mix};

/// The longest that a host may take to show what was done to it.
const LONGEST: Duration = Duration::from_secs(20);

/// A file of `stories/`.
#[derive(Deserialize)]
struct Story {
    without: Vec<String>,
    law: String,
    service: Service,
    moves: Vec<Move>,
    requests: String,
    end: End,
}

/// What the manifests have in common, and their releases.
#[derive(Clone, Deserialize)]
pub(crate) struct Service {
    pub(crate) begin: String,
    pub(crate) cutover: String,
    pub(crate) standby: String,
    pub(crate) promote: String,
    pub(crate) on_crash: String,
    pub(crate) port_conflict: String,
    pub(crate) manifests: Vec<String>,
}

/// One thing that happens.
#[derive(Deserialize)]
pub(crate) struct Move {
    #[serde(rename = "move")]
    pub(crate) word: String,
    pub(crate) slot: Option<String>,
    pub(crate) number: Option<usize>,
    #[serde(default)]
    steps: Vec<String>,
    before: Option<String>,
    behind: Option<String>,
    commits: Option<u32>,
    pub(crate) text: String,
    then: Then,
}

/// What the host shows.
#[derive(Deserialize)]
struct Then {
    real1: String,
    real2: String,
    include: String,
    nginx: bool,
    /// Where a request goes; `None`: the story does not say.
    route: Option<String>,
}

#[derive(Deserialize)]
struct End {
    status: String,
    holds: Vec<String>,
    live: Option<String>,
}

impl Story {
    fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/stories").join(format!("{name}.json"));
        serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Plays it, and insists on what it says.
    fn play(&self) {
        let mut stage = Stage::set(&self.service);
        let load = (self.requests == "none fails").then(|| Load::start(stage.site.address(), &Mix::quick()));
        for it in &self.moves {
            self.happens(&mut stage, it);
            self.shows(&stage, it);
        }
        stage.free();
        self.comes_to_its_end(&stage);
        if let Some(load) = load {
            load.go_on(50);
            load.stop().assert_clean_but_for_idle_resets();
        }
    }

    fn happens(&self, stage: &mut Stage, it: &Move) {
        match (it.word.as_str(), &it.before, &it.behind, it.commits) {
            ("pass", ..) => assert_eq!(stage.pass(), it.steps, "{}", self.at(it)),
            ("killed", Some(_), None, Some(commits)) => stage.killed(2 * commits),
            ("killed", None, Some(_), Some(commits)) => stage.killed(2 * commits + 1),
            _ => stage.cue(it),
        }
    }

    /// A process takes its time to come up or to end. What a pass did wrongly is in its steps, however late it shows.
    fn shows(&self, stage: &Stage, it: &Move) {
        let wanted = [&it.then.real1, &it.then.real2, &it.then.include].map(String::as_str);
        let is_so =
            |now: &[String; 3]| now.iter().zip(wanted).all(|(now, wanted)| now == wanted || wanted == "killed" && now == "empty");
        let shown = || [stage.slot("real1"), stage.slot("real2"), stage.include()];
        let (mut now, begun) = (shown(), Instant::now());
        while !is_so(&now) && begun.elapsed() < LONGEST {
            thread::sleep(Duration::from_millis(20));
            now = shown();
        }
        assert!(is_so(&now), "{}: {now:?} is not {wanted:?}", self.at(it));
        assert_eq!(stage.site.nginx.master().is_some(), it.then.nginx, "nginx, {}", self.at(it));
        if let Some(route) = &it.then.route {
            let to = client::get(stage.site.address(), "/version").map(|answer| answer.slot);
            assert_eq!(to.as_ref(), Ok(route), "{}", self.at(it));
        }
    }

    fn at(&self, it: &Move) -> String {
        format!("without «{}» {}\nat {}", self.without.join("» and «"), self.law, it.text)
    }

    fn comes_to_its_end(&self, stage: &Stage) {
        let waits = if self.end.holds.is_empty() { "60s" } else { "8s" };
        let said = stage.apply(&["--timeout", waits]);
        let status = stage.site.status();
        let holds = self.end.holds.iter().all(|reason| status.holds(reason));
        let end = (status.status(), status.live_version(), holds);
        assert_eq!(end, (self.end.status.as_str(), self.end.live.as_deref(), true), "{}\n{status}\n{said}", self.law);
    }
}

macro_rules! stories {
    ($($name:ident = $file:literal;)*) => {
        $(#[test]
        fn $name() {
            Story::read($file).play();
        })*

        #[test]
        fn every_story_is_played() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/stories");
            let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
            let mut files: Vec<_> = files.collect();
            files.sort();
            let mut played = vec![$(concat!($file, ".json"),)*];
            played.sort_unstable();
            assert_eq!(files, played);
        }
    };
}

stories! {
    what_has_not_drained_is_not_stopped = "the-drain";
    what_has_not_drained_is_not_stopped_by_a_slotd_that_was_killed_twice = "the-drain-of-a-killed-slotd";
    a_candidate_that_is_not_up_gets_no_traffic = "the-candidate";
    the_live_slot_is_not_stopped_for_the_other_one = "the-live-slot";
    a_slot_that_old_workers_lead_to_is_not_stopped = "the-old-workers";
    a_port_that_a_stranger_has_is_left_alone = "the-taken-port";
}

#[test]
fn a_move_that_no_real_host_can_be_made_to_do_is_refused_by_its_name() {
    let service = json!({
        "begin": "serving", "cutover": "flag", "standby": "stopped", "promote": "auto", "on_crash": "standby",
        "port_conflict": "same_app", "manifests": ["first"],
    });
    let moves = json!([{
        "move": "Stolen", "text": "1. a stranger binds the port first",
        "then": { "real1": "ready first", "real2": "empty", "include": "ours", "nginx": true, "route": null },
    }]);
    let end = json!({ "status": "converged", "holds": [], "live": "first" });
    let story = json!({ "without": [], "law": "", "service": service, "moves": moves, "requests": "", "end": end });
    let story: Story = serde_json::from_value(story).unwrap();
    let refused = std::panic::catch_unwind(|| story.play()).unwrap_err();
    let said = refused.downcast_ref::<String>().unwrap();
    assert!(said.contains("`Stolen` cannot be played") && said.contains("1. a stranger binds"), "{said}");
}
