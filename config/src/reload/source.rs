//! The configuration file, and a consistent read of it and every file that it names.

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

/// Attempts when a volume is swapped during a load: a swap takes microseconds, and so does reading.
const ATTEMPTS: usize = 10;

/// A configuration file by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    path: PathBuf,
}

/// The files of a load.
#[derive(Debug, Clone)]
pub(super) struct LoadedFiles {
    /// All files, the configuration first; also those that could not be read.
    pub(super) files: Vec<Arc<Path>>,
    /// Their fingerprint.
    pub(super) fingerprint: Fingerprint,
}

/// Reads and validates a file.
///
/// # Errors
/// The file cannot be read, or has at least one error.
pub fn load_path(path: &Path, environment: &dyn Environment) -> Result<Loaded, LoadError> {
    Source::new(path).load(environment)
}

impl Source {
    /// The file at `path`; it is opened when it is loaded.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads and validates the file and the files that it names.
    ///
    /// # Errors
    /// The file cannot be read, or has at least one error.
    pub fn load(&self, environment: &dyn Environment) -> Result<Loaded, LoadError> {
        self.load_with_files(&[], environment).0
    }

    /// The same, and the files of the load even when it was rejected. `expected` are the files of
    /// the last load.
    pub(super) fn load_with_files(
        &self,
        expected: &[Arc<Path>],
        environment: &dyn Environment,
    ) -> (Result<Loaded, LoadError>, LoadedFiles) {
        self.with_one_generation(expected, environment, |files| {
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

    /// The current fingerprint of these files.
    pub(super) fn fingerprint(
        &self,
        seen: &[Arc<Path>],
        environment: &dyn Environment,
    ) -> Fingerprint {
        let read = |files: &mut Files<'_>| seen.iter().for_each(|path| drop(files.content(path)));
        self.with_one_generation(&[], environment, read)
            .1
            .fingerprint
    }

    /// Runs `action` with files of one generation. A volume that is swapped faster than it can be
    /// read is used as it is after some attempts: its next swap is another event.
    fn with_one_generation<T>(
        &self,
        expected: &[Arc<Path>],
        environment: &dyn Environment,
        mut act: impl FnMut(&mut Files<'_>) -> T,
    ) -> (T, LoadedFiles) {
        let mut ahead = expected.to_vec();
        let mut attempt = 1;
        loop {
            let mut files = Files::of(&self.path, environment);
            files.read_ahead(&ahead);
            let done = act(&mut files);
            if attempt == ATTEMPTS || !files.torn() {
                return (
                    done,
                    LoadedFiles {
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
