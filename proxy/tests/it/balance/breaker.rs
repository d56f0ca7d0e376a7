//! Circuit breakers: requests over a limit are rejected at once, requests over `maxConnections`
//! wait.

use std::time::Duration;

use super::{Backend, GET, failures, statuses, yaml};
use crate::support::{
    Proxy, origin, wait_for,
    wire::{Wire, header, status},
};

fn limited(urls: &[String], limits: &str, more: &str) -> Proxy {
    Proxy::start(&yaml(
        urls,
        &format!(", circuitBreaker: {{ {limits} }}{more}"),
    ))
}

fn in_use(proxy: &Proxy, limit: &str) -> f64 {
    proxy.metric(&format!(
        "outrigger_circuit_breaker_in_use{{upstream=\"u\",limit=\"{limit}\"}}"
    ))
}

fn asked(proxy: &Proxy) -> Wire {
    let mut wire = Wire::connect(proxy.inbound());
    wire.send(GET);
    wire
}

fn assert_refused(proxy: &Proxy, head: &str, reason: &str, detail: &str, limit: &str) {
    assert_eq!(status(head), 503, "{head}");
    assert_eq!(
        (
            header(head, "retry-after"),
            header(head, "x-outrigger-overloaded")
        ),
        (Some("1"), Some("true"))
    );
    let line = proxy.logged(|line| line["status"] == 503);
    assert_eq!(
        (&line["flag"], &line["reason"]),
        (&"UO".into(), &reason.into())
    );
    assert_eq!(line["detail"], detail, "{line}");
    let counted = proxy.metric(&format!(
        "outrigger_circuit_breaker_rejected_total{{upstream=\"u\",limit=\"{limit}\"}}"
    ));
    assert!((counted - 1.0).abs() < 0.5, "{counted}");
}

#[test]
fn requests_over_the_limit_get_503_uo_until_one_has_ended() {
    let origin = origin();
    let proxy = limited(&[origin.url("")], "maxRequests: 2", "");
    origin.stall();
    let mut held = [asked(&proxy), asked(&proxy)];
    wait_for("both to be under way", || {
        (in_use(&proxy, "requests") > 1.5).then_some(())
    });
    let mut third = Wire::connect(proxy.inbound());
    let (head, body) = third.ask(GET);
    assert!(body.contains("upstream overloaded"), "{body}");
    assert_refused(
        &proxy,
        &head,
        "upstream.max_requests",
        "requests in flight: 2",
        "requests",
    );
    origin.resume();
    held.iter_mut()
        .for_each(|wire| assert_eq!(status(&wire.answer().0), 200));
    assert_eq!(status(&third.ask(GET).0), 200);
    wait_for("the end of all", || {
        (in_use(&proxy, "requests") < 0.5).then_some(())
    });
    assert_eq!(origin.hits(), 3);
}

#[test]
fn requests_wait_for_a_connection_and_take_over_the_one_there_is() {
    let origin = origin();
    let proxy = limited(
        &[origin.url("")],
        "maxConnections: 1, maxPendingRequests: 2",
        "",
    );
    origin.stall();
    let mut first = asked(&proxy);
    wait_for("it to be under way", || (origin.hits() == 1).then_some(()));
    let mut waiting = [asked(&proxy), asked(&proxy)];
    wait_for("two that wait", || {
        (in_use(&proxy, "pending") > 1.5).then_some(())
    });
    let (head, _) = Wire::connect(proxy.inbound()).ask(GET);
    let detail = "connections open: 1, requests waiting: 2";
    assert_refused(
        &proxy,
        &head,
        "upstream.max_pending_requests",
        detail,
        "pending",
    );
    assert!((in_use(&proxy, "connections") - 1.0).abs() < 0.5);
    origin.resume();
    assert_eq!(status(&first.answer().0), 200);
    waiting
        .iter_mut()
        .for_each(|wire| assert_eq!(status(&wire.answer().0), 200));
    assert_eq!((origin.hits(), origin.stats().connections), (3, 1));
    assert!(in_use(&proxy, "pending") < 0.5);
}

#[test]
fn without_pending_requests_the_connection_limit_rejects() {
    let origin = origin();
    let proxy = limited(
        &[origin.url("")],
        "maxConnections: 1, maxPendingRequests: 0",
        "",
    );
    origin.stall();
    let mut first = asked(&proxy);
    wait_for("it to be under way", || (origin.hits() == 1).then_some(()));
    let (head, _) = Wire::connect(proxy.inbound()).ask(GET);
    let detail = "connections open: 1, requests waiting: 0";
    assert_refused(
        &proxy,
        &head,
        "upstream.max_pending_requests",
        detail,
        "pending",
    );
    origin.resume();
    assert_eq!(status(&first.answer().0), 200);
}

#[test]
fn a_client_that_goes_away_while_it_waits_makes_room() {
    let origin = origin();
    let proxy = limited(
        &[origin.url("")],
        "maxConnections: 1, maxPendingRequests: 1",
        "",
    );
    origin.stall();
    let mut first = asked(&proxy);
    wait_for("it to be under way", || (origin.hits() == 1).then_some(()));
    let gone = asked(&proxy);
    wait_for("one that waits", || {
        (in_use(&proxy, "pending") > 0.5).then_some(())
    });
    drop(gone);
    wait_for("its end", || {
        (in_use(&proxy, "pending") < 0.5).then_some(())
    });
    let mut next = asked(&proxy);
    wait_for("another one", || {
        (in_use(&proxy, "pending") > 0.5).then_some(())
    });
    origin.resume();
    assert_eq!(
        (status(&first.answer().0), status(&next.answer().0)),
        (200, 200)
    );
    assert_eq!(origin.hits(), 2);
}

#[test]
fn an_idle_connection_makes_room_for_one_to_another_endpoint() {
    let backends = [
        Backend::start(200),
        Backend::start(200),
        Backend::start(200),
    ];
    let urls = backends.each_ref().map(Backend::url);
    let proxy = limited(
        &urls,
        "maxConnections: 1",
        ", loadBalancer: { policy: roundRobin }",
    );
    assert_eq!(failures(&statuses(&proxy, 30)), 0);
    assert!(backends.iter().all(|one| one.hits() == 10));
    assert!(in_use(&proxy, "connections") < 1.5);
}

#[test]
fn an_idle_connection_of_another_worker_makes_room_too() {
    let backend = Backend::start(200);
    let text = yaml(&[backend.url()], ", circuitBreaker: { maxConnections: 1 }");
    let proxy = Proxy::start(&text.replace("workers: 1", "workers: 2"));
    for _ in 0..30 {
        let mut wire = Wire::connect(proxy.inbound());
        wire.send(GET);
        assert!(
            !wire.is_silent_for(Duration::from_secs(10)),
            "no connection is given up for it"
        );
        assert_eq!(status(&wire.answer().0), 200);
    }
    assert_eq!(backend.hits(), 30);
}

#[test]
fn the_app_has_no_breaker() {
    let origin = origin();
    let proxy = Proxy::in_front_of(&origin);
    assert_eq!(status(&Wire::connect(proxy.inbound()).ask(GET).0), 200);
    assert!(
        !proxy
            .metrics()
            .contains("outrigger_circuit_breaker_in_use{upstream=\"app\"")
    );
}
