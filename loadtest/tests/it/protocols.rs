//! Successful requests with all protocols.

use std::time::Duration;

use http::Method;
use outrigger_loadtest::load::{self, Plan, Protocol};
use outrigger_loadtest::origin::{Listen, Origin};

use super::{PROTOCOLS, forty};

#[tokio::test]
async fn every_kind_of_body_arrives_whole_over_both_protocols() {
    let origin = Origin::start().await.unwrap();
    let paths = [
        "/",
        "/bytes/0",
        "/bytes/1",
        "/bytes/300000",
        "/chunked/100000",
        "/trailers",
        "/drip/3/1",
        "/sse/2/1",
    ];
    for protocol in PROTOCOLS {
        for path in paths {
            let before = origin.hits();
            let report = load::run(forty(&origin, path, protocol)).await.unwrap();
            assert!(report.is_clean(), "{protocol:?} {path}: {report:?}");
            assert_eq!(
                (report.requests, report.passed, origin.hits() - before),
                (40, 40, 40),
                "{path}"
            );
            assert_eq!(report.latency.len(), 40);
        }
    }
}

#[tokio::test]
async fn bodies_of_a_known_size_are_counted_to_the_byte() {
    let origin = Origin::start().await.unwrap();
    for protocol in PROTOCOLS {
        let report = load::run(forty(&origin, "/bytes/70000", protocol))
            .await
            .unwrap();
        assert_eq!(report.body_bytes, 40 * 70_000);
        assert!(report.bytes_received > report.body_bytes);
    }
}

#[tokio::test]
async fn a_generated_body_reaches_the_origin_and_comes_back() {
    let origin = Origin::start().await.unwrap();
    for protocol in PROTOCOLS {
        for (path, length) in [("/echo", Some(200_000)), ("/sink", None)] {
            let mut plan = forty(&origin, path, protocol);
            plan.method = Method::POST;
            plan.body_size = Some(200_000);
            plan.expect.length = length;
            let report = load::run(plan).await.unwrap();
            assert!(report.is_clean(), "{protocol:?} {path}: {report:?}");
            assert!(report.bytes_sent > 40 * 200_000);
        }
    }
}

#[tokio::test]
async fn connections_are_kept_open_unless_asked_otherwise() {
    let origin = Origin::start().await.unwrap();
    for protocol in PROTOCOLS {
        let kept = load::run(forty(&origin, "/", protocol)).await.unwrap();
        assert!(kept.is_clean() && kept.connections <= 4, "{kept:?}");
        let plan = Plan {
            connection_per_request: true,
            ..forty(&origin, "/", protocol)
        };
        let opened = load::run(plan).await.unwrap();
        assert!(opened.is_clean(), "{opened:?}");
        assert_eq!(opened.connections, 40);
    }
    let stats = origin.stats();
    assert!(stats.connections >= 80, "{stats:?}");
}

#[tokio::test]
async fn head_has_no_body_to_verify() {
    let origin = Origin::start().await.unwrap();
    for protocol in PROTOCOLS {
        let plan = Plan {
            method: Method::HEAD,
            ..forty(&origin, "/bytes/1000", protocol)
        };
        let report = load::run(plan).await.unwrap();
        assert!(report.is_clean() && report.body_bytes == 0, "{report:?}");
    }
}

#[tokio::test]
async fn a_unix_socket_does_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("origin.sock");
    let origin = Origin::builder()
        .listen(Listen::Unix(path.clone()))
        .start()
        .await
        .unwrap();
    for protocol in PROTOCOLS {
        let plan = Plan {
            unix: Some(path.clone()),
            ..forty(&origin, "/bytes/1000", protocol)
        };
        let report = load::run(plan).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
    }
    drop(origin);
}

#[tokio::test]
async fn requests_of_the_warm_up_are_counted_apart() {
    let origin = Origin::start().await.unwrap();
    let plan = Plan {
        warmup: Duration::from_millis(200),
        ..forty(&origin, "/delay/5", Protocol::Http1)
    };
    let report = load::run(plan).await.unwrap();
    assert_eq!((report.requests, report.latency.len()), (40, 40));
    assert!(report.warmup_requests > 0, "{report:?}");
    assert_eq!(origin.hits(), report.requests + report.warmup_requests);
}

#[tokio::test]
async fn several_threads_share_the_connections_and_the_requests() {
    let origin = Origin::start().await.unwrap();
    let plan = Plan {
        threads: 3,
        ..forty(&origin, "/delay/5", Protocol::Http1)
    };
    let report = load::run(plan).await.unwrap();
    assert_eq!(
        (report.passed, report.connections, origin.hits()),
        (40, 4, 40)
    );
}

#[tokio::test]
async fn a_run_can_be_stopped_early_and_waits_for_what_is_in_flight() {
    let origin = Origin::start().await.unwrap();
    for rate in [None, Some(50.0), Some(0.001)] {
        let mut plan = Plan::new(origin.url("/delay/20"));
        plan.duration = Some(Duration::from_secs(600));
        plan.rate = rate;
        let stop = tokio::time::sleep(Duration::from_millis(200));
        let report = load::run_until(plan, stop).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
        assert!(report.elapsed < Duration::from_secs(60));
    }
    assert!(origin.hits() > 0);
}

#[tokio::test]
async fn a_plan_that_makes_no_sense_is_refused_at_once() {
    let nonsense = [
        ("not a url", Plan::new("http://")),
        ("https", Plan::new("https://127.0.0.1/")),
        ("no scheme", Plan::new("127.0.0.1:80")),
        (
            "no connection",
            Plan {
                connections: 0,
                ..Plan::new("http://127.0.0.1/")
            },
        ),
        (
            "no stream",
            Plan {
                protocol: Protocol::Http2 { streams: 0 },
                ..Plan::new("http://127.0.0.1/")
            },
        ),
        (
            "rate",
            Plan {
                rate: Some(f64::NAN),
                ..Plan::new("http://127.0.0.1/")
            },
        ),
        (
            "timeout",
            Plan {
                timeout: Duration::ZERO,
                ..Plan::new("http://127.0.0.1/")
            },
        ),
    ];
    for (name, plan) in nonsense {
        assert!(load::run(plan).await.is_err(), "{name}");
    }
}
