//! The constant rate: the number of requests, and that a stall is visible.

use std::time::Duration;

use outrigger_loadtest::load::{self, FailureKind, Plan};
use outrigger_loadtest::origin::Origin;

use super::PROTOCOLS;

const HALF_A_SECOND: u64 = 500_000_000;

#[tokio::test]
async fn a_constant_rate_sends_exactly_what_is_due() {
    let origin = Origin::start().await.unwrap();
    for protocol in PROTOCOLS {
        let before = origin.hits();
        let mut plan = Plan {
            protocol,
            rate: Some(400.0),
            ..Plan::new(origin.url("/"))
        };
        plan.duration = Some(Duration::from_millis(500));
        plan.warmup = Duration::from_millis(250);
        let report = load::run(plan).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
        assert_eq!((report.warmup_requests, report.requests), (100, 200));
        assert_eq!((origin.hits() - before, report.send_lag.len()), (300, 200));
    }
}

#[tokio::test]
async fn a_stalled_origin_shows_in_the_latency_of_every_request_that_was_due() {
    let origin = Origin::start().await.unwrap();
    for protocol in PROTOCOLS {
        let plan = Plan {
            protocol,
            connections: 2,
            rate: Some(200.0),
            duration: Some(Duration::from_millis(1_500)),
            ..Plan::new(origin.url("/"))
        };
        origin.stall();
        let running = load::start(plan).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        origin.resume();
        let report = running.finish().await;
        assert_eq!((report.passed, report.failed()), (300, 0), "{report:?}");
        // A generator that waits for responses before it goes on would only have seen as many slow
        // requests as it has connections. About 100 were due in the first half second, and waited
        // another half or longer.
        let slow = report.latency.len() - report.latency.count_between(0, HALF_A_SECOND);
        assert!(slow >= 80, "{slow} slow of {}", report.latency.len());
    }
}

#[tokio::test]
async fn a_stall_longer_than_the_limit_times_out_all_that_was_due() {
    let origin = Origin::start().await.unwrap();
    origin.stall();
    let plan = Plan {
        connections: 2,
        rate: Some(100.0),
        duration: Some(Duration::from_millis(400)),
        timeout: Duration::from_millis(300),
        ..Plan::new(origin.url("/"))
    };
    let report = load::run(plan).await.unwrap();
    assert_eq!(
        (report.requests, report.failed_by(FailureKind::Timeout)),
        (40, 40),
        "{report:?}"
    );
    assert_eq!(report.latency.len(), 40);
}
