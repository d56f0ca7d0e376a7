//! Decides whether there is something new to load.

use std::{path::Path, sync::Arc};

use crate::{
    block::Environment,
    load::{LoadError, Loaded},
    reload::{Source, source::Seen},
};

/// Remembers what was seen last, so that the same content is neither loaded nor reported twice.
#[derive(Debug)]
pub struct Reloader {
    source: Source,
    seen: Seen,
}

impl Reloader {
    /// Starts from what was loaded first.
    pub fn new(source: Source, loaded: &Loaded) -> Self {
        Self {
            source,
            seen: Seen {
                files: loaded.files.clone(),
                fingerprint: loaded.hash,
            },
        }
    }

    /// The file.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Every file that was looked at last, the configuration first; also what a refused one names. These are what to
    /// watch.
    pub fn files(&self) -> &[Arc<Path>] {
        &self.seen.files
    }

    /// Loads the file when it, or a file that it names, is not what it was at the last look; `None` when they are, also
    /// when that content was refused.
    ///
    /// # Errors
    /// A file became unreadable, or its new content has errors. Keep serving what was good.
    pub fn if_changed(
        &mut self,
        environment: &dyn Environment,
    ) -> Result<Option<Loaded>, LoadError> {
        let known = self.seen.fingerprint;
        if self.source.fingerprint(&self.seen.files, environment) == known {
            return Ok(None);
        }
        let loaded = self.always(environment);
        // Two generations were mixed a moment ago.
        if self.seen.fingerprint == known {
            Ok(None)
        } else {
            loaded.map(Some)
        }
    }

    /// Loads the file whatever its content, as after SIGHUP: a variable may be new.
    ///
    /// # Errors
    /// The file cannot be read, or has errors. Keep serving what was good.
    pub fn always(&mut self, environment: &dyn Environment) -> Result<Loaded, LoadError> {
        let (loaded, seen) = self.source.look(&self.seen.files, environment);
        self.seen = seen;
        loaded
    }
}
