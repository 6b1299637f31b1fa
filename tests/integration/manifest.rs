//! What `desired.yaml` may say, and what is said about one that is wrong.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use slotd::manifest;
use slotd::model::desired::{CutoverMode, DesiredState, PortConflict, Promote, ServiceSpec, Standby, Upstream};
use slotd::model::id::{Port, ServiceName, SlotName};

use crate::support::{golden, read};

/// Everything that a manifest can say, each value other than its default.
pub(crate) const EXHAUSTIVE: &str = include_str!("exhaustive.yaml");

fn parse(text: &str) -> Result<DesiredState, String> {
    manifest::parse(text, Path::new("/srv/web"), "desired.yaml").map_err(|problems| problems.to_string())
}

fn good(text: &str) -> ServiceSpec {
    let mut state = parse(text).unwrap_or_else(|problems| panic!("refused:\n{problems}"));
    state.services.remove(&ServiceName::new("webservice")).expect("the service")
}

/// The faults of each manifest in a file of cases, under the text that has them.
fn answers(cases: &str) -> String {
    let mut answers = String::new();
    for case in cases.split("=== ").skip(1) {
        let (name, text) = case.split_once('\n').expect("a case has a name");
        let said = parse(text).expect_err(name);
        write!(answers, "=== {name}\n{said}\n\n").unwrap();
    }
    answers
}

#[test]
fn every_bad_manifest_says_where_and_what_to_do() {
    let cases = read("tests/integration/bad-manifests.txt");
    assert!(cases.matches("=== ").count() >= 35);
    golden("bad-manifests.txt", &answers(&cases));
}

#[test]
fn the_smallest_manifest_gets_every_default() {
    let service = good(&read("examples/minimal.yaml"));
    assert_eq!(service.jar.version, "1.0.1-SNAPSHOT-20261122103000");
    assert_eq!(service.jar.path, Path::new("/srv/web/build/libs/webservice-1.0.1.jar"));
    assert_eq!(service.port_of(&SlotName::new("real1")), Some(Port(8081)));
    assert_eq!(service.port_of(&SlotName::new("real2")), Some(Port(8082)));
    assert_eq!(service.slot_policy.port_conflict, PortConflict::SameApp);
    assert_eq!(service.launch.profiles, ["{slot}"]);
    assert_eq!(service.health.deadline, Duration::from_secs(300));
    assert_eq!(service.proxy.flag_dir, Path::new("/etc/nginx/conf.d/service-url.inc.live"));
}

#[test]
fn the_canonical_manifest_states_nothing_but_defaults() {
    let mut full = good(&read("desired.yaml"));
    let minimal = good(&read("examples/minimal.yaml"));
    full.jar = minimal.jar.clone();
    assert_eq!(full, minimal);
}

#[test]
fn every_key_is_read() {
    let service = good(EXHAUSTIVE);
    let default = good("services: { webservice: { jar: { version: v, path: p } } }");
    assert_eq!(service.slot_policy.standby, Standby::Stopped);
    assert_eq!(service.slot_policy.promote, Promote::Manual);
    assert_eq!(service.proxy.cutover, CutoverMode::Reload);
    assert_eq!(service.proxy.nginx.reload_command.as_deref(), Some(&["systemctl", "reload", "nginx"].map(str::to_owned)[..]));
    assert_eq!(service.launch.env_file, Some(PathBuf::from("/srv/web/web.env")));
    // A value that is the default here would pass although its key was ignored. (Nanoseconds and seconds are halves of one value.)
    let (all, none) = (serde_json::to_value(&service).unwrap(), serde_json::to_value(&default).unwrap());
    // Pools are for the flags.
    assert_eq!(equal_leaves("", &all, &none), ["/name", "/proxy/upstream"]);
    assert_eq!(good(&read("examples/pool.yaml")).proxy.upstream, Upstream::Pool);
    golden("exhaustive.json", &(serde_json::to_string_pretty(&service).unwrap() + "\n"));
}

/// The paths at which both say the same.
fn equal_leaves(path: &str, a: &serde_json::Value, b: &serde_json::Value) -> Vec<String> {
    match (a.as_object(), b.as_object()) {
        (Some(a), Some(b)) if !a.contains_key("nanos") => {
            a.iter().filter_map(|(k, v)| b.get(k).map(|w| equal_leaves(&format!("{path}/{k}"), v, w))).flatten().collect()
        }
        _ if a == b => vec![path.to_owned()],
        _ => Vec::new(),
    }
}

#[test]
fn slots_keep_the_order_of_the_manifest() {
    let service = good(
        "services: { webservice: { jar: { version: v, path: p }, slots: { z: { port: 2 }, a: { port: 1 }, m: { port: 3 } } } }",
    );
    assert_eq!(service.slots.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["z", "a", "m"]);
}

#[test]
fn null_is_taken_where_it_means_something() {
    let service = good(
        "services: { webservice: { jar: { version: v, path: p }, health: { expect: null }, proxy: { url: ~, host: , ca: null } } }",
    );
    assert_eq!((service.health.expect, service.proxy.url), (None, None));
}

#[test]
fn words_that_older_yaml_took_for_booleans_are_words() {
    let service =
        good("services: { webservice: { jar: { version: no, path: p }, launch: { env: { A: on, B: y, C: '1', D: '' } } } }");
    assert_eq!(service.jar.version, "no");
    assert_eq!(service.launch.env.into_values().collect::<Vec<_>>(), ["on", "y", "1", ""]);
}

#[test]
fn a_slot_may_use_its_own_port_for_management() {
    let service = good("services: { webservice: { jar: { version: v, path: p }, health: { port: { real1: 8081 } } } }");
    assert_eq!(service.health.ports.len(), 1);
}

#[test]
fn what_editors_on_other_systems_write_is_read() {
    let text = read("desired.yaml");
    assert_eq!(parse(&format!("\u{feff}{}", text.replace('\n', "\r\n"))), parse(&text));
}

#[test]
fn a_digest_is_kept_in_lower_case() {
    let digest = "ABCDEF0123456789".repeat(4);
    let service = good(&format!("services: {{ webservice: {{ jar: {{ version: v, path: p, sha256: {digest} }} }} }}"));
    assert_eq!(service.jar.sha256.unwrap().as_str(), digest.to_lowercase());
}

#[test]
fn no_text_is_too_large_or_too_deep_to_be_refused_at_once() {
    let nested = |unit: &str| parse(&unit.repeat(250_000 / unit.len())).unwrap_err();
    assert!(nested("[").contains("desired.yaml:1:33: at the top: expected YAML"), "{}", nested("["));
    assert!(nested("- ").contains("expected YAML"), "{}", nested("- "));
    assert!(nested("? ").contains("expected"), "{}", nested("? "));
    assert!(parse(&" ".repeat(270_000)).unwrap_err().contains("expected at most 262144 bytes, found 270000"));
}

#[test]
fn the_rendered_manifest_says_the_same() {
    for text in [
        EXHAUSTIVE,
        &read("desired.yaml"),
        &read("examples/minimal.yaml"),
        &read("examples/two-services.yaml"),
        &read("examples/pool.yaml"),
    ] {
        let state = parse(text).unwrap();
        let rendered = manifest::render(&state);
        let again = manifest::parse(&rendered, Path::new("/elsewhere"), "rendered").unwrap_or_else(|p| panic!("{p}\n{rendered}"));
        assert_eq!(again, state, "{rendered}");
    }
}

#[test]
fn config_prints_every_default() {
    golden("config-minimal.yaml", &manifest::render(&parse(&read("examples/minimal.yaml")).unwrap()));
}

proptest! {
    /// Texts that YAML could take for something else: numbers, nulls, flow signs, quotes, blanks at either end, line breaks.
    #[test]
    fn any_text_survives_rendering(texts in prop::collection::vec(r#"[-+.0-9a-z~:#'"\[\]{},&*!|>%@ \n\t\\é]{0,12}"#, 3), millis in 1u64..100_000_000) {
        let mut state = parse(EXHAUSTIVE).unwrap();
        let service = state.services.get_mut(&ServiceName::new("webservice")).unwrap();
        service.launch.args = texts.iter().filter(|t| !has_placeholder(t)).cloned().collect();
        service.launch.env = [("A".to_owned(), service.launch.args.concat())].into_iter().filter(|(_, v)| !has_placeholder(v)).collect();
        service.health.deadline = Duration::from_millis(millis);
        let rendered = manifest::render(&state);
        prop_assert_eq!(manifest::parse(&rendered, Path::new("/"), "rendered").map_err(|p| format!("{p}\n{rendered}")), Ok(state));
    }

    /// Whatever is done to a manifest, it is parsed or refused with a place; never a panic.
    #[test]
    fn a_damaged_manifest_is_parsed_or_refused(at in 0usize..2000, junk in r#"[ \t\n:{}\[\]"'&*!~0-9a-z\-#|>?,]{0,4}"#, cut in 0usize..5) {
        let mut chars: Vec<char> = EXHAUSTIVE.chars().collect();
        let at = at.min(chars.len());
        chars.splice(at..(at + cut).min(chars.len()), junk.chars());
        if let Err(said) = parse(&chars.into_iter().collect::<String>()) {
            prop_assert!(said.lines().all(|line| line.starts_with("desired.yaml:") && line.contains(": at ")), "{}", said);
        }
    }
}

/// Whether a text holds a word in braces, which a manifest may not unless it is a placeholder.
fn has_placeholder(text: &str) -> bool {
    text.split('{').skip(1).any(|rest| rest.contains('}'))
}
