//! RST_STREAM from one side to the other (RFC 9113 section 7): a code that means something keeps it, and what was cut never
//! looks whole.

use std::sync::{Arc, Mutex};

use super::{in_front_of, with};
use crate::support::{
    flow::{Client, Flow, Server},
    frames::{CANCEL, DATA, Event, Frame, HEADERS, INTERNAL_ERROR, NO_ERROR, RST_STREAM},
    wait_for,
    wire::{Wire, header, status},
};

/// What has come to the app.
#[derive(Default)]
struct Seen {
    heads: usize,
    bytes: usize,
    /// The codes of RST_STREAM, in order.
    resets: Vec<u32>,
}

struct App {
    server: Server,
    seen: Arc<Mutex<Seen>>,
}

impl App {
    /// `play` gets each frame of a request: its head and its DATA.
    fn start(play: impl Fn(&mut Flow, &Frame) + Send + Sync + 'static) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let shared = Arc::clone(&seen);
        let server = Server::start(move |mut flow, _| {
            flow.settings(&[]);
            loop {
                let frame = match flow.next() {
                    Event::Frame(frame) => frame,
                    Event::Late => continue,
                    Event::End => return,
                };
                match frame.kind {
                    HEADERS | DATA => {
                        // Before it is counted, so that who waits for the count finds what was played.
                        play(&mut flow, &frame);
                        let mut seen = shared.lock().unwrap();
                        seen.heads += usize::from(frame.kind == HEADERS);
                        seen.bytes += if frame.kind == DATA {
                            frame.payload.len()
                        } else {
                            0
                        };
                    }
                    RST_STREAM => shared.lock().unwrap().resets.push(frame.code()),
                    _ => {}
                }
            }
        });
        Self { server, seen }
    }

    fn wait(&self, what: &str, holds: impl Fn(&Seen) -> bool) {
        wait_for(what, || holds(&self.seen.lock().unwrap()).then_some(()));
    }

    /// Waits for a reset and says its code.
    fn reset(&self) -> u32 {
        wait_for("a reset at the app", || {
            self.seen.lock().unwrap().resets.first().copied()
        })
    }
}

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The app has read the request and says nothing.
    Asked,
    /// The app has read a part of the request's body.
    Uploading,
    /// The head of the response is there.
    Begun,
    /// So is a part of its body.
    Downloading,
}

const STAGES: [Stage; 4] = [
    Stage::Asked,
    Stage::Uploading,
    Stage::Begun,
    Stage::Downloading,
];

impl Stage {
    fn app(self) -> App {
        App::start(move |flow, frame| {
            if frame.kind == HEADERS && matches!(self, Self::Begun | Self::Downloading) {
                flow.ok(frame.stream, false);
                if self == Self::Downloading {
                    flow.data(frame.stream, b"part", false);
                }
            }
        })
    }

    /// Brings a call of an HTTP/2 client so far.
    fn reach(self, client: &mut Client, app: &App) {
        client.flow.request(1, "POST", "/", self != Self::Uploading);
        if self == Self::Uploading {
            client.flow.data(1, b"part", false);
        }
        app.wait("the request", |seen| {
            seen.heads == 1 && (self != Self::Uploading || seen.bytes == 4)
        });
        client
            .until(|client| match self {
                Self::Asked | Self::Uploading => true,
                Self::Begun => client.came(1).status() == 200,
                Self::Downloading => client.came(1).bytes == 4,
            })
            .unwrap();
    }

    /// The same for a client of HTTP/1.1.
    fn reach_over_http_1(self, wire: &mut Wire, app: &App) {
        let length = if self == Self::Uploading { 8 } else { 0 };
        wire.send(format!(
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"
        ));
        if self == Self::Uploading {
            wire.send("part");
        }
        app.wait("the request", |seen| {
            seen.heads == 1 && (self != Self::Uploading || seen.bytes == 4)
        });
        if matches!(self, Self::Begun | Self::Downloading) {
            assert_eq!(status(&wire.head()), 200);
        }
        if self == Self::Downloading {
            assert_eq!(wire.chunk(), "part");
        }
    }
}

#[test]
fn a_call_that_a_client_cancels_is_cancelled_at_the_app() {
    for stage in STAGES {
        let app = stage.app();
        let proxy = in_front_of(app.server.port());
        let mut client = Client::wide(proxy.inbound());
        stage.reach(&mut client, &app);
        client.flow.reset(1, CANCEL);
        assert_eq!(app.reset(), CANCEL, "{stage:?}");
    }
}

#[test]
fn a_client_that_closes_its_connection_cancels_its_call_at_the_app() {
    for stage in STAGES {
        let app = stage.app();
        let proxy = in_front_of(app.server.port());
        let mut client = Client::wide(proxy.inbound());
        stage.reach(&mut client, &app);
        drop(client);
        assert_eq!(app.reset(), CANCEL, "{stage:?}");
    }
}

#[test]
fn a_client_of_http_1_that_closes_its_connection_cancels_its_call_at_the_app() {
    for stage in STAGES {
        let app = stage.app();
        let proxy = in_front_of(app.server.port());
        let mut wire = Wire::connect(proxy.inbound());
        stage.reach_over_http_1(&mut wire, &app);
        drop(wire);
        assert_eq!(app.reset(), CANCEL, "{stage:?}");
    }
}

#[test]
fn a_call_that_takes_too_long_is_cancelled_at_the_app() {
    let app = Stage::Asked.app();
    let proxy = with(
        app.server.port(),
        "defaults: { timeouts: { request: 300ms } }\n",
    );
    let mut client = Client::wide(proxy.inbound());
    client.flow.request(1, "POST", "/", true);
    assert_eq!(client.over(1).unwrap().status(), 504);
    assert_eq!(app.reset(), CANCEL);
}

/// RFC 9113 section 8.1: an app that needs no more of the request says so behind its whole response.
#[test]
fn a_response_that_is_whole_before_its_request_reaches_the_client_with_no_error() {
    let app = App::start(|flow, frame| {
        if frame.kind == HEADERS {
            flow.ok(frame.stream, false);
            flow.data(frame.stream, b"done", true);
            flow.reset(frame.stream, NO_ERROR);
        }
    });
    let proxy = in_front_of(app.server.port());
    let mut client = Client::wide(proxy.inbound());
    client.flow.request(1, "POST", "/", false);
    client.flow.data(1, b"part", false);
    client
        .until(|client| client.came(1).reset.is_some())
        .unwrap();
    let came = client.came(1);
    assert_eq!(
        (came.status(), came.bytes, came.ended, came.reset),
        (200, 4, true, Some(NO_ERROR)),
        "{came:?}"
    );

    let mut wire = Wire::connect(proxy.inbound());
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\npart");
    let (head, body) = wire.answer();
    // A body that came behind its head is chunked.
    let is_chunked = header(&head, "transfer-encoding").is_some();
    let body = if is_chunked { wire.chunk() } else { body };
    assert_eq!((status(&head), &*body), (200, "done"));
}

#[test]
fn a_response_that_the_app_resets_is_reset_for_the_same_reason() {
    for code in [CANCEL, NO_ERROR, INTERNAL_ERROR] {
        let app = App::start(move |flow, frame| {
            if frame.kind == HEADERS && frame.stream == 1 {
                flow.ok(frame.stream, false);
                flow.data(frame.stream, b"part", false);
            } else if frame.kind == HEADERS {
                flow.reset(1, code);
                flow.ok(frame.stream, true);
            }
        });
        let proxy = in_front_of(app.server.port());
        let mut client = Client::wide(proxy.inbound());
        client.flow.request(1, "POST", "/", true);
        assert_eq!(client.bytes(1, 4), Ok(()));
        // The next call of the same connection has the first one reset, and is answered.
        client.flow.request(3, "POST", "/", true);
        let (first, second) = (client.over(1).unwrap(), client.over(3).unwrap());
        // Before the end of a response NO_ERROR has no meaning (RFC 9113 section 8.1), and some clients take it for the end.
        let allowed = if code == NO_ERROR {
            [NO_ERROR, INTERNAL_ERROR]
        } else {
            [code; 2]
        };
        assert!(
            !first.ended && first.reset.is_some_and(|code| allowed.contains(&code)),
            "{code}: {first:?}"
        );
        assert_eq!(
            (second.status(), second.reset),
            (200, None),
            "{code}: {second:?}"
        );
        assert_eq!(app.server.accepted(), 1, "{code}");
        let line = proxy.logged(|line| line["bytesOut"] == 4);
        assert_eq!(line["flag"], "UC", "{code}: {line}");
    }
}

/// A client of HTTP/1.1 can be notified only by the end of the connection.
#[test]
fn a_response_that_the_app_resets_does_not_look_whole_over_http_1() {
    for code in [CANCEL, NO_ERROR, INTERNAL_ERROR] {
        let app = App::start(move |flow, frame| {
            if frame.kind == HEADERS {
                flow.ok(frame.stream, false);
                flow.data(frame.stream, b"part", false);
                flow.reset(frame.stream, code);
            }
        });
        let proxy = in_front_of(app.server.port());
        let mut wire = Wire::connect(proxy.inbound());
        wire.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        assert_eq!(status(&wire.head()), 200, "{code}");
        let rest = wire.rest();
        assert!(!rest.ends_with("0\r\n\r\n"), "{code}: {rest:?}");
    }
}
