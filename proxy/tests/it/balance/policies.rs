//! By what an endpoint is chosen.

use std::{sync::Arc, thread};

use serde_json::Value;

use super::{Backend, failures, statuses, yaml};
use crate::support::{
    Proxy, origin, wait_for,
    wire::{Wire, header, status},
};

/// Which of the backends answered, by the port that it was reached on.
fn served_by(proxy: &Proxy, fields: &str) -> u16 {
    let (head, body) = Wire::connect(proxy.inbound())
        .ask(&format!("GET /headers HTTP/1.1\r\nhost: a\r\n{fields}\r\n"));
    assert_eq!(status(&head), 200, "{head}");
    header(&head, "x-origin").map_or_else(
        || {
            let seen: Value = serde_json::from_str(&body).unwrap();
            panic!("no name in {head}, {seen}")
        },
        |name| name.parse().unwrap(),
    )
}

/// Five origins that say who they are.
fn named() -> Vec<outrigger_loadtest::origin::Origin> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    (0..5)
        .map(|number| {
            let builder = outrigger_loadtest::origin::Origin::builder().name(&number.to_string());
            runtime.block_on(builder.start()).unwrap()
        })
        .collect()
}

/// Enough for a fifth of them to be about a fifth.
const KEYS: usize = 300;

#[test]
fn equal_keys_go_to_one_endpoint_and_when_it_dies_the_others_stay() {
    for (on, field) in [
        ("{ header: x-tenant }", "x-tenant: KEY\r\n"),
        ("{ cookie: sid }", "cookie: a=b; sid=KEY\r\n"),
    ] {
        let mut origins = named();
        let urls: Vec<_> = origins.iter().map(|origin| origin.url("")).collect();
        let proxy = Proxy::start(&yaml(
            &urls,
            &format!(", loadBalancer: {{ policy: consistentHash, hashOn: {on} }}"),
        ));
        let place = |key: usize| served_by(&proxy, &field.replace("KEY", &format!("tenant-{key}")));
        let before: Vec<u16> = (0..KEYS).map(place).collect();
        assert_eq!(before, (0..KEYS).map(place).collect::<Vec<_>>());
        assert!((0..5).all(|number| before.contains(&number)), "{before:?}");
        drop(origins.remove(2));
        let after: Vec<u16> = (0..KEYS).map(place).collect();
        let moved: Vec<_> = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before != after)
            .collect();
        assert!(
            moved.iter().all(|(before, _)| **before == 2),
            "only those of the one that died: {moved:?}"
        );
        // A fifth of 300 are 60, give or take five times the 7 that chance makes of it.
        assert!(
            (25..=95).contains(&moved.len()),
            "{} of {KEYS} moved",
            moved.len()
        );
        let without: Vec<u16> = (0..60).map(|_| served_by(&proxy, "")).collect();
        assert!(
            (0..5).filter(|number| without.contains(number)).count() == 4,
            "anywhere: {without:?}"
        );
    }
}

#[test]
fn one_client_goes_to_one_endpoint_by_its_address() {
    let origins = named();
    let urls: Vec<_> = origins.iter().map(|origin| origin.url("")).collect();
    let proxy = Proxy::start(&yaml(
        &urls,
        ", loadBalancer: { policy: consistentHash, hashOn: clientIP }",
    ));
    let first = served_by(&proxy, "");
    assert!((0..20).all(|_| served_by(&proxy, "") == first));
}

#[test]
fn an_endpoint_that_fails_at_once_gets_no_more_than_its_share() {
    for policy in ["leastRequest", "peakEwma"] {
        let bad = Backend::start(500);
        let good = [origin(), origin()];
        let urls = [bad.url(), good[0].url(""), good[1].url("")];
        let settings = format!(
            ", loadBalancer: {{ policy: {policy} }}, outlierDetection: {{ maxEjectionPercent: 0 }}"
        );
        let proxy = Arc::new(Proxy::start(&yaml(&urls, &settings)));
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let proxy = Arc::clone(&proxy);
                thread::spawn(move || {
                    let mut wire = Wire::connect(proxy.inbound());
                    for _ in 0..60 {
                        wire.ask("GET /delay/5 HTTP/1.1\r\nhost: a\r\n\r\n");
                    }
                })
            })
            .collect();
        clients
            .into_iter()
            .for_each(|client| client.join().unwrap());
        let share = bad.hits() as f64 / 480.0;
        assert!(
            share < 0.42,
            "{policy}: {share} of 480, and a third is 0.33"
        );
    }
}

#[test]
fn a_new_one_among_them_is_found_by_every_policy() {
    for policy in ["roundRobin", "random", "leastRequest", "peakEwma"] {
        let backends = [
            Backend::start(200),
            Backend::start(200),
            Backend::start(200),
        ];
        let urls = backends.each_ref().map(Backend::url);
        let settings = format!(", loadBalancer: {{ policy: {policy}, slowStart: 1s }}");
        let proxy = Proxy::start(&yaml(&urls, &settings));
        // On a busy machine peakEwma may see one slow answer, and come back to that endpoint only later.
        wait_for("every endpoint to be found", || {
            assert_eq!(failures(&statuses(&proxy, 90)), 0, "{policy}");
            backends.iter().all(|one| one.hits() >= 5).then_some(())
        });
    }
}
