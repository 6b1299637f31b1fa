//! Why a process ended, as far as the end of its log tells. A hint for people and for pacing, never the proof of anything.

use std::path::Path;

use crate::adapter::log_files;
use crate::model::observed::{Exit, ExitCause};

/// How much of a log is looked at, in bytes: the failure of a context with its longest stack traces has some 30 KiB.
const LOOKED_AT: u64 = 64 * 1024;

/// Lines shown to a person: the report of Spring Boot's failure analysis has about ten.
const SHOWN: usize = 20;

/// A longer line is cut, in characters: some applications log whole documents.
const LINE: usize = 400;

/// Reads the end of a log.
pub(super) fn exit(log: &Path) -> Exit {
    let bytes = log_files::last_bytes(log, LOOKED_AT);
    let text = String::from_utf8_lossy(&bytes);
    let cause = if text.lines().any(says_in_use) { ExitCause::AddressInUse } else { ExitCause::Itself };
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let tail = lines[lines.len().saturating_sub(SHOWN)..].iter().map(|line| shown(line)).collect();
    Exit { cause, tail }
}

/// The words of the JDK (`BindException`), and those of Spring Boot (`PortInUseFailureAnalyzer`, `PortInUseException`,
/// `ConnectorStartFailureAnalyzer`).
fn says_in_use(line: &str) -> bool {
    line.contains("Address already in use") || line.contains("The port may already be in use") || says_port_in_use(line)
}

/// `Port 8081 was already in use`, or `is`.
fn says_port_in_use(line: &str) -> bool {
    line.match_indices("Port ").any(|(at, word)| {
        let rest = line[at + word.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
        rest.starts_with(" was already in use") || rest.starts_with(" is already in use")
    })
}

/// Escape sequences of a coloured log would reach the terminal of whoever reads our report.
fn shown(line: &str) -> String {
    line.chars().filter(|c| !c.is_control() || *c == '\t').take(LINE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Exit {
        let log = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(log.path(), text).unwrap();
        exit(log.path())
    }

    #[test]
    fn a_port_in_use_is_recognised_in_the_words_of_boot_and_of_the_jdk() {
        for text in [
            "***\nAPPLICATION FAILED TO START\n***\nWeb server failed to start. Port 8081 was already in use.\n",
            "Caused by: org.springframework.boot.web.server.PortInUseException: Port 8081 is already in use",
            "java.net.BindException: Address already in use",
            "configured to listen on port 80 failed to start. The port may already be in use or the connector",
        ] {
            assert_eq!(of(text).cause, ExitCause::AddressInUse, "{text}");
        }
        assert_eq!(of("the name bob is already in use\nPort authority was closed").cause, ExitCause::Itself);
    }

    #[test]
    fn the_last_twenty_lines_are_shown_without_escapes() {
        let many: String = (0..50).map(|n| format!("\x1b[31mline {n}\n\n")).collect();
        let tail = of(&many).tail;
        assert_eq!((tail.len(), tail[0].as_str(), tail[19].as_str()), (20, "[31mline 30", "[31mline 49"));
        assert!(exit(Path::new("/nonexistent/log")).tail.is_empty());
    }
}
