//! What must not allocate. A binary of its own, since the allocator counts for all threads.

use std::{alloc::System, cell::RefCell, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use outrigger_config::model::{
    Credential, JwtAlgorithm, JwtProvider, KeySource, ProviderId, Requirement, SecretText,
};
use outrigger_filters::jwt::{Examination, KeySet, Keys, Memo, Providers, TokenCache};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

struct One(KeySet);

impl Keys for One {
    fn with<R>(&self, _: ProviderId, read: impl FnOnce(Option<&KeySet>) -> R) -> R {
        read(Some(&self.0))
    }
}

#[test]
fn a_token_that_was_seen_before_costs_no_allocation() {
    let encode = |text: &[u8]| URL_SAFE_NO_PAD.encode(text);
    let payload =
        br#"{"iss":"https://login.example.com/","aud":"orders-api","exp":2000,"sub":"alice"}"#;
    let signed = format!("{}.{}", encode(br#"{"alg":"HS256"}"#), encode(payload));
    let signature = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, SECRET),
        signed.as_bytes(),
    );
    let bearer = format!("Bearer {signed}.{}", encode(signature.as_ref()));
    let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::try_from(bearer).unwrap())]);

    let secret = SecretText::new(SECRET);
    let mut provider = JwtProvider::new(
        "corp".into(),
        "https://login.example.com/".into(),
        vec!["orders-api".into()],
        KeySource::Secret(secret.clone()),
    );
    provider.algorithms = vec![JwtAlgorithm::Hs256];
    let (providers, keys) = (
        Providers::new(&[provider]),
        One(KeySet::secret(secret).unwrap()),
    );
    let requirement = Requirement::AnyOf(vec![Credential::Token(ProviderId(0)), Credential::Mtls]);
    let cache = RefCell::new(TokenCache::default());
    let ask = || {
        let memo = Memo::default();
        let now = Duration::from_secs(1_000);
        let (providers, keys, cache, headers) = (&providers, &keys, &cache, &headers);
        let examination = Examination {
            providers,
            keys,
            cache,
            memo: &memo,
            headers,
            now,
            certificate: None,
        };
        let tokens = examination.require(&requirement).settle().unwrap();
        assert_eq!(tokens.iter().count(), 1);
    };
    let region = Region::new(ALLOCATOR);
    ask();
    assert!(
        region.change().allocations > 0,
        "the first use must be counted"
    );
    // The harness has a thread of its own that allocates now and then; what `ask` needs shows in every turn.
    let least = (0..10).map(|_| {
        let region = Region::new(ALLOCATOR);
        (0..10).for_each(|_| ask());
        region.change().allocations
    });
    assert_eq!(least.min(), Some(0));
}
