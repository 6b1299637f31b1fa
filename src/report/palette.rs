//! Colours, decided once at the edge and handed down.

use std::fmt;

use anstyle::{AnsiColor, Style};

use crate::model::status::{HoldKind, Status};

/// The styles of a report; in the plain one every style is empty, so that no escape sequence is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Palette {
    good: Style,
    busy: Style,
    bad: Style,
    strong: Style,
    faint: Style,
}

impl Palette {
    /// No colours.
    pub fn plain() -> Self {
        Self::default()
    }

    /// Colours of the terminal's own theme.
    pub fn coloured() -> Self {
        Self {
            good: AnsiColor::Green.on_default(),
            busy: AnsiColor::Yellow.on_default(),
            bad: AnsiColor::Red.on_default().bold(),
            strong: Style::new().bold(),
            faint: Style::new().dimmed(),
        }
    }

    /// A status in its colour.
    pub fn status(&self, status: Status) -> Painted<Status> {
        let style = match status {
            Status::Converged => self.good,
            Status::Progressing | Status::Orphaned => self.busy,
            Status::Held | Status::Degraded => self.bad,
        };
        Painted { style, text: status }
    }

    /// A word about a hold in the colour of its kind.
    pub fn hold<T: fmt::Display>(&self, kind: HoldKind, text: T) -> Painted<T> {
        let style = match kind {
            HoldKind::Progress => self.faint,
            HoldKind::World => self.busy,
            HoldKind::Person => self.bad,
        };
        Painted { style, text }
    }

    /// What is there and should stay.
    pub fn good<T: fmt::Display>(&self, text: T) -> Painted<T> {
        Painted { style: self.good, text }
    }

    /// What failed, or goes away.
    pub fn bad<T: fmt::Display>(&self, text: T) -> Painted<T> {
        Painted { style: self.bad, text }
    }

    /// A heading.
    pub fn strong<T: fmt::Display>(&self, text: T) -> Painted<T> {
        Painted { style: self.strong, text }
    }

    /// What is only worth reading when something is odd.
    pub fn faint<T: fmt::Display>(&self, text: T) -> Painted<T> {
        Painted { style: self.faint, text }
    }
}

/// A text between the sequences of its style.
#[derive(Clone, Copy, Debug)]
pub struct Painted<T> {
    style: Style,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.style.render())?;
        self.text.fmt(f)?;
        write!(f, "{}", self.style.render_reset())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_palette_writes_no_escape_sequence() {
        assert_eq!(Palette::plain().status(Status::Held).to_string(), "held");
    }

    #[test]
    fn colours_end_where_the_text_ends() {
        let text = Palette::coloured().status(Status::Converged).to_string();
        assert!(text.starts_with('\u{1b}') && text.ends_with("\u{1b}[0m"), "{text:?}");
    }
}
