//! Health checks: unhealthy endpoints get no requests.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};

use super::{Backend, failures, statuses, yaml};
use crate::support::{
    Proxy, front, live, wait_for,
    wire::{App, Wire, header, status},
};

const EVERY: &str = "interval: 100ms, timeout: 1s, healthyThreshold: 2, unhealthyThreshold: 2";

/// Responds to requests with 200, and to health checks with a configurable status.
struct Checked {
    app: App,
    health: Arc<AtomicU16>,
    hits: Arc<AtomicUsize>,
}

impl Checked {
    fn start(health: u16) -> Self {
        let (health, hits) = (
            Arc::new(AtomicU16::new(health)),
            Arc::<AtomicUsize>::default(),
        );
        let (now, count) = (Arc::clone(&health), Arc::clone(&hits));
        let app = App::start(move |mut wire, _| {
            loop {
                let head = wire.head();
                let status = match head.split(' ').nth(1) {
                    None => return,
                    Some("/healthz?deep=1") => now.load(Ordering::SeqCst),
                    Some(_) => {
                        count.fetch_add(1, Ordering::SeqCst);
                        200
                    }
                };
                let answer = format!("HTTP/1.1 {status} Told\r\ncontent-length: 2\r\n\r\nok");
                if !wire.try_send(answer) {
                    return;
                }
            }
        });
        Self { app, health, hits }
    }

    fn url(&self) -> String {
        format!("http://{}", self.app.address)
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

fn healthy(proxy: &Proxy, url: &str) -> bool {
    let endpoint = url.trim_start_matches("http://");
    proxy.metric(&format!(
        "outrigger_endpoint_healthy{{upstream=\"u\",endpoint=\"{endpoint}\"}}"
    )) > 0.5
}

fn with_check(urls: &[String], probe: &str, more: &str) -> Proxy {
    Proxy::start(&yaml(
        urls,
        &format!(", healthCheck: {{ {probe}, {EVERY} }}{more}"),
    ))
}

#[test]
fn an_unhealthy_endpoint_gets_nothing_until_it_is_well_again() {
    let backends = [Checked::start(200), Checked::start(200)];
    let urls = backends.each_ref().map(Checked::url);
    let proxy = with_check(
        &urls,
        "path: \"/healthz?deep=1\"",
        ", loadBalancer: { policy: roundRobin }",
    );
    assert!(healthy(&proxy, &urls[0]) && healthy(&proxy, &urls[1]));
    wait_for("a few checks", || {
        (proxy.metric("outrigger_health_checks_total{upstream=\"u\",result=\"ok\"}") > 3.0)
            .then_some(())
    });
    backends[0].health.store(503, Ordering::SeqCst);
    wait_for("the bad news", || {
        (!healthy(&proxy, &urls[0])).then_some(())
    });
    let before = backends[0].hits();
    assert_eq!(failures(&statuses(&proxy, 20)), 0);
    assert_eq!(backends[0].hits(), before);
    assert!(healthy(&proxy, &urls[1]));
    wait_for("the line about it", || {
        proxy
            .stderr()
            .contains("unhealthy: /healthz?deep=1 responded with status 503")
            .then_some(())
    });
    backends[0].health.store(204, Ordering::SeqCst);
    wait_for("the good news", || healthy(&proxy, &urls[0]).then_some(()));
    statuses(&proxy, 20);
    assert_eq!(backends[0].hits() - before, 10);
    wait_for("the other line", || {
        proxy.stderr().contains("healthy again").then_some(())
    });
}

#[test]
fn a_connect_is_enough_where_nothing_else_is_asked() {
    let good = Backend::start(200);
    let urls = [
        format!("http://127.0.0.1:{}", live::free_port()),
        good.url(),
    ];
    let proxy = with_check(&urls, "tcp: true", ", loadBalancer: { policy: roundRobin }");
    wait_for("the bad news", || {
        (!healthy(&proxy, &urls[0])).then_some(())
    });
    assert!(healthy(&proxy, &urls[1]));
    assert_eq!(failures(&statuses(&proxy, 20)), 0);
    let line = proxy.logged(|_| true);
    assert_eq!(
        line["attempts"], 1,
        "no request was needed to detect it: {line}"
    );
}

#[test]
fn an_endpoint_that_hangs_is_unhealthy_after_the_timeout() {
    let hangs = App::start(|mut wire, _| while !wire.head().is_empty() {});
    let good = Checked::start(200);
    let urls = [format!("http://{}", hangs.address), good.url()];
    let proxy = Proxy::start(&yaml(
        &urls,
        ", healthCheck: { path: /, interval: 100ms, timeout: 100ms, unhealthyThreshold: 1 }",
    ));
    wait_for("the bad news", || {
        (!healthy(&proxy, &urls[0])).then_some(())
    });
    wait_for("the line about it", || {
        proxy
            .stderr()
            .contains("no response within 100ms")
            .then_some(())
    });
}

#[test]
fn a_grpc_health_service_says_whether_it_serves() {
    let states = [HealthService::start(SERVING), HealthService::start(SERVING)];
    let urls = states.each_ref().map(HealthService::url);
    let proxy = with_check(&urls, "grpc: orders.v1", "");
    wait_for("a few checks", || {
        (proxy.metric("outrigger_health_checks_total{upstream=\"u\",result=\"ok\"}") > 3.0)
            .then_some(())
    });
    assert!(healthy(&proxy, &urls[0]) && healthy(&proxy, &urls[1]));
    for bad in [NOT_SERVING, SERVICE_UNKNOWN, UNKNOWN] {
        states[0].say(bad);
        wait_for("the bad news", || {
            (!healthy(&proxy, &urls[0])).then_some(())
        });
        assert!(healthy(&proxy, &urls[1]));
        states[0].say(SERVING);
        wait_for("the good news", || healthy(&proxy, &urls[0]).then_some(()));
    }
    wait_for("the line about it", || {
        proxy
            .stderr()
            .contains("unhealthy: the health service reports NOT_SERVING")
            .then_some(())
    });
    // Who knows nothing of the service says so by a status.
    states[1].say(NOT_FOUND);
    wait_for("the bad news", || {
        (!healthy(&proxy, &urls[1])).then_some(())
    });
    wait_for("the line about it", || {
        proxy
            .stderr()
            .contains("it does not know the service name")
            .then_some(())
    });
}

/// `grpc.health.v1.HealthCheckResponse.ServingStatus`.
const UNKNOWN: u16 = 0;
const SERVING: u16 = 1;
const NOT_SERVING: u16 = 2;
const SERVICE_UNKNOWN: u16 = 3;
/// No answer but the gRPC status of this number, over 100.
const NOT_FOUND: u16 = 105;

/// Responds to checks of the service `orders.v1` with a configurable status, like a gRPC library.
struct HealthService {
    address: SocketAddr,
    says: Arc<AtomicU16>,
}

impl HealthService {
    fn start(first: u16) -> Self {
        let says = Arc::new(AtomicU16::new(first));
        let told = Arc::clone(&says);
        let address = front::serve_http2(move |request| {
            let told = told.load(Ordering::SeqCst);
            async move {
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                let asked = request.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(&asked[..], b"\0\0\0\0\x0b\x0a\x09orders.v1");
                answer(told)
            }
        });
        Self { address, says }
    }

    fn say(&self, state: u16) {
        self.says.store(state, Ordering::SeqCst);
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn answer(state: u16) -> Response<BoxBody<Bytes, Infallible>> {
    let (message, status) = match state {
        // proto3 leaves a field out that has its default.
        UNKNOWN => (&b"\0\0\0\0\0"[..], 0),
        1..=99 => (&[0, 0, 0, 0, 2, 8, state as u8][..], 0),
        _ => (&[][..], state - 100),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.into());
    let body =
        Full::new(Bytes::copy_from_slice(message)).with_trailers(async move { Some(Ok(trailers)) });
    Response::builder()
        .header("content-type", "application/grpc")
        .body(body.boxed())
        .unwrap()
}

#[test]
fn an_endpoint_without_a_grpc_health_service_is_unhealthy() {
    // An HTTP/2 endpoint without the service: it answers 404, which is no SERVING.
    let origin = crate::support::origin();
    let urls = [origin.url("")];
    let proxy = with_check(&urls, "grpc: orders.v1", "");
    wait_for("the bad news", || {
        (!healthy(&proxy, &urls[0])).then_some(())
    });
    wait_for("the line about it", || {
        proxy.stderr().contains("the health service").then_some(())
    });
}

#[test]
fn with_none_that_is_well_all_are_used_or_with_panic_percent_0_the_answer_is_503_uh() {
    let backends = [Checked::start(500), Checked::start(500)];
    let urls = backends.each_ref().map(Checked::url);
    for (settings, expected) in [("", 200), (", loadBalancer: { panicPercent: 0 }", 503)] {
        let proxy = with_check(&urls, "path: \"/healthz?deep=1\"", settings);
        wait_for("the bad news", || {
            (!urls.iter().any(|url| healthy(&proxy, url))).then_some(())
        });
        let (head, _) = Wire::connect(proxy.inbound()).ask(super::GET);
        assert_eq!(status(&head), expected, "{head}");
        if expected == 503 {
            assert_eq!(
                (
                    header(&head, "retry-after"),
                    header(&head, "x-outrigger-overloaded")
                ),
                (Some("1"), Some("true"))
            );
            let line = proxy.logged(|line| line["status"] == 503);
            assert_eq!(
                (&line["flag"], &line["reason"]),
                (&"UH".into(), &"upstream.none_healthy".into())
            );
            assert_eq!(line["detail"], "2 endpoints: 2 unhealthy");
        }
    }
}

#[test]
fn health_outlives_a_reload_that_does_not_touch_the_upstream() {
    let backends = [Checked::start(503), Checked::start(200)];
    let urls = backends.each_ref().map(Checked::url);
    let text = yaml(
        &urls,
        &format!(", healthCheck: {{ path: \"/healthz?deep=1\", {EVERY} }}"),
    );
    let proxy = Proxy::start(&text);
    wait_for("the bad news", || {
        (!healthy(&proxy, &urls[0])).then_some(())
    });
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                assert!(!healthy(&proxy, &urls[0]));
                thread::sleep(Duration::from_millis(5));
            }
        });
        proxy.reload_with(&text.replace("routes:", "lifecycle: { drainTimeout: 19s }\nroutes:"));
        statuses(&proxy, 20);
        stop.store(true, Ordering::SeqCst);
    });
    assert_eq!(backends[0].hits(), 0);
    backends[0].health.store(200, Ordering::SeqCst);
    wait_for("checks that go on", || {
        healthy(&proxy, &urls[0]).then_some(())
    });
    proxy.reload_with(&yaml(&urls, ""));
    assert!(
        !proxy.metrics().contains("outrigger_endpoint_healthy{"),
        "health checks have stopped"
    );
}
