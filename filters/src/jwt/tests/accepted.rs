//! Good tokens of every kind.

use serde_json::{Value, json};

use super::forge::*;
use crate::jwt::{Token, Verifier, since_epoch};

fn is_good(header: &str, signer: &Signer) -> bool {
    verify(
        &provider(),
        &all_keys(),
        &signer.token(header, &claims().to_string()),
        None,
    )
    .is_ok()
}

#[test]
fn every_algorithm_with_its_key_by_name_and_without() {
    let signers = signers();
    for (algorithm, kid, signer) in [
        ("RS256", "rsa", &signers.rsa),
        ("RS384", "rsa", &signers.rsa),
        ("RS512", "rsa", &signers.rsa),
        ("PS256", "rsa", &signers.rsa),
        ("PS384", "rsa", &signers.rsa),
        ("PS512", "rsa", &signers.rsa),
        ("RS256", "pinned", &signers.rsa),
        ("ES256", "p256", &signers.p256),
        ("ES384", "p384", &signers.p384),
        ("EdDSA", "ed25519", &signers.ed25519),
        ("Ed25519", "ed25519", &signers.ed25519),
    ] {
        assert!(
            is_good(&json!({ "alg": algorithm, "kid": kid }).to_string(), signer),
            "{algorithm} {kid}"
        );
        assert!(
            is_good(&json!({ "alg": algorithm }).to_string(), signer),
            "{algorithm}"
        );
    }
    let long = Signer::Secret(vec![3; 64]);
    let keys =
        crate::jwt::KeySet::secret(outrigger_config::model::SecretText::new(&[3; 64][..])).unwrap();
    for algorithm in ["HS256", "HS384", "HS512"] {
        let token = long.token(
            &json!({ "alg": algorithm }).to_string(),
            &claims().to_string(),
        );
        assert!(
            verify(&symmetric_provider(), &keys, &token, None).is_ok(),
            "{algorithm}"
        );
    }
}

#[test]
fn headers_that_are_fine() {
    let signer = &signers().p256;
    for more in [
        r#""typ":"JWT""#,
        r#""typ":"jwt""#,
        r#""typ":"at+jwt""#,
        r#""typ":"AT+JWT""#,
        r#""typ":"application/at+jwt""#,
        r#""typ":"Application/JWT""#,
        r#""b64":true"#,
        r#""cty":"x""#,
        r#""jwk":{"kty":"RSA"},"jku":"https://attacker.example/","x5c":["x"],"x5u":1"#,
        r#""nonce":"x","deep":{"a":[{"b":1}]}"#,
    ] {
        assert!(
            is_good(&format!(r#"{{"alg":"ES256","kid":"p256",{more}}}"#), signer),
            "{more}"
        );
    }
}

#[test]
fn claims_that_are_fine() {
    for (name, value) in [
        ("aud", json!(["orders-api"])),
        ("aud", json!(["x", "other-api"])),
        ("aud", "other-api".into()),
        ("nbf", Value::Null),
        ("iat", Value::Null),
        ("sub", Value::Null),
        ("sub", json!(7)),
        ("exp", json!(NOW - 29)),
        ("exp", json!(NOW as f64 + 0.5)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(1e300)),
        ("nbf", json!(NOW + 30)),
        ("nbf", json!(0)),
        ("iat", json!(NOW + 30)),
        ("nested", json!({ "a": { "b": [{ "c": null }] } })),
    ] {
        let token = token(&claims_with(name, value.clone()));
        let verified = verify(&provider(), &all_keys(), &token, None);
        assert!(verified.is_ok(), "{name} {value}: {verified:?}");
    }
}

/// The first and last moment of a token, with and without clock skew.
#[test]
fn a_token_is_good_from_nbf_until_before_exp() {
    let text = token(
        &json!({ "iss": ISSUER, "aud": "orders-api", "nbf": 1_000, "exp": 2_000 }).to_string(),
    );
    for (skew, first, last) in [(0, 1_000, 1_999), (30, 970, 2_029), (300, 700, 2_299)] {
        let mut provider = provider();
        provider.clock_skew = std::time::Duration::from_secs(skew);
        let verifier = Verifier::new(&provider);
        let at = |seconds: u64| {
            let now = std::time::Duration::from_secs(seconds);
            verifier
                .verify(&all_keys(), Token::parse(&text).unwrap(), now, None)
                .is_ok()
        };
        assert_eq!(
            (at(first - 1), at(first), at(last), at(last + 1)),
            (false, true, true, false),
            "{skew}"
        );
    }
}

#[test]
fn a_clock_before_1970_is_1970() {
    let before = std::time::SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(1);
    assert_eq!(since_epoch(before), std::time::Duration::ZERO);
}
