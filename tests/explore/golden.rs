//! The golden figures: what is explored, and how many states and transitions each exploration has. A change is explained in the
//! commit that makes it.
//!
//! `golden.txt` is what one command explores, `deep.txt` what another one does; a line is added with `UPDATE_GOLDEN=golden` (or
//! `deep`) and `SLOTD_EXPLORE=name,budget,families`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::Config;
use crate::configs;
use crate::family::Families;
use crate::report::Row;

fn path(list: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/explore/{list}.txt"))
}

fn read(list: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path(list)).unwrap_or_default();
    let split = |line: &str| line.split_once(": ").map(|(key, figures)| (key.to_owned(), figures.to_owned()));
    text.lines().filter_map(split).collect()
}

/// Every exploration of a list.
pub(crate) fn listed(list: &str) -> Vec<Config> {
    let known: Vec<Config> = configs::by_name().into_iter().chain(configs::pairwise()).collect();
    let meant = |key: &String| {
        let (name, rest) = key.split_once(" at ")?;
        let (budget, families) = rest.split_once(" of ")?;
        let config = known.iter().find(|c| c.name == name)?.clone();
        Some(Config { budget: budget.parse().ok()?, faults: Families::named(families), ..config })
    };
    read(list).keys().filter_map(meant).collect()
}

/// How many states an exploration had when it was last written down.
pub(crate) fn states(config: &Config) -> u64 {
    let key = key(&config.name, config.budget, &config.faults.words());
    let golden = read("golden").remove(&key).or_else(|| read("deep").remove(&key));
    golden.and_then(|figures| figures.split(' ').next()?.parse().ok()).unwrap_or(u64::MAX)
}

fn key(name: &str, budget: u8, faults: &str) -> String {
    format!("{name} at {budget} of {faults}")
}

/// What differs from the golden figures; with `UPDATE_GOLDEN` nothing does, and the list of that name gets the new ones.
pub(crate) fn compare(rows: &[Row]) -> Vec<String> {
    let of = |row: &Row| {
        let key = key(&row.name, row.budget, &row.faults);
        (key, format!("{} states, {} transitions", row.states, row.transitions))
    };
    let found: Vec<_> = rows.iter().map(of).collect();
    if let Ok(list) = std::env::var("UPDATE_GOLDEN") {
        let mut golden = read(&list);
        golden.extend(found);
        let lines: Vec<_> = golden.iter().map(|(key, figures)| format!("{key}: {figures}")).collect();
        return std::fs::write(path(&list), lines.join("\n") + "\n").err().map(|error| error.to_string()).into_iter().collect();
    }
    let golden: BTreeMap<_, _> = read("golden").into_iter().chain(read("deep")).collect();
    let differs = |(key, figures): &(String, String)| {
        let known = golden.get(key).filter(|known| *known != figures)?;
        Some(format!("{key}: {figures}, golden says {known}"))
    };
    found.iter().filter_map(differs).collect()
}
