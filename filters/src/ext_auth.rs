//! `extAuth`: what a service that decides about requests is asked, and which answers let a request go on.
//!
//! The question is a GET of the configured path. What the request is stands in the fields that other proxies use for it:
//! `x-forwarded-method`, `x-forwarded-host`, `x-forwarded-uri`, beside the request's own `authorization`. The path is the
//! canonical one, which is also matched and sent on, and so is the host; the query string is nobody's business but the app's.

use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, header, request::Parts};
use outrigger_config::model::Scheme;

use crate::{host, service::Body};

/// An answer to the client may have a body of so many bytes; a longer one is no answer.
pub const MAX_BODY: usize = 64 * 1024;

/// The service answered, and not with a 2xx.
pub const DENIED: &str = "ext_auth.denied";

const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Where and as whom the service is asked.
#[derive(Debug, Clone)]
pub struct Service {
    /// What is asked for there.
    pub target: Uri,
    /// Its Host.
    pub authority: HeaderValue,
}

/// The question about a request that its client sent over `scheme`.
pub fn question(
    service: &Service,
    head: &Parts,
    scheme: Scheme,
    request_id: Option<&HeaderValue>,
) -> Request<Body> {
    let mut question = Request::new(Body::Empty);
    *question.uri_mut() = service.target.clone();
    let headers = question.headers_mut();
    headers.insert(header::HOST, service.authority.clone());
    let method = HeaderValue::from_str(head.method.as_str()).ok();
    let path = HeaderValue::from_str(head.uri.path()).ok();
    let host = head.headers.get(header::HOST).map(|host| host::canonical_value(host, scheme));
    let host = host.and_then(|host| HeaderValue::from_bytes(&host).ok());
    for (name, value) in [
        (X_FORWARDED_METHOD, method.as_ref()),
        (X_FORWARDED_HOST, host.as_ref()),
        (X_FORWARDED_URI, path.as_ref()),
        (header::AUTHORIZATION, head.headers.get(header::AUTHORIZATION)),
        (X_REQUEST_ID, request_id),
    ] {
        put(headers, name, value);
    }
    question
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: Option<&HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value.clone());
    }
}

/// Whether an answer with this status lets the request go on.
pub fn allows(status: StatusCode) -> bool {
    status.is_success()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_tells_method_path_host_and_authorization_and_nothing_else() {
        let service = Service {
            target: "/v1/check".parse().unwrap(),
            authority: HeaderValue::from_static("127.0.0.1:8181"),
        };
        let request = Request::post("/orders/7?card=4111")
            .header("host", "API.example.:80")
            .header("authorization", "Bearer x")
            .header("cookie", "a=b")
            .header("content-length", "12")
            .header("x-other", "1");
        let head = request.body(()).unwrap().into_parts().0;
        let question = question(&service, &head, Scheme::Http, Some(&HeaderValue::from_static("id-1")));
        assert_eq!((question.method().as_str(), question.uri().to_string()), ("GET", "/v1/check".to_owned()));
        let mut fields: Vec<String> = question
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        fields.sort();
        assert_eq!(
            fields,
            [
                "authorization: Bearer x",
                "host: 127.0.0.1:8181",
                "x-forwarded-host: api.example",
                "x-forwarded-method: POST",
                "x-forwarded-uri: /orders/7",
                "x-request-id: id-1",
            ]
        );
    }

    #[test]
    fn only_a_2xx_lets_a_request_go_on() {
        for (status, expected) in [
            (200, true),
            (204, true),
            (299, true),
            (101, false),
            (302, false),
            (304, false),
            (401, false),
            (500, false),
        ] {
            assert_eq!(allows(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
    }
}
