//! Command line of the load generator, the origin and the simulator.

use std::process::ExitCode;

fn main() -> ExitCode {
    outrigger_loadtest::cli::main()
}
