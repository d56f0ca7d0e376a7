//! What rules and the app see of a token.

use std::sync::Arc;

use http::HeaderName;
use outrigger_config::{
    model::{ClaimHeader, ClaimMatch, ClaimPath, Pattern, ValueMatch},
    strict_json::Json,
};
use serde_json::{Value, json};

use super::forge::*;
use crate::{
    claims::{ClaimRule, Claims},
    jwt::VerifiedToken,
};

fn path(members: &[&str]) -> ClaimPath {
    ClaimPath::new(
        members
            .iter()
            .map(|member| Arc::from(*member))
            .collect::<Vec<Arc<str>>>(),
    )
}

fn verified(more: &Value) -> VerifiedToken {
    let mut claims = claims();
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    verify(&provider(), &all_keys(), &token(&claims.to_string()), None).unwrap()
}

#[test]
fn rules_see_texts_numbers_and_elements_but_no_objects() {
    let token = verified(&json!({
        "plan": "beta", "level": 3, "ratio": 1.5, "whole": 2.0, "admin": true, "none": null, "negative": -7,
        "groups": ["sre", 7, true, { "a": 1 }, ["deep"]], "org": { "tenant": "t", "a.b": "dotted" }, "a.b": "top",
        "big": u64::MAX, "huge": 1e300, "empty": [],
    }));
    let exact = |text: &str| ValueMatch::Exact(text.into());
    let regex = |source: &str| ValueMatch::Regex(Pattern::new(source).unwrap());
    for (claim, value, expected) in [
        (&["plan"][..], exact("beta"), true),
        (&["plan"], exact("Beta"), false),
        (&["plan"], regex("be.."), true),
        (&["plan"], regex("be"), false),
        (&["level"], exact("3"), true),
        (&["level"], exact("3.0"), false),
        (&["ratio"], exact("1.5"), true),
        (&["whole"], exact("2.0"), true),
        (&["negative"], exact("-7"), true),
        (&["admin"], exact("true"), true),
        (&["none"], exact("null"), false),
        (&["none"], ValueMatch::Present, false),
        (&["groups"], exact("sre"), true),
        (&["groups"], exact("7"), true),
        (&["groups"], exact("deep"), false),
        (&["groups"], regex(".*a.*"), false),
        (&["empty"], regex(".*"), false),
        (&["empty"], ValueMatch::Present, true),
        (&["org", "tenant"], exact("t"), true),
        (&["org", "a.b"], exact("dotted"), true),
        (&["org", "tenant", "x"], ValueMatch::Present, false),
        (&["org"], regex(".*"), false),
        (&["org"], ValueMatch::Present, true),
        (&["a.b"], exact("top"), true),
        (&["a", "b"], ValueMatch::Present, false),
        (&["big"], exact("18446744073709551615"), true),
        // An f64 of this size stands for many integers.
        (&["huge"], regex(".*"), false),
        (&["absent"], ValueMatch::Present, false),
    ] {
        let rule = ClaimRule::new(&ClaimMatch::new(path(claim), vec![value.clone()]));
        assert_eq!(rule.holds(&token), expected, "{claim:?} {value:?}");
    }
    assert_eq!(
        token
            .claim(&path(&["org", "tenant"]))
            .and_then(Json::as_str),
        Some("t")
    );
    assert_eq!(
        (&**token.provider(), token.expires().as_secs()),
        ("corp", NOW + 300)
    );
}

#[test]
fn integers_that_an_f64_would_confuse_are_told_apart_or_not_compared() {
    let text = token(&claims_and(
        r#""a":9007199254740993,"b":18446744073709551617,"c":9007199254740993.0"#,
    ));
    let verified = verify(&provider(), &all_keys(), &text, None).unwrap();
    let holds = |claim: &str, text: &str| verified.any(&path(&[claim]), &mut |value| value == text);
    assert!(holds("a", "9007199254740993") && !holds("a", "9007199254740992"));
    for claim in ["b", "c"] {
        assert!(!verified.any(&path(&[claim]), &mut |_| true), "{claim}");
        assert!(verified.has(&path(&[claim])));
    }
}

#[test]
fn scopes_are_scope_or_else_scp() {
    for (claims, granted) in [
        (json!({ "scope": "read write" }), vec!["read", "write"]),
        (json!({ "scope": ["read", "write"] }), vec!["read", "write"]),
        (json!({ "scp": ["read", "write"] }), vec!["read", "write"]),
        (json!({ "scp": "read write" }), vec!["read", "write"]),
        (json!({ "scope": "read", "scp": ["write"] }), vec!["read"]),
        (json!({ "scope": "", "scp": ["write"] }), vec![]),
        (json!({ "scope": "reader writer" }), vec![]),
        (json!({ "scope": ["read write"] }), vec![]),
        (json!({ "scope": "read,write" }), vec![]),
        (json!({ "scope": 7 }), vec![]),
        (json!({}), vec![]),
    ] {
        let token = verified(&claims);
        let found: Vec<&str> = ["read", "write", ""]
            .into_iter()
            .filter(|scope| token.has_scope(scope))
            .collect();
        assert_eq!(found, granted, "{claims}");
    }
}

#[test]
fn a_claim_is_sent_as_it_is_or_not_at_all() {
    let cases = [
        (json!("alice"), Some("alice")),
        (
            json!("Alice Example <a@example.com>"),
            Some("Alice Example <a@example.com>"),
        ),
        (json!("a,b"), Some("a,b")),
        (json!(7), Some("7")),
        (json!(1.5), Some("1.5")),
        (json!(true), Some("true")),
        (json!(["a", "b", 3]), Some("a,b,3")),
        (json!(["a"]), Some("a")),
        // What would read as something else.
        (json!(["a,admin"]), None),
        (json!(["a", "b,c"]), None),
        (json!(["a", ""]), None),
        (json!(["a", null]), None),
        (json!(["a", ["b"]]), None),
        (json!(["a", { "b": 1 }]), None),
        (json!(" alice"), None),
        (json!("alice "), None),
        (json!(["a", " b"]), None),
        (json!(""), None),
        (json!([]), None),
        (json!(null), None),
        (json!({ "a": 1 }), None),
        (json!(1e300), None),
        // What would leave its field.
        (json!("alice\r\nx-admin: true"), None),
        (json!("alice\nx"), None),
        (json!("alice\rx"), None),
        (json!("alice\u{0}x"), None),
        (json!("alice\tx"), None),
        (json!("alice\u{7f}"), None),
        (json!("Ren\u{e9}"), None),
        (json!("alice\u{560a}x-admin: true"), None),
        (json!("\u{202e}ecila"), None),
        (json!(["a", "b\r\nc"]), None),
    ];
    let mut provider = provider();
    let header = |name: &'static str, claim: &[&str]| {
        ClaimHeader::new(HeaderName::from_static(name), path(claim))
    };
    provider.claim_headers = vec![
        header("x-one", &["one"]),
        header("x-deep", &["deep", "one"]),
        header("x-none", &["absent"]),
    ];
    for (value, expected) in cases {
        let mut claims = claims();
        claims["deep"] = json!({ "one": value });
        claims["one"] = value.clone();
        let verified = verify(&provider, &all_keys(), &token(&claims.to_string()), None).unwrap();
        let sent: Vec<(&str, &str)> = verified
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        let expected: Vec<(&str, &str)> =
            expected.map_or(vec![], |value| vec![("x-one", value), ("x-deep", value)]);
        assert_eq!(sent, expected, "{value}");
    }
}
