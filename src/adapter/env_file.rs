//! Env files: `KEY=VALUE` lines, as `docker run --env-file` reads them.

/// A line that is not `KEY=VALUE`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    /// Counted from one.
    pub(super) line: usize,
    /// What may be shown of it.
    pub(super) found: String,
}

/// Reads the lines. Blank lines and lines that begin with `#` are left out; a value is taken as it is, quotes included.
pub(super) fn parse(content: &[u8]) -> Result<Vec<(String, String)>, BadLine> {
    let mut all = Vec::new();
    for (index, raw) in content.split(|byte| *byte == b'\n').enumerate() {
        let bad = |found: String| BadLine { line: index + 1, found };
        let Ok(text) = std::str::from_utf8(raw) else { return Err(bad("a line that is not UTF-8".to_owned())) };
        let line = text.strip_suffix('\r').unwrap_or(text);
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((key, value)) if is_key(key) && !value.contains('\0') => all.push((key.to_owned(), value.to_owned())),
            Some((key, _secret)) => return Err(bad(key.chars().take(40).collect())),
            None => return Err(bad(hint(line))),
        }
    }
    Ok(all)
}

/// Spring takes dots and dashes in names too, so only what cannot be a name at all is refused.
fn is_key(key: &str) -> bool {
    !key.is_empty() && !key.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// A line without `=` may be the second line of a secret: four characters find the line and give nothing away.
fn hint(line: &str) -> String {
    let start: String = line.chars().take(4).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_quotes_and_equal_signs() {
        let read = parse(b"# comment\n\nA=1\r\nspring.url=\"a=b\"\nEMPTY=\n").unwrap();
        let expected = [("A", "1"), ("spring.url", "\"a=b\""), ("EMPTY", "")];
        assert_eq!(read, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn a_bad_line_is_named_without_its_secret() {
        assert_eq!(parse(b"A=1\nMIIEpAIBAAKCAQEA"), Err(BadLine { line: 2, found: "MIIE…".to_owned() }));
        assert_eq!(parse(b"two words=secret"), Err(BadLine { line: 1, found: "two words".to_owned() }));
        assert_eq!(parse(b"=x").unwrap_err().line, 1);
        assert_eq!(parse(&[b'A', b'=', 0xff]).unwrap_err().line, 1);
    }
}
