//! What stands where in a configuration, so that a question about one service does not walk through the servers of all.
//!
//! It names candidates: too many do no harm, because whoever asks looks at each of them again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::adapter::nginx::config::Stamp;
use crate::adapter::nginx::lexer::{Directive, Place};

/// Of a server: which `http` of main level, and which directive in it.
pub(super) type At = (usize, usize);

/// Where an `include` stands.
#[derive(Clone, Debug)]
pub(super) struct Stand {
    /// The directive.
    pub(super) at: Place,
    /// The names of the blocks around it, the outermost first.
    pub(super) level: Vec<String>,
    /// What it names.
    pub(super) files: Vec<Arc<Path>>,
}

/// A file, by its name or by what the name led to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Name(PathBuf),
    Inode(u64, u64),
}

fn keys(path: &Path, stamp: Option<Stamp>) -> impl Iterator<Item = Key> {
    let inode = stamp.map(|stamp| stamp.inode()).map(|(dev, ino)| Key::Inode(dev, ino));
    std::iter::once(Key::Name(path.to_owned())).chain(inode)
}

/// The index of one reading.
#[derive(Debug, Default)]
pub(super) struct Index {
    stands: Vec<Stand>,
    includes: BTreeMap<Key, BTreeSet<usize>>,
    files: BTreeMap<Key, BTreeSet<At>>,
    variables: BTreeMap<String, BTreeSet<At>>,
}

impl Index {
    /// Walks through all of it once.
    pub(super) fn of(tree: &[Directive], files: &BTreeMap<Arc<Path>, Option<Stamp>>) -> Self {
        let mut index = Self::default();
        index.walk(tree, files, &mut Vec::new(), None);
        index
    }

    fn walk(
        &mut self,
        list: &[Directive],
        files: &BTreeMap<Arc<Path>, Option<Stamp>>,
        around: &mut Vec<(String, usize)>,
        server: Option<At>,
    ) {
        for (position, directive) in list.iter().enumerate() {
            self.note(directive, files, around, server);
            let Some(block) = &directive.block else { continue };
            let server = match around.as_slice() {
                [(http, at)] if http == "http" && directive.name == "server" => Some((*at, position)),
                _ => server,
            };
            around.push((directive.name.clone(), position));
            self.walk(block, files, around, server);
            around.pop();
        }
    }

    fn note(
        &mut self,
        directive: &Directive,
        files: &BTreeMap<Arc<Path>, Option<Stamp>>,
        around: &[(String, usize)],
        server: Option<At>,
    ) {
        if !directive.files.is_empty() {
            let level = around.iter().map(|(name, _)| name.clone()).collect();
            self.stands.push(Stand { at: directive.at.clone(), level, files: directive.files.clone() });
        }
        for key in directive.files.iter().flat_map(|file| keys(file, files.get(file).copied().flatten())) {
            self.includes.entry(key.clone()).or_default().insert(self.stands.len() - 1);
            self.files.entry(key).or_default().extend(server);
        }
        for variable in directive.args.iter().flat_map(|argument| variables(argument)) {
            self.variables.entry(variable).or_default().extend(server);
        }
    }

    /// Every `include` that may name this file.
    pub(super) fn including<'a>(&'a self, file: &Path) -> impl Iterator<Item = &'a Stand> {
        let found: BTreeSet<usize> =
            keys(file, Stamp::of(file)).filter_map(|key| self.includes.get(&key)).flatten().copied().collect();
        found.into_iter().filter_map(|at| self.stands.get(at))
    }

    /// Every server that may include this file or use this variable, in the order of the configuration.
    pub(super) fn servers(&self, file: &Path, variable: &str) -> BTreeSet<At> {
        let by_file = keys(file, Stamp::of(file)).filter_map(|key| self.files.get(&key));
        by_file.chain(self.variables.get(&variable.to_ascii_lowercase())).flatten().copied().collect()
    }
}

/// The names behind the dollar signs of an argument, lowered: nginx knows no case in them.
fn variables(argument: &str) -> impl Iterator<Item = String> {
    argument.split('$').skip(1).map(|rest| {
        let name = rest.trim_start_matches('{');
        name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>().to_ascii_lowercase()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::nginx::lexer;

    #[test]
    fn servers_are_found_by_file_and_by_variable_and_includes_with_their_level() {
        let text = "http { server { listen 1; } server { proxy_pass ${Url}/x; } server { location / { set $a http://$url; } } }";
        let tree = lexer::parse(text, Path::new("/f")).unwrap();
        let index = Index::of(&tree, &BTreeMap::new());
        assert_eq!(index.servers(Path::new("/none"), "URL").into_iter().collect::<Vec<_>>(), [(0, 1), (0, 2)]);
        assert_eq!(index.servers(Path::new("/none"), "ur"), BTreeSet::new());

        let mut tree = lexer::parse("http { server { location / { include a; } } }", Path::new("/f")).unwrap();
        let location = &mut tree[0].block.as_mut().unwrap()[0].block.as_mut().unwrap()[0];
        location.block.as_mut().unwrap()[0].files = vec![Arc::from(Path::new("/a"))];
        let index = Index::of(&tree, &BTreeMap::new());
        assert_eq!(index.servers(Path::new("/a"), "x").into_iter().collect::<Vec<_>>(), [(0, 0)]);
        let level: Vec<_> = index.including(Path::new("/a")).map(|stand| stand.level.join(" ")).collect();
        assert_eq!(level, ["http server location"]);
    }
}
