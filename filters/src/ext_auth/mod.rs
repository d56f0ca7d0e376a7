//! `extAuth`: the request to an external authorization service, which responses allow a request,
//! and which of their headers reach the app and the client.
//!
//! The check is a GET of the configured path. It describes the request in the fields that other
//! proxies use: `x-forwarded-method`, `x-forwarded-proto`, `x-forwarded-host`, `x-forwarded-uri`,
//! besides the request's own `authorization` and the fields in `requestHeaders`. Path and host are
//! the canonical ones, which are also matched and forwarded; the query string and the client's
//! address are sent only if the route configures it.
//!
//! Headers of a 2xx replace the client's own headers of the same name towards the app
//! ([`HandOverStep`]).

mod hand_over;

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header, request::Parts,
};
use outrigger_config::model::ExtAuth;

use crate::{
    context::{Exchange, Granted, RequestId},
    cookie, host,
    service::Body,
};

pub use hand_over::{HandOverStep, owned};

/// The longest body of a denial in bytes; a longer one counts as a failure of the service.
pub const MAX_BODY: usize = 64 * 1024;

const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The target and Host of the service, what it sees, and which of its headers are forwarded.
#[derive(Debug, Clone)]
pub struct Service {
    /// The target of the check.
    target: Uri,
    /// The Host of the check.
    authority: HeaderValue,
    request_headers: Vec<HeaderName>,
    response_headers: Vec<HeaderName>,
    include_query: bool,
    include_client_address: bool,
}

impl Service {
    /// Compiles the `extAuth` of a route.
    pub fn new(accepted: &ExtAuth) -> Self {
        let authority = HeaderValue::from_str(accepted.host());
        Self {
            target: accepted.path.parse().unwrap_or_default(),
            authority: authority.unwrap_or_else(|_| HeaderValue::from_static("localhost")),
            request_headers: accepted.request_headers.clone(),
            response_headers: accepted.response_headers.clone(),
            include_query: accepted.include_query,
            include_client_address: accepted.include_client_address,
        }
    }

    /// The check for a request.
    pub fn question(&self, head: &Parts, exchange: &Exchange) -> Request<Body> {
        let mut question = Request::new(Body::Empty);
        *question.uri_mut() = self.target.clone();
        let headers = question.headers_mut();
        headers.insert(header::HOST, self.authority.clone());
        for name in [&header::AUTHORIZATION]
            .into_iter()
            .chain(&self.request_headers)
        {
            copy(&head.headers, name, headers);
        }
        for name in &self.request_headers {
            // The client's own fields were removed: a field of such a name contains what the
            // verified token says.
            headers.extend(
                exchange
                    .claim_header(name)
                    .map(|value| (name.clone(), value)),
            );
        }
        let scheme = exchange.scheme.get();
        let host = head
            .headers
            .get(header::HOST)
            .map(|host| host::canonical_value(host, scheme));
        let address = exchange.client_address.get().to_canonical();
        for (name, value) in [
            (
                X_FORWARDED_METHOD,
                HeaderValue::from_str(head.method.as_str()).ok(),
            ),
            (
                X_FORWARDED_PROTO,
                Some(HeaderValue::from_static(scheme.as_str())),
            ),
            (
                X_FORWARDED_HOST,
                host.and_then(|host| HeaderValue::from_bytes(&host).ok()),
            ),
            (X_FORWARDED_URI, self.uri(&head.uri)),
            (
                X_FORWARDED_FOR,
                HeaderValue::from_str(&address.to_string())
                    .ok()
                    .filter(|_| self.include_client_address),
            ),
            (
                X_REQUEST_ID,
                exchange.request_id.get().map(RequestId::to_value),
            ),
        ] {
            headers.extend(value.map(|value| (name, value)));
        }
        question
    }

    fn uri(&self, uri: &Uri) -> Option<HeaderValue> {
        match uri.path_and_query().filter(|_| self.include_query) {
            Some(whole) => HeaderValue::from_str(whole.as_str()).ok(),
            None => HeaderValue::from_str(uri.path()).ok(),
        }
    }

    /// The headers of a response that allows the request.
    pub fn granted(&self, answer: &HeaderMap) -> Granted {
        let mut granted = Granted::default();
        for name in &self.response_headers {
            let values = answer.get_all(name).iter().cloned();
            match *name {
                header::SET_COOKIE => granted.cookies.extend(values),
                _ => granted
                    .for_app
                    .extend(values.map(|value| (name.clone(), value))),
            }
        }
        granted
    }

    /// The service's response for the client, without the headers that are for the app.
    pub fn denial(&self, mut answer: Response<Body>) -> Response<Body> {
        for name in self
            .response_headers
            .iter()
            .filter(|name| **name != header::SET_COOKIE)
        {
            answer.headers_mut().remove(name);
        }
        answer
    }
}

fn copy(from: &HeaderMap, name: &HeaderName, to: &mut HeaderMap) {
    if *name == header::COOKIE {
        to.extend(cookie::joined(from).map(|cookie| (header::COOKIE, cookie)));
        return;
    }
    to.remove(name);
    for value in from.get_all(name) {
        to.append(name.clone(), value.clone());
    }
}

/// Whether a response with this status allows the request.
pub fn allows(status: StatusCode) -> bool {
    status.is_success()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(keys: &str) -> Service {
        let text = format!(
            "app: {{ port: 8080 }}\nroutes: [{{ name: a, extAuth: {{ url: \"http://127.0.0.1:8181/v1/check\"{keys} }} }}]\n"
        );
        let loaded = outrigger_config::load_str("test.yaml", &text, &|_: &str| None).unwrap();
        Service::new(loaded.config.routes[0].ext_auth.as_ref().unwrap())
    }

    fn question(keys: &str, fields: &[(&str, &str)]) -> Vec<String> {
        let mut request = Request::post("/orders/7?card=4111")
            .body(Body::Empty)
            .unwrap();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let request = crate::service::Request::from(request);
        request
            .context
            .client_address
            .set("::ffff:192.0.2.7".parse().unwrap());
        let _ = request
            .context
            .request_id
            .set(RequestId::Kept(HeaderValue::from_static("id-1")));
        let question = service(keys).question(&request.head, &request.context);
        assert_eq!(
            (question.method().as_str(), question.uri().to_string()),
            ("GET", "/v1/check".to_owned())
        );
        let shown = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        let mut fields: Vec<String> = question.headers().iter().map(shown).collect();
        fields.sort();
        fields
    }

    const FIELDS: [(&str, &str); 8] = [
        ("host", "API.example.:80"),
        ("authorization", "Bearer x"),
        ("cookie", "a=b"),
        ("cookie", "c=d"),
        ("content-length", "12"),
        ("x-tenant", "1"),
        ("x-tenant", "2"),
        ("x-other", "1"),
    ];

    #[test]
    fn a_question_tells_method_scheme_path_host_and_authorization_and_nothing_else() {
        assert_eq!(
            question("", &FIELDS),
            [
                "authorization: Bearer x",
                "host: 127.0.0.1:8181",
                "x-forwarded-host: api.example",
                "x-forwarded-method: POST",
                "x-forwarded-proto: http",
                "x-forwarded-uri: /orders/7",
                "x-request-id: id-1",
            ]
        );
    }

    #[test]
    fn what_the_route_names_is_told_as_well() {
        let keys = ", requestHeaders: [authorization, Cookie, x-tenant, x-absent], includeQuery: true, \
                    includeClientAddress: true";
        assert_eq!(
            question(keys, &FIELDS),
            [
                "authorization: Bearer x",
                "cookie: a=b; c=d",
                "host: 127.0.0.1:8181",
                "x-forwarded-for: 192.0.2.7",
                "x-forwarded-host: api.example",
                "x-forwarded-method: POST",
                "x-forwarded-proto: http",
                "x-forwarded-uri: /orders/7?card=4111",
                "x-request-id: id-1",
                "x-tenant: 1",
                "x-tenant: 2",
            ]
        );
    }

    #[test]
    fn cookies_are_for_the_client_and_other_fields_for_the_app() {
        let service = service(", responseHeaders: [x-user, x-groups, set-cookie, x-absent]");
        let answer = Response::builder()
            .header("x-user", "ann")
            .header("x-groups", "a")
            .header("x-groups", "b")
            .header("set-cookie", "s=1")
            .header("set-cookie", "t=2")
            .header("x-internal", "1")
            .header("location", "/login");
        let answer = answer.body(Body::Empty).unwrap();
        let Granted { for_app, cookies } = service.granted(answer.headers());
        let for_app: Vec<_> = for_app
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(
            for_app,
            [("x-user", "ann"), ("x-groups", "a"), ("x-groups", "b")]
        );
        assert_eq!(cookies, ["s=1", "t=2"]);
        let denial = service.denial(answer);
        let mut names: Vec<_> = denial.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["location", "set-cookie", "x-internal"],
            "not what only the app may see"
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
            assert_eq!(
                allows(StatusCode::from_u16(status).unwrap()),
                expected,
                "{status}"
            );
        }
    }
}
