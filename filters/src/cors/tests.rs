use std::time::Duration;

use outrigger_config::model::Cors;

use super::*;

fn exact(origin: &str) -> OriginMatch {
    OriginMatch::Exact(origin.into())
}

fn wildcard(scheme: &str, suffix: &str) -> OriginMatch {
    OriginMatch::Wildcard {
        scheme: scheme.into(),
        suffix: suffix.into(),
    }
}

fn head(method: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = http::Request::builder().method(method);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn fields(headers: &HeaderMap) -> Vec<String> {
    let mut all: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    all.sort();
    all
}

/// The fields of a response that said `before`, to a request from `origin`.
fn granted(
    cors: &Cors,
    origin: Option<&str>,
    before: &[(&'static str, &'static str)],
) -> Vec<String> {
    let mut headers = HeaderMap::new();
    for (name, value) in before {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    let request: Vec<_> = origin
        .map(|origin| ("origin", origin))
        .into_iter()
        .collect();
    Policy::new(cors)
        .grant(&head("GET", &request).headers)
        .write(&mut headers);
    fields(&headers)
}

#[test]
fn a_preflight_is_options_with_one_origin_and_one_asked_for_method() {
    let (origin, method) = (
        ("origin", "https://a.example"),
        ("access-control-request-method", "PUT"),
    );
    for (verb, fields, expected) in [
        ("OPTIONS", &[origin, method][..], Some(Method::PUT)),
        ("OPTIONS", &[("origin", "null"), method], Some(Method::PUT)),
        (
            "OPTIONS",
            &[origin, ("access-control-request-method", "PURGE")],
            Some("PURGE".parse().unwrap()),
        ),
        ("GET", &[origin, method], None),
        ("OPTIONS", &[method], None),
        ("OPTIONS", &[origin], None),
        (
            "OPTIONS",
            &[origin, method, ("access-control-request-method", "GET")],
            None,
        ),
        (
            "OPTIONS",
            &[origin, ("access-control-request-method", "")],
            None,
        ),
        (
            "OPTIONS",
            &[origin, ("access-control-request-method", "P T")],
            None,
        ),
    ] {
        assert_eq!(
            preflight(&head(verb, fields)),
            expected,
            "{verb} {fields:?}"
        );
    }
}

#[test]
fn origins_are_taken_whole_and_byte_by_byte() {
    let cors = Cors::new(vec![
        exact("https://shop.example"),
        exact("http://localhost:3000"),
        wildcard("https://", ".example.org"),
        wildcard("https://", ".dev.example:8443"),
    ]);
    let policy = Policy::new(&cors);
    for (origin, expected) in [
        ("https://shop.example", true),
        ("http://localhost:3000", true),
        ("https://a.example.org", true),
        ("https://a.b-c.example.org", true),
        ("https://a.dev.example:8443", true),
        ("http://shop.example", false),
        ("https://shop.example:8443", false),
        ("https://shop.example.evil", false),
        ("https://shop.exampl", false),
        ("https://Shop.example", false),
        ("https://example.org", false),
        ("https://.example.org", false),
        ("https://a..example.org", false),
        ("https://evilexample.org", false),
        ("http://a.example.org", false),
        ("https://a.example.org:8443", false),
        ("https://evil.test/.example.org", false),
        ("https://evil.test#.example.org", false),
        ("https://user@.example.org", false),
        ("https://a:1.example.org", false),
        ("null", false),
        ("", false),
    ] {
        let origin = head("GET", &[("origin", origin)]);
        assert_eq!(
            policy.grant(&origin.headers).origin.is_some(),
            expected,
            "{origin:?}"
        );
    }
    let two = head(
        "GET",
        &[
            ("origin", "https://shop.example"),
            ("origin", "https://shop.example"),
        ],
    );
    assert_eq!(
        policy.grant(&two.headers).origin,
        None,
        "the origin is ambiguous"
    );
}

#[test]
fn an_allowed_origin_is_named_and_the_answer_varies_by_it() {
    let mut cors = Cors::new(vec![exact("https://shop.example")]);
    cors.allow_credentials = true;
    cors.expose_headers = vec![HeaderName::from_static("x-total"), header::ETAG];
    assert_eq!(
        granted(&cors, Some("https://shop.example"), &[]),
        [
            "access-control-allow-credentials: true",
            "access-control-allow-origin: https://shop.example",
            "access-control-expose-headers: x-total, etag",
            "vary: origin",
        ]
    );
    for origin in [Some("https://evil.test"), Some("null"), None] {
        assert_eq!(granted(&cors, origin, &[]), ["vary: origin"], "{origin:?}");
    }
}

#[test]
fn what_the_app_says_is_replaced_and_its_vary_stays() {
    let cors = Cors::new(vec![exact("https://shop.example")]);
    let app = [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-origin", "https://evil.test"),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "x-secret"),
        ("vary", "accept-encoding"),
    ];
    assert_eq!(
        granted(&cors, Some("https://shop.example"), &app),
        [
            "access-control-allow-origin: https://shop.example",
            "vary: accept-encoding",
            "vary: origin"
        ]
    );
    assert_eq!(
        granted(&cors, Some("https://evil.test"), &app),
        ["vary: accept-encoding", "vary: origin"]
    );
    assert_eq!(
        granted(&cors, None, &[("vary", "Accept, Origin")]),
        ["vary: Accept, Origin"]
    );
    assert_eq!(granted(&cors, None, &[("vary", "*")]), ["vary: *"]);
}

#[test]
fn any_origin_is_a_star_and_never_with_credentials() {
    let cors = Cors::new(vec![OriginMatch::Any]);
    for origin in ["https://anything.test", "null"] {
        assert_eq!(
            granted(&cors, Some(origin), &[]),
            ["access-control-allow-origin: *"]
        );
    }
    let app = [("access-control-allow-credentials", "true")];
    assert_eq!(
        granted(&cors, Some("https://a.test"), &app),
        ["access-control-allow-origin: *"]
    );
    assert_eq!(
        granted(&cors, None, &[]),
        Vec::<String>::new(),
        "the response is the same for every origin"
    );
}

/// The whole response: that of the policy, then who may read it.
fn preflighted(cors: &Cors, request: &[(&str, &str)]) -> (u16, Vec<String>) {
    let (policy, head) = (Policy::new(cors), head("OPTIONS", request));
    let mut response = policy.answer(&head);
    policy.grant(&head.headers).write(response.headers_mut());
    (response.status().as_u16(), fields(response.headers()))
}

const VARY: &str = "vary: origin, access-control-request-method, access-control-request-headers";

#[test]
fn a_preflight_is_told_the_lists_of_the_route_or_what_it_asked_for() {
    let asks = [
        ("origin", "https://shop.example"),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "content-type,x-a"),
    ];
    let mut cors = Cors::new(vec![exact("https://shop.example")]);
    cors.max_age = Some(Duration::from_secs(600));
    let expected = [
        "access-control-allow-headers: content-type,x-a",
        "access-control-allow-methods: PUT",
        "access-control-allow-origin: https://shop.example",
        "access-control-max-age: 600",
        VARY,
    ];
    assert_eq!(
        preflighted(&cors, &asks),
        (204, expected.map(str::to_owned).to_vec())
    );

    cors.allow_methods = vec![Method::GET, Method::DELETE];
    cors.allow_headers = vec![HeaderName::from_static("x-b")];
    cors.allow_credentials = true;
    let expected = [
        "access-control-allow-credentials: true",
        "access-control-allow-headers: x-b",
        "access-control-allow-methods: GET, DELETE",
        "access-control-allow-origin: https://shop.example",
        "access-control-max-age: 600",
        VARY,
    ];
    assert_eq!(
        preflighted(&cors, &asks),
        (204, expected.map(str::to_owned).to_vec())
    );
}

#[test]
fn a_preflight_of_a_foreign_origin_is_told_nothing() {
    let cors = Cors::new(vec![exact("https://shop.example")]);
    for origin in ["https://evil.test", "null"] {
        let asks = [("origin", origin), ("access-control-request-method", "PUT")];
        assert_eq!(
            preflighted(&cors, &asks),
            (204, vec![VARY.to_owned()]),
            "{origin}"
        );
    }
}

#[test]
fn what_is_handed_back_are_names_and_nothing_else() {
    let cors = Cors::new(vec![exact("https://shop.example")]);
    for (asked, expected) in [
        ("x-a", true),
        ("x-a, x-b", true),
        ("x-a,,x-b", false),
        ("", false),
        ("x-a: 1", false),
        ("x-a\"", false),
        ("<script>", false),
    ] {
        let asks = [
            ("origin", "https://shop.example"),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", asked),
        ];
        let methods = preflighted(&cors, &asks)
            .1
            .contains(&format!("access-control-allow-headers: {asked}"));
        assert_eq!(methods, expected, "{asked}");
    }
}
