//! JSON Web Key Sets (RFC 7517): text into public keys that can verify, and words for those that cannot.
//!
//! The same reader serves `jwks.file` and `jwks.inline` when the configuration is checked, and every answer of a key
//! server later. A set is rejected as a whole when it is not a set or is too large. A key that cannot verify is
//! left out and reported: providers publish encryption keys and curves of their own beside the keys that we need. A
//! set without a usable key is rejected.
//!
//! Several keys may share a `kid` (RFC 7517 section 4.5); the verifier selects among them by algorithm.
//!
//! Secrets have no place in a set: `oct` keys and private members are left out (`secret` is for HS256 and its kin).

mod key;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

pub use key::{Jwk, KeyMaterial, Unusable};

use crate::strict_json::{Json, JsonError};

/// The largest set that is read (docs/security.md 14).
pub const MAX_BYTES: usize = 1 << 20;

/// The most keys in a set (docs/security.md 14).
pub const MAX_KEYS: usize = 100;

/// A set is three levels deep; members that nobody reads may be a little deeper.
const MAX_DEPTH: usize = 8;

/// The public keys of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Jwks {
    /// What can verify, in the order of the set; at least one. Several keys may share a `kid`.
    pub keys: Vec<Jwk>,
    /// What was left out.
    pub skipped: Vec<SkippedKey>,
}

/// A key that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedKey {
    /// Its place in `keys`.
    pub index: usize,
    /// Its name, when it has one.
    pub kid: Option<Arc<str>>,
    /// What is wrong with it.
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

/// Why a whole set was refused.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// Over [`MAX_BYTES`].
    #[error("it is larger than 1 MiB")]
    TooLarge,
    /// A page for people.
    #[error("this is HTML, not a JWKS")]
    Html,
    /// A key or certificate in PEM.
    #[error("this is PEM, not a JWKS")]
    Pem,
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// Not JSON that reads in one way.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The page that says where the keys are.
    #[error("this is a discovery document, not a JWKS; the keys are at its jwks_uri")]
    Discovery,
    /// One key on its own.
    #[error("this is one key, not a JWKS; write {{\"keys\": [ ... ]}} around it")]
    OneKey,
    /// JSON of another kind.
    #[error("this is JSON without a list of keys; a JWKS is {{\"keys\": [ ... ]}}")]
    NoKeys,
    /// Over [`MAX_KEYS`].
    #[error("it has {0} keys; 100 are the most")]
    TooManyKeys(usize),
    /// Nothing in it can verify a token.
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

/// Reads a set.
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

/// What people really put where a set should be, in words.
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
