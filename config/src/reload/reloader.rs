//! Decides whether there is something new to load.

use super::{Fingerprint, Source};
use crate::load::{Environment, LoadError, Loaded, load_bytes};

/// Remembers what was seen last, so that the same content is neither loaded nor reported twice.
#[derive(Debug)]
pub struct Reloader {
    source: Source,
    seen: Seen,
}

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Content(Fingerprint),
    Unreadable(String),
}

impl Reloader {
    /// Starts from what was loaded first.
    pub fn new(source: Source, loaded: &Loaded) -> Self {
        Self { source, seen: Seen::Content(loaded.hash) }
    }

    /// The file.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Loads the file when its content is not what it was at the last look; `None` when it is, also when
    /// that content was refused.
    ///
    /// # Errors
    /// The file became unreadable, or its new content has errors. Keep serving what was good.
    pub fn if_changed(&mut self, environment: &dyn Environment) -> Result<Option<Loaded>, LoadError> {
        self.look(environment, false)
    }

    /// Loads the file whatever its content, as after SIGHUP: a variable or a file beside it may be new.
    ///
    /// # Errors
    /// The file cannot be read, or has errors. Keep serving what was good.
    pub fn always(&mut self, environment: &dyn Environment) -> Result<Loaded, LoadError> {
        self.look(environment, true).map(|loaded| loaded.expect("a forced look always loads"))
    }

    fn look(&mut self, environment: &dyn Environment, force: bool) -> Result<Option<Loaded>, LoadError> {
        let content = match self.source.content() {
            Ok(content) => content,
            Err(error) => {
                let seen = Seen::Unreadable(error.to_string());
                let known = std::mem::replace(&mut self.seen, seen) == self.seen;
                return if known && !force { Ok(None) } else { Err(error) };
            }
        };
        let seen = Seen::Content(Fingerprint::of(&content));
        if seen == self.seen && !force {
            return Ok(None);
        }
        self.seen = seen;
        load_bytes(&self.source.path().display().to_string(), &content, environment).map(Some)
    }
}
