//! `outrigger check`: reports every problem of a configuration file, as text or JSON.

use std::path::PathBuf;

use clap::ValueEnum;
use outrigger_config::{
    LoadError, Problem, ProcessEnvironment, load_path, render_json, render_text,
};

use super::{DONE, REFUSED, color, print, print_error};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
    /// The same, as `outrigger run` takes it
    #[arg(short, long, env = "OUTRIGGER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Text for people on stderr, or JSON for programs on stdout
    #[arg(long, default_value = "text")]
    format: Format,
    /// Warnings are errors
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) fn check(arguments: &Arguments) -> u8 {
    let Some(path) = arguments.file.as_ref().or(arguments.config.as_ref()) else {
        print_error("error: name the file to check: outrigger check FILE\n");
        return REFUSED;
    };
    let loaded = load_path(path, &ProcessEnvironment);
    let (problems, source) = match &loaded {
        Ok(loaded) => (loaded.warnings.clone(), loaded.text.text()),
        Err(error @ LoadError::Rejected { text, .. }) => (error.problems(), text.text()),
        Err(error @ LoadError::Unreadable { .. }) => (error.problems(), ""),
    };
    match arguments.format {
        Format::Json => drop(print(&format!("{:#}\n", render_json(&problems)))),
        Format::Text => {
            print_error(render_text(&problems, source, color()));
            if loaded.is_ok() {
                print_error(format_args!(
                    "{} is valid{}\n",
                    path.display(),
                    count(&problems)
                ));
            }
        }
    }
    if loaded.is_err() || (arguments.strict && !problems.is_empty()) {
        REFUSED
    } else {
        DONE
    }
}

fn count(warnings: &[Problem]) -> String {
    match warnings.len() {
        0 => String::new(),
        1 => ", with 1 warning".to_owned(),
        more => format!(", with {more} warnings"),
    }
}
