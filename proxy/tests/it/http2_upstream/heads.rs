//! Heads of answers over HTTP/2: how many fields they have, and what the log says of those that are malformed.

use serde_json::json;

use crate::support::{
    Proxy,
    flow::Server,
    frames::{CONTINUATION, END_HEADERS, END_STREAM, Event, HEADERS, block, frame},
    wire::{Wire, status},
};

/// An app that answers each request with this header block.
fn answering(head: Vec<u8>) -> Server {
    Server::start(move |mut flow, _| {
        flow.settings(&[]);
        loop {
            match flow.next() {
                Event::Frame(request) if request.ends() => {
                    flow.send(&frame(
                        HEADERS,
                        END_HEADERS | END_STREAM,
                        request.stream,
                        &head,
                    ));
                }
                Event::Frame(_) | Event::Late => {}
                Event::End => return,
            }
        }
    })
}

/// The status for the client, and the log line.
fn outcome(port: u16, limits: &str) -> (u16, serde_json::Value) {
    let proxy = Proxy::start(&format!(
        "workers: 1\napp: {{ port: {port}, protocol: h2c{limits} }}\nlisteners: [{{ port: 0 }}]\n"
    ));
    let (head, _) = Wire::connect(proxy.inbound()).ask("GET /x HTTP/1.1\r\nhost: a\r\n\r\n");
    (status(&head), proxy.logged(|line| line["path"] == "/x"))
}

#[test]
fn a_head_has_as_many_fields_as_the_limit_says() {
    let fields = |count: usize| {
        let mut head = block(&[(b":status", b"200")]);
        (0..count).for_each(|_| head.extend(block(&[(b"a", b"b")])));
        head
    };
    for (count, limits, expected) in [
        (100, "", 200),
        (101, "", 502),
        (101, ", limits: { headers: 101 }", 200),
        (2, ", limits: { headers: 1 }", 502),
        (1000, ", limits: { headers: 1000 }", 200),
    ] {
        let app = answering(fields(count));
        let (status, line) = outcome(app.port(), limits);
        assert_eq!(status, expected, "{count}{limits}: {line}");
        if expected == 502 {
            let limit = if limits.is_empty() { 100 } else { 1 };
            let detail = format!("the response has more than {limit} headers (limits.headers)");
            let shown = (&line["flag"], &line["reason"], &line["detail"]);
            assert_eq!(
                shown,
                (&json!("UPE"), &json!("upstream.protocol"), &json!(detail))
            );
        }
    }
}

/// `docs/security.md`, "Limits": 64 KiB.
#[test]
fn a_head_that_is_too_large_is_not_cut_to_what_fits() {
    for (count, expected) in [(60, 200), (70, 502)] {
        let app = Server::start(move |mut flow, _| {
            flow.settings(&[]);
            loop {
                match flow.next() {
                    Event::Frame(request) if request.ends() => {
                        let head = block(&[(b":status", b"200")]);
                        flow.send(&frame(HEADERS, END_STREAM, request.stream, &head));
                        // Ten fields of about a kilobyte each, as often as that.
                        let fields = block(&[(b"x-a", &[b'y'; 1000])]).repeat(10);
                        for part in 1..=count / 10 {
                            let flags = if part == count / 10 { END_HEADERS } else { 0 };
                            flow.send(&frame(CONTINUATION, flags, request.stream, &fields));
                        }
                    }
                    Event::Frame(_) | Event::Late => {}
                    Event::End => return,
                }
            }
        });
        let (status, line) = outcome(app.port(), "");
        assert_eq!(status, expected, "{count}: {line}");
    }
}

#[test]
fn the_log_says_something_of_a_malformed_head() {
    let app = answering(block(&[(b":status", b"200"), (b"X-Upper", b"1")]));
    let (status, line) = outcome(app.port(), "");
    assert_eq!(
        (status, &line["reason"]),
        (502, &json!("upstream.protocol"))
    );
    assert!(
        line["detail"]
            .as_str()
            .is_some_and(|detail| !detail.is_empty()),
        "{line}"
    );
}
