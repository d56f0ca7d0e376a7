//! Prints the cost of the pure steps on one request head, in nanoseconds.
//!
//! `cargo run --release -p outrigger-filters --example head_cost`.

use std::{hint::black_box, net::IpAddr, time::Duration, time::SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Version, request::Parts};
use outrigger_config::model::{ListenerLimits, PathRules, UrlRewrite};
use outrigger_filters::{
    access_log::{Record, write_json},
    client_address, framing, hop_by_hop, owned_headers, path,
    request_id::RequestIds,
    rewrite,
};
use tokio::time::Instant;

const ROUNDS: u32 = 500_000;

fn main() {
    let head = head();
    let limits = ListenerLimits::default();
    let peer: IpAddr = IpAddr::from([192, 0, 2, 1]);
    let (ids, none) = (RequestIds::new(), UrlRewrite::default());
    let mut line = Vec::with_capacity(1024);
    print("framing::check", || {
        framing::check(black_box(&head), &limits, |_, _| {}).is_ok()
    });
    print("the same, with all who look at names", || {
        let (mut owned, mut hop) = (
            owned_headers::Found::default(),
            hop_by_hop::Found::default(),
        );
        let checked = framing::check(black_box(&head), &limits, |name, _| {
            owned.see(name);
            hop.see(name);
        });
        checked.is_ok() && black_box(owned).owned()
    });
    print("path::canonical", || {
        path::canonical(black_box(head.uri.path()), PathRules::default()).is_ok()
    });
    print("client_address::decide", || {
        let lines = head.headers.get_all(&owned_headers::X_FORWARDED_FOR);
        client_address::decide(black_box(peer), &[], lines.iter()).peer_trusted
    });
    print("request_id::next", || ids.next().as_bytes().is_empty());
    print("rewrite::target", || {
        rewrite::target(&none, None, head.uri.path(), black_box(&head.uri)).is_ok()
    });
    print("access_log::write_json", || {
        line.clear();
        write_json(black_box(&record(peer)), &mut line);
        line.is_empty()
    });
}

fn print(name: &str, mut step: impl FnMut() -> bool) {
    let mut round = || {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            black_box(step());
        }
        start.elapsed()
    };
    let best: Duration = (0..5).map(|_| round()).min().unwrap_or_default();
    println!(
        "{name:>28} {:>8.1}",
        best.as_secs_f64() * 1e9 / f64::from(ROUNDS)
    );
}

/// A head as browsers send it.
fn head() -> Parts {
    let mut parts = Request::get("/api/v1/orders/42/items?page=2")
        .body(())
        .map_or_else(
            |error| unreachable!("a fixed request: {error}"),
            |request| request.into_parts().0,
        );
    parts.version = Version::HTTP_11;
    parts.headers = HeaderMap::from_iter(
        [
            ("host", "api.example.com"),
            (
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
            ),
            ("accept", "application/json"),
            ("accept-language", "en-US,en;q=0.5"),
            ("accept-encoding", "gzip, deflate, br"),
            (
                "authorization",
                "Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
            ),
            ("cookie", "session=0123456789abcdef"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-site", "same-origin"),
            ("x-trace", "1"),
        ]
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        }),
    );
    parts
}

fn record<'a>(client_address: IpAddr) -> Record<'a> {
    Record {
        time: SystemTime::UNIX_EPOCH,
        request_id: "5f0c4f4e-6a51-4c3d-9d7e-0123456789ab",
        listener: "public",
        route: Some("orders"),
        client_address,
        method: Some("GET"),
        host: Some("api.example.com"),
        path: Some("/api/v1/orders/42/items"),
        protocol: Version::HTTP_11,
        status: 200,
        flag: "",
        reason: "",
        detail: None,
        would_deny: "",
        rule: None,
        upstream: Some("app"),
        endpoint: Some("127.0.0.1:8080"),
        attempts: 1,
        bytes_in: 0,
        bytes_out: 1_234,
        duration: Duration::from_micros(1_234),
    }
}
