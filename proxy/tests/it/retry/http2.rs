//! The same towards HTTP/2 endpoints, and gRPC.

use h2::Reason;

use super::*;
use crate::support::{
    cast::Cast,
    client::{Answer, H2, full, patient, request},
    streams::{Play, Streams},
};

fn to(app: &Streams, route: &str) -> Proxy {
    proxy(&[app.address.port()], ", protocol: h2c", route)
}

fn first_is(play: fn() -> Play) -> Streams {
    let seen = AtomicUsize::new(0);
    Streams::start(move |_| match seen.fetch_add(1, Ordering::SeqCst) {
        0 => play(),
        _ => Play::Answer(200, vec![("x-app", "fine")]),
    })
}

#[test]
fn a_refused_stream_goes_again_with_its_body_whatever_its_method() {
    let app = first_is(|| Play::Reset(Reason::REFUSED_STREAM));
    let proxy = to(&app, ", retry: {}");
    assert_eq!(status(&Wire::connect(proxy.inbound()).ask(POST).0), 200);
    let seen = app.seen();
    assert_eq!(
        seen.iter().map(|one| &*one.body).collect::<Vec<_>>(),
        [b"hi"; 2]
    );
    let counts: Vec<&str> = seen
        .iter()
        .map(|one| one.field("x-outrigger-attempt-count"))
        .collect();
    assert_eq!(counts, ["1", "2"]);
    assert_eq!(seen[0].head.uri(), seen[1].head.uri());
    assert_eq!(seen[0].field("x-request-id"), seen[1].field("x-request-id"));
    assert!(!seen[1].field("x-request-id").is_empty());
    assert!((retries(&proxy, "refused_stream") - 1.0).abs() < 0.5);
}

#[test]
fn a_reset_stream_goes_again_when_it_may() {
    for (sent, tries, answer) in [(GET, 2, 200), (POST, 1, 502), (KEYED, 2, 200)] {
        let app = first_is(|| Play::Reset(Reason::INTERNAL_ERROR));
        let proxy = to(&app, ", retry: {}");
        assert_eq!(
            status(&Wire::connect(proxy.inbound()).ask(sent).0),
            answer,
            "{sent}"
        );
        assert_eq!(app.seen().len(), tries, "{sent}");
    }
}

#[test]
fn codes_are_tried_again_with_the_body() {
    let app = first_is(|| Play::Answer(503, Vec::new()));
    let proxy = to(&app, ", retry: { codes: [503] }");
    assert_eq!(status(&Wire::connect(proxy.inbound()).ask(KEYED).0), 200);
    assert_eq!(
        app.seen().iter().map(|one| &*one.body).collect::<Vec<_>>(),
        [b"hi"; 2]
    );
}

/// Tries and the final `grpc-status` of a call whose first answer has this status.
fn call(code: &'static str, retry: &str, key: bool) -> (usize, String) {
    let seen = AtomicUsize::new(0);
    let app = Streams::start(move |_| {
        let code = if seen.fetch_add(1, Ordering::SeqCst) == 0 {
            code
        } else {
            "0"
        };
        Play::Answer(
            200,
            vec![("content-type", "application/grpc"), ("grpc-status", code)],
        )
    });
    let proxy = proxy(
        &[app.address.port()],
        "",
        &format!(", retry: {{ {retry} }}"),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let answer = runtime.block_on(patient(async {
        let mut client = H2::connect(proxy.inbound()).await;
        let mut call = request("POST", "/a.B/C")
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if key {
            call = call.header("idempotency-key", "k");
        }
        Answer::of(
            client
                .send(call.body(full(b"\0\0\0\0\x02hi".to_vec())).unwrap())
                .await,
        )
        .await
    }));
    (app.seen().len(), answer.header("grpc-status").to_owned())
}

#[test]
fn grpc_statuses_in_the_head_are_tried_again() {
    for (code, retry, key, expected) in [
        (
            "14",
            "grpcCodes: [unavailable], methods: any",
            false,
            (2, "0"),
        ),
        (
            "14",
            "grpcCodes: [unavailable], methods: [POST]",
            false,
            (2, "0"),
        ),
        ("14", "grpcCodes: [unavailable]", true, (2, "0")),
        ("14", "grpcCodes: [unavailable]", false, (1, "14")),
        (
            "13",
            "grpcCodes: [unavailable], methods: any",
            false,
            (1, "13"),
        ),
        ("14", "methods: any", false, (1, "14")),
    ] {
        let (tries, status) = call(code, retry, key);
        assert_eq!((tries, &*status), expected, "{code} {retry} {key}");
    }
}

#[test]
fn a_try_that_takes_too_long_resets_its_stream_and_the_connection_stays() {
    let resets = Arc::<AtomicUsize>::default();
    let shared = Arc::clone(&resets);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let cast = Cast::default();
    cast.stage().spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let mut streams = 0;
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                streams += 1;
                if streams == 1 {
                    let resets = Arc::clone(&shared);
                    tokio::spawn(async move {
                        let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
                        resets.fetch_add(1, Ordering::SeqCst);
                    });
                } else {
                    respond
                        .send_response(http::Response::new(()), true)
                        .unwrap();
                }
            }
        });
    });
    let route = ", timeouts: { request: 10s, backendRequest: 200ms }, retry: {}";
    let proxy = proxy(&[port], ", protocol: h2c", route);
    assert_eq!(status(&Wire::connect(proxy.inbound()).ask(GET).0), 200);
    crate::support::wait_for("the reset", || {
        (resets.load(Ordering::SeqCst) == 1).then_some(())
    });
    assert_eq!(proxy.logged(|_| true)["attempts"], 2);
}
