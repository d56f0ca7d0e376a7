//! Tokens that are rejected, each with the reason in the log. docs/security.md 11 to 13.

use base64::{Engine, engine::general_purpose::STANDARD};
use outrigger_config::model::{JwtAlgorithm, TokenBinding};
use serde_json::{Value, json};

use super::forge::*;
use crate::jwt::{KeySet, MAX_BYTES};
use crate::reason::Reason;

/// What it is, the token, and the reason.
type Case = (String, String, &'static str);

fn assert_refused(cases: &[Case]) {
    let (provider, keys) = (provider(), all_keys());
    for (name, token, expected) in cases {
        let verified = verify(&provider, &keys, token, None);
        let reason = verified.as_ref().map_err(|reason| reason.as_str());
        assert_eq!(reason.err(), Some(*expected), "{name}: {token}");
    }
}

fn case(name: impl Into<String>, token: impl Into<String>, expected: &'static str) -> Case {
    (name.into(), token.into(), expected)
}

/// One part of a good token, replaced.
fn with_part(place: usize, part: &str) -> String {
    let good = token(&claims().to_string());
    let mut parts: Vec<&str> = good.split('.').collect();
    parts[place] = part;
    parts.join(".")
}

fn good() -> String {
    token(&claims().to_string())
}

#[test]
fn the_token_behind_all_the_bad_ones_is_good() {
    assert!(verify(&provider(), &all_keys(), &good(), None).is_ok());
    assert!(
        verify(
            &provider(),
            &all_keys(),
            &token_with_header(r#"{"alg":"ES256","kid":"p256"}"#),
            None
        )
        .is_ok()
    );
}

/// docs/security.md 13.
#[test]
fn forms_that_are_no_compact_jws() {
    let good = good();
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("{good}")
    };
    let mut cases = vec![
        case("nothing", "", "auth.token_segments"),
        case("one segment", header, "auth.token_segments"),
        case(
            "no signature segment",
            format!("{header}.{payload}"),
            "auth.token_segments",
        ),
        case(
            "four segments",
            format!("{good}.{signature}"),
            "auth.token_segments",
        ),
        case(
            "a JWE",
            format!("{good}.{signature}.{header}"),
            "auth.token_segments",
        ),
        case("a dot in front", format!(".{good}"), "auth.token_segments"),
        case("a dot behind", format!("{good}."), "auth.token_segments"),
        case(
            "two tokens",
            format!("{good},{good}"),
            "auth.token_segments",
        ),
        case("only dots", "..", "auth.token_header"),
        case(
            "no header",
            format!(".{payload}.{signature}"),
            "auth.token_header",
        ),
        case(
            "no payload",
            format!("{header}..{signature}"),
            "auth.token_payload",
        ),
        case(
            "stripped signature",
            format!("{header}.{payload}."),
            "auth.signature",
        ),
        case(
            "padded header",
            format!("{header}=.{payload}.{signature}"),
            "auth.token_encoding",
        ),
        case(
            "padded payload",
            format!("{header}.{payload}==.{signature}"),
            "auth.token_encoding",
        ),
        case(
            "padded signature",
            format!("{good}=="),
            "auth.token_encoding",
        ),
        case("space in front", format!(" {good}"), "auth.token_encoding"),
        case("space behind", format!("{good} "), "auth.token_encoding"),
        case("newline behind", format!("{good}\n"), "auth.token_encoding"),
        case(
            "newline within",
            format!("{header}.\n{payload}.{signature}"),
            "auth.token_encoding",
        ),
        case(
            "tab within",
            format!("{header}\t.{payload}.{signature}"),
            "auth.token_encoding",
        ),
        case("NUL", format!("{good}\0"), "auth.token_encoding"),
        case(
            "percent-encoded",
            good.replace('.', "%2E"),
            "auth.token_segments",
        ),
        case(
            "quotes around",
            format!("\"{good}\""),
            "auth.token_encoding",
        ),
        case(
            "not ASCII",
            format!("{header}.{payload}.{signature}é"),
            "auth.token_encoding",
        ),
        case(
            "a length that no bytes have",
            format!("{header}.{payload}.{signature}AAA"),
            "auth.token_encoding",
        ),
        case(
            "JSON serialisation",
            json!({ "payload": payload }).to_string(),
            "auth.token_segments",
        ),
        case(
            "17 KiB",
            format!("{header}.{}.{signature}", "A".repeat(17 * 1024)),
            "auth.token_too_large",
        ),
    ];
    // Standard base64 in place of base64url.
    let standard = STANDARD.encode(br#"{"alg":"ES256","kid":"p256","x":"???>>>"}"#);
    assert!(standard.contains('/'));
    cases.push(case(
        "standard base64",
        with_part(0, standard.trim_end_matches('=')),
        "auth.token_encoding",
    ));
    // The last character of 64 bytes carries two bits of its own and four that must be zero.
    let last = signature.as_bytes()[signature.len() - 1] as char;
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = alphabet
        .chars()
        .nth(alphabet.find(last).unwrap() + 1)
        .unwrap();
    let trailing = format!("{}{next}", &good[..good.len() - 1]);
    cases.push(case("bits left over", trailing, "auth.token_encoding"));
    assert_refused(&cases);
}

/// docs/security.md 13: exactly at the limit is fine.
#[test]
fn a_token_of_16_kib_is_the_largest() {
    let fill = |length: usize| token(&claims_with("fill", "x".repeat(length).into()));
    let mut length = 12_000;
    while fill(length + 1).len() <= MAX_BYTES {
        length += 1;
    }
    assert!(fill(length).len() > MAX_BYTES - 4);
    assert!(verify(&provider(), &all_keys(), &fill(length), None).is_ok());
    let over = fill(length + 1);
    assert_refused(&[case("over 16 KiB", over, "auth.token_too_large")]);
}

/// docs/security.md 11 and 12.
#[test]
fn headers_that_say_too_much_or_too_little() {
    let with = |more: &str| token_with_header(&format!(r#"{{"alg":"ES256","kid":"p256",{more}}}"#));
    let bare = token_with_header;
    assert_refused(&[
        case("not JSON", bare("alg: ES256"), "auth.token_header"),
        case("an array", bare(r#"["ES256"]"#), "auth.token_header"),
        case("a string", bare(r#""ES256""#), "auth.token_header"),
        case("an empty object", bare("{}"), "auth.token_header"),
        case(
            "something behind",
            bare(r#"{"alg":"ES256"}{}"#),
            "auth.token_header",
        ),
        case(
            "a byte-order mark",
            bare("\u{feff}{\"alg\":\"ES256\"}"),
            "auth.token_header",
        ),
        case(
            "a comment",
            bare(r#"{"alg":"ES256"/**/}"#),
            "auth.token_header",
        ),
        case(
            "too deep",
            with(&format!(r#""x":{}{}"#, "[".repeat(20), "]".repeat(20))),
            "auth.token_header",
        ),
        case(
            "alg twice",
            bare(r#"{"alg":"none","alg":"ES256","kid":"p256"}"#),
            "auth.duplicate_member",
        ),
        case(
            "alg twice, once escaped",
            bare(r#"{"\u0061lg":"none","alg":"ES256"}"#),
            "auth.duplicate_member",
        ),
        case("kid twice", with(r#""kid":"rsa""#), "auth.duplicate_member"),
        case(
            "twice within a jwk",
            with(r#""jwk":{"x":1,"x":2}"#),
            "auth.duplicate_member",
        ),
        case("alg is null", bare(r#"{"alg":null}"#), "auth.token_header"),
        case(
            "alg is a number",
            bare(r#"{"alg":256}"#),
            "auth.token_header",
        ),
        case(
            "alg is a list",
            bare(r#"{"alg":["ES256"]}"#),
            "auth.token_header",
        ),
        case(
            "Alg",
            bare(r#"{"Alg":"ES256","kid":"p256"}"#),
            "auth.token_header",
        ),
        case(
            "an unknown crit",
            with(r#""crit":["exp"]"#),
            "auth.critical_header",
        ),
        case(
            "crit of b64",
            with(r#""crit":["b64"],"b64":true"#),
            "auth.critical_header",
        ),
        case("empty crit", with(r#""crit":[]"#), "auth.critical_header"),
        case(
            "crit is null",
            with(r#""crit":null"#),
            "auth.critical_header",
        ),
        case("b64 false", with(r#""b64":false"#), "auth.critical_header"),
        case(
            "b64 false as text",
            with(r#""b64":"false""#),
            "auth.critical_header",
        ),
        case(
            "typ of another kind",
            with(r#""typ":"id+jwt""#),
            "auth.token_type",
        ),
        case("typ JOSE", with(r#""typ":"JOSE""#), "auth.token_type"),
        case(
            "typ of a logout token",
            with(r#""typ":"application/logout+jwt""#),
            "auth.token_type",
        ),
        case("empty typ", with(r#""typ":"""#), "auth.token_type"),
        case("typ is null", with(r#""typ":null"#), "auth.token_header"),
        case(
            "typ is a list",
            with(r#""typ":["JWT"]"#),
            "auth.token_header",
        ),
    ]);
}

/// docs/security.md 12: `none` in every spelling, and every algorithm that the provider does not list.
#[test]
fn algorithms_that_are_not_listed() {
    let mut cases = Vec::new();
    for name in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        " none",
        "",
        "es256",
        "Es256",
        "ES256 ",
        "ES256K",
        "ES512",
        "RS1",
        "HS1",
        "A128KW",
        "dir",
        "RSA-OAEP",
        "Ed448",
        "ML-DSA-65",
        "ES256\u{0}",
        "../../dev/null",
    ] {
        let header = json!({ "alg": name, "kid": "p256" }).to_string();
        let signed = token_with_header(&header);
        let unsigned = format!("{}.", signed.rsplit_once('.').unwrap().0);
        cases.push(case(
            format!("{name:?}, signed"),
            signed,
            "auth.algorithm_not_allowed",
        ));
        cases.push(case(
            format!("{name:?}, unsigned"),
            unsigned,
            "auth.algorithm_not_allowed",
        ));
    }
    assert_refused(&cases);

    let mut provider = provider();
    provider.algorithms = vec![JwtAlgorithm::Es384];
    assert_eq!(
        verify(&provider, &all_keys(), &good(), None).unwrap_err(),
        Reason::AuthAlgorithmNotAllowed
    );
}

/// docs/security.md 12: a public key never serves as a secret, not even where HS256 is listed by mistake.
#[test]
fn a_public_key_as_the_secret_of_hs256() {
    let signers = signers();
    let jwk = signers.rsa.jwk("rsa");
    let Signer::Rsa(pair) = &signers.rsa else {
        panic!("no RSA")
    };
    let der = aws_lc_rs::signature::KeyPair::public_key(pair)
        .as_ref()
        .to_vec();
    let pem = format!(
        "-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n",
        STANDARD.encode(&der)
    );
    let secrets = [
        der,
        pem.into_bytes(),
        jwk["n"].as_str().unwrap().into(),
        jwk.to_string().into_bytes(),
        Vec::new(),
    ];
    let mut careless = provider();
    careless.algorithms.push(JwtAlgorithm::Hs256);
    for secret in secrets {
        for kid in ["rsa", "pinned", "p256"] {
            let header = json!({ "alg": "HS256", "kid": kid }).to_string();
            let token = Signer::Secret(secret.clone()).token(&header, &claims().to_string());
            assert_eq!(
                verify(&provider(), &all_keys(), &token, None).unwrap_err(),
                Reason::AuthAlgorithmNotAllowed
            );
            assert_eq!(
                verify(&careless, &all_keys(), &token, None).unwrap_err(),
                Reason::AuthKeyMismatch
            );
        }
        let token = Signer::Secret(secret).token(r#"{"alg":"HS256"}"#, &claims().to_string());
        assert_eq!(
            verify(&careless, &all_keys(), &token, None).unwrap_err(),
            Reason::AuthKeyMismatch
        );
    }
}

/// docs/security.md 12: what the header says about keys is not followed, and `kid` is a name and nothing else.
#[test]
fn keys_that_the_token_brings_or_makes_up() {
    let stranger = &signers().stranger;
    let by_stranger = |header: Value| stranger.token(&header.to_string(), &claims().to_string());
    let with_kid =
        |kid: Value| token_with_header(&json!({ "alg": "ES256", "kid": kid }).to_string());
    let mut cases = vec![
        case("kid is null", with_kid(Value::Null), "auth.token_header"),
        case("kid is a number", with_kid(json!(1)), "auth.token_header"),
        case(
            "kid is a list",
            with_kid(json!(["p256"])),
            "auth.token_header",
        ),
        case(
            "kid of another key",
            with_kid("p384".into()),
            "auth.key_mismatch",
        ),
        case(
            "kid of an encryption key",
            with_kid("encryption".into()),
            "auth.unusable_key",
        ),
        case(
            "kid of a weak key",
            with_kid("weak".into()),
            "auth.unusable_key",
        ),
        case(
            "an embedded key",
            by_stranger(json!({ "alg": "ES256", "kid": "p256", "jwk": stranger.jwk("p256") })),
            "auth.signature",
        ),
        case(
            "an embedded key without kid",
            by_stranger(json!({ "alg": "ES256", "jwk": stranger.jwk("") })),
            "auth.signature",
        ),
        case(
            "addresses of keys",
            by_stranger(
                json!({ "alg": "ES256", "kid": "p256", "jku": "https://attacker.example/keys",
                "x5u": "https://attacker.example/chain.pem", "x5t": "AAAA" }),
            ),
            "auth.signature",
        ),
        case(
            "a certificate",
            by_stranger(json!({ "alg": "ES256", "kid": "p256", "x5c": ["MII"] })),
            "auth.signature",
        ),
    ];
    for kid in [
        "",
        "P256",
        "p256 ",
        "p256\u{0}",
        "ｐ256",
        "../../../../dev/null",
        "file:///etc/passwd",
        "' OR 1=1 --",
        "|/bin/true",
        "https://attacker.example/keys",
        "\u{202e}652p",
    ] {
        cases.push(case(
            format!("kid {kid:?}"),
            with_kid(kid.into()),
            "auth.unknown_kid",
        ));
    }
    cases.push(case(
        "a kid of 8 KiB",
        with_kid("k".repeat(8 * 1024).into()),
        "auth.unknown_kid",
    ));
    assert_refused(&cases);
}

/// docs/security.md 11: whatever was not signed as it stands.
#[test]
fn signatures_that_are_none() {
    let (signers, payload) = (signers(), claims().to_string());
    let sign = |signer: &Signer, header: &str| signer.token(header, &payload);
    let raw = |header: &str, signature: &[u8]| {
        format!(
            "{}.{}.{}",
            encode(header),
            encode(&payload),
            encode(signature)
        )
    };
    let es256 = r#"{"alg":"ES256","kid":"p256"}"#;
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> = (0..32)
        .map(|at| u8::from_str_radix(&order[at * 2..at * 2 + 2], 16).unwrap())
        .collect();
    let good = good();
    let signature = &good[good.rfind('.').unwrap() + 1..];
    let mut flipped = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(signature)
        .unwrap();
    let der = der_of(&flipped);
    let (short, long) = (flipped[..63].to_vec(), [&flipped[..], &[0]].concat());
    flipped[10] ^= 1;
    let other_payload = encode(claims_with("sub", "mallory".into()));
    let mut cases = vec![
        case(
            "payload changed",
            with_part(1, &other_payload),
            "auth.signature",
        ),
        case(
            "header changed",
            with_part(0, &encode(r#"{"alg":"ES256","kid":"p256" }"#)),
            "auth.signature",
        ),
        case(
            "a stranger's",
            sign(&signers.stranger, es256),
            "auth.signature",
        ),
        case(
            "a stranger's without kid",
            sign(&signers.stranger, r#"{"alg":"ES256"}"#),
            "auth.signature",
        ),
        case(
            "one bit changed",
            with_part(2, &encode(&flipped)),
            "auth.signature",
        ),
        case(
            "DER in place of r and s",
            with_part(2, &encode(der)),
            "auth.signature",
        ),
        case("r and s are zero", raw(es256, &[0; 64]), "auth.signature"),
        case(
            "r and s are the order",
            raw(es256, &[&order[..], &order].concat()),
            "auth.signature",
        ),
        case(
            "a byte short",
            with_part(2, &encode(short)),
            "auth.signature",
        ),
        case("a byte long", with_part(2, &encode(long)), "auth.signature"),
        case("empty", raw(es256, b""), "auth.signature"),
        case(
            "ES384 by P-256",
            sign(&signers.p256, r#"{"alg":"ES384","kid":"p384"}"#),
            "auth.signature",
        ),
        case(
            "ES384 zero",
            raw(r#"{"alg":"ES384","kid":"p384"}"#, &[0; 96]),
            "auth.signature",
        ),
        case(
            "ES384 with a P-256 key",
            sign(&signers.p256, r#"{"alg":"ES384","kid":"p256"}"#),
            "auth.key_mismatch",
        ),
        case(
            "RS256 with a P-256 key",
            sign(&signers.rsa, r#"{"alg":"RS256","kid":"p256"}"#),
            "auth.key_mismatch",
        ),
        case(
            "EdDSA with a P-256 key",
            sign(&signers.ed25519, r#"{"alg":"EdDSA","kid":"p256"}"#),
            "auth.key_mismatch",
        ),
        case(
            "EdDSA zero",
            raw(r#"{"alg":"EdDSA","kid":"ed25519"}"#, &[0; 64]),
            "auth.signature",
        ),
        case(
            "RS512 with a key for RS256",
            sign(&signers.rsa, r#"{"alg":"RS512","kid":"pinned"}"#),
            "auth.key_mismatch",
        ),
        case(
            "PS256 with a key for RS256",
            sign(&signers.rsa, r#"{"alg":"PS256","kid":"pinned"}"#),
            "auth.key_mismatch",
        ),
        case(
            "RS256 zero",
            raw(r#"{"alg":"RS256","kid":"rsa"}"#, &[0; 256]),
            "auth.signature",
        ),
        case(
            "RS256 one",
            raw(
                r#"{"alg":"RS256","kid":"rsa"}"#,
                &[&[0; 255][..], &[1]].concat(),
            ),
            "auth.signature",
        ),
    ];
    // Signed by the right key, with another algorithm than the header says.
    for (said, used) in [
        ("RS256", "PS256"),
        ("PS256", "RS256"),
        ("RS256", "RS384"),
        ("RS512", "RS256"),
    ] {
        let header = json!({ "alg": said, "kid": "rsa" }).to_string();
        let signed = format!("{}.{}", encode(&header), encode(&payload));
        let signature = encode(signers.rsa.sign(used, signed.as_bytes()));
        cases.push(case(
            format!("{said} said, {used} used"),
            format!("{signed}.{signature}"),
            "auth.signature",
        ));
    }
    assert_refused(&cases);
}

/// r and s as ASN.1 has them.
fn der_of(fixed: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| [&[2, 33, 0][..], half].concat();
    let body = [integer(&fixed[..32]), integer(&fixed[32..])].concat();
    [&[0x30, body.len() as u8][..], &body].concat()
}

/// docs/security.md 11: the payload and the claims that every token must have.
#[test]
fn payloads_that_say_too_much_or_too_little() {
    let with = |name: &str, value: Value| token(&claims_with(name, value));
    let without = |name: &str| token(&claims_with(name, Value::Null));
    let and = |more: &str| token(&claims_and(more));
    assert_refused(&[
        case("not JSON", token("iss=x"), "auth.token_payload"),
        case("an array", token("[]"), "auth.token_payload"),
        case("null", token("null"), "auth.token_payload"),
        case("a nested token", token(&good()), "auth.token_payload"),
        case(
            "not UTF-8",
            with_part(1, &encode(b"{\"iss\":\"\xff\"}")),
            "auth.token_payload",
        ),
        case(
            "a lone surrogate",
            and(r#""x":"\ud800""#),
            "auth.token_payload",
        ),
        case(
            "something behind",
            token(&format!("{} x", claims())),
            "auth.token_payload",
        ),
        case(
            "too deep",
            and(&format!(r#""x":{}{}"#, "[".repeat(20), "]".repeat(20))),
            "auth.token_payload",
        ),
        case(
            "very deep",
            and(&format!(
                r#""x":{}{}"#,
                "[".repeat(5_000),
                "]".repeat(5_000)
            )),
            "auth.token_payload",
        ),
        case("an empty object", token("{}"), "auth.issuer_missing"),
        case("iss missing", without("iss"), "auth.issuer_missing"),
        case(
            "iss of another",
            with("iss", "https://attacker.example/".into()),
            "auth.unknown_issuer",
        ),
        case(
            "iss without the slash",
            with("iss", "https://login.example.com".into()),
            "auth.unknown_issuer",
        ),
        case(
            "iss in another case",
            with("iss", "https://LOGIN.example.com/".into()),
            "auth.unknown_issuer",
        ),
        case(
            "iss with more behind",
            with("iss", format!("{ISSUER}x").into()),
            "auth.unknown_issuer",
        ),
        case("iss empty", with("iss", "".into()), "auth.unknown_issuer"),
        case(
            "iss is a list",
            with("iss", json!([ISSUER])),
            "auth.claim_type",
        ),
        case("iss is a number", with("iss", json!(1)), "auth.claim_type"),
        case(
            "iss is null",
            token(r#"{"iss":null,"aud":"orders-api","exp":1}"#),
            "auth.claim_type",
        ),
        case(
            "iss twice",
            and(r#""iss":"https://attacker.example/""#),
            "auth.duplicate_member",
        ),
        case("aud missing", without("aud"), "auth.audience_missing"),
        case(
            "aud of another",
            with("aud", "payments-api".into()),
            "auth.audience_mismatch",
        ),
        case(
            "aud in another case",
            with("aud", "Orders-API".into()),
            "auth.audience_mismatch",
        ),
        case(
            "aud as a part",
            with("aud", "orders-api-v2".into()),
            "auth.audience_mismatch",
        ),
        case(
            "aud separated by spaces",
            with("aud", "orders-api other-api".into()),
            "auth.audience_mismatch",
        ),
        case(
            "aud empty",
            with("aud", "".into()),
            "auth.audience_mismatch",
        ),
        case(
            "aud an empty list",
            with("aud", json!([])),
            "auth.audience_mismatch",
        ),
        case(
            "aud a list of others",
            with("aud", json!(["a", "b"])),
            "auth.audience_mismatch",
        ),
        case("aud is a number", with("aud", json!(7)), "auth.claim_type"),
        case(
            "aud is null",
            token(r#"{"iss":"x","aud":null,"exp":1}"#),
            "auth.claim_type",
        ),
        case("aud is true", with("aud", json!(true)), "auth.claim_type"),
        case(
            "aud is an object",
            with("aud", json!({ "orders-api": true })),
            "auth.claim_type",
        ),
        case(
            "aud with a number among it",
            with("aud", json!(["orders-api", 7])),
            "auth.claim_type",
        ),
        case(
            "aud is a nested list",
            with("aud", json!([["orders-api"]])),
            "auth.claim_type",
        ),
        case(
            "aud twice",
            and(r#""aud":"orders-api""#),
            "auth.duplicate_member",
        ),
        case(
            "twice in an object",
            and(r#""realm_access":{"roles":["a"],"roles":["b"]}"#),
            "auth.duplicate_member",
        ),
        case(
            "twice in a list",
            and(r#""x":[{"a":1,"b":{"c":1,"c":1}}]"#),
            "auth.duplicate_member",
        ),
    ]);
}

/// docs/security.md 11: times (CVE-2026-25537).
#[test]
fn times_that_are_none_or_not_now() {
    let raw = |name: &str, value: &str| {
        let rest = claims_with(name, Value::Null);
        token(&format!(
            "{},\"{name}\":{value}}}",
            rest.strip_suffix('}').unwrap()
        ))
    };
    let with = |name: &str, value: Value| token(&claims_with(name, value));
    let mut cases = vec![
        case(
            "exp missing",
            with("exp", Value::Null),
            "auth.expiry_missing",
        ),
        case(
            "exp twice",
            token(&claims_and(r#""exp":9999999999"#)),
            "auth.duplicate_member",
        ),
        case("exp over", with("exp", json!(NOW - 31)), "auth.expired"),
        case(
            "exp over by the skew",
            with("exp", json!(NOW - 30)),
            "auth.expired",
        ),
        case(
            "exp over, a fraction",
            with("exp", json!(NOW as f64 - 30.5)),
            "auth.expired",
        ),
        case("exp zero", with("exp", json!(0)), "auth.expired"),
        case(
            "nbf to come",
            with("nbf", json!(NOW + 31)),
            "auth.not_yet_valid",
        ),
        case("nbf far away", raw("nbf", "1e300"), "auth.not_yet_valid"),
        case(
            "iat to come",
            with("iat", json!(NOW + 31)),
            "auth.issued_in_future",
        ),
        case(
            "iat in milliseconds",
            with("iat", json!(NOW * 1000)),
            "auth.issued_in_future",
        ),
    ];
    for name in ["exp", "nbf", "iat"] {
        for (value, expected) in [
            ("\"1800000000\"", "auth.invalid_time"),
            ("\"\"", "auth.invalid_time"),
            ("\"NaN\"", "auth.invalid_time"),
            ("\"never\"", "auth.invalid_time"),
            ("null", "auth.invalid_time"),
            ("true", "auth.invalid_time"),
            ("[1800000000]", "auth.invalid_time"),
            ("{}", "auth.invalid_time"),
            ("-1", "auth.invalid_time"),
            ("-1800000000", "auth.invalid_time"),
            ("-0.5", "auth.invalid_time"),
            ("-0", "auth.invalid_time"),
            ("-1e300", "auth.invalid_time"),
            ("NaN", "auth.token_payload"),
            ("Infinity", "auth.token_payload"),
            ("1e400", "auth.token_payload"),
            ("-1e400", "auth.token_payload"),
            ("0x6b49d200", "auth.token_payload"),
            ("+1800000000", "auth.token_payload"),
            ("01800000000", "auth.token_payload"),
        ] {
            cases.push(case(
                format!("{name} is {value}"),
                raw(name, value),
                expected,
            ));
        }
    }
    assert_refused(&cases);
}

#[test]
fn tokens_that_live_longer_than_the_provider_allows() {
    let mut provider = provider();
    provider.max_lifetime = Some(std::time::Duration::from_secs(600));
    let verify = |claims: Value| verify(&provider, &all_keys(), &token(&claims.to_string()), None);
    let with = |issued: Value, expires: u64| {
        let mut claims = claims();
        claims["exp"] = expires.into();
        match issued {
            Value::Null => drop(claims.as_object_mut().unwrap().remove("iat")),
            issued => claims["iat"] = issued,
        }
        claims
    };
    assert!(verify(with(json!(NOW - 300), NOW + 300)).is_ok());
    assert_eq!(
        verify(with(json!(NOW - 300), NOW + 301)).unwrap_err(),
        Reason::AuthLifetimeTooLong
    );
    assert_eq!(
        verify(with(json!(0), NOW + 300)).unwrap_err(),
        Reason::AuthLifetimeTooLong
    );
    assert_eq!(
        verify(with(Value::Null, NOW + 300)).unwrap_err(),
        Reason::AuthIssueTimeMissing
    );
    assert_eq!(
        verify(with(json!(NOW), u64::MAX)).unwrap_err(),
        Reason::AuthLifetimeTooLong
    );
}

/// RFC 8705 section 3, RFC 7800.
#[test]
fn tokens_bound_to_something_that_the_client_did_not_show() {
    let bound = |confirmation: Value| token(&claims_with("cnf", confirmation));
    let good = bound(json!({ "x5t#S256": encode(CERTIFICATE) }));
    let mut provider = provider();
    let unknown = [
        json!({}),
        json!([]),
        json!("x5t#S256"),
        json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" }),
        json!({ "jwk": signers().p256.jwk("") }),
        json!({ "kid": "x" }),
        json!({ "x5t": "AAAA" }),
        json!({ "x5t#S256": encode(CERTIFICATE), "jkt": "x" }),
        json!({ "x5t#S256": null }),
        json!({ "x5t#S256": "" }),
        json!({ "x5t#S256": encode([7; 31]) }),
        json!({ "x5t#S256": format!("{}=", encode(CERTIFICATE)) }),
        json!({ "x5t#s256": encode(CERTIFICATE) }),
    ];
    for binding in [TokenBinding::WhenPresent, TokenBinding::Required] {
        provider.binding = binding;
        assert!(verify(&provider, &all_keys(), &good, Some(&CERTIFICATE)).is_ok());
        for certificate in [None, Some(&[8; 32])] {
            let refused = verify(&provider, &all_keys(), &good, certificate).unwrap_err();
            assert_eq!(refused, Reason::AuthBindingMismatch);
        }
        for confirmation in &unknown {
            let refused = verify(
                &provider,
                &all_keys(),
                &bound(confirmation.clone()),
                Some(&CERTIFICATE),
            );
            assert_eq!(
                refused.unwrap_err(),
                Reason::AuthBindingUnknown,
                "{confirmation}"
            );
        }
        let null = token(&claims_and(r#""cnf":null"#));
        let refused = verify(&provider, &all_keys(), &null, Some(&CERTIFICATE)).unwrap_err();
        assert_eq!(refused, Reason::AuthBindingUnknown);
    }
    let refused = verify(&provider, &all_keys(), &self::good(), Some(&CERTIFICATE)).unwrap_err();
    assert_eq!(refused, Reason::AuthBindingMissing);
    provider.binding = TokenBinding::Never;
    for confirmation in unknown {
        assert!(verify(&provider, &all_keys(), &bound(confirmation), None).is_ok());
    }
}

/// docs/security.md 12: a secret is as long as the hash.
#[test]
fn secrets_that_are_short_or_wrong() {
    use outrigger_config::model::SecretText;
    let refused = KeySet::secret(SecretText::new(&[1; 31][..]))
        .unwrap_err()
        .to_string();
    assert_eq!(
        refused,
        "a secret of 31 bytes; HS256 needs 32, HS384 48, HS512 64"
    );
    let sign = |algorithm: &str| {
        let header = json!({ "alg": algorithm, "kid": "any" }).to_string();
        signers().secret.token(&header, &claims().to_string())
    };
    let verify = |text: &str| verify(&symmetric_provider(), &secret_keys(), text, None);
    assert!(verify(&sign("HS256")).is_ok());
    assert_eq!(verify(&sign("HS384")).unwrap_err(), Reason::AuthKeyMismatch);
    assert_eq!(verify(&sign("HS512")).unwrap_err(), Reason::AuthKeyMismatch);
    let stranger =
        Signer::Secret(vec![9; 32]).token(r#"{"alg":"HS256","kid":"any"}"#, &claims().to_string());
    assert_eq!(verify(&stranger).unwrap_err(), Reason::AuthSignature);
    assert_eq!(
        verify(&good()).unwrap_err(),
        Reason::AuthAlgorithmNotAllowed
    );
    // Nor does a secret pass for a public key, not even where both kinds are listed by mistake.
    let refused = super::forge::verify(&provider(), &secret_keys(), &good(), None).unwrap_err();
    assert_eq!(refused, Reason::AuthKeyMismatch);
}

/// A token without `kid` is tried with the keys that fit, but not with any number of them.
#[test]
fn a_token_without_kid_is_tried_with_few_keys() {
    let signers = signers();
    let unnamed =
        |count: usize| -> Vec<Value> { (0..count).map(|_| Signer::new_p256().jwk("")).collect() };
    let nameless = signers
        .p256
        .token(r#"{"alg":"ES256"}"#, &claims().to_string());
    let own = signers.p256.jwk("");
    let verify = |keys: Vec<Value>, text: &str| verify(&provider(), &key_set(&keys), text, None);
    assert!(verify([unnamed(3), vec![own.clone()]].concat(), &nameless).is_ok());
    assert_eq!(
        verify(unnamed(4), &nameless).unwrap_err(),
        Reason::AuthSignature
    );
    assert_eq!(
        verify([unnamed(4), vec![own.clone()]].concat(), &nameless).unwrap_err(),
        Reason::AuthAmbiguousKey
    );
    assert_eq!(
        verify(vec![signers.rsa.jwk("")], &nameless).unwrap_err(),
        Reason::AuthKeyMismatch
    );
    // One that names a key may be signed by a key without a name, and asks for newer keys when it is not.
    assert!(verify(vec![own.clone(), signers.rsa.jwk("rsa")], &good()).is_ok());
    assert_eq!(
        verify(unnamed(1), &good()).unwrap_err(),
        Reason::AuthUnknownKid
    );
    assert_eq!(
        verify([unnamed(4), vec![own]].concat(), &good()).unwrap_err(),
        Reason::AuthUnknownKid
    );
}

/// The `kid` narrows the keys down, then `alg` does; what still could be meant is tried, at most four keys.
#[test]
fn keys_that_share_a_kid_are_chosen_by_algorithm_and_then_tried() {
    let signers = signers();
    let named = |signer: &Signer| signer.jwk("p256");
    let with = |mut jwk: Value, name: &str, value: &str| {
        jwk[name] = value.into();
        jwk
    };
    let others =
        |count: usize| -> Vec<Value> { (0..count).map(|_| named(&Signer::new_p256())).collect() };
    let own = || vec![named(&signers.p256)];
    let (rsa, good) = (named(&signers.rsa), good());
    let by_rsa = signers
        .rsa
        .token(r#"{"alg":"RS256","kid":"p256"}"#, &claims().to_string());
    let verify =
        |keys: &[Vec<Value>], text: &str| verify(&provider(), &key_set(&keys.concat()), text, None);
    let encryption = with(rsa.clone(), "use", "enc");
    let post_quantum = json!({ "kty": "AKP", "alg": "ML-DSA-65", "kid": "p256", "pub": "AAAA" });
    for (keys, text) in [
        (vec![own(), vec![rsa.clone()]], &good),
        (vec![vec![rsa.clone()], own()], &good),
        (vec![own(), vec![rsa.clone()]], &by_rsa),
        (vec![vec![encryption, post_quantum], own()], &good),
        (vec![others(3), own()], &good),
        (vec![own(), others(3)], &good),
        // Keys of another type, and keys for another algorithm, do not count.
        (vec![vec![rsa.clone(); 5], own(), others(3)], &good),
        (
            vec![vec![
                with(rsa.clone(), "alg", "PS256"),
                with(rsa.clone(), "alg", "RS256"),
            ]],
            &by_rsa,
        ),
        // The same key listed twice is one key.
        (vec![own(), own(), own(), own(), own()], &good),
    ] {
        assert!(verify(&keys, text).is_ok(), "{keys:?}");
    }
    for (keys, text, expected) in [
        (vec![others(2)], &good, Reason::AuthSignature),
        (vec![others(4), own()], &good, Reason::AuthAmbiguousKey),
        (
            vec![vec![rsa], vec![named(&signers.p384)]],
            &good,
            Reason::AuthKeyMismatch,
        ),
        // A key without a kid is not tried where the kid is known.
        (
            vec![others(1), vec![signers.p256.jwk("")]],
            &good,
            Reason::AuthSignature,
        ),
    ] {
        assert_eq!(verify(&keys, text).unwrap_err(), expected, "{keys:?}");
    }
}

/// docs/security.md 11: nothing of a token can be changed, left out or added.
#[test]
fn no_character_of_a_token_can_be_changed() {
    let (provider, keys, good) = (provider(), all_keys(), good());
    let is_refused = |text: &str| verify(&provider, &keys, text, None).is_err();
    for place in 0..good.len() {
        for replacement in ['A', 'z', '-', '.', '='] {
            let mut text = good.clone();
            text.replace_range(place..=place, replacement.encode_utf8(&mut [0; 4]));
            assert!(text == good || is_refused(&text), "{text}");
            text.insert(place, replacement);
            assert!(is_refused(&text), "{text}");
        }
        assert!(is_refused(&good[..place]), "the first {place}");
        assert!(is_refused(&good[place + 1..]), "without the first {place}");
    }
}

#[test]
fn what_costs_nothing_is_asked_before_the_signature() {
    let stranger = &signers().stranger;
    let with = |name: &str, value: Value| {
        stranger.token(
            r#"{"alg":"ES256","kid":"unknown"}"#,
            &claims_with(name, value),
        )
    };
    assert_refused(&[
        case(
            "expired and unknown",
            with("exp", json!(NOW - 1_000)),
            "auth.expired",
        ),
        case(
            "for another and unknown",
            with("aud", "x".into()),
            "auth.audience_mismatch",
        ),
        case("unknown", with("sub", "x".into()), "auth.unknown_kid"),
    ]);
}
