//! What `GET /status` says of endpoints, and an endpoint that comes back slowly.

use std::{sync::atomic::Ordering, thread, time::Duration};

use serde_json::Value;

use super::{Backend, GET, failures, statuses, yaml};
use crate::support::{
    Proxy, origin, wait_for,
    wire::{Wire, status},
};

fn endpoints(proxy: &Proxy) -> Vec<Value> {
    proxy.status()["upstreams"]["u"]["endpoints"]
        .as_array()
        .unwrap()
        .clone()
}

#[test]
fn status_says_what_endpoints_do_and_why_one_gets_nothing() {
    let (bad, good) = (Backend::start(500), origin());
    let urls = [bad.url(), good.url("")];
    let rules = ", loadBalancer: { policy: roundRobin }, healthCheck: { tcp: true }, \
                 outlierDetection: { consecutiveErrors: 1, baseEjectionTime: 60s }";
    let text = yaml(&urls, rules).replacen("\" }", "\", weight: 3 }", 1);
    let proxy = Proxy::start(&text);
    let fresh = endpoints(&proxy);
    for (one, url) in fresh.iter().zip(&urls) {
        assert_eq!(
            one["endpoint"],
            url.trim_start_matches("http://").trim_end_matches('/'),
            "{one}"
        );
        assert_eq!(
            (&one["ejected"], &one["healthy"]),
            (&Value::Null, &Value::Bool(true)),
            "{one}"
        );
        assert_eq!(
            (&one["inFlight"], &one["connections"]),
            (&0.into(), &0.into()),
            "{one}"
        );
        assert!(
            one.get("slowStartPercent").is_none() && one.get("dns").is_none(),
            "{one}"
        );
    }
    assert_eq!(
        (&fresh[0]["weight"], &fresh[1]["weight"]),
        (&3.into(), &1.into())
    );

    assert_eq!(failures(&statuses(&proxy, 8)), 1);
    good.stall();
    let mut held: Vec<Wire> = (0..3).map(|_| Wire::connect(proxy.inbound())).collect();
    held.iter_mut().for_each(|wire| wire.send(GET));
    // A request is in flight from the moment its endpoint is chosen, and its connection is there a moment later.
    let busy = wait_for("three requests on three connections", || {
        let all = endpoints(&proxy);
        (all[1]["inFlight"] == 3 && all[1]["connections"] == 3).then_some(all)
    });
    assert_eq!(busy[0]["ejected"]["ejections"], 1, "{busy:?}");
    let left = busy[0]["ejected"]["remainingSeconds"].as_f64().unwrap();
    assert!(left > 30.0 && left <= 60.0, "{left}");
    assert_eq!(proxy.status()["upstreams"]["u"]["inUse"]["requests"], 3);
    good.resume();
    held.iter_mut()
        .for_each(|wire| assert_eq!(status(&wire.answer().0), 200));
    wait_for("the end of all", || {
        (endpoints(&proxy)[1]["inFlight"] == 0).then_some(())
    });
    drop(good);
    wait_for("connections that end with it", || {
        statuses(&proxy, 1);
        (endpoints(&proxy)[1]["connections"] == 0).then_some(())
    });
}

#[test]
fn an_endpoint_that_comes_back_gets_more_and_more() {
    let backends = [Backend::start(500), Backend::start(200)];
    let urls = backends.each_ref().map(Backend::url);
    let rules = ", loadBalancer: { policy: roundRobin, slowStart: 4s }, \
                 outlierDetection: { consecutiveErrors: 1, baseEjectionTime: 200ms }";
    let proxy = Proxy::start(&yaml(&urls, rules));
    assert_eq!(
        endpoints(&proxy)[0]["slowStartPercent"],
        100.0,
        "those that begin together are none of them new"
    );
    assert_eq!(failures(&statuses(&proxy, 4)), 1);
    backends[0].answer_with(200);
    let hits = || backends[0].hits.load(Ordering::SeqCst);
    let share = || {
        let percent = endpoints(&proxy)[0]["slowStartPercent"].as_f64().unwrap();
        let before = hits();
        statuses(&proxy, 200);
        (percent, (hits() - before) as f64 / 200.0)
    };
    let first = wait_for("its return", || {
        statuses(&proxy, 1);
        (endpoints(&proxy)[0]["ejected"].is_null()).then(share)
    });
    let mut seen = vec![first];
    while seen.last().is_some_and(|(percent, _)| *percent < 100.0) {
        thread::sleep(Duration::from_millis(200));
        seen.push(share());
    }
    let (last, end) = (seen[seen.len() - 1].1, 0.5);
    assert!(
        (last - end).abs() < 0.02,
        "as one of two in the end: {seen:?}"
    );
    // Each share lies between what the percentage was before and what it was after the requests.
    for pair in seen.windows(2) {
        let [(from, share), (to, _)] = [pair[0], pair[1]];
        // A turn that is missed is the other one's, so that a share of w is w of 1 + w.
        let of_turns = |percent: f64| percent / (100.0 + percent);
        assert!(
            share >= of_turns(from) - 0.12 && share <= of_turns(to) + 0.12,
            "{share} of {from}..{to}: {seen:?}"
        );
    }
    assert!(seen[0].0 < 100.0, "it began small: {seen:?}");
}
