//! The pictures of the README say what the figures say, and no failure can hide in them.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::support::{read, repository};

#[path = "../../benches/figures/pictures.rs"]
mod drawing;

const FAILED: &str = "#C62828";

/// A way with a deployment for each of these times to the new release; the last has failures in two bins and a gap between them.
fn way(name: &str, times: &[f64], failed: u64) -> Value {
    let deployment = |time: &f64| {
        json!({
            "moments_s": { "start": 0.2, "ready": time - 0.1, "cutover": time, "ended": time + 3.0 },
            "requests": 1000, "failed": failed, "idle_resets": 3, "bin_ms": 100,
            "bins": [[-2, 90, 0, 0], [0, 100, 0, 0], [10, 80, failed.min(1), 0], [30, 70, failed.saturating_sub(1), 3]],
        })
    };
    json!({ "name": name, "deployments": times.iter().map(deployment).collect::<Vec<_>>() })
}

fn sample() -> Value {
    let row = |services: usize, strangers: usize, standby: &str| {
        let spread = |median: f64| json!({ "median": median, "least": median, "most": median });
        json!({
            "services": services, "strangers": strangers, "standby": standby, "pass_cpu_ms": spread(1.5), "plan_wall_ms": spread(20.0),
        })
    };
    let rows = [(1, 0, "running"), (10, 0, "running"), (200, 0, "running"), (1, 100, "running"), (1, 100, "stopped")];
    let ways = [way("slotd, flag, auto", &[5.0, 6.0, 5.5], 0), way("the five scripts", &[17.0, 18.0, 17.5], 9)];
    json!({ "profile": "release", "comparison": ways, "cost": rows.map(|(services, strangers, standby)| row(services, strangers, standby)) })
}

fn drawn(name: &str) -> String {
    drawing::draw(&sample()).unwrap().remove(name).unwrap()
}

/// How many elements of this kind have this in their attributes.
fn count(svg: &str, element: &str, attribute: &str) -> usize {
    svg.lines().filter(|line| line.starts_with(&format!("<{element} ")) && line.contains(attribute)).count()
}

fn says(svg: &str, text: &str) -> bool {
    svg.lines().any(|line| line.trim() == text)
}

#[test]
fn the_pictures_that_ship_are_drawn_from_the_figures_that_ship_and_the_readme_shows_each() {
    let figures: Value = serde_json::from_str(&read("benches/pictures/figures.json")).unwrap();
    let (drawn, readme) = (drawing::draw(&figures).unwrap(), read("README.md"));
    for (name, text) in &drawn {
        assert!(read(&format!("benches/pictures/{name}")) == *text, "{name} is stale: cargo bench --bench figures -- pictures");
        assert!(readme.contains(&format!("](benches/pictures/{name})")), "the README does not show {name}");
    }
    let files =
        fs::read_dir(repository("benches/pictures")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = files.filter(|name| name != "figures.json").collect();
    assert_eq!(files, drawn.into_keys().map(str::to_owned).collect());
}

#[test]
fn a_time_line_shows_each_way_with_its_moments_and_every_bin_with_a_failure() {
    let svg = drawn("timeline.svg");
    assert!(says(&svg, "slotd, flag, auto: 0 failed, 3 idle connections closed"), "{svg}");
    assert!(says(&svg, "the five scripts: 9 failed, 3 idle connections closed"), "{svg}");
    for moment in ["start 0.2 s", "ready 5.4 s", "cutover 5.5 s", "ready 17.4 s", "cutover 17.5 s"] {
        assert!(says(&svg, moment), "no {moment} in {svg}");
    }
    assert_eq!(count(&svg, "rect", FAILED), 2, "the two bins of the scripts, none of slotd");
    assert!(!says(&svg, "drained 0.0 s"), "what did not happen is not shown");
}

#[test]
fn the_times_show_a_point_for_each_deployment_and_the_failures_of_each_way() {
    let svg = drawn("deploy-times.svg");
    assert_eq!(count(&svg, "circle", ""), 6);
    assert_eq!(count(&svg, "circle", FAILED), 3, "a way that failed users is red");
    assert!(says(&svg, "slotd, flag, auto: 0 failed") && says(&svg, "the five scripts: 27 failed"), "{svg}");
}

#[test]
fn the_cost_has_a_line_for_each_measure_over_services_and_over_other_processes() {
    let svg = drawn("cost.svg");
    for text in [
        "milliseconds over services",
        "milliseconds over other processes",
        "plan, wall",
        "a pass, CPU",
        "plan, wall, standby stopped",
    ] {
        assert!(says(&svg, text), "no {text} in {svg}");
    }
    assert!(drawing::draw(&json!({})).unwrap().is_empty(), "nothing is drawn of figures that were not taken");
    let mut slow = sample();
    slow["profile"] = json!("test");
    let svg = drawing::draw(&slow).unwrap().remove("cost.svg").unwrap();
    assert!(says(&svg, "milliseconds over services (test profile)"), "a slow build is named as one");
}
