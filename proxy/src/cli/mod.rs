//! The command line.
//!
//! Exit codes: 0 success, also after a signal; 1 failure at run time, admin unreachable, second
//! signal; 2 usage, configuration, or an address that cannot be bound at the start.

mod check;
mod demo;
mod drain;
mod inject;
mod log;
mod logs;
mod run;

use std::{ffi::OsString, io::IsTerminal, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};

/// Success.
const DONE: u8 = 0;
/// A failure at run time.
const FAILED: u8 = 1;
/// An invalid command line, configuration or address.
const REFUSED: u8 = 2;

#[derive(Parser)]
#[command(
    name = "outrigger",
    version,
    about = "A layer-7 reverse-proxy sidecar: one small binary beside an app, one YAML file.",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Least severe operational messages to show, on stderr
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info")]
    log_level: LogLevel,
    /// Form of operational messages
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

/// The least severe messages to show. There is no `trace`: those events of libraries are compiled
/// out, because their checks cost time for every HTTP/2 frame.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Run the proxy; without a file it listens on 8000 in front of 127.0.0.1:8080
    Run(run::Arguments),
    /// Say everything that is wrong with a configuration
    Check(check::Arguments),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Try the log shipper's settings on a file
    #[command(subcommand)]
    Logs(logs::Arguments),
    /// Make a running proxy not ready, and have it end its inbound connections
    Drain(drain::Arguments),
    /// Put the sidecar into Kubernetes manifests
    Inject(inject::Arguments),
    /// Take the sidecar out of Kubernetes manifests, byte for byte
    Uninject(inject::Where),
    /// Start a small app, write a commented configuration and run the proxy on it
    Demo,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Runs a command line; the first word is the name of the program.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = Arguments::parse_from(words);
    log::start(arguments.log_level.into(), arguments.log_format);
    let code = match arguments.command {
        Command::Run(arguments) => run::run(arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Schema => schema(),
        Command::Drain(arguments) => drain::drain(&arguments),
        Command::Inject(arguments) => inject::inject(&arguments),
        Command::Uninject(place) => inject::uninject(&place),
        Command::Logs(arguments) => logs::logs(&arguments),
        Command::Demo => demo::demo(),
    };
    ExitCode::from(code)
}

fn schema() -> u8 {
    print(&format!("{:#}\n", outrigger_config::json_schema()))
}

/// Prints to stdout; a closed pipe (`| head`) is no failure.
fn print(text: &str) -> u8 {
    use std::io::Write;
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => FAILED,
        _ => DONE,
    }
}

/// Prints to stderr. A closed pipe causes no panic, as it would with `eprintln`.
fn print_error(text: impl std::fmt::Display) {
    use std::io::Write;
    let _ = write!(std::io::stderr().lock(), "{text}");
}

/// Whether stderr supports colour.
fn color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
