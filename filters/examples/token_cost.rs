//! Prints the cost of a token, on first use and cached: nanoseconds, and allocations.
//!
//! `cargo run --release -p outrigger-filters --example token_cost`.

use std::{
    alloc::System,
    cell::RefCell,
    hint::black_box,
    time::{Duration, SystemTime},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
        RsaKeyPair, RsaPublicKeyComponents,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use outrigger_config::model::{Credential, JwtProvider, KeySource, ProviderId, Requirement};
use outrigger_filters::jwt::{
    Examination, KeySet, Keys, Memo, Providers, Token, TokenCache, Verifier, since_epoch,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ISSUER: &str = "https://login.example.com/";

/// The keys of the only provider.
struct One(KeySet);

impl Keys for One {
    fn with<R>(&self, _: ProviderId, read: impl FnOnce(Option<&KeySet>) -> R) -> R {
        read(Some(&self.0))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{:>28} {:>10} {:>12}", "", "ns", "allocations");
    let random = SystemRandom::new();

    let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
    let numbers = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
    let jwk = format!(
        r#""kty":"RSA","n":"{}","e":"{}""#,
        encode(numbers.n),
        encode(numbers.e)
    );
    measure("RS256", &jwk, |signed| {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &random, signed, &mut signature)
            .map(|()| signature)
    })?;

    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let jwk = format!(
        r#""kty":"EC","crv":"P-256","x":"{}","y":"{}""#,
        encode(x),
        encode(y)
    );
    measure("ES256", &jwk, |signed| {
        Ok(pair.sign(&random, signed)?.as_ref().to_vec())
    })?;

    let pair = Ed25519KeyPair::generate()?;
    let jwk = format!(
        r#""kty":"OKP","crv":"Ed25519","x":"{}""#,
        encode(pair.public_key())
    );
    measure("EdDSA", &jwk, |signed| {
        Ok(pair.sign(signed).as_ref().to_vec())
    })
}

fn measure(
    algorithm: &str,
    jwk: &str,
    sign: impl Fn(&[u8]) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified>,
) -> Result<(), Box<dyn std::error::Error>> {
    let now = since_epoch(SystemTime::now());
    let signed = format!(
        "{}.{}",
        encode(format!(
            r#"{{"alg":"{algorithm}","kid":"a","typ":"at+jwt"}}"#
        )),
        encode(payload(now))
    );
    let text = format!("{signed}.{}", encode(sign(signed.as_bytes())?));
    let headers = HeaderMap::from_iter([(
        AUTHORIZATION,
        HeaderValue::try_from(format!("Bearer {text}"))?,
    )]);
    let source = KeySource::Text {
        jwks: "".into(),
        file: None,
    };
    let provider = JwtProvider::new(
        "corp".into(),
        ISSUER.into(),
        vec!["orders-api".into()],
        source,
    );
    let keys = One(KeySet::read(
        format!(r#"{{"keys":[{{"kid":"a",{jwk}}}]}}"#).as_bytes(),
    )?);
    let (verifier, providers) = (Verifier::new(&provider), Providers::new(&[provider]));
    let requirement = Requirement::AnyOf(vec![Credential::Token(ProviderId(0))]);
    let ask = |cache: &RefCell<TokenCache>| {
        let memo = Memo::default();
        let examination = Examination {
            providers: &providers,
            keys: &keys,
            cache,
            memo: &memo,
            headers: black_box(&headers),
            now,
            certificate: None,
        };
        examination.require(&requirement).settle().is_ok()
    };

    println!("{algorithm}, {} bytes", text.len());
    print("read", 20_000, || Token::parse(black_box(&text)).is_ok());
    print("read and verified", 2_000, || {
        Token::parse(black_box(&text))
            .and_then(|token| verifier.verify(&keys.0, token, now, None))
            .is_ok()
    });
    print("auth, first use", 2_000, || ask(&RefCell::default()));
    let cache = RefCell::default();
    print("auth, repeated", 500_000, || ask(&cache));
    Ok(())
}

/// The minimum of five rounds.
fn print(name: &str, rounds: u32, mut step: impl FnMut() -> bool) {
    assert!(step(), "{name} must succeed");
    let region = Region::new(ALLOCATOR);
    let mut round = || {
        let start = Instant::now();
        for _ in 0..rounds {
            assert!(black_box(step()), "{name} must succeed");
        }
        start.elapsed()
    };
    let best: Duration = (0..5).map(|_| round()).min().unwrap_or_default();
    let allocations = region.change().allocations as f64 / f64::from(rounds * 5);
    println!(
        "{name:>28} {:>10.0} {allocations:>12.1}",
        best.as_secs_f64() * 1e9 / f64::from(rounds)
    );
}

/// Claims that identity providers typically issue.
fn payload(now: Duration) -> String {
    let (issued, expires) = (now.as_secs(), now.as_secs() + 3_600);
    format!(
        r#"{{"iss":"{ISSUER}","sub":"5f0c4f4e-6a51-4c3d-9d7e-0123456789ab","aud":["orders-api","payments-api"],
        "exp":{expires},"nbf":{issued},"iat":{issued},"jti":"0b6c1d5e","azp":"shop","scope":"openid orders.read",
        "realm_access":{{"roles":["user","buyer"]}},"email":"alice@example.com","email_verified":true}}"#
    )
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
