//! `Expect: 100-continue` from end to end.

use std::time::Duration;

use crate::support::{
    Proxy,
    wire::{App, Wire, header, status},
};

const HEAD: &str =
    "POST /upload HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";

#[test]
fn the_client_is_told_to_go_on_when_the_app_says_so() {
    let app = App::start(|mut wire, _| {
        let head = wire.head();
        assert_eq!(header(&head, "expect"), Some("100-continue"), "{head}");
        assert!(
            wire.is_silent_for(Duration::from_millis(200)),
            "the body came before it was asked for"
        );
        wire.send("HTTP/1.1 100 Continue\r\n\r\n");
        let body = wire.exactly(5);
        wire.send(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{body}"
        ));
        wire.head();
    });
    let proxy = Proxy::in_front_of_port(app.port());
    let mut wire = Wire::connect(proxy.inbound());
    wire.send(HEAD);
    assert_eq!(wire.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    let (head, body) = wire.ask("hello");
    assert_eq!((status(&head), &*body), (200, "hello"));
}

#[test]
fn a_refusal_by_the_head_alone_reaches_the_client_and_the_body_is_never_asked_for() {
    let app = App::start(|mut wire, _| {
        wire.head();
        wire.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno");
        assert_eq!(wire.rest(), "", "no body was sent");
    });
    let proxy = Proxy::in_front_of_port(app.port());
    let mut wire = Wire::connect(proxy.inbound());
    let (head, body) = wire.ask(HEAD);
    assert_eq!((status(&head), &*body), (413, "no"), "{head}");
    assert_eq!(
        header(&head, "connection"),
        Some("close"),
        "the client must not send the body now: {head}"
    );
    assert_eq!(wire.rest(), "");
    let line = proxy.logged(|line| line["path"] == "/upload");
    assert_eq!(
        (&line["status"], &line["bytesIn"]),
        (&413.into(), &0.into())
    );
}

#[test]
fn a_silent_app_gets_the_body_after_a_while() {
    let app = App::start(|mut wire, _| {
        wire.head();
        let body = wire.exactly(5);
        wire.send(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{body}"
        ));
        wire.head();
    });
    let proxy = Proxy::in_front_of_port(app.port());
    let mut wire = Wire::connect(proxy.inbound());
    wire.send(HEAD);
    assert_eq!(wire.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(wire.ask("hello").1, "hello");
}

#[test]
fn a_client_that_does_not_wait_is_served_as_well() {
    let origin = crate::support::origin();
    let proxy = Proxy::in_front_of(&origin);
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n");
    wire.send("5\r\nhello\r\n0\r\n\r\n");
    let mut head = wire.head();
    if status(&head) == 100 {
        head = wire.head();
    }
    assert_eq!((status(&head), &*wire.chunks()), (200, "hello"), "{head}");
}
