//! `cors` of a route: which pages of other origins may read its responses (WHATWG Fetch, "CORS protocol").
//!
//! Preflights are answered here, before authentication, which they could not pass: browsers send
//! them without credentials. All other requests continue, whatever their origin; CORS protects
//! responses, not requests. CORS headers from the app are replaced: browsers reject a response with
//! two policies.
//!
//! A response that depends on the origin has `Vary: Origin`, also for requests without an origin;
//! otherwise a cache could serve one origin's response to another. `*` is never combined with
//! credentials. The origin `null` (a sandboxed frame, a local file) identifies no site, so only `*`
//! matches it.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header, request::Parts};
use outrigger_config::model::{self, OriginMatch};

use crate::service::Body;

/// The request headers that the response to a preflight depends on.
const PREFLIGHT_VARY: HeaderValue = HeaderValue::from_static(
    "origin, access-control-request-method, access-control-request-headers",
);

/// The method that a preflight announces; `None` for every other request.
pub fn preflight(head: &Parts) -> Option<Method> {
    if head.method != Method::OPTIONS || !head.headers.contains_key(header::ORIGIN) {
        return None;
    }
    let asked = only(&head.headers, &header::ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(asked.as_bytes()).ok()
}

/// The value of a field that occurs once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// The policy of one route, with its lists joined for the headers.
#[derive(Debug, Clone)]
pub struct Policy {
    origins: Vec<OriginMatch>,
    any_origin: bool,
    credentials: bool,
    methods: Option<HeaderValue>,
    headers: Option<HeaderValue>,
    exposed: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

/// The CORS headers of a response; computed from the request, written when the response arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    origin: Option<HeaderValue>,
    varies: bool,
    credentials: bool,
    exposed: Option<HeaderValue>,
}

impl Policy {
    /// Compiles the accepted policy.
    pub fn new(accepted: &model::Cors) -> Self {
        Self {
            any_origin: accepted.allow_origins.contains(&OriginMatch::Any),
            origins: accepted.allow_origins.clone(),
            credentials: accepted.allow_credentials,
            methods: list(accepted.allow_methods.iter().map(Method::as_str)),
            headers: list(accepted.allow_headers.iter().map(HeaderName::as_str)),
            exposed: list(accepted.expose_headers.iter().map(HeaderName::as_str)),
            max_age: accepted.max_age.map(|age| HeaderValue::from(age.as_secs())),
        }
    }

    /// The CORS headers of the response to a request with these headers.
    pub fn grant(&self, headers: &HeaderMap) -> Grant {
        let origin = only(headers, &header::ORIGIN).and_then(|origin| self.allowed(origin));
        Grant {
            varies: !self.any_origin,
            credentials: self.credentials && origin.is_some(),
            exposed: self.exposed.clone().filter(|_| origin.is_some()),
            origin,
        }
    }

    /// The value of `Access-Control-Allow-Origin` for this origin, if it is allowed.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        if self.any_origin {
            return Some(HeaderValue::from_static("*"));
        }
        let text = origin.to_str().ok()?;
        self.origins
            .iter()
            .any(|one| matches(one, text))
            .then(|| origin.clone())
    }

    /// The response to a preflight. For an origin that is not allowed it has no CORS headers, so
    /// the browser does not send the request.
    pub fn answer(&self, head: &Parts) -> Response<Body> {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = model::Cors::PREFLIGHT_STATUS;
        let headers = response.headers_mut();
        headers.insert(header::VARY, PREFLIGHT_VARY);
        let allowed = only(&head.headers, &header::ORIGIN).and_then(|origin| self.allowed(origin));
        if allowed.is_none() {
            return response;
        }
        let asked = |name| {
            only(&head.headers, &name)
                .filter(|value| is_token_list(value))
                .cloned()
        };
        let methods = self
            .methods
            .clone()
            .or_else(|| asked(header::ACCESS_CONTROL_REQUEST_METHOD));
        let fields = self
            .headers
            .clone()
            .or_else(|| asked(header::ACCESS_CONTROL_REQUEST_HEADERS));
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, fields),
            (header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone()),
        ] {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        response
    }
}

impl Grant {
    /// Writes the headers, and replaces those of the response.
    pub fn write(self, headers: &mut HeaderMap) {
        let credentials = self.credentials.then(|| HeaderValue::from_static("true"));
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, self.origin),
            (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, credentials),
            (header::ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed),
        ] {
            match value {
                Some(value) => drop(headers.insert(name, value)),
                None => drop(headers.remove(name)),
            }
        }
        if self.varies && !varies_by_origin(headers) {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
    }
}

fn varies_by_origin(headers: &HeaderMap) -> bool {
    let named = |value: &HeaderValue| {
        let names = value
            .as_bytes()
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii);
        names
            .into_iter()
            .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"))
    };
    headers.get_all(header::VARY).iter().any(named)
}

fn matches(allowed: &OriginMatch, origin: &str) -> bool {
    match allowed {
        OriginMatch::Any => true,
        OriginMatch::Exact(text) => **text == *origin,
        OriginMatch::Wildcard { scheme, suffix } => {
            let host = origin
                .strip_prefix(&**scheme)
                .and_then(|rest| rest.strip_suffix(&**suffix));
            host.is_some_and(|labels| labels.split('.').all(is_label))
        }
    }
}

/// Only a DNS label may match the star; otherwise `https://evil.example#.shop.example` would match.
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The items with commas between them; `None` without any.
fn list<'a>(items: impl Iterator<Item = &'a str>) -> Option<HeaderValue> {
    let joined = items.collect::<Vec<_>>().join(", ");
    HeaderValue::try_from(joined)
        .ok()
        .filter(|value| !value.is_empty())
}

/// Whether a value that is sent back consists of names and commas alone.
fn is_token_list(value: &HeaderValue) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let mut items = value
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii);
    items.all(|item| !item.is_empty() && item.iter().all(|byte| is_token(*byte)))
}

#[cfg(test)]
mod tests;
