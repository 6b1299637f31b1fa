//! The single values of a manifest: what each may look like, as one type each. The pattern is what an editor shows; the check
//! decides; a test holds the two together.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What to do about a text that is not fit; the walk adds what was expected and found.
pub(super) type Advice = String;

/// Texts with a form. For each: what it is, in the words of a fault; the pattern for editors; the check.
macro_rules! texts {
    ($($name:ident: $title:literal, $pattern:expr, $check:expr;)+) => {
        $(
            #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
            #[serde(try_from = "String")]
            pub(super) struct $name(pub(super) String);

            impl TryFrom<String> for $name {
                type Error = Advice;

                fn try_from(text: String) -> Result<Self, Advice> {
                    check(stringify!($name), &text).map(|()| Self(text))
                }
            }

            impl JsonSchema for $name {
                fn schema_name() -> std::borrow::Cow<'static, str> {
                    stringify!($name).into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!({ "type": "string", "title": $title, "pattern": $pattern })
                }
            }
        )+

        /// Whether a text is fit for the named type; without such a type it is.
        pub(super) fn check(kind: &str, text: &str) -> Result<(), Advice> {
            match kind {
                $(stringify!($name) => $check(text),)+
                "Duration" => parse_span(text).map(|_| ()),
                _ => Ok(()),
            }
        }
    };
}

const NAME: &str = "^[a-z][a-z0-9-]{0,31}$";
const ONE_LINE: &str = r"^[^\x00-\x1f\x7f-\x9f]+$";
const TEMPLATE: &str = r"^(?![^\x00]*\{(?!(slot|port|service|version)\})[A-Za-z_][A-Za-z0-9_]*\})[^\x00]*$";
const PROGRAM: &str = r"^(?![^\x00]*\{(?!(slot|port|service|version)\})[A-Za-z_][A-Za-z0-9_]*\})[^\x00-\x1f\x7f-\x9f]+$";

texts! {
    ServiceName: "a name of a-z, 0-9 and -, which begins with a letter, 1 to 32 characters", NAME, name;
    SlotName: "a name of a-z, 0-9 and -, which begins with a letter, 1 to 32 characters", NAME, name;
    Version: "1 to 128 printable characters",
        r"^[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]{1,128}$", version;
    Sha256: "64 hexadecimal digits", "^[0-9A-Fa-f]{64}$", sha256;
    FilePath: "a path", ONE_LINE, one_line;
    Word: "a text of one line", ONE_LINE, one_line;
    CommandLine: "a command line", r"^(?! *$)[^\x00-\x1f\x7f-\x9f]+$", command;
    Template: "a text in which {slot}, {port}, {service} and {version} are filled in", TEMPLATE, template;
    Program: "a path, or a name looked up in PATH", PROGRAM, program;
    EnvName: "a variable name of letters, digits and _", "^[A-Za-z_][A-Za-z0-9_]*$", env_name;
    UserName: "a user name", "^[A-Za-z_][A-Za-z0-9_.-]{0,31}$", user_name;
    UrlPath: "a path that begins with /", r"^/[^\x00-\x20\x7f-\x9f]*$", url_path;
    Url: "an http or https URL",
        r#"^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?][^\x00-\x20"<>\\^`{|}\x7f-\x9f]*)?$"#, url;
    HostName: "a host name, with a port if need be", r"^[A-Za-z0-9._:\[\]-]+$", host_name;
    ConfigPath: "a path without blanks, quotes, semicolons, braces, $, # or \\", r#"^[^\x00-\x20"'$#;\\{}\x7f-\x9f]+$"#, config_path;
    FlagDir: "an absolute path of A-Z, a-z, 0-9, ., _, / and -", "^/[A-Za-z0-9._/-]*$", flag_dir;
    Variable: "an nginx variable name of a-z, 0-9 and _, without the dollar sign", "^[a-z_][a-z0-9_]*$", variable;
    IpLiteral: "an IP address", "^[0-9A-Fa-f:.]+$", ip;
}

/// The advice when only the form was wrong and `expected` has said everything.
fn unless(fit: bool, advice: &str) -> Result<(), Advice> {
    if fit { Ok(()) } else { Err(advice.to_owned()) }
}

fn spelled(text: &str, first: fn(char) -> bool, rest: fn(char) -> bool) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(first) && chars.all(rest)
}

fn name(text: &str) -> Result<(), Advice> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    unless(spelled(text, |c| c.is_ascii_lowercase(), good) && text.len() <= 32, "rename it")
}

fn version(text: &str) -> Result<(), Advice> {
    let hidden = |c: char| {
        matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}') || c.is_control()
    };
    unless((1..=128).contains(&text.chars().count()) && !text.contains(hidden), "name it as people call it")
}

fn sha256(text: &str) -> Result<(), Advice> {
    let fit = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    unless(fit, &format!("give what sha256sum prints (this has {} characters)", text.chars().count()))
}

fn one_line(text: &str) -> Result<(), Advice> {
    unless(!text.is_empty() && !text.contains(char::is_control), "give it one line of text")
}

fn command(text: &str) -> Result<(), Advice> {
    one_line(text)?;
    unless(text.contains(|c| c != ' '), "name a program and its arguments")
}

/// Refuses a word in braces that is no placeholder; other braces (JSON in an argument) are text.
fn template(text: &str) -> Result<(), Advice> {
    const KNOWN: [&str; 4] = ["slot", "port", "service", "version"];
    let words = text.split('{').skip(1).filter_map(|after| after.split_once('}')).map(|(word, _)| word);
    let word_like = |word: &str| {
        spelled(word, |c| c.is_ascii_alphabetic() || c == '_', |c| c.is_ascii_alphanumeric() || c == '_') // as in TEMPLATE
    };
    match words.into_iter().find(|word| word_like(word) && !KNOWN.contains(word)) {
        Some(word) => Err(format!("there is no placeholder {{{word}}}{}", did_you_mean(word, &KNOWN))),
        None => unless(!text.contains('\0'), "remove the NUL character"),
    }
}

fn program(text: &str) -> Result<(), Advice> {
    one_line(text).and_then(|()| template(text))
}

fn env_name(text: &str) -> Result<(), Advice> {
    let fit = spelled(text, |c| c.is_ascii_alphabetic() || c == '_', |c| c.is_ascii_alphanumeric() || c == '_');
    unless(fit, "rename it")
}

fn user_name(text: &str) -> Result<(), Advice> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let fit = spelled(text, |c| c.is_ascii_alphabetic() || c == '_', good) && text.len() <= 32;
    unless(fit, "give the name that id -un prints for that user")
}

fn url_path(text: &str) -> Result<(), Advice> {
    unless(text.starts_with('/') && !text.contains(|c: char| c.is_control() || c == ' '), "write it as in /profile")
}

fn url(text: &str) -> Result<(), Advice> {
    const ADVICE: &str = "write it as in http://127.0.0.1/profile";
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).ok_or(ADVICE)?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let closed = authority.rfind(']').unwrap_or(0);
    let (host, port) = match authority.rfind(':') {
        Some(colon) if colon > closed => (&authority[..colon], &authority[colon + 1..]),
        Some(_) | None => (authority, "80"),
    };
    let bracketed = |inner: &str| inner.parse::<std::net::Ipv6Addr>().is_ok();
    let named = spelled(host, dns_char, dns_char);
    let host_fits = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).map_or(named, bracketed);
    let port_fits = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0);
    let path_fits = !path.contains(|c: char| c.is_control() || " \"<>\\^`{|}".contains(c));
    unless(host_fits && port_fits && path_fits, ADVICE)
}

fn dns_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn host_name(text: &str) -> Result<(), Advice> {
    let good = |c: char| dns_char(c) || matches!(c, ':' | '[' | ']');
    unless(spelled(text, good, good), "write it as in www.example.com")
}

/// Fit to stand in an nginx configuration as one unquoted word.
pub(super) fn config_path(text: &str) -> Result<(), Advice> {
    let bad = |c: char| c.is_control() || c == ' ' || "\"'$#;\\{}".contains(c);
    unless(!text.is_empty() && !text.contains(bad), "choose a path that nginx can read unquoted")
}

/// Fit to stand inside the quoted `-f` test of the flag cutover.
pub(super) fn flag_dir(text: &str) -> Result<(), Advice> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '-');
    unless(spelled(text, |c| c == '/', good), "choose another folder on a local disk")
}

fn variable(text: &str) -> Result<(), Advice> {
    let fit = spelled(text, |c| c.is_ascii_lowercase() || c == '_', |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    unless(fit, "write it as in service_url")
}

fn ip(text: &str) -> Result<(), Advice> {
    unless(text.parse::<IpAddr>().is_ok(), "write it as in 127.0.0.1 or ::1; nginx would look a name up only once")
}

/// `; did you mean x?`, when something known is near enough to be a slip.
pub(super) fn did_you_mean(found: &str, known: &[&str]) -> String {
    nearest(found, known).map_or_else(String::new, |near| format!("; did you mean {near}?"))
}

/// The known word that someone who wrote `found` most likely had in mind.
pub(super) fn nearest<'k>(found: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = known.iter().map(|k| (strsim::damerau_levenshtein(&found.to_lowercase(), &k.to_lowercase()), *k));
    near.min().filter(|(distance, k)| *distance <= (k.len() / 3).max(1)).map(|(_, k)| k)
}

/// A duration, written with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Span(pub(super) Duration);

impl TryFrom<String> for Span {
    type Error = Advice;

    fn try_from(text: String) -> Result<Self, Advice> {
        parse_span(&text).map(Self)
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "a duration such as 500ms, 30s, 2m or 1h 30m",
            "pattern": "^[0-9]{1,9}(ms|s|m|h|d)( ?[0-9]{1,9}(ms|s|m|h|d))*$",
        })
    }
}

/// Unit and its milliseconds, longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// A year: longer is a slip of the pen, and arithmetic on deadlines stays far from its limits.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Prints a duration as the manifest writes it: `1m 30s`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let mut parts = Vec::new();
        for (unit, size) in UNITS {
            if left >= size {
                parts.push(format!("{}{unit}", left / size));
                left %= size;
            }
        }
        if parts.is_empty() { f.write_str("0s") } else { f.write_str(&parts.join(" ")) }
    }
}

/// Reads `30s`, `1m 30s`, `1m30s`.
fn parse_span(text: &str) -> Result<Duration, Advice> {
    if text.starts_with('-') {
        return Err("a duration cannot be negative".to_owned());
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("add a unit: {text}s"));
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (part, after) = span_part(rest).ok_or("write whole numbers with ms, s, m, h or d")?;
        total = total.saturating_add(part);
        rest = after.strip_prefix(' ').filter(|next| !next.is_empty()).unwrap_or(after);
    }
    unless(!text.is_empty(), "write a whole number with ms, s, m, h or d")?;
    unless(total <= LONGEST, "choose at most 365d").map(|()| total)
}

/// The first number with its unit, and what follows.
fn span_part(text: &str) -> Option<(Duration, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(digits).filter(|_| (1..=9).contains(&digits))?;
    let letters = rest.bytes().take_while(u8::is_ascii_lowercase).count();
    let (unit, after) = rest.split_at_checked(letters)?;
    let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
    Some((Duration::from_millis(number.parse::<u64>().ok()?.saturating_mul(*size)), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_they_are_read() {
        for (text, printed, millis) in [
            ("0s", "0s", 0),
            ("100ms", "100ms", 100),
            ("90s", "1m 30s", 90_000),
            ("1m30s", "1m 30s", 90_000),
            ("1m 30s", "1m 30s", 90_000),
            ("26h", "1d 2h", 93_600_000),
        ] {
            let span = Span::try_from(text.to_owned()).unwrap();
            assert_eq!((span.to_string().as_str(), span.0.as_millis()), (printed, millis));
        }
    }

    #[test]
    fn durations_without_a_unit_or_a_whole_number_are_refused() {
        for text in ["", "90", "-3s", "1.5s", "s", "3 s", "3s ", " 3s", "3S", "3w", "1m  3s", "366d", "1000000000ms"] {
            assert!(parse_span(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_near_word_is_offered_and_a_far_one_is_not() {
        assert_eq!(did_you_mean("prot", &["port", "path"]), "; did you mean port?");
        assert_eq!(did_you_mean("Drain", &["drain", "bake"]), "; did you mean drain?");
        assert_eq!(did_you_mean("replicas", &["port", "path"]), "");
    }

    #[test]
    fn braces_that_are_no_placeholder_are_text() {
        assert_eq!(template(r#"--json={"a":{"b":1}} {slot}"#), Ok(()));
        assert_eq!(template("{Slot}"), Err("there is no placeholder {Slot}; did you mean slot?".to_owned()));
    }
}
