//! `schema`, `completions`, `man`: what is generated from the code.

use std::io::Write;

use clap::CommandFactory;

use crate::cli::args::{Cli, Document};
use crate::cli::console::Console;
use crate::cli::exit::CliError;
use crate::cli::wire;
use crate::report::doctor::DoctorDocument;
use crate::report::history::HistoryDocument;
use crate::report::json::{PlanDocument, StatusDocument};

/// The JSON Schema of the manifest, or of a document.
pub(super) fn schema(console: &mut Console, document: Option<Document>) -> Result<(), CliError> {
    let schema = match document {
        None => Ok(wire::schema()),
        Some(Document::Status) => serde_json::to_value(schemars::schema_for!(StatusDocument)),
        Some(Document::Plan) => serde_json::to_value(schemars::schema_for!(PlanDocument)),
        Some(Document::Doctor) => serde_json::to_value(schemars::schema_for!(DoctorDocument)),
        Some(Document::History) => serde_json::to_value(schemars::schema_for!(HistoryDocument)),
    };
    let text = schema.and_then(|schema| serde_json::to_string_pretty(&schema)).map_err(CliError::failed)?;
    Ok(writeln!(console.out, "{text}")?)
}

/// Shell completions.
pub(super) fn completions(console: &mut Console, shell: clap_complete::Shell) -> Result<(), CliError> {
    // Into memory first: the generator panics when its writer fails.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "slotd", &mut text);
    Ok(console.out.write_all(&text)?)
}

/// The manual page of slotd, or of a verb.
pub(super) fn man(console: &mut Console, verb: Option<&str>) -> Result<(), CliError> {
    let mut slotd = Cli::command();
    slotd.build();
    let command = match verb {
        None => slotd,
        Some(verb) => match slotd.find_subcommand(verb) {
            Some(command) => command.clone(),
            None => {
                return Err(CliError::refused(anyhow::anyhow!("there is no verb {verb}")).hint("`slotd help` lists the verbs"));
            }
        },
    };
    Ok(clap_mangen::Man::new(command).render(&mut console.out)?)
}
