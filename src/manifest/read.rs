//! YAML text to a tree with places. Refuses what has no business in a manifest: anchors, aliases, tags, a second document, a key
//! written twice (of which YAML readers keep one or the other), and anything too large to have been written by a person.

use serde_yaml::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput};

use crate::manifest::index::{Content, Entry, Mark, Node, Place, escape};
use crate::manifest::problem::Faults;

/// Room for 200 services that say a great deal each; it bounds time and memory whatever the text is.
const MOST_BYTES: usize = 256 * 1024;
/// The format needs six levels. This bounds the recursion below.
const MOST_LEVELS: usize = 32;
/// The first place of a file.
const TOP: Mark = Mark { line: 1, column: 1 };

/// The tree of a text. `None`: nothing can be made of it, and why is among the faults.
pub(super) fn read(text: &str, faults: &mut Faults) -> Option<Node> {
    let top = Place::default();
    if text.len() > MOST_BYTES {
        faults.add(TOP, &top, format!("expected at most {MOST_BYTES} bytes, found {}; is this a manifest?", text.len()));
        return None;
    }
    match (Reader { parser: Parser::new_from_str_with_options(text, options()), faults }).document() {
        Ok(Some(root)) => Some(root),
        Ok(None) => {
            faults.add(TOP, &top, "expected services, found an empty file; write services: with one service under it");
            None
        }
        Err(error) => {
            let (mark, message) = syntax(text, &error);
            faults.add(mark, &top, message);
            None
        }
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.emit_unresolved_aliases = true;
    options.flow_nesting_limit = MOST_LEVELS;
    options.block_nesting_limit = MOST_LEVELS;
    options
}

/// What a syntax error says, and where. A tab in the indentation is reported as whatever follows from it, so it is looked for.
fn syntax(text: &str, error: &ScanError) -> (Mark, String) {
    let seen = text.lines().take(error.marker().line() + 1);
    let tab = seen.enumerate().find_map(|(i, line)| {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        line.get(..indent)?.find('\t').map(|column| Mark { line: i + 1, column: column + 1 })
    });
    match tab {
        Some(mark) => (mark, "expected spaces, found a tab in the indentation; indent with spaces".to_owned()),
        None => (mark_of(error), format!("expected YAML: {}", escape(&error.info()))),
    }
}

fn mark_of(error: &ScanError) -> Mark {
    Mark { line: error.marker().line().max(1), column: error.marker().col() + 1 }
}

fn start(span: &Span) -> Mark {
    Mark { line: span.start.line().max(1), column: span.start.col() + 1 }
}

/// Builds the tree from the parser's events.
struct Reader<'t, 'f> {
    parser: Parser<'t, StrInput<'t>>,
    faults: &'f mut Faults,
}

impl<'t> Reader<'t, '_> {
    /// The next event; `None` at the end of the text.
    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, ScanError> {
        self.parser.next_event().transpose()
    }

    /// The first document. A second one is a fault.
    fn document(&mut self) -> Result<Option<Node>, ScanError> {
        let mut root: Option<Node> = None;
        while let Some((event, span)) = self.next()? {
            let frame = matches!(event, Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd);
            if frame {
                continue;
            }
            if root.is_some() {
                let message = "expected one document, found a second one after ---; keep one manifest a file";
                self.faults.add(start(&span), &Place::default(), message);
            }
            let node = self.node(event, &span, &Place::default())?;
            root.get_or_insert(node);
        }
        Ok(root)
    }

    /// The node that begins with this event.
    fn node(&mut self, event: Event<'t>, span: &Span, place: &Place) -> Result<Node, ScanError> {
        let mark = start(span);
        if let Some(what) = refused(&event) {
            self.faults.add(mark, place, format!("expected plain YAML, found {what}; write the value out"));
        }
        let content = if let Event::Scalar(text, style, _, tag) = event {
            match (tag, style) {
                (Some(_), _) => Content::Refused,
                (None, ScalarStyle::Plain) => plain(text.into_owned()),
                (None, _) => Content::Text(text.into_owned()),
            }
        } else if matches!(event, Event::SequenceStart(..)) {
            self.list(place)?
        } else if matches!(event, Event::MappingStart(..)) {
            self.map(place)?
        } else {
            Content::Refused // an alias
        };
        Ok(Node { mark, content })
    }

    fn list(&mut self, place: &Place) -> Result<Content, ScanError> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            items.push(self.node(event, &span, &place.item(items.len()))?);
        }
        Ok(Content::List(items))
    }

    fn map(&mut self, place: &Place) -> Result<Content, ScanError> {
        let mut entries: Vec<Entry> = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let Some(entry) = self.entry(event, &span, place)? else { continue };
            if let Some(first) = entries.iter().find(|e| e.key == entry.key) {
                let message = format!("expected each key once, found it again (first on line {}); keep one", first.mark.line);
                self.faults.add(entry.mark, &place.key(&entry.key), message);
            } else {
                entries.push(entry);
            }
        }
        Ok(Content::Map(entries))
    }

    /// A key and its value; `None` when the key is no text, which is a fault.
    fn entry(&mut self, key: Event<'t>, span: &Span, place: &Place) -> Result<Option<Entry>, ScanError> {
        let key_place = place.key(key.scalar().map_or("?", |(text, _)| text));
        let key = self.node(key, span, &key_place)?;
        let Some((event, span)) = self.next()? else { return Ok(None) };
        let text = match key.content {
            Content::Text(text) | Content::Number(text) => text,
            Content::Null | Content::Bool(_) | Content::List(_) | Content::Map(_) => {
                self.faults.add(key.mark, &key_place, "expected a name as the key, found something else; quote it");
                self.node(event, &span, &key_place)?;
                return Ok(None);
            }
            Content::Refused => {
                self.node(event, &span, &key_place)?;
                return Ok(None);
            }
        };
        let node = self.node(event, &span, &place.key(&text))?;
        Ok(Some(Entry { key: text, mark: key.mark, node }))
    }
}

/// What a manifest may not use: a file that is read by people and by tools other than slotd must say what it says in one place.
fn refused(event: &Event<'_>) -> Option<&'static str> {
    if event.is_alias() || matches!(event, Event::UnresolvedAlias(_)) {
        Some("an alias (*)")
    } else if event.anchor_id().is_some_and(|id| id != 0) {
        Some("an anchor (&)")
    } else if event.tag().is_some() {
        Some("a tag (!)")
    } else {
        None
    }
}

/// An unquoted scalar by the core schema of YAML 1.2.
fn plain(text: String) -> Content {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        other if is_number(other) => Content::Number(text),
        _ => Content::Text(text),
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let based = |prefix: &str, radix: u32| {
        text.strip_prefix(prefix).is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix)))
    };
    let special = matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN");
    // Rust also reads "inf" and "nan", which YAML takes for text.
    let decimal = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') && unsigned.parse::<f64>().is_ok();
    special || decimal || based("0x", 16) || based("0o", 8)
}
