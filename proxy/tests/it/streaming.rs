//! Bodies that never end, or are larger than memory: they stream, and the slower side sets the pace.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::support::{
    PATIENCE, Proxy, origin, wait_for,
    wire::{App, Wire, status},
};

/// What the proxy may have resident while bodies pass.
const MOST_KIB: u64 = 40 * 1024;

/// `OUTRIGGER_TEST_GIB=1 cargo test --release -p outrigger --test it streaming` moves 1 GiB each way.
fn large() -> u64 {
    if std::env::var_os("OUTRIGGER_TEST_GIB").is_some() { 1 << 30 } else { 256 << 20 }
}

#[test]
fn each_event_reaches_the_client_before_the_next_is_made() {
    let (seen, told) = std::sync::mpsc::sync_channel(0);
    let told = std::sync::Mutex::new(told);
    let app = App::start(move |mut wire, _| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
        for number in 0..5 {
            wire.send(format!("9\r\ndata: {number}\n\n\r\n"));
            told.lock().unwrap().recv().unwrap();
        }
        wire.send("0\r\n\r\n");
    });
    let proxy = Proxy::in_front_of_port(app.port());
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("GET /events HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(status(&wire.head()), 200);
    for number in 0..5 {
        assert_eq!(wire.chunk(), format!("data: {number}\n\n"));
        seen.send(()).unwrap();
    }
    assert_eq!(wire.chunk(), "");
}

#[test]
fn events_of_a_living_stream_are_not_held_back() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let mut wire = Wire::connect(proxy.inbound());
    let begun = tokio::time::Instant::now();
    wire.send("GET /sse/3/400 HTTP/1.1\r\nhost: a\r\n\r\n");
    wire.head();
    let mut times = Vec::new();
    for number in 0..3 {
        assert_eq!(wire.chunk(), format!("id: {number}\ndata: event {number}\n\n"));
        times.push(begun.elapsed());
    }
    assert!(times[2] - times[0] > Duration::from_millis(400), "they came together: {times:?}");
}

#[test]
fn a_client_that_reads_nothing_holds_the_app_back() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let before = proxy.rss_kib();
    let mut stalled = Vec::new();
    for _ in 0..4 {
        let mut wire = Wire::connect(proxy.inbound());
        wire.send("GET /bytes/1073741824 HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(status(&wire.head()), 200);
        stalled.push(wire);
    }
    thread::sleep(Duration::from_millis(500)); // time in which a proxy without back-pressure would fill up
    let after = proxy.rss_kib();
    assert!(after < before + 8 * 1024, "{before} KiB became {after} KiB");
    // And it goes on when the client does.
    for wire in &mut stalled {
        wire.exactly(20_000_000);
    }
}

#[test]
fn a_gigabyte_down_fits_in_little_memory() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let length = large();
    let (most, took) = with_rss(&proxy, || {
        let mut stream = TcpStream::connect(proxy.inbound()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /bytes/{length} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut buffer = vec![0; 256 * 1024];
        let mut total = 0;
        while let read @ 1.. = stream.read(&mut buffer).unwrap() {
            total += read as u64;
        }
        assert!(total > length, "{total} bytes of {length}");
    });
    eprintln!("{} MiB down in {took:?}, at most {most} KiB resident", length >> 20);
    assert!(most < MOST_KIB, "{most} KiB");
    assert_eq!(proxy.logged(|line| line["status"] == 200)["bytesOut"], length);
}

#[test]
fn a_gigabyte_up_fits_in_little_memory() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let length = large();
    let (most, took) = with_rss(&proxy, || {
        let mut wire = Wire::connect(proxy.inbound());
        wire.send(format!("POST /sink HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"));
        let piece = vec![7; 256 * 1024];
        (0..length / piece.len() as u64).for_each(|_| wire.send(&piece));
        let (head, body) = wire.answer();
        assert_eq!(status(&head), 200);
        assert!(body.contains(&format!("\"bytes\":{length}")), "{body}");
    });
    eprintln!("{} MiB up in {took:?}, at most {most} KiB resident", length >> 20);
    assert!(most < MOST_KIB, "{most} KiB");
    assert_eq!(proxy.logged(|line| line["status"] == 200)["bytesIn"], length);
}

/// The most that was resident while `work` ran, and how long it took.
fn with_rss(proxy: &Proxy, work: impl FnOnce()) -> (u64, Duration) {
    let (done, begun) = (AtomicBool::new(false), tokio::time::Instant::now());
    let most = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(proxy.rss_kib());
                thread::sleep(Duration::from_millis(20));
            }
            most
        });
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::Relaxed);
        worked.unwrap();
        watch.join().unwrap()
    });
    (most, begun.elapsed())
}

#[test]
fn an_app_that_breaks_off_cuts_the_body_and_is_blamed() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("GET /abort/5000 HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(status(&wire.head()), 200);
    assert_ne!(wire.rest(), "", "what came is passed on");
    let line = proxy.logged(|line| line["path"] == "/abort/5000");
    assert_eq!(
        (&line["status"], &line["flag"], &line["reason"]),
        (&200.into(), &"UC".into(), &"upstream.closed".into())
    );
}

#[test]
fn a_chunked_body_that_breaks_off_does_not_look_complete() {
    let app = App::start(|mut wire, _| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
    });
    let proxy = Proxy::in_front_of_port(app.port());
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    wire.head();
    let rest = wire.rest();
    assert!(!rest.ends_with("0\r\n\r\n"), "{rest:?}");
    assert_eq!(proxy.logged(|line| line["status"] == 200)["flag"], "UC");
}

#[test]
fn a_stalled_answer_is_cut_after_stream_idle() {
    let origin = origin();
    let proxy = Proxy::start(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\ndefaults: {{ timeouts: {{ streamIdle: 300ms }} }}\n",
        origin.address().port()
    ));
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("GET /drip/2/60000 HTTP/1.1\r\nhost: a\r\n\r\n");
    wire.head();
    assert_eq!(wire.chunk(), "drip 0\n");
    assert_eq!(wire.rest(), "", "cut, without the last chunk");
    let line = proxy.logged(|line| line["path"] == "/drip/2/60000");
    assert_eq!((&line["flag"], &line["reason"]), (&"UT".into(), &"timeout.stream_idle".into()));
    wait_for("the app to be let go", || (origin.stats().open_connections == 0).then_some(()));
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("GET /drip/6/100 HTTP/1.1\r\nhost: a\r\n\r\n");
    wire.head();
    assert!(wire.chunks().ends_with("drip 5\n"), "a slow stream that moves is not cut");
}
