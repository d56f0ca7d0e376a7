//! From the text of a file to an accepted configuration.
//!
//! The text becomes a tree of spanned nodes, the tree becomes schema types, the schema types become
//! the model. All problems are reported at once, each with its position. Only a syntax error is
//! reported alone, because the text after it cannot be interpreted.

mod error;
mod syntax;

pub use error::LoadError;

use std::{path::Path, sync::Arc};

use crate::{
    block::{
        Environment, Read, Reader, SourceText, Span, node,
        problem::{Place, Problem, Report, render_text},
    },
    check,
    file::{Config, File},
    files::{Files, Fingerprint, content::MAX_BYTES},
};

/// The configuration that is used when there is no file.
const DEFAULT_FILE: &str = "app: { port: 8080 }";

/// An accepted file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings, by position.
    pub warnings: Vec<Problem>,
    /// The text, to show the warnings in it.
    pub text: SourceText,
    /// The hash of the content and of every file that it names.
    pub hash: Fingerprint,
    /// The files that were read, by absolute path: the configuration itself first, then those that it names.
    pub files: Vec<Arc<Path>>,
}

impl Loaded {
    /// The warnings, for people; empty when there are none.
    pub fn render_warnings(&self, color: bool) -> String {
        render_text(&self.warnings, self.text.text(), color)
    }
}

/// Validates a text; `name` is used in messages, and relative paths are relative to its folder.
///
/// # Errors
/// The text has at least one error.
pub fn load_str(
    name: &str,
    text: &str,
    environment: &dyn Environment,
) -> Result<Loaded, LoadError> {
    let mut files = Files::of(Path::new(name), environment);
    files.record(Path::new(name), text.as_bytes());
    load_bytes(name, text.as_bytes(), &mut files, environment)
}

/// The configuration without a file: port 8000 to an app on port 8080.
pub fn default_config() -> Config {
    let unset = |_: &str| None;
    load_str("default", DEFAULT_FILE, &unset)
        .expect("the default configuration is valid")
        .config
}

pub(crate) fn load_bytes(
    name: &str,
    bytes: &[u8],
    files: &mut Files<'_>,
    environment: &dyn Environment,
) -> Result<Loaded, LoadError> {
    let text = decode(name, bytes)?;
    let tree = match node::parse(text) {
        Ok(tree) => tree,
        Err(error) => return Err(syntax::report(name, text, &error)),
    };
    let mut reader = Reader {
        report: Report::new(SourceText::new(name, text)),
        environment,
    };
    if matches!(tree.value, node::Value::Null) {
        return Err(LoadError::alone(
            name,
            text,
            "empty-file",
            "the file is empty",
            EMPTY_HELP,
        ));
    }
    let file = File::read(
        &tree,
        &Place {
            span: tree.span,
            ..Place::root()
        },
        &mut reader,
    );
    let mut report = reader.report;
    let config = file.map(|file| check::config(&file, files, &mut report));
    match config {
        Some(config) if !report.has_errors() => {
            let (warnings, text) = report.finish();
            Ok(Loaded {
                config,
                warnings,
                text,
                hash: files.fingerprint(),
                files: files.paths(),
            })
        }
        _ => {
            let (problems, text) = report.finish();
            Err(LoadError::Rejected { problems, text })
        }
    }
}

const EMPTY_HELP: &str = "the smallest useful file is `app: { port: 8080 }`";

/// The text of a file: UTF-8, with or without a byte order mark, not too large and not empty.
fn decode<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, LoadError> {
    let alone = |code, message: &str, help: &str| LoadError::alone(name, "", code, message, help);
    if bytes.len() > MAX_BYTES {
        let help = "check the path: a configuration is a text of a few kilobytes";
        return Err(alone(
            "file-too-large",
            "the file is larger than 1 MiB",
            help,
        ));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(alone(
            "bad-encoding",
            "the file is UTF-16, not UTF-8",
            "save it as UTF-8",
        ));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let place = Place {
                span: Span {
                    start: valid.len(),
                    end: valid.len(),
                },
                ..Place::root()
            };
            let mut report = Report::new(SourceText::new(name, &valid));
            report.error(
                &place,
                "bad-encoding",
                "invalid UTF-8 from here on",
                "save it as UTF-8",
            );
            let (problems, text) = report.finish();
            return Err(LoadError::Rejected { problems, text });
        }
    };
    if text.trim().is_empty() {
        return Err(alone("empty-file", "the file is empty", EMPTY_HELP));
    }
    Ok(text)
}
