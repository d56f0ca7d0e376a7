//! `outrigger run`.

use std::path::PathBuf;

use super::{DONE, FAILED, REFUSED, color, print_error};
use crate::admin::app_probe::AppProbe;
use crate::control::{self, ConfigSource, Ended, StartError};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(short, long, env = "OUTRIGGER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// A probe of the app that the status port asks, as `outrigger inject --rewrite-probes` writes it
    #[arg(long, value_name = "JSON", value_parser = AppProbe::read)]
    app_probe: Vec<AppProbe>,
}

pub(super) fn run(arguments: Arguments) -> u8 {
    let source = arguments
        .config
        .map_or(ConfigSource::Default, ConfigSource::File);
    code(control::run(source, arguments.app_probe))
}

/// Prints why the proxy did not start; returns the exit code.
pub(super) fn code(ended: Result<Ended, StartError>) -> u8 {
    match ended {
        Ok(Ended::Gracefully) => DONE,
        Ok(Ended::Forced) => FAILED,
        Err(StartError::Config(error)) => {
            print_error(error.render(color()));
            REFUSED
        }
        Err(
            error @ (StartError::Bind { .. }
            | StartError::Tls { .. }
            | StartError::UpstreamTls { .. }
            | StartError::LogSettings(_)
            | StartError::Logs(_)),
        ) => {
            print_error(format_args!("error: {error}\n"));
            REFUSED
        }
        Err(error @ StartError::System(_)) => {
            print_error(format_args!("error: {error}\n"));
            FAILED
        }
    }
}
