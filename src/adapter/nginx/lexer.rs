//! nginx configuration text to directives, by the rules of nginx's own `ngx_conf_read_token` (`src/core/ngx_conf_file.c`).

use std::iter::Peekable;
use std::path::Path;
use std::str::Chars;
use std::sync::Arc;

use crate::model::setup::Spot;

/// Deeper than any real configuration; a bound, because reading descends with the blocks.
const DEEPEST: usize = 64;

/// Where a directive stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The file, as nginx names it.
    pub(super) file: Arc<Path>,
    /// Counted from one.
    pub(super) line: usize,
}

impl From<&Place> for Spot {
    fn from(place: &Place) -> Self {
        Self { file: place.file.to_path_buf(), line: Some(place.line) }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// One directive with its arguments, quotes and escapes taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive {
    /// `proxy_pass`
    pub(super) name: String,
    /// What follows.
    pub(super) args: Vec<String>,
    /// What stands between its braces.
    pub(super) block: Option<Vec<Directive>>,
    /// Where.
    pub(super) at: Place,
    /// The files that an `include` names; their directives follow it in the same list.
    pub(super) files: Vec<Arc<Path>>,
}

/// Why a text is no configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Counted from one.
    pub(super) line: usize,
    /// What is wrong.
    pub(super) what: &'static str,
}

/// Reads one file's text; `include` is not followed here.
pub(super) fn parse(text: &str, file: &Path) -> Result<Vec<Directive>, Fault> {
    let mut lexer = Lexer { chars: text.chars().peekable(), line: 1, file: Arc::from(file) };
    let directives = lexer.block(0)?;
    Ok(directives)
}

enum Token {
    Word(String),
    End,
    Open,
    Close,
}

struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
    file: Arc<Path>,
}

impl Lexer<'_> {
    fn block(&mut self, depth: usize) -> Result<Vec<Directive>, Fault> {
        let mut directives = Vec::new();
        let mut words: Vec<String> = Vec::new();
        let mut line = self.line;
        loop {
            let Some(token) = self.token()? else {
                return if depth == 0 && words.is_empty() { Ok(directives) } else { Err(self.fault("unexpected end of file")) };
            };
            match token {
                Token::Word(word) => {
                    line = if words.is_empty() { self.line } else { line };
                    words.push(word);
                }
                Token::End if words.is_empty() => return Err(self.fault("unexpected \";\"")),
                Token::Open if words.is_empty() => return Err(self.fault("unexpected \"{\"")),
                Token::End => directives.push(self.directive(std::mem::take(&mut words), None, line)),
                Token::Open => {
                    let block = self.inside(&words, depth)?;
                    directives.push(self.directive(std::mem::take(&mut words), Some(block), line));
                }
                Token::Close if depth > 0 && words.is_empty() => return Ok(directives),
                Token::Close => return Err(self.fault("unexpected \"}\"")),
            }
        }
    }

    fn inside(&mut self, words: &[String], depth: usize) -> Result<Vec<Directive>, Fault> {
        if words.first().is_some_and(|name| name.ends_with("_by_lua_block")) {
            return self.foreign();
        }
        if depth >= DEEPEST { Err(self.fault("blocks too deep")) } else { self.block(depth + 1) }
    }

    /// Lua between braces has its own grammar; only its end matters.
    fn foreign(&mut self) -> Result<Vec<Directive>, Fault> {
        let mut open = 1_usize;
        while let Some(c) = self.bump() {
            match c {
                '{' => open += 1,
                '}' => open -= 1,
                _ => {}
            }
            if open == 0 {
                return Ok(Vec::new());
            }
        }
        Err(self.fault("unexpected end of file"))
    }

    fn directive(&self, mut words: Vec<String>, block: Option<Vec<Directive>>, line: usize) -> Directive {
        let name = words.remove(0);
        Directive { name, args: words, block, at: Place { file: self.file.clone(), line }, files: Vec::new() }
    }

    fn token(&mut self) -> Result<Option<Token>, Fault> {
        loop {
            match self.chars.peek() {
                None => return Ok(None),
                Some('#') => while self.bump().is_some_and(|c| c != '\n') {},
                Some(c) if c.is_ascii_whitespace() => drop(self.bump()),
                Some(_) => break,
            }
        }
        let word = match self.chars.peek() {
            Some(';') => return Ok(Some(self.single(Token::End))),
            Some('{') => return Ok(Some(self.single(Token::Open))),
            Some('}') => return Ok(Some(self.single(Token::Close))),
            Some('"' | '\'') => self.quoted()?,
            _ => self.bare(),
        };
        Ok(Some(Token::Word(word)))
    }

    fn single(&mut self, token: Token) -> Token {
        self.bump();
        token
    }

    fn quoted(&mut self) -> Result<String, Fault> {
        let quote = self.bump();
        let mut word = String::new();
        while let Some(c) = self.bump() {
            match c {
                c if Some(c) == quote => return Ok(word),
                '\\' => self.escape(&mut word),
                c => word.push(c),
            }
        }
        Err(self.fault("unexpected end of file in a quoted text"))
    }

    fn bare(&mut self) -> String {
        let mut word = String::new();
        while let Some(&c) = self.chars.peek() {
            // `${name}` does not open a block.
            if c.is_ascii_whitespace() || c == ';' || (c == '{' && !word.ends_with('$')) {
                break;
            }
            self.bump();
            if c == '\\' { self.escape(&mut word) } else { word.push(c) }
        }
        word
    }

    /// nginx drops the backslash before quotes and itself, knows `\t \r \n`, and keeps every other pair as it is.
    fn escape(&mut self, word: &mut String) {
        match self.bump() {
            Some(c @ ('"' | '\'' | '\\')) => word.push(c),
            Some('t') => word.push('\t'),
            Some('r') => word.push('\r'),
            Some('n') => word.push('\n'),
            Some(c) => word.extend(['\\', c]),
            None => word.push('\\'),
        }
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.chars.next();
        self.line += usize::from(c == Some('\n'));
        c
    }

    fn fault(&self, what: &'static str) -> Fault {
        Fault { line: self.line, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn shown(text: &str) -> String {
        fn each(directives: &[Directive], depth: usize, out: &mut String) {
            for d in directives {
                let _ = writeln!(out, "{}{} {}{:?}", "  ".repeat(depth), d.at.line, d.name, d.args);
                each(d.block.as_deref().unwrap_or_default(), depth + 1, out);
            }
        }
        let mut out = String::new();
        match parse(text, Path::new("f")) {
            Ok(directives) => each(&directives, 0, &mut out),
            Err(fault) => out = format!("{fault:?}"),
        }
        out
    }

    #[test]
    fn words_quotes_escapes_comments_and_blocks() {
        let text = "user  a b; # c {\nserver {\n set $x \"a; {b}\\\"\\n\";\n if (-f \"/x y\") { return 200 'q#'; }\n}\nlog a#b ${x}y \\d\\;e;\n";
        insta::assert_snapshot!(shown(text), @r#"
        1 user["a", "b"]
        2 server[]
          3 set["$x", "a; {b}\"\n"]
          4 if["(-f", "/x y", ")"]
            4 return["200", "q#"]
        6 log["a#b", "${x}y", "\\d\\;e"]
        "#);
    }

    #[test]
    fn lua_is_skipped_to_its_brace() {
        insta::assert_snapshot!(shown("content_by_lua_block { x = {1}; }\na;"), @r"
        1 content_by_lua_block[]
        2 a[]
        ");
    }

    #[test]
    fn what_nginx_refuses_is_refused() {
        insta::assert_snapshot!(shown("a;\nb {"), @r#"Fault { line: 2, what: "unexpected end of file" }"#);
        insta::assert_snapshot!(shown("a"), @r#"Fault { line: 1, what: "unexpected end of file" }"#);
        insta::assert_snapshot!(shown("}"), @r#"Fault { line: 1, what: "unexpected \"}\"" }"#);
        insta::assert_snapshot!(shown(";"), @r#"Fault { line: 1, what: "unexpected \";\"" }"#);
        assert!(shown(&"a{".repeat(10_000)).contains("too deep"));
    }
}
