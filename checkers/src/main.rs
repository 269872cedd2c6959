//! The command that judges recorded histories.

use std::process::ExitCode;

fn main() -> ExitCode {
    checkers::cli::main()
}
