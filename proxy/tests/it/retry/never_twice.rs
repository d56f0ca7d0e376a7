//! A POST is never sent twice once a byte of it was written: its connection dies at every point there is.
//!
//! The origin counts connections on which at least a byte of the request came; what it has not read cannot change
//! anything there. A request without a key must never come on two.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Mutex,
};

use super::*;
use crate::support::{
    cast::Cast,
    frames::{DATA, END_HEADERS, END_STREAM, HEADERS, SETTINGS, frame},
    wait_for,
};

/// How a connection dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Normally.
    Close,
    /// With a reset, as of a process that was killed.
    Reset,
}

/// When a connection dies: after so many bytes of the request under test, or after so many of its answer.
#[derive(Debug, Clone, Copy)]
struct Death {
    read: usize,
    wrote: usize,
    end: End,
}

/// An origin that closes its connections at configured points, and the bytes received since then.
struct Mortal {
    port: u16,
    death: Arc<Mutex<Death>>,
    /// For each connection since then: bytes of the request under test.
    came: Arc<Mutex<Vec<usize>>>,
    _cast: Cast,
}

impl Mortal {
    /// `play` serves one connection; its arguments say when to close it and where to count.
    fn start(play: fn(&mut TcpStream, &Mutex<Death>, &mut dyn FnMut(usize))) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let death = Arc::new(Mutex::new(Death {
            read: 0,
            wrote: 0,
            end: End::Close,
        }));
        let came = Arc::<Mutex<Vec<usize>>>::default();
        let (how, counts) = (Arc::clone(&death), Arc::clone(&came));
        let cast = Cast::default();
        let stage = cast.stage();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (how, counts) = (Arc::clone(&how), Arc::clone(&counts));
                stage.spawn(move || {
                    let mut place = None;
                    play(&mut stream, &how, &mut |bytes| {
                        let mut counts = counts.lock().unwrap();
                        let at = *place.get_or_insert_with(|| {
                            counts.push(0);
                            counts.len() - 1
                        });
                        counts[at] += bytes;
                    });
                    if how.lock().unwrap().end == End::Reset {
                        let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                    }
                });
            }
        });
        Self {
            port,
            death,
            came,
            _cast: cast,
        }
    }

    /// Changes how connections are closed from now on, and restarts the counts.
    fn dies(&self, death: Death) {
        *self.death.lock().unwrap() = death;
        self.came.lock().unwrap().clear();
    }

    /// Connections on which at least a byte of the request came.
    fn times(&self) -> usize {
        self.came
            .lock()
            .unwrap()
            .iter()
            .filter(|bytes| **bytes > 0)
            .count()
    }
}

/// HTTP/1.1: GET is answered, anything else is the request under test.
fn http1(stream: &mut TcpStream, death: &Mutex<Death>, count: &mut dyn FnMut(usize)) {
    let mut seen = Vec::new();
    loop {
        let mut byte = [0];
        // The first byte distinguishes the two, so that a close before it needs no further parsing.
        let before_all = death.lock().unwrap().read == 0 && seen.is_empty();
        if before_all && stream.peek(&mut byte).is_ok_and(|read| read > 0) && byte[0] != b'G' {
            return;
        }
        if !stream.read(&mut byte).is_ok_and(|read| read > 0) {
            return;
        }
        seen.push(byte[0]);
        if seen[0] == b'G' {
            if seen.ends_with(b"\r\n\r\n") {
                let _ = stream.write_all(OK.as_bytes());
                seen.clear();
            }
            continue;
        }
        count(1);
        let Death { read, wrote, .. } = *death.lock().unwrap();
        if seen.len() == read {
            return;
        }
        if seen.ends_with(b"hi") {
            let _ = stream.write_all(&OK.as_bytes()[..wrote]);
            return;
        }
    }
}

/// HTTP/2: streams are identified by their number of frames; the first stream of a connection gets
/// a response when it ends with its head, as that of a GET does.
fn http2(stream: &mut TcpStream, death: &Mutex<Death>, count: &mut dyn FnMut(usize)) {
    let mut preface = [0; 24];
    let _ = stream.write_all(&frame(SETTINGS, 0, 0, &[]));
    let _ = stream.read_exact(&mut preface);
    let mut left_to_read = death.lock().unwrap().read;
    let mut under_test = None;
    loop {
        let mut head = [0; 9];
        if stream
            .peek(&mut head)
            .ok()
            .filter(|read| *read > 0)
            .is_none()
        {
            return;
        }
        if !whole_head(stream, &mut head) {
            return;
        }
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let number = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let is_get = kind == HEADERS && flags & END_STREAM != 0;
        if kind == HEADERS && !is_get {
            under_test = Some(number);
        }
        let tested = under_test == Some(number);
        let size = 9 + length;
        if tested && left_to_read < size {
            let mut part = vec![0; left_to_read];
            if stream.read_exact(&mut part).is_ok() {
                count(left_to_read);
            }
            return;
        }
        let mut whole = vec![0; size];
        if stream.read_exact(&mut whole).is_err() {
            return;
        }
        if tested {
            count(size);
            left_to_read -= size;
            if left_to_read == 0 {
                return;
            }
        }
        let answer = frame(HEADERS, END_HEADERS | END_STREAM, number, &[0x88]);
        match kind {
            SETTINGS if flags & 1 == 0 => drop(stream.write_all(&frame(SETTINGS, 1, 0, &[]))),
            HEADERS if is_get => drop(stream.write_all(&answer)),
            DATA if tested && flags & END_STREAM != 0 => {
                let wrote = death.lock().unwrap().wrote.min(answer.len());
                let _ = stream.write_all(&answer[..wrote]);
                return;
            }
            _ => {}
        }
    }
}

/// Waits for a whole frame head without taking it.
fn whole_head(stream: &TcpStream, head: &mut [u8; 9]) -> bool {
    loop {
        match stream.peek(head) {
            Ok(9) => return true,
            Ok(1..) => thread::sleep(Duration::from_millis(1)),
            _ => return false,
        }
    }
}

/// Routes that repeat as much as they may without repeating a POST, and one that repeats nothing it is not asked for.
const ROUTES: [&str; 3] = [
    "",
    ", timeouts: { backendRequest: 5s }",
    ", retry: { attempts: 3, codes: [500, 502, 503, 504], backoff: { base: 0s, max: 0s } }",
];

/// So that no budget hides a mistake.
const BUDGET: &str = ", retryBudget: { percent: 100, minPerSecond: 100000 }";

/// Every point at which a connection can die under a request of this many bytes and its answer.
fn deaths(request: usize, answer: usize) -> impl Iterator<Item = Death> {
    let reading = (0..=request).map(|read| (read, 0));
    let writing = (0..answer).map(|wrote| (usize::MAX, wrote));
    reading
        .chain(writing)
        .flat_map(|(read, wrote)| [End::Close, End::Reset].map(|end| Death { read, wrote, end }))
}

/// Sends a request at every death, over a fresh connection of the proxy or one that carried a GET before, and hands what
/// came of it to `check`.
fn at_every_death(
    origin: &Mortal,
    proxy: &Proxy,
    request: &str,
    (length, answer): (usize, usize),
    check: impl Fn(Death, bool, u16, usize),
) {
    let ask = |request: &str| {
        let mut wire = Wire::connect(proxy.inbound());
        wire.send(request);
        let head = wire.head();
        status(&head)
    };
    for reused in [false, true] {
        for death in deaths(length, answer) {
            origin.dies(death);
            if reused {
                assert_eq!(ask(GET), 200);
            }
            let status = ask(request);
            check(death, reused, status, origin.times());
        }
    }
}

/// The bytes that the proxy makes of a request, a few more when a number in it has two digits.
fn length_of(origin: &Mortal, proxy: &Proxy, request: &str) -> usize {
    // It closes right behind its answer, and what it has not read by then may reset the answer away.
    wait_for("an answer", || {
        origin.dies(Death {
            read: usize::MAX,
            wrote: OK.len(),
            end: End::Close,
        });
        (status(&Wire::connect(proxy.inbound()).ask(request).0) == 200).then_some(())
    });
    origin.came.lock().unwrap()[0]
}

/// docs/security.md 19.
#[test]
fn a_post_without_a_key_comes_once_over_http_1() {
    for route in ROUTES {
        let origin = Mortal::start(http1);
        let proxy = proxy(&[origin.port], BUDGET, route);
        let length = length_of(&origin, &proxy, POST);
        at_every_death(
            &origin,
            &proxy,
            POST,
            (length, OK.len()),
            |death, reused, status, times| {
                assert!(
                    times <= 1,
                    "{times} times, {death:?}, reused: {reused}, {status}, route {route:?}"
                );
            },
        );
    }
}

/// docs/security.md 19.
#[test]
fn a_post_without_a_key_comes_once_over_http_2() {
    for route in ROUTES {
        let origin = Mortal::start(http2);
        let proxy = proxy(&[origin.port], &format!("{BUDGET}, protocol: h2c"), route);
        let length = length_of(&origin, &proxy, POST);
        at_every_death(
            &origin,
            &proxy,
            POST,
            (length, 10),
            |death, reused, status, times| {
                assert!(
                    times <= 1,
                    "{times} times, {death:?}, reused: {reused}, {status}, route {route:?}"
                );
            },
        );
    }
}

/// The same origin sees that the others do go again, so that the tests above can fail.
#[test]
fn a_post_with_a_key_and_one_on_a_route_that_takes_any_come_as_often_as_it_says() {
    let retry = "attempts: 2, backoff: { base: 0s, max: 0s }";
    for (request, route) in [
        (KEYED, format!(", retry: {{ {retry} }}")),
        (POST, format!(", retry: {{ {retry}, methods: any }}")),
    ] {
        let origin = Mortal::start(http1);
        let proxy = proxy(&[origin.port], BUDGET, &route);
        let length = length_of(&origin, &proxy, request);
        at_every_death(
            &origin,
            &proxy,
            request,
            (length, 0),
            |death, reused, status, times| {
                let expected = if death.read == 0 { 0 } else { 3 };
                // Without a byte of the answer all tries end alike.
                assert_eq!(
                    (status, times),
                    (502, expected),
                    "{death:?}, reused: {reused}, route {route:?}"
                );
            },
        );
    }
}
