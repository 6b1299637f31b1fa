//! Ledgers and histories as files: `STATE/services/<name>/ledger.json` and `…/history.jsonl`, readable by us alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::adapter::{LinuxHost, files, log_files};
use crate::host::ledgers::{HistoryLine, LedgerError, Ledgers};
use crate::model::id::{ServiceName, SlotName};
use crate::model::ledger::{FORMAT, Ledger};

const LEDGER: &str = "ledger.json";
const HISTORY: &str = "history.jsonl";
const LOGS: &str = "logs";

impl Ledgers for LinuxHost {
    fn names(&self) -> Result<Vec<ServiceName>, LedgerError> {
        let services = self.services();
        let entries = match fs::read_dir(&services) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(io_error("list", &services))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(io_error("list", &services))?;
            // A retired one has a dot in its name, which no service has.
            let name = entry.file_name().into_string().ok().filter(|name| !name.contains('.'));
            names.extend(name.filter(|_| entry.path().join(LEDGER).exists()).map(ServiceName::new));
        }
        names.sort();
        Ok(names)
    }

    fn load(&self, service: &ServiceName) -> Result<Ledger, LedgerError> {
        let path = self.service(service).join(LEDGER);
        match fs::read(&path) {
            Ok(content) => parse(&path, &content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ledger::default()),
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }

    fn commit(&self, service: &ServiceName, ledger: &Ledger) -> Result<(), LedgerError> {
        let folder = self.service(service);
        let path = folder.join(LEDGER);
        let mut content = serde_json::to_vec_pretty(ledger).map_err(|e| io_error("write", &path)(e.into()))?;
        content.push(b'\n');
        make(&folder)?;
        files::replace(&path, &content, 0o600).map_err(io_error("write", &path))
    }

    fn append(&self, service: &ServiceName, line: &HistoryLine) -> Result<(), LedgerError> {
        let folder = self.service(service);
        let path = folder.join(HISTORY);
        let mut content = serde_json::to_vec(line).map_err(|e| io_error("write", &path)(e.into()))?;
        content.push(b'\n');
        make(&folder)?;
        append_whole(&path, &content).map_err(io_error("append to", &path))
    }

    fn history(&self, service: &ServiceName) -> Result<Vec<HistoryLine>, LedgerError> {
        let path = self.service(service).join(HISTORY);
        let content = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(io_error("read", &path))?,
        };
        let whole = content.rfind('\n').map_or("", |end| &content[..end]);
        let lines = whole.lines().enumerate().filter(|(_, line)| !line.is_empty());
        lines.map(|(index, line)| history_line(&path, index + 1, line)).collect()
    }

    fn rename(&self, from: &ServiceName, to: &ServiceName) -> Result<(), LedgerError> {
        let (old, new) = (self.service(from), self.service(to));
        if new.join(LEDGER).exists() {
            let taken = io::Error::new(io::ErrorKind::AlreadyExists, format!("a service {to} has a ledger already"));
            return Err(io_error("rename", &old)(taken));
        }
        match fs::rename(&old, &new) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(io_error("rename", &old))?,
        }
        self.sync_services()?;
        self.move_logs(&old, &new, to)
    }

    fn retire(&self, service: &ServiceName) -> Result<(), LedgerError> {
        let folder = self.service(service);
        let retired = self.services().join(format!("{service}.retired"));
        if !folder.exists() {
            return Ok(());
        }
        files::or_absent(fs::remove_dir_all(&retired)).map_err(io_error("remove", &retired))?;
        fs::rename(&folder, &retired).map_err(io_error("rename", &folder))?;
        self.sync_services()
    }

    fn next_log(&self, service: &ServiceName, slot: &SlotName) -> PathBuf {
        log_files::next(&self.service(service).join(LOGS), slot)
    }

    fn trim_logs(&self, service: &ServiceName) -> Result<Vec<PathBuf>, LedgerError> {
        let logs = self.service(service).join(LOGS);
        log_files::trim(&logs).map_err(io_error("trim the logs in", &logs))
    }

    fn bound_log(&self, log: &Path) -> Result<u64, LedgerError> {
        log_files::bound(log).map_err(io_error("trim", log))
    }
}

impl LinuxHost {
    /// The folder of a service.
    pub(super) fn service(&self, service: &ServiceName) -> PathBuf {
        self.services().join(service.as_str())
    }

    fn sync_services(&self) -> Result<(), LedgerError> {
        let services = self.services();
        files::sync_dir(&services).map_err(io_error("sync", &services))
    }

    /// The logs moved with their folder, so the records follow; a crash before this only loses the reason of an exit.
    fn move_logs(&self, old: &Path, new: &Path, name: &ServiceName) -> Result<(), LedgerError> {
        let mut ledger = self.load(name)?;
        for record in ledger.slots.values_mut() {
            if let Ok(rest) = record.log.strip_prefix(old) {
                record.log = new.join(rest);
            }
        }
        self.commit(name, &ledger)
    }
}

/// The one field that every format has.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

fn parse(path: &Path, content: &[u8]) -> Result<Ledger, LedgerError> {
    let unreadable = |why: String| LedgerError::Unreadable { path: path.to_owned(), why };
    let head: Head = serde_json::from_slice(content).map_err(|e| unreadable(garbage(&e)))?;
    if head.format > FORMAT {
        let (theirs, path) = (head.format, path.display());
        return Err(unreadable(format!(
            "it has format {theirs} and this slotd knows {FORMAT}; use the slotd that wrote it, or a newer one ({path} is untouched)"
        )));
    }
    let ledger: Ledger = serde_json::from_slice(content).map_err(|e| unreadable(garbage(&e)))?;
    // Whatever it was read from, it is written in our format: an older slotd has to see that it may hold what that one does not know.
    Ok(Ledger { format: FORMAT, ..ledger })
}

/// Without a ledger slotd finds its processes by their cookies, and takes the route from the include.
fn garbage(error: &serde_json::Error) -> String {
    format!("{error}; put back a copy of it, or move it away: slotd then finds its processes by the cookies they carry")
}

fn history_line(path: &Path, number: usize, line: &str) -> Result<HistoryLine, LedgerError> {
    let fault = |e: serde_json::Error| LedgerError::Unreadable { path: path.to_owned(), why: format!("line {number}: {e}") };
    serde_json::from_str(line).map_err(fault)
}

fn make(folder: &Path) -> Result<(), LedgerError> {
    files::private_dir(folder).map_err(io_error("create", folder))
}

/// A line that a crash cut short is removed first: behind it ours would be cut short too.
fn append_whole(path: &Path, line: &[u8]) -> io::Result<()> {
    let is_new = !path.exists();
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let end = end_of_last_line(&mut file)?;
    file.set_len(end)?;
    file.write_all(line)?;
    file.sync_all()?;
    if is_new { files::sync_dir(path.parent().unwrap_or(path)) } else { Ok(()) }
}

fn end_of_last_line(file: &mut File) -> io::Result<u64> {
    let mut content = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut content)?;
    let lines = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    Ok(u64::try_from(lines).unwrap_or(u64::MAX))
}

fn io_error(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LedgerError {
    let path = path.to_owned();
    move |source| LedgerError::Io { act, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::ledgers::Outcome;
    use crate::model::id::{BootId, Generation, Moment, Port};
    use crate::model::ledger::SlotRecord;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    fn place() -> (TempDir, LinuxHost, ServiceName) {
        let dir = tempfile::tempdir().unwrap();
        let host = LinuxHost::new(dir.path().join("state"));
        (dir, host, ServiceName::new("web"))
    }

    fn line(version: &str) -> HistoryLine {
        HistoryLine {
            began: 1,
            ended: 2,
            version: version.to_owned(),
            release: "r1-x".to_owned(),
            slot: "real1".to_owned(),
            outcome: Outcome::Deployed,
            phases: vec![("start".to_owned(), 5)],
            why: None,
            cut: None,
        }
    }

    #[test]
    fn a_service_without_a_ledger_has_a_fresh_one_and_looking_makes_no_folder() {
        let (_dir, host, web) = place();
        assert_eq!(host.load(&web).unwrap(), Ledger::default());
        assert!(host.names().unwrap().is_empty() && host.history(&web).unwrap().is_empty());
        host.retire(&web).unwrap();
        host.trim_logs(&web).unwrap();
        assert!(!host.state().exists());
    }

    #[test]
    fn a_commit_is_read_back_and_clears_what_a_crash_left() {
        let (_dir, host, web) = place();
        let ledger = Ledger { generation: Generation(7), ..Ledger::default() };
        host.commit(&web, &Ledger::default()).unwrap();
        let leftover = host.service(&web).join(".ledger.json.new-abc");
        fs::write(&leftover, "{\"format\":1,\"gen").unwrap();
        host.commit(&web, &ledger).unwrap();
        assert!(!leftover.exists());
        assert_eq!(host.load(&web).unwrap(), ledger);
        assert_eq!(host.names().unwrap(), std::slice::from_ref(&web));
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(host.service(&web).join(LEDGER)), mode(host.service(&web))), (0o600, 0o700));
    }

    #[test]
    fn a_newer_format_and_garbage_are_refused_and_not_overwritten_by_a_look() {
        let (_dir, host, web) = place();
        host.commit(&web, &Ledger::default()).unwrap();
        let path = host.service(&web).join(LEDGER);
        for (content, says) in
            [("{\"format\":3,\"new\":{}}", "format 3"), ("", "move it away"), ("{\"format\":1}", "missing field")]
        {
            fs::write(&path, content).unwrap();
            let error = host.load(&web).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_torn_line_of_the_history_is_left_out_and_the_next_one_is_whole() {
        let (_dir, host, web) = place();
        host.append(&web, &line("1")).unwrap();
        let path = host.service(&web).join(HISTORY);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"began\":3,").unwrap();
        assert_eq!(host.history(&web).unwrap(), [line("1")]);
        host.append(&web, &line("2")).unwrap();
        assert_eq!(host.history(&web).unwrap(), [line("1"), line("2")]);
    }

    #[test]
    fn a_retired_service_keeps_its_history_and_replaces_an_earlier_one() {
        let (_dir, host, web) = place();
        for version in ["1", "2"] {
            host.commit(&web, &Ledger::default()).unwrap();
            host.append(&web, &line(version)).unwrap();
            host.retire(&web).unwrap();
            assert!(host.names().unwrap().is_empty());
        }
        let kept = fs::read_to_string(host.services().join("web.retired/history.jsonl")).unwrap();
        assert!(kept.contains("\"version\":\"2\"") && !kept.contains("\"version\":\"1\""));
    }

    #[test]
    fn a_renamed_service_takes_its_logs_along_and_never_another_ones_place() {
        let (_dir, host, web) = place();
        let slot = SlotName::new("real1");
        let record = SlotRecord {
            port: Port(1),
            release: None,
            version: String::new(),
            cookie: None,
            process: None,
            evidence: None,
            since: Moment(0),
            boot: BootId::new("b"),
            served: false,
            stopping: None,
            killing: None,
            condemned: None,
            thawed: None,
            left: None,
            log: host.next_log(&web, &slot),
        };
        let ledger = Ledger { slots: [(slot.clone(), record)].into(), ..Ledger::default() };
        host.commit(&web, &ledger).unwrap();
        let shop = ServiceName::new("shop");
        host.rename(&web, &shop).unwrap();
        host.rename(&web, &shop).expect_err("shop has a ledger");
        assert_eq!(host.load(&shop).unwrap().slots[&slot].log, host.next_log(&shop, &slot));
        assert_eq!(host.names().unwrap(), [shop]);
    }
}
