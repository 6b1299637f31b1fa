//! The pictures of the README say what the figures say, and no failure can hide in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use crate::support::{read, repository};

#[path = "../../benches/figures/pictures.rs"]
mod drawing;

const GOOD: &str = "#2E7D32";
const FAILED: &str = "#C62828";
const CLOSED: &str = "#EF6C00";
const INK: &str = "#37474F";
/// Of one way's part of the time line, pixels.
const PANEL: f64 = 220.0;
/// Coordinates are whole pixels, and so are the labels' from which the scale is taken.
const NEAR: f64 = 2.0;
/// Every way that the comparison has to show.
const WAYS: [&str; 7] = [
    "slotd, flag, jar",
    "slotd, flag, extracted",
    "slotd, flag, cds",
    "slotd, flag, auto",
    "slotd, reload, auto",
    "the five scripts",
    "stop and start",
];

/// A way with a deployment for each of these times to the new release and failures; they are in two bins with a gap between them.
fn way(name: &str, deployments: &[(f64, u64)]) -> Value {
    let deployment = |(time, failed): &(f64, u64)| {
        json!({
            "moments_s": { "start": 0.2, "ready": time - 0.1, "cutover": time, "drained": time + 2.5, "ended": time + 3.0 },
            "requests": 1000, "failed": failed, "idle_resets": 3, "bin_ms": 100,
            "bins": [[-2, 90, 0, 0], [0, 100, 0, 0], [10, 80, (*failed).min(1), 0], [30, 70, failed.saturating_sub(1), 3]],
        })
    };
    json!({ "name": name, "deployments": deployments.iter().map(deployment).collect::<Vec<_>>() })
}

fn sample() -> Value {
    let row = |services: usize, strangers: usize, standby: &str| {
        let spread = |median: f64| json!({ "median": median, "least": median, "most": median });
        json!({
            "services": services, "strangers": strangers, "standby": standby, "pass_cpu_ms": spread(1.5), "plan_wall_ms": spread(20.0),
        })
    };
    let rows = [(1, 0, "running"), (10, 0, "running"), (200, 0, "running"), (1, 100, "running"), (1, 100, "stopped")];
    let ways =
        [way("slotd, flag, auto", &[(5.0, 0), (6.0, 0), (5.5, 0)]), way("the five scripts", &[(17.0, 4), (18.0, 5), (17.5, 9)])];
    let taken = json!({ "profile": "release", "cores": 2, "load_before": 0.4 });
    json!({
        "taken": { "comparison": taken, "cost": taken }, "comparison": ways,
        "cost": rows.map(|(services, strangers, standby)| row(services, strangers, standby)),
    })
}

/// One element of a picture.
struct Element {
    kind: String,
    attributes: BTreeMap<String, String>,
    text: String,
}

impl Element {
    /// Each stands on a line of its own, and a text on the line after that.
    fn of(line: &str, next: &str) -> Option<Self> {
        let (kind, rest) = line.strip_prefix('<')?.split_once(' ')?;
        let parts: Vec<&str> = rest.split('"').collect();
        let attribute = |pair: &[&str]| (pair[0].trim().trim_end_matches('=').to_owned(), pair[1].to_owned());
        let attributes = parts.chunks_exact(2).map(attribute).collect();
        Some(Self {
            kind: kind.to_owned(),
            attributes,
            text: if kind == "text" { next.trim().to_owned() } else { String::new() },
        })
    }

    fn is(&self, kind: &str, attribute: &str, value: &str) -> bool {
        self.kind == kind && self.attributes.get(attribute).is_some_and(|found| found == value)
    }

    fn at(&self, attribute: &str) -> f64 {
        self.attributes[attribute].parse().unwrap()
    }

    fn points(&self) -> Vec<(f64, f64)> {
        let number = |text: &str| text.parse().unwrap();
        let points = self.attributes["points"].split_whitespace().map(|point| point.split_once(',').unwrap());
        points.map(|(x, y)| (number(x), number(y))).collect()
    }

    fn height(&self) -> f64 {
        let points = || self.points().into_iter().next().map(|point| point.1);
        let y = ["y", "cy"].iter().find_map(|name| self.attributes.get(*name));
        y.map(|y| y.parse().unwrap()).or_else(|| self.attributes.contains_key("points").then(points).flatten()).unwrap_or(-1.0)
    }
}

struct Picture(Vec<Element>);

impl Picture {
    fn of(svg: &str) -> Self {
        let lines: Vec<&str> = svg.lines().chain([""]).collect();
        Self(lines.windows(2).filter_map(|two| Element::of(two[0], two[1])).collect())
    }

    /// The part of the time line that a way has, from above.
    fn panel(svg: &str, number: u8) -> Self {
        let top = f64::from(number) * PANEL;
        let Self(all) = Self::of(svg);
        Self(all.into_iter().filter(|element| (top..top + PANEL).contains(&element.height())).collect())
    }

    fn says(&self, text: &str) -> bool {
        self.0.iter().any(|element| element.text == text)
    }

    fn all<'a>(&'a self, kind: &'a str, attribute: &'a str, value: &'a str) -> impl Iterator<Item = &'a Element> {
        self.0.iter().filter(move |element| element.is(kind, attribute, value))
    }

    /// Where a number is on an axis, by the numbers that are written at it.
    fn axis(&self, anchor: &str, coordinate: &str) -> impl Fn(f64) -> f64 {
        let written =
            self.all("text", "text-anchor", anchor).filter_map(|e| Some((e.text.parse::<f64>().ok()?, e.at(coordinate))));
        let mut written: Vec<(f64, f64)> = written.collect();
        written.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (first, last) = (written[0], written[written.len() - 1]);
        move |number| first.1 + (number - first.0) * (last.1 - first.1) / (last.0 - first.0)
    }
}

fn drawn(name: &str) -> String {
    drawing::draw(&sample()).unwrap().remove(name).unwrap()
}

#[track_caller]
fn assert_near(found: f64, wanted: f64, what: &str) {
    assert!((found - wanted).abs() <= NEAR, "{what}: at {found}, not at {wanted}");
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
fn the_figures_that_ship_compare_every_way_seven_times_or_say_that_the_machine_was_busy() {
    let figures: Value = serde_json::from_str(&read("benches/pictures/figures.json")).unwrap();
    let ways = figures["comparison"].as_array().unwrap();
    let names: Vec<&str> = ways.iter().map(|way| way["name"].as_str().unwrap()).collect();
    let counts: BTreeSet<usize> = ways.iter().map(|way| way["deployments"].as_array().unwrap().len()).collect();
    assert_eq!(counts.len(), 1, "as many of each: {counts:?}");
    let is_named = |picture: &String| picture.contains("(beside other work)") || picture.contains("(test profile");
    let drawn = drawing::draw(&figures).unwrap();
    if !is_named(&drawn["deploy-times.svg"]) {
        assert_eq!(names, WAYS);
        assert!(counts.first() >= Some(&7), "{counts:?}");
    }
    assert!(names.iter().all(|name| WAYS.contains(name)) && names.iter().any(|name| name.starts_with("slotd")), "{names:?}");
    for name in ["timeline.svg", "deploy-times.svg", "cost.svg"] {
        assert!(drawn.contains_key(name), "no {name}");
    }
}

#[test]
fn a_time_line_shows_the_median_deployment_of_each_way_with_its_moments_where_they_were() {
    let svg = drawn("timeline.svg");
    for (number, time) in [(0, 5.5), (1, 17.5)] {
        let panel = Picture::panel(&svg, number);
        let (x, marks) = (panel.axis("middle", "x"), panel.all("polyline", "stroke", INK));
        let marks: Vec<f64> = marks.map(|mark| mark.points()[0].0).collect();
        let moments = [("start", 0.2), ("ready", time - 0.1), ("cutover", time), ("drained", time + 2.5)];
        assert_eq!(marks.len(), moments.len());
        for (mark, (moment, at)) in marks.iter().zip(moments) {
            assert_near(*mark, x(at), moment);
            assert!(panel.says(&format!("{moment} {at:.1} s")), "no {moment} in {svg}");
        }
        assert!(marks.is_sorted() && panel.says("seconds since the command") && panel.says("requests/s"), "{marks:?}");
    }
    assert!(
        Picture::panel(&svg, 0).says("slotd, flag, auto: 0 failed, 3 idle connections closed; 0 failed in all 3 deployments"),
        "{svg}"
    );
    assert!(
        Picture::panel(&svg, 1).says("the five scripts: 9 failed, 3 idle connections closed; 18 failed in all 3 deployments"),
        "{svg}"
    );
    let keys = ["answered well", "failed", "idle connection closed"];
    assert!(keys.iter().all(|key| Picture::panel(&svg, 0).says(key)), "{svg}");
}

#[test]
fn a_time_line_shows_each_bin_with_a_failure_at_its_time_and_in_its_height() {
    let svg = drawn("timeline.svg");
    let (clean, failing) = (Picture::panel(&svg, 0), Picture::panel(&svg, 1));
    assert_eq!(clean.all("rect", "fill", FAILED).count(), 0, "slotd failed nobody");
    let (x, y) = (failing.axis("middle", "x"), failing.axis("end", "y"));
    let (bars, bands): (Vec<_>, Vec<_>) = failing.all("rect", "fill", FAILED).partition(|rect| rect.at("opacity") > 0.9);
    assert_eq!((bars.len(), bands.len()), (2, 2), "a bar in its height, and a band that is not overlooked");
    for ((bar, band), (at, rate)) in bars.iter().zip(&bands).zip([(1.0, 10.0), (3.0, 80.0)]) {
        assert_near(bar.at("x"), x(at), "a bar");
        assert_near(band.at("x"), x(at), "a band");
        assert_near(bar.at("height"), y(0.0) - y(rate), "failures in a second");
        assert!(band.at("height") > 100.0, "over the whole panel");
    }
    let closed: Vec<_> = failing.all("rect", "fill", CLOSED).collect();
    assert_eq!(closed.len(), 1);
    assert_near(closed[0].at("y") + closed[0].at("height"), y(80.0), "above the failures, not before them");
}

#[test]
fn a_time_line_shows_the_rate_of_each_bin_and_a_bin_without_an_answer_as_none() {
    let panel = Picture::panel(&drawn("timeline.svg"), 0);
    let (x, y) = (panel.axis("middle", "x"), panel.axis("end", "y"));
    let rates = panel.all("polyline", "stroke", GOOD).map(Element::points).max_by_key(Vec::len).unwrap();
    let rate_at =
        |at: f64| rates.iter().min_by(|one, other| (one.0 - x(at)).abs().total_cmp(&(other.0 - x(at)).abs())).unwrap().1;
    for (at, rate) in [(-0.5, 0.0), (-0.2, 900.0), (0.0, 1000.0), (0.5, 0.0), (1.0, 800.0), (2.0, 0.0), (3.0, 700.0)] {
        assert_near(rate_at(at), y(rate), &format!("the rate at {at} s"));
    }
}

#[test]
fn the_times_show_a_point_for_each_deployment_and_the_failures_of_each_way() {
    let picture = Picture::of(&drawn("deploy-times.svg"));
    let x = picture.axis("middle", "x");
    for (colour, times) in [(GOOD, [5.0, 6.0, 5.5]), (FAILED, [17.0, 18.0, 17.5])] {
        let points: Vec<f64> = picture.all("circle", "fill", colour).map(|circle| circle.at("cx")).collect();
        assert_eq!(points.len(), times.len(), "a way that failed users is red");
        points.iter().zip(times).for_each(|(point, time)| assert_near(*point, x(time), "a deployment"));
    }
    let medians: Vec<f64> = picture.all("polyline", "stroke", INK).map(|stroke| stroke.points()[0].0).collect();
    assert_eq!(medians.len(), 2);
    medians.iter().zip([5.5, 17.5]).for_each(|(stroke, time)| assert_near(*stroke, x(time), "a median"));
    let texts =
        ["slotd, flag, auto: 5.5 s, 0 failed", "the five scripts: 17.5 s, 18 failed", "seconds; the stroke is the median"];
    texts.iter().for_each(|text| assert!(picture.says(text), "no {text}"));
}

#[test]
fn figures_of_a_slow_build_or_a_busy_machine_are_named_as_such() {
    let says = |figures: &Value, name: &str, text: &str| Picture::of(&drawing::draw(figures).unwrap()[name]).says(text);
    let mut figures = sample();
    figures["taken"]["cost"]["profile"] = json!("test");
    assert!(says(&figures, "cost.svg", "milliseconds over services (test profile)"));
    figures["taken"]["comparison"]["load_before"] = json!(1.1);
    let caption = "from the command to the first answer of the new release (beside other work)";
    assert!(says(&figures, "deploy-times.svg", caption));
}

#[test]
fn the_cost_has_a_line_for_each_measure_over_services_and_over_other_processes() {
    let picture = Picture::of(&drawn("cost.svg"));
    for text in [
        "milliseconds over services",
        "milliseconds over other processes",
        "plan, wall",
        "a pass, CPU",
        "plan, wall, standby stopped",
    ] {
        assert!(picture.says(text), "no {text}");
    }
    assert!(drawing::draw(&json!({})).unwrap().is_empty(), "nothing is drawn of figures that were not taken");
}
