//! Every kind of invalid token once: the client gets the same response for all, the log has the
//! reason. `docs/security.md` 11 to 13.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Setup, bearer};
use crate::support::{
    tokens::{ISSUER, Signer, claims, claims_with, encode, jwks, now, signer},
    wire::{Wire, header, status},
};

/// Tokens with the reason in the log.
struct Cases(Vec<(String, &'static str)>);

impl Cases {
    fn add(&mut self, token: impl Into<String>, reason: &'static str) {
        self.0.push((token.into(), reason));
    }

    /// Good claims under this header.
    fn header(&mut self, header: &str, reason: &'static str) {
        self.add(signer().raw(header, &claims().to_string()), reason);
    }

    /// A good header with this beside `alg` and `kid`.
    fn more(&mut self, more: &str, reason: &'static str) {
        self.header(&format!(r#"{{"alg":"ES256","kid":"main",{more}}}"#), reason);
    }

    /// A good header over this payload.
    fn payload(&mut self, payload: &str, reason: &'static str) {
        self.add(signer().raw(&signer().header(), payload), reason);
    }

    /// Good claims but for these.
    fn claims(&mut self, more: Value, reason: &'static str) {
        self.payload(&claims_with(more).to_string(), reason);
    }
}

fn forms(cases: &mut Cases) {
    let good = signer().token(&claims());
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("{good}")
    };
    for (token, reason) in [
        (header.to_owned(), "auth.token_segments"),
        (format!("{header}.{payload}"), "auth.token_segments"),
        (format!("{good}.{signature}"), "auth.token_segments"),
        (
            format!("{good}.{signature}.{header}"),
            "auth.token_segments",
        ),
        (format!("{good}."), "auth.token_segments"),
        (format!(".{good}"), "auth.token_segments"),
        (format!("{good},{good}"), "auth.token_segments"),
        ("..".to_owned(), "auth.token_header"),
        (format!("{header}..{signature}"), "auth.token_payload"),
        (format!("{header}.{payload}."), "auth.signature"),
        (
            format!("{header}=.{payload}.{signature}"),
            "auth.token_encoding",
        ),
        (format!("{good}=="), "auth.token_encoding"),
        (
            format!("{header}.{payload} .{signature}"),
            "auth.token_encoding",
        ),
        (
            format!("{header}\t.{payload}.{signature}"),
            "auth.token_encoding",
        ),
        (format!("\"{good}\""), "auth.token_encoding"),
        (format!("{good}\u{e9}"), "auth.token_encoding"),
        (format!("{good}AAA"), "auth.token_encoding"),
        (good.replace('.', "%2E"), "auth.token_segments"),
        (
            format!(
                "{}.{payload}.{signature}",
                STANDARD.encode(r#"{"alg":"ES256","x":"?>"}"#)
            ),
            "auth.token_encoding",
        ),
        (
            format!("{header}.{}.{signature}", "A".repeat(17 * 1024)),
            "auth.token_too_large",
        ),
        (
            json!({ "payload": payload, "protected": header, "signature": signature }).to_string(),
            "auth.token_segments",
        ),
    ] {
        cases.add(token, reason);
    }
}

fn headers(cases: &mut Cases) {
    for (header, reason) in [
        ("alg: ES256", "auth.token_header"),
        (r#"["ES256"]"#, "auth.token_header"),
        ("{}", "auth.token_header"),
        (r#"{"alg":"ES256"}{}"#, "auth.token_header"),
        (r#"{"alg":null}"#, "auth.token_header"),
        (r#"{"alg":["ES256"]}"#, "auth.token_header"),
        (r#"{"Alg":"ES256","kid":"main"}"#, "auth.token_header"),
        (
            r#"{"alg":"none","alg":"ES256","kid":"main"}"#,
            "auth.duplicate_member",
        ),
        (
            r#"{"\u0061lg":"none","alg":"ES256"}"#,
            "auth.duplicate_member",
        ),
        (r#"{"alg":"ES256","kid":null}"#, "auth.token_header"),
        (r#"{"alg":"ES256","kid":1}"#, "auth.token_header"),
        (r#"{"alg":"ES256","kid":"rsa"}"#, "auth.key_mismatch"),
        (r#"{"alg":"RS256","kid":"main"}"#, "auth.key_mismatch"),
    ] {
        cases.header(header, reason);
    }
    for (more, reason) in [
        (r#""kid":"main""#, "auth.duplicate_member"),
        (r#""crit":["exp"]"#, "auth.critical_header"),
        (r#""crit":["b64"],"b64":true"#, "auth.critical_header"),
        (r#""crit":[]"#, "auth.critical_header"),
        (r#""b64":false"#, "auth.critical_header"),
        (r#""typ":"id+jwt""#, "auth.token_type"),
        (r#""typ":"JOSE""#, "auth.token_type"),
        (r#""typ":7"#, "auth.token_header"),
        (
            r#""x":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]"#,
            "auth.token_header",
        ),
    ] {
        cases.more(more, reason);
    }
    for name in [
        "none", "None", "NONE", "nOnE", "", "es256", "ES512", "HS256", "dir",
    ] {
        let signed = signer().raw(
            &json!({ "alg": name, "kid": "main" }).to_string(),
            &claims().to_string(),
        );
        let unsigned = format!("{}.", signed.rsplit_once('.').unwrap().0);
        cases.add(signed, "auth.algorithm_not_allowed");
        cases.add(unsigned, "auth.algorithm_not_allowed");
    }
    for kid in [
        "",
        "Main",
        "../../../../dev/null",
        "' OR 1=1 --",
        "https://attacker.example/keys",
    ] {
        cases.header(
            &json!({ "alg": "ES256", "kid": kid }).to_string(),
            "auth.unknown_kid",
        );
    }
}

fn signatures(cases: &mut Cases, rsa: &Signer) {
    let (stranger, payload) = (Signer::new("main"), claims().to_string());
    let own_key = json!({ "alg": "ES256", "kid": "main", "jwk": stranger.jwk(), "jku": "https://attacker.example/" });
    for token in [
        stranger.token(&claims()),
        stranger.raw(r#"{"alg":"ES256"}"#, &payload),
        stranger.raw(&own_key.to_string(), &payload),
        format!(
            "{}.{}.{}",
            encode(signer().header()),
            encode(&payload),
            encode([0; 64])
        ),
        format!(
            "{}.{}.{}",
            encode(signer().header()),
            encode(&payload),
            encode([0; 63])
        ),
    ] {
        cases.add(token, "auth.signature");
    }
    let good = signer().token(&claims());
    let [header, _, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("{good}")
    };
    let other = encode(claims_with(json!({ "sub": "mallory" })).to_string());
    cases.add(format!("{header}.{other}.{signature}"), "auth.signature");
    // The public key as the secret of HS256.
    let public = rsa.jwk().to_string();
    let forged = Signer::secret(public.as_bytes()).raw(r#"{"alg":"HS256","kid":"rsa"}"#, &payload);
    cases.add(forged, "auth.algorithm_not_allowed");
}

fn payloads(cases: &mut Cases) {
    for (payload, reason) in [
        ("", "auth.token_payload"),
        ("[]", "auth.token_payload"),
        ("{", "auth.token_payload"),
        ("null", "auth.token_payload"),
    ] {
        cases.payload(payload, reason);
    }
    let good = claims().to_string();
    let twice = format!("{},\"exp\":1}}", good.strip_suffix('}').unwrap());
    cases.payload(&twice, "auth.duplicate_member");
    let nested = format!(
        "{},\"org\":{{\"a\":1,\"a\":2}}}}",
        good.strip_suffix('}').unwrap()
    );
    cases.payload(&nested, "auth.duplicate_member");
    let huge = good.replace(&format!("\"exp\":{}", claims()["exp"]), "\"exp\":1e400");
    assert_ne!(huge, good);
    let not_a_number = good.replace(&format!("\"exp\":{}", claims()["exp"]), "\"exp\":NaN");
    cases.payload(&not_a_number, "auth.token_payload");
    for (more, reason) in [
        (json!({ "exp": null }), "auth.expiry_missing"),
        (json!({ "exp": now() - 31 }), "auth.expired"),
        (json!({ "exp": 0 }), "auth.expired"),
        (json!({ "exp": -1 }), "auth.invalid_time"),
        (
            json!({ "exp": (now() + 300).to_string() }),
            "auth.invalid_time",
        ),
        (json!({ "exp": [now() + 300] }), "auth.invalid_time"),
        (json!({ "exp": true }), "auth.invalid_time"),
        (json!({ "nbf": now() + 600 }), "auth.not_yet_valid"),
        (json!({ "nbf": "now" }), "auth.invalid_time"),
        (json!({ "nbf": -5 }), "auth.invalid_time"),
        (json!({ "iat": now() + 600 }), "auth.issued_in_future"),
        (json!({ "iat": "x" }), "auth.invalid_time"),
        (json!({ "iat": null }), "auth.issue_time_missing"),
        (json!({ "exp": now() + 90_000 }), "auth.lifetime_too_long"),
        (json!({ "aud": null }), "auth.audience_missing"),
        (json!({ "aud": "other-api" }), "auth.audience_mismatch"),
        (json!({ "aud": [] }), "auth.audience_mismatch"),
        (json!({ "aud": "ORDERS-API" }), "auth.audience_mismatch"),
        (json!({ "aud": 7 }), "auth.claim_type"),
        (json!({ "aud": ["orders-api", 7] }), "auth.claim_type"),
        (
            json!({ "iss": "https://login.example.com" }),
            "auth.unknown_issuer",
        ),
        (
            json!({ "iss": "https://evil.example/" }),
            "auth.unknown_issuer",
        ),
        (json!({ "cnf": { "jkt": "x" } }), "auth.binding_unknown"),
        (
            json!({ "cnf": { "x5t#S256": encode([7; 32]) } }),
            "auth.binding_mismatch",
        ),
    ] {
        cases.claims(more, reason);
    }
    cases.claims(json!({ "iss": null }), "auth.issuer_missing");
    cases.claims(json!({ "iss": 7 }), "auth.claim_type");
    cases.claims(json!({ "iss": [ISSUER] }), "auth.claim_type");
}

#[test]
fn they_all_look_the_same_to_the_client_and_the_log_tells_them_apart() {
    let rsa = Signer::rsa("rsa");
    let setup = Setup::start(&format!(
        "jwtProviders:\n  corp:\n    issuer: {ISSUER}\n    audiences: [orders-api]\n    maxLifetime: 24h\n    \
         jwks: {{ inline: '{}' }}\n",
        jwks(&[signer(), &rsa])
    ));
    assert_eq!(
        setup.status("/good", &bearer(&signer().token(&claims()))),
        200
    );
    let mut cases = Cases(vec![(String::new(), "auth.token_segments")]);
    forms(&mut cases);
    headers(&mut cases);
    signatures(&mut cases, &rsa);
    payloads(&mut cases);
    assert!(cases.0.len() >= 80, "{}", cases.0.len());

    let mut wire = Wire::connect(setup.proxy.inbound());
    let mut looks = BTreeSet::new();
    for (number, (token, _)) in cases.0.iter().enumerate() {
        let (head, body) = wire.ask(&format!(
            "GET /bad/{number} HTTP/1.1\r\nhost: a\r\n{}\r\n",
            bearer(token)
        ));
        assert_eq!(status(&head), 401, "{token}: {head}");
        assert!(header(&head, "x-request-id").is_none());
        looks.insert(without_what_differs_always(&head, &body));
    }
    assert_eq!(looks.len(), 1, "{looks:#?}");
    assert_eq!(setup.app.messages().len(), 1, "the good one alone");
    for (number, (token, reason)) in cases.0.iter().enumerate() {
        let line = setup.logged(&format!("/bad/{number}"));
        assert_eq!(
            (&line["flag"], &line["reason"]),
            (&json!("UA"), &json!(reason)),
            "{token}"
        );
    }
}

/// The date of the answer, and the request's id.
fn without_what_differs_always(head: &str, body: &str) -> String {
    let head: String = head
        .lines()
        .filter(|line| !line.to_ascii_lowercase().starts_with("date:"))
        .collect();
    let mut body: Value = serde_json::from_str(body).unwrap();
    assert!(
        body["requestId"]
            .take()
            .as_str()
            .is_some_and(|id| id.len() == 36)
    );
    format!("{head} {body}")
}
