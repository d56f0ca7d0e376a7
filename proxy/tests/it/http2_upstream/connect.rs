//! An endpoint that never completes a connect fails HTTP/2 calls as soon as HTTP/1.1 ones.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use tokio::time::Instant;

use crate::support::{
    PATIENCE, Proxy, origin, wait_for,
    wire::{Wire, status},
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Calls at once.
const CALLS: usize = 10;

/// An address that completes no connect and refuses none, because its queue is full.
struct BlackHole {
    address: SocketAddr,
    _queue: Vec<TcpStream>,
    _socket: TcpListener,
}

impl BlackHole {
    fn new() -> Self {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        socket.listen(0).unwrap();
        let socket: TcpListener = socket.into();
        let address = socket.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(one) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            queue.push(one);
        }
        Self {
            address,
            _queue: queue,
            _socket: socket,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// One upstream `u` with these endpoints.
fn proxy(urls: &[String], protocol: &str, settings: &str) -> Proxy {
    let urls: Vec<_> = urls
        .iter()
        .map(|url| format!("{{ url: \"{url}\" }}"))
        .collect();
    Proxy::start(&format!(
        "workers: 1\nlisteners: [{{ port: 0 }}]\nroutes: [{{ name: u, backendRefs: [u] }}]\nupstreams:\n  \
         u: {{ endpoints: [{}], protocol: {protocol}{settings} }}\n",
        urls.join(", ")
    ))
}

/// The statuses of [`CALLS`] calls at once, and when each came.
fn call_at_once(proxy: &Proxy) -> Vec<(u16, Duration)> {
    let address = proxy.inbound();
    let begun = Instant::now();
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            thread::spawn(move || {
                let mut wire = Wire::connect(address);
                wire.send(GET);
                (status(&wire.head()), begun.elapsed())
            })
        })
        .collect();
    calls.into_iter().map(|call| call.join().unwrap()).collect()
}

fn statuses(answers: &[(u16, Duration)]) -> Vec<u16> {
    answers.iter().map(|(status, _)| *status).collect()
}

fn last(answers: &[(u16, Duration)]) -> Duration {
    answers.iter().map(|(_, time)| *time).max().unwrap()
}

fn is_ejected(proxy: &Proxy, endpoint: &BlackHole) -> bool {
    let series = format!(
        "outrigger_endpoint_ejected{{upstream=\"u\",endpoint=\"{}\"}}",
        endpoint.address
    );
    proxy.metric(&series) > 0.5
}

/// What HTTP/2 may take longer than HTTP/1.1 on a busy machine; one after the other would take ten times as long.
const MARGIN: Duration = Duration::from_secs(3);

#[test]
fn calls_that_wait_for_a_connect_fail_with_it() {
    let endpoint = BlackHole::new();
    let mut times = Vec::new();
    for protocol in ["http1", "h2c"] {
        let proxy = proxy(
            &[endpoint.url()],
            protocol,
            ", connections: { connectTimeout: 1s }",
        );
        let answers = call_at_once(&proxy);
        assert_eq!(statuses(&answers), [502; CALLS], "{protocol}: {answers:?}");
        times.push(last(&answers));
    }
    assert!(
        times[1] < times[0] + MARGIN,
        "HTTP/1.1 and HTTP/2: {times:?}"
    );
}

#[test]
fn calls_that_wait_for_a_connect_move_to_another_endpoint_when_it_fails() {
    let (endpoint, good) = (BlackHole::new(), origin());
    let mut times = Vec::new();
    for protocol in ["http1", "h2c"] {
        let settings = ", connections: { connectTimeout: 1s }, loadBalancer: { policy: roundRobin }, \
                        outlierDetection: { consecutiveErrors: 3, baseEjectionTime: 60s }";
        let proxy = proxy(&[endpoint.url(), good.url("")], protocol, settings);
        let answers = call_at_once(&proxy);
        assert_eq!(statuses(&answers), [200; CALLS], "{protocol}: {answers:?}");
        assert!(
            is_ejected(&proxy, &endpoint),
            "{protocol}: half of {CALLS} calls failed there"
        );
        times.push(last(&answers));
    }
    assert!(
        times[1] < times[0] + MARGIN,
        "HTTP/1.1 and HTTP/2: {times:?}"
    );
}

#[test]
fn an_endpoint_is_ejected_after_as_many_failed_connects_as_over_http_1() {
    let (endpoint, good) = (BlackHole::new(), origin());
    for protocol in ["http1", "h2c"] {
        let settings = ", connections: { connectTimeout: 200ms }, loadBalancer: { policy: roundRobin }, \
                        outlierDetection: { consecutiveErrors: 3, baseEjectionTime: 60s }";
        let proxy = proxy(&[endpoint.url(), good.url("")], protocol, settings);
        let mut wire = Wire::connect(proxy.inbound());
        let mut calls = 0;
        wait_for("the ejection", || {
            assert_eq!(status(&wire.ask(GET).0), 200, "{protocol}");
            calls += 1;
            is_ejected(&proxy, &endpoint).then_some(())
        });
        // Every second call goes there.
        assert!(
            (5..=6).contains(&calls),
            "{protocol}: ejected after {calls} calls"
        );
    }
}

#[test]
fn calls_that_wait_for_a_connect_count_as_pending() {
    let endpoint = BlackHole::new();
    let settings =
        ", connections: { connectTimeout: 3s }, circuitBreaker: { maxPendingRequests: 4 }";
    let proxy = proxy(&[endpoint.url()], "h2c", settings);
    let answers = call_at_once(&proxy);
    let of = |wanted: u16| {
        answers
            .iter()
            .filter(move |(status, _)| *status == wanted)
            .map(|(_, time)| *time)
    };
    // The call that connects may count as one that waits, or as the connection.
    assert!((5..=6).contains(&of(503).count()), "{answers:?}");
    assert_eq!(of(502).count(), CALLS - of(503).count(), "{answers:?}");
    assert!(
        of(503).max() < of(502).min(),
        "what is too much is refused at once: {answers:?}"
    );
    assert!(last(&answers) < PATIENCE, "{answers:?}");
    let line = proxy.logged(|line| line["status"] == 503);
    assert_eq!(
        (&line["flag"], &line["reason"]),
        (&"UO".into(), &"upstream.max_pending_requests".into())
    );
    let pending = "outrigger_circuit_breaker_in_use{upstream=\"u\",limit=\"pending\"}";
    wait_for("no request to wait", || {
        (proxy.metric(pending) < 0.5).then_some(())
    });
}
