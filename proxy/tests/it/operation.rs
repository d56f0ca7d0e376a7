//! `docs/security.md` 20 to 22: attacks on logs and metrics, and servers that cannot be reached
//! from outside.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    thread,
};

use outrigger_loadtest::origin::Origin;
use serde_json::Value;

use crate::support::{
    PATIENCE, Proxy,
    frames::{Frames, Outcome},
    get, http, origin, raw, wait_for,
    wire::{Wire, status},
};

/// The longest line (`docs/security.md` 20).
const LINE: usize = 8 * 1024;

/// `docs/security.md` 20: every request leaves one line of JSON, with limited length and without
/// secrets. That a blocked sink delays no request is tested in `cli.rs`.
#[test]
fn a_request_leaves_one_line_that_is_bounded_and_tells_no_secret() {
    const SECRET: &str = "s3cr3t-s3cr3t";
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let long = "l".repeat(16_000);
    let secrets = format!(
        "authorization: Bearer {SECRET}\r\ncookie: a={SECRET}\r\nx-api-key: {SECRET}\r\nproxy-authorization: Basic {SECRET}\r\n"
    );
    let requests = [
        format!("GET /bytes/1?token={SECRET} HTTP/1.1\r\nhost: a\r\n{secrets}\r\n"),
        format!("GET /%22%7d%0d%0a%00x HTTP/1.1\r\nhost: a\r\n{secrets}\r\n"),
        format!("GET /\"}}{{\\\"status\\\":200 HTTP/1.1\r\nhost: a\r\n{secrets}\r\n"),
        "GET /\x1b[2J\x07 HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
        format!("GET /{long} HTTP/1.1\r\nhost: {}\r\n\r\n", "h.".repeat(120)),
        format!("{} / HTTP/1.1\r\nhost: a\r\n\r\n", "M".repeat(5000)),
        format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", "h".repeat(5000)),
        format!("GET / HTTP/1.1\r\nhost: \"}}\\\r\nx: {long}\r\n\r\n"),
        format!("GET http://user:{SECRET}@a/ HTTP/1.1\r\nhost: a\r\n\r\n"),
        format!("POST /sink HTTP/1.1\r\nhost: a\r\ncontent-length: 13\r\n\r\n{SECRET}"),
    ];
    for request in &requests {
        let mut stream = TcpStream::connect(proxy.inbound()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0, "{request:?}");
    }
    let lines = wait_for("all lines", || {
        let lines: Vec<_> = proxy.stdout().lines().map(str::to_owned).collect();
        (lines.len() >= requests.len()).then_some(lines)
    });
    assert_eq!(lines.len(), requests.len(), "{lines:#?}");
    for line in &lines {
        assert!(line.len() <= LINE, "{} bytes: {line}", line.len());
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value["status"].is_u64(), "{line}");
        assert!(line.chars().all(|c| !c.is_control()), "{line:?}");
    }
    for told in [
        proxy.stdout(),
        proxy.stderr(),
        proxy.metrics(),
        proxy.admin("GET", "/status").1,
    ] {
        assert!(!told.contains(SECRET), "{told}");
    }
}

/// The names and labels of all series.
fn series(proxy: &Proxy) -> BTreeSet<String> {
    let page = proxy.metrics();
    let lines = page
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
        .collect()
}

/// `docs/security.md` 21.
#[test]
fn a_hundred_thousand_random_paths_hosts_and_methods_add_no_series() {
    const REQUESTS: u32 = 100_000;
    const AT_ONCE: u32 = 50;
    const CONNECTIONS: u32 = 4;
    let proxy = Proxy::start(
        "app: { port: 1 }\nlisteners: [{ port: 0, limits: { targetBytes: 1KiB } }]\ntelemetry: { accessLog: { samplePercent: 0 } }\n\
         routes: [{ name: hello, matches: [{ path: { exact: /hello } }], directResponse: { status: 200 } }]\n",
    );
    let ask = |seed: u32| {
        // Words that differ in each request, of an odd multiplier's making.
        let word = seed.wrapping_mul(2_654_435_761);
        format!(
            "M{seed} /{word:x}?{seed} HTTP/1.1\r\nhost: h{word:x}.example\r\nx-{seed}: {word}\r\n\r\n"
        )
    };
    // One of each kind first: they have their series.
    let known = [
        "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n",
        "BAD\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        &ask(0),
    ];
    for request in known {
        let mut wire = Wire::connect(proxy.inbound());
        wire.send(request);
        assert_ne!(status(&wire.head()), 0, "{request}");
    }
    wait_for("the counts", || {
        let seen = r#"outrigger_requests_total{listener="in-0",route="",upstream="none",status="404",flag="NR"}"#;
        (proxy.metric(seen) > 0.5).then_some(())
    });
    let before = series(&proxy);
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(proxy.inbound()).unwrap();
            scope.spawn(move || {
                let mut buffer = vec![0; 64 * 1024];
                for turn in 0..REQUESTS / CONNECTIONS / AT_ONCE {
                    let first = connection * (REQUESTS / CONNECTIONS) + turn * AT_ONCE;
                    let requests: String = (first..first + AT_ONCE).map(ask).collect();
                    stream.write_all(requests.as_bytes()).unwrap();
                    let (mut answers, mut text) = (0, Vec::new());
                    while answers < AT_ONCE as usize {
                        let read = stream.read(&mut buffer).unwrap();
                        assert!(read > 0, "closed");
                        text.extend_from_slice(&buffer[..read]);
                        answers = text
                            .windows(12)
                            .filter(|bytes| *bytes == b"HTTP/1.1 404")
                            .count();
                    }
                }
            });
        }
    });
    // The authority of HTTP/2 is another place for a host.
    let mut client = Frames::connect(proxy.inbound());
    for n in 0..50_u32 {
        let host = format!("h{n}.example");
        let fields: [(&[u8], &[u8]); 4] = [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", host.as_bytes()),
            (b":path", b"/x"),
        ];
        client.headers(2 * n + 1, &fields, true);
        assert_eq!(client.outcome(2 * n + 1), Outcome::Status(404));
    }
    assert_eq!(series(&proxy), before);
    let counted = proxy.metric(
        r#"outrigger_requests_total{listener="in-0",route="",upstream="none",status="404",flag="NR"}"#,
    );
    assert!(counted > f64::from(REQUESTS), "{counted}");
}

/// `docs/security.md` 22: changes need a POST, on loopback, with a Host that names it.
#[test]
fn what_changes_anything_is_a_post_to_a_loopback_address() {
    let proxy = Proxy::in_front_of(&origin());
    for path in ["/reload", "/drain"] {
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            let answer = http(
                proxy.address("admin"),
                &format!(
                    "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
                ),
            );
            assert!(
                answer.starts_with("HTTP/1.1 405 "),
                "{method} {path}: {answer}"
            );
        }
    }
    for (fields, why) in [
        ("host: evil.example\r\n", "a name that was rebound"),
        (
            "host: localhost.evil.example\r\n",
            "a name that looks like it",
        ),
        ("host: 10.0.0.1\r\n", "another address"),
        (
            "host: localhost\r\norigin: https://evil.example\r\n",
            "a page in a browser",
        ),
        (
            "host: localhost\r\norigin: null\r\n",
            "a page without an origin",
        ),
    ] {
        for (method, path) in [
            ("POST", "/drain"),
            ("POST", "/reload"),
            ("GET", "/config"),
            ("GET", "/status"),
        ] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\n{fields}connection: close\r\ncontent-length: 0\r\n\r\n"
            );
            let answer = http(proxy.address("admin"), &request);
            assert!(answer.starts_with("HTTP/1.1 403 "), "{why}: {answer}");
        }
    }
    assert!(proxy.address("admin").ip().is_loopback());
    assert_eq!(
        (proxy.generation(), proxy.status()["phase"].as_str()),
        (1, Some("serving"))
    );
    // The status server changes nothing, whatever it is asked.
    for path in ["/drain", "/reload", "/config", "/status"] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        );
        let answer = http(proxy.address("status"), &request);
        assert!(answer.starts_with("HTTP/1.1 40"), "{path}: {answer}");
    }
    assert_eq!(proxy.generation(), 1);
}

/// `docs/security.md` 22: the data port goes where the configuration says, whatever host is asked for.
#[test]
fn the_data_port_reaches_neither_admin_nor_status_nor_whom_host_names() {
    let (app, other) = (origin(), origin());
    let proxy = Proxy::in_front_of(&app);
    let reached = |origin: &Origin| origin.hits();
    for target in [
        proxy.address("admin"),
        proxy.address("status"),
        other.address(),
    ] {
        for request in [
            format!("GET /status HTTP/1.1\r\nhost: {target}\r\nconnection: close\r\n\r\n"),
            format!(
                "GET http://{target}/status HTTP/1.1\r\nhost: {target}\r\nconnection: close\r\n\r\n"
            ),
            format!(
                "GET /status HTTP/1.1\r\nhost: a\r\nx-forwarded-host: {target}\r\nforwarded: host={target}\r\nconnection: close\r\n\r\n"
            ),
            format!(
                "POST /drain HTTP/1.1\r\nhost: {target}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            ),
        ] {
            let before = reached(&app);
            let answer =
                String::from_utf8_lossy(&raw(proxy.inbound(), request.as_bytes())).into_owned();
            assert_eq!(reached(&app), before + 1, "{request}: {answer}");
        }
        let refused = http(
            proxy.inbound(),
            &format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n"),
        );
        assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
        let mut client = Frames::connect(proxy.inbound());
        let authority = target.to_string();
        let fields: [(&[u8], &[u8]); 4] = [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", authority.as_bytes()),
            (b":path", b"/status/204"),
        ];
        client.headers(1, &fields, true);
        assert_eq!(client.outcome(1), Outcome::Status(204), "the app's answer");
    }
    assert_eq!(reached(&other), 0);
    assert_eq!(
        get(proxy.address("status"), "/readyz").0,
        200,
        "no drain has begun"
    );
}
