//! The nginx configuration as its files say it, with `include` followed. A missing or broken part is a problem with its place, not
//! an end: at first install our own include is not there yet.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

use glob::{MatchOptions, Pattern};

use crate::adapter::nginx::index::Index;
use crate::adapter::nginx::lexer::{self, Directive, Place};

/// More than any configuration has; a bound against a file that includes itself.
const DEEPEST_INCLUDE: usize = 16;
/// A bound against a pattern that names a whole file system.
const MOST_FILES: usize = 4096;

/// The configuration of one main file.
#[derive(Debug)]
pub(super) struct Config {
    /// Main level; the directives of an included file follow their `include`.
    pub(super) tree: Vec<Directive>,
    /// What could not be read, each with its place.
    pub(super) problems: Vec<Problem>,
    /// Every file that was looked for.
    pub(super) files: Vec<Arc<Path>>,
    /// What stands where.
    pub(super) index: Index,
}

/// A part that could not be read.
#[derive(Debug)]
pub(super) struct Problem {
    /// The file that could not be read.
    pub(super) file: Arc<Path>,
    /// Where that shows; `None`: it is the main file.
    pub(super) at: Option<Place>,
    /// What is wrong, without the place.
    pub(super) what: String,
}

impl Config {
    /// The arguments of the last directive of this name at main level.
    pub(super) fn main(&self, name: &str) -> Option<&[String]> {
        self.tree.iter().rev().find(|d| d.name == name).map(|d| d.args.as_slice())
    }
}

/// Tells whether a file is the one that was read: ctime moves with every write, even one that puts mtime back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    dev: u64,
    ino: u64,
    len: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl Stamp {
    /// The stamp of a file; `None`: not there, or not to be seen.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let m = fs::metadata(path).ok()?;
        let (mtime, ctime) = ((m.mtime(), m.mtime_nsec()), (m.ctime(), m.ctime_nsec()));
        Some(Self { dev: m.dev(), ino: m.ino(), len: m.len(), mtime, ctime })
    }

    /// Which file it is, by whatever name.
    pub(super) fn inode(&self) -> (u64, u64) {
        (self.dev, self.ino)
    }
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// By main file.
    readings: BTreeMap<PathBuf, Reading>,
    /// The main files whose reading was compared with the disk in the look that is under way; `None`: none is.
    compared: Option<BTreeSet<PathBuf>>,
}

impl Kept {
    /// Until [`Self::look_ends`] each configuration is compared with the disk once: with many services on many files that would
    /// else be most of a look.
    pub(super) fn look_begins(&mut self) {
        self.compared = Some(BTreeSet::new());
    }

    /// From now on each question compares.
    pub(super) fn look_ends(&mut self) {
        self.compared = None;
    }

    fn current(&self, main: &Path) -> Option<Arc<Config>> {
        let reading = self.readings.get(main)?;
        let compared = self.compared.as_ref().is_some_and(|compared| compared.contains(main));
        (compared || reading.holds()).then(|| reading.config.clone())
    }
}

/// One reading and what it rested on.
#[derive(Debug)]
pub(super) struct Reading {
    files: BTreeMap<Arc<Path>, Option<Stamp>>,
    patterns: BTreeMap<String, Vec<Arc<Path>>>,
    config: Arc<Config>,
}

impl Reading {
    fn holds(&self) -> bool {
        self.files.iter().all(|(path, stamp)| Stamp::of(path) == *stamp)
            && self.patterns.iter().all(|(pattern, files)| expand(pattern).is_ok_and(|now| now == *files))
    }
}

/// The configuration of a main file; read again only when one of its files, or what one of its patterns names, has changed.
pub(super) fn load(kept: &Mutex<Kept>, main: &Path) -> Arc<Config> {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let config = kept.current(main).unwrap_or_else(|| {
        let reading = read(main);
        let config = reading.config.clone();
        kept.readings.insert(main.to_owned(), reading);
        config
    });
    if let Some(compared) = &mut kept.compared {
        compared.insert(main.to_owned());
    }
    config
}

fn read(main: &Path) -> Reading {
    let folder = folder_of(main).to_owned();
    let mut reader = Reader { folder, files: BTreeMap::new(), patterns: BTreeMap::new(), problems: Vec::new() };
    let tree = reader.file(&Arc::from(main), None, 0);
    let files = reader.files.keys().cloned().collect();
    let index = Index::of(&tree, &reader.files);
    let config = Arc::new(Config { tree, problems: reader.problems, files, index });
    Reading { files: reader.files, patterns: reader.patterns, config }
}

/// nginx takes the folder of the main file for `include`, whatever -p says (src/core/nginx.c, `ngx_process_options`).
fn folder_of(main: &Path) -> &Path {
    main.parent().unwrap_or(Path::new("/"))
}

struct Reader {
    folder: PathBuf,
    files: BTreeMap<Arc<Path>, Option<Stamp>>,
    patterns: BTreeMap<String, Vec<Arc<Path>>>,
    problems: Vec<Problem>,
}

impl Reader {
    fn file(&mut self, path: &Arc<Path>, from: Option<&Place>, depth: usize) -> Vec<Directive> {
        // Stamped before it is read: a change in between shows as a change afterwards.
        self.files.insert(path.clone(), Stamp::of(path));
        if depth > DEEPEST_INCLUDE || self.files.len() > MOST_FILES {
            self.problem(path, from.cloned(), "includes without an end".to_owned());
            return Vec::new();
        }
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => {
                self.problem(path, from.cloned(), format!("cannot read {}: {error}", path.display()));
                return Vec::new();
            }
        };
        match lexer::parse(&text, path) {
            Ok(directives) => self.follow(directives, depth),
            Err(fault) => {
                self.problem(path, Some(Place { file: path.clone(), line: fault.line }), fault.what.to_owned());
                Vec::new()
            }
        }
    }

    fn follow(&mut self, directives: Vec<Directive>, depth: usize) -> Vec<Directive> {
        let mut out = Vec::new();
        for mut directive in directives {
            directive.block = directive.block.map(|block| self.follow(block, depth));
            let pattern = directive.args.first().filter(|_| directive.name == "include").cloned();
            let Some(pattern) = pattern else {
                out.push(directive);
                continue;
            };
            directive.files = self.named(&pattern, &directive.at);
            let (from, files) = (directive.at.clone(), directive.files.clone());
            out.push(directive);
            for file in &files {
                out.extend(self.file(file, Some(&from), depth + 1));
            }
        }
        out
    }

    /// A name without wildcards must be there; a pattern may name nothing.
    /// <https://nginx.org/en/docs/ngx_core_module.html#include>
    fn named(&mut self, pattern: &str, at: &Place) -> Vec<Arc<Path>> {
        let path = self.folder.join(pattern);
        if !pattern.contains(['*', '?', '[']) {
            return vec![Arc::from(path)];
        }
        let pattern = path.to_string_lossy().into_owned();
        match expand(&pattern) {
            Ok(files) => {
                self.patterns.insert(pattern, files.clone());
                files
            }
            Err(why) => {
                self.problem(&Arc::from(path), Some(at.clone()), format!("cannot follow the pattern {pattern}: {why}"));
                Vec::new()
            }
        }
    }

    fn problem(&mut self, file: &Arc<Path>, at: Option<Place>, what: String) {
        self.problems.push(Problem { file: file.clone(), at, what });
    }
}

/// As glob(3) does for nginx: no leading dot, no slash by a wildcard.
const AS_NGINX: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// What a pattern names, sorted.
fn expand(pattern: &str) -> Result<Vec<Arc<Path>>, String> {
    let paths = glob::glob_with(pattern, AS_NGINX).map_err(|error| error.msg.to_owned())?;
    let paths: Result<Vec<_>, io::Error> = paths.map(|path| path.map(Arc::from).map_err(io::Error::from)).collect();
    paths.map_err(|error| error.to_string())
}

/// Whether an `include` of this configuration takes a file in, which need not be there yet.
pub(super) fn takes_in(main: &Path, include: &Directive, file: &Path) -> bool {
    let pattern = include.args.first().filter(|_| include.name == "include").map(|pattern| folder_of(main).join(pattern));
    let pattern = pattern.and_then(|pattern| Pattern::new(&pattern.to_string_lossy()).ok());
    let will_name = || pattern.is_some_and(|pattern| pattern.matches_path_with(file, AS_NGINX));
    include.files.iter().any(|named| same_file(named, file)) || will_name()
}

/// Whether two names are one file, as far as the links on the way can be followed.
pub(super) fn same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(config: &Config) -> Vec<&str> {
        config.tree.iter().map(|d| d.name.as_str()).collect()
    }

    #[test]
    fn includes_are_followed_in_order_and_changes_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        put("main.conf", "a; include *.inc; include gone; z;");
        put("2.inc", "two;");
        put("1.inc", "one;");
        put(".hidden.inc", "hidden;");
        let kept = Mutex::new(Kept::default());
        let main = dir.path().join("main.conf");
        let first = load(&kept, &main);
        assert_eq!(names(&first), ["a", "include", "one", "two", "include", "z"]);
        let problem = &first.problems[0];
        assert!(problem.at.as_ref().is_some_and(|at| at.line == 1) && problem.what.starts_with("cannot read"), "{problem:?}");
        assert!(Arc::ptr_eq(&first, &load(&kept, &main)), "unchanged files are not read again");

        put("1.inc", "uno;");
        assert_eq!(names(&load(&kept, &main)), ["a", "include", "uno", "two", "include", "z"]);
        put("gone", "here;");
        put("3.inc", "three;");
        let last = load(&kept, &main);
        assert_eq!(names(&last), ["a", "include", "uno", "two", "three", "include", "here", "z"]);
        assert!(last.problems.is_empty());
    }

    #[test]
    fn within_a_look_a_configuration_is_compared_with_the_disk_once() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("main.conf");
        fs::write(&main, "a;").unwrap();
        let kept = Mutex::new(Kept::default());
        load(&kept, &main);
        kept.lock().unwrap().look_begins();
        fs::write(&main, "b; b;").unwrap();
        assert_eq!(names(&load(&kept, &main)), ["b", "b"], "what was read before the look is compared in it");
        fs::write(&main, "c;").unwrap();
        assert_eq!(names(&load(&kept, &main)), ["b", "b"]);
        kept.lock().unwrap().look_ends();
        assert_eq!(names(&load(&kept, &main)), ["c"]);
    }

    #[test]
    fn a_file_that_includes_itself_ends() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("main.conf");
        fs::write(&main, "include main.conf;").unwrap();
        assert!(load(&Mutex::new(Kept::default()), &main).problems[0].what.contains("without an end"));
    }
}
