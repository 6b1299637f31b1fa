//! Where the manifest comes from.

use std::io;
use std::path::{Path, PathBuf};

use crate::adapter::surroundings;
use crate::cli::exit::CliError;
use crate::cli::wire::{self, Problems};
use crate::model::desired::DesiredState;

/// Looked for in this order when nothing is said.
const DEFAULTS: [&str; 2] = ["desired.yaml", "/etc/slotd/desired.yaml"];

/// What standard input is called in messages.
const STDIN: &str = "<stdin>";

/// A manifest that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File {
        /// As it was named, for messages.
        label: String,
        /// Absolute.
        path: PathBuf,
    },
    /// Standard input; what it says is relative to this folder.
    Stdin {
        /// The working folder.
        folder: PathBuf,
    },
}

/// Why there is no desired state.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// None was named, and there is none in the default places.
    #[error("there is no manifest: neither ./{} nor {} exists", DEFAULTS[0], DEFAULTS[1])]
    Nowhere,
    /// It cannot be read.
    #[error("cannot read the manifest {label}")]
    Unreadable {
        /// As it was named.
        label: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no manifest.
    #[error("the manifest is refused:\n{0}")]
    Refused(Problems),
}

impl From<SourceError> for CliError {
    fn from(error: SourceError) -> Self {
        let hint = match error {
            SourceError::Nowhere => "name one with -f, or `-f -` for standard input",
            SourceError::Unreadable { .. } | SourceError::Refused(_) => "nothing was touched; what serves, serves on",
        };
        Self::refused(error).hint(hint)
    }
}

impl SourceError {
    /// The same in one line: of several faults the first.
    pub fn in_one_line(&self) -> String {
        match self {
            Self::Nowhere => self.to_string(),
            Self::Unreadable { source, .. } => format!("{self}: {source}"),
            Self::Refused(problems) => first_of(&problems.to_string()),
        }
    }
}

/// The first of many lines, and how many more there are.
fn first_of(lines: &str) -> String {
    let first = lines.lines().next().unwrap_or_default();
    match lines.lines().count() {
        0 | 1 => first.to_owned(),
        count => format!("{first} (and {} more)", count - 1),
    }
}

impl Source {
    /// What `-f` says, or the first of the default places where there is a file.
    pub fn find(file: Option<&Path>) -> Result<Self, SourceError> {
        match file {
            Some(file) if file.as_os_str() == "-" => {
                let unreadable = |source| SourceError::Unreadable { label: STDIN.to_owned(), source };
                Ok(Self::Stdin { folder: surroundings::working_folder().map_err(unreadable)? })
            }
            Some(file) => Self::file(file),
            None => match DEFAULTS.iter().map(Path::new).find(|path| surroundings::exists(path)) {
                Some(path) => Self::file(path),
                None => Err(SourceError::Nowhere),
            },
        }
    }

    /// Where a controller waits for a manifest that is in none of the default places: it may have been started in any folder.
    pub fn awaited() -> Result<Self, SourceError> {
        Self::file(Path::new(DEFAULTS[1]))
    }

    fn file(path: &Path) -> Result<Self, SourceError> {
        let label = path.display().to_string();
        let path = surroundings::absolute(path).map_err(|source| SourceError::Unreadable { label: label.clone(), source })?;
        Ok(Self::File { label, path })
    }

    /// As it was named.
    pub fn label(&self) -> &str {
        match self {
            Self::File { label, .. } => label,
            Self::Stdin { .. } => STDIN,
        }
    }

    /// The file, where it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Stdin { .. } => None,
        }
    }

    /// The folder that relative paths belong to.
    fn folder(&self) -> &Path {
        match self {
            Self::File { path, .. } => path.parent().unwrap_or(Path::new("/")),
            Self::Stdin { folder } => folder,
        }
    }

    /// The text as it is now.
    pub fn text(&self) -> Result<String, SourceError> {
        let text = match self {
            Self::File { path, .. } => surroundings::read_text(path),
            Self::Stdin { .. } => surroundings::stdin(),
        };
        text.map_err(|source| SourceError::Unreadable { label: self.label().to_owned(), source })
    }

    /// What a text of this manifest asks for.
    pub fn parse(&self, text: &str) -> Result<DesiredState, SourceError> {
        wire::parse(text, self.folder(), self.label()).map_err(SourceError::Refused)
    }

    /// What the manifest asks for now.
    pub fn read(&self) -> Result<DesiredState, SourceError> {
        self.parse(&self.text()?)
    }
}
