//! The figures of all runs in one JSON file, from which the pictures are drawn.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::Serialize;
use serde_json::{Map, Value, json};

/// Median with what it lies between.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    pub(crate) fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut all: Vec<f64> = figures.collect();
        all.sort_by(f64::total_cmp);
        let last = all.len() - 1;
        Self { median: all[last / 2], least: all[0], most: all[last] }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "median {:.0} ms, {:.0} to {:.0}", self.median, self.least, self.most)
    }
}

/// `benches/pictures`; what a build that was not made to be fast has measured is nothing to be shown, and goes to `target/tmp`.
pub(crate) fn pictures() -> PathBuf {
    let shown = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/pictures");
    if cfg!(debug_assertions) { PathBuf::from(env!("CARGO_TARGET_TMPDIR")) } else { shown }
}

/// Draws the pictures of what the file has.
pub(crate) fn draw() {
    let figures = fs::read(pictures().join("figures.json")).expect("`cost` and `compare` write it");
    for (name, text) in crate::pictures::draw(&serde_json::from_slice(&figures).unwrap()).unwrap() {
        fs::write(pictures().join(name), text).unwrap();
        println!("benches/pictures/{name}");
    }
}

/// Processes that were ready to run over the minute before this program began: afterwards the load is its own.
static LOAD: LazyLock<f64> = LazyLock::new(|| {
    let text = fs::read_to_string("/proc/loadavg").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
});

/// Takes down on what kind of machine this program begins.
pub(crate) fn begin() {
    LazyLock::force(&LOAD);
}

/// Under what a part was measured.
fn taken() -> Value {
    let profile = if cfg!(debug_assertions) { "test" } else { "release" };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    json!({ "profile": profile, "cores": cores, "load_before": *LOAD })
}

/// Puts one part into the file, beside what other runs have put there.
pub(crate) fn put(part: &str, value: &Value) {
    let file = pictures().join("figures.json");
    let mut all: Map<String, Value> = fs::read(&file).map_or_else(|_| Map::new(), |text| serde_json::from_slice(&text).unwrap());
    all.insert(part.to_owned(), value.clone());
    all.entry("taken").or_insert_with(|| json!({}))[part] = taken();
    fs::create_dir_all(pictures()).unwrap();
    fs::write(&file, serde_json::to_string_pretty(&all).unwrap() + "\n").unwrap();
}
