//! The command line. Each subcommand has a file. Exit codes: 0 success, 1 a request failed or the
//! work could not be done, 2 usage error.

mod compare;
mod origin;
mod process;
mod run;
mod scenarios;
mod simulate;
mod table;
mod value;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::Builder as RuntimeBuilder;
use tokio::signal::unix::{SignalKind, signal};

use self::process::Placement;

/// A request failed, or the work could not be done.
const FAILED: u8 = 1;

/// Usage error.
const USAGE: u8 = 2;

/// Load generator, origin and simulator that treat every proxy as a black box
#[derive(Debug, Parser)]
#[command(name = "outrigger-loadtest", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Run>),
    Origin(origin::Origin),
    Simulate(simulate::Simulate),
    Scenarios(scenarios::Scenarios),
    Compare(Box<compare::Compare>),
}

impl Command {
    fn placement(&self) -> Placement {
        match self {
            Self::Run(run) => run.placement(),
            Self::Origin(origin) => origin.placement(),
            Self::Simulate(simulate) => simulate.placement(),
            Self::Scenarios(_) | Self::Compare(_) => Placement::default(),
        }
    }
}

/// Parses the arguments of this process and runs the subcommand.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Before the runtime: its threads inherit the CPU affinity.
    if let Err(error) = arguments.command.placement().take() {
        return fail(USAGE, &error);
    }
    let runtime = match RuntimeBuilder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(FAILED, &error),
    };
    runtime.block_on(async {
        match arguments.command {
            Command::Run(run) => run.execute().await,
            Command::Origin(origin) => origin.execute().await,
            Command::Simulate(simulate) => simulate.execute().await,
            Command::Scenarios(scenarios) => scenarios.execute().await,
            Command::Compare(compare) => compare.execute().await,
        }
    })
}

fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    eprintln!("outrigger-loadtest: {text}");
    ExitCode::from(code)
}

/// Prints and flushes. A closed stdout is ignored.
fn print(text: impl Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Completes at the first SIGINT or SIGTERM.
async fn interrupted() -> io::Result<()> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
