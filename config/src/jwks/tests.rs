use aws_lc_rs::{
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RsaKeyPair, RsaPublicKeyComponents,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{jwks::*, part::algorithm::JwtAlgorithm};

/// The set of RFC 7517 appendix A.1: an EC key for encryption, and an RSA key.
const RFC_7517_A1: &str = r#"{"keys":[
  {"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
   "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"},
  {"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
   "e":"AQAB","alg":"RS256","kid":"2011-04-29"}]}"#;

fn set(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

fn refused(text: impl AsRef<[u8]>) -> String {
    parse(text.as_ref()).unwrap_err().to_string()
}

/// The reason for which one key is skipped, in a set with a usable key.
fn skipped(key: Value) -> String {
    let set = parse(&set(&[key.clone(), p256()])).unwrap_or_else(|error| panic!("{key}: {error}"));
    assert_eq!((set.keys.len(), set.skipped.len()), (1, 1), "{key}");
    set.skipped[0].to_string()
}

fn with(mut key: Value, name: &str, value: Value) -> Value {
    key[name] = value;
    key
}

fn without(mut key: Value, name: &str) -> Value {
    key.as_object_mut().unwrap().remove(name);
    key
}

fn encode(bytes: impl AsRef<[u8]>) -> Value {
    URL_SAFE_NO_PAD.encode(bytes).into()
}

fn rsa() -> Value {
    let numbers = RsaPublicKeyComponents::<Vec<u8>>::from(
        RsaKeyPair::generate(KeySize::Rsa2048).unwrap().public_key(),
    );
    json!({ "kty": "RSA", "n": encode(numbers.n), "e": encode(numbers.e) })
}

fn p256() -> Value {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    point("P-256", &pair.public_key().as_ref()[1..])
}

fn p384() -> Value {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    point("P-384", &pair.public_key().as_ref()[1..])
}

fn point(curve: &str, coordinates: &[u8]) -> Value {
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
}

fn ed25519() -> Value {
    let pair = Ed25519KeyPair::generate().unwrap();
    json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key()) })
}

#[test]
fn the_set_of_rfc_7517_gives_its_signing_key_and_tells_of_the_other() {
    let set = parse(RFC_7517_A1.as_bytes()).unwrap();
    let [key] = &set.keys[..] else {
        panic!("{set:?}")
    };
    assert_eq!(key.kid.as_deref(), Some("2011-04-29"));
    assert_eq!(key.algorithm, Some(JwtAlgorithm::Rs256));
    let KeyMaterial::Rsa { modulus, exponent } = &key.material else {
        panic!("{key:?}")
    };
    assert_eq!((modulus.len(), &exponent[..]), (256, &[1, 0, 1][..]));
    assert_eq!(
        set.skipped[0].to_string(),
        "keys[0] (kid \"1\"): `use` is \"enc\", not \"sig\""
    );
    assert!(!set.skipped[0].why.is_defect());
}

#[test]
fn every_kind_of_key_fits_its_own_algorithms_only() {
    let set = parse(&set(&[rsa(), p256(), p384(), ed25519()])).unwrap();
    assert!(set.skipped.is_empty(), "{set:?}");
    let fitting = |key: &Jwk| -> Vec<&str> {
        let all = ["HS256", "HS384", "HS512"].map(|name| JwtAlgorithm::named(name).unwrap());
        let all = JwtAlgorithm::ASYMMETRIC.into_iter().chain(all);
        all.filter(|algorithm| key.material.fits(*algorithm))
            .map(JwtAlgorithm::name)
            .collect()
    };
    let fitting: Vec<_> = set.keys.iter().map(fitting).collect();
    let rsa = vec!["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    assert_eq!(fitting, [rsa, vec!["ES256"], vec!["ES384"], vec!["EdDSA"]]);
}

/// docs/security.md 14.
#[test]
fn text_that_is_not_a_jwks_is_rejected_with_a_helpful_message() {
    let page = "\n<!DOCTYPE html><html><body>Sign in</body></html>";
    assert_eq!(refused(page), "this is HTML, not a JWKS");
    assert_eq!(
        refused("<?xml version=\"1.0\"?>"),
        "this is HTML, not a JWKS"
    );
    assert_eq!(
        refused("-----BEGIN PUBLIC KEY-----\n"),
        "this is PEM, not a JWKS"
    );
    assert_eq!(refused(" \n"), "it is empty");
    assert!(refused("keys: []").starts_with("this is not JSON: "));
    assert!(refused(b"{\"keys\": [\xff]}").starts_with("this is not JSON: "));
    let discovery = json!({ "issuer": "https://a/", "jwks_uri": "https://a/keys" }).to_string();
    assert!(refused(discovery).starts_with("this is a discovery document, not a JWKS"));
    assert!(refused(p256().to_string()).starts_with("this is one key, not a JWKS"));
    for text in [
        "[]",
        "{}",
        "null",
        "1",
        r#"{"keys":{}}"#,
        r#"{"Keys":[]}"#,
        r#"{"error":"not found"}"#,
    ] {
        assert!(
            refused(text).starts_with("this is JSON without a list of keys"),
            "{text}"
        );
    }
    assert_eq!(refused(r#"{"keys":[]}"#), "none of its keys can be used");
    assert_eq!(
        refused(r#"{"keys":[],"keys":[]}"#),
        "duplicate member \"keys\""
    );
    assert_eq!(
        refused(format!("{}{}", "[".repeat(500), "]".repeat(500))),
        "the nesting is too deep"
    );
}

/// docs/security.md 14: at most 1 MiB and 100 keys.
#[test]
fn a_set_has_a_maximum_size_and_number_of_keys() {
    let keys: Vec<Value> = vec![p256(); MAX_KEYS];
    assert_eq!(parse(&set(&keys)).unwrap().keys.len(), 100);
    assert_eq!(
        refused(set(&[keys, vec![json!({})]].concat())),
        "it has 101 keys; the maximum is 100"
    );
    let mut text = set(&[p256()]);
    text.resize(MAX_BYTES, b' ');
    assert!(parse(&text).is_ok());
    text.push(b' ');
    assert_eq!(refused(text), "it is larger than 1 MiB");
}

/// RFC 7517 section 4.5 allows one `kid` for keys of several types, and providers publish them.
#[test]
fn keys_with_the_same_kid_are_kept_and_unusable_ones_are_skipped() {
    let named = |key| with(key, "kid", "a".into());
    let encryption = with(named(p256()), "use", "enc".into());
    let post_quantum = json!({ "kty": "AKP", "alg": "ML-DSA-65", "kid": "a", "pub": "AAAA" });
    for (keys, kept, left_out) in [
        (vec![named(p256()), named(rsa())], 2, 0),
        (vec![named(p256()), named(p256()), named(p256())], 3, 0),
        (vec![encryption.clone(), named(rsa())], 1, 1),
        (vec![named(rsa()), encryption], 1, 1),
        (
            vec![post_quantum.clone(), named(ed25519()), post_quantum],
            1,
            2,
        ),
    ] {
        let set = parse(&set(&keys)).unwrap_or_else(|error| panic!("{keys:?}: {error}"));
        assert_eq!(
            (set.keys.len(), set.skipped.len()),
            (kept, left_out),
            "{keys:?}"
        );
        assert!(
            set.keys.iter().all(|key| key.kid.as_deref() == Some("a")),
            "{set:?}"
        );
    }
}

/// docs/security.md 12: RSA under 2048 bits, `use: enc` and similar keys.
#[test]
fn a_key_that_cannot_verify_is_skipped_and_reported() {
    let bits = |bits: usize| {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        modulus[0] >>= (8 - bits % 8) % 8;
        json!({ "kty": "RSA", "n": encode(modulus), "e": "AQAB" })
    };
    let mut off_curve = vec![0; 64];
    off_curve[63] = 1;
    for (key, expected) in [
        (json!(1), "keys[0]: it is not an object"),
        (json!({}), "keys[0]: `kty` is missing or invalid"),
        (
            with(p256(), "kid", Value::Null),
            "keys[0]: `kid` is missing or invalid",
        ),
        (
            with(p256(), "kid", json!(7)),
            "keys[0]: `kid` is missing or invalid",
        ),
        (
            json!({"kty": "oct", "k": "c2VjcmV0"}),
            "keys[0]: it is a shared secret; use `secret` for it",
        ),
        (
            json!({"kty": "AKP", "kid": "pq"}),
            "keys[0] (kid \"pq\"): kty \"AKP\" is not RSA, EC or OKP",
        ),
        (
            with(p256(), "kty", "ec".into()),
            "keys[0]: kty \"ec\" is not RSA, EC or OKP",
        ),
        (
            with(rsa(), "d", "AQAB".into()),
            "keys[0]: it contains the private key; publish only the public key",
        ),
        (
            with(ed25519(), "d", Value::Null),
            "keys[0]: it contains the private key; publish only the public key",
        ),
        (
            with(rsa(), "use", "enc".into()),
            "keys[0]: `use` is \"enc\", not \"sig\"",
        ),
        (
            with(rsa(), "use", "SIG".into()),
            "keys[0]: `use` is \"SIG\", not \"sig\"",
        ),
        (
            with(rsa(), "use", json!(["sig"])),
            "keys[0]: `use` is missing or invalid",
        ),
        (
            with(rsa(), "key_ops", json!(["sign"])),
            "keys[0]: key_ops does not list \"verify\"",
        ),
        (
            with(rsa(), "key_ops", json!([])),
            "keys[0]: key_ops does not list \"verify\"",
        ),
        (
            with(rsa(), "key_ops", "verify".into()),
            "keys[0]: `key_ops` is missing or invalid",
        ),
        (
            with(rsa(), "alg", "RSA-OAEP".into()),
            "keys[0]: alg \"RSA-OAEP\" is not supported for tokens",
        ),
        (
            with(rsa(), "alg", "none".into()),
            "keys[0]: alg \"none\" is not supported for tokens",
        ),
        (
            with(rsa(), "alg", "rs256".into()),
            "keys[0]: alg \"rs256\" is not supported for tokens",
        ),
        (
            with(rsa(), "alg", "HS256".into()),
            "keys[0]: alg \"HS256\" does not fit this type of key",
        ),
        (
            with(rsa(), "alg", "ES256".into()),
            "keys[0]: alg \"ES256\" does not fit this type of key",
        ),
        (
            with(p256(), "alg", "ES384".into()),
            "keys[0]: alg \"ES384\" does not fit this type of key",
        ),
        (
            bits(1024),
            "keys[0]: RSA with 1024 bits; allowed are 2048 to 8192",
        ),
        (
            bits(2047),
            "keys[0]: RSA with 2047 bits; allowed are 2048 to 8192",
        ),
        (
            bits(8193),
            "keys[0]: RSA with 8193 bits; allowed are 2048 to 8192",
        ),
        (
            with(rsa(), "n", "".into()),
            "keys[0]: RSA with 0 bits; allowed are 2048 to 8192",
        ),
        (without(rsa(), "n"), "keys[0]: `n` is missing or invalid"),
        (
            with(rsa(), "n", "a+b/".into()),
            "keys[0]: `n` is missing or invalid",
        ),
        (
            with(rsa(), "e", "AQAB==".into()),
            "keys[0]: `e` is missing or invalid",
        ),
        (
            with(rsa(), "e", json!(65537)),
            "keys[0]: `e` is missing or invalid",
        ),
        (
            with(rsa(), "e", "AQ".into()),
            "keys[0]: the RSA exponent is even, less than 3 or over 33 bits",
        ),
        (
            with(rsa(), "e", "AQAA".into()),
            "keys[0]: the RSA exponent is even, less than 3 or over 33 bits",
        ),
        (
            with(rsa(), "e", encode([3; 6])),
            "keys[0]: the RSA exponent is even, less than 3 or over 33 bits",
        ),
        (
            with(p256(), "crv", "P-521".into()),
            "keys[0]: curve \"P-521\" is not P-256, P-384 or Ed25519",
        ),
        (
            with(p256(), "crv", "secp256k1".into()),
            "keys[0]: curve \"secp256k1\" is not P-256, P-384 or Ed25519",
        ),
        (
            with(p256(), "crv", "P-384".into()),
            "keys[0]: `x` is missing or invalid",
        ),
        (
            with(p384(), "crv", "P-256".into()),
            "keys[0]: `x` is missing or invalid",
        ),
        (without(p256(), "y"), "keys[0]: `y` is missing or invalid"),
        (
            with(p256(), "y", encode([1; 31])),
            "keys[0]: `y` is missing or invalid",
        ),
        (
            point("P-256", &off_curve),
            "keys[0]: the point is not on its curve",
        ),
        (
            with(ed25519(), "crv", "Ed448".into()),
            "keys[0]: curve \"Ed448\" is not P-256, P-384 or Ed25519",
        ),
        (
            with(ed25519(), "crv", "X25519".into()),
            "keys[0]: curve \"X25519\" is not P-256, P-384 or Ed25519",
        ),
        (
            with(ed25519(), "x", encode([1; 33])),
            "keys[0]: `x` is missing or invalid",
        ),
    ] {
        assert_eq!(skipped(key.clone()), expected, "{key}");
    }
}

#[test]
fn a_key_may_have_a_purpose_and_unknown_members() {
    let zero_in_front = {
        let key = rsa();
        let modulus = URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap();
        with(key, "n", encode([&[0][..], &modulus].concat()))
    };
    for key in [
        with(rsa(), "use", "sig".into()),
        with(rsa(), "key_ops", json!(["sign", "verify"])),
        with(rsa(), "alg", "PS512".into()),
        with(ed25519(), "alg", "EdDSA".into()),
        with(ed25519(), "alg", "Ed25519".into()),
        with(
            with(p256(), "x5c", json!(["not a certificate"])),
            "x5u",
            "http://attacker.example/".into(),
        ),
        with(p256(), "kid", "".into()),
        with(p256(), "ext", json!({ "a": [1] })),
        zero_in_front,
    ] {
        assert!(parse(&set(std::slice::from_ref(&key))).is_ok(), "{key}");
    }
}

#[test]
fn a_set_without_a_usable_key_says_why_for_the_first_few() {
    let keys: Vec<Value> = (0..7)
        .map(|kid| json!({ "kty": "AKP", "kid": kid.to_string() }))
        .collect();
    let text = refused(set(&keys));
    assert!(
        text.starts_with("none of its keys can be used: keys[0] (kid \"0\"): kty \"AKP\" is not"),
        "{text}"
    );
    assert!(text.ends_with("; and 2 more"), "{text}");
}
