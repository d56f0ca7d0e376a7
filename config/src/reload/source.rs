//! The file and what its content hashes to.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::mount;
use crate::load::{Environment, LoadError, Loaded, MAX_FILE_BYTES, load_bytes};

/// How often a read is tried when the generation vanishes below it: a swap takes microseconds.
const ATTEMPTS: usize = 5;

/// SHA-256 of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a content.
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A configuration file by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    path: PathBuf,
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

    /// Reads, checks and accepts the file.
    ///
    /// # Errors
    /// The file cannot be read, or has at least one error.
    pub fn load(&self, environment: &dyn Environment) -> Result<Loaded, LoadError> {
        load_bytes(&self.path.display().to_string(), &self.content()?, environment)
    }

    /// What the content hashes to now.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn fingerprint(&self) -> Result<Fingerprint, LoadError> {
        Ok(Fingerprint::of(&self.content()?))
    }

    /// Whether the file can never change: it is itself a mount point, as with a Kubernetes `subPath`, so a
    /// new generation of the volume does not reach it. `false` where the system does not say.
    pub fn cannot_update(&self) -> bool {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        fs::canonicalize(&self.path).is_ok_and(|real| mount::is_mount_point(&table, &real))
    }

    /// The content, at most one byte over the limit: enough to see that it is too large.
    pub(super) fn content(&self) -> Result<Vec<u8>, LoadError> {
        let mut attempt = 1;
        loop {
            match self.read_generation() {
                Ok(content) => return Ok(content),
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => attempt += 1,
                Err(source) => return Err(LoadError::Unreadable { path: self.path.clone(), source }),
            }
        }
    }

    /// Symbolic links are resolved once, so that everything is read from the same generation.
    fn read_generation(&self) -> io::Result<Vec<u8>> {
        let real = fs::canonicalize(&self.path)?;
        let kind = fs::metadata(&real)?;
        if kind.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !kind.is_file() {
            // Reading a pipe can block for ever.
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX) + 1;
        let mut content = Vec::new();
        File::open(real)?.take(limit).read_to_end(&mut content)?;
        Ok(content)
    }
}
