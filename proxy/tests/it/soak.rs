//! `docs/security.md` 26: mixed load for a long time, with reloads and failing upstreams all the while: memory and
//! descriptors stay flat, and every answer is accounted for.
//!
//! `OUTRIGGER_SOAK_SECONDS=3600 cargo test --release -p outrigger --test it soak -- --nocapture` is the hour; without
//! the variable it is some seconds, so that what it checks is checked with every change.

use std::time::Duration;

use http::{Method, StatusCode};
use outrigger_loadtest::load::{self, Plan, Protocol, Running};
use tokio::time::Instant;

use crate::support::{
    PATIENCE, Proxy,
    live::{block_on, stop},
    origin, wait_for,
};

/// A short soak, for every day.
const SHORT: Duration = Duration::from_secs(12);

/// One reload, and one end and start of the failing upstream, in so many.
const ROUND: Duration = Duration::from_millis(300);

fn soak_for() -> Duration {
    let seconds = std::env::var("OUTRIGGER_SOAK_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    seconds.map_or(SHORT, Duration::from_secs)
}

fn config(app: u16, flaky: u16, round: usize) -> String {
    format!(
        "app: {{ port: {app} }}
listeners: [{{ name: in, port: 0 }}]
upstreams: {{ flaky: {{ endpoints: [{{ url: \"http://127.0.0.1:{flaky}\" }}] }} }}
routes:
  - {{ name: app }}
  - {{ name: flaky, matches: [{{ path: /bytes/77 }}], backendRefs: [flaky] }}
  - {{ name: said, matches: [{{ path: /said }}], directResponse: {{ status: 200, body: \"{round}\" }} }}
telemetry: {{ accessLog: {{ samplePercent: 1 }} }}
reload: {{ watch: false, poll: 0s }}
"
    )
}

/// Kinds of load that one proxy sees at once.
fn loads(proxy: &Proxy) -> Vec<Running> {
    let http2 = Protocol::Http2 { streams: 4 };
    let plan = |path: &str, protocol, rate| {
        let mut plan = Plan::new(proxy.url("in", path));
        (plan.protocol, plan.connections, plan.rate) = (protocol, 4, Some(rate));
        plan.duration = Some(soak_for() + Duration::from_secs(3600)); // it is stopped
        plan.timeout = PATIENCE;
        plan.retry_stale = false; // the proxy has no reason to close a connection of its client
        plan
    };
    let mut plans = vec![
        plan("/bytes/100", Protocol::Http1, 200.0),
        plan("/bytes/100", http2, 200.0),
        plan("/bytes/300000", Protocol::Http1, 20.0),
        plan("/bytes/300000", http2, 20.0),
        plan("/said", http2, 20.0),
        plan("/drip/5/50", Protocol::Http1, 10.0),
    ];
    for protocol in [Protocol::Http1, http2] {
        let mut upload = plan("/echo", protocol, 20.0);
        (upload.method, upload.body_size) = (Method::POST, Some(100_000));
        plans.push(upload);
        let mut flaky = plan("/bytes/77", protocol, 50.0);
        flaky.expect.statuses = vec![
            StatusCode::OK,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        plans.push(flaky);
    }
    plans
        .into_iter()
        .map(|plan| load::start(plan).unwrap())
        .collect()
}

/// Open descriptors of the proxy.
fn descriptors(proxy: &Proxy) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", proxy.pid()))
        .unwrap()
        .count()
}

/// Requests that the proxy counted, over all series.
fn counted(proxy: &Proxy) -> u64 {
    let page = proxy.metrics();
    let series = page
        .lines()
        .filter(|line| line.starts_with("outrigger_requests_total{listener=\"in\""));
    series
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        .sum()
}

#[test]
fn a_long_mixed_load_with_reloads_and_failing_upstreams_leaks_and_loses_nothing() {
    let (app, mut flaky) = (origin(), origin());
    let (app_port, flaky_port) = (app.address().port(), flaky.address().port());
    let proxy = Proxy::start(&config(app_port, flaky_port, 0));
    let began = Instant::now();
    let running = loads(&proxy);
    let (mut round, mut early) = (0, None);
    while began.elapsed() < soak_for() {
        round += 1;
        proxy.reload_with(&config(app_port, flaky_port, round));
        match round % 2 {
            0 => block_on(flaky.restart()).unwrap(),
            _ => block_on(flaky.stop()),
        }
        std::thread::sleep(ROUND);
        if early.is_none() && began.elapsed() > soak_for() / 4 {
            early = Some((proxy.rss_kib(), descriptors(&proxy)));
        }
    }
    let (early_rss, early_descriptors) = early.expect("a soak has more than four rounds");
    let (late_rss, late_descriptors) = (proxy.rss_kib(), descriptors(&proxy));
    let mut sent = 0;
    for report in running.into_iter().map(stop) {
        assert!(report.is_clean(), "{:#}", report.to_json());
        sent += report.requests;
    }
    println!(
        "{round} reloads, {sent} requests: {early_rss} KiB and {early_descriptors} descriptors after a quarter, \
         {late_rss} KiB and {late_descriptors} at the end"
    );
    assert!(
        late_rss < early_rss + 8 * 1024,
        "{early_rss} KiB became {late_rss} KiB"
    );
    assert!(
        late_descriptors < early_descriptors + 64,
        "{early_descriptors} became {late_descriptors}"
    );
    wait_for("every request to be counted", || {
        (counted(&proxy) == sent).then_some(())
    });
    assert_eq!(proxy.metric("outrigger_panics_total"), 0.0);
    assert_eq!(proxy.metric("outrigger_access_log_dropped_total"), 0.0);
}
