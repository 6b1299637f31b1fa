//! The logs of the slots: `STATE/services/<name>/logs/<slot>.<n>.log`, one for each start, bounded in number and size.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::adapter::files;
use crate::model::id::SlotName;

/// Logs of a slot that are kept. Fewer would lose the first failure of a release before `max_attempts` (3, with a rollback
/// around it) has made anybody look.
const KEPT: usize = 7;

/// A log may grow to this many bytes. Larger fills the disk of a small host: two slots of seven logs are then 900 MB.
const LIMIT: u64 = 64 * 1024 * 1024;

/// What is kept of a log that is too large, in bytes: enough for the last stack traces.
const TAIL: u64 = 1024 * 1024;

/// The path of the next log; nothing is made.
pub(super) fn next(logs: &Path, slot: &SlotName) -> PathBuf {
    let last = of_slots(logs).ok().and_then(|all| all.get(slot.as_str())?.keys().next_back().copied());
    logs.join(format!("{slot}.{}.log", last.unwrap_or(0) + 1))
}

/// Keeps the newest of each slot and bounds those.
pub(super) fn trim(logs: &Path) -> io::Result<()> {
    for by_number in of_slots(logs)?.into_values() {
        let surplus = by_number.len().saturating_sub(KEPT);
        for (index, path) in by_number.into_values().enumerate() {
            if index < surplus {
                files::or_absent(fs::remove_file(aside(&path)))?;
                files::or_absent(fs::remove_file(&path))?;
            } else {
                bound(&path, LIMIT, TAIL)?;
            }
        }
    }
    Ok(())
}

/// Cuts a log that may be written to. It has to be cut where it is: the process holds the file open, and would go on filling a
/// renamed or removed one that nobody sees. It was opened for appending, so its next line goes to the new end, without a hole.
/// The last part is kept beside it; what is written between the copy and the cut, some microseconds, is lost.
fn bound(path: &Path, limit: u64, tail: u64) -> io::Result<()> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    if length <= limit {
        return Ok(());
    }
    file.seek(SeekFrom::Start(length - tail.min(length)))?;
    let mut kept = Vec::new();
    file.by_ref().take(tail).read_to_end(&mut kept)?;
    files::replace(&aside(path), &kept, 0o600)?;
    file.set_len(0)
}

/// The last lines of a log, and of the part put aside when the log was cut a moment ago; an unreadable log has none.
pub(super) fn last_bytes(path: &Path, count: u64) -> Vec<u8> {
    let read = |path: &Path| -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(count)))?;
        let mut bytes = Vec::new();
        file.take(count).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let mut bytes = read(path).unwrap_or_default();
    if u64::try_from(bytes.len()).is_ok_and(|length| length < count) {
        bytes.splice(..0, read(&aside(path)).unwrap_or_default());
    }
    bytes
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

/// The logs of each slot by their number.
fn of_slots(logs: &Path) -> io::Result<BTreeMap<String, BTreeMap<u64, PathBuf>>> {
    let mut all: BTreeMap<String, BTreeMap<u64, PathBuf>> = BTreeMap::new();
    let entries = match fs::read_dir(logs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
        other => other?,
    };
    for entry in entries {
        let path = entry?.path();
        if let Some((slot, number)) = parse(&path) {
            all.entry(slot).or_default().insert(number, path);
        }
    }
    Ok(all)
}

fn parse(path: &Path) -> Option<(String, u64)> {
    let name = path.file_name()?.to_str()?.strip_suffix(".log")?;
    let (slot, number) = name.rsplit_once('.')?;
    Some((slot.to_owned(), number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_next_log_is_one_more_than_the_last_of_its_slot() {
        let dir = tempfile::tempdir().unwrap();
        let slot = SlotName::new("real1");
        assert_eq!(next(&dir.path().join("none"), &slot), dir.path().join("none/real1.1.log"));
        for name in ["real1.9.log", "real1.10.log", "real1.12.log.1", "real2.30.log", "note.txt"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(next(dir.path(), &slot), dir.path().join("real1.11.log"));
    }

    #[test]
    fn the_seven_newest_logs_of_each_slot_stay() {
        let dir = tempfile::tempdir().unwrap();
        for number in 1..=12 {
            fs::write(dir.path().join(format!("real1.{number}.log")), "").unwrap();
        }
        fs::write(dir.path().join("real1.2.log.1"), "").unwrap();
        fs::write(dir.path().join("real2.1.log"), "").unwrap();
        trim(dir.path()).unwrap();
        let left = of_slots(dir.path()).unwrap();
        assert_eq!(left["real1"].keys().copied().collect::<Vec<_>>(), (6..=12).collect::<Vec<_>>());
        assert_eq!(left["real2"].len(), 1);
        assert!(!dir.path().join("real1.2.log.1").exists());
    }

    #[test]
    fn a_log_that_is_being_written_is_cut_in_place_and_its_end_kept_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("real1.1.log");
        let mut writer = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        writer.write_all(b"0123456789").unwrap();
        bound(&path, 10, 4).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"0123456789", "not larger than the limit");
        writer.write_all(b"abc").unwrap();
        bound(&path, 10, 4).unwrap();
        writer.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(aside(&path)).unwrap(), b"9abc");
        assert_eq!(last_bytes(&path, 100), b"9abcnew");
        assert_eq!(last_bytes(&path, 2), b"ew");
    }
}
