//! Both sides against each other in memory, without a socket. Whatever the order of events and the
//! size of the pieces: every message arrives complete, no window is exceeded, and no state is left
//! over.

use std::{
    collections::VecDeque,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::{
    Error, ErrorCode, StreamRef,
    connection::{Accepted, Settings, Shared, Side},
    incoming::{self, Arrived, Incoming},
};

const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

fn side(side: Side) -> Rc<Shared> {
    Shared::new(Settings {
        side,
        streams: 100,
        stream_window: STREAM_WINDOW,
        connection_window: CONNECTION_WINDOW,
        header_list: 16 * 1024,
    })
}

fn noop() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Two sides and the bytes between them.
struct Pair {
    client: Rc<Shared>,
    server: Rc<Shared>,
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    requests: Vec<Accepted>,
}

impl Pair {
    fn new() -> Self {
        let (client, server) = (side(Side::Client), side(Side::Server));
        let mut pair = Self {
            client,
            server,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            requests: Vec::new(),
        };
        pair.exchange(usize::MAX);
        pair
    }

    /// Moves available bytes in both directions, at most this many; returns whether any moved.
    fn step(&mut self, most: usize) -> bool {
        take_out(&self.client, &mut self.to_server);
        take_out(&self.server, &mut self.to_client);
        let up: Vec<u8> = self
            .to_server
            .drain(..most.min(self.to_server.len()))
            .collect();
        let down: Vec<u8> = self
            .to_client
            .drain(..most.min(self.to_client.len()))
            .collect();
        self.server.state().receive(&up);
        self.client.state().receive(&down);
        while let Some(request) = self.server.take_request() {
            self.requests.push(request);
        }
        !up.is_empty() || !down.is_empty()
    }

    fn exchange(&mut self, most: usize) {
        while self.step(most) {}
    }

    /// No stream is left, and all windows have their initial size.
    fn is_as_new(&self) {
        for shared in [&self.client, &self.server] {
            let state = shared.state();
            assert_eq!(state.error.as_ref().map(Error::to_string), None);
            assert!(state.open.is_empty() && state.queue.is_empty() && state.arrived.is_empty());
            assert!(state.streams.iter().all(Option::is_none));
            assert_eq!(state.free.len(), state.streams.len());
            assert_eq!(
                state.receive_window + i64::from(state.released),
                i64::from(CONNECTION_WINDOW)
            );
        }
        for (from, to) in [(&self.client, &self.server), (&self.server, &self.client)] {
            assert_eq!(from.state().send_window, to.state().receive_window);
        }
    }
}

/// The output of a side, up to the limit of its buffer.
fn take_out(shared: &Shared, to: &mut VecDeque<u8>) {
    let mut state = shared.state();
    loop {
        let mut bytes = Vec::new();
        assert!(matches!(
            state.out.poll_write(&mut noop(), &mut bytes),
            Poll::Ready(Ok(()))
        ));
        if bytes.is_empty() {
            return;
        }
        to.extend(bytes);
        state.pump();
    }
}

/// A message that is sent piece by piece.
struct Outgoing {
    stream: StreamRef,
    left: Vec<u8>,
    trailers: Option<HeaderMap>,
    done: bool,
}

impl Outgoing {
    fn new(stream: StreamRef, body: Vec<u8>, trailers: bool) -> Self {
        let trailers = trailers.then(|| HeaderMap::from_iter([(http::header::ETAG, value("end"))]));
        Self {
            stream,
            left: body,
            trailers,
            done: false,
        }
    }

    /// Sends the next piece, if the one before was accepted.
    fn step(&mut self, length: usize) {
        let key = self.stream.key;
        let mut state = self.stream.connection.state();
        if self.done || state.stream(key).sending.has_piece || state.stream(key).error.is_some() {
            return;
        }
        let length = length.min(self.left.len());
        let piece: Vec<u8> = self.left.drain(..length).collect();
        let ends = self.left.is_empty();
        if !piece.is_empty() || self.trailers.is_none() {
            state.send(key, piece.into(), ends && self.trailers.is_none());
        }
        if ends {
            self.done = true;
            if let Some(trailers) = self.trailers.take() {
                state.send_trailers(key, trailers);
            }
        }
    }
}

/// A message that is read piece by piece.
#[derive(Default)]
struct Reading {
    incoming: Option<Incoming>,
    data: Vec<u8>,
    trailers: bool,
    ended: bool,
}

impl Reading {
    fn begin(stream: StreamRef) -> Self {
        match incoming::begin(stream) {
            Arrived::Nothing => Self {
                ended: true,
                ..Self::default()
            },
            Arrived::Whole(data, trailers) => Self {
                data: data.into(),
                trailers: trailers.is_some(),
                ended: true,
                ..Self::default()
            },
            Arrived::Some(incoming) => Self {
                incoming: Some(incoming),
                ..Self::default()
            },
        }
    }

    fn step(&mut self) {
        let Some(incoming) = &mut self.incoming else {
            return;
        };
        match incoming.poll_frame(&noop()) {
            Poll::Pending => return,
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => self.data.extend_from_slice(&data),
                Err(_) => self.trailers = true,
            },
            Poll::Ready(Some(Err(error))) => panic!("{error}"),
            Poll::Ready(None) => self.ended = true,
        }
        if self.ended {
            self.incoming = None;
        }
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap()
}

fn open(client: &Rc<Shared>, path: &str, last: bool) -> Result<StreamRef, Error> {
    client.open(&Method::GET, last, |block| {
        block.request(&Method::GET, "http", b"app", path)
    })
}

fn body(random: &mut fastrand::Rng) -> Vec<u8> {
    let length = match random.u8(..4) {
        0 => 0,
        1 => random.usize(1..300),
        2 => random.usize(1..20_000),
        _ => random.usize(1..400_000),
    };
    let seed = random.u8(..);
    (0..length).map(|n| (n as u8).wrapping_add(seed)).collect()
}

/// One exchange, as the client and then the server see it.
struct Exchange {
    request: Vec<u8>,
    response: Vec<u8>,
    trailers: bool,
    stream: StreamRef,
    upload: Option<Outgoing>,
    download: Option<Reading>,
}

#[test]
fn every_message_arrives_whole_whatever_the_order_of_events() {
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut pair = Pair::new();
        let mut exchanges = Vec::new();
        for n in 0..random.usize(1..20) {
            let (request, trailers) = (body(&mut random), random.bool());
            let ends = request.is_empty() && !trailers;
            let stream = open(&pair.client, &format!("/{n}"), ends).unwrap();
            let upload = (!ends).then(|| Outgoing::new(stream.clone(), request.clone(), trailers));
            let response = body(&mut random);
            exchanges.push(Exchange {
                request,
                response,
                trailers,
                stream,
                upload,
                download: None,
            });
        }
        // The server's half: what it reads, and its responses.
        let mut served: Vec<(usize, Reading, Outgoing)> = Vec::new();
        for round in 0.. {
            assert!(round < 1_000_000, "it never ends");
            pair.step(random.usize(1..30_000));
            for Accepted { head, stream } in std::mem::take(&mut pair.requests) {
                let n: usize = head.uri.path()[1..].parse().unwrap();
                let reading = Reading::begin(stream.clone());
                stream.respond(StatusCode::OK, &HeaderMap::new(), false);
                served.push((
                    n,
                    reading,
                    Outgoing::new(stream, exchanges[n].response.clone(), false),
                ));
            }
            for (_, reading, response) in &mut served {
                if random.bool() {
                    reading.step();
                }
                if random.bool() {
                    response.step(random.usize(1..50_000));
                }
            }
            for exchange in &mut exchanges {
                if let Some(upload) = exchange.upload.as_mut().filter(|_| random.bool()) {
                    upload.step(random.usize(1..50_000));
                }
                match &mut exchange.download {
                    None => {
                        if let Poll::Ready(head) = exchange.stream.poll_response(&noop()) {
                            assert_eq!(head.unwrap().status, StatusCode::OK);
                            exchange.download = Some(Reading::begin(exchange.stream.clone()));
                        }
                    }
                    Some(download) if random.bool() => download.step(),
                    Some(_) => {}
                }
            }
            let is_read = |reading: &Reading| reading.ended;
            if served.len() == exchanges.len()
                && served.iter().all(|(_, reading, _)| is_read(reading))
                && exchanges
                    .iter()
                    .all(|one| one.download.as_ref().is_some_and(is_read))
            {
                break;
            }
        }
        for (n, reading, _) in &served {
            assert!(
                reading.data == exchanges[*n].request,
                "request {n}, seed {seed}"
            );
            assert_eq!(reading.trailers, exchanges[*n].trailers);
        }
        for (n, exchange) in exchanges.iter().enumerate() {
            let download = exchange.download.as_ref().unwrap();
            assert!(
                download.data == exchange.response,
                "response {n}, seed {seed}"
            );
        }
        drop((served, exchanges));
        pair.exchange(usize::MAX);
        pair.is_as_new();
    }
}

/// Either side may reset a stream at any moment: the other is notified, and no state is left over.
#[test]
fn streams_that_are_given_up_leave_nothing_behind() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut pair = Pair::new();
        let mut held: Vec<StreamRef> = Vec::new();
        let mut bodies: Vec<Arrived> = Vec::new();
        for _ in 0..60 {
            match random.u8(..8) {
                0 | 1 => {
                    let stream = open(&pair.client, "/", random.bool()).unwrap();
                    held.push(stream);
                }
                2 if !held.is_empty() => {
                    let stream = &held[random.usize(..held.len())];
                    let mut state = stream.connection.state();
                    let one = state.stream(stream.key);
                    let may =
                        one.sending.begun && !one.sending.is_whole() && !one.sending.has_piece;
                    if may && one.error.is_none() {
                        let piece = Bytes::from(vec![1; random.usize(1..100_000)]);
                        state.send(stream.key, piece, random.bool());
                    }
                }
                3 if !held.is_empty() => drop(held.swap_remove(random.usize(..held.len()))),
                4 if !bodies.is_empty() => drop(bodies.swap_remove(random.usize(..bodies.len()))),
                5 if !held.is_empty() => held[random.usize(..held.len())].reset(ErrorCode::CANCEL),
                _ => {
                    pair.step(random.usize(1..20_000));
                }
            }
            for Accepted { stream, .. } in std::mem::take(&mut pair.requests) {
                bodies.push(incoming::begin(stream.clone()));
                stream.respond(StatusCode::OK, &HeaderMap::new(), random.u8(..4) == 0);
                held.push(stream);
            }
        }
        drop((held, bodies));
        pair.exchange(usize::MAX);
        drop(std::mem::take(&mut pair.requests));
        pair.exchange(usize::MAX);
        pair.is_as_new();
    }
}

/// RFC 9113 section 6.9.2: a smaller initial window may make windows negative.
#[test]
fn data_waits_for_a_window_that_was_taken_back() {
    let mut pair = Pair::new();
    let stream = open(&pair.client, "/", false).unwrap();
    pair.exchange(usize::MAX);
    pair.client
        .state()
        .send(stream.key, vec![1; 1000].into(), false);
    pair.exchange(usize::MAX);
    // The server shrinks its window, as a peer may.
    let settings = |value: u32| {
        let mut bytes = Vec::new();
        super::frame::write_settings(
            &mut bytes,
            &[(super::frame::setting::INITIAL_WINDOW_SIZE, value)],
        );
        bytes
    };
    pair.client.state().receive(&settings(10));
    assert_eq!(
        pair.client.state().stream(stream.key).sending.window,
        10 - 1000
    );
    pair.client
        .state()
        .send(stream.key, vec![2; 500].into(), true);
    assert!(pair.client.state().stream(stream.key).sending.has_piece);
    pair.client.state().receive(&settings(1200));
    assert_eq!(
        pair.client.state().stream(stream.key).sending.piece.len(),
        300
    );
    pair.client.state().receive(&settings(1500));
    assert!(!pair.client.state().stream(stream.key).sending.has_piece);
    pair.exchange(usize::MAX);
    let request = pair.requests.pop().unwrap();
    let mut reading = Reading::begin(request.stream.clone());
    (0..9).for_each(|_| reading.step());
    assert_eq!((reading.data.len(), reading.ended), (1500, true));
}

/// RFC 9113 section 5.2: a busy stream does not block the others.
#[test]
fn streams_take_turns() {
    let pair = Pair::new();
    let streams: Vec<StreamRef> = (0..4)
        .map(|_| open(&pair.client, "/", false).unwrap())
        .collect();
    for stream in &streams {
        pair.client
            .state()
            .send(stream.key, vec![0; 60_000].into(), false);
    }
    let mut bytes = VecDeque::new();
    take_out(&pair.client, &mut bytes);
    let bytes = Vec::from(bytes);
    let (mut rest, mut order) = (&bytes[..], Vec::new());
    while let Some((head, behind)) = rest.split_first_chunk() {
        let head = super::frame::Head::read(head);
        if head.kind == super::frame::kind::DATA {
            order.push(head.stream);
        }
        rest = &behind[head.length..];
    }
    let last = order
        .iter()
        .rposition(|id| *id == id_of(&streams[0]))
        .unwrap();
    for other in &streams[1..] {
        assert!(order[..last].contains(&id_of(other)), "{order:?}");
    }
}

fn id_of(stream: &StreamRef) -> u32 {
    stream.connection.state().stream(stream.key).id
}

/// RFC 9113 section 6.8: a closing server still serves streams that are on the way.
#[test]
fn a_connection_ends_with_its_last_stream() {
    let mut pair = Pair::new();
    let early = open(&pair.client, "/early", true).unwrap();
    pair.exchange(usize::MAX);
    pair.server.go_away();
    // It was sent before the client could know.
    let late = open(&pair.client, "/late", true).unwrap();
    pair.exchange(usize::MAX);
    assert!(pair.client.has_ended() && open(&pair.client, "/", true).is_err());
    assert_eq!(pair.requests.len(), 2);
    assert!(!pair.server.state().is_done());
    for request in std::mem::take(&mut pair.requests) {
        request
            .stream
            .respond(StatusCode::NO_CONTENT, &HeaderMap::new(), true);
    }
    pair.exchange(usize::MAX);
    for stream in [early, late] {
        assert!(matches!(stream.poll_response(&noop()), Poll::Ready(Ok(_))));
    }
    assert!(pair.server.state().is_done() && pair.client.state().is_done());
}

/// RFC 9113 section 6.8: the client may retry what a GOAWAY excludes.
#[test]
fn what_a_goaway_leaves_out_is_told_apart() {
    let pair = Pair::new();
    let streams: Vec<StreamRef> = (0..3)
        .map(|_| open(&pair.client, "/", true).unwrap())
        .collect();
    let mut bytes = Vec::new();
    super::frame::write_go_away(&mut bytes, 3, ErrorCode::NO_ERROR);
    pair.client.state().receive(&bytes);
    assert!(streams[0].poll_response(&noop()).is_pending());
    assert!(streams[1].poll_response(&noop()).is_pending());
    let Poll::Ready(Err(error)) = streams[2].poll_response(&noop()) else {
        panic!("it waits")
    };
    assert!(error.is_unprocessed(), "{error}");
}

/// Arbitrary bytes end in an error or wait for more, on both sides, and never panic.
#[test]
fn bytes_that_mean_nothing_do_no_harm() {
    for seed in 0..2000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let pair = Pair::new();
        let _streams: Vec<StreamRef> = (0..3)
            .map(|_| open(&pair.client, "/", random.bool()).unwrap())
            .collect();
        let mut bytes = Vec::new();
        for _ in 0..random.usize(1..30) {
            let length = random.usize(..40);
            let head = super::frame::Head {
                length: if random.u8(..8) == 0 {
                    random.usize(..20_000)
                } else {
                    length
                },
                kind: random.u8(..11),
                flags: random.u8(..),
                stream: random.u32(..8),
            };
            head.write(&mut bytes);
            bytes.extend((0..length).map(|_| random.u8(..)));
        }
        for shared in [&pair.client, &pair.server] {
            bytes
                .chunks(random.usize(1..50))
                .for_each(|part| shared.state().receive(part));
            while let Some(Accepted { stream, .. }) = shared.take_request() {
                stream.respond(StatusCode::OK, &HeaderMap::new(), true);
            }
        }
    }
}

/// The invariant of the fuzz target, for valid frames and some invalid ones.
#[test]
fn frames_mean_the_same_however_they_are_cut() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let as_client = random.bool();
        let mut bytes = if as_client {
            Vec::new()
        } else {
            super::PREFACE.to_vec()
        };
        super::frame::write_settings(&mut bytes, &[]);
        for _ in 0..random.usize(1..20) {
            let mut block = Vec::new();
            match as_client {
                true => super::hpack::encoder::status(&mut block, StatusCode::OK),
                false => {
                    super::message::Block::new(&mut block).request(&Method::PUT, "http", b"a", "/")
                }
            }
            let kinds: [(u8, &[u8]); 6] = [
                (super::frame::kind::HEADERS, &block),
                (super::frame::kind::HEADERS, &[0, 1, b'x', 1, b'y']),
                (super::frame::kind::DATA, &[7; 300]),
                (super::frame::kind::DATA, &[]),
                (super::frame::kind::RST_STREAM, &[0, 0, 0, 8]),
                (super::frame::kind::WINDOW_UPDATE, &[0, 0, 1, 0]),
            ];
            let (kind, payload) = kinds[random.usize(..kinds.len())];
            let flags = if kind < 2 { random.u8(..2) | 4 } else { 0 };
            let stream = random.u32(..4) * 2 + 1;
            super::frame::Head {
                length: payload.len(),
                kind,
                flags,
                stream,
            }
            .write(&mut bytes);
            bytes.extend_from_slice(payload);
        }
        let whole = super::fuzzing::take_frames(&bytes, as_client, usize::MAX);
        for piece in [1, 5, 33] {
            assert_eq!(
                super::fuzzing::take_frames(&bytes, as_client, piece),
                whole,
                "seed {seed}"
            );
        }
    }
}
