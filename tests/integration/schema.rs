//! The JSON Schema and the parser are the same format: what one refuses the other refuses.

use std::path::Path;

use serde_json::{Value, json};
use slotd::manifest;

use crate::manifest::EXHAUSTIVE;
use crate::support::read;

fn schema() -> Value {
    manifest::schema().to_value()
}

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&schema()).expect("a schema")
}

fn value(yaml: &str) -> Value {
    serde_yaml::from_str(yaml).expect("YAML")
}

#[test]
fn the_schema_file_is_current() {
    let expected = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(crate::support::repository("schema/desired.schema.json"), &expected).unwrap();
    }
    let file = read("schema/desired.schema.json");
    assert!(file == expected, "schema/desired.schema.json is stale: cargo run -- schema > schema/desired.schema.json");
}

#[test]
fn every_manifest_that_ships_is_valid() {
    let validator = validator();
    for file in [
        "desired.yaml",
        "examples/minimal.yaml",
        "examples/two-services.yaml",
        "examples/pool.yaml",
        "tests/integration/exhaustive.yaml",
    ] {
        let text = read(file);
        assert_eq!(validator.iter_errors(&value(&text)).map(|e| e.to_string()).collect::<Vec<_>>(), [""; 0], "{file}");
        manifest::parse(&text, Path::new("/srv"), file).unwrap_or_else(|problems| panic!("{problems}"));
    }
}

#[test]
fn every_key_has_a_description() {
    let mut bare = Vec::new();
    undescribed("", &schema(), &mut bare);
    assert_eq!(bare, [""; 0]);
}

fn undescribed(path: &str, schema: &Value, bare: &mut Vec<String>) {
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        if property["description"].as_str().is_none_or(str::is_empty) {
            bare.push(format!("{path}/{key}"));
        }
    }
    for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
        undescribed(name, definition, bare);
    }
}

/// Everywhere in the exhaustive manifest, one thing is spoilt.
#[test]
fn what_the_schema_refuses_the_parser_refuses_and_the_other_way_round() {
    let whole = value(EXHAUSTIVE);
    let validator = validator();
    let mut refused = 0;
    for (what, spoilt) in corruptions(&whole) {
        let by_schema = !validator.is_valid(&spoilt);
        // JSON is YAML.
        let answer = manifest::parse(&serde_json::to_string_pretty(&spoilt).unwrap(), Path::new("/srv"), "spoilt");
        let only_a_rule = answer.as_ref().is_err_and(|problems| problems.list.iter().all(|p| is_rule(&p.message)));
        assert!(by_schema == answer.is_err() || only_a_rule, "{what}: schema refuses: {by_schema}, parser: {answer:?}");
        refused += usize::from(by_schema);
    }
    assert!(refused > 300, "only {refused} were refused");
}

/// Rules between values, and the value of an address, are more than a schema can say.
fn is_rule(message: &str) -> bool {
    ["one of the slots", "at least drain", "more than 0s", "of its own", "a variable of the application", "an IP address"]
        .iter()
        .any(|rule| message.starts_with(&format!("expected {rule}")))
}

fn corruptions(whole: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for pointer in pointers("", whole) {
        let junk = [
            json!(null),
            json!(true),
            json!(7),
            json!(-1),
            json!(70000),
            json!(0),
            json!(1.5),
            json!(""),
            json!("a b\n"),
            json!("{x}"),
            json!("7"),
            json!("7s"),
            json!("/x"),
            json!("x"),
            json!([]),
            json!({}),
            json!(["{slot}"]),
            json!({"zz": 1}),
            json!({"a-b": "c"}),
        ];
        for junk in junk {
            let mut spoilt = whole.clone();
            *spoilt.pointer_mut(&pointer).unwrap() = junk.clone();
            all.push((format!("{pointer} = {junk}"), spoilt));
        }
        let mut more = whole.clone();
        if let Some(map) = more.pointer_mut(&pointer).and_then(Value::as_object_mut) {
            map.insert("Not Known".to_owned(), json!("x"));
            all.push((format!("{pointer} + a key"), more));
        }
        let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
        let mut less = whole.clone();
        if less.pointer_mut(parent).and_then(Value::as_object_mut).and_then(|map| map.shift_remove(key)).is_some() {
            all.push((format!("- {pointer}"), less));
        }
    }
    all
}

/// Every place of a document.
fn pointers(at: &str, value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(k, v)| (format!("{at}/{k}"), v)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(i, v)| (format!("{at}/{i}"), v)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    let below = children.iter().flat_map(|(pointer, child)| pointers(pointer, child));
    [at.to_owned()].into_iter().chain(below).collect()
}

/// The parser walks the schema, and knows these words of it; another one would be shown to editors and ignored by us.
#[test]
fn the_schema_uses_only_words_that_the_parser_knows() {
    const KNOWN: [&str; 23] = [
        "$schema",
        "title",
        "description",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "$defs",
        "$ref",
        "default",
        "anyOf",
        "oneOf",
        "const",
        "minimum",
        "maximum",
        "minProperties",
        "propertyNames",
        "items",
        "pattern",
        "examples",
        "format",
        "enum",
        "$id",
    ];
    let mut words = Vec::new();
    keywords(&schema(), &mut words);
    words.retain(|word| !KNOWN.contains(&word.as_str()));
    assert_eq!(words, [""; 0]);
}

fn keywords(schema: &Value, words: &mut Vec<String>) {
    for (word, value) in schema.as_object().into_iter().flatten() {
        words.push(word.clone());
        match word.as_str() {
            "properties" | "$defs" => value.as_object().into_iter().flatten().for_each(|(_, child)| keywords(child, words)),
            "anyOf" | "oneOf" => value.as_array().into_iter().flatten().for_each(|child| keywords(child, words)),
            "additionalProperties" | "propertyNames" | "items" => keywords(value, words),
            _ => {}
        }
    }
}

#[test]
fn the_readme_lists_every_reason_with_its_kind_and_meaning() {
    use slotd::model::status::Reason;
    let readme = crate::support::read("README.md");
    let listed: Vec<_> = readme.lines().filter(|l| l.starts_with("| `") && l.split('|').count() == 5).collect();
    for reason in Reason::ALL {
        let row = format!("| `{}` | {} | {} |", reason.word(), reason.kind(), reason.meaning());
        assert!(listed.contains(&row.as_str()), "README.md lacks: {row}");
    }
}
