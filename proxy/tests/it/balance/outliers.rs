//! Outlier detection: failing endpoints are ejected, tried again, and restored.

use std::time::Duration;

use super::{Backend, GET, failures, statuses, yaml};
use crate::support::{
    Proxy, live, wait_for,
    wire::{App, Wire},
};

const RULES: &str =
    "loadBalancer: { policy: roundRobin }, outlierDetection: { consecutiveErrors: 3, ";

fn ejected(proxy: &Proxy, url: &str) -> bool {
    let endpoint = url.trim_start_matches("http://");
    let series = format!("outrigger_endpoint_ejected{{upstream=\"u\",endpoint=\"{endpoint}\"}}");
    proxy.metric(&series) > 0.5
}

fn ejections(proxy: &Proxy) -> f64 {
    proxy.metric("outrigger_outlier_ejections_total{upstream=\"u\"}")
}

#[test]
fn an_endpoint_that_answers_500_is_left_out_after_so_many_and_the_log_says_why() {
    let backends = [
        Backend::start(500),
        Backend::start(200),
        Backend::start(200),
    ];
    let urls = backends.each_ref().map(Backend::url);
    let proxy = Proxy::start(&yaml(&urls, &format!(", {RULES} baseEjectionTime: 60s }}")));
    assert!(!ejected(&proxy, &urls[0]));
    assert_eq!(failures(&statuses(&proxy, 100)), 3);
    assert_eq!(backends[0].hits(), 3);
    assert!(ejected(&proxy, &urls[0]) && !ejected(&proxy, &urls[1]));
    assert!((ejections(&proxy) - 1.0).abs() < 0.5);
    let told = wait_for("the line about it", || {
        let text = proxy.stderr();
        text.lines()
            .find(|line| line.contains("ejected for 60 s"))
            .map(str::to_owned)
    });
    let endpoint = urls[0].trim_start_matches("http://");
    for part in [
        "upstream=u",
        endpoint,
        "3 consecutive failures",
        "the last one responded with status 500",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn a_success_between_failures_prevents_the_ejection() {
    let backends = [Backend::start(200), Backend::start(200)];
    let urls = backends.each_ref().map(Backend::url);
    let proxy = Proxy::start(&yaml(&urls, &format!(", {RULES} baseEjectionTime: 60s }}")));
    for _ in 0..10 {
        backends[0].answer_with(500);
        assert_eq!(failures(&statuses(&proxy, 4)), 2);
        backends[0].answer_with(200);
        assert_eq!(failures(&statuses(&proxy, 2)), 0);
    }
    assert!(!ejected(&proxy, &urls[0]));
}

#[test]
fn no_connection_and_no_answer_are_failures_too() {
    let closing = App::start(|mut wire, _| drop(wire.head()));
    let silent = App::start(|mut wire, _| while !wire.head().is_empty() {});
    for (bad, flag) in [
        (
            format!("http://127.0.0.1:{}", live::free_port()),
            "upstream.connect_failed",
        ),
        (format!("http://{}", closing.address), "upstream.closed"),
        (
            format!("http://{}", silent.address),
            "timeout.backend_request",
        ),
    ] {
        let good = Backend::start(200);
        let urls = [bad, good.url()];
        let mut yaml = yaml(&urls, &format!(", {RULES} baseEjectionTime: 60s }}"));
        yaml.push_str("defaults: { timeouts: { backendRequest: 200ms } }\n");
        let proxy = Proxy::start(&yaml);
        statuses(&proxy, 20);
        assert!(ejected(&proxy, &urls[0]), "{flag}");
        assert_eq!(failures(&statuses(&proxy, 20)), 0, "{flag}");
    }
}

#[test]
fn one_request_tries_an_ejected_endpoint_again_before_the_others() {
    let backends = [Backend::start(503), Backend::start(200)];
    let urls = backends.each_ref().map(Backend::url);
    let proxy = Proxy::start(&yaml(
        &urls,
        &format!(", {RULES} baseEjectionTime: 300ms }}"),
    ));
    assert_eq!(failures(&statuses(&proxy, 20)), 3);
    let mut before = backends[0].hits();
    assert_eq!(before, 3);
    // Each round of tries finds it broken with one request, and the next ejection is longer.
    wait_for("two failed tries", || {
        let failed = failures(&statuses(&proxy, 4));
        let hits = backends[0].hits();
        assert!(
            failed <= 1 && hits - before == failed,
            "{failed} failed, {hits} hits"
        );
        before = hits;
        (hits == 5).then_some(())
    });
    backends[0].answer_with(200);
    wait_for("its return", || {
        assert_eq!(failures(&statuses(&proxy, 4)), 0);
        (!ejected(&proxy, &urls[0])).then_some(())
    });
    let hits = backends[0].hits();
    statuses(&proxy, 20);
    assert_eq!(backends[0].hits() - hits, 10, "as one of two again");
    wait_for("the line about it", || {
        proxy.stderr().contains("is back in use").then_some(())
    });
}

#[test]
fn the_last_one_stays_and_so_does_more_than_the_share() {
    let single = Backend::start(500);
    let proxy = Proxy::start(&yaml(
        &[single.url()],
        ", outlierDetection: { maxEjectionPercent: 100 }",
    ));
    assert_eq!(statuses(&proxy, 20), [500; 20]);
    assert_eq!(single.hits(), 20);

    let backends = [
        Backend::start(500),
        Backend::start(500),
        Backend::start(500),
        Backend::start(200),
    ];
    let urls = backends.each_ref().map(Backend::url);
    let proxy = Proxy::start(&yaml(&urls, &format!(", {RULES} baseEjectionTime: 60s }}")));
    statuses(&proxy, 100);
    let out: Vec<bool> = urls.iter().map(|url| ejected(&proxy, url)).collect();
    assert_eq!(
        out.iter().filter(|out| **out).count(),
        2,
        "50 % of four: {out:?}"
    );
    assert!(!out[3]);
}

#[test]
fn when_too_few_are_well_all_are_used_unless_that_is_switched_off() {
    for (panic, hits) in [("", true), (", panicPercent: 0", false)] {
        let backends = [
            Backend::start(500),
            Backend::start(500),
            Backend::start(200),
        ];
        let urls = backends.each_ref().map(Backend::url);
        let proxy = Proxy::start(&yaml(
            &urls,
            &format!(
                ", loadBalancer: {{ policy: roundRobin{panic} }}, \
                 outlierDetection: {{ consecutiveErrors: 1, maxEjectionPercent: 90, baseEjectionTime: 60s }}"
            ),
        ));
        statuses(&proxy, 12);
        assert!(ejected(&proxy, &urls[0]) && ejected(&proxy, &urls[1]));
        let before = backends[0].hits() + backends[1].hits();
        statuses(&proxy, 30);
        let more = backends[0].hits() + backends[1].hits() - before;
        assert_eq!(
            more,
            if hits { 20 } else { 0 },
            "one of three is a third, {panic:?}"
        );
    }
}

#[test]
fn a_client_that_goes_away_says_nothing_about_the_endpoint() {
    let silent = App::start(|mut wire, _| while !wire.head().is_empty() {});
    let good = Backend::start(200);
    let urls = [format!("http://{}", silent.address), good.url()];
    let proxy = Proxy::start(&yaml(&urls, &format!(", {RULES} baseEjectionTime: 60s }}")));
    for number in 1..=12 {
        let mut wire = Wire::connect(proxy.inbound());
        wire.send(GET);
        if wire.is_silent_for(Duration::from_millis(100)) {
            drop(wire);
        }
        wait_for("the end of it", || {
            (proxy.stdout().lines().count() >= number).then_some(())
        });
    }
    assert!(silent.connections() >= 3);
    assert!(!ejected(&proxy, &urls[0]));
}

#[test]
fn a_body_that_breaks_is_a_failure() {
    let broken =
        App::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n");
    let good = Backend::start(200);
    let urls = [format!("http://{}", broken.address), good.url()];
    let proxy = Proxy::start(&yaml(&urls, &format!(", {RULES} baseEjectionTime: 60s }}")));
    for _ in 0..8 {
        let mut wire = Wire::connect(proxy.inbound());
        wire.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        wire.rest();
    }
    assert!(ejected(&proxy, &urls[0]));
}

#[test]
fn a_reload_keeps_what_is_known_unless_the_upstream_changed() {
    let backends = [Backend::start(500), Backend::start(200)];
    let urls = backends.each_ref().map(Backend::url);
    let rules = format!(", {RULES} baseEjectionTime: 60s }}");
    let proxy = Proxy::start(&yaml(&urls, &rules));
    statuses(&proxy, 20);
    assert!(ejected(&proxy, &urls[0]));
    proxy.reload_with(&format!(
        "{}- {{ name: more, matches: [{{ path: /more }}], backendRefs: [u] }}\n",
        yaml(&urls, &rules).replace(
            "routes: [{ name: u, backendRefs: [u] }]",
            "routes:\n- { name: u, backendRefs: [u] }"
        )
    ));
    assert_eq!(proxy.generation(), 2);
    assert!(
        ejected(&proxy, &urls[0]),
        "another route is no reason to forget"
    );
    assert_eq!(failures(&statuses(&proxy, 20)), 0);
    proxy.reload_with(&yaml(&urls, &rules.replace("60s", "61s")));
    assert!(!ejected(&proxy, &urls[0]), "other rules begin anew");
    assert_eq!(failures(&statuses(&proxy, 20)), 3);
}
