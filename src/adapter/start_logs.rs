//! Reading the logs of the slots: which starts there were, the last lines of one, and how it goes on.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::adapter::log_files;

/// How much of a log is read at once from its end, and at most between two looks at a growing one.
const CHUNK: usize = 64 * 1024;

/// The log of one start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartLog {
    /// The slot.
    pub slot: String,
    /// Which start of the slot, counted from 1.
    pub number: u64,
    /// When it was written last.
    pub written: SystemTime,
    /// The file.
    pub path: PathBuf,
}

/// The logs of a service, by slot and number; none where there is no folder yet.
pub fn start_logs(folder: &Path) -> io::Result<Vec<StartLog>> {
    let entries = match folder.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut logs: Vec<_> = entries.filter_map(|entry| start_log(entry.ok()?.path())).collect();
    logs.sort_by(|a, b| (&a.slot, a.number).cmp(&(&b.slot, b.number)));
    Ok(logs)
}

/// `real1.3.log`; anything else is not ours.
fn start_log(path: PathBuf) -> Option<StartLog> {
    let (slot, number) = path.file_name()?.to_str()?.strip_suffix(".log")?.rsplit_once('.')?;
    let (slot, number) = (slot.to_owned(), number.parse().ok()?);
    let written = path.metadata().and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    Some(StartLog { slot, number, written, path })
}

/// A log that is read from some place on, also while it grows.
#[derive(Debug)]
pub struct LogReader {
    file: File,
    at: u64,
    /// The end of what was cut from it, where lines of that are wanted too.
    before: Option<File>,
}

impl LogReader {
    /// Opens a log so that its last `lines` lines come first; `None`: all of it.
    pub fn open(path: &Path, lines: Option<usize>) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let (at, missing) = start_of(&mut file, lines)?;
        let mut before = if missing == Some(0) { None } else { File::open(log_files::aside(path)).ok() };
        if let Some(before) = &mut before {
            let (at, _) = start_of(before, missing)?;
            before.seek(SeekFrom::Start(at))?;
        }
        Ok(Self { file, at, before })
    }

    /// What came since the last call, at most [`CHUNK`] bytes; empty at the end. A log that was cut is read from its beginning.
    pub fn more(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(CHUNK);
        if let Some(before) = &self.before {
            before.take(CHUNK as u64).read_to_end(&mut bytes)?;
            if !bytes.is_empty() {
                return Ok(bytes);
            }
            self.before = None;
        }
        if self.file.metadata()?.len() < self.at {
            self.at = 0;
        }
        self.file.seek(SeekFrom::Start(self.at))?;
        (&self.file).take(CHUNK as u64).read_to_end(&mut bytes)?;
        self.at += bytes.len() as u64;
        Ok(bytes)
    }
}

/// Where the last `lines` lines begin, and how many are missing before that; `None`: all of them.
fn start_of(file: &mut File, lines: Option<usize>) -> io::Result<(u64, Option<usize>)> {
    let Some(lines) = lines else { return Ok((0, None)) };
    start_of_last(file, lines).map(|(at, missing)| (at, Some(missing)))
}

/// Found from the end: a log may be much larger than what is wanted of it.
fn start_of_last(file: &mut File, lines: usize) -> io::Result<(u64, usize)> {
    let mut end = file.metadata()?.len();
    let mut wanted = lines;
    let mut is_last = true;
    if lines == 0 {
        return Ok((end, 0));
    }
    while end > 0 {
        let size = end.min(CHUNK as u64);
        let begin = end - size;
        let mut bytes = Vec::with_capacity(CHUNK);
        file.seek(SeekFrom::Start(begin))?;
        Read::by_ref(file).take(size).read_to_end(&mut bytes)?;
        for (index, byte) in bytes.iter().enumerate().rev() {
            // The newline that ends the last line begins no line.
            if *byte == b'\n' && !std::mem::take(&mut is_last) {
                wanted -= 1;
                if wanted == 0 {
                    return Ok((begin + index as u64 + 1, 0));
                }
            }
            is_last = false;
        }
        end = begin;
    }
    // The first line has no newline before it.
    Ok((0, wanted - usize::from(!is_last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(content: &str, lines: Option<usize>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("real1.1.log");
        std::fs::write(&path, content).unwrap();
        String::from_utf8(LogReader::open(&path, lines).unwrap().more().unwrap()).unwrap()
    }

    #[test]
    fn the_last_lines_come_first_whether_or_not_the_log_ends_in_a_newline() {
        let said = [
            last("a\nb\nc\n", Some(2)),
            last("a\nb\nc", Some(2)),
            last("a\n", Some(5)),
            last("a\n", Some(0)),
            last("a\n\n", None),
        ];
        assert_eq!(said, ["b\nc\n", "b\nc", "a\n", "", "a\n\n"]);
    }

    #[test]
    fn lines_are_found_across_chunks() {
        let line = "x".repeat(CHUNK - 1);
        assert_eq!(last(&format!("{line}\n{line}\nend\n"), Some(1)), "end\n");
        assert_eq!(last(&format!("first\n{line}{line}\n"), Some(1)).len(), CHUNK, "the rest comes with the next call");
    }

    #[test]
    fn a_log_that_was_cut_is_read_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("real1.1.log");
        std::fs::write(&path, "one\ntwo\n").unwrap();
        let mut log = LogReader::open(&path, None).unwrap();
        assert_eq!(log.more().unwrap(), b"one\ntwo\n");
        std::fs::write(&path, "new\n").unwrap();
        assert_eq!(log.more().unwrap(), b"new\n");
    }

    #[test]
    fn the_lines_before_a_cut_come_first_where_the_log_has_too_few() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("real1.1.log");
        std::fs::write(log_files::aside(&path), "one\ntwo\n").unwrap();
        let all = |log: &str, lines| {
            std::fs::write(&path, log).unwrap();
            let mut reader = LogReader::open(&path, lines).unwrap();
            let said = [reader.more().unwrap(), reader.more().unwrap(), reader.more().unwrap()].concat();
            String::from_utf8(said).unwrap()
        };
        let said = [all("", Some(1)), all("new\n", Some(1)), all("new\n", Some(2)), all("new\n", Some(9)), all("new", None)];
        assert_eq!(said, ["two\n", "new\n", "two\nnew\n", "one\ntwo\nnew\n", "one\ntwo\nnew"]);
    }

    #[test]
    fn only_logs_of_starts_are_listed_in_the_order_of_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["real1.10.log", "real1.9.log", "a.b.2.log", "real1.log", "notes.txt", "real1.x.log"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found: Vec<_> = start_logs(folder.path()).unwrap().into_iter().map(|l| (l.slot, l.number)).collect();
        assert_eq!(found, [("a.b".to_owned(), 2), ("real1".to_owned(), 9), ("real1".to_owned(), 10)]);
        assert_eq!(start_logs(&folder.path().join("none")).unwrap(), []);
    }
}
