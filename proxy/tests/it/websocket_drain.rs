//! A drain sends close frames to both sides of a WebSocket (RFC 6455 section 5.5.1), between two
//! frames.

use std::sync::{Arc, Mutex, mpsc};

use crate::support::{
    PATIENCE, Proxy,
    wire::{App, Wire, status},
};

/// The client's key is a mask of zeros wherever it sends frames here.
const MASK: [u8; 4] = [0; 4];

/// "Going away" to a client.
const GOODBYE: [u8; 4] = [0x88, 2, 0x03, 0xe9];

/// Both ends of one upgraded connection.
struct Pair {
    client: Wire,
    app: Wire,
}

/// A proxy in front of an app, both ends of whose connections the test plays itself.
struct Setup {
    proxy: Proxy,
    ends: mpsc::Receiver<Wire>,
    _app: App,
}

impl Setup {
    fn start(drain_timeout: &str) -> Self {
        Self::with(drain_timeout, "listeners: [{ name: in, port: 0 }]")
    }

    fn with(drain_timeout: &str, listeners: &str) -> Self {
        let (sender, ends) = mpsc::sync_channel(8);
        let sender = Mutex::new(sender);
        let app = App::start(move |wire, _| drop(sender.lock().unwrap().send(wire)));
        let proxy = Proxy::start(&format!(
            "app: {{ port: {} }}\n{listeners}\n{}",
            app.port(),
            rest(drain_timeout)
        ));
        Self {
            proxy,
            ends,
            _app: app,
        }
    }

    fn open(&self) -> Pair {
        self.open_as("/ws", "websocket")
    }

    fn open_as(&self, path: &str, protocol: &str) -> Pair {
        let mut client = Wire::connect(self.proxy.address("in"));
        client.send(format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n"
        ));
        let mut app = self.ends.recv_timeout(PATIENCE).unwrap();
        app.head();
        app.send(format!(
            "HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n"
        ));
        assert_eq!(status(&client.head()), 101);
        Pair { client, app }
    }

    fn drain(&self) {
        assert_eq!(self.proxy.admin("POST", "/drain").0, 202);
    }

    /// The flag and the reason in the line of the only WebSocket.
    fn outcome(&self, path: &str) -> (String, String) {
        let line = self.proxy.logged(|line| line["path"] == path);
        assert_eq!(line["status"], 101);
        (
            line["flag"].as_str().unwrap().to_owned(),
            line["reason"].as_str().unwrap().to_owned(),
        )
    }
}

fn rest(drain_timeout: &str) -> String {
    format!(
        "workers: 1\nlifecycle: {{ shutdownDelay: 0s, drainTimeout: {drain_timeout} }}\nreload: {{ watch: false }}\n"
    )
}

/// A frame of an app.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(payload.len()).unwrap()][..], payload].concat()
}

/// A frame of a client.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    [
        &[first, 0x80 | u8::try_from(payload.len()).unwrap()][..],
        &MASK,
        payload,
    ]
    .concat()
}

impl Pair {
    fn client_hears_goodbye(&mut self) {
        assert_eq!(self.client.bytes(4), GOODBYE);
    }

    fn app_hears_goodbye(&mut self) {
        let frame = self.app.bytes(8);
        let payload = [frame[6] ^ frame[2], frame[7] ^ frame[3]];
        assert_eq!((&frame[..2], payload), (&[0x88, 0x82][..], [0x03, 0xe9]));
    }

    /// Both answer, and hear nothing more.
    fn close(mut self) {
        self.client.send(masked(0x88, &[0x03, 0xe9]));
        self.app.send(frame(0x88, &[0x03, 0xe9]));
        assert_eq!(
            (self.client.rest(), self.app.rest()),
            (String::new(), String::new())
        );
    }
}

#[test]
fn both_sides_of_a_quiet_websocket_hear_that_the_proxy_goes_away_and_it_ends_with_their_answers() {
    let setup = Setup::start("1h");
    let mut pair = setup.open();
    pair.client.send(masked(0x81, b"hello"));
    assert_eq!(pair.app.bytes(11), masked(0x81, b"hello"));
    pair.app.send(frame(0x81, b"world"));
    assert_eq!(pair.client.bytes(7), frame(0x81, b"world"));
    setup.drain();
    pair.client_hears_goodbye();
    pair.app_hears_goodbye();
    pair.close();
    assert_eq!(setup.outcome("/ws"), (String::new(), String::new()));
    setup.proxy.wait_phase("drained");
}

#[test]
fn the_goodbye_comes_in_the_middle_of_a_fragmented_message_but_not_of_a_frame() {
    let setup = Setup::start("1h");
    let mut pair = setup.open();
    // A fragment each, and the app's next one has begun.
    pair.client.send(masked(0x01, b"first"));
    assert_eq!(pair.app.bytes(11), masked(0x01, b"first"));
    pair.app
        .send([frame(0x01, b"one"), vec![0x00, 126, 1]].concat());
    assert_eq!(
        pair.client.bytes(8),
        [frame(0x01, b"one"), vec![0x00, 126, 1]].concat()
    );
    setup.drain();
    pair.app_hears_goodbye();
    // The rest of the frame, and what must not follow the goodbye.
    let payload = [b'x'; 256 + 44];
    pair.app.send([&[44][..], &payload[..100]].concat());
    assert_eq!(
        pair.client.bytes(101),
        [&[44][..], &payload[..100]].concat()
    );
    pair.app.send(
        [
            &payload[100..],
            &frame(0x80, b"late"),
            &frame(0x81, b"later"),
        ]
        .concat(),
    );
    assert_eq!(pair.client.bytes(200), &payload[100..]);
    pair.client_hears_goodbye();
    pair.client.send(masked(0x80, b"too late"));
    pair.close();
    assert_eq!(setup.outcome("/ws"), (String::new(), String::new()));
}

#[test]
fn a_frame_of_the_client_is_whole_before_the_app_hears_the_goodbye() {
    let setup = Setup::start("1h");
    let mut pair = setup.open();
    let whole = masked(0x82, &[7; 100]);
    pair.client.send(&whole[..50]);
    assert_eq!(pair.app.bytes(50), whole[..50]);
    setup.drain();
    pair.client_hears_goodbye();
    pair.client
        .send([&whole[50..], &masked(0x82, b"late")].concat());
    assert_eq!(pair.app.bytes(56), whole[50..]);
    pair.app_hears_goodbye();
    pair.close();
    assert_eq!(setup.outcome("/ws"), (String::new(), String::new()));
}

#[test]
fn a_peer_that_closes_by_itself_hears_no_other_goodbye() {
    let setup = Setup::start("1h");
    let (mut closing, mut witness) = (setup.open_as("/closing", "websocket"), setup.open());
    let close = masked(0x88, &[0x03, 0xe8]);
    closing.client.send(&close);
    assert_eq!(closing.app.bytes(8), close);
    setup.drain();
    // The drain has reached the worker, which asks all its connections at once.
    witness.client_hears_goodbye();
    witness.app_hears_goodbye();
    witness.close();
    closing.app.send(frame(0x88, &[0x03, 0xe8]));
    assert_eq!(closing.client.bytes(4), frame(0x88, &[0x03, 0xe8]));
    drop(closing.app);
    assert_eq!(closing.client.rest(), "");
    drop(closing.client);
    assert_eq!(setup.outcome("/closing"), (String::new(), String::new()));
}

#[test]
fn peers_that_do_not_answer_are_cut_after_the_drain_timeout() {
    for (client_answers, app_answers) in [(false, false), (true, false), (false, true)] {
        let setup = Setup::start("300ms");
        let mut pair = setup.open();
        setup.drain();
        pair.client_hears_goodbye();
        pair.app_hears_goodbye();
        if client_answers {
            pair.client.send(masked(0x88, &[0x03, 0xe9]));
        }
        if app_answers {
            pair.app.send(frame(0x88, &[0x03, 0xe9]));
        }
        assert_eq!(
            (pair.client.rest(), pair.app.rest()),
            (String::new(), String::new())
        );
        assert_eq!(
            setup.outcome("/ws"),
            ("DR".to_owned(), "drain.timeout".to_owned())
        );
    }
}

#[test]
fn a_side_that_has_answered_is_closed_while_the_other_one_is_waited_for() {
    let setup = Setup::start("1h");
    let mut pair = setup.open();
    setup.drain();
    pair.client_hears_goodbye();
    pair.app_hears_goodbye();
    pair.client.send(masked(0x88, &[0x03, 0xe9]));
    assert_eq!(pair.client.rest(), "");
    pair.app
        .send([frame(0x81, b"unheard"), frame(0x88, &[0x03, 0xe9])].concat());
    assert_eq!(pair.app.rest(), "");
    assert_eq!(setup.outcome("/ws"), (String::new(), String::new()));
}

#[test]
fn another_protocol_goes_on_until_the_end_of_the_process() {
    let setup = Setup::start("1h");
    let (mut other, mut witness) = (setup.open_as("/other", "echo"), setup.open());
    setup.drain();
    witness.client_hears_goodbye();
    witness.app_hears_goodbye();
    witness.close();
    other.client.send("to the app\n");
    assert_eq!(other.app.line(), "to the app\n");
    other.app.send("to the client\n");
    assert_eq!(other.client.line(), "to the client\n");
}

#[test]
fn a_websocket_that_begins_while_draining_hears_the_goodbye_at_the_end_of_the_process() {
    let mut setup = Setup::start("1h");
    let mut first = setup.open();
    setup.drain();
    first.client_hears_goodbye();
    first.app_hears_goodbye();
    first.close();
    let mut late = setup.open_as("/late", "websocket");
    late.client.send(masked(0x81, b"hello"));
    assert_eq!(late.app.bytes(11), masked(0x81, b"hello"));
    setup.proxy.signal("TERM");
    late.client_hears_goodbye();
    late.app_hears_goodbye();
    late.close();
    assert_eq!(setup.proxy.wait_exit(PATIENCE).code(), Some(0));
    assert_eq!(setup.outcome("/late"), (String::new(), String::new()));
}

#[test]
fn a_websocket_of_a_listener_that_a_reload_removed_goes_on_and_ends_with_the_process() {
    for (drain_timeout, answers, flag) in [("1h", true, ""), ("300ms", false, "DR")] {
        let mut setup = Setup::start(drain_timeout);
        let mut pair = setup.open();
        let yaml = format!(
            "app: {{ port: {} }}\nlisteners: [{{ name: other, port: 0 }}]\n{}",
            setup._app.port(),
            rest(drain_timeout)
        );
        setup.proxy.reload_with(&yaml);
        pair.client.send(masked(0x81, b"still"));
        assert_eq!(pair.app.bytes(11), masked(0x81, b"still"));
        setup.proxy.signal("TERM");
        pair.client_hears_goodbye();
        pair.app_hears_goodbye();
        if answers {
            pair.close();
        }
        assert_eq!(setup.proxy.wait_exit(PATIENCE).code(), Some(0));
        assert_eq!(setup.outcome("/ws").0, flag);
    }
}

#[test]
fn an_outbound_listener_keeps_its_websockets_through_a_drain() {
    let mut setup = Setup::with(
        "1h",
        "listeners: [{ name: first, port: 0 }, { name: in, port: 0, direction: outbound }]\n\
         routes: [{ name: home }, { name: away, listeners: [in], backendRefs: [app] }]",
    );
    let mut pair = setup.open();
    setup.drain();
    setup.proxy.wait_phase("drained");
    pair.client.send(masked(0x81, b"still"));
    assert_eq!(pair.app.bytes(11), masked(0x81, b"still"));
    setup.proxy.signal("TERM");
    pair.client_hears_goodbye();
    pair.app_hears_goodbye();
    pair.close();
    assert_eq!(setup.proxy.wait_exit(PATIENCE).code(), Some(0));
}

/// Frames of all sizes go on until a drain, and what the app gets is what the client sent.
#[test]
fn a_stream_of_frames_is_cut_at_a_frame_and_nowhere_else() {
    let setup = Setup::start("1h");
    let Pair {
        mut client,
        mut app,
    } = setup.open();
    let received = Arc::<Mutex<Vec<u8>>>::default();
    let kept = Arc::clone(&received);
    let reader = std::thread::spawn(move || {
        // To the goodbye, which is the only close frame; the client's frames have a mask of zeros.
        loop {
            let mut head = app.bytes(2);
            let length = match head[1] & 0x7f {
                126 => {
                    let extended = app.bytes(2);
                    head.extend(&extended);
                    u16::from_be_bytes([extended[0], extended[1]]).into()
                }
                short => usize::from(short),
            };
            let body = app.bytes(4 + length);
            if head[0] == 0x88 {
                assert_eq!([body[4] ^ body[0], body[5] ^ body[1]], [0x03, 0xe9]);
                break app;
            }
            kept.lock().unwrap().extend([head, body].concat());
        }
    });
    let mut sent = Vec::new();
    for number in 0..2_000_u16 {
        let payload = vec![number as u8; usize::from(number) % 400];
        let head = match payload.len() {
            short @ 0..=125 => vec![0x82, 0x80 | short as u8],
            _ => [&[0x82, 0xfe][..], &(payload.len() as u16).to_be_bytes()].concat(),
        };
        let frame = [&head[..], &MASK, &payload].concat();
        client.send(&frame);
        sent.extend(frame);
        if number == 1_000 {
            setup.drain();
        }
    }
    assert_eq!(client.bytes(4), GOODBYE);
    client.send(masked(0x88, &[0x03, 0xe9]));
    let mut app = reader.join().unwrap();
    app.send(frame(0x88, &[0x03, 0xe9]));
    assert_eq!((client.rest(), app.rest()), (String::new(), String::new()));
    let received = received.lock().unwrap();
    assert_eq!(received[..], sent[..received.len()]);
    assert_eq!(setup.outcome("/ws"), (String::new(), String::new()));
}
