//! Requirement 9: one canonical path for routing and for the origin, or 400; and requirement 5's targets.

use super::*;

const PATH: Refusal = Refusal(400, "request.path");

#[test]
fn a_path_with_a_second_reading_is_refused() {
    let bench = Bench::new();
    let mut report = Report::default();
    for path in [
        "/a%2fb",
        "/a%2Fb",
        "/%2f",
        "/a%5cb",
        "/a%5Cb",
        "/a\\b",
        "/{\\}",
        "/..\\a?b",
        "/a%00",
        "/%00",
        "/a/../b",
        "/..",
        "/../",
        "/a/..",
        "/.",
        "/./a",
        "/a/./b",
        "/a/.",
        "/%2e%2e/a",
        "/%2E%2e",
        "/.%2e/a",
        "/a/%2e",
        "/a/..;/b",
        "/..;x=1/a",
        "/.;/a",
        "/%zz",
        "/%",
        "/%1",
        "/a%2",
        "/%g0",
        "/%u002f",
        "//../a",
        "/a//..//b",
    ] {
        let bytes = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        report.case(9, path, bench.refuses(bytes.as_bytes(), PATH));
    }
    report.finish();
}

#[test]
fn any_other_path_reaches_the_origin_in_its_canonical_form() {
    let bench = Bench::new();
    let mut report = Report::default();
    for (target, wanted) in [
        ("/", "/"),
        ("/a", "/a"),
        ("//", "/"),
        ("//a//b//", "/a/b/"),
        ("/%61%7e%2d", "/a~-"),
        ("/%c3%a9", "/%C3%A9"),
        ("/a%20b", "/a%20b"),
        ("/a;b=c/d", "/a;b=c/d"),
        ("/a;/b", "/a;/b"),
        ("/%252e%252e/a", "/%252e%252e/a"),
        ("/%252f", "/%252f"),
        ("/...", "/..."),
        ("/..a/.b", "/..a/.b"),
        ("/a%3fb", "/a%3Fb"),
        ("/a%23b", "/a%23b"),
        ("/a%3bb", "/a%3Bb"),
        ("/a?b=%2f..//%00", "/a?b=%2f..//%00"),
        ("/?", "/?"),
        (
            "/a?{\"b\":1}<>|^`\\",
            "/a?%7B%22b%22:1%7D%3C%3E%7C%5E%60%5C",
        ),
        ("/{\"a\":1}<>|^`", "/%7B%22a%22:1%7D%3C%3E%7C%5E%60"),
        ("/%7b%7c%3c", "/%7B%7C%3C"),
        ("/caf\u{e9}?\u{20ac}", "/caf%C3%A9?%E2%82%AC"),
        ("http://a/{x}?{y}", "/%7Bx%7D?%7By%7D"),
        ("http://a/x//y?z", "/x/y?z"),
        ("http://a?q=1", "/?q=1"),
        ("http://a?", "/?"),
        ("http://a?q={/x//y}", "/?q=%7B/x//y%7D"),
        ("http://a", "/"),
        ("HTTP://a/x", "/x"),
    ] {
        let result = bench.accepts(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let result = result.and_then(|message| match message.target() == wanted {
            true => Ok(()),
            false => Err(format!("forwarded as {}", message.target())),
        });
        report.case(9, target, result);
    }
    report.finish();
}

#[test]
fn a_kept_encoded_slash_stays_one_element_and_hides_no_dots() {
    let bench = Bench::listener(", paths: { encodedSlash: keep }");
    let mut report = Report::default();
    let kept = bench.accepts(b"GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n");
    let kept = kept.and_then(|message| match message.target() {
        "/a%2Fb" => Ok(()),
        other => Err(format!("forwarded as {other}")),
    });
    report.case(9, "kept", kept);
    for path in [
        "/a%2f..",
        "/..%2fa",
        "/a%2f.%2fb",
        "/%2e%2e%2fa",
        "/a%2f%2e%2e%2fb",
        "/a%5cb",
        "/a%00",
    ] {
        let bytes = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        report.case(9, path, bench.refuses(bytes.as_bytes(), PATH));
    }
    report.finish();
}

/// Requirement 9: the route is chosen by the path that the origin sees.
#[test]
fn routing_looks_at_the_canonical_path() {
    let origin = Recording::ok();
    let yaml = format!(
        "app: {{ port: {} }}\nworkers: 1\nlisteners: [{{ port: 0 }}]\nroutes:\n  - {{ name: secret, matches: [{{ path: {{ prefix: /admin }} }}], directResponse: {{ status: 403 }} }}\n  - {{ name: rest }}\n",
        origin.port()
    );
    let bench = Bench {
        proxy: Proxy::start(&yaml),
        origin,
    };
    for target in [
        "/admin",
        "//admin",
        "/%61dmin",
        "/admin//x",
        "//%61%64min/",
        "http://a/admin",
        "/admin?x",
        "/admin/;x",
    ] {
        let answer = bench.ask(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.starts_with("HTTP/1.1 403 "),
            "requirement 9, {target}: {answer}"
        );
    }
    assert_eq!(bench.origin.total_bytes(), 0);
}

/// Requirement 5.
#[test]
fn an_absolute_form_target_sets_host() {
    let bench = Bench::new();
    for (target, host) in [
        ("http://b.example:81/x", "b.example:81"),
        ("https://b.example/x", "b.example"),
    ] {
        let message = bench
            .accepts(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .unwrap();
        assert_eq!(
            (message.all("host"), message.all("x-forwarded-host")),
            (vec![host], vec![host])
        );
        assert_eq!(message.target(), "/x");
    }
}

/// RFC 9112 section 3.2.4: the last proxy writes `*` for an absolute form with neither path nor query.
#[test]
fn options_for_a_whole_server_is_an_asterisk() {
    let bench = Bench::new();
    for (target, host, wanted) in [
        ("*", "a", "*"),
        ("http://b.example:81", "b.example:81", "*"),
        ("http://b.example/", "b.example", "/"),
        ("http://b.example?x", "b.example", "/?x"),
    ] {
        let message = bench
            .accepts(format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .unwrap();
        assert_eq!(
            (message.target(), message.all("host")),
            (wanted, vec![host]),
            "{target}"
        );
    }
}

/// Requirement 9: a rule for a path holds however the path is spelt.
#[test]
fn routing_looks_at_the_encoded_path() {
    let origin = Recording::ok();
    let yaml = format!(
        "app: {{ port: {} }}\nworkers: 1\nlisteners: [{{ port: 0 }}]\nroutes:\n  - {{ name: secret, matches: [{{ path: {{ exact: \"/%7Bid%7D\" }} }}], directResponse: {{ status: 403 }} }}\n  - {{ name: rest }}\n",
        origin.port()
    );
    let bench = Bench {
        proxy: Proxy::start(&yaml),
        origin,
    };
    for target in ["/{id}", "/%7bid%7d", "/%7Bid}", "http://a/{id}?{"] {
        let answer = bench.ask(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.starts_with("HTTP/1.1 403 "),
            "requirement 9, {target}: {answer}"
        );
    }
    assert_eq!(bench.origin.total_bytes(), 0);
}
