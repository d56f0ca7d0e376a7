//! The claims of a verified token, for rules, routes and the app.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};
use outrigger_config::{
    model::{ClaimHeader, ClaimPath, JwtProvider},
    strict_json::{Json, JsonObject},
};

use super::{
    keys::Key,
    verify::{Checked, Thumbprint},
};
use crate::claims::Claims;

/// Above this an `f64` cannot represent every integer (2^53): two different claims would look
/// equal.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A verified token.
#[derive(Debug)]
pub struct VerifiedToken {
    provider: Arc<str>,
    claims: JsonObject,
    expires: Duration,
    not_before: Option<Duration>,
    bound_to: Option<Thumbprint>,
    headers: Box<[(HeaderName, HeaderValue)]>,
    key: Arc<Key>,
}

impl VerifiedToken {
    pub(super) fn new(provider: &JwtProvider, checked: Checked<'_>, key: Arc<Key>) -> Self {
        let Checked {
            token,
            expires,
            not_before,
            bound_to,
        } = checked;
        let claims = token.into_claims();
        let header = |header: &ClaimHeader| {
            let value = find(&claims, &header.claim).and_then(header_value)?;
            Some((header.name.clone(), value))
        };
        let headers = provider.claim_headers.iter().filter_map(header).collect();
        Self {
            provider: Arc::clone(&provider.name),
            claims,
            expires,
            not_before,
            bound_to,
            headers,
            key,
        }
    }

    /// The name of the provider that issued it.
    pub fn provider(&self) -> &Arc<str> {
        &self.provider
    }

    /// A claim.
    pub fn claim(&self, path: &ClaimPath) -> Option<&Json> {
        find(&self.claims, path)
    }

    /// The headers of `claimHeaders`. A claim whose value no header can carry unchanged is not
    /// among them.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// `exp`, since the epoch.
    pub fn expires(&self) -> Duration {
        self.expires
    }

    pub(super) fn not_before(&self) -> Option<Duration> {
        self.not_before
    }

    pub(super) fn bound_to(&self) -> Option<&Thumbprint> {
        self.bound_to.as_ref()
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }
}

impl Claims for VerifiedToken {
    fn has(&self, claim: &ClaimPath) -> bool {
        self.claim(claim).is_some_and(|value| *value != Json::Null)
    }

    fn any(&self, claim: &ClaimPath, holds: &mut dyn FnMut(&str) -> bool) -> bool {
        match self.claim(claim) {
            Some(Json::Array(elements)) => elements
                .iter()
                .any(|element| with_text(element, &mut *holds)),
            Some(value) => with_text(value, holds),
            None => false,
        }
    }

    /// `scope` (RFC 8693 section 4.2), or `scp` where there is none, as some providers call it.
    fn has_scope(&self, scope: &str) -> bool {
        match self.claims.get("scope").or_else(|| self.claims.get("scp")) {
            Some(Json::String(list)) => {
                list.split(' ').any(|one| one == scope) && !scope.is_empty()
            }
            Some(Json::Array(list)) => list.iter().any(|one| one.as_str() == Some(scope)),
            _ => false,
        }
    }
}

fn find<'a>(claims: &'a JsonObject, path: &ClaimPath) -> Option<&'a Json> {
    let (first, rest) = path.members().split_first()?;
    rest.iter().try_fold(claims.get(first)?, |value, member| {
        value.as_object()?.get(member)
    })
}

/// Whether `holds` accepts the text of a single value.
fn with_text(value: &Json, holds: &mut dyn FnMut(&str) -> bool) -> bool {
    match value {
        Json::String(text) => holds(text),
        Json::Bool(value) => holds(if *value { "true" } else { "false" }),
        Json::Number(number) if is_exact(number.as_f64()) || !number.is_f64() => {
            holds(&number.to_string())
        }
        _ => false,
    }
}

fn is_exact(number: Option<f64>) -> bool {
    number.is_some_and(|number| number.abs() <= EXACT)
}

/// The value of a header, if a header can carry the claim so that the app reads exactly what the
/// token says: one string, or several joined with `,`. Not sent at all are objects, `null`, empty
/// values, characters that are not visible ASCII or space, a space at an end (parsers trim it), and
/// arrays with a `,` in an element (which would read as two).
fn header_value(value: &Json) -> Option<HeaderValue> {
    let mut line = String::new();
    let mut push = |text: &str, in_array: bool| {
        let fits = is_sendable(text) && !(in_array && text.contains(','));
        if fits {
            if !line.is_empty() {
                line.push(',');
            }
            line.push_str(text);
        }
        fits
    };
    let whole = match value {
        Json::Array(elements) => elements
            .iter()
            .all(|element| with_text(element, &mut |text| push(text, true))),
        single => with_text(single, &mut |text| push(text, false)),
    };
    if whole && !line.is_empty() {
        HeaderValue::try_from(line).ok()
    } else {
        None
    }
}

fn is_sendable(text: &str) -> bool {
    let ends = [text.as_bytes().first(), text.as_bytes().last()];
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && ends
            .into_iter()
            .all(|end| end.is_some_and(|end| *end != b' '))
}
