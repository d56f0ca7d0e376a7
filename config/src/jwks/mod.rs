//! JSON Web Key Sets (RFC 7517): parses public keys that can verify, and reports those that cannot.
//!
//! The same parser is used for `jwks.file` and `jwks.inline` when the configuration is checked, and
//! for responses of key servers at runtime. A set is rejected as a whole when it is not a set or is
//! too large. A key that cannot verify is skipped and reported: providers publish encryption keys
//! and other curves beside the keys that are needed here. A set without a usable key is rejected.
//!
//! Several keys may share a `kid` (RFC 7517 section 4.5); the verifier selects among them by
//! algorithm.
//!
//! Secrets are not allowed in a set: `oct` keys and keys with private members are skipped (`secret`
//! is for HS256, HS384 and HS512).

mod key;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

pub use key::{Jwk, KeyMaterial, Unusable};

use crate::strict_json::{Json, JsonError};

/// Maximum size of a set in bytes (docs/security.md 14).
pub const MAX_BYTES: usize = 1 << 20;

/// Maximum number of keys in a set (docs/security.md 14).
pub const MAX_KEYS: usize = 100;

/// A set has three levels; unused members may be nested a little deeper.
const MAX_DEPTH: usize = 8;

/// The public keys of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Jwks {
    /// The usable keys, in the order of the set; at least one. Several keys may share a `kid`.
    pub keys: Vec<Jwk>,
    /// The skipped keys.
    pub skipped: Vec<SkippedKey>,
}

/// A skipped key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedKey {
    /// Its index in `keys`.
    pub index: usize,
    /// Its key ID, if it has one.
    pub kid: Option<Arc<str>>,
    /// Why it was skipped.
    pub why: Unusable,
}

impl fmt::Display for SkippedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keys[{}]", self.index)?;
        if let Some(kid) = &self.kid {
            write!(f, " (kid {kid:?})")?;
        }
        write!(f, ": {}", self.why)
    }
}

/// Why a whole set was rejected.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// Over [`MAX_BYTES`].
    #[error("it is larger than 1 MiB")]
    TooLarge,
    /// An HTML page.
    #[error("this is HTML, not a JWKS")]
    Html,
    /// A key or certificate in PEM.
    #[error("this is PEM, not a JWKS")]
    Pem,
    /// An empty text.
    #[error("it is empty")]
    Empty,
    /// Invalid or ambiguous JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A discovery document, which contains the URL of the keys.
    #[error("this is a discovery document, not a JWKS; the keys are at the URL in its jwks_uri")]
    Discovery,
    /// A single key.
    #[error("this is one key, not a JWKS; write {{\"keys\": [ ... ]}} around it")]
    OneKey,
    /// JSON of another kind.
    #[error("this is JSON without a list of keys; a JWKS is {{\"keys\": [ ... ]}}")]
    NoKeys,
    /// Over [`MAX_KEYS`].
    #[error("it has {0} keys; the maximum is 100")]
    TooManyKeys(usize),
    /// No key of the set can verify a token.
    #[error("none of its keys can be used{}", listed(.0))]
    NoUsableKey(Vec<SkippedKey>),
}

fn listed(skipped: &[SkippedKey]) -> String {
    const TOLD: usize = 5;
    let mut text = String::new();
    for (place, key) in skipped.iter().take(TOLD).enumerate() {
        text += if place == 0 { ": " } else { "; " };
        text += &key.to_string();
    }
    if skipped.len() > TOLD {
        text += &format!("; and {} more", skipped.len() - TOLD);
    }
    text
}

/// Parses a set.
///
/// # Errors
/// When the text is not a set, is too large, or has no key that can verify.
pub fn parse(text: &[u8]) -> Result<Jwks, JwksError> {
    if text.len() > MAX_BYTES {
        return Err(JwksError::TooLarge);
    }
    looks_like_something_else(text.trim_ascii_start())?;
    let json = Json::parse(text, MAX_DEPTH)?;
    let listed = list(&json)?;
    if listed.len() > MAX_KEYS {
        return Err(JwksError::TooManyKeys(listed.len()));
    }
    let (mut keys, mut skipped) = (Vec::new(), Vec::new());
    for (index, json) in listed.iter().enumerate() {
        let kid = key::kid(json);
        match Jwk::read(json, kid.clone()) {
            Ok(key) => keys.push(key),
            Err(why) => skipped.push(SkippedKey { index, kid, why }),
        }
    }
    if keys.is_empty() {
        Err(JwksError::NoUsableKey(skipped))
    } else {
        Ok(Jwks { keys, skipped })
    }
}

/// Recognizes common mistakes in place of a set.
fn looks_like_something_else(text: &[u8]) -> Result<(), JwksError> {
    match text {
        [] => Err(JwksError::Empty),
        [b'<', ..] => Err(JwksError::Html),
        _ if text.starts_with(b"-----BEGIN") => Err(JwksError::Pem),
        _ => Ok(()),
    }
}

fn list(json: &Json) -> Result<&[Json], JwksError> {
    let object = json.as_object().ok_or(JwksError::NoKeys)?;
    match object.get("keys") {
        Some(keys) => keys.as_array().ok_or(JwksError::NoKeys),
        None if object.get("jwks_uri").is_some() => Err(JwksError::Discovery),
        None if object.get("kty").is_some() => Err(JwksError::OneKey),
        None => Err(JwksError::NoKeys),
    }
}
