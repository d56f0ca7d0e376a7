//! The rules of HTTP/2 itself (RFC 9113 sections 3 to 8, RFC 7541), one case for each: what must end the connection, what must
//! reset one stream, and what must be borne. Whatever a client does, the origin sees whole good requests or nothing.

use super::*;
use crate::support::frames::{
    COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR, GOAWAY, HEADERS, PADDED, PING, PRIORITIZED, PRIORITY, PROTOCOL_ERROR,
    PUSH_PROMISE, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, block, frame, number,
};

const GET: [Field<'static>; 4] = [
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":authority", b"a"),
    (b":path", b"/"),
];
const POST: [Field<'static>; 4] = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":authority", b"a"),
    (b":path", b"/"),
];

/// An undefined flag or frame type.
const UNKNOWN_FLAGS: u8 = 0xd2;
const UNKNOWN_KIND: u8 = 0x16;

/// The longest frame that we let a client send.
const LONGEST: usize = 16 * 1024;

/// The errors that RFC 9113 and RFC 7541 ask for.
const SIZE: &[u32] = &[FRAME_SIZE_ERROR];
const COMPRESSION: &[u32] = &[COMPRESSION_ERROR];
const FLOW: &[u32] = &[FLOW_CONTROL_ERROR];

/// Settings of RFC 9113 section 6.5.2.
const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;

/// What a case must lead to.
enum Must {
    /// GOAWAY with one of these errors.
    End(&'static [u32]),
    /// The stream or the whole connection ends with one of these errors.
    Reset(&'static [u32]),
    /// Stream 1 is answered with 200.
    Serve,
}
use Must::{End, Reset, Serve};

impl Must {
    fn holds(&self, outcome: Outcome) -> bool {
        match (self, outcome) {
            (Serve, Outcome::Status(200)) => true,
            (End(codes), Outcome::GoAway(code)) => codes.contains(&code),
            (Reset(codes), Outcome::GoAway(code) | Outcome::Reset(code)) => codes.contains(&code),
            _ => false,
        }
    }
}

type Case = (&'static str, Must, Box<dyn Fn(&mut Frames)>);

fn case(name: &'static str, must: Must, send: impl Fn(&mut Frames) + 'static) -> Case {
    (name, must, Box::new(send))
}

impl Bench {
    fn obeys(&self, cases: Vec<Case>) {
        let mut report = Report::default();
        for (name, must, send) in cases {
            let mut client = Frames::connect(self.proxy.address("in-0"));
            send(&mut client);
            let outcome = client.outcome(1);
            let result = if must.holds(outcome) {
                Ok(())
            } else {
                Err(format!("ended with {outcome:?}"))
            };
            report.case(4, name, result);
        }
        // Other clients are not affected, and no partial or joined message was forwarded.
        report.case(
            4,
            "another client",
            match self.http2(&GET, None) {
                Outcome::Status(200) => Ok(()),
                other => Err(format!("ended with {other:?}")),
            },
        );
        report.finish();
        for message in self.origin.messages() {
            unambiguous(&message).unwrap();
            assert!(
                matches!(&*message.line, "GET / HTTP/1.1" | "POST / HTTP/1.1"),
                "{message:?}"
            );
            assert!(message.trailers.is_empty(), "{message:?}");
        }
        assert_eq!(self.proxy.metric("outrigger_panics_total"), 0.0);
    }
}

fn get(client: &mut Frames) {
    client.headers(1, &GET, true);
}

/// A request whose body is still to come.
fn post(client: &mut Frames) {
    client.headers(1, &POST, false);
}

/// Several frames in one write, so that they are parsed before a response can be sent.
fn at_once(client: &mut Frames, frames: &[Vec<u8>]) {
    client.send(&frames.concat());
}

fn whole_get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&GET))
}

fn setting(client: &mut Frames, name: u16, value: u32) {
    client.frame(
        SETTINGS,
        0,
        0,
        &[&name.to_be_bytes()[..], &value.to_be_bytes()].concat(),
    );
}

fn window(client: &mut Frames, stream: u32, more: u32) {
    client.frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
}

/// RFC 9113 section 4: frames, their sizes, and header blocks.
#[test]
fn frames_and_header_blocks() {
    Bench::new().obeys(vec![
        case(
            "4.1: an unknown kind of frame is nothing",
            Serve,
            |client| {
                client.frame(UNKNOWN_KIND, 0xff, 0, &[1; 30]);
                client.frame(UNKNOWN_KIND, 0xff, 1, &[1; 30]);
                get(client);
            },
        ),
        case("4.1: unknown flags are nothing", Serve, |client| {
            client.frame(PING, UNKNOWN_FLAGS & !1, 0, &[1; 8]);
            get(client);
        }),
        case("4.1: the reserved bit is nothing", Serve, |client| {
            client.frame(PING, 0, 1 << 31, &[1; 8]);
            client.frame(HEADERS, END_HEADERS | END_STREAM, 1 | 1 << 31, &block(&GET));
        }),
        case("4.2: a frame of the longest size", Serve, |client| {
            post(client);
            client.data(1, &[b'x'; LONGEST], true);
        }),
        case("4.2: DATA that is longer", Reset(SIZE), |client| {
            post(client);
            client.data(1, &[b'x'; LONGEST + 1], true);
        }),
        case("4.2: HEADERS that are longer", End(SIZE), |client| {
            client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0; LONGEST + 1]);
        }),
        case(
            "4.3: a header block that is none",
            End(COMPRESSION),
            |client| {
                client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x40]);
            },
        ),
        case(
            "4.3: PRIORITY between the parts of a block",
            End(&[PROTOCOL_ERROR]),
            |client| {
                client.frame(HEADERS, END_STREAM, 1, &block(&GET));
                client.frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 15]);
                client.frame(CONTINUATION, END_HEADERS, 1, &[]);
            },
        ),
        case(
            "4.3: HEADERS of another stream there",
            End(&[PROTOCOL_ERROR]),
            |client| {
                client.frame(HEADERS, END_STREAM, 1, &block(&GET));
                client.frame(HEADERS, END_STREAM | END_HEADERS, 3, &block(&GET));
            },
        ),
        case(
            "5.5: a frame of unknown kind there",
            End(&[PROTOCOL_ERROR]),
            |client| {
                client.frame(HEADERS, END_STREAM, 1, &block(&GET));
                client.frame(UNKNOWN_KIND, 0, 1, &[]);
                client.frame(CONTINUATION, END_HEADERS, 1, &[]);
            },
        ),
        case("6.10: a block in many parts", Serve, |client| {
            let block = block(&GET);
            client.frame(HEADERS, END_STREAM, 1, &block[..7]);
            client.frame(CONTINUATION, 0, 1, &block[7..20]);
            client.frame(CONTINUATION, 0, 1, &[]);
            client.frame(CONTINUATION, END_HEADERS, 1, &block[20..]);
        }),
        case(
            "6.10: CONTINUATION behind a whole block",
            End(&[PROTOCOL_ERROR]),
            |client| {
                at_once(
                    client,
                    &[
                        whole_get(1),
                        frame(CONTINUATION, END_HEADERS, 1, &block(&[(b"x-a", b"1")])),
                    ],
                );
            },
        ),
        case(
            "6.10: CONTINUATION behind DATA",
            End(&[PROTOCOL_ERROR]),
            |client| {
                post(client);
                client.data(1, b"x", false);
                client.frame(CONTINUATION, END_HEADERS, 1, &block(&[(b"x-a", b"1")]));
            },
        ),
        case(
            "6.10: CONTINUATION on stream 0",
            End(&[PROTOCOL_ERROR]),
            |client| {
                client.frame(HEADERS, END_STREAM, 1, &block(&GET));
                client.frame(CONTINUATION, END_HEADERS, 0, &[]);
            },
        ),
        case("RFC 7541, 6.1: the index 0", End(COMPRESSION), |client| {
            client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x80]);
        }),
        case(
            "RFC 7541, 6.3: a table beyond what we allow",
            End(COMPRESSION),
            |client| {
                // 2^20: five bits of ones, and the rest.
                let block = [&[0x3f, 0xe1, 0xff, 0x3f][..], &block(&GET)].concat();
                client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
            },
        ),
        case(
            "RFC 7541, 4.2: a change of the table behind a field",
            End(COMPRESSION),
            |client| {
                let block = [&block(&GET)[..], &[0x20]].concat();
                client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
            },
        ),
        case(
            "RFC 7541, 5.2: padding that is not of ones",
            End(COMPRESSION),
            |client| {
                // A name whose one Huffman-coded letter leaves zeros behind.
                client.frame(
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    1,
                    &[0, 0x81, 0b0001_1000, 1, b'x'],
                );
            },
        ),
        case(
            "RFC 7541, 5.2: the end-of-string symbol",
            End(COMPRESSION),
            |client| {
                client.frame(
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    1,
                    &[0, 0x84, 0xff, 0xff, 0xff, 0xff, 1, b'x'],
                );
            },
        ),
    ]);
}

/// RFC 9113 section 5: what a stream takes in which state, and who may open which.
#[test]
fn streams_and_their_states() {
    Bench::new().obeys(vec![
        case(
            "5.1: DATA on an idle stream",
            End(&[PROTOCOL_ERROR]),
            |client| client.data(1, b"x", true),
        ),
        case(
            "5.1: RST_STREAM on an idle stream",
            End(&[PROTOCOL_ERROR]),
            |client| {
                client.frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
            },
        ),
        case(
            "5.1: WINDOW_UPDATE on an idle stream",
            End(&[PROTOCOL_ERROR]),
            |client| window(client, 1, 100),
        ),
        case(
            "5.1: CONTINUATION on an idle stream",
            End(&[PROTOCOL_ERROR]),
            |client| {
                client.frame(CONTINUATION, END_HEADERS, 1, &block(&GET));
            },
        ),
        case(
            "5.1: PRIORITY on an idle stream is nothing",
            Serve,
            |client| {
                client.frame(PRIORITY, 0, 9, &[0, 0, 0, 7, 15]);
                get(client);
            },
        ),
        case(
            "5.1: DATA behind the end of a request",
            Reset(&[STREAM_CLOSED, PROTOCOL_ERROR]),
            |client| {
                at_once(client, &[whole_get(1), frame(DATA, END_STREAM, 1, b"x")]);
            },
        ),
        case(
            "5.1: HEADERS behind the end of a request",
            Reset(&[STREAM_CLOSED, PROTOCOL_ERROR]),
            |client| {
                at_once(client, &[whole_get(1), whole_get(1)]);
            },
        ),
        case(
            "5.1: WINDOW_UPDATE behind the end of a request",
            Serve,
            |client| {
                let update = frame(WINDOW_UPDATE, 0, 1, &100_u32.to_be_bytes());
                at_once(client, &[whole_get(1), update]);
            },
        ),
        case(
            "5.1: HEADERS on a stream that was reset",
            End(&[STREAM_CLOSED, PROTOCOL_ERROR]),
            |client| {
                post(client);
                client.frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
                client.headers(1, &POST, true);
            },
        ),
        case("5.1.1: an even stream", End(&[PROTOCOL_ERROR]), |client| {
            client.headers(2, &GET, true)
        }),
        case(
            "5.1.1: a stream below one that was opened",
            End(&[PROTOCOL_ERROR, STREAM_CLOSED]),
            |client| {
                at_once(client, &[whole_get(5), whole_get(3)]);
            },
        ),
        case("5.1.1: streams with gaps", Serve, |client| {
            get(client);
            client.headers(99, &GET, true);
        }),
        case(
            "6.6: a push from a client",
            End(&[PROTOCOL_ERROR]),
            |client| {
                let promise = [&2_u32.to_be_bytes()[..], &block(&GET)].concat();
                client.frame(PUSH_PROMISE, END_HEADERS, 1, &promise);
            },
        ),
        case(
            "8.1: a second head that ends nothing",
            Reset(&[PROTOCOL_ERROR]),
            |client| {
                post(client);
                client.headers(1, &POST, false);
            },
        ),
        case(
            "8.1: trailers with a pseudo-header field",
            Reset(&[PROTOCOL_ERROR]),
            |client| {
                post(client);
                client.headers(1, &[(b":path", b"/other")], true);
            },
        ),
        case(
            "8.1: DATA behind trailers",
            Reset(&[STREAM_CLOSED, PROTOCOL_ERROR]),
            |client| {
                let trailers = frame(
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    1,
                    &block(&[(b"x-sum", b"1")]),
                );
                let head = frame(HEADERS, END_HEADERS, 1, &block(&POST));
                at_once(client, &[head, trailers, frame(DATA, END_STREAM, 1, b"x")]);
            },
        ),
    ]);
}

/// RFC 9113 section 6: every kind of frame, with what it must not have.
#[test]
fn each_kind_of_frame() {
    let mut cases = vec![
        case(
            "6.1: padding that is longer than DATA",
            End(&[PROTOCOL_ERROR]),
            |client| {
                post(client);
                client.frame(DATA, PADDED | END_STREAM, 1, &[6, b'x', 0, 0]);
            },
        ),
        case("6.1: DATA with padding", Serve, |client| {
            post(client);
            client.frame(DATA, PADDED | END_STREAM, 1, &[3, b'x', 0, 0, 0]);
        }),
        case(
            "6.2: padding that is longer than HEADERS",
            End(&[PROTOCOL_ERROR]),
            |client| {
                let block = [&[200][..], &block(&GET)].concat();
                client.frame(HEADERS, PADDED | END_HEADERS | END_STREAM, 1, &block);
            },
        ),
        case(
            "6.2: HEADERS with padding and a priority",
            Serve,
            |client| {
                let block = [&[2][..], &[0, 0, 0, 0, 15], &block(&GET), &[0; 2]].concat();
                client.frame(
                    HEADERS,
                    PADDED | PRIORITIZED | END_HEADERS | END_STREAM,
                    1,
                    &block,
                );
            },
        ),
        case(
            "6.2: HEADERS too short for their priority",
            End(SIZE),
            |client| {
                client.frame(HEADERS, PRIORITIZED | END_HEADERS | END_STREAM, 1, &[0; 3]);
            },
        ),
        case(
            "6.3: PRIORITY on stream 0",
            End(&[PROTOCOL_ERROR]),
            |client| {
                client.frame(PRIORITY, 0, 0, &[0, 0, 0, 1, 15]);
            },
        ),
        case("6.3: PRIORITY of four bytes", Reset(SIZE), |client| {
            post(client);
            client.frame(PRIORITY, 0, 1, &[0; 4]);
        }),
        case(
            "6.4: RST_STREAM on stream 0",
            End(&[PROTOCOL_ERROR]),
            |client| client.frame(RST_STREAM, 0, 0, &[0; 4]),
        ),
        case("6.4: RST_STREAM of three bytes", End(SIZE), |client| {
            post(client);
            client.frame(RST_STREAM, 0, 1, &[0; 3]);
        }),
        case(
            "6.5: SETTINGS on a stream",
            End(&[PROTOCOL_ERROR]),
            |client| client.frame(SETTINGS, 0, 1, &[]),
        ),
        case(
            "6.5: an acknowledgement that says something",
            End(SIZE),
            |client| {
                client.frame(SETTINGS, 1, 0, &[0, 3, 0, 0, 0, 9]);
            },
        ),
        case("6.5: SETTINGS of seven bytes", End(SIZE), |client| {
            client.frame(SETTINGS, 0, 0, &[0; 7])
        }),
        case("6.5.2: an unknown setting", Serve, |client| {
            setting(client, 0xf0f0, 7);
            get(client);
        }),
        case("6.7: PING on a stream", End(&[PROTOCOL_ERROR]), |client| {
            client.frame(PING, 0, 1, &[0; 8])
        }),
        case("6.7: PING of nine bytes", End(SIZE), |client| {
            client.frame(PING, 0, 0, &[0; 9])
        }),
        case("6.7: an answer to no PING is nothing", Serve, |client| {
            client.frame(PING, 1, 0, &[7; 8]);
            get(client);
        }),
        case(
            "6.8: GOAWAY on a stream",
            End(&[PROTOCOL_ERROR]),
            |client| client.frame(GOAWAY, 0, 1, &[0; 8]),
        ),
        case(
            "6.8: a client that says goodbye still gets its answer",
            Serve,
            |client| {
                get(client);
                client.frame(GOAWAY, 0, 0, &[0; 8]);
            },
        ),
        case("6.9: WINDOW_UPDATE of three bytes", End(SIZE), |client| {
            client.frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1]);
        }),
        case(
            "6.9: a connection's window of nothing more",
            End(&[PROTOCOL_ERROR]),
            |client| window(client, 0, 0),
        ),
        case(
            "6.9: a stream's window of nothing more",
            Reset(&[PROTOCOL_ERROR]),
            |client| {
                post(client);
                window(client, 1, 0);
            },
        ),
        case(
            "6.9.1: a connection's window beyond 2^31 - 1",
            End(&[FLOW_CONTROL_ERROR]),
            |client| {
                window(client, 0, i32::MAX as u32);
            },
        ),
        case(
            "6.9.1: a stream's window beyond 2^31 - 1",
            Reset(&[FLOW_CONTROL_ERROR]),
            |client| {
                post(client);
                window(client, 1, i32::MAX as u32);
            },
        ),
    ];
    for (name, key, value, code) in [
        (
            "6.5.2: ENABLE_PUSH of two",
            ENABLE_PUSH,
            2,
            &[PROTOCOL_ERROR][..],
        ),
        (
            "6.5.2: a window beyond 2^31 - 1",
            INITIAL_WINDOW_SIZE,
            1 << 31,
            FLOW,
        ),
        (
            "6.5.2: frames under 16 KiB",
            MAX_FRAME_SIZE,
            16 * 1024 - 1,
            &[PROTOCOL_ERROR],
        ),
        (
            "6.5.2: frames of 16 MiB",
            MAX_FRAME_SIZE,
            1 << 24,
            &[PROTOCOL_ERROR],
        ),
    ] {
        cases.push(case(name, End(code), move |client| {
            setting(client, key, value)
        }));
    }
    Bench::new().obeys(cases);
}

/// RFC 9113 section 3.4: what does not begin as it must is no HTTP/2.
#[test]
fn an_invalid_preface_is_not_served() {
    let bench = Bench::new();
    for text in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"[..],
        b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = bench.connect();
        stream
            .write_all(&[text, &frame(SETTINGS, 0, 0, &[]), &whole_get(1)].concat())
            .unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = read_to_end(&mut stream);
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "),
            "{:?} got {:?}",
            String::from_utf8_lossy(text),
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(bench.origin.total_bytes(), 0);
}

/// RFC 9113 sections 6.5.3, 6.7 and 6.9: what we owe a client.
#[test]
fn settings_pings_and_windows_are_answered() {
    let bench = Bench::new();
    let mut client = Frames::connect(bench.proxy.address("in-0"));
    setting(&mut client, INITIAL_WINDOW_SIZE, 0);
    client.frame(PING, 0, 0, b"eight by");
    client.headers(1, &GET, true);
    let (mut acknowledged, mut ponged, mut answered) = (0, false, false);
    while !(acknowledged == 2 && ponged && answered) {
        let (kind, flags, stream, payload) = client.next().expect("no end");
        match kind {
            SETTINGS if flags == 1 => acknowledged += 1,
            PING => {
                assert_eq!((flags, &payload[..]), (1, &b"eight by"[..]));
                ponged = true;
            }
            HEADERS => {
                assert_eq!((stream, flags & END_STREAM), (1, 0));
                answered = true;
            }
            DATA => panic!("DATA without a window: {payload:?}"),
            GOAWAY => panic!("GOAWAY {}", number(&payload[4..])),
            _ => {}
        }
    }
    // The window opens byte by byte, once below zero on the way.
    let mut body = Vec::new();
    window(&mut client, 1, 1);
    while body.len() < 2 {
        let (kind, _, _, payload) = client.next().expect("no end");
        if kind == DATA {
            assert!(payload.len() <= 1, "more than the window: {payload:?}");
            body.extend_from_slice(&payload);
            window(&mut client, 1, 1);
        }
    }
    assert_eq!(body, b"ok");
}
