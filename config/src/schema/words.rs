//! The words of the vocabulary and what they mean.

use crate::{
    block::words,
    model::{ClientAuthMode, JwtAlgorithm, TlsVersion, TokenBinding},
};

/// What a rate limit may count by without further words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlainKey {
    ClientAddress,
    Global,
    SubjectAltName,
}

/// Where a limit may be kept beside the pod itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SharedStore {
    Redis,
}

words! {
    TlsVersion { "1.2" => Tls12, "1.3" => Tls13 }
    ClientAuthMode { "required" => Required, "optional" => Optional }
    JwtAlgorithm {
        "RS256" => Rs256, "RS384" => Rs384, "RS512" => Rs512, "PS256" => Ps256, "PS384" => Ps384, "PS512" => Ps512,
        "ES256" => Es256, "ES384" => Es384, "EdDSA" => EdDsa, "HS256" => Hs256, "HS384" => Hs384, "HS512" => Hs512,
    }
    TokenBinding { "never" => Never, "whenPresent" => WhenPresent, "required" => Required }
    PlainKey { "clientIP" => ClientAddress, "global" => Global, "subjectAltName" => SubjectAltName }
    SharedStore { "redis" => Redis }
}
