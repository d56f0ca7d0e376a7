//! Secrets, and where they come from.

use std::{fmt, path::Path, sync::Arc};

/// Where a secret that may change while running comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file, read whenever the secret is used.
    File(Arc<Path>),
    /// The environment, read when the configuration was loaded.
    Env {
        /// The variable.
        name: Arc<str>,
        /// What it held.
        value: SecretText,
    },
}

/// A secret; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText {
    secret: Arc<[u8]>,
    origin: Option<SecretOrigin>,
}

/// Where a secret was read from when the configuration was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretOrigin {
    /// A file.
    File(Arc<Path>),
    /// A variable of the environment.
    Env(Arc<str>),
}

impl SecretText {
    /// Keeps a secret.
    pub fn new(secret: impl Into<Arc<[u8]>>) -> Self {
        Self { secret: secret.into(), origin: None }
    }

    /// Keeps a secret that was read from somewhere.
    pub(crate) fn from(origin: SecretOrigin, secret: &[u8]) -> Self {
        Self { secret: secret.into(), origin: Some(origin) }
    }

    /// Where it was read from.
    pub fn origin(&self) -> Option<&SecretOrigin> {
        self.origin.as_ref()
    }

    /// The secret itself.
    pub fn expose(&self) -> &[u8] {
        &self.secret
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
