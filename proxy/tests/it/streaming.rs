//! Bodies that never end, or are larger than memory: they stream, and the slower side sets the pace.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use http_body_util::BodyExt;
use outrigger_loadtest::content::Content;

use crate::support::{
    PATIENCE, Proxy,
    client::{Answer, H2, full, patient, request},
    origin, wait_for,
    wire::{App, Wire, header, status},
};

/// What memory may grow by while a body of [`LARGE`] passes, in KiB.
const GROWTH: u64 = 24 * 1024;

const LARGE: u64 = 256 << 20;

/// The same over HTTP/2, where a debug build moves some 50 MB/s.
const LARGE_HTTP2: u64 = 128 << 20;

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
fn a_client_that_reads_nothing_holds_the_app_back() {
    let origin = origin();
    let proxy = Proxy::start(&format!(
        "workers: 1\napp: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\n",
        origin.address().port()
    ));
    let before = proxy.rss_kib();
    let mut stalled = Vec::new();
    for _ in 0..4 {
        let mut wire = Wire::connect(proxy.inbound());
        wire.send("GET /bytes/1073741824 HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(status(&wire.head()), 200);
        stalled.push(wire);
    }
    // Without back-pressure each of them would get about as much meanwhile as one that reads.
    let mut control = Wire::connect(proxy.inbound());
    assert_eq!(
        control
            .ask("GET /bytes/100000000 HTTP/1.1\r\nhost: a\r\n\r\n")
            .0[9..12],
        *"200"
    );
    let after = proxy.rss_kib();
    assert!(after < before + 8 * 1024, "{before} KiB became {after} KiB");
    // And it goes on when the client does.
    for wire in &mut stalled {
        wire.exactly(20_000_000);
    }
}

#[test]
fn a_large_body_down_fits_in_little_memory() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let length = LARGE;
    grows_little(&proxy, || {
        let mut stream = TcpStream::connect(proxy.inbound()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET /bytes/{length} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut buffer = vec![0; 256 * 1024];
        let mut total = 0;
        while let read @ 1.. = stream.read(&mut buffer).unwrap() {
            total += read as u64;
        }
        assert!(total > length, "{total} bytes of {length}");
    });
    assert_eq!(
        proxy.logged(|line| line["status"] == 200)["bytesOut"],
        length
    );
}

#[test]
fn a_large_body_up_fits_in_little_memory() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let length = LARGE;
    grows_little(&proxy, || {
        let mut wire = Wire::connect(proxy.inbound());
        wire.send(format!(
            "POST /sink HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"
        ));
        let piece = vec![7; 256 * 1024];
        (0..length / piece.len() as u64).for_each(|_| wire.send(&piece));
        let (head, body) = wire.answer();
        assert_eq!(status(&head), 200);
        assert!(body.contains(&format!("\"bytes\":{length}")), "{body}");
    });
    assert_eq!(
        proxy.logged(|line| line["status"] == 200)["bytesIn"],
        length
    );
}

#[test]
fn large_bodies_over_http_2_fit_in_little_memory() {
    let origin = origin();
    for protocol in ["http1", "h2c"] {
        let proxy = Proxy::start(&format!(
            "app: {{ port: {}, protocol: {protocol} }}\nlisteners: [{{ port: 0 }}]\n",
            origin.address().port()
        ));
        grows_little(&proxy, || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut client = H2::connect(proxy.inbound()).await;
                let get = request("GET", &format!("/bytes/{LARGE_HTTP2}"))
                    .body(full(""))
                    .unwrap();
                let mut body = client.send(get).await.into_body();
                let mut total = 0;
                while let Some(frame) = patient(body.frame()).await {
                    total += frame
                        .unwrap()
                        .into_data()
                        .map_or(0, |data| data.len() as u64);
                }
                assert_eq!(total, LARGE_HTTP2);
                let sent = Content::new(LARGE_HTTP2)
                    .map_err(|never| match never {})
                    .boxed_unsync();
                let post = request("POST", "/sink").body(sent).unwrap();
                let answer = client.send_within(Duration::from_secs(60), post).await;
                assert_eq!(Answer::of(answer).await.json()["bytes"], LARGE_HTTP2);
            });
        });
    }
}

/// Does `work`, during which memory may grow by [`GROWTH`].
fn grows_little(proxy: &Proxy, work: impl FnOnce()) {
    let before = proxy.rss_kib();
    proxy.forget_peak();
    work();
    let grown = proxy.peak_kib().saturating_sub(before);
    assert!(grown <= GROWTH, "memory grew by {grown} KiB");
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
fn an_answer_without_length_ends_with_the_apps_connection() {
    let app = App::start(|mut wire, _| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
    });
    let proxy = Proxy::in_front_of_port(app.port());
    let mut wire = Wire::connect(proxy.inbound());
    for _ in 0..2 {
        wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        let head = wire.head();
        assert_eq!(
            header(&head, "transfer-encoding"),
            Some("chunked"),
            "{head}"
        );
        assert_eq!((&*wire.chunks(), &*wire.line()), ("until the end", "\r\n"));
    }
    assert_eq!(proxy.logged(|line| line["status"] == 200)["flag"], "");
}

#[test]
fn a_client_that_breaks_off_its_upload_is_the_one_to_blame() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("POST /sink HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nsome");
    wait_for("the app to see it", || (origin.hits() == 1).then_some(()));
    drop(wire);
    let line = proxy.logged(|line| line["path"] == "/sink");
    assert_eq!(
        (&line["flag"], &line["reason"], &line["bytesIn"]),
        (&"DC".into(), &"client.closed".into(), &4.into())
    );
    wait_for("the app to be let go", || {
        (origin.stats().open_connections == 0).then_some(())
    });
}

#[test]
fn a_stalled_answer_is_cut_after_stream_idle() {
    let origin = origin();
    let proxy = Proxy::start(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\ndefaults: {{ timeouts: {{ streamIdle: 2s }} }}\n",
        origin.address().port()
    ));
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("GET /drip/2/60000 HTTP/1.1\r\nhost: a\r\n\r\n");
    wire.head();
    assert_eq!(wire.chunk(), "drip 0\n");
    assert_eq!(wire.rest(), "", "cut, without the last chunk");
    let line = proxy.logged(|line| line["path"] == "/drip/2/60000");
    assert_eq!(
        (&line["flag"], &line["reason"]),
        (&"UT".into(), &"timeout.stream_idle".into())
    );
    wait_for("the app to be let go", || {
        (origin.stats().open_connections == 0).then_some(())
    });
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("GET /drip/8/400 HTTP/1.1\r\nhost: a\r\n\r\n");
    wire.head();
    assert!(
        wire.chunks().ends_with("drip 7\n"),
        "a slow stream that moves is not cut"
    );
}
