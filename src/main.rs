//! The binary: hands the command line to [`slotd::cli`] and ends with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    slotd::cli::run(std::env::args_os()).into()
}
