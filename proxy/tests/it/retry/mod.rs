//! `retry`, `hedge` and `retryBudget` over real sockets.

mod bodies;
mod budget;
mod hedge;
mod http2;
mod never_twice;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::time::Instant;

use crate::support::{
    Proxy,
    live::free_port,
    recording::{Act, Message, Recording},
    wire::{App, Wire, header, status},
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi";
const KEYED: &str =
    "POST / HTTP/1.1\r\nhost: a\r\nidempotency-key: k\r\ncontent-length: 2\r\n\r\nhi";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy";

/// A proxy in front of these ports, with more keys for the upstream and for the route.
fn proxy(ports: &[u16], upstream: &str, route: &str) -> Proxy {
    let urls: Vec<_> = ports
        .iter()
        .map(|port| format!("{{ url: \"http://127.0.0.1:{port}\" }}"))
        .collect();
    Proxy::start(&format!(
        "workers: 1\nlisteners: [{{ port: 0 }}]\nupstreams:\n  u: {{ endpoints: [{}]{upstream} }}\n\
         routes: [{{ name: u, backendRefs: [u]{route} }}]\n",
        urls.join(", ")
    ))
}

fn count(message: &Message) -> &str {
    message
        .all("x-outrigger-attempt-count")
        .first()
        .copied()
        .unwrap_or_default()
}

/// An app that is busy on the first tries of a request, as its path says.
fn busy_until(attempt: u32) -> Recording {
    Recording::answering(move |message| {
        let busy = count(message).parse::<u32>().unwrap() < attempt;
        Act::Answer(if busy { BUSY } else { OK }.as_bytes().to_vec())
    })
}

fn retries(proxy: &Proxy, reason: &str) -> f64 {
    proxy.metric(&format!(
        "outrigger_retries_total{{upstream=\"u\",reason=\"{reason}\"}}"
    ))
}

#[test]
fn an_answer_with_a_code_is_tried_again_and_each_try_says_which_it_is() {
    let app = busy_until(3);
    let proxy = proxy(&[app.port()], "", ", retry: { attempts: 2, codes: [503] }");
    let (head, body) = Wire::connect(proxy.inbound()).ask(GET);
    assert_eq!((status(&head), &*body), (200, "ok"));
    let counts: Vec<String> = app
        .messages()
        .iter()
        .map(|message| count(message).to_owned())
        .collect();
    assert_eq!(counts, ["1", "2", "3"]);
    assert_eq!(
        app.connections(),
        1,
        "an answer that came whole leaves its connection for the next try"
    );
    assert_eq!(proxy.logged(|_| true)["attempts"], 3);
    assert!((retries(&proxy, "code") - 2.0).abs() < 0.5);
}

/// What an app has seen of a request, but for the number of the try.
fn without_count(mut message: Message) -> Message {
    message
        .fields
        .retain(|(name, _)| name != "x-outrigger-attempt-count");
    message
}

#[test]
fn each_try_is_the_same_request() {
    let body = "content-length: 2\r\nx-mine: 1\r\nx-mine: 2\r\nauthorization: Bearer t\r\n\r\nhi";
    for first in [
        BUSY,
        "",                                                                  // closes
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", // in two ways
        "HTTP/1.1 503 Busy\r\ncontent-length: 100\r\n\r\nnot all of it",     // is given up
        "silence",                                                           // takes too long
    ] {
        let seen = AtomicUsize::new(0);
        let app =
            Recording::answering(
                move |_| match (seen.fetch_add(1, Ordering::SeqCst), first) {
                    (0, "silence") => Act::Answer(Vec::new()),
                    (0, _) => Act::Close(first.into()),
                    _ => Act::Answer(OK.into()),
                },
            );
        let route = ", timeouts: { backendRequest: 1s }, retry: { codes: [503] }";
        let proxy = proxy(&[app.port()], "", route);
        let request = format!("PUT /a?b=c HTTP/1.1\r\nhost: a.example\r\n{body}");
        assert_eq!(
            Wire::connect(proxy.inbound()).ask(&request).1,
            "ok",
            "{first:?}"
        );
        let messages: Vec<Message> = app.messages().into_iter().map(without_count).collect();
        assert_eq!(messages.len(), 2, "{first:?}");
        assert_eq!(messages[0], messages[1], "{first:?}");
        assert_eq!(messages[1].all("host"), ["a.example"], "{first:?}");
        assert_eq!(messages[1].all("x-mine"), ["1", "2"], "{first:?}");
        assert_eq!(messages[1].all("x-request-id").len(), 1, "{first:?}");
    }
}

#[test]
fn what_a_client_says_about_tries_is_not_believed() {
    let app = Recording::ok();
    let proxy = proxy(&[app.port()], "", ", retry: {}");
    Wire::connect(proxy.inbound())
        .ask("GET / HTTP/1.1\r\nhost: a\r\nx-outrigger-attempt-count: 7\r\n\r\n");
    assert_eq!(app.messages()[0].all("x-outrigger-attempt-count"), ["1"]);
}

#[test]
fn a_route_without_retry_says_nothing_about_tries() {
    let app = Recording::ok();
    let proxy = proxy(&[app.port()], "", ", timeouts: { backendRequest: 5s }");
    Wire::connect(proxy.inbound()).ask(GET);
    assert!(
        app.messages()[0]
            .all("x-outrigger-attempt-count")
            .is_empty()
    );
}

#[test]
fn attempts_are_the_tries_after_the_first_and_the_last_answer_is_the_clients() {
    for (route, tries) in [
        ("{ codes: [503] }", 2),
        ("{ attempts: 3, codes: [503] }", 4),
        ("{ codes: [502] }", 1),
        ("{}", 1),
    ] {
        let app = Recording::answering(|_| Act::Answer(BUSY.into()));
        let proxy = proxy(&[app.port()], "", &format!(", retry: {route}"));
        let (head, body) = Wire::connect(proxy.inbound()).ask(GET);
        assert_eq!((status(&head), &*body), (503, "busy"), "{route}");
        assert_eq!(app.messages().len(), tries, "{route}");
        assert_eq!(proxy.logged(|_| true)["attempts"], tries, "{route}");
    }
}

/// docs/security.md 19.
#[test]
fn only_idempotent_requests_go_again_unless_the_route_or_the_client_says_otherwise() {
    for (methods, request, tries) in [
        ("", GET, 2),
        ("", POST, 1),
        ("", KEYED, 2),
        (", methods: idempotent", POST, 1),
        (", methods: any", POST, 2),
        (", methods: [POST]", POST, 2),
        (", methods: [POST]", GET, 1),
    ] {
        let app = Recording::answering(|_| Act::Answer(BUSY.into()));
        let proxy = proxy(
            &[app.port()],
            "",
            &format!(", retry: {{ codes: [503]{methods} }}"),
        );
        assert_eq!(status(&Wire::connect(proxy.inbound()).ask(request).0), 503);
        assert_eq!(app.messages().len(), tries, "{methods} {request}");
    }
}

#[test]
fn another_try_goes_to_another_endpoint() {
    for policy in ["roundRobin", "leastRequest", "random"] {
        let (busy, free) = (App::answering(BUSY), App::answering(OK));
        let balancer =
            format!(", loadBalancer: {{ policy: {policy} }}, retryBudget: {{ percent: 100 }}");
        let proxy = proxy(
            &[busy.port(), free.port()],
            &balancer,
            ", retry: { codes: [503] }",
        );
        let mut wire = Wire::connect(proxy.inbound());
        for _ in 0..20 {
            assert_eq!(status(&wire.ask(GET).0), 200, "{policy}");
        }
        proxy.logged(|line| line["attempts"] == 2 && line["endpoint"] == free.address.to_string());
    }
}

#[test]
fn what_a_peer_proxy_refused_for_overload_is_never_tried_again() {
    let app = Recording::answering(|_| {
        Act::Answer(
            BUSY.replace("\r\ncontent", "\r\nx-outrigger-overloaded: true\r\ncontent")
                .into(),
        )
    });
    let proxy = proxy(&[app.port()], "", ", retry: { attempts: 5, codes: [503] }");
    let (head, _) = Wire::connect(proxy.inbound()).ask(GET);
    assert_eq!(
        (status(&head), header(&head, "x-outrigger-overloaded")),
        (503, Some("true"))
    );
    assert_eq!(app.messages().len(), 1);
}

/// An app that is busy at first, and says for how long.
fn asks_for(pause: &'static str) -> (Recording, Arc<AtomicUsize>) {
    let seen = Arc::<AtomicUsize>::default();
    let shared = Arc::clone(&seen);
    let app = Recording::answering(move |_| {
        Act::Answer(match shared.fetch_add(1, Ordering::SeqCst) {
            0 => BUSY
                .replace(
                    "\r\ncontent",
                    &format!("\r\nretry-after: {pause}\r\ncontent"),
                )
                .into(),
            _ => OK.into(),
        })
    });
    (app, seen)
}

#[test]
fn an_endpoint_that_asks_for_a_pause_gets_it() {
    let (app, _) = asks_for("1");
    let proxy = proxy(&[app.port()], "", ", retry: { codes: [503] }");
    let asked = Instant::now();
    assert_eq!(status(&Wire::connect(proxy.inbound()).ask(GET).0), 200);
    assert!(asked.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_pause_that_is_longer_than_what_is_left_of_the_request_is_not_waited_for() {
    for pause in [
        "4",
        "999999999999999999999",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    ] {
        let (app, seen) = asks_for(pause);
        let proxy = proxy(
            &[app.port()],
            "",
            ", timeouts: { request: 4s }, retry: { codes: [503] }",
        );
        let (head, body) = Wire::connect(proxy.inbound()).ask(GET);
        assert_eq!(
            (status(&head), &*body, seen.load(Ordering::SeqCst)),
            (503, "busy", 1)
        );
        assert_eq!(
            header(&head, "retry-after"),
            Some(pause),
            "the client may wait"
        );
    }
}

#[test]
fn a_client_that_goes_away_ends_the_tries() {
    let (app, seen) = asks_for("2");
    let proxy = proxy(&[app.port()], "", ", retry: { codes: [503] }");
    let mut wire = Wire::connect(proxy.inbound());
    wire.send(GET);
    crate::support::wait_for("the first try", || {
        (seen.load(Ordering::SeqCst) == 1).then_some(())
    });
    drop(wire);
    let line = proxy.logged(|_| true);
    assert_eq!(
        (&line["flag"], &line["attempts"]),
        (&"DC".into(), &1.into())
    );
    // The line is written when everything about the request has ended, and so before the pause is over.
    thread::sleep(Duration::from_millis(2_500));
    assert_eq!((seen.load(Ordering::SeqCst), app.messages().len()), (1, 1));
}

/// docs/security.md 19.
#[test]
fn nothing_is_tried_again_once_a_byte_of_an_answer_went_to_the_client() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let app = Recording::answering(move |_| Act::Close(answer.into()));
        let proxy = proxy(
            &[app.port()],
            "",
            ", retry: { attempts: 3, codes: [500, 502, 503], methods: any }",
        );
        let mut wire = Wire::connect(proxy.inbound());
        wire.send(GET);
        assert_eq!(status(&wire.head()), 200);
        wire.rest();
        assert_eq!(app.messages().len(), 1, "{answer}");
        assert_eq!(proxy.logged(|_| true)["flag"], "UC");
    }
}

/// An app that never answers on its first connections.
fn silent_on(first: usize) -> App {
    App::start(move |mut wire, number| {
        while !wire.head().is_empty() {
            if number >= first && !wire.try_send(OK) {
                break;
            }
        }
    })
}

#[test]
fn each_try_has_its_own_time() {
    let app = silent_on(2);
    let route = ", timeouts: { request: 10s, backendRequest: 200ms }, retry: { attempts: 2 }";
    let proxy = proxy(&[app.port()], "", route);
    assert_eq!(Wire::connect(proxy.inbound()).ask(GET).1, "ok");
    assert_eq!(
        (
            proxy.logged(|_| true)["attempts"].clone(),
            app.connections()
        ),
        (3.into(), 3)
    );
    assert!((retries(&proxy, "timeout") - 2.0).abs() < 0.5);
}

#[test]
fn the_last_try_that_takes_too_long_is_504() {
    for (retry, tries) in [
        ("", 1),
        (", retry: { attempts: 2 }", 3),
        (", retry: { conditions: [reset] }", 1),
    ] {
        let app = silent_on(usize::MAX);
        let route = format!(", timeouts: {{ request: 10s, backendRequest: 100ms }}{retry}");
        let proxy = proxy(&[app.port()], "", &route);
        let (head, _) = Wire::connect(proxy.inbound()).ask(GET);
        let line = proxy.logged(|_| true);
        assert_eq!(
            (status(&head), &line["flag"], &line["attempts"]),
            (504, &"UT".into(), &tries.into())
        );
        assert_eq!(line["reason"], "timeout.backend_request");
    }
}

#[test]
fn all_tries_together_stay_within_the_time_of_the_request() {
    let app = silent_on(usize::MAX);
    let route = ", timeouts: { request: 1s, backendRequest: 400ms }, retry: { attempts: 10 }";
    let proxy = proxy(&[app.port()], "", route);
    assert_eq!(status(&Wire::connect(proxy.inbound()).ask(GET).0), 504);
    let line = proxy.logged(|_| true);
    let tries = line["attempts"].as_u64().unwrap();
    assert!((2..=3).contains(&tries), "{line}");
}

#[test]
fn a_connection_that_breaks_is_worth_another_try_for_idempotent_requests() {
    for (bytes, reason) in [
        ("", "reset"),
        ("HTTP/1.1 200", "reset"),
        ("garbage\r\n\r\n", "reset"),
    ] {
        for (request, tries, answer) in [(GET, 2, 200), (POST, 1, 502)] {
            let app = App::start(move |mut wire, number| {
                let head = wire.head();
                wire.exactly(
                    header(&head, "content-length").map_or(0, |length| length.parse().unwrap()),
                );
                wire.send(if number == 0 { bytes } else { OK });
            });
            let proxy = proxy(&[app.port()], "", ", retry: {}");
            let head = Wire::connect(proxy.inbound()).ask(request).0;
            assert_eq!(
                (status(&head), app.connections()),
                (answer, tries),
                "{bytes:?} {request}"
            );
            assert!((retries(&proxy, reason) - (tries as f64 - 1.0)).abs() < 0.5);
        }
    }
}

#[test]
fn what_never_reached_an_endpoint_goes_again_whatever_its_method() {
    let app = App::start(|mut wire, _| {
        while !wire.head().is_empty() {
            wire.exactly(2);
            wire.send(OK);
        }
    });
    for retry in ["", ", retry: {}"] {
        let balancer = ", loadBalancer: { policy: roundRobin }";
        let proxy = proxy(&[free_port(), app.port()], balancer, retry);
        let mut wire = Wire::connect(proxy.inbound());
        for _ in 0..6 {
            assert_eq!(status(&wire.ask(POST).0), 200, "{retry}");
        }
        assert!(
            (retries(&proxy, "connect_failure") - 3.0).abs() < 0.5,
            "half of them begin there"
        );
    }
}

#[test]
fn a_failed_connect_is_not_repeated_where_only_other_conditions_are_named() {
    let proxy = proxy(
        &[free_port()],
        "",
        ", retry: { attempts: 3, conditions: [timeout] }",
    );
    assert_eq!(status(&Wire::connect(proxy.inbound()).ask(GET).0), 502);
    assert_eq!(proxy.logged(|_| true)["attempts"], 1);
}
