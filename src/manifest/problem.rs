//! What is wrong with a manifest, for people: where, what was expected, what was found, what to do.

use std::error::Error;
use std::fmt;

use crate::manifest::index::{Mark, Node, Place};

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// `services.webservice.slots.real2.port`
    pub path: String,
    /// What was expected, what was found, what to do.
    pub message: String,
}

/// Every fault of one manifest, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// What the user calls the file.
    pub file: String,
    /// In the order of the file.
    pub list: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.list.iter().enumerate() {
            let Problem { line, column, path, message } = problem;
            let end = if i + 1 == self.list.len() { "" } else { "\n" };
            write!(f, "{}:{line}:{column}: at {path}: {message}{end}", self.file)?;
        }
        Ok(())
    }
}

impl Error for Problems {}

/// Faults while they are collected, and the places whose value is therefore not what its author meant.
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: Vec<Problem>,
    doubtful: Vec<Place>,
}

impl Faults {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Records a fault; no rule that reads this place is asked any more.
    pub(super) fn add(&mut self, mark: Mark, place: &Place, message: impl Into<String>) {
        self.doubt(place.clone());
        self.tell(mark, place, message);
    }

    /// Records that values do not go together, each of which is fit in itself.
    pub(super) fn tell(&mut self, mark: Mark, place: &Place, message: impl Into<String>) {
        self.list.push(Problem { line: mark.line, column: mark.column, path: place.to_string(), message: message.into() });
    }

    /// Records a fault of the manifest as a whole.
    pub(super) fn at_root(&mut self, root: &Node, message: impl Into<String>) {
        self.add(root.mark, &Place::default(), message);
    }

    /// Lets no rule read this place: what it would find there is a default in place of something misspelt.
    pub(super) fn doubt(&mut self, place: Place) {
        self.doubtful.push(place);
    }

    /// Whether a rule may read a place.
    pub(super) fn trusts(&self, place: &Place) -> bool {
        !self.doubtful.iter().any(|doubtful| doubtful.touches(place))
    }

    pub(super) fn into_problems(mut self, file: &str) -> Problems {
        self.list.sort_by_key(|p| (p.line, p.column));
        Problems { file: file.to_owned(), list: self.list }
    }
}
