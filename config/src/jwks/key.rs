//! One key of a set (RFC 7517 section 4, RFC 7518 section 6, RFC 8037).

use std::{fmt, sync::Arc};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    VerificationAlgorithm,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    part::algorithm::JwtAlgorithm,
    strict_json::{Json, JsonObject},
};

/// docs/security.md 12.
const MIN_RSA_BITS: usize = 2048;

/// The maximum that the cryptography library verifies.
const MAX_RSA_BITS: usize = 8192;

/// A public key that can verify.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Jwk {
    /// Its key ID.
    pub kid: Option<Arc<str>>,
    /// The only algorithm of this key, if the set names one; it fits the material.
    pub algorithm: Option<JwtAlgorithm>,
    /// The key itself.
    pub material: KeyMaterial,
}

/// The numbers of a public key, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyMaterial {
    /// RSA, big-endian without leading zeros; 2048 to 8192 bits.
    Rsa {
        /// `n`.
        modulus: Box<[u8]>,
        /// `e`.
        exponent: Box<[u8]>,
    },
    /// A point on P-256, uncompressed (04, x, y).
    P256(Box<[u8]>),
    /// A point on P-384, uncompressed.
    P384(Box<[u8]>),
    /// Ed25519, 32 bytes.
    Ed25519(Box<[u8]>),
}

impl KeyMaterial {
    /// Whether this type of key fits the algorithm.
    pub fn fits(&self, algorithm: JwtAlgorithm) -> bool {
        use JwtAlgorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        match self {
            Self::Rsa { .. } => matches!(algorithm, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512),
            Self::P256(_) => algorithm == Es256,
            Self::P384(_) => algorithm == Es384,
            Self::Ed25519(_) => algorithm == EdDsa,
        }
    }
}

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// Not a JSON object.
    NotAnObject,
    /// A member is missing or invalid.
    Member(&'static str),
    /// A `kty` that cannot verify tokens here.
    Type(Box<str>),
    /// A curve that cannot verify tokens here.
    Curve(Box<str>),
    /// `use` is not `sig`.
    Use(Box<str>),
    /// `key_ops` has no `verify`.
    KeyOps,
    /// An algorithm that cannot verify tokens, such as one for encryption.
    Algorithm(Box<str>),
    /// A known algorithm for a different type of key.
    AlgorithmMismatch(JwtAlgorithm),
    /// A shared secret.
    Secret,
    /// It contains the private key.
    Private,
    /// RSA with this many bits, too few or too many.
    RsaBits(usize),
    /// An RSA exponent that is even, less than 3 or over 33 bits.
    RsaExponent,
    /// The point is not on the curve.
    NotOnCurve,
}

impl Unusable {
    /// Whether the key is a mistake. Other unusable keys have another purpose, which is normal in a
    /// key set.
    pub fn is_defect(&self) -> bool {
        !matches!(
            self,
            Self::Type(_) | Self::Curve(_) | Self::Use(_) | Self::KeyOps | Self::Algorithm(_)
        )
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => f.write_str("it is not an object"),
            Self::Member(name) => write!(f, "`{name}` is missing or invalid"),
            Self::Type(kty) => write!(f, "kty {kty:?} is not RSA, EC or OKP"),
            Self::Curve(curve) => write!(f, "curve {curve:?} is not P-256, P-384 or Ed25519"),
            Self::Use(usage) => write!(f, "`use` is {usage:?}, not \"sig\""),
            Self::KeyOps => f.write_str("key_ops does not list \"verify\""),
            Self::Algorithm(name) => write!(f, "alg {name:?} is not supported for tokens"),
            Self::AlgorithmMismatch(algorithm) => {
                write!(
                    f,
                    "alg {:?} does not fit this type of key",
                    algorithm.name()
                )
            }
            Self::Secret => f.write_str("it is a shared secret; use `secret` for it"),
            Self::Private => {
                f.write_str("it contains the private key; publish only the public key")
            }
            Self::RsaBits(bits) => {
                write!(
                    f,
                    "RSA with {bits} bits; allowed are {MIN_RSA_BITS} to {MAX_RSA_BITS}"
                )
            }
            Self::RsaExponent => {
                f.write_str("the RSA exponent is even, less than 3 or over 33 bits")
            }
            Self::NotOnCurve => f.write_str("the point is not on its curve"),
        }
    }
}

/// The ID of a key, also of an unusable one.
pub(super) fn kid(json: &Json) -> Option<Arc<str>> {
    json.as_object()?.get("kid")?.as_str().map(Arc::from)
}

impl Jwk {
    /// Reads the key from its object; members with certificates or their addresses are ignored.
    pub(super) fn read(json: &Json, kid: Option<Arc<str>>) -> Result<Self, Unusable> {
        let members = json.as_object().ok_or(Unusable::NotAnObject)?;
        if kid.is_none() && members.get("kid").is_some() {
            return Err(Unusable::Member("kid"));
        }
        let kty = text(members, "kty")?;
        if kty == "oct" {
            return Err(Unusable::Secret);
        }
        if !matches!(kty, "RSA" | "EC" | "OKP") {
            return Err(Unusable::Type(kty.into()));
        }
        if members.get("d").is_some() {
            return Err(Unusable::Private);
        }
        check_purpose(members)?;
        let algorithm = algorithm(members)?;
        let material = match kty {
            "RSA" => rsa(members)?,
            "EC" => curve_point(members)?,
            _ => edwards(members)?,
        };
        match algorithm {
            Some(algorithm) if !material.fits(algorithm) => {
                Err(Unusable::AlgorithmMismatch(algorithm))
            }
            _ => Ok(Self {
                kid,
                algorithm,
                material,
            }),
        }
    }
}

/// `use` and `key_ops` (RFC 7517 sections 4.2 and 4.3).
fn check_purpose(members: &JsonObject) -> Result<(), Unusable> {
    if members.get("use").is_some() {
        let usage = text(members, "use")?;
        if usage != "sig" {
            return Err(Unusable::Use(usage.into()));
        }
    }
    match members.get("key_ops") {
        None => Ok(()),
        Some(operations) => {
            let operations = operations.as_array().ok_or(Unusable::Member("key_ops"))?;
            let verifies = operations
                .iter()
                .any(|operation| operation.as_str() == Some("verify"));
            verifies.then_some(()).ok_or(Unusable::KeyOps)
        }
    }
}

fn algorithm(members: &JsonObject) -> Result<Option<JwtAlgorithm>, Unusable> {
    if members.get("alg").is_none() {
        return Ok(None);
    }
    let name = text(members, "alg")?;
    JwtAlgorithm::named(name)
        .map(Some)
        .ok_or_else(|| Unusable::Algorithm(name.into()))
}

fn text<'a>(members: &'a JsonObject, name: &'static str) -> Result<&'a str, Unusable> {
    members
        .get(name)
        .and_then(Json::as_str)
        .ok_or(Unusable::Member(name))
}

fn bytes(members: &JsonObject, name: &'static str) -> Result<Vec<u8>, Unusable> {
    URL_SAFE_NO_PAD
        .decode(text(members, name)?)
        .map_err(|_| Unusable::Member(name))
}

fn rsa(members: &JsonObject) -> Result<KeyMaterial, Unusable> {
    let modulus = number(bytes(members, "n")?);
    let exponent = number(bytes(members, "e")?);
    let bits = bit_length(&modulus);
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
        return Err(Unusable::RsaBits(bits));
    }
    // With an exponent of 1, any signature would verify.
    let odd = exponent.last().is_some_and(|last| last & 1 == 1);
    if !odd || !(2..=33).contains(&bit_length(&exponent)) {
        return Err(Unusable::RsaExponent);
    }
    Ok(KeyMaterial::Rsa { modulus, exponent })
}

/// Some libraries write a leading zero (RFC 7518 section 6.3.1.1).
fn number(bytes: Vec<u8>) -> Box<[u8]> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes[zeros..].into()
}

fn bit_length(number: &[u8]) -> usize {
    number
        .first()
        .map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

fn curve_point(members: &JsonObject) -> Result<KeyMaterial, Unusable> {
    let curve = text(members, "crv")?;
    let size = match curve {
        "P-256" => 32,
        "P-384" => 48,
        other => return Err(Unusable::Curve(other.into())),
    };
    let mut point = vec![4];
    for name in ["x", "y"] {
        let coordinate = bytes(members, name)?;
        // The full size, leading zeros included (RFC 7518 section 6.2.1.2).
        if coordinate.len() != size {
            return Err(Unusable::Member(name));
        }
        point.extend(coordinate);
    }
    if size == 32 {
        on_curve(&ECDSA_P256_SHA256_FIXED, point).map(KeyMaterial::P256)
    } else {
        on_curve(&ECDSA_P384_SHA384_FIXED, point).map(KeyMaterial::P384)
    }
}

fn edwards(members: &JsonObject) -> Result<KeyMaterial, Unusable> {
    let curve = text(members, "crv")?;
    if curve != "Ed25519" {
        return Err(Unusable::Curve(curve.into()));
    }
    let point = bytes(members, "x")?;
    if point.len() != 32 {
        return Err(Unusable::Member("x"));
    }
    on_curve(&ED25519, point).map(KeyMaterial::Ed25519)
}

fn on_curve(
    algorithm: &'static dyn VerificationAlgorithm,
    point: Vec<u8>,
) -> Result<Box<[u8]>, Unusable> {
    match ParsedPublicKey::new(algorithm, &point) {
        Ok(_) => Ok(point.into()),
        Err(_) => Err(Unusable::NotOnCurve),
    }
}
