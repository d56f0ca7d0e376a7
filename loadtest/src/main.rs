//! Command line of the load generator and origin.

use std::process::ExitCode;

fn main() -> ExitCode {
    outrigger_loadtest::cli::main()
}
