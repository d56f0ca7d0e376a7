//! The body of a request that goes out more than once.

use super::*;
use crate::support::wait_for;

/// What an app has read of the bodies on its connections, one after the other; it fails the first ones.
fn failing_once(how: fn(&mut Wire)) -> (App, Arc<std::sync::Mutex<Vec<String>>>) {
    let bodies = Arc::<std::sync::Mutex<Vec<String>>>::default();
    let shared = Arc::clone(&bodies);
    let app = App::start(move |mut wire, number| {
        let head = wire.head();
        if head.is_empty() {
            return;
        }
        let body = match header(&head, "content-length") {
            Some(length) => wire.exactly(length.parse().unwrap()),
            None => {
                let body = wire.chunks();
                wire.line();
                body
            }
        };
        shared.lock().unwrap().push(body);
        if number == 0 {
            how(&mut wire);
        } else {
            wire.send(OK);
        }
    });
    (app, bodies)
}

fn put(body: &str) -> String {
    format!(
        "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn text(length: usize) -> String {
    (0..length)
        .map(|at| char::from(b'a' + (at % 23) as u8))
        .collect()
}

#[test]
fn a_body_goes_again_as_it_was() {
    for how in [|_: &mut Wire| {}, |wire: &mut Wire| wire.send(BUSY)] {
        for length in [1, 60 * 1024, 64 * 1024] {
            let (app, bodies) = failing_once(how);
            let proxy = proxy(&[app.port()], "", ", retry: { codes: [503] }");
            let body = text(length);
            assert_eq!(Wire::connect(proxy.inbound()).ask(&put(&body)).1, "ok");
            assert!(*bodies.lock().unwrap() == [body.clone(), body], "{length}");
            let line = proxy.logged(|_| true);
            assert_eq!(
                (&line["attempts"], &line["bytesIn"]),
                (&2.into(), &length.into())
            );
        }
    }
}

#[test]
fn a_chunked_body_goes_again_as_it_was() {
    let (app, bodies) = failing_once(|_| {});
    let proxy = proxy(&[app.port()], "", ", retry: {}");
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    assert_eq!(wire.answer().1, "ok");
    assert_eq!(*bodies.lock().unwrap(), ["hello world"; 2]);
}

/// docs/security.md 19.
#[test]
fn a_body_over_buffer_bytes_streams_on_and_does_not_go_again() {
    for (buffer, length) in [("64KiB", 64 * 1024 + 1), ("16B", 17), ("0B", 1)] {
        let (app, bodies) = failing_once(|wire| wire.send(BUSY));
        let route = format!(", retry: {{ codes: [503], bufferBytes: {buffer} }}");
        let proxy = proxy(&[app.port()], "", &route);
        let (head, body) = Wire::connect(proxy.inbound()).ask(&put(&text(length)));
        assert_eq!(
            (status(&head), &*body, bodies.lock().unwrap().len()),
            (503, "busy", 1),
            "{buffer}"
        );
        assert_eq!(proxy.logged(|_| true)["attempts"], 1);
    }
}

#[test]
fn a_large_body_is_sent_to_another_endpoint_if_no_byte_of_it_was_read() {
    let (app, bodies) = failing_once(|wire| wire.send(OK));
    let balancer = ", loadBalancer: { policy: roundRobin }";
    let proxy = proxy(&[free_port(), app.port()], balancer, ", retry: {}");
    let body = text(200 * 1024);
    // One of two begins at the endpoint that is not there.
    for _ in 0..2 {
        assert_eq!(Wire::connect(proxy.inbound()).ask(&put(&body)).1, "ok");
    }
    assert_eq!(bodies.lock().unwrap().len(), 2);
    proxy.logged(|line| line["attempts"] == 2 && line["status"] == 200);
}

#[test]
fn a_body_that_is_still_coming_goes_on_after_what_was_kept_of_it() {
    let app = App::start(|mut wire, number| {
        let length =
            header(&wire.head(), "content-length").map_or(0, |length| length.parse().unwrap());
        if number == 0 {
            // Answers in the middle of it.
            wire.exactly(5);
            wire.send(BUSY);
        } else {
            let body = wire.exactly(length);
            wire.send(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
            ));
        }
        wire.rest();
    });
    let proxy = proxy(&[app.port()], "", ", retry: { codes: [503] }");
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\nhello");
    wait_for("the second try", || (app.connections() == 2).then_some(()));
    wire.send(" world");
    assert_eq!(wire.answer().1, "hello world");
    assert_eq!(proxy.logged(|_| true)["attempts"], 2);
}

#[test]
fn a_client_that_breaks_its_body_off_is_not_the_endpoints_fault() {
    let app = App::start(|mut wire, _| drop(wire.rest()));
    let proxy = proxy(&[app.port()], "", ", retry: { attempts: 5 }");
    let mut wire = Wire::connect(proxy.inbound());
    wire.send(
        "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    );
    assert_eq!(status(&wire.head()), 400);
    let line = proxy.logged(|_| true);
    assert_eq!(
        (&line["attempts"], &line["flag"], app.connections()),
        (&1.into(), &"DPE".into(), 1)
    );
}
