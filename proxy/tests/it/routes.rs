//! Route matching, and changes to requests and responses.

use std::collections::HashMap;

use outrigger_loadtest::origin::Origin;
use serde_json::Value;

use crate::support::{
    Proxy,
    client::H2,
    origin,
    wire::{Wire, header, status},
};

fn with_routes(port: u16, routes: &str) -> Proxy {
    Proxy::start(&format!(
        "app: {{ port: {port} }}\nlisteners: [{{ port: 0 }}]\nroutes:\n{routes}"
    ))
}

/// Routes that answer by themselves with their own name.
fn named(name: &str, rest: &str) -> String {
    format!("- {{ name: {name}, {rest}, directResponse: {{ status: 200, body: {name} }} }}\n")
}

#[test]
fn the_most_specific_match_wins_over_real_sockets() {
    let routes = [
        ("prefix", "matches: [{ path: /api }]"),
        ("longer", "matches: [{ path: /api/v2 }]"),
        ("exact", "matches: [{ path: { exact: /api/v2/x } }]"),
        (
            "template",
            "matches: [{ path: { template: \"/users/{id}/orders\" } }]",
        ),
        (
            "regex",
            "matches: [{ path: { regex: \"/users/[0-9]+/.*\" } }]",
        ),
        (
            "header",
            "matches: [{ path: /api, headers: { x-env: prod } }]",
        ),
        (
            "query",
            "matches: [{ path: /api, queryParams: { v: \"2\" } }]",
        ),
        ("method", "matches: [{ path: /api, method: PUT }]"),
        ("host", "hostnames: [b.example], matches: [{ path: /api }]"),
        (
            "wild",
            "hostnames: [\"*.example\"], matches: [{ path: /wild }]",
        ),
        (
            "present",
            "matches: [{ path: /present, headers: { x-any: { present: true } } }]",
        ),
        (
            "pattern",
            "matches: [{ path: /pattern, queryParams: { n: { regex: \"[0-9]+\" } } }]",
        ),
    ];
    let proxy = with_routes(1, &routes.map(|(name, rest)| named(name, rest)).concat());
    let mut wire = Wire::connect(proxy.inbound());
    for (line, fields, expected) in [
        ("GET /api", "", "prefix"),
        ("GET /api/", "", "prefix"),
        ("GET /apix", "", "404"),
        ("GET /api/v2/y", "", "longer"),
        ("GET /api/v2/x", "", "exact"),
        ("GET /api//v2/%78", "", "exact"),
        ("GET /users/a/orders", "", "template"),
        ("GET /users/7/orders", "", "template"),
        ("GET /users/7/more", "", "regex"),
        ("GET /api", "x-env: prod\r\n", "header"),
        ("GET /api", "x-env: test\r\n", "prefix"),
        ("GET /api?v=2", "", "query"),
        ("GET /api?v=22", "", "prefix"),
        ("PUT /api", "", "method"),
        ("GET /api", "host: B.Example:8080\r\n", "host"),
        ("GET /wild", "host: x.y.example\r\n", "wild"),
        ("GET /wild", "host: example\r\n", "404"),
        ("GET /present", "x-any: \r\n", "present"),
        ("GET /present", "", "404"),
        ("GET /pattern?n=12", "", "pattern"),
        ("GET /pattern?n=1x", "", "404"),
    ] {
        let host = if fields.contains("host:") {
            ""
        } else {
            "host: a.test\r\n"
        };
        let (head, body) = wire.ask(&format!("{line} HTTP/1.1\r\n{host}{fields}\r\n"));
        let got = if status(&head) == 200 {
            body
        } else {
            status(&head).to_string()
        };
        assert_eq!(got, expected, "{line} {fields}");
    }
    assert_eq!(proxy.logged(|line| line["path"] == "/apix")["flag"], "NR");
}

#[tokio::test]
async fn weights_share_requests_out() {
    let mut origins = Vec::new();
    for _ in 0..3 {
        origins.push(Origin::start().await.unwrap());
    }
    let upstream = |n: usize| {
        format!(
            "  u{n}: {{ endpoints: [{{ url: \"http://{}\" }}] }}\n",
            origins[n].address()
        )
    };
    let proxy = Proxy::start(&format!(
        "listeners: [{{ port: 0 }}]\nupstreams:\n{}{}{}routes:\n- {{ name: a, backendRefs: \
         [{{ name: u0, weight: 80 }}, {{ name: u1, weight: 20 }}, {{ name: u2, weight: 0 }}] }}\n",
        upstream(0),
        upstream(1),
        upstream(2)
    ));
    let mut client = H2::connect(proxy.inbound()).await;
    for _ in 0..500 {
        assert_eq!(client.get("/").await.status, 200);
    }
    let hits: Vec<u64> = origins.iter().map(Origin::hits).collect();
    assert!(
        (340..=460).contains(&hits[0]) && hits[0] + hits[1] == 500 && hits[2] == 0,
        "{hits:?}"
    );
}

#[test]
fn redirects_take_what_is_absent_from_the_request() {
    let proxy = with_routes(
        1,
        "- { name: a, matches: [{ path: /v1 }], requestRedirect: { scheme: https, hostname: www.example, \
           path: { replacePrefixMatch: /v2 }, statusCode: 308 } }\n\
         - { name: b, matches: [{ path: /b }], requestRedirect: { port: 8443 } }\n",
    );
    let mut wire = Wire::connect(proxy.inbound());
    let (head, _) = wire.ask("GET /v1/x?q=1 HTTP/1.1\r\nhost: a.test:8080\r\n\r\n");
    assert_eq!(
        (status(&head), header(&head, "location")),
        (308, Some("https://www.example/v2/x?q=1")),
        "{head}"
    );
    let (head, _) = wire.ask("GET /b?q HTTP/1.1\r\nhost: a.test:8080\r\n\r\n");
    assert_eq!(
        (status(&head), header(&head, "location")),
        (302, Some("http://a.test:8443/b?q")),
        "{head}"
    );
}

#[test]
fn fixed_answers_have_their_status_and_text() {
    let proxy = with_routes(
        1,
        "- { name: a, matches: [{ path: /old }], directResponse: { status: 410, body: gone } }\n\
         - { name: b, matches: [{ path: /none }], directResponse: { status: 204 } }\n",
    );
    let mut wire = Wire::connect(proxy.inbound());
    let (head, body) = wire.ask("GET /old HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!((status(&head), &*body), (410, "gone"));
    assert!(header(&head, "content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    wire.send("HEAD /old HTTP/1.1\r\nhost: a\r\n\r\n");
    let head = wire.head();
    assert_eq!(
        (status(&head), header(&head, "content-length")),
        (410, Some("4"))
    );
    wire.send("GET /none HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(status(&wire.head()), 204);
    assert_eq!(wire.ask("GET /old HTTP/1.1\r\nhost: a\r\n\r\n").1, "gone");
}

/// Matches use the client data that the app gets, and never unverified data from the client.
#[test]
fn a_route_is_chosen_by_what_the_app_will_see_of_the_proxys_own_fields() {
    let when = |name: &str, field: &str, value: &str| {
        named(
            name,
            &format!("matches: [{{ headers: {{ {field}: {value} }} }}]"),
        )
    };
    let routes = [
        when("proto", "x-forwarded-proto", "https"),
        when("host", "x-forwarded-host", "shop.example"),
        when(
            "for",
            "x-forwarded-for",
            "{ regex: \"192[.]0[.]2[.]1, .*\" }",
        ),
        when("id", "x-request-id", "chosen"),
        when("any", "x-forwarded-for", "{ present: true }"),
    ]
    .concat();
    let start = |more: &str| {
        Proxy::start(&format!(
            "app: {{ port: 1 }}\nlisteners: [{{ port: 0{more} }}]\nroutes:\n{routes}"
        ))
    };
    let trusting = start(", clientAddress: { trustedCIDRs: [127.0.0.0/8] }");
    let distrusting = start("");
    for (fields, trusted, stranger) in [
        ("host: a", "any", "any"),
        ("host: a\r\nx-forwarded-proto: https", "proto", "any"),
        ("host: a\r\nx-forwarded-proto: http", "any", "any"),
        ("host: a\r\nx-forwarded-host: shop.example", "host", "any"),
        ("host: a\r\nx-forwarded-host: Shop.Example.", "host", "any"),
        ("host: Shop.example.:80", "host", "host"),
        ("host: a\r\nx-forwarded-for: 192.0.2.1", "for", "any"),
        ("host: a\r\nx-request-id: chosen", "id", "any"),
    ] {
        for (proxy, expected) in [(&trusting, trusted), (&distrusting, stranger)] {
            let request = format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n");
            assert_eq!(
                Wire::connect(proxy.inbound()).ask(&request).1,
                expected,
                "{fields}"
            );
        }
    }
}

#[test]
fn a_scheme_is_what_the_client_speaks_to_the_trusted_peer() {
    let routes = "- { name: to-https, matches: [{ scheme: http }], requestRedirect: { scheme: https } }\n\
        - { name: reports, matches: [{ path: /reports, scheme: https }], directResponse: { status: 503 } }\n\
        - { name: rest, directResponse: { status: 204 } }\n";
    let start = |more: &str| {
        Proxy::start(&format!(
            "app: {{ port: 1 }}\nlisteners: [{{ port: 0{more} }}]\nroutes:\n{routes}"
        ))
    };
    let trusting = start(", clientAddress: { trustedCIDRs: [127.0.0.0/8] }");
    let distrusting = start("");
    for (path, proto, trusted, stranger) in [
        ("/x?q=1", "", 302, 302),
        ("/x", "x-forwarded-proto: https\r\n", 204, 302),
        ("/x", "x-forwarded-proto: HTTPS\r\n", 204, 302),
        ("/x", "x-forwarded-proto: wss\r\n", 204, 302),
        ("/x", "x-forwarded-proto: http\r\n", 302, 302),
        ("/reports", "x-forwarded-proto: https\r\n", 503, 302),
        ("/reports", "", 302, 302),
    ] {
        for (proxy, expected) in [(&trusting, trusted), (&distrusting, stranger)] {
            let request = format!("GET {path} HTTP/1.1\r\nhost: a.test\r\n{proto}\r\n");
            let (head, _) = Wire::connect(proxy.inbound()).ask(&request);
            assert_eq!(status(&head), expected, "{path} {proto}");
            if expected == 302 {
                let location = format!("https://a.test{path}");
                assert_eq!(header(&head, "location"), Some(&*location));
            }
        }
    }
}

/// What the app saw: target and headers.
fn seen(body: &str) -> (String, HashMap<String, String>) {
    let body: Value = serde_json::from_str(body).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let headers = body["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| (text(&pair[0]), text(&pair[1])));
    (text(&body["target"]), headers.collect())
}

#[test]
fn paths_and_hosts_are_rewritten_and_the_query_is_left_alone() {
    let origin = origin();
    let proxy = with_routes(
        origin.address().port(),
        "- { name: prefix, matches: [{ path: /a/b }], urlRewrite: { path: { replacePrefixMatch: /headers } } }\n\
         - { name: full, matches: [{ path: /full }], urlRewrite: { path: { replaceFull: /headers/f } } }\n\
         - { name: host, matches: [{ path: /headers }], urlRewrite: { hostname: inner.example } }\n",
    );
    let mut wire = Wire::connect(proxy.inbound());
    for (path, target, host) in [
        ("/a/b/c?x=%2F", "/headers/c?x=%2F", "a.test"),
        ("/a/b", "/headers", "a.test"),
        ("/full/x?q", "/headers/f?q", "a.test"),
        ("/headers", "/headers", "inner.example"),
    ] {
        let (_, body) = wire.ask(&format!("GET {path} HTTP/1.1\r\nhost: a.test\r\n\r\n"));
        let (got, headers) = seen(&body);
        assert_eq!((&*got, &*headers["host"]), (target, host), "{path}");
        assert_eq!(headers["x-forwarded-host"], "a.test");
    }
    assert_eq!(
        proxy.logged(|line| line["route"] == "prefix")["path"],
        "/a/b/c",
        "the log shows what was asked for"
    );
}

#[test]
fn headers_are_changed_on_the_way_to_the_app_and_back() {
    let origin = origin();
    let proxy = with_routes(
        origin.address().port(),
        "- name: a\n  requestHeaders: { set: { x-new: \"1\" }, add: { x-more: \"2\" }, remove: [x-gone] }\n  \
         responseHeaders: { set: { x-served: outrigger }, remove: [x-body-crc32] }\n",
    );
    let mut wire = Wire::connect(proxy.inbound());
    let request = "GET /headers HTTP/1.1\r\nhost: a\r\nx-gone: 1\r\nx-new: 0\r\n\r\n";
    let (head, body) = wire.ask(request);
    let (_, headers) = seen(&body);
    assert_eq!(
        (headers.get("x-new"), headers.get("x-more")),
        (Some(&"1".into()), Some(&"2".into()))
    );
    assert_eq!(
        (headers.get("x-gone"), header(&head, "x-served")),
        (None, Some("outrigger"))
    );
    wire.send("GET /bytes/1 HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(header(&wire.head(), "x-body-crc32"), None);
}

#[test]
fn answers_of_our_own_pass_the_response_headers_of_their_route() {
    let proxy = with_routes(
        1,
        "- { name: down, matches: [{ path: /down }], responseHeaders: { set: { x-served: \"1\" } } }\n\
         - { name: fixed, matches: [{ path: /fixed }], responseHeaders: { set: { x-served: \"1\" } }, \
             directResponse: { status: 200 } }\n",
    );
    let mut wire = Wire::connect(proxy.inbound());
    for (path, code, served) in [
        ("/down", 502, Some("1")),
        ("/fixed", 200, Some("1")),
        ("/none", 404, None),
    ] {
        let (head, _) = wire.ask(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!(
            (status(&head), header(&head, "x-served")),
            (code, served),
            "{path}"
        );
    }
}

#[test]
fn a_route_under_maintenance_asks_nothing_and_counts_nothing() {
    let origin = origin();
    let routes = "- { name: text, matches: [{ path: /t }], rateLimits: [one], maintenance: { retryAfter: 2m, body: back at noon } }\n\
                  - { name: json, maintenance: {} }\n- { name: open, matches: [{ path: /bytes }], rateLimits: [one] }\n\
                  rateLimits: { one: { requests: 1, per: 1h, key: global } }\n";
    let proxy = with_routes(origin.address().port(), routes);
    let ask = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        Wire::connect(proxy.inbound()).ask(&request)
    };
    for (path, wait, says) in [("/t", "120", "back at noon"), ("/", "60", "under main")] {
        let (head, body) = ask(path);
        assert_eq!(header(&head, "retry-after"), Some(wait), "{head}");
        assert!(status(&head) == 503 && body.contains(says), "{head}{body}");
    }
    assert_eq!((origin.hits(), status(&ask("/bytes/1").0)), (0, 200));
    proxy.logged(|line| line["flag"] == "MT" && line["reason"] == "maintenance.active");
}
