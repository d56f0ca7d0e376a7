//! Signature algorithms of tokens.

use crate::block::words;

/// A signature algorithm (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names of the standard
pub enum JwtAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
    Hs256,
    Hs384,
    Hs512,
}

words! {
    JwtAlgorithm {
        "RS256" => Rs256, "RS384" => Rs384, "RS512" => Rs512, "PS256" => Ps256, "PS384" => Ps384, "PS512" => Ps512,
        "ES256" => Es256, "ES384" => Es384, "EdDSA" => EdDsa, "HS256" => Hs256, "HS384" => Hs384, "HS512" => Hs512,
    }
}

impl JwtAlgorithm {
    /// Those with a public key, in the order of the standards.
    pub const ASYMMETRIC: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The value of `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// The algorithm with this name, case-sensitive. `Ed25519` is the newer name of EdDSA (RFC
    /// 9864).
    pub fn named(name: &str) -> Option<Self> {
        const SYMMETRIC: [JwtAlgorithm; 3] = [
            JwtAlgorithm::Hs256,
            JwtAlgorithm::Hs384,
            JwtAlgorithm::Hs512,
        ];
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ASYMMETRIC
            .into_iter()
            .chain(SYMMETRIC)
            .find(|algorithm| algorithm.name() == name)
    }

    /// Minimum length of the secret, in bytes: that of the hash (RFC 7518 section 3.2); 0 for
    /// algorithms with a public key.
    pub fn min_secret_bytes(self) -> usize {
        match self {
            Self::Hs256 => 32,
            Self::Hs384 => 48,
            Self::Hs512 => 64,
            _ => 0,
        }
    }

    /// Whether both sides hold the same secret.
    pub fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }
}
