//! Rate limits over real sockets: keys, responses over the limit, and what a reload keeps.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::{
    jwt::{Setup, bearer},
    support::{
        Proxy,
        client::{Answer, H2, full, request},
        recording::Recording,
        tokens::{claims_with, corp, signer},
        wait_for,
        wire::{Wire, header, status},
    },
};

/// An hour long, so that nothing comes back while a test runs.
fn limited(app: &Recording, limits: &str, rest: &str) -> String {
    let port = app.port();
    format!(
        "app: {{ port: {port} }}\nlisteners: [{{ port: 0 }}]\nrateLimits: {{ {limits} }}\n{rest}"
    )
}

fn get(address: SocketAddr, path: &str, fields: &str) -> String {
    Wire::connect(address)
        .ask(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n"))
        .0
}

fn statuses<const N: usize>(address: SocketAddr, fields: [&str; N]) -> [u16; N] {
    fields.map(|fields| status(&get(address, "/", fields)))
}

#[test]
fn a_burst_passes_and_the_next_request_gets_429_and_never_reaches_the_app() {
    let app = Recording::ok();
    let limits = "a: { requests: 1, per: 1h, burst: 3, key: clientIP }";
    let proxy = Proxy::start(&limited(&app, limits, "defaults: { rateLimits: [a] }\n"));
    assert_eq!(statuses(proxy.inbound(), [""; 3]), [200; 3]);
    let mut wire = Wire::connect(proxy.inbound());
    let (head, body) = wire.ask("GET /x HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(
        (status(&head), header(&head, "x-outrigger-overloaded")),
        (429, None),
        "{head}"
    );
    let seconds: u64 = header(&head, "retry-after").unwrap().parse().unwrap();
    assert!(
        (3_500..=3_600).contains(&seconds),
        "an hour less what has passed: {head}"
    );
    assert!(
        body.starts_with(r#"{"error":"too many requests","requestId":""#),
        "{body}"
    );
    assert_eq!(
        status(&wire.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").0),
        429,
        "the connection stays"
    );
    let line = proxy.logged(|line| line["path"] == "/x");
    assert_eq!(
        (
            &line["flag"],
            &line["reason"],
            &line["rule"],
            &line["upstream"]
        ),
        (
            &json!("RL"),
            &json!("rate_limit.exceeded"),
            &json!("a"),
            &Value::Null
        )
    );
    assert_eq!(app.messages().len(), 3);
    wait_for("the last refusal to be counted", || {
        let series = r#"outrigger_requests_total{listener="in-0",route="app",upstream="none",status="429",flag="RL"}"#;
        (proxy.metric(series) == 2.0).then_some(())
    });
}

#[test]
fn tokens_come_back() {
    let app = Recording::ok();
    let limits = "a: { requests: 1, per: 100ms, key: global }";
    let proxy = Proxy::start(&limited(&app, limits, "defaults: { rateLimits: [a] }\n"));
    wait_for("a refusal", || {
        (status(&get(proxy.inbound(), "/", "")) == 429).then_some(())
    });
    wait_for("a token", || {
        (status(&get(proxy.inbound(), "/", "")) == 200).then_some(())
    });
}

#[test]
fn each_value_of_a_header_counts_alone_and_requests_without_it_together() {
    let app = Recording::ok();
    let limits = "a: { requests: 1, per: 1h, key: { header: x-tenant } }";
    let proxy = Proxy::start(&limited(&app, limits, "defaults: { rateLimits: [a] }\n"));
    let (a, b) = ("x-tenant: a\r\n", "x-tenant: b\r\n");
    assert_eq!(
        statuses(proxy.inbound(), [a, b, a, "", b, ""]),
        [200, 200, 429, 200, 429, 429]
    );
}

#[test]
fn ten_thousand_other_keys_do_not_refill_the_bucket_of_a_client() {
    const BATCH: usize = 100;
    let app = Recording::ok();
    let limits = "a: { requests: 2, per: 1h, key: { header: x-tenant } }";
    let routes = "routes: [{ name: r, rateLimits: [a], directResponse: { status: 200 } }]\n";
    let proxy = Proxy::start(&limited(&app, limits, routes));
    let debtor = "x-tenant: debtor\r\n";
    assert_eq!(statuses(proxy.inbound(), [debtor; 3]), [200, 200, 429]);
    let mut wire = Wire::connect(proxy.inbound());
    for batch in 0..105 {
        let keys = (0..BATCH).map(|one| batch * BATCH + one);
        let requests: String = keys
            .map(|key| format!("GET / HTTP/1.1\r\nhost: a\r\nx-tenant: {key}\r\n\r\n"))
            .collect();
        wire.send(requests);
        for _ in 0..BATCH {
            let head = wire.head();
            assert_eq!(status(&head), 200, "{head}");
            wire.exactly(
                header(&head, "content-length")
                    .unwrap_or("0")
                    .parse()
                    .unwrap(),
            );
        }
    }
    assert_eq!(statuses(proxy.inbound(), [debtor]), [429]);
}

#[test]
fn an_address_counts_behind_a_trusted_peer_and_cannot_be_made_up() {
    let app = Recording::ok();
    let limits = "a: { requests: 1, per: 1h, key: clientIP }";
    let rest = "defaults: { rateLimits: [a] }\n";
    let text = limited(&app, limits, rest);
    let trusting = text.replace(
        "[{ port: 0 }]",
        "[{ port: 0, clientAddress: { trustedCIDRs: [127.0.0.0/8] } }]",
    );
    let fields = [
        "x-forwarded-for: 2001:db8::1\r\n",
        "x-forwarded-for: 2001:db8::2\r\n",
        "x-forwarded-for: 2001:db8:0:1::1\r\n",
        "x-forwarded-for: 192.0.2.1\r\n",
        "x-forwarded-for: 192.0.2.2\r\n",
    ];
    let (trusting, distrusting) = (Proxy::start(&trusting), Proxy::start(&text));
    assert_eq!(
        statuses(trusting.inbound(), fields),
        [200, 429, 200, 200, 200]
    );
    assert_eq!(
        statuses(distrusting.inbound(), fields),
        [200, 429, 429, 429, 429]
    );
}

#[test]
fn a_claim_counts_after_the_token_was_verified_and_an_address_before() {
    let setup = Setup::start(&corp(
        "rateLimits:\n  user: { requests: 1, per: 1h, key: { claim: sub } }\n  \
         all: { requests: 6, per: 1h, key: global }\ndefaults: { rateLimits: [user, all] }\n",
    ));
    let as_user = |user: &str| bearer(&signer().token(&claims_with(json!({ "sub": user }))));
    let (alice, bob) = (as_user("alice"), as_user("bob"));
    let asked = [
        &alice,
        &bob,
        &alice,
        "",
        &bob,
        "authorization: Bearer x.y.z\r\n",
        &alice,
        "",
    ];
    let expected = [200, 200, 429, 401, 429, 401, 429, 429];
    assert_eq!(asked.map(|fields| setup.status("/", fields)), expected);
    assert_eq!(setup.app.messages().len(), 2);
}

#[test]
fn a_report_lets_through_counts_and_names_the_limit() {
    let app = Recording::ok();
    let limits = "soft: { requests: 1, per: 1h, key: global, mode: report }";
    let proxy = Proxy::start(&limited(&app, limits, "defaults: { rateLimits: [soft] }\n"));
    for (number, expected) in [(0, None), (1, Some("rate_limit.exceeded"))] {
        let path = format!("/{number}");
        assert_eq!(status(&get(proxy.inbound(), &path, "")), 200);
        let line = proxy.logged(|line| line["path"] == *path);
        assert_eq!(
            (line["wouldDeny"].as_str(), &line["flag"]),
            (expected, &json!(""))
        );
        assert_eq!(line["rule"].as_str(), expected.map(|_| "soft"));
    }
    let series = r#"outrigger_would_deny_total{route="app",reason="rate_limit.exceeded"}"#;
    assert_eq!(proxy.metric(series), 1.0);
    wait_for("the operational log", || {
        proxy.stderr().contains("rate_limit.exceeded").then_some(())
    });
}

#[test]
fn a_route_replaces_the_list_and_one_limit_counts_for_all_its_routes() {
    let app = Recording::ok();
    let limits =
        "a: { requests: 2, per: 1h, key: global }, b: { requests: 1, per: 1h, key: global }";
    let routes = "defaults: { rateLimits: [a] }\nroutes:\n- { name: rest }\n\
        - { name: same, matches: [{ path: /same }] }\n\
        - { name: other, matches: [{ path: /other }], rateLimits: [b] }\n\
        - { name: free, matches: [{ path: /free }], rateLimits: [] }\n\
        - { name: old, matches: [{ path: /old }], rateLimits: [b], requestRedirect: { path: { replaceFull: /new } } }\n";
    let proxy = Proxy::start(&limited(&app, limits, routes));
    for (path, expected) in [
        ("/", 200),
        ("/same", 200),
        ("/same", 429),
        ("/", 429),
        ("/other", 200),
        ("/other", 429),
        ("/old", 429),
        ("/free", 200),
        ("/free", 200),
    ] {
        assert_eq!(status(&get(proxy.inbound(), path, "")), expected, "{path}");
    }
}

#[test]
fn outbound_routes_are_limited_only_where_they_say_so() {
    let app = Recording::ok();
    let yaml = format!(
        "listeners: [{{ name: out, direction: outbound, port: 0 }}]\nupstreams: {{ far: {{ endpoints: [{{ url: \"http://127.0.0.1:{}\" }}] }} }}\n\
         rateLimits: {{ a: {{ requests: 1, per: 1h, key: global }} }}\ndefaults: {{ rateLimits: [a] }}\nroutes:\n\
         - {{ name: free, listeners: [out], backendRefs: [far] }}\n\
         - {{ name: paid, listeners: [out], matches: [{{ path: /paid }}], backendRefs: [far], rateLimits: [a] }}\n",
        app.port()
    );
    let proxy = Proxy::start(&yaml);
    let ask = |path| status(&get(proxy.address("out"), path, ""));
    assert_eq!(["/", "/", "/paid", "/paid"].map(ask), [200, 200, 200, 429]);
}

#[tokio::test]
async fn a_grpc_call_hears_resource_exhausted() {
    let app = Recording::ok();
    let limits = "a: { requests: 1, per: 1h, key: global }";
    let proxy = Proxy::start(&limited(&app, limits, "defaults: { rateLimits: [a] }\n"));
    let mut client = H2::connect(proxy.inbound()).await;
    assert_eq!(client.get("/").await.status, 200);
    let call = request("POST", "/p.S/C")
        .header("content-type", "application/grpc")
        .body(full(""))
        .unwrap();
    let answer = Answer::of(client.send(call).await).await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, "8"));
    assert!(!answer.header("retry-after").is_empty());
}

/// All workers count in one bucket, whatever connection a request comes over.
#[test]
fn two_workers_keep_one_limit() {
    let app = Recording::ok();
    let limits = "a: { requests: 40, per: 1h, key: clientIP }";
    let yaml = limited(&app, limits, "defaults: { rateLimits: [a] }\nworkers: 2\n");
    let proxy = Proxy::start(&yaml);
    let asked = (0..60).map(|_| status(&get(proxy.inbound(), "/", "")));
    let granted = asked.filter(|status| *status == 200).count();
    assert_eq!((granted, app.messages().len()), (40, 40));
}

#[test]
fn buckets_outlive_a_reload_that_leaves_their_limit_alone() {
    let app = Recording::ok();
    let limits =
        "a: { requests: 1, per: 1h, key: global }, b: { requests: 1, per: 1h, key: global }";
    let routes = "routes:\n- { name: a, matches: [{ path: /a }], rateLimits: [a] }\n\
                  - { name: b, matches: [{ path: /b }], rateLimits: [b] }\n";
    let text = limited(&app, limits, routes);
    let proxy = Proxy::start(&text);
    let ask = || ["/a", "/b"].map(|path| status(&get(proxy.inbound(), path, "")));
    assert_eq!((ask(), ask()), ([200, 200], [429, 429]));
    proxy.reload_with(&text.replace(
        "- { name: a",
        "- { name: first, matches: [{ path: /0 }] }\n- { name: a",
    ));
    assert_eq!(ask(), [429, 429]);
    proxy.reload_with(&text.replace("b: { requests: 1", "b: { requests: 2"));
    assert_eq!((ask(), ask(), ask()), ([429, 200], [429, 200], [429, 429]));
}
