//! Endpoints: how they are selected and reached, and what happens when they fail.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use outrigger_loadtest::origin::{Listen, Origin};
use serde_json::Value;

use crate::support::{
    Proxy, origin, wait_for,
    wire::{App, Wire, header, status},
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Between two looks at what happens.
const TICK: Duration = Duration::from_millis(10);

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn to_endpoints(urls: &[String], settings: &str) -> Proxy {
    let urls: Vec<_> = urls
        .iter()
        .map(|url| format!("{{ url: \"{url}\" }}"))
        .collect();
    Proxy::start(&format!(
        "workers: 1\nlisteners: [{{ port: 0 }}]\nupstreams:\n  u: {{ endpoints: [{}]{settings} }}\n\
         routes: [{{ name: u, backendRefs: [u] }}]\n",
        urls.join(", ")
    ))
}

/// Status, flag and attempts of one request to an app on this port.
fn outcome(port: u16, request: &str) -> (u16, String, u64) {
    let proxy = Proxy::in_front_of_port(port);
    let (head, _) = Wire::connect(proxy.inbound()).ask(request);
    let line = proxy.logged(|_| true);
    assert_eq!(line["status"], status(&head));
    (
        status(&head),
        line["flag"].as_str().unwrap().to_owned(),
        line["attempts"].as_u64().unwrap(),
    )
}

#[test]
fn a_refused_connect_is_502_uf() {
    assert_eq!(outcome(free_port(), GET), (502, "UF".into(), 2));
}

#[test]
fn an_app_that_closes_without_an_answer_is_502_uc() {
    let app = App::start(|mut wire, _| drop(wire.head()));
    assert_eq!(outcome(app.port(), GET), (502, "UC".into(), 1));
    assert_eq!(app.connections(), 1);
}

#[test]
fn answers_that_cannot_be_understood_are_502_upe() {
    for answer in [
        "garbage garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    ] {
        let app = App::answering(answer);
        assert_eq!(
            outcome(app.port(), GET),
            (502, "UPE".into(), 1),
            "{answer:?}"
        );
    }
}

#[test]
fn a_broken_chunk_in_an_answer_cuts_it_and_is_upe() {
    let app =
        App::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n");
    let proxy = Proxy::in_front_of_port(app.port());
    let mut wire = Wire::connect(proxy.inbound());
    wire.send(GET);
    assert_eq!(status(&wire.head()), 200);
    assert!(!wire.rest().ends_with("0\r\n\r\n"));
    assert_eq!(proxy.logged(|_| true)["flag"], "UPE");
}

/// An app that answers once on each connection and closes with the next request, once it has read all of it.
fn closes_on_reuse(requests: &Arc<AtomicUsize>) -> App {
    let requests = Arc::clone(requests);
    App::start(move |mut wire, _| {
        for turn in 0..2 {
            let head = wire.head();
            if head.is_empty() {
                return;
            }
            header(&head, "content-length").map(|length| wire.exactly(length.parse().unwrap()));
            requests.fetch_add(1, Ordering::SeqCst);
            if turn == 0 {
                wire.send(OK);
            }
        }
    })
}

#[test]
fn a_get_on_a_connection_that_breaks_is_repeated_on_a_fresh_one() {
    let requests = Arc::default();
    let app = closes_on_reuse(&requests);
    let proxy = to_endpoints(&[format!("http://127.0.0.1:{}", app.port())], "");
    let mut wire = Wire::connect(proxy.inbound());
    for expected in [1, 3] {
        assert_eq!(wire.ask(GET).1, "ok");
        assert_eq!(requests.load(Ordering::SeqCst), expected);
    }
    assert!(
        (proxy
            .metric(r#"outrigger_retries_total{upstream="u",reason="reused_connection_closed"}"#)
            - 1.0)
            .abs()
            < 0.5
    );
    proxy.logged(|line| line["attempts"] == 2 && line["status"] == 200);
}

#[test]
fn a_post_is_never_sent_twice_once_a_byte_was_written() {
    let requests = Arc::default();
    let app = closes_on_reuse(&requests);
    let proxy = to_endpoints(&[format!("http://127.0.0.1:{}", app.port())], "");
    let mut wire = Wire::connect(proxy.inbound());
    assert_eq!(wire.ask(GET).1, "ok");
    let (head, _) = wire.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
    assert_eq!((status(&head), requests.load(Ordering::SeqCst)), (502, 2));
    assert_eq!(proxy.logged(|line| line["status"] == 502)["flag"], "UC");
}

#[test]
fn a_post_after_the_app_closed_its_idle_connection_goes_to_a_fresh_one() {
    let closed = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&closed);
    let app = App::start(move |mut wire, _| {
        // Answers once, then closes while the connection is idle.
        let head = wire.head();
        header(&head, "content-length").map(|length| wire.exactly(length.parse().unwrap()));
        wire.send(OK);
        drop(wire);
        count.fetch_add(1, Ordering::SeqCst);
    });
    let proxy = to_endpoints(&[format!("http://127.0.0.1:{}", app.port())], "");
    let mut wire = Wire::connect(proxy.inbound());
    for turn in 1..=10 {
        let (head, body) = wire.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
        assert_eq!((status(&head), &*body), (200, "ok"), "turn {turn}: {head}");
        // Then the close is in the proxy's socket, whether the proxy has looked at it or not.
        wait_for("the close", || {
            (closed.load(Ordering::SeqCst) == turn).then_some(())
        });
    }
    assert_eq!(app.connections(), 10);
}

#[test]
fn a_failed_connect_goes_to_another_endpoint() {
    let origin = origin();
    let urls = [format!("http://127.0.0.1:{}", free_port()), origin.url("")];
    let proxy = to_endpoints(&urls, ", loadBalancer: { policy: roundRobin }");
    let mut wire = Wire::connect(proxy.inbound());
    for _ in 0..10 {
        assert_eq!(
            wire.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi")
                .1,
            "Hello, world!"
        );
    }
    proxy.logged(|line| line["attempts"] == 2 && line["endpoint"] == origin.address().to_string());
}

#[test]
fn every_policy_spreads_requests() {
    for policy in ["roundRobin", "random", "leastRequest"] {
        let origins: Vec<Origin> = (0..3).map(|_| origin()).collect();
        let urls: Vec<_> = origins.iter().map(|origin| origin.url("")).collect();
        let proxy = to_endpoints(&urls, &format!(", loadBalancer: {{ policy: {policy} }}"));
        let mut wire = Wire::connect(proxy.inbound());
        for _ in 0..300 {
            assert_eq!(status(&wire.ask(GET).0), 200);
        }
        let hits: Vec<u64> = origins.iter().map(Origin::hits).collect();
        let bounds = if policy == "roundRobin" {
            100..=100
        } else {
            60..=140
        };
        assert!(
            hits.iter().all(|hits| bounds.contains(hits)),
            "{policy}: {hits:?}"
        );
    }
}

#[test]
fn least_request_avoids_an_endpoint_that_is_busy() {
    let (busy, free) = (origin(), origin());
    let proxy = to_endpoints(&[busy.url(""), free.url("")], "");
    busy.stall();
    // One after the other, until one has come to the busy endpoint and hangs there.
    let hanging = wait_for("a request to the busy one", || {
        let hits = busy.hits();
        let mut one = Wire::connect(proxy.inbound());
        one.send(GET);
        wait_for("its endpoint", || {
            (busy.hits() > hits || !one.is_silent_for(TICK)).then_some(())
        });
        (busy.hits() > hits).then_some(one)
    });
    let before = busy.hits();
    let mut wire = Wire::connect(proxy.inbound());
    for _ in 0..50 {
        assert_eq!(status(&wire.ask(GET).0), 200);
    }
    assert_eq!(busy.hits(), before);
    drop(hanging);
    busy.resume();
}

#[test]
fn an_app_on_a_unix_socket_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let origin = runtime
        .block_on(Origin::builder().listen(Listen::Unix(path.clone())).start())
        .unwrap();
    for protocol in ["http1", "h2c"] {
        let proxy = Proxy::start(&format!(
            "app: {{ socket: {}, protocol: {protocol} }}\nlisteners: [{{ port: 0 }}]\n",
            path.display()
        ));
        let mut wire = Wire::connect(proxy.inbound());
        assert_eq!(wire.ask(GET).1, "Hello, world!");
        assert_eq!(
            proxy.logged(|_| true)["endpoint"],
            path.display().to_string()
        );
    }
    assert_eq!(origin.hits(), 2);
}

#[test]
fn a_unix_socket_that_is_not_there_is_502_uf() {
    let proxy = Proxy::start("app: { socket: /nowhere/app.sock }\nlisteners: [{ port: 0 }]\n");
    assert_eq!(status(&Wire::connect(proxy.inbound()).ask(GET).0), 502);
    assert_eq!(proxy.logged(|_| true)["flag"], "UF");
}

#[test]
fn an_endpoint_may_be_a_host_name() {
    let origin = origin();
    let port = origin.address().port();
    let proxy = to_endpoints(&[format!("http://localhost:{port}")], "");
    assert_eq!(Wire::connect(proxy.inbound()).ask(GET).1, "Hello, world!");
    assert_eq!(
        proxy.logged(|_| true)["endpoint"],
        format!("localhost:{port}")
    );
}

#[test]
fn a_name_that_does_not_resolve_is_503_uh_and_no_load_error() {
    let proxy = to_endpoints(&["http://no-such-host.invalid:80".into()], "");
    let (head, _) = Wire::connect(proxy.inbound()).ask(GET);
    assert_eq!(
        (status(&head), header(&head, "retry-after")),
        (503, Some("1")),
        "{head}"
    );
    assert_eq!(header(&head, "x-outrigger-overloaded"), Some("true"));
    let line = proxy.logged(|_| true);
    assert_eq!(
        (&line["flag"], &line["attempts"], &line["endpoint"]),
        (&"UH".into(), &0.into(), &Value::Null)
    );
}

#[test]
fn an_app_that_comes_back_is_found_again() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut origin = runtime.block_on(Origin::start()).unwrap();
    let proxy = Proxy::in_front_of(&origin);
    let mut wire = Wire::connect(proxy.inbound());
    for _ in 0..3 {
        assert_eq!(status(&wire.ask(GET).0), 200);
        runtime.block_on(origin.stop());
        assert_eq!(status(&wire.ask(GET).0), 502);
        runtime.block_on(origin.restart()).unwrap();
    }
}

#[test]
fn outbound_requests_carry_the_host_of_their_endpoint_and_no_forwarded_headers() {
    let origin = origin();
    let address = origin.address();
    let proxy = Proxy::start(&format!(
        "app: {{ port: 1 }}\nlisteners: [{{ port: 0 }}, {{ name: out, port: 0, direction: outbound }}]\nupstreams:\n  \
         u: {{ endpoints: [{{ url: \"http://{address}\" }}] }}\n\
         routes:\n- {{ name: u, listeners: [out], backendRefs: [u] }}\n\
         - {{ name: named, listeners: [out], matches: [{{ path: /headers/named }}], \
              urlRewrite: {{ hostname: other.example }}, backendRefs: [u] }}\n- {{ name: app }}\n"
    ));
    assert!(proxy.address("out").ip().is_loopback());
    let mut wire = Wire::connect(proxy.address("out"));
    for (path, host) in [
        ("/headers", address.to_string()),
        ("/headers/named", "other.example".into()),
    ] {
        let fields = "x-request-id: mine\r\nx-forwarded-for: 1.2.3.4\r\n";
        let (_, body) = wire.ask(&format!(
            "GET {path} HTTP/1.1\r\nhost: somewhere\r\n{fields}\r\n"
        ));
        let seen: Value = serde_json::from_str(&body).unwrap();
        let all: Vec<(&str, &str)> = seen["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
            .collect();
        assert!(all.contains(&("host", &*host)), "{all:?}");
        assert!(
            all.contains(&("x-request-id", "mine")),
            "the app may name its own calls: {all:?}"
        );
        assert!(
            !all.iter().any(|(name, _)| name.starts_with("x-forwarded")),
            "{all:?}"
        );
    }
    let line = proxy.logged(|line| line["path"] == "/headers");
    assert_eq!(
        (&line["listener"], &line["upstream"]),
        (&"out".into(), &"u".into())
    );
    // Neither listener serves the routes of the other.
    assert_eq!(
        status(
            &Wire::connect(proxy.inbound())
                .ask("GET /headers HTTP/1.1\r\nhost: a\r\n\r\n")
                .0
        ),
        502
    );
}

#[test]
fn timeouts_count_from_the_last_byte_of_the_request_to_the_head_of_the_answer() {
    let origin = origin();
    for key in ["request", "backendRequest"] {
        let proxy = Proxy::start(&format!(
            "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\ndefaults: {{ timeouts: {{ {key}: 500ms }} }}\n",
            origin.address().port()
        ));
        let mut wire = Wire::connect(proxy.inbound());
        let (head, body) = wire.ask("GET /delay/60000 HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(status(&head), 504);
        assert!(body.contains("upstream timed out"), "{body}");
        let line = proxy.logged(|line| line["status"] == 504);
        let reason = if key == "request" {
            "timeout.request"
        } else {
            "timeout.backend_request"
        };
        assert_eq!(
            (&line["flag"], &line["reason"]),
            (&"UT".into(), &reason.into())
        );
        // A slow upload and a slow download are no reason.
        wire.send("POST /sink HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\n");
        for _ in 0..8 {
            thread::sleep(Duration::from_millis(100));
            wire.send("x");
        }
        assert_eq!(status(&wire.answer().0), 200);
        wire.send("GET /drip/8/100 HTTP/1.1\r\nhost: a\r\n\r\n");
        wire.head();
        assert!(wire.chunks().ends_with("drip 7\n"));
    }
    wait_for("the app to be let go", || {
        (origin.hits_of("delay") == 2).then_some(())
    });
}

#[test]
fn idle_connections_to_an_endpoint_are_closed_in_time() {
    let origin = origin();
    let proxy = to_endpoints(&[origin.url("")], ", connections: { idleTimeout: 300ms }");
    assert_eq!(status(&Wire::connect(proxy.inbound()).ask(GET).0), 200);
    assert_eq!(origin.stats().open_connections, 1);
    wait_for("its end", || {
        (origin.stats().open_connections == 0).then_some(())
    });
}

#[test]
fn a_connection_over_its_age_carries_no_further_request() {
    let origin = origin();
    let proxy = to_endpoints(&[origin.url("")], ", connections: { maxAge: 1ms }");
    let mut wire = Wire::connect(proxy.inbound());
    for _ in 0..3 {
        assert_eq!(status(&wire.ask(GET).0), 200);
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(origin.stats().connections, 3);
}
