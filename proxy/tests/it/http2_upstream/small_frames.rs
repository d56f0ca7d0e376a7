//! Small DATA frames: a peer that sends many of them is held back by flow control alone, and no stream harms another.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use super::in_front_of;
use crate::support::{
    Proxy,
    flow::{Client, Ended, Flow, INITIAL_WINDOW_SIZE, Method, Server, WIDE},
    frames::{DATA, Event, HEADERS, RST_STREAM},
    origin,
    wire::{self, Wire},
};

/// Frames of one stream.
const COUNT: usize = 20_000;

/// Bytes of each.
const SIZES: [usize; 4] = [1, 15, 100, 255];

/// The stream under test, and another one of the same connection.
pub(super) const MAIN: u32 = 1;
pub(super) const BYSTANDER: u32 = 3;

/// In how many portions a slow reader takes everything, and how long it needs for each.
const PORTIONS: usize = 40;
const PAUSE: Duration = Duration::from_millis(5);

/// An app that answers each POST with `count` frames of `size` bytes, and each GET at once.
fn sends(count: usize, size: usize) -> Server {
    Server::start(move |mut flow, _| {
        flow.settings(&[]);
        let mut left: Vec<(u32, usize)> = Vec::new();
        loop {
            let can_send = left.iter().any(|(stream, _)| flow.room(*stream) >= size);
            match if can_send {
                flow.next_now()
            } else {
                flow.next()
            } {
                Event::Frame(frame)
                    if frame.kind == HEADERS && Method::of(&frame.payload) == Method::Post =>
                {
                    flow.ok(frame.stream, false);
                    left.push((frame.stream, count));
                }
                Event::Frame(frame) if frame.kind == HEADERS => flow.ok(frame.stream, true),
                Event::Frame(frame) if frame.kind == RST_STREAM => {
                    left.retain(|(stream, _)| *stream != frame.stream);
                }
                Event::Frame(_) | Event::Late => {}
                Event::End => return,
            }
            for (stream, left) in &mut left {
                *left -= flow.send_small(*stream, size, *left);
                if *left == 0 {
                    flow.data(*stream, b"", true);
                }
            }
            left.retain(|(_, left)| *left > 0);
        }
    })
}

fn ask_for_all(client: &mut Client) {
    client.flow.request(MAIN, "POST", "/", true);
}

/// Has the proxy open its connection to the app, so that what follows can share it.
fn warm_up(client: &mut Client) {
    client.flow.request(1, "GET", "/", true);
    assert_whole(client, 1, 0, "the first call");
}

fn assert_bystander_is_answered(client: &mut Client, what: &str) {
    client.flow.request(BYSTANDER, "GET", "/", true);
    let came = client
        .over(BYSTANDER)
        .unwrap_or_else(|ended| panic!("{what}: {ended:?}"));
    assert_eq!(
        (came.status(), came.reset),
        (200, None),
        "{what}: the bystander"
    );
}

pub(super) fn assert_whole(client: &mut Client, stream: u32, bytes: usize, what: &str) {
    let came = client.over(stream);
    let found = client.came(stream);
    assert!(
        came.is_ok(),
        "{what}: {came:?} after {} of {bytes} bytes",
        found.bytes
    );
    assert_eq!(
        (found.status(), found.bytes, found.reset),
        (200, bytes, None),
        "{what}"
    );
}

#[test]
fn a_response_of_small_frames_reaches_a_client_that_reads_at_once() {
    for size in SIZES {
        let (app, total, what) = (
            sends(COUNT, size),
            COUNT * size,
            format!("frames of {size} bytes"),
        );
        let proxy = in_front_of(app.port());
        let mut client = Client::wide(proxy.inbound());
        ask_for_all(&mut client);
        let half = client.bytes(MAIN, total / 2);
        assert_eq!(
            half,
            Ok(()),
            "{what}, after {} of {total} bytes",
            client.came(MAIN).bytes
        );
        assert_bystander_is_answered(&mut client, &what);
        assert_whole(&mut client, MAIN, total, &what);
        assert_eq!(app.accepted(), 1, "{what}");
    }
}

#[test]
fn a_response_of_small_frames_reaches_a_client_that_reads_slowly() {
    for size in SIZES {
        let (app, total, what) = (
            sends(COUNT, size),
            COUNT * size,
            format!("frames of {size} bytes"),
        );
        let proxy = in_front_of(app.port());
        let mut flow = Flow::connect(proxy.inbound(), &[(INITIAL_WINDOW_SIZE, 0)]);
        flow.widen(0, WIDE / 2);
        flow.gives_back = false;
        let mut client = Client::new(flow);
        ask_for_all(&mut client);
        client
            .until(|client| client.came(MAIN).status() == 200)
            .unwrap();
        // What the app may send by now waits in the proxy, or in the socket.
        thread::sleep(PAUSE * 20);
        assert_bystander_is_answered(&mut client, &what);
        for portion in 1..=PORTIONS {
            let (before, granted) = (total * (portion - 1) / PORTIONS, total * portion / PORTIONS);
            client.flow.widen(MAIN, (granted - before) as u32);
            let came = client.bytes(MAIN, granted);
            assert_eq!(
                came,
                Ok(()),
                "{what}, after {} of {total} bytes",
                client.came(MAIN).bytes
            );
            thread::sleep(PAUSE);
        }
        assert_whole(&mut client, MAIN, total, &what);
        assert_eq!(app.accepted(), 1, "{what}");
    }
}

#[test]
fn a_response_of_small_frames_reaches_a_client_of_http_1() {
    for size in SIZES {
        let app = sends(COUNT, size);
        let proxy = in_front_of(app.port());
        let mut wire = Wire::connect(proxy.inbound());
        wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(wire::status(&wire.head()), 200);
        assert_eq!(wire.chunks().len(), COUNT * size, "frames of {size} bytes");
    }
}

/// As many streams as share one connection.
#[test]
fn many_streams_of_small_frames_share_a_connection() {
    let (count, size, streams) = (300, 15, 99);
    let app = sends(count, size);
    let proxy = in_front_of(app.port());
    let mut client = Client::wide(proxy.inbound());
    warm_up(&mut client);
    let numbers = |n: u32| 2 * n + 3;
    for stream in (0..streams).map(numbers) {
        client.flow.request(stream, "POST", "/", true);
    }
    let bystander = numbers(streams);
    client.flow.request(bystander, "GET", "/", true);
    assert_whole(&mut client, bystander, 0, "the bystander");
    for stream in (0..streams).map(numbers) {
        assert_whole(
            &mut client,
            stream,
            count * size,
            &format!("stream {stream}"),
        );
    }
    assert_eq!(app.accepted(), 1);
}

/// How the app takes an upload.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// What came is given back to the windows at once.
    Fast,
    /// Windows of so many bytes, opened again a moment after they were used up.
    Slow(u32),
}

/// An app that answers a POST after its whole body, and a GET at once; and the bytes of each body that has ended.
pub(super) fn takes(pace: Pace) -> (Server, Arc<Mutex<Vec<usize>>>) {
    let bodies = Arc::<Mutex<Vec<usize>>>::default();
    let shared = Arc::clone(&bodies);
    let server = Server::start(move |mut flow, _| {
        match pace {
            Pace::Fast => flow.settings(&[]),
            Pace::Slow(window) => {
                flow.gives_back = false;
                flow.settings(&[(INITIAL_WINDOW_SIZE, window)]);
                flow.widen(0, WIDE / 2);
            }
        }
        let mut came: HashMap<u32, usize> = HashMap::new();
        loop {
            let frame = match flow.next() {
                Event::Frame(frame) => frame,
                Event::Late => continue,
                Event::End => return,
            };
            match frame.kind {
                HEADERS if frame.ends() => flow.ok(frame.stream, true),
                HEADERS => drop(came.insert(frame.stream, 0)),
                DATA => {
                    let total = came.entry(frame.stream).or_default();
                    let before = *total;
                    *total += frame.payload.len();
                    if let Pace::Slow(window) = pace {
                        let windows = |bytes: usize| bytes / window as usize;
                        if windows(*total) > windows(before) && !frame.ends() {
                            thread::sleep(PAUSE);
                            flow.widen(frame.stream, window);
                        }
                    }
                    if frame.ends() {
                        shared.lock().unwrap().push(*total);
                        flow.ok(frame.stream, true);
                    }
                }
                _ => {}
            }
        }
    });
    (server, bodies)
}

/// Uploads frames of `size` bytes on these streams at once, with a bystander in the middle.
fn upload(client: &mut Client, streams: &[u32], count: usize, size: usize) -> Result<(), Ended> {
    let mut left: Vec<(u32, usize)> = streams.iter().map(|stream| (*stream, count)).collect();
    for stream in streams {
        client.flow.request(*stream, "POST", "/sink", false);
    }
    let bystander = streams.last().unwrap() + 2;
    let mut asked = false;
    while !left.is_empty() {
        client.catch_up()?;
        let mut sent = 0;
        for (stream, left) in &mut left {
            let now = client.flow.send_small(*stream, size, *left);
            (sent, *left) = (sent + now, *left - now);
            if *left == 0 {
                client.flow.data(*stream, b"", true);
            }
        }
        left.retain(|(_, left)| *left > 0);
        if !asked && left.iter().all(|(_, left)| *left <= count / 2) {
            asked = true;
            client.flow.request(bystander, "GET", "/", true);
        }
        if sent == 0 {
            client.wait()?;
        }
    }
    let came = client.over(bystander)?;
    assert_eq!((came.status(), came.reset), (200, None), "the bystander");
    for stream in streams {
        let came = client.over(*stream)?;
        assert_eq!((came.status(), came.reset), (200, None), "stream {stream}");
    }
    Ok(())
}

#[test]
fn an_upload_of_small_frames_reaches_the_app_whether_that_is_fast_or_slow() {
    for size in SIZES {
        let total = COUNT * size;
        for pace in [Pace::Fast, Pace::Slow((total / PORTIONS) as u32)] {
            let (app, bodies) = takes(pace);
            let proxy = in_front_of(app.port());
            let mut client = Client::wide(proxy.inbound());
            let what = format!("frames of {size} bytes, {pace:?}");
            assert_eq!(upload(&mut client, &[MAIN], COUNT, size), Ok(()), "{what}");
            assert_eq!(
                (&*bodies.lock().unwrap(), app.accepted()),
                (&vec![total], 1),
                "{what}"
            );
        }
    }
}

#[test]
fn many_uploads_of_small_frames_share_a_connection() {
    let (count, size) = (300, 15);
    let (app, bodies) = takes(Pace::Fast);
    let proxy = in_front_of(app.port());
    let mut client = Client::wide(proxy.inbound());
    warm_up(&mut client);
    let streams: Vec<u32> = (0..99).map(|n| 2 * n + 3).collect();
    assert_eq!(upload(&mut client, &streams, count, size), Ok(()));
    assert_eq!(
        (&*bodies.lock().unwrap(), app.accepted()),
        (&vec![count * size; 99], 1)
    );
}

#[test]
fn an_upload_of_small_frames_reaches_an_app_of_http_1() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    for size in SIZES {
        let mut client = Client::wide(proxy.inbound());
        assert_eq!(
            upload(&mut client, &[MAIN], COUNT, size),
            Ok(()),
            "frames of {size} bytes"
        );
    }
}

/// The proxy holds what it may, and the client waits for its window.
#[test]
fn an_upload_of_small_frames_waits_for_an_app_of_http_1_that_does_not_read_yet() {
    let (count, size) = (COUNT, 15);
    let (go, wait) = mpsc::sync_channel(1);
    let wait = Mutex::new(wait);
    let app = wire::App::start(move |mut wire, _| {
        let head = wire.head();
        if head.starts_with("POST") {
            wait.lock().unwrap().recv().unwrap();
            assert_eq!(wire.chunks().len(), count * size);
        }
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    });
    let proxy = Proxy::in_front_of_port(app.port());
    let mut client = Client::wide(proxy.inbound());
    client.flow.request(MAIN, "POST", "/", false);
    let mut left = count;
    while left > 0 {
        client.catch_up().unwrap();
        let sent = client.flow.send_small(MAIN, size, left);
        left -= sent;
        if sent == 0 {
            break;
        }
    }
    client.flow.request(BYSTANDER, "GET", "/", true);
    assert_whole(&mut client, BYSTANDER, 2, "the bystander");
    go.send(()).unwrap();
    while left > 0 {
        client.catch_up().unwrap();
        let sent = client.flow.send_small(MAIN, size, left);
        left -= sent;
        if sent == 0 {
            client.wait().unwrap();
        }
    }
    client.flow.data(MAIN, b"", true);
    assert_whole(&mut client, MAIN, 2, "the upload");
}
