//! The files that a configuration names: certificates, keys, revocation lists, key sets, secrets.
//!
//! All files of one load are from one generation: each symbolic link is read once, so that two
//! files of a Kubernetes volume are read behind the same `..data`. A generation may be removed
//! before all of its files were read; the caller checks [`Files::torn`] at the end and starts
//! again. The contents and read errors make up the fingerprint of the load, so a new certificate is
//! a new configuration.

pub(crate) mod chain;
pub(crate) mod content;
mod fingerprint;

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use fingerprint::Fingerprint;

use crate::block::{At, Environment, problem::Report};

/// The files of one load.
pub(crate) struct Files<'a> {
    /// The base of relative paths.
    base: PathBuf,
    /// The source of `{ env: … }` values.
    environment: &'a dyn Environment,
    /// The target of each link on the way of a path, `None` for entries that are not links.
    links: HashMap<PathBuf, Option<PathBuf>>,
    /// Contents that were read ahead.
    ahead: HashMap<Arc<Path>, Content>,
    read: Vec<Record>,
}

/// A content, or the read error.
pub(crate) type Content = Result<Arc<[u8]>, Arc<io::Error>>;

/// A file that was read, or failed to be read.
struct Record {
    path: Arc<Path>,
    content: Content,
}

/// A file that was read.
#[derive(Debug, Clone)]
pub(crate) struct NamedFile {
    /// Its absolute path.
    pub(crate) path: Arc<Path>,
    /// Its content: not empty, at most 1 MiB. It may be a secret.
    pub(crate) content: Arc<[u8]>,
}

impl<'a> Files<'a> {
    /// The files of the configuration `name`.
    pub(crate) fn of(name: &Path, environment: &'a dyn Environment) -> Self {
        let base = name.parent().unwrap_or_else(|| Path::new("")).to_owned();
        Self {
            base,
            environment,
            links: HashMap::new(),
            ahead: HashMap::new(),
            read: Vec::new(),
        }
    }

    /// The base of relative paths.
    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    /// An environment variable, for a value `{ env: NAME }`.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        self.environment.get(name)
    }

    /// The file with the name at this position. A missing, unreadable, empty or too large file is
    /// one error there, and `None`. Each file is read once per load, however often it is named.
    pub(crate) fn named(&mut self, written: &At<String>, report: &mut Report) -> Option<NamedFile> {
        let place = &written.place;
        if written.value.is_empty() {
            report.error(
                place,
                "bad-path",
                "the path is empty",
                "write the path of a file",
            );
            return None;
        }
        let joined = self.base.join(&written.value);
        let path: Arc<Path> = std::path::absolute(&joined).unwrap_or(joined).into();
        let name = &written.value;
        match self.content(&path) {
            Err(error) => {
                let message = format!("cannot read {name:?}: {}", content::reason(&error));
                report.error(place, "unreadable-file", message, content::remedy(&error));
            }
            Ok(found) if found.len() > content::MAX_BYTES => {
                let help =
                    "check the path: certificates, keys and key sets are a few kilobytes in size";
                report.error(
                    place,
                    "file-too-large",
                    format!("{name:?} is larger than 1 MiB"),
                    help,
                );
            }
            Ok(found) if found.trim_ascii().is_empty() => {
                let help = "use a file with content; it may not have been written yet";
                report.error(place, "empty-file", format!("{name:?} is empty"), help);
            }
            Ok(content) => return Some(NamedFile { path, content }),
        }
        None
    }

    /// The same for a file that is read again at each use: its content is not part of the
    /// fingerprint, so that a token that is renewed every hour causes no reload.
    pub(crate) fn reread_at_use(
        &mut self,
        written: &At<String>,
        report: &mut Report,
    ) -> Option<NamedFile> {
        let known = self.read.len();
        let file = self.named(written, report);
        // An unreadable file stays in the list, so that it is watched.
        if file.is_some() {
            self.read.truncate(known);
        }
        file
    }

    /// A content without any checks: a file of an earlier load, or the configuration itself.
    pub(crate) fn content(&mut self, path: &Path) -> Content {
        if let Some(known) = self.read.iter().find(|record| &*record.path == path) {
            return known.content.clone();
        }
        let content = self
            .ahead
            .remove(path)
            .unwrap_or_else(|| self.read_now(path));
        self.read.push(Record {
            path: path.into(),
            content: content.clone(),
        });
        content
    }

    /// Records a text that was read elsewhere.
    pub(crate) fn record(&mut self, name: &Path, content: &[u8]) {
        self.read.push(Record {
            path: name.into(),
            content: Ok(content.into()),
        });
    }

    /// Reads files that will probably be needed, one right after the other: the checks in between
    /// take so long that a volume may be swapped meanwhile.
    pub(crate) fn read_ahead(&mut self, paths: &[Arc<Path>]) {
        for path in paths {
            let content = self.read_now(path);
            self.ahead.insert(Arc::clone(path), content);
        }
    }

    /// Whether a file could not be read because its generation was replaced meanwhile.
    pub(crate) fn torn(&self) -> bool {
        let moved =
            |(link, target): (&PathBuf, &Option<PathBuf>)| fs::read_link(link).ok() != *target;
        self.read.iter().any(|record| record.content.is_err()) && self.links.iter().any(moved)
    }

    /// All files that were read or looked for, in that order; the configuration itself comes first.
    pub(crate) fn paths(&self) -> Vec<Arc<Path>> {
        self.read
            .iter()
            .map(|record| Arc::clone(&record.path))
            .collect()
    }

    /// The hash over all contents that were read.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.read.iter().map(|record| {
            let content = record.content.as_ref().map(|content| &content[..]);
            (&*record.path, content.map_err(|error| error.to_string()))
        }))
    }

    fn read_now(&mut self, path: &Path) -> Content {
        let links = &mut self.links;
        let chain = chain::follow(path, |link| {
            let target = links
                .entry(link.to_owned())
                .or_insert_with(|| fs::read_link(link).ok());
            target.clone()
        });
        chain
            .and_then(|chain| content::read(&chain.end))
            .map(Arc::from)
            .map_err(Arc::new)
    }
}

#[cfg(test)]
mod tests;
