//! Parses a token and checks its form, before its signature is verified (RFC 7515, RFC 7519).
//!
//! One compact JWS of at most 16 KiB: three segments of unpadded base64url, two of them JSON
//! objects without duplicate members. Keys and URLs of keys in the header (`jwk`, `jku`, `x5u`,
//! `x5c`) are ignored: only the configuration decides whose signatures are accepted. Nothing here
//! is verified.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use outrigger_config::{
    model::JwtAlgorithm,
    strict_json::{Json, JsonError, JsonObject},
};

use crate::reason::Reason;

/// docs/security.md 13.
pub const MAX_BYTES: usize = 16 * 1024;

/// The deepest nesting of a header or payload.
const MAX_DEPTH: usize = 16;

/// A token of valid form.
#[derive(Debug)]
pub struct Token<'a> {
    /// Header and payload, the signed text.
    signed: &'a str,
    signature: &'a str,
    header: Header,
    claims: JsonObject,
    times: Times,
}

/// The used members of the JOSE header.
#[derive(Debug)]
struct Header {
    algorithm: JwtAlgorithm,
    kid: Option<Box<str>>,
    token_type: Option<Box<str>>,
}

/// The registered times, since the epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) expires: Option<Duration>,
    pub(super) not_before: Option<Duration>,
    pub(super) issued: Option<Duration>,
}

impl<'a> Token<'a> {
    /// Parses a token.
    ///
    /// # Errors
    /// The form is invalid, or the type of a registered claim is.
    pub fn parse(text: &'a str) -> Result<Self, Reason> {
        if text.len() > MAX_BYTES {
            return Err(Reason::AuthTokenTooLarge);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Reason::AuthTokenSegments)?;
        let (header, payload) = signed.split_once('.').ok_or(Reason::AuthTokenSegments)?;
        if payload.contains('.') {
            return Err(Reason::AuthTokenSegments);
        }
        decode(signature)?;
        let header = Header::read(&object(header, Reason::AuthTokenHeader)?)?;
        let claims = object(payload, Reason::AuthTokenPayload)?;
        let times = Times::read(&claims)?;
        check_types(&claims)?;
        Ok(Self {
            signed,
            signature,
            header,
            claims,
            times,
        })
    }

    /// The issuer that the token names; it selects the provider that verifies it, and nothing else.
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    pub(super) fn signed(&self) -> &'a str {
        self.signed
    }

    pub(super) fn signature(&self) -> &'a str {
        self.signature
    }

    pub(super) fn algorithm(&self) -> JwtAlgorithm {
        self.header.algorithm
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// `typ`, lower case and without `application/`.
    pub(super) fn token_type(&self) -> Option<&str> {
        self.header.token_type.as_deref()
    }

    pub(super) fn claims(&self) -> &JsonObject {
        &self.claims
    }

    pub(super) fn into_claims(self) -> JsonObject {
        self.claims
    }

    pub(super) fn times(&self) -> Times {
        self.times
    }

    /// `aud`, one string or several; `None` if it is absent.
    pub(super) fn audiences(&self) -> Option<impl Iterator<Item = &str>> {
        self.claims.get("aud").map(texts)
    }
}

/// Unpadded base64url in its only valid encoding: no bits are left over at the end.
fn decode(segment: &str) -> Result<Vec<u8>, Reason> {
    URL_SAFE_NO_PAD
        .decode(segment)
        .map_err(|_| Reason::AuthTokenEncoding)
}

fn object(segment: &str, otherwise: Reason) -> Result<JsonObject, Reason> {
    match Json::parse(&decode(segment)?, MAX_DEPTH) {
        Ok(Json::Object(object)) => Ok(object),
        Err(JsonError::Duplicate(_)) => Err(Reason::AuthDuplicateMember),
        _ => Err(otherwise),
    }
}

/// A string, or the strings of an array.
fn texts(json: &Json) -> impl Iterator<Item = &str> {
    json.as_array()
        .unwrap_or_else(|| std::slice::from_ref(json))
        .iter()
        .filter_map(Json::as_str)
}

fn check_types(claims: &JsonObject) -> Result<(), Reason> {
    let is_text = |json: &Json| json.as_str().is_some();
    let issuer = claims.get("iss").is_none_or(is_text);
    let audience = claims
        .get("aud")
        .is_none_or(|audience| match audience.as_array() {
            Some(audiences) => audiences.iter().all(is_text),
            None => is_text(audience),
        });
    if issuer && audience {
        Ok(())
    } else {
        Err(Reason::AuthClaimType)
    }
}

impl Header {
    fn read(header: &JsonObject) -> Result<Self, Reason> {
        // No critical extension is supported, an empty list is not permitted (RFC 7515 section
        // 4.1.11), and an unencoded payload (RFC 7797) cannot be parsed.
        if header.get("crit").is_some()
            || header
                .get("b64")
                .is_some_and(|b64| *b64 != Json::Bool(true))
        {
            return Err(Reason::AuthCriticalHeader);
        }
        let algorithm = text(header, "alg")?.ok_or(Reason::AuthTokenHeader)?;
        let algorithm = JwtAlgorithm::named(algorithm).ok_or(Reason::AuthAlgorithmNotAllowed)?;
        let kid = text(header, "kid")?.map(Box::from);
        let token_type = text(header, "typ")?.map(normal_type);
        Ok(Self {
            algorithm,
            kid,
            token_type,
        })
    }
}

/// A string member of the header, if it is present.
fn text<'a>(header: &'a JsonObject, name: &str) -> Result<Option<&'a str>, Reason> {
    match header.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(Reason::AuthTokenHeader),
    }
}

/// Media types are case-insensitive, and `application/` may be omitted (RFC 7515 section 4.1.9).
fn normal_type(token_type: &str) -> Box<str> {
    let lower = token_type.to_ascii_lowercase();
    lower.strip_prefix("application/").unwrap_or(&lower).into()
}

impl Times {
    fn read(claims: &JsonObject) -> Result<Self, Reason> {
        Ok(Self {
            expires: time(claims.get("exp"))?,
            not_before: time(claims.get("nbf"))?,
            issued: time(claims.get("iat"))?,
        })
    }
}

/// A NumericDate (RFC 7519 section 2): a number that is not negative, fractions permitted. Anything
/// else is rejected; lenient parsers treated it as absent and skipped the check (CVE-2026-25537).
fn time(claim: Option<&Json>) -> Result<Option<Duration>, Reason> {
    let number = match claim {
        None => return Ok(None),
        Some(Json::Number(number)) => number,
        Some(_) => return Err(Reason::AuthInvalidTime),
    };
    if let Some(seconds) = number.as_u64() {
        return Ok(Some(Duration::from_secs(seconds)));
    }
    match number.as_f64() {
        // A number that no Duration can hold is later than any time it is compared with.
        Some(seconds) if seconds.is_sign_positive() && seconds.is_finite() => Ok(Some(
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX),
        )),
        _ => Err(Reason::AuthInvalidTime),
    }
}
