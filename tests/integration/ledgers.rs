//! Ledgers and histories of every format that a slotd ever wrote: `ledgers/format-N.*`, as they lay on a host.
//!
//! A new format adds a pair of files here; the old ones are never changed, because a host may still have them.

use std::fs;
use std::path::{Path, PathBuf};

use slotd::adapter::LinuxHost;
use slotd::host::ledgers::{HistoryLine, Ledgers, Outcome};
use slotd::model::id::{ServiceName, SlotName};
use slotd::model::ledger::{FORMAT, Ledger};
use tempfile::TempDir;

/// The formats that a golden is kept of.
const GOLDEN: [u32; 1] = [1];

fn golden(format: u32, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/integration/ledgers/format-{format}.{name}"))
}

/// A state folder as the slotd of that format left it.
struct Left {
    dir: TempDir,
    host: LinuxHost,
    web: ServiceName,
}

impl Left {
    fn by(format: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("services/webservice");
        fs::create_dir_all(&folder).unwrap();
        for name in ["ledger.json", "history.jsonl"] {
            fs::copy(golden(format, name), folder.join(name)).unwrap();
        }
        let host = LinuxHost::new(dir.path());
        Self { dir, host, web: ServiceName::new("webservice") }
    }

    fn ledger(&self) -> Ledger {
        self.host.load(&self.web).unwrap()
    }

    fn history(&self) -> Vec<HistoryLine> {
        self.host.history(&self.web).unwrap()
    }

    fn written(&self) -> serde_json::Value {
        let text = fs::read_to_string(self.dir.path().join("services/webservice/ledger.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

#[test]
fn a_ledger_and_a_history_of_every_format_are_read() {
    for format in GOLDEN {
        let left = Left::by(format);
        let ledger = left.ledger();
        let versions: Vec<_> = ["real1", "real2"].map(|slot| ledger.slots[&SlotName::new(slot)].version.clone()).into();
        assert_eq!(versions, ["1.0.0", "1.0.1"], "format {format}");
        assert_eq!((ledger.releases.len(), ledger.good.len(), ledger.one_way.len()), (2, 2, 1), "format {format}");
        assert!(ledger.person.paused && ledger.cutover.is_some_and(|cutover| cutover.settled), "format {format}");
        let outcomes: Vec<_> = left.history().into_iter().map(|line| (line.version, line.outcome)).collect();
        let deployed = |version: &str| (version.to_owned(), Outcome::Deployed);
        assert_eq!(outcomes, [deployed("1.0.0"), deployed("1.0.1")], "format {format}");
    }
}

/// An older slotd would drop what it does not know, and must be able to tell that it does not know it.
#[test]
fn whatever_the_format_was_that_was_read_the_one_written_is_ours() {
    for format in GOLDEN {
        let left = Left::by(format);
        left.host.commit(&left.web, &left.ledger()).unwrap();
        assert_eq!(left.written()["format"], FORMAT, "format {format}");
    }
}

#[test]
fn a_ledger_of_a_newer_slotd_is_refused_and_left_as_it_is() {
    let left = Left::by(1);
    let path = left.dir.path().join("services/webservice/ledger.json");
    let newer = fs::read_to_string(&path).unwrap().replacen("\"format\": 1", &format!("\"format\": {}", FORMAT + 1), 1);
    fs::write(&path, &newer).unwrap();
    let said = left.host.load(&left.web).unwrap_err().to_string();
    assert!(said.contains(&format!("format {}", FORMAT + 1)) && said.contains("newer"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
}
