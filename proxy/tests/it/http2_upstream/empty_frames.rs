//! Empty DATA frames: one in each message is borne, a flood of them is stopped.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{
    in_front_of,
    small_frames::{BYSTANDER, MAIN, Pace, assert_whole, takes},
    with,
};
use crate::support::{
    flow::{Client, Ended, Method, Server},
    frames::{Event, HEADERS, RST_STREAM},
};

/// An app each of whose answers has these DATA frames.
fn answers(data: &'static [&'static [u8]]) -> Server {
    Server::start(move |mut flow, _| {
        flow.settings(&[]);
        loop {
            match flow.next() {
                Event::Frame(frame) if frame.kind == HEADERS => {
                    flow.ok(frame.stream, false);
                    for (index, bytes) in data.iter().enumerate() {
                        flow.data(frame.stream, bytes, index + 1 == data.len());
                    }
                }
                Event::End => return,
                Event::Frame(_) | Event::Late => {}
            }
        }
    })
}

#[test]
fn an_empty_frame_in_every_answer_is_no_reason_to_give_up_the_connection() {
    const ANSWERS: [&[&[u8]]; 3] = [&[b"hi", b""], &[b"", b"hi"], &[b"hi", b"", b""]];
    for data in ANSWERS {
        let app = answers(data);
        let proxy = in_front_of(app.port());
        let mut client = Client::wide(proxy.inbound());
        for stream in (0..300).map(|n| 2 * n + 1) {
            client.flow.request(stream, "GET", "/", true);
            assert_whole(
                &mut client,
                stream,
                2,
                &format!("{data:?}, stream {stream}"),
            );
        }
        assert_eq!(app.accepted(), 1, "{data:?}");
    }
}

#[test]
fn an_empty_frame_in_every_upload_is_no_reason_to_give_up_the_connection() {
    let (app, bodies) = takes(Pace::Fast);
    let proxy = in_front_of(app.port());
    let mut client = Client::wide(proxy.inbound());
    for stream in (0..300).map(|n| 2 * n + 1) {
        client.flow.request(stream, "POST", "/", false);
        for (bytes, end) in [(&b""[..], false), (b"hi", false), (b"", true)] {
            client.flow.data(stream, bytes, end);
        }
        assert_whole(&mut client, stream, 0, &format!("stream {stream}"));
    }
    assert_eq!((bodies.lock().unwrap().len(), app.accepted()), (300, 1));
}

/// Empty DATA frames of a flood, and how much memory (KiB) it may cost.
const FLOOD: usize = 100_000;
const GROWTH: u64 = 32 * 1024;

#[test]
fn a_client_that_floods_with_empty_frames_is_stopped_and_others_are_served() {
    let (app, _) = takes(Pace::Fast);
    let proxy = in_front_of(app.port());
    let mut other = Client::wide(proxy.inbound());
    other.flow.request(MAIN, "GET", "/", true);
    assert_whole(&mut other, MAIN, 0, "another client, before");
    let before = proxy.rss_kib();
    let mut client = Client::wide(proxy.inbound());
    client.flow.request(MAIN, "POST", "/", false);
    let mut sent = 0;
    while sent < FLOOD && client.catch_up().is_ok() && client.came(MAIN).reset.is_none() {
        sent += client.flow.send_small(MAIN, 0, FLOOD - sent);
    }
    let stopped = match client.over(MAIN) {
        Ok(came) => came.reset.is_some() || came.status() >= 400,
        Err(ended) => ended != Ended::Silent,
    };
    assert!(stopped, "{sent} empty frames: {:?}", client.came(MAIN));
    let grown = proxy.rss_kib().saturating_sub(before);
    assert!(grown < GROWTH, "memory grew by {grown} KiB");
    other.flow.request(BYSTANDER, "GET", "/", true);
    assert_whole(&mut other, BYSTANDER, 0, "another client, afterwards");
}

#[test]
fn an_app_that_floods_with_empty_frames_is_stopped_and_others_are_served() {
    let stopped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&stopped);
    let app = Server::start(move |mut flow, _| {
        flow.settings(&[]);
        let (mut flooded, mut left) = (None, FLOOD);
        loop {
            let event = if flooded.is_some() && left > 0 {
                flow.next_now()
            } else {
                flow.next()
            };
            match event {
                Event::Frame(frame)
                    if frame.kind == HEADERS && Method::of(&frame.payload) == Method::Post =>
                {
                    flow.ok(frame.stream, false);
                    flooded = Some(frame.stream);
                }
                Event::Frame(frame) if frame.kind == HEADERS => flow.ok(frame.stream, true),
                Event::Frame(frame)
                    if frame.kind == RST_STREAM && Some(frame.stream) == flooded =>
                {
                    flooded = None;
                    count.fetch_add(1, Ordering::SeqCst);
                }
                Event::Frame(_) | Event::Late => {}
                Event::End => {
                    count.fetch_add(usize::from(flooded.is_some()), Ordering::SeqCst);
                    return;
                }
            }
            if let Some(stream) = flooded {
                left -= flow.send_small(stream, 0, left);
            }
        }
    });
    let quiet = answers(&[b"hi"]);
    let proxy = with(
        app.port(),
        &format!(
            "upstreams: {{ quiet: {{ endpoints: [{{ url: \"http://{}\" }}], protocol: h2c }} }}\nroutes:\n- name: app\n\
             - {{ name: quiet, matches: [{{ path: /quiet }}], backendRefs: [quiet] }}\n",
            quiet.address
        ),
    );
    let mut client = Client::wide(proxy.inbound());
    client.flow.request(BYSTANDER - 2, "GET", "/quiet", true);
    assert_whole(&mut client, BYSTANDER - 2, 2, "another app, before");
    let before = proxy.rss_kib();
    client.flow.request(BYSTANDER, "POST", "/", true);
    let came = client.over(BYSTANDER);
    assert!(
        matches!(&came, Ok(came) if came.reset.is_some()),
        "{came:?}"
    );
    crate::support::wait_for("the app to be stopped", || {
        (stopped.load(Ordering::SeqCst) == 1).then_some(())
    });
    let grown = proxy.rss_kib().saturating_sub(before);
    assert!(grown < GROWTH, "memory grew by {grown} KiB");
    for (stream, path, bytes) in [(5, "/quiet", 2), (7, "/", 0)] {
        client.flow.request(stream, "GET", path, true);
        assert_whole(&mut client, stream, bytes, path);
    }
    assert_eq!(quiet.accepted(), 1);
}
