//! Claims as headers for the app, and as conditions of routes.

use serde_json::json;

use super::{Setup, ask, bearer, good};
use crate::support::{
    Proxy,
    client::{Answer, H2, full, request},
    keys::{KeyServer, Reply},
    origin,
    tokens::{ISSUER, Signer, claims, claims_of, claims_with, corp, jwks, signer},
    wire::{Wire, status},
};

const HEADERS: &str = "    claimHeaders: { x-user-id: sub, x-tenant: org.tenant, x-scopes: scope, x-roles: '[\"https://e.example/roles\"]' }\n";

#[test]
fn the_app_reads_verified_claims_in_headers() {
    let setup = Setup::start(&corp(HEADERS));
    let token = signer().token(&claims_with(json!({
        "org": { "tenant": "acme" }, "scope": "a b", "https://e.example/roles": ["admin", "dev"],
    })));
    let got = setup.handed_over("/", &bearer(&token));
    for (name, value) in [
        ("x-user-id", "alice"),
        ("x-tenant", "acme"),
        ("x-scopes", "a b"),
        ("x-roles", "admin,dev"),
    ] {
        assert_eq!(got.all(name), [value], "{name}");
    }
    let got = setup.handed_over("/", &bearer(&good()));
    assert_eq!(
        (got.all("x-user-id"), got.all("x-tenant")),
        (vec!["alice"], vec![])
    );
}

/// `docs/security.md` 6: on every route, open ones too.
#[test]
fn what_a_client_sends_under_such_a_name_never_reaches_the_app() {
    let routes = "routes:\n- { name: open, matches: [{ path: /open }], auth: none }\n\
                  - { name: maybe, matches: [{ path: /maybe }], auth: { optional: [corp] } }\n- { name: app }\n";
    let forged = "X-User-Id: mallory\r\nx-user-id: mallory\r\nx-tenant: evil\r\nx-user_id: mallory\r\n\
                  X_USER_ID: mallory\r\nx-other: 1\r\nconnection: x-user-id\r\n";
    for underscores in ["keep", "drop"] {
        let setup = Setup::with_listener(
            &format!(
                "{{ port: 0, underscoreHeaders: {underscores}, clientAddress: {{ trustedCIDRs: [127.0.0.0/8, \"::1/128\"] }} }}"
            ),
            &corp(&(HEADERS.to_owned() + routes)),
        );
        for (path, fields, expected) in [
            ("/open", String::new(), vec![]),
            ("/open", bearer(&good()), vec![]),
            ("/maybe", String::new(), vec![]),
            ("/maybe", bearer(&good()), vec!["alice"]),
            ("/", bearer(&good()), vec!["alice"]),
        ] {
            let got = setup.handed_over(path, &(fields + forged));
            assert_eq!(
                (got.all("x-user-id"), got.all("x-other")),
                (expected, vec!["1"]),
                "{path}"
            );
            assert!(
                got.fields
                    .iter()
                    .all(|(_, value)| value != "mallory" && value != "evil"),
                "{got:?}"
            );
        }
    }
}

#[tokio::test]
async fn nor_over_http2_nor_as_a_trailer() {
    let setup = Setup::start(&corp(
        &(HEADERS.to_owned() + "routes: [{ name: app, auth: none }]\n"),
    ));
    let mut client = H2::connect(setup.proxy.inbound()).await;
    let forged = request("GET", "/")
        .header("x-user-id", "mallory")
        .header("x-tenant", "evil")
        .body(full(""))
        .unwrap();
    assert_eq!(Answer::of(client.send(forged).await).await.status, 200);
    let mut wire = Wire::connect(setup.proxy.inbound());
    let (head, _) = wire.ask(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: x-user-id, x-sum\r\n\r\n\
         1\r\na\r\n0\r\nx-user-id: mallory\r\nx-user_id: mallory\r\nx-sum: 1\r\n\r\n",
    );
    assert_eq!(status(&head), 200, "{head}");
    let messages = setup.app.messages();
    assert!(
        messages
            .iter()
            .all(|one| one.all("x-user-id").is_empty() && one.all("x-tenant").is_empty())
    );
    assert_eq!(messages[1].trailers, [("x-sum".to_owned(), "1".to_owned())]);
}

#[test]
fn claims_of_a_token_that_would_only_be_reported_are_not_handed_over() {
    let setup = Setup::start(&corp(
        &(HEADERS.to_owned() + "routes: [{ name: app, auth: { anyOf: [corp], mode: report } }]\n"),
    ));
    let expired = signer().token(&claims_with(json!({ "exp": 1 })));
    assert!(
        setup
            .handed_over("/", &bearer(&expired))
            .all("x-user-id")
            .is_empty()
    );
    assert_eq!(
        setup.handed_over("/", &bearer(&good())).all("x-user-id"),
        ["alice"]
    );
}

#[test]
fn a_route_may_change_what_the_app_reads_but_not_who_asked() {
    let setup = Setup::start(&corp(
        &(HEADERS.to_owned()
            + "routes: [{ name: app, requestHeaders: { set: { x-env: prod }, remove: [x-tenant] } }]\n"),
    ));
    let token = signer().token(&claims_with(json!({ "org": { "tenant": "acme" } })));
    let got = setup.handed_over("/", &bearer(&token));
    assert_eq!(
        (got.all("x-env"), got.all("x-user-id"), got.all("x-tenant")),
        (vec!["prod"], vec!["alice"], vec![])
    );
}

/// Routes that answer with their own name.
fn steering() -> String {
    let named = |name: &str, rest: &str| {
        format!("- {{ name: {name}, {rest}, directResponse: {{ status: 200, body: {name} }} }}\n")
    };
    [
        named("beta", "matches: [{ path: /o, claims: { plan: beta } }]"),
        named(
            "beta-sre",
            "matches: [{ path: /o, claims: { plan: beta, groups: sre } }]",
        ),
        named(
            "tenant",
            "matches: [{ path: /o, claims: { org.tenant: { regex: \"[a-z]+\" } } }]",
        ),
        named(
            "query",
            "matches: [{ path: /o, queryParams: { v: \"2\" } }]",
        ),
        named(
            "open",
            "matches: [{ path: /o, claims: { plan: free } }], auth: none",
        ),
        named("plain", "matches: [{ path: /o }], auth: none"),
    ]
    .concat()
}

#[test]
fn a_route_is_chosen_by_verified_claims_and_a_bad_token_matches_nothing() {
    let setup = Setup::start(&corp(&format!("routes:\n{}", steering())));
    let token = |more| signer().token(&claims_with(more));
    for (target, token, expected) in [
        ("/o", token(json!({ "plan": "beta" })), "beta"),
        (
            "/o",
            token(json!({ "plan": "beta", "groups": ["dev", "sre"] })),
            "beta-sre",
        ),
        ("/o?v=2", token(json!({ "plan": "beta" })), "query"),
        (
            "/o",
            token(json!({ "org": { "tenant": "acme" } })),
            "tenant",
        ),
        ("/o", token(json!({ "org": { "tenant": "ACME" } })), "plain"),
        ("/o", token(json!({ "plan": "free" })), "open"),
        ("/o", token(json!({ "plan": "none" })), "plain"),
        ("/o", token(json!({ "plan": "beta", "exp": 1 })), "plain"),
        (
            "/o",
            token(json!({ "plan": "beta", "aud": "other" })),
            "plain",
        ),
        (
            "/o",
            Signer::new("main").token(&claims_with(json!({ "plan": "beta" }))),
            "plain",
        ),
        ("/o", String::new(), "plain"),
    ] {
        let fields = if token.is_empty() {
            String::new()
        } else {
            bearer(&token)
        };
        let (head, body) = setup.ask(target, &fields);
        let got = if status(&head) == 200 { body } else { head };
        assert_eq!(got, expected, "{target} {token}");
    }
}

#[test]
fn claims_of_a_provider_that_the_route_does_not_take_do_not_steer() {
    let partner = Signer::new("partner");
    let issuer = "https://partner.example/";
    let routes = "routes:\n\
        - { name: beta, matches: [{ path: /, claims: { plan: beta } }], auth: { anyOf: [corp] }, directResponse: { status: 200, body: beta } }\n\
        - { name: all, auth: { anyOf: [corp, partner] }, directResponse: { status: 200, body: all } }\n";
    let setup = Setup::start(&format!(
        "{}  partner:\n    issuer: {issuer}\n    audiences: [orders-api]\n    jwks: {{ inline: '{}' }}\n{routes}",
        corp(""),
        jwks(&[&partner])
    ));
    let mut theirs = claims_of(issuer);
    theirs["plan"] = "beta".into();
    assert_eq!(setup.ask("/", &bearer(&partner.token(&theirs))).1, "all");
    assert_eq!(
        setup
            .ask(
                "/",
                &bearer(&signer().token(&claims_with(json!({ "plan": "beta" }))))
            )
            .1,
        "beta"
    );
}

/// The choice waits for the keys that a token names, as authentication does.
#[test]
fn a_token_of_a_new_key_steers_by_the_fetch_it_causes() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let server = KeyServer::plain(jwks(&[&old]));
    let origin = origin();
    let proxy = Proxy::start(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\njwtProviders:\n  corp:\n    issuer: {ISSUER}\n    \
         audiences: [orders-api]\n    jwks: {{ url: \"{}\", allowInsecure: true }}\nroutes:\n{}",
        origin.address().port(),
        server.url("/keys"),
        steering()
    ));
    let beta = |signer: &Signer| bearer(&signer.token(&claims_with(json!({ "plan": "beta" }))));
    assert_eq!(ask(&proxy, "/o", &beta(&old)).1, "beta");
    let set = jwks(&[&old, &new]);
    server.answer_with(move |_| Reply::Json(set.clone()));
    assert_eq!(ask(&proxy, "/o", &beta(&new)).1, "beta");
    assert_eq!(server.requests(), 2);
    assert_eq!(ask(&proxy, "/o", &beta(&Signer::new("unknown"))).1, "plain");
    assert_eq!(ask(&proxy, "/o", &bearer(&new.token(&claims()))).1, "plain");
}
