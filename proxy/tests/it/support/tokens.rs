//! Keys and tokens, made when a test runs and put together by hand, so that they can be wrong in any way.

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

pub const ISSUER: &str = "https://login.example.com/";

/// A signer with a name.
pub struct Signer {
    pub kid: String,
    key: Key,
}

enum Key {
    P256(Box<EcdsaKeyPair>),
    Rsa(Box<RsaKeyPair>),
    Secret(Vec<u8>),
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since the epoch.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

impl Signer {
    /// ES256.
    pub fn new(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self {
            kid: kid.to_owned(),
            key: Key::P256(Box::new(pair)),
        }
    }

    /// RS256.
    pub fn rsa(kid: &str) -> Self {
        Self {
            kid: kid.to_owned(),
            key: Key::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())),
        }
    }

    /// HS256.
    pub fn secret(secret: &[u8]) -> Self {
        Self {
            kid: "shared".to_owned(),
            key: Key::Secret(secret.to_vec()),
        }
    }

    pub fn algorithm(&self) -> &'static str {
        match self.key {
            Key::P256(_) => "ES256",
            Key::Rsa(_) => "RS256",
            Key::Secret(_) => "HS256",
        }
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::P256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Key::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Key::Secret(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message)
                .as_ref()
                .to_vec(),
        }
    }

    /// The public half.
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.key {
            Key::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
            }
            Key::Rsa(pair) => {
                let numbers = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({ "kty": "RSA", "n": encode(numbers.n), "e": encode(numbers.e) })
            }
            Key::Secret(_) => panic!("a secret has no public half"),
        };
        jwk["kid"] = self.kid.clone().into();
        jwk
    }

    /// A token with this header and payload, whatever they are.
    pub fn raw(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(payload));
        format!("{signed}.{}", encode(self.sign(signed.as_bytes())))
    }

    pub fn header(&self) -> String {
        json!({ "alg": self.algorithm(), "kid": self.kid, "typ": "JWT" }).to_string()
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.raw(&self.header(), &claims.to_string())
    }
}

/// A set of the public halves.
pub fn jwks(signers: &[&Signer]) -> String {
    json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() }).to_string()
}

/// Good claims.
pub fn claims() -> Value {
    claims_of(ISSUER)
}

/// Good claims of another issuer.
pub fn claims_of(issuer: &str) -> Value {
    json!({ "iss": issuer, "aud": "orders-api", "exp": now() + 300, "iat": now(), "sub": "alice" })
}

/// Good claims and these; `null` leaves one out.
pub fn claims_with(more: Value) -> Value {
    let mut all = claims();
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Null => drop(all.as_object_mut().unwrap().remove(name)),
            value => all[name] = value.clone(),
        }
    }
    all
}

/// One signer for tests that need no more; its key is `main`.
pub fn signer() -> &'static Signer {
    static SIGNER: OnceLock<Signer> = OnceLock::new();
    SIGNER.get_or_init(|| Signer::new("main"))
}

/// `jwtProviders` with one provider `corp`, whose set is inline, and more lines of it.
pub fn corp(more: &str) -> String {
    format!(
        "jwtProviders:\n  corp:\n    issuer: {ISSUER}\n    audiences: [orders-api]\n    jwks: {{ inline: '{}' }}\n{more}",
        jwks(&[signer()])
    )
}
