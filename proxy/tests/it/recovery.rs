//! The app goes and comes back.

use std::time::Duration;

use http::StatusCode;
use outrigger_loadtest::load::{self, Plan, Protocol};

use crate::support::{
    PATIENCE, Proxy, get,
    live::{KeepAlive, block_on, stop},
    origin, wait_for,
};

#[test]
fn two_hundred_restarts_of_the_app_under_load_hang_nothing_and_recover_at_once() {
    const ROUNDS: usize = 200;
    let mut origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    let plan = |protocol| {
        let mut plan = Plan::new(proxy.url("in-0", "/"));
        (plan.protocol, plan.connections, plan.timeout) = (protocol, 4, PATIENCE);
        (plan.rate, plan.duration) = (Some(100.0), Some(Duration::from_secs(600)));
        plan.expect.statuses = vec![
            StatusCode::OK,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        plan.retry_stale = false; // the proxy has no reason to close a connection of its client
        plan
    };
    let loads = [Protocol::Http1, Protocol::Http2 { streams: 2 }]
        .map(|one| load::start(plan(one)).unwrap());
    let mut client = KeepAlive::new(proxy.address("in-0"));
    for _ in 0..ROUNDS {
        block_on(origin.stop());
        let down = client.get("/").status;
        assert!(matches!(down, 502 | 503), "{down}");
        block_on(origin.restart()).unwrap();
        assert_eq!(
            client.get("/").status,
            200,
            "the first request after the restart"
        );
    }
    for report in loads.map(stop) {
        assert!(report.is_clean(), "{:#}", report.to_json());
        assert!(report.statuses[&200] > 0, "{:#}", report.to_json());
    }
}

#[test]
fn without_its_app_the_proxy_is_not_ready_but_alive_and_started() {
    let mut origin = origin();
    let yaml = format!(
        "app: {{ port: {}, readiness: {{ interval: 50ms }} }}\nlisteners: [{{ port: 0 }}]\n",
        origin.address().port()
    );
    let proxy = Proxy::start(&yaml);
    let ask = |path: &str| get(proxy.address("status"), path);
    for path in ["/readyz", "/livez", "/startupz"] {
        assert_eq!(ask(path).0, 200, "{path}");
    }
    block_on(origin.stop());
    let (status, reason) = wait_for("not ready", || {
        Some(ask("/readyz")).filter(|(status, _)| *status != 200)
    });
    assert_eq!(status, 503);
    assert!(
        reason.starts_with("app not ready: Connection refused"),
        "{reason}"
    );
    assert_eq!((ask("/livez").0, ask("/startupz").0), (200, 200));
    let metrics = ask("/metrics");
    assert_eq!(metrics.0, 200);
    block_on(origin.restart()).unwrap();
    wait_for("ready again", || (ask("/readyz").0 == 200).then_some(()));
}

#[test]
fn the_proxy_starts_before_its_app() {
    let mut origin = origin();
    block_on(origin.stop());
    let proxy = Proxy::in_front_of(&origin);
    assert_eq!(
        get(proxy.address("status"), "/startupz").0,
        200,
        "the app starts only after its sidecar"
    );
    assert_eq!(get(proxy.address("in-0"), "/").0, 502);
    block_on(origin.restart()).unwrap();
    assert_eq!(get(proxy.address("in-0"), "/").0, 200);
}
