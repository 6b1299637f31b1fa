//! Where the manifest comes from.

use std::io;
use std::path::{Path, PathBuf};

use crate::adapter::surroundings;
use crate::cli::exit::CliError;
use crate::cli::wire::{self, Problems};
use crate::model::desired::DesiredState;

/// Looked for in this order when nothing is said.
const DEFAULTS: [&str; 2] = ["desired.yaml", "/etc/slotd/desired.yaml"];

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
        Self::refused(error).hint("nothing was touched; what serves, serves on")
    }
}

impl Source {
    /// What `-f` says, or the first of the default places where there is a file.
    pub fn find(file: Option<&Path>) -> Result<Self, CliError> {
        match file {
            Some(file) if file.as_os_str() == "-" => {
                Ok(Self::Stdin { folder: surroundings::working_folder().map_err(CliError::failed)? })
            }
            Some(file) => Self::file(file),
            None => match DEFAULTS.iter().map(Path::new).find(|path| surroundings::exists(path)) {
                Some(path) => Self::file(path),
                None => Err(nowhere()),
            },
        }
    }

    fn file(path: &Path) -> Result<Self, CliError> {
        let label = path.display().to_string();
        Ok(Self::File { label, path: surroundings::absolute(path).map_err(CliError::failed)? })
    }

    /// As it was named.
    pub fn label(&self) -> &str {
        match self {
            Self::File { label, .. } => label,
            Self::Stdin { .. } => "<stdin>",
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

fn nowhere() -> CliError {
    let cause = anyhow::anyhow!("there is no manifest: neither ./{} nor {} exists", DEFAULTS[0], DEFAULTS[1]);
    CliError::refused(cause).hint("name one with -f, or `-f -` for standard input")
}
