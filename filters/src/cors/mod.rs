//! `cors` of a route: which pages of other origins may read its answers (WHATWG Fetch, "CORS protocol").
//!
//! A preflight is answered here and never reaches authentication, which it could not pass: browsers send it without
//! credentials. Every other request goes its way, whatever its origin; CORS guards answers, not requests. What the app
//! says about it is replaced: two policies on one answer are none, as browsers take neither.
//!
//! An answer that depends on the origin says so in `Vary`, also to requests without one, or a cache would hand one origin's
//! answer to another. `*` never comes with credentials. The origin `null` (a sandboxed frame, a local file) is nobody's, so
//! only `*` takes it.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header, request::Parts};
use outrigger_config::model::{self, OriginMatch};

use crate::service::Body;

/// What a preflight's answer depends on.
const PREFLIGHT_VARY: HeaderValue = HeaderValue::from_static(
    "origin, access-control-request-method, access-control-request-headers",
);

/// The method that a preflight asks for; `None` for every other request.
pub fn preflight(head: &Parts) -> Option<Method> {
    if head.method != Method::OPTIONS || !head.headers.contains_key(header::ORIGIN) {
        return None;
    }
    let asked = only(&head.headers, &header::ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(asked.as_bytes()).ok()
}

/// The one value of a field.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// The policy of one route, its lists written out.
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

/// What an answer says about who may read it; made from the request, written when the answer is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    origin: Option<HeaderValue>,
    varies: bool,
    credentials: bool,
    exposed: Option<HeaderValue>,
}

impl Policy {
    /// The accepted policy.
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

    /// Who may read the answer to a request with these fields.
    pub fn grant(&self, headers: &HeaderMap) -> Grant {
        let origin = only(headers, &header::ORIGIN).and_then(|origin| self.allowed(origin));
        Grant {
            varies: !self.any_origin,
            credentials: self.credentials && origin.is_some(),
            exposed: self.exposed.clone().filter(|_| origin.is_some()),
            origin,
        }
    }

    /// What `Access-Control-Allow-Origin` says to this origin.
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

    /// The answer to a preflight. To an origin that may not read anything it says nothing, and the browser stops there.
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
    /// Writes it over whatever the answer said before.
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

/// A label, so that nothing can hide in place of the star: `https://evil.example#.shop.example`.
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

/// Whether a value that is handed back holds names and commas alone.
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
