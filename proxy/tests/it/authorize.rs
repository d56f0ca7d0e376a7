//! Rules of routes over real sockets. `docs/security.md` 8 to 10.

use serde_json::{Value, json};

use crate::{
    jwt::{Setup, bearer},
    support::{
        Proxy,
        client::{Answer, H2, full, request},
        pki::{Ca, Wanted},
        recording::Recording,
        tls::Client,
        tokens::{claims_with, corp, signer},
        wait_for,
        wire::{Wire, header, status},
    },
};

const RULES: &str = "routes:\n- name: app\n  authorize:\n    mode: MODE\n    rules:\n\
    \x20   - { name: no-bots, action: deny, when: { claims: { client_type: bot } } }\n\
    \x20   - { name: writers, action: allow, when: { scopes: [orders.read, orders.admin], claims: { groups: [sre, ops] } } }\n\
    \x20   - { name: readers, action: allow, when: { methods: [GET, HEAD], claims: { groups: { regex: \"dev-.*\" } } } }\n";

fn rules(mode: &str) -> String {
    corp(&RULES.replace("MODE", mode))
}

fn token(more: Value) -> String {
    signer().token(&claims_with(more))
}

/// Method, claims, and the reason with the rule; empty for what gets in.
fn cases() -> [(&'static str, Value, &'static str, Option<&'static str>); 8] {
    [
        ("GET", json!({ "groups": "dev-a" }), "", None),
        (
            "POST",
            json!({ "groups": ["x", "sre"], "scope": "orders.admin orders.read x" }),
            "",
            None,
        ),
        (
            "POST",
            json!({ "groups": "ops", "scp": ["orders.read", "orders.admin"] }),
            "",
            None,
        ),
        (
            "POST",
            json!({ "groups": "ops", "scope": "orders.read" }),
            "authorize.insufficient_scope",
            None,
        ),
        (
            "POST",
            json!({ "groups": "dev-a" }),
            "authorize.not_allowed",
            None,
        ),
        ("GET", json!({}), "authorize.not_allowed", None),
        (
            "GET",
            json!({ "groups": "dev-a", "client_type": "bot" }),
            "authorize.denied",
            Some("no-bots"),
        ),
        (
            "GET",
            json!({ "groups": "dev-a", "client_type": ["human", "bot"] }),
            "authorize.denied",
            Some("no-bots"),
        ),
    ]
}

#[test]
fn deny_beats_allow_and_what_no_allow_rule_takes_is_refused() {
    let setup = Setup::start(&rules("enforce"));
    let mut wire = Wire::connect(setup.proxy.inbound());
    for (number, (method, claims, reason, rule)) in cases().into_iter().enumerate() {
        let fields = bearer(&token(claims.clone()));
        let (head, body) = wire.ask(&format!(
            "{method} /{number} HTTP/1.1\r\nhost: a\r\n{fields}\r\n"
        ));
        let line = setup.logged(&format!("/{number}"));
        assert_eq!(line["rule"].as_str(), rule, "{claims}");
        if reason.is_empty() {
            assert_eq!(
                (status(&head), &line["flag"]),
                (200, &json!("")),
                "{method} {claims}"
            );
            continue;
        }
        assert_eq!(status(&head), 403, "{method} {claims}");
        assert_eq!(
            (&line["flag"], &line["reason"]),
            (&json!("UZ"), &json!(reason)),
            "{claims}"
        );
        assert!(
            !body.contains("rule") && !body.contains("authorize"),
            "{body}"
        );
        let challenge = (reason == "authorize.insufficient_scope")
            .then_some("Bearer error=\"insufficient_scope\"");
        assert_eq!(header(&head, "www-authenticate"), challenge);
    }
    assert_eq!(setup.app.messages().len(), 3);
}

#[test]
fn a_report_lets_through_counts_and_names_the_rule() {
    let setup = Setup::start(&rules("report"));
    for (number, (method, claims, reason, rule)) in cases().into_iter().enumerate() {
        let fields = bearer(&token(claims.clone()));
        let mut wire = Wire::connect(setup.proxy.inbound());
        let (head, _) = wire.ask(&format!(
            "{method} /{number} HTTP/1.1\r\nhost: a\r\n{fields}\r\n"
        ));
        let line = setup.logged(&format!("/{number}"));
        assert_eq!((status(&head), &line["flag"]), (200, &json!("")));
        assert_eq!(
            (
                line["wouldDeny"].as_str().unwrap_or(""),
                line["rule"].as_str()
            ),
            (reason, rule),
            "{claims}"
        );
    }
    for (reason, count) in [
        ("authorize.denied", 2.0),
        ("authorize.not_allowed", 2.0),
        ("authorize.insufficient_scope", 1.0),
    ] {
        let series = format!(r#"outrigger_would_deny_total{{route="app",reason="{reason}"}}"#);
        assert_eq!(setup.proxy.metric(&series), count, "{reason}");
    }
    let told = wait_for("the operational log", || {
        let told = setup.proxy.stderr();
        told.contains("authorize.insufficient_scope")
            .then_some(told)
    });
    assert!(
        told.contains("let through by mode: report") && told.contains("route=app"),
        "{told}"
    );
    // A bad token is still a 401: only the rules are tried out.
    assert_eq!(setup.status("/", &bearer("x.y.z")), 401);
}

#[tokio::test]
async fn a_grpc_call_hears_permission_denied() {
    let setup = Setup::start(&rules("enforce"));
    let mut client = H2::connect(setup.proxy.inbound()).await;
    let call = request("POST", "/pkg.Service/Call")
        .header("content-type", "application/grpc")
        .header("authorization", format!("Bearer {}", token(json!({}))));
    let answer = Answer::of(client.send(call.body(full("")).unwrap()).await).await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, "7"));
}

/// The address is that of the client behind trusted proxies, and cannot be made up.
#[test]
fn ranges_hold_for_the_address_that_may_be_believed() {
    let rules = "routes:\n- name: app\n  authorize:\n    rules:\n\
                 \x20   - { name: office, action: allow, when: { sourceCIDRs: [203.0.113.0/24] } }\n";
    let trusting = "{ port: 0, clientAddress: { trustedCIDRs: [127.0.0.0/8, \"::1/128\"] } }";
    let (trusting, distrusting) = (Setup::with_listener(trusting, rules), Setup::start(rules));
    for (fields, trusted, distrusted) in [
        ("x-forwarded-for: 203.0.113.7\r\n", 200, 403),
        ("x-forwarded-for: 203.0.113.7, 198.51.100.1\r\n", 403, 403),
        ("x-forwarded-for: 198.51.100.1, 203.0.113.7\r\n", 200, 403),
        (
            "x-real-ip: 203.0.113.7\r\nforwarded: for=203.0.113.7\r\n",
            403,
            403,
        ),
        ("", 403, 403),
    ] {
        assert_eq!(
            (
                trusting.status("/", fields),
                distrusting.status("/", fields)
            ),
            (trusted, distrusted),
            "{fields}"
        );
    }
}

#[test]
fn names_of_certificates_are_matched_segment_by_segment() {
    let (servers, clients) = (Ca::new("Servers"), Ca::new("Clients"));
    let app = Recording::ok();
    let proxy = Proxy::asking_clients(
        (&servers, &clients),
        app.port(),
        "routes:\n- name: app\n  auth: { anyOf: [mtls] }\n  authorize:\n    rules:\n\
         \x20   - { name: ops, action: allow, when: { clientCert: { subjectAltNames: [\"spiffe://prod/ns/ops/sa/*\", \"**.ops.example\"] } } }\n\
         \x20   - { name: old, action: deny, when: { clientCert: { subjectAltNames: [\"spiffe://prod/**/old\"] } } }\n",
    );
    for (wanted, expected) in [
        (Wanted::client("a").uri("spiffe://prod/ns/ops/sa/api"), 200),
        (
            Wanted::client("a").uri("spiffe://prod/ns/ops/sa/api/x"),
            403,
        ),
        (Wanted::client("a").uri("spiffe://prod/ns/dev/sa/api"), 403),
        (Wanted::client("a").uri("spiffe://prod/ns/ops/sa/old"), 403),
        (Wanted::client("a").dns("x.y.ops.example"), 200),
        (Wanted::client("a").dns("x.ops.example.evil"), 403),
        // The common name decides nothing.
        (Wanted::client("spiffe://prod/ns/ops/sa/api"), 403),
        (Wanted::client("x.ops.example"), 403),
    ] {
        let leaf = clients.sign(wanted);
        assert_eq!(
            Client::mutual(&servers, &leaf)
                .get(proxy.inbound(), "/")
                .unwrap()
                .status,
            expected
        );
    }
    assert_eq!(
        Client::new(&servers)
            .get(proxy.inbound(), "/")
            .unwrap()
            .status,
        403,
        "no certificate at all"
    );
}

#[test]
fn rules_stand_before_redirects_and_fixed_answers_too() {
    let routes = "routes:\n\
        - { name: old, matches: [{ path: /old }], requestRedirect: { path: { replaceFull: /new } }, authorize: { rules: [{ name: no-gets, action: deny, when: { methods: [GET] } }] } }\n\
        - { name: gone, matches: [{ path: /gone }], directResponse: { status: 410 }, authorize: { rules: [{ name: no-gets, action: deny, when: { methods: [GET] } }] } }\n";
    let setup = Setup::start(routes);
    for (path, expected) in [("/old", 302), ("/gone", 410)] {
        assert_eq!(setup.status(path, ""), 403);
        let mut wire = Wire::connect(setup.proxy.inbound());
        let (head, _) = wire.ask(&format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
        ));
        assert_eq!(status(&head), expected);
    }
}
