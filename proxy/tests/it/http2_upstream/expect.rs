//! `Expect: 100-continue` of a client over HTTP/2 (RFC 9110 section 10.1.1): it gets 100 or an answer, and is never left
//! waiting.

use std::time::Duration;

use super::in_front_of;
use crate::support::{
    Proxy,
    flow::{Client, Server},
    frames::{END_HEADERS, Event, Field, HEADERS, frame},
    wire::{App, Wire},
};

/// The head of an upload of five bytes that waits to be asked for.
fn ask(client: &mut Client, length: &str) {
    let fields: [Field<'_>; 6] = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":authority", b"a"),
        (b":path", b"/upload"),
        (b"expect", b"100-continue"),
        (b"content-length", length.as_bytes()),
    ];
    client.flow.headers(1, &fields, false);
}

/// The statuses of all heads that the client gets. It sends its body when it gets 100.
fn upload(proxy: &Proxy) -> Vec<u16> {
    let mut client = Client::wide(proxy.inbound());
    ask(&mut client, "5");
    client
        .until(|client| !client.came(1).statuses.is_empty() || client.came(1).is_over())
        .unwrap();
    if client.came(1).statuses == [100] {
        client.flow.data(1, b"hello", true);
    }
    client
        .until(|client| client.came(1).status() != 0 || client.came(1).is_over())
        .unwrap();
    client.came(1).statuses
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// An app of HTTP/1.1 that says this behind a head, and answers a body.
fn http1(said: &'static str) -> App {
    App::start(move |mut wire: Wire, _| {
        wire.head();
        wire.send(said);
        if !said.contains(" 413 ") {
            assert_eq!(wire.exactly(5), "hello");
            wire.send(OK);
        }
        wire.head();
    })
}

/// An app of HTTP/2 that says this status behind a head, and answers a body.
fn http2(said: Option<&'static str>) -> Server {
    Server::start(move |mut flow, _| {
        flow.settings(&[]);
        loop {
            match flow.next() {
                Event::Frame(frame) if frame.ends() => flow.ok(frame.stream, true),
                Event::Frame(head) if head.kind == HEADERS => {
                    if let Some(status) = said {
                        // A literal whose name is entry 8 of the static table.
                        let block = [&[8, 3][..], status.as_bytes()].concat();
                        let end = u8::from(status != "100");
                        flow.send(&frame(HEADERS, END_HEADERS | end, head.stream, &block));
                    }
                }
                Event::Frame(_) | Event::Late => {}
                Event::End => return,
            }
        }
    })
}

#[test]
fn a_client_is_told_to_go_on_when_an_app_of_http_1_says_so() {
    let app = http1("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(upload(&Proxy::in_front_of_port(app.port())), [100, 200]);
}

#[test]
fn a_client_is_told_to_go_on_when_an_app_of_http_2_says_so() {
    let app = http2(Some("100"));
    assert_eq!(upload(&in_front_of(app.port())), [100, 200]);
}

#[test]
fn a_client_is_told_to_go_on_when_the_app_says_nothing() {
    let app = http1("");
    assert_eq!(
        upload(&Proxy::in_front_of_port(app.port())),
        [100, 200],
        "HTTP/1.1"
    );
    let app = http2(None);
    assert_eq!(upload(&in_front_of(app.port())), [100, 200], "HTTP/2");
}

#[test]
fn a_refusal_by_the_head_alone_reaches_the_client() {
    let app = http1("HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(
        upload(&Proxy::in_front_of_port(app.port())),
        [413],
        "HTTP/1.1"
    );
    let app = http2(Some("413"));
    assert_eq!(upload(&in_front_of(app.port())), [413], "HTTP/2");
}

#[test]
fn a_refusal_of_the_proxys_own_comes_at_once() {
    let proxy =
        Proxy::start("app: { port: 1 }\nlisteners: [{ port: 0, limits: { bodyBytes: 1KiB } }]\n");
    let mut client = Client::wide(proxy.inbound());
    ask(&mut client, "5000");
    client
        .until(|client| client.came(1).status() != 0 || client.came(1).is_over())
        .unwrap();
    assert_eq!(client.came(1).statuses, [413]);
}

#[test]
fn a_client_that_does_not_wait_is_answered_as_well() {
    let (first, second) = (http1("HTTP/1.1 100 Continue\r\n\r\n"), http2(Some("100")));
    for proxy in [
        Proxy::in_front_of_port(first.port()),
        in_front_of(second.port()),
    ] {
        let mut client = Client::wide(proxy.inbound());
        ask(&mut client, "5");
        client.flow.data(1, b"hello", true);
        let came = client.over(1).unwrap();
        assert_eq!((came.status(), came.reset), (200, None), "{came:?}");
    }
}

/// The app, and not the proxy on its own, has the client go on while there is one that can say so.
#[test]
fn the_body_does_not_come_before_the_app_asks_for_it() {
    let app = App::start(|mut wire, _| {
        wire.head();
        assert!(
            wire.is_silent_for(Duration::from_millis(200)),
            "the body came before it was asked for"
        );
        wire.send("HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(wire.exactly(5), "hello");
        wire.send(OK);
        wire.head();
    });
    assert_eq!(upload(&Proxy::in_front_of_port(app.port())), [100, 200]);
}
