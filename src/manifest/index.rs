//! Where everything stands: the YAML as a tree in which each node and each key knows its line and column.

use std::fmt;

/// Line and column, both from 1, as editors count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Key(String),
    Index(usize),
}

/// A path in the manifest: `services.webservice.launch.args[2]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place(Vec<Segment>);

impl Place {
    /// The value of a key below this place.
    pub(super) fn key(&self, key: &str) -> Self {
        self.child(Segment::Key(key.to_owned()))
    }

    /// An item of the list at this place.
    pub(super) fn item(&self, index: usize) -> Self {
        self.child(Segment::Index(index))
    }

    fn child(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }

    /// Whether one of the two holds the other: a fault at either says something about both.
    pub(super) fn touches(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a == b)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the top");
        }
        for (i, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) => write!(f, "{}{}", if i == 0 { "" } else { "." }, word(key))?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A key as part of a path: in quotes when a reader could not tell where it ends.
fn word(key: &str) -> String {
    let plain = !key.is_empty() && !key.contains(|c: char| c.is_whitespace() || c.is_control() || ".[]\"".contains(c));
    if plain { escape(key) } else { format!("\"{}\"", escape(key)) }
}

/// Text of the manifest made fit for one line of a terminal: no control characters, no more than 60 characters.
pub(super) fn escape(text: &str) -> String {
    let mut short: String = text.chars().take(60).flat_map(escape_char).collect();
    if text.chars().count() > 60 {
        short.push('…');
    }
    short
}

/// As `char::escape_debug`, which would also escape both kinds of quotes.
fn escape_char(c: char) -> Vec<char> {
    match c {
        '\'' | '"' => vec![c],
        other => other.escape_debug().collect(),
    }
}

/// A YAML node and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) content: Content,
}

/// What a node is, by the core schema of YAML 1.2.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Nothing, `~` or `null`.
    Null,
    /// Unquoted `true` or `false`.
    Bool(bool),
    /// An unquoted number, as written.
    Number(String),
    /// Anything else that is no collection.
    Text(String),
    /// `- a`
    List(Vec<Node>),
    /// `a: b`, in the order of the file, each key once.
    Map(Vec<Entry>),
    /// Something that was refused while reading (an alias, a tag): it has its fault already.
    Refused,
}

/// A key and what stands behind it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) mark: Mark,
    pub(super) node: Node,
}

impl Node {
    /// The node at a place, if the manifest has written it.
    pub(super) fn find(&self, place: &Place) -> Option<&Node> {
        place.0.iter().try_fold(self, |node, segment| node.step(segment))
    }

    /// Where a place is written or, if a default stands there, the nearest thing around it that is.
    pub(super) fn mark_of(&self, place: &Place) -> Mark {
        let mut node = self;
        let mut mark = self.mark;
        for segment in &place.0 {
            let Some(next) = node.step(segment) else { return mark };
            mark = node.key_mark(segment).unwrap_or(next.mark);
            node = next;
        }
        node.mark
    }

    fn step(&self, segment: &Segment) -> Option<&Node> {
        match (segment, &self.content) {
            (Segment::Key(key), Content::Map(entries)) => entries.iter().find(|e| e.key == *key).map(|e| &e.node),
            (Segment::Index(index), Content::List(items)) => items.get(*index),
            (Segment::Key(_) | Segment::Index(_), _) => None,
        }
    }

    fn key_mark(&self, segment: &Segment) -> Option<Mark> {
        match (segment, &self.content) {
            (Segment::Key(key), Content::Map(entries)) => entries.iter().find(|e| e.key == *key).map(|e| e.mark),
            (Segment::Key(_) | Segment::Index(_), _) => None,
        }
    }
}
