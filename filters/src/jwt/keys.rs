//! The keys of one provider, ready to verify with.
//!
//! A key set is immutable; each fetch creates a new one. An algorithm is bound to a kind of key
//! (docs/security.md 12): the public key of an RSA pair can never be the secret of HS256, whatever
//! a token says.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use outrigger_config::{
    jwks::{Jwk, Jwks, JwksError, KeyMaterial},
    model::{JwtAlgorithm, SecretText},
};

use super::Token;
use crate::reason::Reason;

/// The most keys that are tried for one token. Each costs a verification.
const MAX_TRIED: usize = 4;

/// The keys of one provider.
#[derive(Debug)]
pub struct KeySet {
    generation: u64,
    keys: Vec<Arc<Key>>,
    /// Names of keys in the set that cannot be used.
    unusable: Vec<Arc<str>>,
}

/// A secret that is too short for every algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret of {0} bytes; HS256 needs 32, HS384 48, HS512 64")]
pub struct ShortSecret(usize);

/// One key; two are equal if they verify the same tokens.
#[derive(Debug)]
pub(super) struct Key {
    kind: Kind,
    decoding: DecodingKey,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Public(Jwk),
    Secret(SecretText),
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl KeySet {
    /// The public keys of a set. A key that is listed twice is kept once.
    pub fn public(set: Jwks) -> Self {
        let unusable = set.skipped.into_iter().filter_map(|key| key.kid).collect();
        let mut distinct: Vec<Jwk> = Vec::with_capacity(set.keys.len());
        for key in set.keys {
            if !distinct.contains(&key) {
                distinct.push(key);
            }
        }
        Self::new(distinct.into_iter().map(Key::public).collect(), unusable)
    }

    /// Parses the text of a set.
    ///
    /// # Errors
    /// The text is no key set, or contains no key that can verify.
    pub fn read(text: &[u8]) -> Result<Self, JwksError> {
        outrigger_config::jwks::parse(text).map(Self::public)
    }

    /// One shared secret. It has no name: tokens may use any `kid` for it.
    ///
    /// # Errors
    /// The secret is shorter than the hash of every algorithm (RFC 7518 section 3.2).
    pub fn secret(secret: SecretText) -> Result<Self, ShortSecret> {
        let length = secret.expose().len();
        if length < JwtAlgorithm::Hs256.min_secret_bytes() {
            return Err(ShortSecret(length));
        }
        Ok(Self::new(vec![Arc::new(Key::secret(secret))], Vec::new()))
    }

    fn new(keys: Vec<Arc<Key>>, unusable: Vec<Arc<str>>) -> Self {
        static GENERATION: AtomicU64 = AtomicU64::new(0);
        Self {
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
            keys,
            unusable,
        }
    }

    /// The number of keys that can verify.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none; a set is never created empty.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Unique among the key sets of this process.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the set still contains this key, under the same name and for the same algorithm.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.keys.iter().any(|own| **own == *key)
    }

    /// The key that signed the token.
    ///
    /// A token with a `kid` is tried with the keys of that `kid`, which several keys may share (RFC 7517 section 4.5).
    /// If the set has no such key, it is tried with the keys without `kid`. A token without `kid` is tried with all
    /// keys. Only keys that fit the token's algorithm are tried. If more than [`MAX_TRIED`] keys fit, none is tried.
    ///
    /// # Errors
    /// No key signed it. Newer keys can help only after [`Reason::AuthUnknownKid`].
    pub(super) fn verify(&self, token: &Token<'_>) -> Result<Arc<Key>, Reason> {
        let Some(kid) = token.kid() else {
            return self.try_each(token, |_| true);
        };
        let has_kid = |key: &Key| key.kid() == Some(kid);
        if self.keys.iter().any(|key| has_kid(key)) {
            return self.try_each(token, has_kid);
        }
        if self.unusable.iter().any(|unusable| **unusable == *kid) {
            return Err(Reason::AuthUnusableKey);
        }
        if self.keys.iter().all(|key| key.kid().is_some()) {
            return Err(Reason::AuthUnknownKid);
        }
        self.try_each(token, |key| key.kid().is_none())
            .map_err(|refusal| match &self.keys[0].kind {
                // One secret is the whole set: the `kid` can mean no other.
                Kind::Secret(_) => refusal,
                Kind::Public(_) => Reason::AuthUnknownKid,
            })
    }

    fn try_each(
        &self,
        token: &Token<'_>,
        takes: impl Fn(&Key) -> bool,
    ) -> Result<Arc<Key>, Reason> {
        let fitting = || {
            self.keys
                .iter()
                .filter(|key| takes(key) && key.fits(token.algorithm()))
        };
        match fitting().count() {
            0 => Err(Reason::AuthKeyMismatch),
            1..=MAX_TRIED => fitting()
                .find(|key| key.signed(token))
                .cloned()
                .ok_or(Reason::AuthSignature),
            _ => Err(Reason::AuthAmbiguousKey),
        }
    }
}

impl Key {
    fn public(jwk: Jwk) -> Arc<Self> {
        let decoding = match &jwk.material {
            KeyMaterial::Rsa { modulus, exponent } => {
                DecodingKey::from_rsa_raw_components(modulus, exponent)
            }
            KeyMaterial::P256(point) | KeyMaterial::P384(point) => DecodingKey::from_ec_der(point),
            KeyMaterial::Ed25519(point) => DecodingKey::from_ed_der(point),
        };
        Arc::new(Self {
            kind: Kind::Public(jwk),
            decoding,
        })
    }

    fn secret(secret: SecretText) -> Self {
        let decoding = DecodingKey::from_secret(secret.expose());
        Self {
            kind: Kind::Secret(secret),
            decoding,
        }
    }

    fn kid(&self) -> Option<&str> {
        match &self.kind {
            Kind::Public(jwk) => jwk.kid.as_deref(),
            Kind::Secret(_) => None,
        }
    }

    fn fits(&self, algorithm: JwtAlgorithm) -> bool {
        match &self.kind {
            Kind::Public(jwk) => {
                jwk.material.fits(algorithm) && jwk.algorithm.is_none_or(|only| only == algorithm)
            }
            Kind::Secret(secret) => {
                algorithm.is_symmetric() && secret.expose().len() >= algorithm.min_secret_bytes()
            }
        }
    }

    /// Whether this key made the signature. Check [`Self::fits`] first.
    fn signed(&self, token: &Token<'_>) -> bool {
        let signed = token.signed().as_bytes();
        crypto::verify(
            token.signature(),
            signed,
            &self.decoding,
            algorithm(token.algorithm()),
        )
        .unwrap_or(false)
    }
}

fn algorithm(algorithm: JwtAlgorithm) -> Algorithm {
    match algorithm {
        JwtAlgorithm::Rs256 => Algorithm::RS256,
        JwtAlgorithm::Rs384 => Algorithm::RS384,
        JwtAlgorithm::Rs512 => Algorithm::RS512,
        JwtAlgorithm::Ps256 => Algorithm::PS256,
        JwtAlgorithm::Ps384 => Algorithm::PS384,
        JwtAlgorithm::Ps512 => Algorithm::PS512,
        JwtAlgorithm::Es256 => Algorithm::ES256,
        JwtAlgorithm::Es384 => Algorithm::ES384,
        JwtAlgorithm::EdDsa => Algorithm::EdDSA,
        JwtAlgorithm::Hs256 => Algorithm::HS256,
        JwtAlgorithm::Hs384 => Algorithm::HS384,
        JwtAlgorithm::Hs512 => Algorithm::HS512,
    }
}
