//! The shape of a manifest: walks the YAML along the JSON Schema and collects every fault. Knows nothing about the keys but what the
//! schema says, and a few values that a later slotd will take.

use serde_json::{Map, Value};

use crate::manifest::index::{Content, Entry, Mark, Node, Place, escape};
use crate::manifest::problem::Faults;
use crate::manifest::scalar;

/// What is documented elsewhere but not in this version: the type in the schema, the key or the value, what to say.
const NOT_YET: [(&str, &str, &str); 1] =
    [("Jar", "url", "jar.url is not supported by this version; download the jar and name it with jar.path")];

/// The manifest as JSON without what was faulty, or `None` when too little is left to say more about it.
pub(super) fn check(schema: &Value, root: &Node, faults: &mut Faults) -> Option<Value> {
    let mut walk = Walk { root: schema, faults };
    walk.visit(schema, root, &Spot { place: Place::default(), key: root.mark, optional: false })
}

/// Where the walk stands.
struct Spot {
    place: Place,
    /// Where the key is written: a missing key is reported at the key of the map that lacks it.
    key: Mark,
    /// Whether the key could be left out.
    optional: bool,
}

/// What the schema wants at one spot.
struct Want<'s> {
    /// The name of the type, where it has one.
    kind: &'s str,
    schema: &'s Value,
    form: Form<'s>,
    null: bool,
}

enum Form<'s> {
    Object,
    List,
    Integer,
    Bool,
    Text,
    Choice(Vec<&'s str>),
}

struct Walk<'s, 'f> {
    root: &'s Value,
    faults: &'f mut Faults,
}

impl<'s> Walk<'s, '_> {
    /// The value of a node, if it is what the schema wants there. A fault is reported exactly where `None` begins.
    fn visit(&mut self, schema: &'s Value, node: &Node, at: &Spot) -> Option<Value> {
        let want = want(self.root, schema);
        match (&node.content, &want.form) {
            (Content::Refused, _) => None,
            (Content::Null, _) if want.null => Some(Value::Null),
            (Content::Map(entries), Form::Object) => self.object(&want, entries, at),
            (Content::List(items), Form::List) => Some(self.list(&want, items, at)),
            (Content::Number(number), Form::Integer) => self.integer(&want, number, node, at),
            (Content::Bool(value), Form::Bool) => Some(Value::Bool(*value)),
            (Content::Text(text), Form::Text) => self.text(&want, text, node, at),
            (Content::Text(text), Form::Choice(choices)) => self.choice(&want, choices, text, node, at),
            (content, form) => {
                let advice = advice(content, form, want.kind, at.optional);
                self.mismatch(&want, node, at, &advice);
                None
            }
        }
    }

    fn object(&mut self, want: &Want<'s>, entries: &[Entry], at: &Spot) -> Option<Value> {
        let mut map = Map::new();
        for entry in entries {
            self.entry(want, entry, at, &mut map);
        }
        let complete = self.complete(want, entries, at, &mut map);
        self.enough(want, entries, at);
        complete.then_some(Value::Object(map))
    }

    /// One key with its value.
    fn entry(&mut self, want: &Want<'s>, entry: &Entry, at: &Spot, map: &mut Map<String, Value>) {
        let required = want.schema["required"].as_array().is_some_and(|keys| keys.iter().any(|k| k == &entry.key));
        let open = want.schema["additionalProperties"].is_object();
        let spot = Spot { place: at.place.key(&entry.key), key: entry.mark, optional: !required && !open };
        if let Some(schema) = want.schema["properties"].get(&entry.key) {
            map.extend(self.visit(schema, &entry.node, &spot).map(|value| (entry.key.clone(), value)));
        } else if open {
            let named = self.name(want, entry, &spot);
            let value = self.visit(&want.schema["additionalProperties"], &entry.node, &spot);
            map.extend(value.filter(|_| named).map(|value| (entry.key.clone(), value)));
        } else {
            self.unknown(want, entry, at, &spot);
        }
    }

    /// Whether a key that the user chose is a fit name.
    fn name(&mut self, want: &Want<'s>, entry: &Entry, spot: &Spot) -> bool {
        let names = self::want(self.root, &want.schema["propertyNames"]);
        let fit = scalar::check(names.kind, &entry.key);
        if let Err(advice) = &fit {
            let message = format!("expected {}, found {}; {advice}", expected(&names), quoted(&entry.key));
            self.faults.add(entry.mark, &spot.place, message);
        }
        fit.is_ok()
    }

    fn unknown(&mut self, want: &Want<'s>, entry: &Entry, at: &Spot, spot: &Spot) {
        let known: Vec<&str> = keys(want.schema).collect();
        let near = scalar::nearest(&entry.key, &known);
        let message = not_yet(want.kind, &entry.key).unwrap_or_else(|| {
            let hint = near.map(|near| format!("did you mean {near}?"));
            format!(
                "expected one of {}, found an unknown key; {}",
                known.join(", "),
                hint.unwrap_or_else(|| "remove it".to_owned())
            )
        });
        self.faults.add(entry.mark, &spot.place, message);
        if let Some(near) = near {
            self.faults.doubt(at.place.key(near));
        }
    }

    /// Whether every required key has a value, if need be one from the examples, so that the rest can still be checked.
    fn complete(&mut self, want: &Want<'s>, entries: &[Entry], at: &Spot, map: &mut Map<String, Value>) -> bool {
        let mut complete = true;
        let required = want.schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for key in required.filter(|key| !map.contains_key(*key)).collect::<Vec<_>>() {
            self.missing(want, key, entries, at);
            let example = &self::want(self.root, &want.schema["properties"][key]).schema["examples"][0];
            complete &= !example.is_null();
            map.insert(key.to_owned(), example.clone());
        }
        complete
    }

    /// Reports a required key that is not there, unless something stands in its place that has its fault already.
    fn missing(&mut self, want: &Want<'s>, key: &str, entries: &[Entry], at: &Spot) {
        let known: Vec<&str> = keys(want.schema).collect();
        let replaced = entries.iter().any(|e| {
            let slip = !known.contains(&e.key.as_str()) && scalar::nearest(&e.key, &known) == Some(key);
            let instead = key == "path" && not_yet(want.kind, &e.key).is_some(); // jar.url stands for jar.path
            e.key == key || slip || instead
        });
        if !replaced {
            self.faults.add(at.key, &at.place.key(key), "expected this key, found none; add it");
        }
        self.faults.doubt(at.place.key(key));
    }

    fn enough(&mut self, want: &Want<'s>, entries: &[Entry], at: &Spot) {
        let least = want.schema["minProperties"].as_u64().unwrap_or(0);
        if (entries.len() as u64) < least {
            let found = if entries.is_empty() { "none".to_owned() } else { entries.len().to_string() };
            self.faults.add(at.key, &at.place, format!("expected at least {least} under it, found {found}; add what is missing"));
        }
    }

    fn list(&mut self, want: &Want<'s>, items: &[Node], at: &Spot) -> Value {
        let item = |(i, node): (usize, &Node)| {
            let spot = Spot { place: at.place.item(i), key: node.mark, optional: false };
            self.visit(&want.schema["items"], node, &spot)
        };
        Value::Array(items.iter().enumerate().filter_map(item).collect())
    }

    fn integer(&mut self, want: &Want<'s>, text: &str, node: &Node, at: &Spot) -> Option<Value> {
        let (least, most) = range(want.schema);
        let canonical = |n: &u64| n.to_string() == text; // no 0x1F, no 1e3, no 08081: readers disagree about those
        match text.parse::<u64>().ok().filter(canonical) {
            Some(number) if (least..=most).contains(&number) => Some(number.into()),
            Some(_) | None => {
                self.mismatch(want, node, at, "write another number");
                None
            }
        }
    }

    fn text(&mut self, want: &Want<'s>, text: &str, node: &Node, at: &Spot) -> Option<Value> {
        match scalar::check(want.kind, text) {
            Ok(()) => Some(text.into()),
            Err(advice) => {
                self.mismatch(want, node, at, &advice);
                None
            }
        }
    }

    fn choice(&mut self, want: &Want<'s>, choices: &[&str], text: &str, node: &Node, at: &Spot) -> Option<Value> {
        if choices.contains(&text) {
            return Some(text.into());
        }
        match (not_yet(want.kind, text), scalar::nearest(text, choices)) {
            (Some(message), _) => self.faults.add(node.mark, &at.place, message),
            (None, Some(near)) => self.mismatch(want, node, at, &format!("did you mean {near}?")),
            (None, None) => self.mismatch(want, node, at, "choose one of these words"),
        }
        None
    }

    fn mismatch(&mut self, want: &Want<'s>, node: &Node, at: &Spot, advice: &str) {
        // Nothing has no place of its own: show the key that has nothing behind it.
        let mark = if matches!(node.content, Content::Null) { at.key } else { node.mark };
        self.faults.add(mark, &at.place, format!("expected {}, found {}; {advice}", expected(want), found(&node.content)));
    }
}

/// Reads one schema: follows references, and takes "or null" apart.
fn want<'s>(root: &'s Value, schema: &'s Value) -> Want<'s> {
    if let Some(options) = schema["anyOf"].as_array() {
        let some = options.iter().find(|option| option["type"] != "null").unwrap_or(schema);
        return Want { null: true, ..want(root, some) };
    }
    let Some(reference) = schema["$ref"].as_str() else {
        return Want { kind: "", schema, form: form(schema), null: types(schema).any(|name| name == "null") };
    };
    let kind = reference.rsplit('/').next().unwrap_or_default();
    Want { kind, ..want(root, &root["$defs"][kind]) }
}

fn form(schema: &Value) -> Form<'_> {
    let constant = |option: &'_ Value| option["const"].is_string();
    if let Some(options) = schema["oneOf"].as_array().filter(|options| options.iter().all(constant)) {
        return Form::Choice(options.iter().filter_map(|option| option["const"].as_str()).collect());
    }
    match types(schema).find(|name| *name != "null") {
        Some("object") => Form::Object,
        Some("array") => Form::List,
        Some("integer") => Form::Integer,
        Some("boolean") => Form::Bool,
        Some(_) | None => Form::Text,
    }
}

/// `type` of a schema, which is a text or a list of texts.
fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let kind = &schema["type"];
    kind.as_array().into_iter().flatten().chain([kind]).filter_map(Value::as_str)
}

fn keys(schema: &Value) -> impl Iterator<Item = &str> {
    schema["properties"].as_object().into_iter().flat_map(|map| map.keys().map(String::as_str))
}

fn range(schema: &Value) -> (u64, u64) {
    (schema["minimum"].as_u64().unwrap_or(0), schema["maximum"].as_u64().unwrap_or(u64::MAX))
}

fn not_yet(kind: &str, word: &str) -> Option<String> {
    NOT_YET.iter().find(|(k, w, _)| *k == kind && *w == word).map(|(_, _, message)| (*message).to_owned())
}

fn expected(want: &Want<'_>) -> String {
    match &want.form {
        Form::Object => "a map".to_owned(),
        Form::List => "a list".to_owned(),
        Form::Integer => {
            let (least, most) = range(want.schema);
            format!("a whole number from {least} to {most}")
        }
        Form::Bool => "true or false".to_owned(),
        Form::Text => want.schema["title"].as_str().unwrap_or("a text").to_owned(),
        Form::Choice(choices) => choices.join(" or "),
    }
}

fn found(content: &Content) -> String {
    match content {
        Content::Null => "nothing".to_owned(),
        Content::Bool(value) => value.to_string(),
        Content::Number(text) => format!("the number {}", escape(text)),
        Content::Text(text) => quoted(text),
        Content::List(_) => "a list".to_owned(),
        Content::Map(_) => "a map".to_owned(),
        Content::Refused => "something refused".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escape(text))
}

/// What to do about a value of the wrong kind.
fn advice(content: &Content, form: &Form<'_>, kind: &str, optional: bool) -> String {
    match (content, form) {
        (Content::Null, _) if optional => "leave the key out to get its default".to_owned(),
        (Content::Null, _) => "write it behind the key".to_owned(),
        (Content::Text(text), Form::Integer) if text.parse::<u64>().is_ok() => format!("remove the quotes: {text}"),
        (Content::Number(text), Form::Text) => scalar::check(kind, text).err().unwrap_or_else(|| format!("quote it: \"{text}\"")),
        (Content::Bool(value), Form::Text) => format!("quote it: \"{value}\""),
        (_, Form::List) => "write it as in [a, b]".to_owned(),
        (_, Form::Object) => "write key: value lines under it".to_owned(),
        (_, Form::Integer) => "write digits only".to_owned(),
        (_, Form::Bool) => "write true or false, without quotes".to_owned(),
        (_, Form::Choice(_)) => "choose one of these words".to_owned(),
        (_, Form::Text) => "write a single value".to_owned(),
    }
}
