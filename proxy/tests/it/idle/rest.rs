//! The rest of an upload whose answer is complete, over HTTP/1.1: only after it can the connection carry another request.

use std::thread;

use super::{LIMIT, NEVER, SHORT, TICK, TICKS, app, inbound};
use crate::support::{
    Proxy,
    wire::{Wire, status},
};

/// A proxy in front of an app on a thread of its own, since the client here is a blocking one.
fn proxy(body_idle: &str) -> Proxy {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            tell.send(app("h2c").await).unwrap();
            std::future::pending::<()>().await;
        });
    });
    inbound(told.recv().unwrap(), "h2c", body_idle, NEVER)
}

fn begin(proxy: &Proxy, path: &str, length: usize) -> Wire {
    let mut wire = Wire::connect(proxy.inbound());
    wire.send(format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\nfirst"
    ));
    let (head, body) = wire.answer();
    assert_eq!((status(&head), &*body), (200, "early"));
    wire
}

#[test]
fn it_is_taken_while_it_moves_and_then_comes_the_next_request() {
    let proxy = proxy(LIMIT);
    let mut wire = begin(&proxy, "/early/read", "first".len() + TICKS);
    for _ in 0..TICKS {
        thread::sleep(TICK);
        wire.send("x");
    }
    let (head, body) = wire.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!((status(&head), &*body), (200, "hello"));
}

#[test]
fn a_client_that_sends_no_more_of_it_is_let_go_after_body_idle() {
    let proxy = proxy(SHORT);
    let mut wire = begin(&proxy, "/early/read", 1000);
    assert_eq!(wire.rest(), "");
}

#[test]
fn an_app_that_takes_no_more_of_it_does_not_hold_the_connection() {
    let proxy = proxy(SHORT);
    let length = 8 << 20; // more than the app's window and the sockets hold
    let mut wire = begin(&proxy, "/early/held", length);
    while wire.try_send([b'x'; 64 * 1024]) {}
    wire.rest();
}
