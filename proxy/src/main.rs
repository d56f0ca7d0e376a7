//! The Outrigger binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    outrigger::cli::main()
}
