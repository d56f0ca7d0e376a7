//! Hash of a configuration and every file that it names.

use std::{fmt, os::unix::ffi::OsStrExt as _, path::Path};

use sha2::{Digest, Sha256};

/// SHA-256 over the files of one load, their names, and read errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of contents or read errors, by path.
    pub(super) fn of<'a>(
        files: impl Iterator<Item = (&'a Path, Result<&'a [u8], String>)>,
    ) -> Self {
        let mut all = Sha256::new();
        for (path, content) in files {
            let (kind, content) = match &content {
                Ok(content) => (0, *content),
                Err(error) => (1, error.as_bytes()),
            };
            // Each part has a fixed length, so that two different lists of files never have the
            // same input.
            all.update(Sha256::digest(path.as_os_str().as_bytes()));
            all.update([kind]);
            all.update(Sha256::digest(content));
        }
        Self(all.finalize().into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
