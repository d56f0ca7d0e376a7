//! A call above GOAWAY's last stream was not processed (RFC 9113 sections 6.8 and 8.7): it is sent again on a new connection,
//! whatever its method and without `retry`.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use super::in_front_of;
use crate::support::{
    Proxy,
    flow::{Client, Flow, Server},
    frames::{DATA, Event, Frame, HEADERS, INTERNAL_ERROR, NO_ERROR},
    origin,
    wire::{Wire, status},
};

/// What GOAWAY looks like.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// One frame that names the last stream.
    Single,
    /// One that names the highest number there is, then one that names the last stream.
    Pair,
    /// One with an error code, and the end of the connection.
    WithError,
}

impl Shape {
    /// Whether the connection stays open for streams up to `last`.
    fn send(self, flow: &mut Flow, last: u32) -> bool {
        match self {
            Self::Single => flow.go_away(last, NO_ERROR),
            Self::Pair => {
                flow.go_away(0x7fff_ffff, NO_ERROR);
                flow.go_away(last, NO_ERROR);
            }
            Self::WithError => flow.go_away(last, INTERNAL_ERROR),
        }
        !matches!(self, Self::WithError)
    }
}

/// Which requests were answered: the number of their connection and their stream.
type Answered = Arc<Mutex<Vec<(usize, u32)>>>;

/// An app that answers a request when it has ended, unless `refuses` sends a GOAWAY for a frame of it. What that returns
/// says whether the connection goes on.
fn app(
    refuses: impl Fn(&mut Flow, usize, &Frame) -> Option<bool> + Send + Sync + 'static,
) -> (Server, Answered) {
    let answered = Answered::default();
    let shared = Arc::clone(&answered);
    let server = Server::start(move |mut flow, number| {
        flow.settings(&[]);
        let mut last = u32::MAX;
        loop {
            let frame = match flow.next() {
                Event::Frame(frame) if matches!(frame.kind, HEADERS | DATA) => frame,
                Event::Frame(_) | Event::Late => continue,
                Event::End => return,
            };
            if frame.stream > last {
                continue; // as RFC 9113 section 6.8 has it
            }
            match refuses(&mut flow, number, &frame) {
                Some(true) => last = frame.stream - 1,
                Some(false) => return,
                None if frame.ends() => {
                    shared.lock().unwrap().push((number, frame.stream));
                    flow.ok(frame.stream, true);
                }
                None => {}
            }
        }
    });
    (server, answered)
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const BODILESS: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi";

/// The first connection goes away when the request under test has ended, or begun; the next ones answer.
fn assert_sent_again(shape: Shape, used: bool, at_its_end: bool, request: &str) {
    let stream = if used { 3 } else { 1 };
    let (app, answered) = app(move |flow, connection, frame| {
        let is_it = (connection, frame.stream) == (0, stream) && frame.ends() >= at_its_end;
        is_it.then(|| shape.send(flow, stream - 1))
    });
    let proxy = in_front_of(app.port());
    let mut wire = Wire::connect(proxy.inbound());
    if used {
        assert_eq!(status(&wire.ask(GET).0), 200);
    }
    let what = format!("{shape:?}, used: {used}, at its end: {at_its_end}, {request:?}");
    wire.send(request);
    assert_eq!(status(&wire.head()), 200, "{what}");
    assert_eq!(answered.lock().unwrap().last(), Some(&(1, 1)), "{what}");
    assert_eq!(app.accepted(), 2, "{what}");
}

const SHAPES: [Shape; 3] = [Shape::Single, Shape::Pair, Shape::WithError];

#[test]
fn a_call_above_the_last_stream_of_a_new_connection_is_sent_again() {
    for shape in SHAPES {
        for request in [GET, BODILESS, POST] {
            assert_sent_again(shape, false, true, request);
        }
    }
}

#[test]
fn a_call_above_the_last_stream_of_a_used_connection_is_sent_again() {
    for shape in SHAPES {
        for request in [GET, BODILESS, POST] {
            assert_sent_again(shape, true, true, request);
        }
    }
}

/// Its body is small and whole, and may have been written or not.
#[test]
fn a_call_is_sent_again_also_when_goaway_comes_before_its_body() {
    for shape in SHAPES {
        for used in [false, true] {
            assert_sent_again(shape, used, false, POST);
        }
    }
}

#[test]
fn a_call_of_an_http_2_client_is_sent_again_as_well() {
    for shape in SHAPES {
        let (app, answered) = app(move |flow, connection, frame| {
            (connection == 0 && frame.ends()).then(|| shape.send(flow, 0))
        });
        let proxy = in_front_of(app.port());
        let mut client = Client::wide(proxy.inbound());
        client.flow.request(1, "POST", "/", false);
        client.flow.data(1, b"hi", true);
        let came = client.over(1).unwrap();
        assert_eq!((came.status(), came.reset), (200, None), "{shape:?}");
        assert_eq!(*answered.lock().unwrap(), [(1, 1)], "{shape:?}");
    }
}

#[test]
fn a_call_up_to_the_last_stream_is_answered_on_its_connection_and_those_above_elsewhere() {
    let (app, answered) = app(|flow, connection, frame| {
        ((connection, frame.stream) == (0, 5)).then(|| {
            flow.go_away(3, NO_ERROR);
            flow.ok(3, true);
            true
        })
    });
    let proxy = in_front_of(app.port());
    let mut client = Client::wide(proxy.inbound());
    // The first call makes the connection; the second one does not end, so that the app answers it only behind GOAWAY.
    client.flow.request(1, "GET", "/", true);
    assert_eq!(client.over(1).unwrap().status(), 200);
    client.flow.request(3, "POST", "/", false);
    client.flow.request(5, "POST", "/", true);
    for stream in [3, 5] {
        let came = client.over(stream).unwrap();
        assert_eq!(
            (came.status(), came.reset.unwrap_or(NO_ERROR)),
            (200, NO_ERROR),
            "stream {stream}"
        );
    }
    assert_eq!(*answered.lock().unwrap(), [(0, 1), (1, 1)]);
}

#[test]
fn all_calls_above_the_last_stream_are_sent_again() {
    const CALLS: u32 = 20;
    let begun = Mutex::new(None);
    let (app, _) = app(move |flow, connection, frame| {
        if connection > 0 {
            return None;
        }
        // What has not come by then comes on another connection.
        let begun = *begun.lock().unwrap().get_or_insert_with(Instant::now);
        let mut last = frame.stream;
        while last < 2 * CALLS - 1 {
            match flow.next_until(begun + Duration::from_millis(300)) {
                Event::Frame(frame) if frame.kind == HEADERS => last = frame.stream,
                Event::Frame(_) => {}
                Event::Late | Event::End => break,
            }
        }
        Some(Shape::Pair.send(flow, 0))
    });
    let proxy = in_front_of(app.port());
    let mut client = Client::wide(proxy.inbound());
    let streams = (0..CALLS).map(|n| 2 * n + 1);
    for stream in streams.clone() {
        client.flow.request(stream, "POST", "/", true);
    }
    let statuses: Vec<u16> = streams
        .map(|stream| client.over(stream).unwrap().status())
        .collect();
    assert_eq!(statuses, [200; CALLS as usize]);
}

#[test]
fn a_call_whose_streamed_body_has_begun_is_not_sent_again() {
    for shape in SHAPES {
        let (app, answered) = app(move |flow, connection, frame| {
            (connection == 0 && frame.kind == DATA).then(|| shape.send(flow, 0))
        });
        let proxy = in_front_of(app.port());
        let mut client = Client::wide(proxy.inbound());
        client.flow.request(1, "POST", "/", false);
        client.flow.data(1, b"part", false);
        client
            .until(|client| client.came(1).status() != 0 || client.came(1).is_over())
            .unwrap();
        assert_eq!(
            client.came(1).status(),
            502,
            "{shape:?}: {:?}",
            client.came(1)
        );
        assert_eq!(*answered.lock().unwrap(), [], "{shape:?}");
        let line = proxy.logged(|line| line["status"] == 502);
        assert_eq!(line["attempts"], 1, "{shape:?}: {line}");
    }
}

#[test]
fn an_app_that_goes_away_each_time_is_asked_a_few_times_at_most() {
    let (app, answered) = app(|flow, _, _| Some(Shape::Single.send(flow, 0)));
    let proxy = in_front_of(app.port());
    assert_eq!(status(&Wire::connect(proxy.inbound()).ask(GET).0), 502);
    assert!(app.accepted() <= 5, "{} connections", app.accepted());
    assert_eq!(*answered.lock().unwrap(), []);
}

#[test]
fn an_endpoint_that_goes_away_is_not_blamed_for_it() {
    for shape in SHAPES {
        let (app, _) = app(move |flow, connection, frame| {
            (connection == 0 && frame.ends()).then(|| shape.send(flow, 0))
        });
        let good = origin();
        let proxy = Proxy::start(&format!(
            "workers: 1\nlisteners: [{{ port: 0 }}]\nroutes: [{{ name: u, backendRefs: [u] }}]\nupstreams:\n  \
             u:\n    endpoints: [{{ url: \"http://{}\" }}, {{ url: \"{}\" }}]\n    protocol: h2c\n    \
             loadBalancer: {{ policy: roundRobin }}\n    \
             outlierDetection: {{ consecutiveErrors: 1, baseEjectionTime: 60s }}\n",
            app.address,
            good.url("")
        ));
        for request in [POST, GET, POST, GET] {
            let mut wire = Wire::connect(proxy.inbound());
            wire.send(request);
            assert_eq!(status(&wire.head()), 200, "{shape:?}");
        }
        assert!(app.accepted() > 0);
        let ejections = proxy.metric("outrigger_outlier_ejections_total{upstream=\"u\"}");
        assert_eq!(ejections, 0.0, "{shape:?}");
    }
}
