//! `outrigger run`.

use std::path::PathBuf;

use super::{DONE, FAILED, REFUSED, color};
use crate::control::{self, ConfigSource, Ended, StartError};

pub(super) fn run(file: Option<PathBuf>) -> u8 {
    let source = file.map_or(ConfigSource::Default, ConfigSource::File);
    match control::run(source) {
        Ok(Ended::Gracefully) => DONE,
        Ok(Ended::Forced) => FAILED,
        Err(StartError::Config(error)) => {
            eprint!("{}", error.render(color()));
            REFUSED
        }
        Err(error @ StartError::Bind { .. }) => {
            eprintln!("error: {error}");
            REFUSED
        }
        Err(error @ StartError::System(_)) => {
            eprintln!("error: {error}");
            FAILED
        }
    }
}
