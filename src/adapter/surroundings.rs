//! What the command line reads beside the host: the manifest, standard input, its own environment and user.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A manifest is a few kilobytes; whatever is larger than this is another file, or a device without an end.
const MANIFEST_LIMIT: u64 = 1024 * 1024;

/// The text of a file.
pub fn read_text(path: &Path) -> io::Result<String> {
    text(File::open(path)?)
}

/// The text on standard input.
pub fn stdin() -> io::Result<String> {
    text(io::stdin().lock())
}

fn text(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    source.take(MANIFEST_LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MANIFEST_LIMIT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB, which no manifest is"));
    }
    Ok(text)
}

/// Whether something is there that may be read as a file.
pub fn exists(path: &Path) -> bool {
    path.exists()
}

/// The path from the root, without asking whether anything is there.
pub fn absolute(path: &Path) -> io::Result<PathBuf> {
    std::path::absolute(path)
}

/// The same file by its one true name; the path as it is where there is no such file.
pub fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// The working folder.
pub fn working_folder() -> io::Result<PathBuf> {
    std::env::current_dir()
}

/// A variable of our own environment, where it is set to something.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether we may do everything.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Time since this was called.
pub fn stopwatch() -> impl Fn() -> Duration {
    let began = Instant::now();
    move || began.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_an_end_is_no_manifest() {
        assert_eq!(text(io::repeat(b'a')).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
