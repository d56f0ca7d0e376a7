//! `outrigger run`.

use std::path::PathBuf;

use super::{DONE, FAILED, REFUSED, color, tell};
use crate::control::{self, ConfigSource, Ended, StartError};

pub(super) fn run(file: Option<PathBuf>) -> u8 {
    let source = file.map_or(ConfigSource::Default, ConfigSource::File);
    code(control::run(source))
}

/// Tells why the proxy did not start; the exit code.
pub(super) fn code(ended: Result<Ended, StartError>) -> u8 {
    match ended {
        Ok(Ended::Gracefully) => DONE,
        Ok(Ended::Forced) => FAILED,
        Err(StartError::Config(error)) => {
            tell(error.render(color()));
            REFUSED
        }
        Err(
            error @ (StartError::Bind { .. }
            | StartError::Tls { .. }
            | StartError::UpstreamTls { .. }),
        ) => {
            tell(format_args!("error: {error}\n"));
            REFUSED
        }
        Err(error @ StartError::System(_)) => {
            tell(format_args!("error: {error}\n"));
            FAILED
        }
    }
}
