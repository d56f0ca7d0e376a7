//! Decides whether there is a new content to load.

use std::{path::Path, sync::Arc};

use crate::{
    block::Environment,
    load::{LoadError, Loaded},
    reload::{Source, source::LoadedFiles},
};

/// Remembers the last fingerprint, so that the same content is neither loaded nor reported twice.
#[derive(Debug)]
pub struct Reloader {
    source: Source,
    seen: LoadedFiles,
}

impl Reloader {
    /// Starts from the first loaded configuration.
    pub fn new(source: Source, loaded: &Loaded) -> Self {
        Self {
            source,
            seen: LoadedFiles {
                files: loaded.files.clone(),
                fingerprint: loaded.hash,
            },
        }
    }

    /// The file.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// All files of the last load, the configuration first; also those that a rejected
    /// configuration names. These are the files to watch.
    pub fn files(&self) -> &[Arc<Path>] {
        &self.seen.files
    }

    /// Loads the configuration when the file or a file that it names has changed since the last
    /// check. `None` when nothing has changed, also when that content was rejected.
    ///
    /// # Errors
    /// A file became unreadable, or its new content has errors. Keep the old configuration.
    pub fn if_changed(
        &mut self,
        environment: &dyn Environment,
    ) -> Result<Option<Loaded>, LoadError> {
        let known = self.seen.fingerprint;
        if self.source.fingerprint(&self.seen.files, environment) == known {
            return Ok(None);
        }
        let loaded = self.always(environment);
        // The last load mixed two generations.
        if self.seen.fingerprint == known {
            Ok(None)
        } else {
            loaded.map(Some)
        }
    }

    /// Loads the configuration even if nothing has changed, as after SIGHUP: an environment
    /// variable may differ.
    ///
    /// # Errors
    /// The file cannot be read, or has errors. Keep the old configuration.
    pub fn always(&mut self, environment: &dyn Environment) -> Result<Loaded, LoadError> {
        let (loaded, seen) = self.source.load_with_files(&self.seen.files, environment);
        self.seen = seen;
        loaded
    }
}
