//! Text to desired state: what `desired.yaml` may say, every default, and every fault at once.
//!
//! Decides whether a manifest is accepted. Never touches a file: whoever calls it has read the text and says which folder relative
//! paths belong to. Called by `cli` and, for the schema and the words of a fault, by `report`.
//!
//! The types in `raw` are the only description of the format. The JSON Schema is generated from them; `check` walks the YAML along
//! that very schema, so editor and parser agree; what passes is deserialised into the same types, and `resolve` and `rules` see
//! typed values only:
//!
//! text → `read` (YAML, places) → `check` (shape) → `raw` (types) → `resolve` (defaults, paths) → `rules` (between the fields).

mod check;
mod index;
mod ordered;
pub mod problem;
mod raw;
mod read;
mod render;
mod resolve;
mod rules;
mod scalar;

use std::path::Path;

use crate::manifest::index::Node;
use crate::manifest::problem::{Faults, Problems};
use crate::model::desired::DesiredState;

/// Reads a manifest. `folder` is what relative paths are relative to, absolute; `file_label` is what the faults call the file.
pub fn parse(text: &str, folder: &Path, file_label: &str) -> Result<DesiredState, Problems> {
    let mut faults = Faults::default();
    let state = read::read(text, &mut faults).and_then(|root| accept(&root, folder, &mut faults));
    match state {
        Some(state) if faults.is_empty() => Ok(state),
        Some(_) | None => Err(faults.into_problems(file_label)),
    }
}

/// Everything after the YAML itself. A state that comes back beside faults lacks what was faulty.
fn accept(root: &Node, folder: &Path, faults: &mut Faults) -> Option<DesiredState> {
    let value = check::check(schema().as_value(), root, faults)?;
    let state = match serde_path_to_error::deserialize::<_, raw::Manifest>(value) {
        Ok(manifest) => resolve::resolve(manifest, folder),
        Err(fault) => {
            // `check` knows all that the types know, so this is a gap between the two; refusing is the safe answer.
            faults.at_root(root, format!("{} ({})", fault.inner(), fault.path()));
            return None;
        }
    };
    rules::check(&state, root, faults);
    Some(state)
}

/// The manifest with every default filled in, as YAML that parses to the same state.
pub fn render(state: &DesiredState) -> String {
    render::render(state)
}

/// The JSON Schema (draft 2020-12) of the manifest.
pub fn schema() -> schemars::Schema {
    schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<raw::Manifest>()
}
