//! The logs of the slots: `STATE/services/<name>/logs/<slot>.<n>.log`, one for each start, bounded in number and size.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::adapter::files;
use crate::model::id::SlotName;

/// Logs of a slot that are kept. Fewer would lose the first failure of a release before `max_attempts` (3, with a rollback
/// around it) has made anybody look.
const KEPT: usize = 7;

/// A log may grow to this many bytes before it is cut. Larger fills the disk of a small host: two slots of seven logs are then 900 MB.
const LIMIT: u64 = 64 * 1024 * 1024;

/// What is kept of a log that is too large, in bytes: enough for the last stack traces.
const TAIL: u64 = 1024 * 1024;

/// The path of the next log; nothing is made.
pub(super) fn next(logs: &Path, slot: &SlotName) -> PathBuf {
    let last = of_slots(logs).ok().and_then(|all| all.get(slot.as_str())?.keys().next_back().copied());
    logs.join(format!("{slot}.{}.log", last.unwrap_or(0) + 1))
}

/// Keeps the newest of each slot and bounds those; gives the last of each slot, which its process may be writing to. One that
/// cannot be trimmed keeps none of the others from it; the first error is given.
pub(super) fn trim(logs: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut last, mut trimmed) = (Vec::new(), Ok(()));
    for by_number in of_slots(logs)?.into_values() {
        let surplus = by_number.len().saturating_sub(KEPT);
        last.extend(by_number.values().next_back().cloned());
        for (index, path) in by_number.into_values().enumerate() {
            trimmed = trimmed.and(if index < surplus { remove(&path) } else { bound(&path).map(drop) });
        }
    }
    trimmed.map(|()| last)
}

fn remove(path: &Path) -> io::Result<()> {
    files::or_absent(fs::remove_file(aside(path)))?;
    files::or_absent(fs::remove_file(path))
}

/// Cuts a log that has grown too large; gives how many bytes it may still grow.
pub(super) fn bound(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(log) if log.len() > LIMIT => cut(path, LIMIT, TAIL),
        Ok(log) => Ok(LIMIT - log.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(LIMIT),
        Err(error) => Err(error),
    }
}

/// Cuts a log that may be written to. It has to be cut where it is: the process holds the file open, and would go on filling a
/// renamed or removed one that nobody sees. It was opened for appending, so its next line goes to the new end, without a hole.
/// The last part is kept beside it; what is written between the copy and the cut, some microseconds, is lost. On a full disk the
/// copy has no room before the cut, and gets some by it: the disk must not stay full for the sake of a copy.
///
/// The lock (flock(2)) is between slotds: one that copied what another has just cut would lose the end.
fn cut(path: &Path, limit: u64, tail: u64) -> io::Result<u64> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    if file.try_lock().is_err() {
        return Ok(limit);
    }
    let length = file.metadata()?.len();
    if length <= limit {
        return Ok(limit - length);
    }
    file.seek(SeekFrom::Start(length - tail.min(length)))?;
    let mut kept = Vec::new();
    let copied = (&file).take(tail).read_to_end(&mut kept).and_then(|_| keep(path, &kept));
    file.set_len(0)?;
    if copied.is_err() {
        // Whatever the disk has no room for even now is lost: the log itself is bounded, which is what it is about.
        drop(keep(path, &kept));
    }
    Ok(limit)
}

/// Not made durable: a look at the logs must never wait for a disk that an application keeps busy.
fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let options = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(aside(path));
    options?.write_all(bytes)
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

/// Where the end of a log is kept that was cut.
pub(super) fn aside(path: &Path) -> PathBuf {
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
        let last = trim(dir.path()).unwrap();
        assert_eq!(last, ["real1.12.log", "real2.1.log"].map(|name| dir.path().join(name)));
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
        assert_eq!(cut(&path, 12, 4).unwrap(), 2, "so much it may still grow");
        assert_eq!(cut(&path, 10, 4).unwrap(), 0);
        assert_eq!(fs::read(&path).unwrap(), b"0123456789", "not larger than the limit");
        writer.write_all(b"abc").unwrap();
        assert_eq!(cut(&path, 10, 4).unwrap(), 10);
        writer.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(aside(&path)).unwrap(), b"9abc");
        assert_eq!(last_bytes(&path, 100), b"9abcnew");
        assert_eq!(last_bytes(&path, 2), b"ew");
    }

    #[test]
    fn a_log_is_cut_even_if_its_end_cannot_be_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("real1.1.log");
        fs::write(&path, "0123456789").unwrap();
        fs::create_dir(aside(&path)).unwrap();
        assert_eq!(cut(&path, 5, 4).unwrap(), 5);
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_log_that_another_slotd_is_cutting_is_left_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("real1.1.log");
        fs::write(&path, "0123456789").unwrap();
        let other = File::open(&path).unwrap();
        other.lock().unwrap();
        assert_eq!(cut(&path, 5, 4).unwrap(), 5);
        assert_eq!(fs::read(&path).unwrap(), b"0123456789");
        drop(other);
        assert_eq!(cut(&path, 5, 4).unwrap(), 5);
        assert_eq!(fs::read(aside(&path)).unwrap(), b"6789");
    }

    #[test]
    fn a_log_that_cannot_be_cut_keeps_no_other_from_it() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("real1.1.log"), dir.path().join("real2.1.log"));
        std::os::unix::fs::symlink("real1.1.log", &first).unwrap(); // a circle
        File::create(&second).unwrap().set_len(LIMIT + 1).unwrap();
        trim(dir.path()).unwrap_err();
        assert_eq!(fs::metadata(&second).unwrap().len(), 0);
    }
}
