//! Protocols of readiness and health checks: the protocol of the block, and gRPC messages as any
//! protobuf library writes them.

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;

use super::{Backend, yaml};
use crate::{
    egress,
    support::{
        Proxy,
        front::{self, Front},
        get,
        pki::Ca,
        wait_for,
    },
};

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// An app with HTTP/2 only: the status of `/healthz?deep=1` is configurable, all other paths are
/// 404.
#[derive(Clone)]
struct Http2Only {
    status: Arc<AtomicU16>,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Http2Only {
    fn new(status: u16) -> Self {
        Self {
            status: Arc::new(AtomicU16::new(status)),
            asked: Arc::default(),
        }
    }

    fn start(&self) -> SocketAddr {
        front::serve_http2(self.answers())
    }

    fn start_at(&self, path: &Path) {
        front::serve_http2_at(path, self.answers());
    }

    fn answers(
        &self,
    ) -> impl Fn(Request<Incoming>) -> std::future::Ready<Answer> + Clone + Send + Sync + use<> + 'static
    {
        let this = self.clone();
        move |request| {
            let uri = request.uri();
            let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
            this.asked
                .lock()
                .unwrap()
                .push((uri.scheme_str().unwrap_or_default().to_owned(), authority));
            let status = match uri.path_and_query().map(|path| path.as_str()) {
                Some("/healthz?deep=1") => this.status.load(Ordering::SeqCst),
                _ => 404,
            };
            std::future::ready(
                Response::builder()
                    .status(status)
                    .body(Full::from("told").boxed())
                    .unwrap(),
            )
        }
    }

    fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().unwrap().clone()
    }
}

const DEEP: &str = "path: \"/healthz?deep=1\"";

/// A proxy whose `/readyz` checks the app (almost) each time.
fn with_readiness(app: &str, probe: &str) -> Proxy {
    Proxy::start(&format!(
        "app: {{ {app}, readiness: {{ {probe}, interval: 1ms, timeout: 10s }} }}\nlisteners: [{{ port: 0 }}]\n"
    ))
}

fn readiness(proxy: &Proxy) -> (u16, String) {
    get(proxy.address("status"), "/readyz")
}

/// An upstream `u` with health checks, whose state changes with each result.
fn with_check(url: &str, probe: &str, more: &str) -> Proxy {
    let every = "interval: 50ms, timeout: 10s, healthyThreshold: 1, unhealthyThreshold: 1";
    Proxy::start(&yaml(
        &[url.to_owned()],
        &format!(", healthCheck: {{ {probe}, {every} }}{more}"),
    ))
}

fn checked(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric(&format!(
        "outrigger_health_checks_total{{upstream=\"u\",result=\"{result}\"}}"
    ))
}

fn wait_checked(proxy: &Proxy, result: &str) {
    let before = checked(proxy, result);
    wait_for(&format!("checks that are {result}"), || {
        (checked(proxy, result) > before + 1.5).then_some(())
    });
}

#[test]
fn an_app_with_h2c_is_ready_when_its_path_answers_over_http_2() {
    let app = Http2Only::new(200);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    app.start_at(&socket);
    for place in [
        format!("port: {}", app.start().port()),
        format!("socket: {}", socket.display()),
    ] {
        let proxy = with_readiness(&format!("{place}, protocol: h2c"), DEEP);
        for (status, ready) in [
            (200, 200),
            (204, 200),
            (399, 200),
            (400, 503),
            (503, 503),
            (200, 200),
        ] {
            app.status.store(status, Ordering::SeqCst);
            let body = wait_for("the app's new answer", || {
                let (now, body) = readiness(&proxy);
                (now == ready && (ready == 200 || body.contains(&status.to_string())))
                    .then_some(body)
            });
            if ready == 503 {
                assert_eq!(
                    body,
                    format!("app not ready: /healthz?deep=1 responded with status {status}\n"),
                    "{place}"
                );
            }
        }
    }
    assert!(
        app.asked()
            .iter()
            .all(|asked| *asked == ("http".into(), "localhost".into())),
        "{:?}",
        app.asked()
    );
}

#[test]
fn http_1_is_what_auto_and_http1_mean_for_a_path() {
    let (old, new) = (Backend::start(200), Http2Only::new(200));
    for protocol in ["auto", "http1"] {
        let proxy = with_readiness(
            &format!("port: {}, protocol: {protocol}", old.app.port()),
            DEEP,
        );
        assert_eq!(readiness(&proxy).0, 200, "{protocol}");
        // As for a request that is not gRPC.
        let proxy = with_readiness(
            &format!("port: {}, protocol: {protocol}", new.start().port()),
            DEEP,
        );
        assert_eq!(readiness(&proxy).0, 503, "{protocol}");
    }
    let proxy = with_readiness(&format!("port: {}, protocol: h2c", old.app.port()), DEEP);
    assert_eq!(
        readiness(&proxy).0,
        503,
        "an app that does not speak HTTP/2"
    );
}

#[test]
fn an_endpoint_with_h2c_is_asked_over_http_2() {
    let app = Http2Only::new(200);
    let address = app.start();
    let proxy = with_check(&format!("http://{address}"), DEEP, ", protocol: h2c");
    wait_checked(&proxy, "ok");
    assert_eq!(checked(&proxy, "failed"), 0.0, "{}", proxy.stderr());
    app.status.store(503, Ordering::SeqCst);
    wait_checked(&proxy, "failed");
    wait_for("the line about it", || {
        proxy
            .stderr()
            .contains("unhealthy: /healthz?deep=1 responded with status 503")
            .then_some(())
    });
    app.status.store(302, Ordering::SeqCst);
    wait_checked(&proxy, "ok");
    assert!(
        app.asked()
            .iter()
            .all(|asked| *asked == ("http".into(), address.to_string())),
        "{:?}",
        app.asked()
    );
}

/// A proxy to TLS in front of an origin, which is asked, and more lines of the upstream.
fn over_tls(alpn: &[&'static str], origin: SocketAddr, probe: &str, more: &str) -> (Proxy, Front) {
    let ca = Ca::new("Outside");
    let leaf = egress::server(&ca);
    let front = front::Maker::new(&leaf).alpn(alpn).before(origin);
    let every = "interval: 50ms, timeout: 10s, healthyThreshold: 1, unhealthyThreshold: 1";
    let proxy = egress::to_front(
        &front,
        &ca,
        &format!("    healthCheck: {{ {probe}, {every} }}\n{more}"),
    );
    (proxy, front)
}

#[test]
fn inside_tls_the_endpoint_chooses_what_is_spoken() {
    let (old, new) = (Backend::start(200), Http2Only::new(200));
    for (alpn, origin, chosen) in [
        (&["h2"][..], new.start(), Some("h2")),
        (&["h2", "http/1.1"], new.start(), Some("h2")),
        (&["http/1.1", "h2"], old.app.address, Some("http/1.1")),
        (&["http/1.1"], old.app.address, Some("http/1.1")),
        (&[], old.app.address, None),
    ] {
        let (proxy, front) = over_tls(alpn, origin, DEEP, "");
        wait_checked(&proxy, "ok");
        assert_eq!(
            checked(&proxy, "failed"),
            0.0,
            "{alpn:?}: {}",
            proxy.stderr()
        );
        assert_eq!(front.seen()[0].alpn.as_deref(), chosen, "{alpn:?}");
    }
    let asked = new.asked();
    let of_tls = |(scheme, authority): &(String, String)| {
        scheme == "https" && authority.starts_with("localhost:")
    };
    assert!(!asked.is_empty() && asked.iter().all(of_tls), "{asked:?}");
}

#[test]
fn with_http1_an_endpoint_that_has_http_2_alone_is_unhealthy() {
    let new = Http2Only::new(200);
    let (proxy, _front) = over_tls(&["h2"], new.start(), DEEP, "    protocol: http1\n");
    wait_checked(&proxy, "failed");
    assert_eq!(checked(&proxy, "ok"), 0.0);
    assert!(new.asked().is_empty());
}

#[test]
fn a_connect_alone_takes_whatever_is_spoken_inside_tls() {
    for alpn in [&["h2"][..], &["http/1.1"], &[]] {
        let (proxy, _front) = over_tls(alpn, Http2Only::new(200).start(), "tcp: true", "");
        wait_checked(&proxy, "ok");
        assert_eq!(
            checked(&proxy, "failed"),
            0.0,
            "{alpn:?}: {}",
            proxy.stderr()
        );
    }
}

/// An app that answers the gRPC health check with these bytes and this status, and counts.
#[derive(Clone, Default)]
struct Told {
    says: Arc<Mutex<(Vec<u8>, Option<&'static str>)>>,
    asked: Arc<AtomicUsize>,
}

impl Told {
    fn start(&self, service: &'static str) -> SocketAddr {
        let this = self.clone();
        front::serve_http2(move |request| {
            let this = this.clone();
            async move {
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                assert_eq!(
                    (&request.headers()["content-type"], &request.headers()["te"]),
                    (
                        &"application/grpc".parse().unwrap(),
                        &"trailers".parse().unwrap()
                    )
                );
                let asked = request.into_body().collect().await.unwrap().to_bytes();
                let message = match service.len() {
                    0 => Vec::new(),
                    1..=127 => [&[0x0a, service.len() as u8], service.as_bytes()].concat(),
                    length => [
                        &[0x0a, length as u8 | 0x80, (length >> 7) as u8],
                        service.as_bytes(),
                    ]
                    .concat(),
                };
                assert_eq!(asked, frame(0, &message));
                this.asked.fetch_add(1, Ordering::SeqCst);
                let (bytes, status) = this.says.lock().unwrap().clone();
                let mut trailers = HeaderMap::new();
                status.iter().for_each(|status| {
                    drop(trailers.insert("grpc-status", status.parse().unwrap()))
                });
                let body = Full::from(bytes).with_trailers(async move { Some(Ok(trailers)) });
                Response::builder()
                    .header("content-type", "application/grpc")
                    .body(body.boxed())
                    .unwrap()
            }
        })
    }

    /// What `/readyz` says when the app says this.
    fn ready(&self, proxy: &Proxy, bytes: Vec<u8>, status: Option<&'static str>) -> (u16, String) {
        *self.says.lock().unwrap() = (bytes, status);
        wait_for("an answer that was asked for now", || {
            let before = self.asked.load(Ordering::SeqCst);
            let answer = readiness(proxy);
            (self.asked.load(Ordering::SeqCst) > before).then_some(answer)
        })
    }
}

/// A message of gRPC, with its head.
fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    [
        &[flag][..],
        &u32::try_from(message.len()).unwrap().to_be_bytes(),
        message,
    ]
    .concat()
}

#[test]
fn a_grpc_health_answer_is_read_as_protobuf_says() {
    let app = Told::default();
    let proxy = with_readiness(
        &format!("port: {}", app.start("orders.v1").port()),
        "grpc: orders.v1",
    );
    let serving = frame(0, &[8, 1]);
    for (name, message) in [
        ("plain", &[8, 1][..]),
        ("an unknown number first", &[0x10, 5, 8, 1]),
        ("an unknown text first", b"\x12\x03abc\x08\x01"),
        (
            "unknown fields on both sides",
            b"\x3a\x02hi\x08\x01\x25\x01\x02\x03\x04\x19\x01\x02\x03\x04\x05\x06\x07\x08",
        ),
        (
            "a field with a high number first",
            &[0xfa, 0x7f, 1, b'x', 8, 1],
        ),
        ("twice, of which the last counts", &[8, 2, 8, 1]),
        ("a number in more bytes than it needs", &[8, 0x81, 0x80, 0]),
        ("an unknown group", &[0x13, 8, 2, 0x14, 8, 1]),
    ] {
        assert_eq!(
            app.ready(&proxy, frame(0, message), Some("0")).0,
            200,
            "{name}"
        );
    }
    for (name, body, status, why) in [
        (
            "NOT_SERVING",
            frame(0, &[8, 2]),
            Some("0"),
            "reports NOT_SERVING",
        ),
        (
            "NOT_SERVING behind another field",
            frame(0, b"\x12\x01\x01\x08\x02"),
            Some("0"),
            "reports NOT_SERVING",
        ),
        (
            "SERVING inside another field",
            frame(0, b"\x12\x02\x08\x01"),
            Some("0"),
            "reports UNKNOWN",
        ),
        (
            "SERVING, then NOT_SERVING",
            frame(0, &[8, 1, 8, 2]),
            Some("0"),
            "reports NOT_SERVING",
        ),
        (
            "SERVICE_UNKNOWN",
            frame(0, &[8, 3]),
            Some("0"),
            "reports SERVICE_UNKNOWN",
        ),
        (
            "an empty message",
            frame(0, &[]),
            Some("0"),
            "reports UNKNOWN",
        ),
        (
            "a status of a later version",
            frame(0, &[8, 9]),
            Some("0"),
            "reports 9",
        ),
        ("compressed", frame(1, &[8, 1]), Some("0"), "compressed"),
        (
            "an unknown flag",
            frame(2, &[8, 1]),
            Some("0"),
            "compressed",
        ),
        (
            "cut within the message",
            serving[..6].to_vec(),
            Some("0"),
            "truncated",
        ),
        (
            "cut within the head",
            serving[..3].to_vec(),
            Some("0"),
            "truncated",
        ),
        (
            "two messages",
            [&serving[..], &serving].concat(),
            Some("0"),
            "more than one message",
        ),
        (
            "half of a second message",
            [&serving[..], &serving[..2]].concat(),
            Some("0"),
            "more than one message",
        ),
        ("no message", Vec::new(), Some("0"), "without a message"),
        ("no protobuf", frame(0, &[8]), Some("0"), "is invalid"),
        (
            "a text where the number belongs",
            frame(0, b"\x0a\x01\x01"),
            Some("0"),
            "is invalid",
        ),
        (
            "far too much",
            frame(0, &[0; 70_000]),
            Some("0"),
            "length limit",
        ),
        (
            "no grpc-status",
            serving.clone(),
            None,
            "without grpc-status",
        ),
        (
            "NOT_FOUND",
            Vec::new(),
            Some("5"),
            "it does not know the service name",
        ),
        ("UNIMPLEMENTED", Vec::new(), Some("12"), "grpc-status 12"),
        (
            "a message and an error",
            serving.clone(),
            Some("14"),
            "grpc-status 14",
        ),
        (
            "a bad grpc-status",
            serving.clone(),
            Some("zero"),
            "without grpc-status",
        ),
    ] {
        let (status, body) = app.ready(&proxy, body, status);
        assert!(
            status == 503 && body.contains(why),
            "{name}: {status} {body}"
        );
    }
    assert_eq!(
        app.ready(&proxy, serving, Some("0")).0,
        200,
        "and well again"
    );
}

#[test]
fn the_name_of_a_grpc_service_is_sent_as_protobuf_says() {
    let long: &'static str = Box::leak("s".repeat(300).into_boxed_str());
    for service in ["", "a", "orders.v1.Öffentlich", long] {
        let app = Told::default();
        let proxy = with_readiness(
            &format!("port: {}", app.start(service).port()),
            &format!("grpc: \"{service}\""),
        );
        assert_eq!(
            app.ready(&proxy, frame(0, &[8, 1]), Some("0")).0,
            200,
            "{service}"
        );
    }
}

#[test]
fn an_endpoint_whose_health_answer_has_another_field_first_is_healthy() {
    let app = Told::default();
    *app.says.lock().unwrap() = (frame(0, b"\x12\x03new\x08\x01"), Some("0"));
    let url = format!("http://{}", app.start("orders.v1"));
    let proxy = with_check(&url, "grpc: orders.v1", "");
    wait_checked(&proxy, "ok");
    assert_eq!(checked(&proxy, "failed"), 0.0, "{}", proxy.stderr());
    *app.says.lock().unwrap() = (frame(0, b"\x12\x03new\x08\x02"), Some("0"));
    wait_checked(&proxy, "failed");
}
