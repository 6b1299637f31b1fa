//! `validate` and `config`: the manifest alone. Neither looks at the host.

use std::io::Write;

use serde::Serialize;

use crate::cli::args::Format;
use crate::cli::context::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::source::SourceError;
use crate::cli::wire;
use crate::report::json::FORMAT_VERSION;
use crate::report::wording;

/// What `validate -o json` prints.
#[derive(Serialize)]
struct Verdict {
    format_version: u32,
    valid: bool,
    problems: Vec<String>,
}

/// Says every fault.
pub(super) fn validate(context: &mut Context) -> Result<Exit, CliError> {
    let source = context.source()?;
    let (services, problems) = match source.read() {
        Ok(desired) => (desired.services.len(), Vec::new()),
        Err(SourceError::Refused(problems)) => (0, problems.to_string().lines().map(str::to_owned).collect()),
        Err(error @ (SourceError::Nowhere | SourceError::Unreadable { .. })) => return Err(error.into()),
    };
    let valid = problems.is_empty();
    match context.format {
        Format::Json => context.json(&Verdict { format_version: FORMAT_VERSION, valid, problems })?,
        Format::Human | Format::Markdown if valid => {
            writeln!(context.console.out, "{}: valid, {}", source.label(), wording::count(services, "service"))?;
        }
        Format::Human => problems.iter().try_for_each(|problem| writeln!(context.console.out, "{problem}"))?,
        Format::Markdown => problems.iter().try_for_each(|problem| writeln!(context.console.out, "- `{problem}`"))?,
    }
    Ok(if valid { Exit::Done } else { Exit::Refused })
}

/// Prints it with every default filled in.
pub(super) fn config(context: &mut Context) -> Result<Exit, CliError> {
    let text = wire::render(&context.source()?.read()?);
    match context.format {
        Format::Human => write!(context.console.out, "{text}")?,
        Format::Json => {
            let value: serde_json::Value = serde_yaml::from_str(&text).map_err(|e| CliError::failed(anyhow::anyhow!("{e}")))?;
            context.json(&value)?;
        }
        Format::Markdown => write!(context.console.out, "```yaml\n{text}```\n")?,
    }
    Ok(Exit::Done)
}
