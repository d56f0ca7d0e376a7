//! `concurrency`, `fault`, and deadlines of gRPC clients, over real sockets.

use std::{net::SocketAddr, sync::mpsc};

use serde_json::{Value, json};

use crate::support::{
    Proxy,
    client::{Answer, H2, full, request},
    recording::Recording,
    wait_for,
    wire::{App, Wire, header, status},
};

fn proxy(port: u16, routes: &str) -> Proxy {
    Proxy::start(&format!(
        "app: {{ port: {port} }}\nlisteners: [{{ port: 0 }}]\nroutes:\n{routes}"
    ))
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// An app that sends the first half of a response body at once, and the second when the test says
/// so.
struct Halves {
    app: App,
    go: mpsc::SyncSender<()>,
}

impl Halves {
    fn start() -> Self {
        let (go, told) = mpsc::sync_channel::<()>(64);
        let told = std::sync::Mutex::new(told);
        let app = App::start(move |mut wire, _| {
            while !wire.head().is_empty() {
                wire.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha");
                let _ = told.lock().unwrap().recv();
                wire.send("lf");
            }
        });
        Self { app, go }
    }
}

fn begin(address: SocketAddr) -> Wire {
    let mut wire = Wire::connect(address);
    wire.send(GET);
    wire
}

fn half(wire: &mut Wire) -> u16 {
    let head = wire.head();
    assert_eq!(wire.exactly(2), "ha", "{head}");
    status(&head)
}

#[test]
fn a_place_is_kept_to_the_last_byte_and_one_too_many_gets_503() {
    let app = Halves::start();
    let proxy = proxy(app.app.port(), "- { name: app, concurrency: { max: 2 } }\n");
    let mut held = [begin(proxy.inbound()), begin(proxy.inbound())];
    assert_eq!(held.each_mut().map(half), [200, 200]);
    assert_eq!(
        proxy.metric(r#"outrigger_concurrency_in_flight{route="app"}"#),
        2.0
    );
    let (head, body) = Wire::connect(proxy.inbound()).ask(GET);
    assert_eq!(
        (status(&head), header(&head, "retry-after")),
        (503, Some("1")),
        "{head}"
    );
    assert_eq!(header(&head, "x-outrigger-overloaded"), None);
    assert!(body.contains("too many requests"), "{body}");
    let line = proxy.logged(|line| line["status"] == 503);
    assert_eq!(
        (&line["flag"], &line["reason"], &line["upstream"]),
        (&json!("CC"), &json!("concurrency.full"), &Value::Null)
    );
    app.go.send(()).unwrap();
    // One of the two is whole now.
    wait_for("a place", || {
        (proxy.metric(r#"outrigger_concurrency_in_flight{route="app"}"#) == 1.0).then_some(())
    });
    let mut next = begin(proxy.inbound());
    assert_eq!(half(&mut next), 200);
    app.go.send(()).unwrap();
    app.go.send(()).unwrap();
}

#[test]
fn who_waits_gets_the_next_place_whatever_its_worker_and_not_for_ever() {
    let app = Halves::start();
    let yaml = format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\nworkers: 2\nroutes:\n\
         - {{ name: app, concurrency: {{ max: 1, queue: 3, queueTimeout: 1h }} }}\n\
         - {{ name: brief, matches: [{{ path: /brief }}], concurrency: {{ max: 1, queue: 1, queueTimeout: 1ms }} }}\n",
        app.app.port()
    );
    let proxy = Proxy::start(&yaml);
    let mut first = begin(proxy.inbound());
    assert_eq!(half(&mut first), 200);
    let waiting = |count: f64| {
        wait_for("the queue", || {
            (proxy.metric(r#"outrigger_concurrency_queued{route="app"}"#) == count).then_some(())
        });
    };
    let mut queued = Vec::new();
    for count in 1..=3 {
        queued.push(begin(proxy.inbound()));
        waiting(f64::from(count));
    }
    assert_eq!(
        status(&Wire::connect(proxy.inbound()).ask(GET).0),
        503,
        "the queue is full"
    );
    // One goes away, and makes room.
    drop(queued.remove(1));
    waiting(2.0);
    for wire in &mut queued {
        app.go.send(()).unwrap();
        assert_eq!(half(wire), 200, "in the order in which they came");
    }
    app.go.send(()).unwrap();
    // Only then has the app taken this word for it, and not the next request.
    assert_eq!(queued[1].exactly(2), "lf");
    let mut held = Wire::connect(proxy.inbound());
    held.send("GET /brief HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(half(&mut held), 200);
    let (head, _) = Wire::connect(proxy.inbound()).ask("GET /brief HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(status(&head), 503, "{head}");
    app.go.send(()).unwrap();
}

#[test]
fn a_tunnel_keeps_its_place_and_a_reload_keeps_the_count() {
    let app = App::start(|mut wire, _| {
        let head = wire.head();
        if header(&head, "upgrade").is_some() {
            wire.send(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
            );
            wire.rest();
        } else {
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let yaml = |max: u32| {
        format!(
            "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\nroutes:\n- {{ name: app, concurrency: {{ max: {max} }} }}\n",
            app.port()
        )
    };
    let proxy = Proxy::start(&yaml(1));
    let ask = || status(&Wire::connect(proxy.inbound()).ask(GET).0);
    let mut tunnel = Wire::connect(proxy.inbound());
    tunnel.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
    assert_eq!(status(&tunnel.head()), 101);
    assert_eq!(ask(), 503);
    proxy.reload_with(&format!("{}# the same\n", yaml(1)));
    assert_eq!(ask(), 503, "what did not change goes on counting");
    drop(tunnel);
    wait_for("the place of the tunnel", || (ask() == 200).then_some(()));
}

#[test]
fn failures_on_purpose_never_reach_the_app() {
    let app = Recording::ok();
    let proxy = proxy(
        app.port(),
        "- { name: fail, matches: [{ path: /fail }], fault: { abortStatus: 503, abortPercent: 100 } }\n\
         - { name: slow, matches: [{ path: /slow }], fault: { delay: 50ms, delayPercent: 100 } }\n\
         - { name: late, matches: [{ path: /late }], timeouts: { request: 50ms }, fault: { delay: 1h, delayPercent: 100 } }\n\
         - { name: half, matches: [{ path: /half }], fault: { abortStatus: 500, abortPercent: 50 } }\n\
         - { name: none, fault: { abortStatus: 500, abortPercent: 0 } }\n",
    );
    let ask = |path: &str| {
        Wire::connect(proxy.inbound())
            .ask(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
            .0
    };
    for (path, expected, flag, reason) in [
        ("/fail", 503, "FI", "fault.abort"),
        ("/slow", 200, "DI", "fault.delay"),
        ("/late", 504, "UT", "timeout.request"),
        ("/", 200, "", ""),
    ] {
        let head = ask(path);
        let line = proxy.logged(|line| line["path"] == path);
        assert_eq!(
            (status(&head), &line["flag"], &line["reason"]),
            (expected, &json!(flag), &json!(reason))
        );
        assert_eq!(
            (
                header(&head, "x-outrigger-overloaded"),
                header(&head, "retry-after")
            ),
            (None, None),
            "{head}"
        );
    }
    assert_eq!(app.messages().len(), 2);
    let failed = (0..200).filter(|_| status(&ask("/half")) == 500).count();
    assert!((50..=150).contains(&failed), "about half of 200: {failed}");
}

fn call(timeout: &str) -> http::Request<crate::support::client::Body> {
    let call = request("POST", "/p.S/C")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    call.header("grpc-timeout", timeout).body(full("")).unwrap()
}

/// An app over HTTP/1.1 that never answers, or only begins to.
fn hanging(answer: &'static str) -> App {
    App::start(move |mut wire, _| {
        wire.head();
        wire.send(answer);
        wire.rest();
    })
}

#[tokio::test]
async fn a_grpc_client_hears_deadline_exceeded_when_its_time_is_over() {
    let begun = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
    for (answer, body) in [("", ""), (begun, "abc")] {
        let app = hanging(answer);
        // Neither of the route's own timeouts ends it.
        let yaml = format!(
            "app: {{ port: {}, protocol: http1 }}\nlisteners: [{{ port: 0 }}]\nroutes:\n\
             - {{ name: app, timeouts: {{ request: 0s, streamIdle: 0s }} }}\n",
            app.port()
        );
        let proxy = Proxy::start(&yaml);
        let mut client = H2::connect(proxy.inbound()).await;
        let answer = Answer::of(client.send(call("300m")).await).await;
        let told = if body.is_empty() {
            &answer.headers
        } else {
            &answer.trailers
        };
        assert_eq!((answer.status, answer.text()), (200, body));
        assert_eq!(told["grpc-status"], "4");
        let line = proxy.logged(|line| line["path"] == "/p.S/C");
        assert_eq!(
            (&line["flag"], &line["reason"]),
            (&json!("UT"), &json!("timeout.grpc"))
        );
    }
}

#[tokio::test]
async fn a_deadline_that_is_not_reached_or_not_understood_changes_nothing_and_is_sent_on() {
    let app = Recording::ok();
    let yaml = format!(
        "app: {{ port: {}, protocol: http1 }}\nlisteners: [{{ port: 0 }}]\n",
        app.port()
    );
    let proxy = Proxy::start(&yaml);
    let mut client = H2::connect(proxy.inbound()).await;
    for timeout in ["1H", "1 hour", "0", "99999999H"] {
        let answer = Answer::of(client.send(call(timeout)).await).await;
        assert_eq!((answer.status, answer.text()), (200, "ok"), "{timeout}");
    }
    let sent: Vec<_> = app
        .messages()
        .iter()
        .map(|one| one.all("grpc-timeout").join(","))
        .collect();
    assert_eq!(sent, ["1H", "1 hour", "0", "99999999H"]);
}

/// docs/configuration.md, "How a route is chosen": a split that goes by a header, a cookie or the address.
#[test]
fn a_sticky_split_keeps_returning_clients_and_its_weights() {
    let (app, canary) = (
        Recording::ok(),
        Recording::answering(|_| {
            crate::support::recording::Act::Answer(
                b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ncanary".to_vec(),
            )
        }),
    );
    let yaml = |hash_on: &str, weight: u32| {
        format!(
            "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\nupstreams: {{ canary: {{ endpoints: [{{ url: \"http://127.0.0.1:{}\" }}] }} }}\n\
             routes:\n- {{ name: app, hashOn: {hash_on}, backendRefs: [{{ name: canary, weight: {weight} }}, {{ name: app, weight: 75 }}] }}\n",
            app.port(),
            canary.port()
        )
    };
    let proxy = Proxy::start(&yaml("{ cookie: session }", 25));
    let mut wire = Wire::connect(proxy.inbound());
    let mut ask = |fields: &str| {
        let (head, body) = wire.ask(&format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"));
        assert_eq!(status(&head), 200);
        body == "canary"
    };
    let mut choices = || -> Vec<bool> {
        (0..400)
            .map(|number| ask(&format!("cookie: a=b; session={number}\r\n")))
            .collect()
    };
    let first = choices();
    assert_eq!(choices(), first, "returning clients");
    let share = first.iter().filter(|canary| **canary).count();
    assert!(
        (70..=130).contains(&share),
        "about a quarter of 400: {share}"
    );
    proxy.reload_with(&yaml("{ cookie: session }", 75));
    let more = choices();
    assert!(
        first
            .iter()
            .zip(&more)
            .all(|(before, after)| *after || !*before),
        "who was there stays there"
    );
    let drawn = (0..100).filter(|_| ask("")).count();
    assert!(
        (20..=80).contains(&drawn),
        "without the cookie each request draws: {drawn}"
    );
    proxy.reload_with(&yaml("clientIP", 25));
    let address = ask("");
    assert!((0..50).all(|_| ask("") == address));
}
