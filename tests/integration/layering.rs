//! The shape of the code: who imports whom, what the pure layers may not touch, and how long things may get.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use crate::support::{golden, read, repository};

/// Who may import whom, lowest layer first; a module may import only from above its own line, which rules cycles out.
const ALLOWED: [(&str, &[&str]); 13] = [
    ("model", &[]),
    ("manifest", &["model"]),
    ("plan", &["model"]),
    ("doctor", &["model"]),
    ("host", &["model"]),
    ("event", &["model", "plan"]),
    ("observe", &["model", "host"]),
    ("adapter", &["model", "host"]),
    ("execute", &["model", "plan", "host", "event"]),
    ("report", &["model", "manifest", "plan", "event", "doctor"]),
    ("reconcile", &["model", "plan", "host", "event", "observe", "execute"]),
    ("controller", &["model", "plan", "host", "event", "observe", "reconcile"]),
    (
        "cli",
        &[
            "model",
            "manifest",
            "plan",
            "doctor",
            "host",
            "event",
            "observe",
            "adapter",
            "execute",
            "report",
            "reconcile",
            "controller",
        ],
    ),
];
/// Layers 0 and 1: no I/O, no clock, no log.
const PURE: [&str; 5] = ["model", "manifest", "plan", "doctor", "host"];
const BANNED: [&str; 10] =
    ["std::fs", "fs", "Command::new", "tokio", "Instant::now", "SystemTime::now", "tracing", "std::env", "reqwest", "nix"];
/// Names that say nothing about what is inside.
const NAMELESS: [&str; 7] = ["utils", "util", "common", "helpers", "errors", "types", "imp"];
const LONGEST_FUNCTION: usize = 60;
const LONGEST_FILE: usize = 420;

/// A file of `src` without comments, texts and tests.
struct Source {
    /// Below `src`: `plan/step.rs`.
    path: String,
    /// Code lines as they are, for counting.
    lines: Vec<String>,
    /// The same without comments and the insides of texts.
    bare: Vec<String>,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let lines = without_tests(text);
        let bare = lines.iter().map(|line| without_words(line)).collect();
        Self { path: path.to_owned(), lines, bare }
    }

    /// `plan::step` as `["plan", "step"]`.
    fn module(&self) -> Vec<&str> {
        let stem = self.path.trim_end_matches(".rs");
        stem.split('/').filter(|part| *part != "mod").collect()
    }

    fn top(&self) -> &str {
        self.module().first().copied().unwrap_or_default()
    }

    /// The top-level modules that the code names, each as often as it does.
    fn imports(&self) -> Vec<String> {
        let text = self.bare.join("\n");
        let root = "super::".repeat(self.module().len());
        let by_name = text.match_indices("crate::").map(|(at, found)| at + found.len());
        // As many `super::` as the module is deep lead to the root too, and would go unseen.
        let by_super = text.match_indices(&root).map(|(at, found)| at + found.len());
        by_name.chain(by_super).flat_map(|at| first_segments(&text[at..])).filter(|name| name != self.top()).collect()
    }
}

/// `a::b` is `a`; `{a::b, c::{d, e}}` is `a` and `c`.
fn first_segments(text: &str) -> Vec<String> {
    let ident = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = text.strip_prefix('{') else { return vec![ident(text)] };
    let (mut depth, mut found, mut expects) = (1, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => expects = true,
            c if expects && !c.is_whitespace() => {
                found.push(ident(&group[at..]));
                expects = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

/// Leaves `#[cfg(test)]` items out. The code is rustfmt's, so what begins at one indentation ends at it.
fn without_tests(text: &str) -> Vec<String> {
    let mut kept = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if !line.trim_start().starts_with("#[cfg(test)]") {
            kept.push(line.to_owned());
            continue;
        }
        let closes =
            |l: &str| l == format!("{indent}}}") || (l.ends_with(';') && !l[indent.len().min(l.len())..].starts_with(' '));
        lines.by_ref().find(|l| closes(l));
    }
    kept
}

/// Blanks out comments and the insides of one-line texts.
fn without_words(line: &str) -> String {
    let mut bare = String::new();
    let (mut inside, mut escaped) = (false, false);
    for (at, c) in line.char_indices() {
        if !inside && line[at..].starts_with("//") {
            break;
        }
        let quote = c == '"' && !escaped && !line[..at].ends_with('\'');
        inside ^= quote;
        escaped = c == '\\' && !escaped;
        if !inside || quote {
            bare.push(c);
        }
    }
    bare
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&repository("src"), &mut found);
    found.sort();
    let root = repository("src");
    let below = found.iter().map(|path| path.strip_prefix(&root).unwrap().display().to_string());
    below.filter(|path| !path.ends_with("tests.rs")).map(|path| Source::new(&path, &read(&format!("src/{path}")))).collect()
}

fn collect(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Which top-level module names which, and how often.
fn graph(sources: &[Source]) -> BTreeMap<(String, String), usize> {
    let mut edges = BTreeMap::new();
    for source in sources.iter().filter(|s| !["lib", "main"].contains(&s.top())) {
        for import in source.imports() {
            *edges.entry((source.top().to_owned(), import)).or_default() += 1;
        }
    }
    edges
}

fn allowed(from: &str, to: &str) -> bool {
    ALLOWED.iter().any(|(name, may)| *name == from && may.contains(&to))
}

/// What is wrong with the imports.
fn upward(edges: &BTreeMap<(String, String), usize>) -> Vec<String> {
    let bad = edges.keys().filter(|(from, to)| !allowed(from, to));
    bad.map(|(from, to)| format!("{from} may not import {to}")).collect()
}

/// A module from which a chain of imports leads back to it.
fn cycle(edges: &BTreeMap<(String, String), usize>) -> Option<String> {
    let next = |from: &str| edges.keys().filter(move |(f, _)| f == from).map(|(_, to)| to.clone()).collect::<Vec<_>>();
    edges.keys().map(|(from, _)| from.clone()).find(|from| {
        let (mut seen, mut open) = (BTreeSet::new(), next(from));
        while let Some(module) = open.pop() {
            if seen.insert(module.clone()) {
                open.extend(next(&module));
            }
        }
        seen.contains(from)
    })
}

fn banned(source: &Source) -> Vec<String> {
    let says = |line: &str, token: &str| {
        let part = |c: char| c.is_alphanumeric() || c == '_';
        line.match_indices(token).any(|(at, _)| !line[..at].ends_with(part) && !line[at + token.len()..].starts_with(part))
    };
    let line_says = |line: &String| BANNED.iter().find(|token| says(line, token)).map(|token| (line.trim().to_owned(), token));
    let found = source.bare.iter().filter_map(line_says);
    found.map(|(line, token)| format!("src/{}: {token} in a pure layer: {line}", source.path)).collect()
}

/// A function with its length, from its first line to its closing brace.
struct Function {
    name: String,
    lines: usize,
}

fn functions(source: &Source) -> Vec<Function> {
    let lines = &source.lines;
    let begins = |line: &str| {
        let code = line.trim_start();
        let words = ["pub ", "pub(crate) ", "pub(super) ", "const ", "async ", "unsafe "];
        let bare = words.iter().fold(code, |rest, word| rest.strip_prefix(word).unwrap_or(rest));
        bare.strip_prefix("fn ").map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>())
    };
    let mut found = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let Some(name) = begins(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let ends = |l: &String| {
            let here = l.starts_with(indent) && !l[indent.len()..].starts_with(' ');
            here && (l.trim_end() == format!("{indent}}}") || l.ends_with(';') || l.ends_with("{}"))
        };
        let oneline = line.ends_with(';') || line.ends_with('}');
        let length = if oneline { 0 } else { lines[i + 1..].iter().position(ends).map_or(0, |at| at + 1) };
        found.push(Function { name: format!("src/{}: {name}", source.path), lines: length + 1 });
    }
    found
}

#[test]
fn imports_point_downwards() {
    let edges = graph(&sources());
    let mut text = String::new();
    for ((from, to), count) in &edges {
        println!("{from} -> {to} ({count})");
        writeln!(text, "{from} -> {to}").unwrap();
    }
    assert_eq!(upward(&edges), [""; 0]);
    assert_eq!(cycle(&edges), None, "a cycle through this module");
    golden("layering.txt", &text);
}

#[test]
fn the_map_in_lib_rs_says_the_same() {
    let map = read("src/lib.rs");
    for (name, may) in ALLOWED {
        let row = map.lines().find(|line| line.starts_with("//! |") && line.contains(&format!("[`{name}`]")));
        let row = row.unwrap_or_else(|| panic!("no row for {name}"));
        let said = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap().trim();
        assert!(said == may.join(", ") || ["nothing of ours", "all"].contains(&said), "{name}: {said}");
    }
}

#[test]
fn lib_rs_is_a_map_and_no_door() {
    let lib = Source::new("lib.rs", &read("src/lib.rs"));
    assert!(!lib.bare.iter().any(|line| line.contains("pub use")), "no re-exports: a name has one home");
    let code = lib.bare.iter().filter(|line| !line.trim().is_empty());
    assert_eq!(code.filter(|line| !line.starts_with("pub mod ") && !line.starts_with("#![")).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_module_is_named_after_what_it_does() {
    let sources = sources();
    let bad = sources.iter().filter(|s| s.module().iter().any(|part| NAMELESS.contains(part)));
    assert_eq!(bad.map(|s| s.path.as_str()).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn the_pure_layers_touch_nothing() {
    let found: Vec<String> = sources().iter().filter(|s| PURE.contains(&s.top())).flat_map(banned).collect();
    assert_eq!(found, [""; 0]);
}

#[test]
fn functions_and_files_stay_short() {
    let sources = sources();
    let mut functions: Vec<Function> = sources.iter().flat_map(functions).collect();
    functions.sort_by_key(|f| f.lines);
    let longest_file = sources.iter().max_by_key(|s| s.lines.len()).unwrap();
    let over = functions.iter().filter(|f| f.lines > 30).count();
    if let Some(longest) = functions.last() {
        println!("longest function: {} ({} lines)", longest.name, longest.lines);
    }
    println!("longest file: src/{} ({} lines)", longest_file.path, longest_file.lines.len());
    println!("functions over 30 lines: {over} of {} ({}%)", functions.len(), over * 100 / functions.len().max(1));
    println!("all: {} lines in {} files", sources.iter().map(|s| s.lines.len()).sum::<usize>(), sources.len());
    let long = functions.iter().filter(|f| f.lines > LONGEST_FUNCTION).map(|f| format!("{} has {} lines", f.name, f.lines));
    assert_eq!(long.collect::<Vec<_>>(), [""; 0]);
    let long = sources.iter().filter(|s| s.lines.len() > LONGEST_FILE).map(|s| format!("{}: {}", s.path, s.lines.len()));
    assert_eq!(long.collect::<Vec<_>>(), [""; 0]);
}

/// The checks above, on code that breaks every rule.
#[test]
fn the_checks_see_what_they_are_for() {
    let text = "use crate::{cli::args::Args, model::{id::Port, route}};\nfn f() {\n    crate::adapter::go();\n    super::super::plan::x();\n}\n";
    let source = Source::new("plan/step.rs", text);
    assert_eq!(source.imports(), ["cli", "model", "adapter"]);
    assert_eq!(upward(&graph(&[source])), ["plan may not import adapter", "plan may not import cli"]);

    let back = [Source::new("plan.rs", "use crate::event::E;"), Source::new("event.rs", "use super::plan::P;")];
    assert_eq!(cycle(&graph(&back)).as_deref(), Some("event"));

    let impure = "use std::fs;\n// std::fs in a comment\nlet x = \"tokio in a text\";\nInstant::now();\nCommandLine::new(x);\n";
    assert_eq!(banned(&Source::new("plan/x.rs", impure)).len(), 2);

    let body = "    x();\n".repeat(61);
    let long = format!(
        "impl A {{\n    fn short(&self) {{}}\n    fn decl(&self);\n}}\npub(super) fn long(\n    a: u8,\n) {{\n{body}}}\n"
    );
    let seen: Vec<(String, usize)> = functions(&Source::new("x.rs", &long)).into_iter().map(|f| (f.name, f.lines)).collect();
    let expected = [("src/x.rs: short", 1), ("src/x.rs: decl", 1), ("src/x.rs: long", 65)];
    assert_eq!(seen, expected.map(|(name, lines)| (name.to_owned(), lines)));

    let tested = "fn a() {}\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\nfn b() {}\n#[cfg(test)]\nmod more;\nfn c() {}\n";
    assert_eq!(without_tests(tested), ["fn a() {}", "fn b() {}", "fn c() {}"]);
}
