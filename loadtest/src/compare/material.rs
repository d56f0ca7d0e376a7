//! Certificates, keys and tokens, created for every comparison so that nothing secret or
//! short-lived is stored.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize, SanType,
};
use serde_json::json;

/// Different tokens for the first use: more than any proxy here caches.
const TOKENS: usize = 2500;

/// Lifetime of tokens, in seconds.
const LIFETIME: u64 = 24 * 3600;

/// Why the material could not be created.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// A file cannot be written.
    #[error("{path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A certificate cannot be created.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// A token cannot be signed.
    #[error("cannot sign a token")]
    Token,
}

impl From<Unspecified> for MaterialError {
    fn from(_: Unspecified) -> Self {
        Self::Token
    }
}

/// Signature algorithm of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA with 2048 bits.
    Rs256,
    /// ECDSA with P-256.
    Es256,
}

impl Algorithm {
    /// The file with tokens for first use.
    pub(super) fn many(self) -> &'static str {
        match self {
            Self::Rs256 => "rs.tokens",
            Self::Es256 => "es.tokens",
        }
    }

    /// The file with the one token.
    pub(super) fn one(self) -> &'static str {
        match self {
            Self::Rs256 => "rs.token",
            Self::Es256 => "es.token",
        }
    }

    /// Files with tokens that must be rejected, and what is wrong with them.
    pub(super) fn bad(self) -> [(&'static str, &'static str); 2] {
        match self {
            Self::Rs256 => [
                ("rs.forged", "a broken signature"),
                ("rs.expired", "an expired token"),
            ],
            Self::Es256 => [
                ("es.forged", "a broken signature"),
                ("es.expired", "an expired token"),
            ],
        }
    }
}

/// Writes all files into the folder.
///
/// # Errors
/// When a file cannot be written or the cryptography fails.
pub(super) fn make(folder: &Path) -> Result<(), MaterialError> {
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|source| MaterialError::File { path, source })
    };
    fs::create_dir_all(folder).map_err(|source| MaterialError::File {
        path: folder.to_path_buf(),
        source,
    })?;
    let authority = authority()?;
    put("ca.crt", &authority.pem())?;
    for (name, usage) in [
        ("server", ExtendedKeyUsagePurpose::ServerAuth),
        ("client", ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = leaf(name, usage)?.signed_by(&key, &authority)?.pem();
        let key = key.serialize_pem();
        put(&format!("{name}.crt"), &certificate)?;
        put(&format!("{name}.key"), &key)?;
        // In the format of HAProxy.
        put(&format!("{name}.pem"), &format!("{certificate}{key}"))?;
    }
    let keys = [Algorithm::Rs256, Algorithm::Es256].map(Signer::new);
    let mut set = Vec::new();
    for signer in keys {
        let signer = signer?;
        set.push(signer.to_jwk());
        let short = if signer.algorithm == Algorithm::Rs256 {
            "rs"
        } else {
            "es"
        };
        put(&format!("{short}.pub"), &signer.public)?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let many = (0..TOKENS).map(|number| signer.token(number, now + LIFETIME));
        let many = many.collect::<Result<Vec<_>, _>>()?;
        put(signer.algorithm.many(), &(many.join("\n") + "\n"))?;
        put(signer.algorithm.one(), &format!("{}\n", many[0]))?;
        let [(forged, _), (expired, _)] = signer.algorithm.bad();
        put(forged, &format!("{}\n", forge(&many[0], &many[1])))?;
        // Further in the past than any accepted clock skew.
        put(expired, &format!("{}\n", signer.token(0, now - 3600)?))?;
    }
    put("jwks.json", &json!({ "keys": set }).to_string())
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, MaterialError> {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "comparison authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(CertifiedIssuer::self_signed(
        params,
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?,
    )?)
}

fn leaf(name: &str, usage: ExtendedKeyUsagePurpose) -> Result<CertificateParams, MaterialError> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, name);
    params
        .subject_alt_names
        .push(SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

struct Signer {
    algorithm: Algorithm,
    key: Key,
    /// The public key as PEM.
    public: String,
    random: SystemRandom,
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ecdsa(Box<EcdsaKeyPair>),
}

impl Signer {
    fn new(algorithm: Algorithm) -> Result<Self, MaterialError> {
        let rejected = |_| MaterialError::Token;
        let (pair, key) = match algorithm {
            Algorithm::Rs256 => {
                let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
                let key = RsaKeyPair::from_pkcs8(&pair.serialize_der()).map_err(rejected)?;
                (pair, Key::Rsa(Box::new(key)))
            }
            Algorithm::Es256 => {
                let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
                let key = EcdsaKeyPair::from_pkcs8(
                    &ECDSA_P256_SHA256_FIXED_SIGNING,
                    &pair.serialize_der(),
                );
                (pair, Key::Ecdsa(Box::new(key.map_err(rejected)?)))
            }
        };
        Ok(Self {
            algorithm,
            key,
            public: pair.public_key_pem(),
            random: SystemRandom::new(),
        })
    }

    fn to_jwk(&self) -> serde_json::Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.key {
            Key::Rsa(key) => {
                let public = key.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                let (n, e) = (
                    text(n.big_endian_without_leading_zero()),
                    text(e.big_endian_without_leading_zero()),
                );
                json!({ "kty": "RSA", "alg": "RS256", "kid": "rs", "use": "sig", "n": n, "e": e })
            }
            Key::Ecdsa(key) => {
                // 0x04, then both coordinates.
                let point = key.public_key().as_ref();
                let (x, y) = (text(&point[1..33]), text(&point[33..65]));
                json!({ "kty": "EC", "alg": "ES256", "crv": "P-256", "kid": "es", "use": "sig", "x": x, "y": y })
            }
        }
    }

    fn token(&self, number: usize, expiry: u64) -> Result<String, MaterialError> {
        let (name, kid) = match self.algorithm {
            Algorithm::Rs256 => ("RS256", "rs"),
            Algorithm::Es256 => ("ES256", "es"),
        };
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(json!({ "alg": name, "typ": "JWT", "kid": kid }));
        let claims = part(json!({
            "iss": "bench", "aud": "app", "sub": format!("user-{number}"), "exp": expiry, "scope": "read write",
        }));
        let message = format!("{head}.{claims}");
        let signature = match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(
                    &RSA_PKCS1_SHA256,
                    &self.random,
                    message.as_bytes(),
                    &mut signature,
                )?;
                signature
            }
            Key::Ecdsa(key) => key
                .sign(&self.random, message.as_bytes())?
                .as_ref()
                .to_vec(),
        };
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// The first token with the signature of the second.
fn forge(token: &str, other: &str) -> String {
    let message = token.rsplit_once('.').map_or(token, |(message, _)| message);
    let signature = other
        .rsplit_once('.')
        .map_or("", |(_, signature)| signature);
    format!("{message}.{signature}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    #[test]
    fn tokens_verify_with_the_published_key_and_forged_ones_do_not() {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path()).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let set: serde_json::Value = serde_json::from_str(&read("jwks.json")).unwrap();
        let part = |name: &str| {
            URL_SAFE_NO_PAD
                .decode(set["keys"][1][name].as_str().unwrap())
                .unwrap()
        };
        let point = [vec![4], part("x"), part("y")].concat();
        let verify = |token: &str| {
            let (message, signature) = token.trim().rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point);
            key.verify(message.as_bytes(), &signature).is_ok()
        };
        assert!(
            verify(&read("es.token")) && verify(&read("es.expired")) && !verify(&read("es.forged"))
        );
        let many = read("rs.tokens");
        let different: std::collections::HashSet<_> = many.lines().collect();
        assert_eq!(different.len(), TOKENS);
        assert!(
            read("server.pem").contains("PRIVATE KEY") && read("ca.crt").contains("CERTIFICATE")
        );
    }
}
