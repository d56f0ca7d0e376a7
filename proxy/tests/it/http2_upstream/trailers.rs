//! Pseudo-fields in the trailers of a request (RFC 9113 section 8.1): the message is malformed, however they are encoded,
//! and no app sees it as complete.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::in_front_of;
use crate::support::{
    Proxy,
    flow::{Client, Server},
    frames::{END_HEADERS, END_STREAM, Event, HEADERS, PROTOCOL_ERROR, block, frame},
    recording::Recording,
};

/// Header blocks with a pseudo-field, and what is special about each (RFC 7541 section 6).
fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let behind_another = [block(&[(b"x-sum", b"1")]), block(&[(b":path", b"/")])].concat();
    vec![
        ("an entry of the static table: :method", vec![0x82]),
        ("an entry of the static table: :path", vec![0x84]),
        ("an entry of the static table: :status", vec![0x88]),
        ("an entry of the dynamic table: :path", vec![0xbe]),
        ("a literal with an indexed name", vec![0x04, 1, b'/']),
        (
            "a literal with an indexed name, to be indexed",
            vec![0x44, 1, b'/'],
        ),
        (
            "a literal with an indexed name, never to be indexed",
            vec![0x14, 1, b'/'],
        ),
        (
            "a literal with a name of its own",
            block(&[(b":path", b"/")]),
        ),
        (
            "a literal with a name that is Huffman coded",
            vec![0, 0x84, 0xb9, 0x58, 0xd3, 0x3f, 1, b'/'],
        ),
        ("a pseudo-field behind another field", behind_another),
        (
            "a pseudo-field that is not defined",
            block(&[(b":evil", b"1")]),
        ),
    ]
}

/// A POST with a body and these trailers; the newest entry of the dynamic table is its `:path`.
fn post(client: &mut Client, stream: u32, trailers: &[u8]) {
    let mut head = block(&[
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":authority", b"a"),
    ]);
    head.extend([&[0x44, 5][..], b"/sink"].concat());
    client
        .flow
        .send(&frame(HEADERS, END_HEADERS, stream, &head));
    client.flow.data(stream, b"hi", false);
    client
        .flow
        .send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, trailers));
}

fn assert_reset(proxy: &Proxy, what: &str, trailers: &[u8]) {
    let mut client = Client::wide(proxy.inbound());
    post(&mut client, 1, trailers);
    let came = client
        .over(1)
        .unwrap_or_else(|ended| panic!("{what}: {ended:?}"));
    assert_eq!(
        (came.status(), came.reset),
        (0, Some(PROTOCOL_ERROR)),
        "{what}: {came:?}"
    );
    // The connection is as good as before.
    post(&mut client, 3, &block(&[(b"x-sum", b"1")]));
    let came = client
        .over(3)
        .unwrap_or_else(|ended| panic!("{what}, the next call: {ended:?}"));
    assert_eq!(
        (came.status(), came.reset),
        (200, None),
        "{what}, the next call: {came:?}"
    );
}

#[test]
fn a_request_with_pseudo_fields_in_its_trailers_is_not_whole_for_an_app_of_http_1() {
    for (what, trailers) in malformed() {
        let app = Recording::ok();
        let proxy = Proxy::in_front_of_port(app.port());
        assert_reset(&proxy, what, &trailers);
        assert_eq!(app.messages().len(), 1, "{what}: {:?}", app.messages());
    }
}

#[test]
fn a_request_with_pseudo_fields_in_its_trailers_is_not_whole_for_an_app_of_http_2() {
    for (what, trailers) in malformed() {
        let whole = Arc::<AtomicUsize>::default();
        let ends = Arc::clone(&whole);
        let app = Server::start(move |mut flow, _| {
            flow.settings(&[]);
            loop {
                match flow.next() {
                    Event::Frame(frame) if frame.ends() => {
                        ends.fetch_add(1, Ordering::SeqCst);
                        flow.ok(frame.stream, true);
                    }
                    Event::Frame(_) | Event::Late => {}
                    Event::End => return,
                }
            }
        });
        let proxy = in_front_of(app.port());
        assert_reset(&proxy, what, &trailers);
        // It may see a head that is reset, or nothing at all.
        assert_eq!(whole.load(Ordering::SeqCst), 1, "{what}");
    }
}

/// The same in a response: the client sees that it is not whole.
#[test]
fn a_response_with_pseudo_fields_in_its_trailers_is_not_whole() {
    let app = Server::start(move |mut flow, _| {
        flow.settings(&[]);
        loop {
            match flow.next() {
                Event::Frame(request) if request.ends() => {
                    let stream = request.stream;
                    flow.send(&frame(
                        HEADERS,
                        END_HEADERS,
                        stream,
                        &block(&[(b":status", b"200")]),
                    ));
                    flow.data(stream, b"hi", false);
                    let trailers = block(&[(b"x-sum", b"1"), (b":status", b"200")]);
                    flow.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &trailers));
                }
                Event::Frame(_) | Event::Late => {}
                Event::End => return,
            }
        }
    });
    let proxy = in_front_of(app.port());
    let mut client = Client::wide(proxy.inbound());
    post(&mut client, 1, &block(&[(b"x-sum", b"1")]));
    let came = client.over(1).expect("the connection stays");
    assert!(came.reset.is_some(), "{came:?}");
    let line = proxy.logged(|line| line["path"] == "/sink");
    assert_eq!(line["reason"], "upstream.protocol", "{line}");
}
