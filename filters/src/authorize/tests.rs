use std::rc::Rc;

use http::Response;
use outrigger_config::model::{ClaimMatch, Mode, SanPattern};
use serde_json::json;
use tower::service_fn;

use super::*;
use crate::{
    claims::tests::{TestClaims, exact, path},
    error::Error,
    service::{Body, BoxService, Request},
    step::{Step, Steps},
};

fn rule(name: &str, action: RuleAction, set: impl FnOnce(&mut AuthorizeRule)) -> AuthorizeRule {
    let mut rule = AuthorizeRule::new(name.into(), action);
    set(&mut rule);
    rule
}

fn claim(member: &str, text: &str) -> ClaimMatch {
    ClaimMatch::new(path(&[member]), vec![exact(text)])
}

fn rules(rules: Vec<AuthorizeRule>) -> Rules {
    Rules::new(&model::Authorize::new(Mode::Enforce, rules))
}

/// One decision in words: `allow`, or the reason, with the rule that denied.
fn decide(
    rules: &Rules,
    method: &str,
    claims: serde_json::Value,
    san: &str,
    address: &str,
) -> String {
    let identity = Identity {
        uris: vec![san.into()],
        ..Identity::default()
    };
    let subject = Subject {
        method: &method.parse().unwrap(),
        claims: &TestClaims(claims),
        identity: (!san.is_empty()).then_some(&identity),
        address: address.parse().unwrap(),
    };
    match rules.decide(&subject) {
        Decision::Allow => "allow".to_owned(),
        Decision::Deny {
            rule: Some(rule),
            reason,
        } => format!("{} {rule}", reason.as_str()),
        Decision::Deny { rule: None, reason } => reason.as_str().to_owned(),
    }
}

#[test]
fn the_keys_of_a_rule_must_all_hold_of_a_list_one_item_of_scopes_all() {
    let sre = rule("sre-write", RuleAction::Allow, |rule| {
        rule.methods = vec![Method::GET, Method::POST];
        rule.scopes = vec!["orders.read".into(), "orders.admin".into()];
        rule.claims = vec![claim("groups", "sre"), claim("tenant", "a")];
        rule.subject_alt_names = vec![
            SanPattern::new("spiffe://prod/*"),
            SanPattern::new("spiffe://ops/**"),
        ];
        rule.source_cidrs = vec![
            Cidr::new([10, 0, 0, 0].into(), 8),
            Cidr::new([192, 168, 0, 0].into(), 16),
        ];
    });
    let rules = rules(vec![sre]);
    let good =
        json!({"scope": "orders.admin orders.read", "groups": ["dev", "sre"], "tenant": "a"});
    for (method, claims, san, address, expected) in [
        ("GET", good.clone(), "spiffe://prod/a", "10.1.2.3", "allow"),
        (
            "POST",
            good.clone(),
            "spiffe://ops/a/b",
            "192.168.1.1",
            "allow",
        ),
        (
            "PUT",
            good.clone(),
            "spiffe://prod/a",
            "10.1.2.3",
            Reason::AuthorizeNotAllowed.as_str(),
        ),
        (
            "GET",
            good.clone(),
            "spiffe://prod/a/b",
            "10.1.2.3",
            Reason::AuthorizeNotAllowed.as_str(),
        ),
        (
            "GET",
            good.clone(),
            "",
            "10.1.2.3",
            Reason::AuthorizeNotAllowed.as_str(),
        ),
        (
            "GET",
            good.clone(),
            "spiffe://prod/a",
            "11.1.2.3",
            Reason::AuthorizeNotAllowed.as_str(),
        ),
        (
            "GET",
            json!({}),
            "spiffe://prod/a",
            "10.1.2.3",
            Reason::AuthorizeNotAllowed.as_str(),
        ),
        (
            "GET",
            json!({"scope": "orders.read orders.admin", "groups": "sre"}),
            "spiffe://prod/a",
            "10.1.2.3",
            Reason::AuthorizeNotAllowed.as_str(),
        ),
        (
            "GET",
            json!({"scope": "orders.read", "groups": "sre", "tenant": "a"}),
            "spiffe://prod/a",
            "10.1.2.3",
            Reason::AuthorizeInsufficientScope.as_str(),
        ),
        (
            "GET",
            json!({"scope": "orders.read", "groups": "dev", "tenant": "a"}),
            "spiffe://prod/a",
            "10.1.2.3",
            Reason::AuthorizeNotAllowed.as_str(),
        ),
    ] {
        assert_eq!(
            decide(&rules, method, claims.clone(), san, address),
            expected,
            "{method} {claims} {san}"
        );
    }
}

#[test]
fn deny_beats_allow_in_whatever_order_they_stand() {
    let no_bots = rule("no-bots", RuleAction::Deny, |rule| {
        rule.claims = vec![claim("client_type", "bot")]
    });
    let all = rule("all", RuleAction::Allow, |_| {});
    for order in [vec![no_bots.clone(), all.clone()], vec![all, no_bots]] {
        let rules = rules(order);
        assert_eq!(
            decide(&rules, "GET", json!({"client_type": "bot"}), "", "::1"),
            "authorize.denied no-bots"
        );
        assert_eq!(
            decide(&rules, "GET", json!({"client_type": "human"}), "", "::1"),
            "allow"
        );
        assert_eq!(decide(&rules, "GET", json!({}), "", "::1"), "allow");
    }
}

#[test]
fn without_an_allow_rule_what_is_not_denied_is_allowed() {
    let rules = rules(vec![
        rule("writes", RuleAction::Deny, |rule| {
            rule.methods = vec![Method::POST]
        }),
        rule("outside", RuleAction::Deny, |rule| {
            rule.source_cidrs = vec![Cidr::new([203, 0, 113, 0].into(), 24)];
        }),
    ]);
    assert_eq!(decide(&rules, "GET", json!({}), "", "10.0.0.1"), "allow");
    assert_eq!(
        decide(&rules, "POST", json!({}), "", "10.0.0.1"),
        "authorize.denied writes"
    );
    assert_eq!(
        decide(&rules, "GET", json!({}), "", "203.0.113.9"),
        "authorize.denied outside"
    );
    assert_eq!(
        decide(&rules, "GET", json!({}), "", "::ffff:203.0.113.9"),
        "authorize.denied outside"
    );
}

#[test]
fn a_deny_rule_with_scopes_denies_only_clients_with_all_of_them() {
    let rules = rules(vec![rule("both", RuleAction::Deny, |rule| {
        rule.scopes = vec!["a".into(), "b".into()]
    })]);
    assert_eq!(
        decide(&rules, "GET", json!({"scope": "a b c"}), "", "::1"),
        "authorize.denied both"
    );
    assert_eq!(
        decide(&rules, "GET", json!({"scope": "a"}), "", "::1"),
        "allow"
    );
}

#[test]
fn another_allow_rule_is_tried_when_one_lacks_scopes() {
    let rules = rules(vec![
        rule("scoped", RuleAction::Allow, |rule| {
            rule.scopes = vec!["a".into()]
        }),
        rule("readers", RuleAction::Allow, |rule| {
            rule.methods = vec![Method::GET]
        }),
    ]);
    assert_eq!(decide(&rules, "GET", json!({}), "", "::1"), "allow");
    assert_eq!(
        decide(&rules, "POST", json!({"scope": "a"}), "", "::1"),
        "allow"
    );
    assert_eq!(
        decide(&rules, "POST", json!({"scope": "b"}), "", "::1"),
        Reason::AuthorizeInsufficientScope.as_str()
    );
}

/// The step with this rule in front of a service that answers 200.
async fn answer(
    mode: Mode,
    only: AuthorizeRule,
    request: Request,
) -> Result<Response<Body>, Error> {
    let step = AuthorizeStep::new(&model::Authorize::new(mode, vec![only]));
    let end = BoxService::new(service_fn(async |_: Request| {
        Ok::<_, Error>(Response::new(Body::Empty))
    }));
    Steps::from_iter([step.boxed()])
        .around(end)
        .answer(request)
        .await
}

/// The same with a rule for a claim and a scope.
async fn through(mode: Mode, request: Request) -> Result<Response<Body>, Error> {
    let only = rule("sre", RuleAction::Allow, |rule| {
        rule.claims = vec![claim("groups", "sre")];
        rule.scopes = vec!["write".into()];
    });
    answer(mode, only, request).await
}

fn with(claims: serde_json::Value) -> Request {
    let request: Request = http::Request::new(Body::Empty).into();
    request.context.claim(TestClaims(claims));
    request
}

#[tokio::test]
async fn what_is_denied_never_reaches_the_next_step() {
    let refused = |claims| async { through(Mode::Enforce, with(claims)).await.unwrap_err() };
    assert!(
        through(
            Mode::Enforce,
            with(json!({"groups": ["sre"], "scope": "write"}))
        )
        .await
        .is_ok()
    );
    let error = refused(json!({"groups": ["sre"]})).await;
    assert!(matches!(
        error,
        Error::Forbidden(Reason::AuthorizeInsufficientScope)
    ));
    let error = refused(json!({"scope": "write"})).await;
    assert!(matches!(
        error,
        Error::Forbidden(Reason::AuthorizeNotAllowed)
    ));
}

#[tokio::test]
async fn the_tokens_of_a_request_count_together() {
    let request = with(json!({"groups": "sre"}));
    request.context.claim(TestClaims(json!({"scope": "write"})));
    assert!(through(Mode::Enforce, request).await.is_ok());
}

#[tokio::test]
async fn a_report_lets_through_and_tells_what_would_have_been() {
    let request = with(json!({}));
    let context = Rc::clone(&request.context);
    assert!(through(Mode::Report, request).await.is_ok());
    assert_eq!(
        (context.would_denies(), context.rule()),
        (vec![Reason::AuthorizeNotAllowed], None)
    );
}

#[tokio::test]
async fn a_deny_rule_is_told_to_the_log_by_name() {
    let no_gets = rule("no-gets", RuleAction::Deny, |rule| {
        rule.methods = vec![Method::GET]
    });
    for mode in [Mode::Enforce, Mode::Report] {
        let request = with(json!({}));
        let context = Rc::clone(&request.context);
        assert_eq!(
            answer(mode, no_gets.clone(), request).await.is_err(),
            mode == Mode::Enforce
        );
        assert_eq!(context.rule(), Some("no-gets"));
    }
}
