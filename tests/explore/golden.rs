//! The golden figures: how many states and transitions each configuration has. A change is explained in the commit that makes it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::report::Row;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/explore/golden.txt")
}

fn read() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    let split = |line: &str| line.split_once(": ").map(|(key, figures)| (key.to_owned(), figures.to_owned()));
    text.lines().filter_map(split).collect()
}

/// What differs from the golden figures; with `UPDATE_GOLDEN=1` nothing does, and the file is rewritten.
pub(crate) fn compare(rows: &[Row]) -> Vec<String> {
    let mut golden = read();
    let of = |row: &Row| {
        (
            format!("{} at {} of {}", row.name, row.budget, row.faults),
            format!("{} states, {} transitions", row.states, row.transitions),
        )
    };
    let found: Vec<_> = rows.iter().map(of).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        golden.extend(found);
        let text: String = golden.iter().map(|(key, figures)| format!("{key}: {figures}\n")).collect();
        return std::fs::write(path(), text).err().map(|error| error.to_string()).into_iter().collect();
    }
    let differs = |(key, figures): &(String, String)| {
        let known = golden.get(key).map_or("nothing", String::as_str);
        (known != figures).then(|| format!("{key}: {figures}, golden says {known}"))
    };
    found.iter().filter_map(differs).collect()
}
