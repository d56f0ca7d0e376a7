//! Keys, and tokens of every kind.

use std::{sync::OnceLock, time::Duration};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use outrigger_config::model::{JwtAlgorithm, JwtProvider, KeySource, SecretText};
use serde_json::{Value, json};

use crate::jwt::{KeySet, Thumbprint, Token, VerifiedToken, Verifier};
use crate::reason::Reason;

pub(super) const NOW: u64 = 1_700_000_000;
pub(super) const ISSUER: &str = "https://login.example.com/";
pub(super) const CERTIFICATE: Thumbprint = [7; 32];

pub(super) fn now() -> Duration {
    Duration::from_secs(NOW)
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A signing key.
pub(super) enum Signer {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Secret(Vec<u8>),
}

impl Signer {
    pub(super) fn new_rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub(super) fn new_p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(super) fn new_p384() -> Self {
        Self::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
    }

    pub(super) fn new_ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub(super) fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let encoding: &'static dyn RsaEncoding = match algorithm {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Self::P256(pair) | Self::P384(pair) => {
                pair.sign(&random, message).unwrap().as_ref().to_vec()
            }
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Secret(secret) => {
                let hash = match algorithm {
                    "HS384" => hmac::HMAC_SHA384,
                    "HS512" => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(hash, secret), message)
                    .as_ref()
                    .to_vec()
            }
        }
    }

    /// Its public half.
    pub(super) fn jwk(&self, kid: &str) -> Value {
        let mut jwk = match self {
            Self::Rsa(pair) => {
                let numbers = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({ "kty": "RSA", "n": encode(numbers.n), "e": encode(numbers.e) })
            }
            Self::P256(pair) => point("P-256", pair.public_key().as_ref()),
            Self::P384(pair) => point("P-384", pair.public_key().as_ref()),
            Self::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key()) })
            }
            Self::Secret(_) => panic!("a secret has no public half"),
        };
        if !kid.is_empty() {
            jwk["kid"] = kid.into();
        }
        jwk
    }

    /// A token with this header and payload, whatever they are.
    pub(super) fn token(&self, header: &str, payload: &str) -> String {
        let algorithm = serde_json::from_str::<Value>(header).ok();
        let algorithm = algorithm
            .as_ref()
            .and_then(|header| header["alg"].as_str())
            .unwrap_or("");
        let signed = format!("{}.{}", encode(header), encode(payload));
        let signature = encode(self.sign(algorithm, signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

fn point(curve: &str, point: &[u8]) -> Value {
    let (x, y) = point[1..].split_at(point.len() / 2);
    json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
}

/// One pair of each kind, made once.
pub(super) struct Signers {
    pub(super) rsa: Signer,
    pub(super) p256: Signer,
    pub(super) p384: Signer,
    pub(super) ed25519: Signer,
    pub(super) secret: Signer,
    pub(super) stranger: Signer,
}

pub(super) fn signers() -> &'static Signers {
    static SIGNERS: OnceLock<Signers> = OnceLock::new();
    SIGNERS.get_or_init(|| Signers {
        rsa: Signer::new_rsa(),
        p256: Signer::new_p256(),
        p384: Signer::new_p384(),
        ed25519: Signer::new_ed25519(),
        secret: Signer::Secret(b"0123456789abcdef0123456789abcdef".to_vec()),
        stranger: Signer::new_p256(),
    })
}

pub(super) fn key_set(keys: &[Value]) -> KeySet {
    KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

/// A key of each kind, and some that cannot be used.
pub(super) fn all_keys() -> KeySet {
    let signers = signers();
    let mut pinned = signers.rsa.jwk("pinned");
    pinned["alg"] = "RS256".into();
    let mut encryption = signers.p256.jwk("encryption");
    encryption["use"] = "enc".into();
    let weak = json!({ "kty": "RSA", "kid": "weak", "n": encode([0xff; 128]), "e": "AQAB" });
    key_set(&[
        signers.rsa.jwk("rsa"),
        signers.p256.jwk("p256"),
        signers.p384.jwk("p384"),
        signers.ed25519.jwk("ed25519"),
        pinned,
        encryption,
        weak,
    ])
}

pub(super) fn secret_keys() -> KeySet {
    let Signer::Secret(secret) = &signers().secret else {
        panic!("no secret")
    };
    KeySet::secret(SecretText::new(&secret[..])).unwrap()
}

pub(super) fn provider() -> JwtProvider {
    let keys = KeySource::Text {
        jwks: "".into(),
        file: None,
    };
    JwtProvider::new(
        "corp".into(),
        ISSUER.into(),
        vec!["orders-api".into(), "other-api".into()],
        keys,
    )
}

pub(super) fn symmetric_provider() -> JwtProvider {
    let mut provider = provider();
    provider.algorithms = vec![
        JwtAlgorithm::Hs256,
        JwtAlgorithm::Hs384,
        JwtAlgorithm::Hs512,
    ];
    provider
}

/// Good claims.
pub(super) fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": "orders-api", "exp": NOW + 300, "nbf": NOW - 10, "iat": NOW - 10, "sub": "alice" })
}

/// Good claims but for one, which is left out when it is `null`.
pub(super) fn claims_with(name: &str, value: Value) -> String {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims.to_string()
}

/// Good claims, and this text in front of their end.
pub(super) fn claims_and(more: &str) -> String {
    let claims = claims().to_string();
    format!("{},{more}}}", claims.strip_suffix('}').unwrap())
}

/// A token of the P-256 key.
pub(super) fn token(payload: &str) -> String {
    signers()
        .p256
        .token(r#"{"alg":"ES256","kid":"p256","typ":"JWT"}"#, payload)
}

/// A token of the P-256 key with good claims and this header.
pub(super) fn token_with_header(header: &str) -> String {
    signers().p256.token(header, &claims().to_string())
}

pub(super) fn verify(
    provider: &JwtProvider,
    keys: &KeySet,
    text: &str,
    certificate: Option<&Thumbprint>,
) -> Result<VerifiedToken, Reason> {
    Verifier::new(provider).verify(keys, Token::parse(text)?, now(), certificate)
}
