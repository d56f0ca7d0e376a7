//! The file, and one look at it and at every file that it names.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    block::Environment,
    files::{Files, Fingerprint},
    load::{LoadError, Loaded, load_bytes},
};

/// How often a load starts again when a volume was swapped below it: a swap takes microseconds, and so does reading.
const ATTEMPTS: usize = 10;

/// A configuration file by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    path: PathBuf,
}

/// What a load looked at.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Every file, the configuration first; also those that could not be read.
    pub(super) files: Vec<Arc<Path>>,
    /// What they hashed to.
    pub(super) fingerprint: Fingerprint,
}

/// Reads, checks and accepts a file.
///
/// # Errors
/// The file cannot be read, or has at least one error.
pub fn load_path(path: &Path, environment: &dyn Environment) -> Result<Loaded, LoadError> {
    Source::new(path).load(environment)
}

impl Source {
    /// The file at `path`; it is looked at when it is read.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads, checks and accepts the file and what it names.
    ///
    /// # Errors
    /// The file cannot be read, or has at least one error.
    pub fn load(&self, environment: &dyn Environment) -> Result<Loaded, LoadError> {
        self.look(&[], environment).0
    }

    /// The same, with what was looked at even when it was refused. `expected` are the files that were named before.
    pub(super) fn look(
        &self,
        expected: &[Arc<Path>],
        environment: &dyn Environment,
    ) -> (Result<Loaded, LoadError>, Seen) {
        self.consistently(expected, environment, |files| {
            let content = files
                .content(&self.absolute())
                .map_err(|error| LoadError::Unreadable {
                    path: self.path.clone(),
                    source: io::Error::new(error.kind(), error),
                });
            content.and_then(|content| {
                load_bytes(
                    &self.path.display().to_string(),
                    &content,
                    files,
                    environment,
                )
            })
        })
    }

    /// What these files, which an earlier load looked at, hash to now.
    pub(super) fn fingerprint(
        &self,
        seen: &[Arc<Path>],
        environment: &dyn Environment,
    ) -> Fingerprint {
        let read = |files: &mut Files<'_>| seen.iter().for_each(|path| drop(files.content(path)));
        self.consistently(&[], environment, read).1.fingerprint
    }

    /// Does something with files of one generation. A volume that is swapped faster than it can be read is taken as it is
    /// after some attempts: its next swap is an event of its own.
    fn consistently<T>(
        &self,
        expected: &[Arc<Path>],
        environment: &dyn Environment,
        mut act: impl FnMut(&mut Files<'_>) -> T,
    ) -> (T, Seen) {
        let mut ahead = expected.to_vec();
        let mut attempt = 1;
        loop {
            let mut files = Files::of(&self.path, environment);
            files.read_ahead(&ahead);
            let done = act(&mut files);
            if attempt == ATTEMPTS || !files.torn() {
                return (
                    done,
                    Seen {
                        files: files.paths(),
                        fingerprint: files.fingerprint(),
                    },
                );
            }
            ahead = files.paths();
            attempt += 1;
        }
    }

    fn absolute(&self) -> PathBuf {
        std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone())
    }
}
