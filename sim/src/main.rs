//! The command line of the universe.

use std::process::ExitCode;

fn main() -> ExitCode {
    sim::cli::main()
}
