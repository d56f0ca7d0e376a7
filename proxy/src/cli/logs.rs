//! `outrigger logs test`: what becomes of each line of a file, without sending anything.

use std::{
    fs::File,
    io::{IsTerminal, Read, Write},
    path::PathBuf,
};

use outrigger_config::{Environment, LoadError, ProcessEnvironment, load_path, render_text};
use outrigger_logs::{preview::Preview, shipper::Settings};

use super::{DONE, FAILED, REFUSED, color, print_error};

#[derive(clap::Subcommand)]
pub(super) enum Arguments {
    /// Show what becomes of each line of a file: parsed fields, joined lines, redactions. Nothing is sent
    Test(TestArguments),
}

#[derive(clap::Args)]
pub(super) struct TestArguments {
    /// The configuration file
    #[arg(short, long, env = "OUTRIGGER_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// The source whose settings are used
    #[arg(long, value_name = "NAME")]
    source: String,
    /// The log file, or - for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn logs(arguments: &Arguments) -> u8 {
    let Arguments::Test(arguments) = arguments;
    match test(arguments) {
        Ok(()) => DONE,
        Err((code, message)) => {
            print_error(message);
            code
        }
    }
}

fn test(arguments: &TestArguments) -> Result<(), (u8, String)> {
    let refused = |message: String| (REFUSED, format!("error: {message}\n"));
    let failed = |message: String| (FAILED, format!("error: {message}\n"));
    let loaded = load_path(&arguments.config, &ProcessEnvironment).map_err(|error| {
        let text = match &error {
            LoadError::Rejected { text, .. } => text.text(),
            LoadError::Unreadable { .. } => "",
        };
        (REFUSED, render_text(&error.problems(), text, color()))
    })?;
    let Some(logs) = &loaded.config.logs else {
        return Err(refused(format!(
            "{} has no logs",
            arguments.config.display()
        )));
    };
    let settings = Settings::of(logs, |name| ProcessEnvironment.get(name))
        .map_err(|error| refused(error.to_string()))?;
    let source = settings
        .sources
        .iter()
        .find(|source| *source.name == *arguments.source)
        .ok_or_else(|| {
            let names: Vec<&str> = settings.sources.iter().map(|one| &*one.name).collect();
            let names = names.join(", ");
            refused(format!(
                "there is no source named {:?}; the file has: {names}",
                arguments.source
            ))
        })?;
    let input: Box<dyn Read> = match arguments.file.as_os_str() == "-" {
        true => Box::new(std::io::stdin().lock()),
        false => Box::new(File::open(&arguments.file).map_err(|error| {
            failed(format!("cannot read {}: {error}", arguments.file.display()))
        })?),
    };
    let path = arguments.file.to_string_lossy();
    let written = Preview::new(source, &path).run(input, &mut Lines::new());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(failed(error.to_string()))
        }
        _ => Ok(()),
    }
}

/// One document a line on a pipe, indented on a terminal.
struct Lines {
    out: std::io::StdoutLock<'static>,
    indented: bool,
}

impl Lines {
    fn new() -> Self {
        let out = std::io::stdout().lock();
        let indented = out.is_terminal();
        Self { out, indented }
    }
}

impl outrigger_logs::preview::Show for Lines {
    fn record(&mut self, document: &[u8]) -> std::io::Result<()> {
        if self.indented
            && let Ok(value) = serde_json::from_slice::<serde_json::Value>(document)
        {
            return writeln!(self.out, "{value:#}");
        }
        self.out.write_all(document)?;
        self.out.write_all(b"\n")
    }

    fn end(&mut self, summary: &str) -> std::io::Result<()> {
        self.out.flush()?;
        print_error(format_args!("{summary}\n"));
        Ok(())
    }
}
