//! Tokens that were verified before.

use std::{sync::Arc, time::Duration};

use outrigger_config::model::JwtProvider;
use serde_json::json;

use super::forge::*;
use crate::jwt::{KeySet, Thumbprint, Token, TokenCache, Verifier};
use crate::reason::Reason;

/// A cache, and the provider that asks it.
struct Bench {
    cache: TokenCache,
    verifier: Arc<Verifier>,
    keys: KeySet,
}

impl Bench {
    fn new(size: usize) -> Self {
        Self {
            cache: TokenCache::new(size),
            verifier: Arc::new(Verifier::new(&provider())),
            keys: all_keys(),
        }
    }

    fn verified(mut self, text: &str, certificate: Option<&Thumbprint>) -> Self {
        let token = self
            .verifier
            .verify(&self.keys, Token::parse(text).unwrap(), now(), certificate)
            .unwrap();
        self.cache
            .insert(text, &Arc::new(token), &self.verifier, &self.keys);
        self
    }

    fn get_at(
        &mut self,
        text: &str,
        now: Duration,
        certificate: Option<&Thumbprint>,
    ) -> Option<Result<(), Reason>> {
        let found = self
            .cache
            .get(text, &self.verifier, &self.keys, now, certificate);
        found.map(|found| found.map(|_| ()))
    }

    fn get(&mut self, text: &str) -> Option<Result<(), Reason>> {
        self.get_at(text, now(), None)
    }

    fn with_provider(&mut self, change: impl FnOnce(&mut JwtProvider)) {
        let mut changed = provider();
        change(&mut changed);
        self.verifier = Arc::new(Verifier::new(&changed));
    }
}

fn good() -> String {
    token(&claims().to_string())
}

#[test]
fn only_the_very_same_text_is_found() {
    let text = good();
    let mut bench = Bench::new(10).verified(&text, None);
    assert_eq!(bench.get(&text), Some(Ok(())));
    let (signed, signature) = text.rsplit_once('.').unwrap();
    let (header, _) = signed.split_once('.').unwrap();
    // The same signature, and so the same hash, under other claims.
    let forged = format!(
        "{header}.{}.{signature}",
        encode(claims_with("sub", "mallory".into()))
    );
    for other in [
        &forged,
        &format!("{text} "),
        &text[1..],
        &text[..text.len() - 1],
        signature,
        "",
    ] {
        assert_eq!(bench.get(other), None, "{other}");
    }
}

#[test]
fn times_are_checked_at_every_use_and_what_expired_goes() {
    let text = good();
    let mut bench = Bench::new(10).verified(&text, None);
    let at = |seconds: u64| Duration::from_secs(seconds);
    assert_eq!(bench.get_at(&text, at(NOW + 329), None), Some(Ok(())));
    assert_eq!(
        bench.get_at(&text, at(NOW - 1_000), None),
        Some(Err(Reason::AuthNotYetValid))
    );
    assert_eq!(bench.get_at(&text, at(NOW), None), Some(Ok(())));
    assert_eq!(
        bench.get_at(&text, at(NOW + 330), None),
        Some(Err(Reason::AuthExpired))
    );
    assert!(bench.cache.is_empty());
    assert_eq!(bench.get_at(&text, at(NOW), None), None);
}

/// A stolen token that is bound to a certificate is of no use, however often its owner used it.
#[test]
fn the_certificate_is_compared_at_every_use() {
    let text = token(&claims_with(
        "cnf",
        json!({ "x5t#S256": encode(CERTIFICATE) }),
    ));
    let mut bench = Bench::new(10).verified(&text, Some(&CERTIFICATE));
    assert_eq!(bench.get_at(&text, now(), Some(&CERTIFICATE)), Some(Ok(())));
    assert_eq!(
        bench.get_at(&text, now(), None),
        Some(Err(Reason::AuthBindingMismatch))
    );
    assert_eq!(
        bench.get_at(&text, now(), Some(&[8; 32])),
        Some(Err(Reason::AuthBindingMismatch))
    );
    assert_eq!(bench.get_at(&text, now(), Some(&CERTIFICATE)), Some(Ok(())));
}

/// docs/security.md 12: a key that is taken out of the set, or changed under its name, takes its tokens along.
#[test]
fn a_token_goes_with_its_key() {
    let (text, signers) = (good(), signers());
    let mut other_use = signers.p256.jwk("p256");
    other_use["alg"] = "ES256".into();
    for (keys, expected) in [
        (vec![signers.p256.jwk("p256")], Some(Ok(()))),
        (
            vec![signers.rsa.jwk("new"), signers.p256.jwk("p256")],
            Some(Ok(())),
        ),
        (vec![signers.rsa.jwk("rsa")], None),
        (vec![signers.p256.jwk("renamed")], None),
        (vec![signers.p256.jwk("")], None),
        (vec![signers.stranger.jwk("p256")], None),
        (vec![other_use], None),
    ] {
        let mut bench = Bench::new(10).verified(&text, None);
        bench.keys = key_set(&keys);
        assert_eq!(bench.get(&text), expected, "{keys:?}");
        assert_eq!(bench.get(&text), expected, "{keys:?}, the second time");
        assert_eq!(bench.cache.len(), usize::from(expected.is_some()));
    }
}

#[test]
fn a_token_goes_with_its_provider_and_stays_over_an_equal_reload() {
    type Change = fn(&mut JwtProvider);
    let changes: [(Change, bool); 6] = [
        (|_| {}, true),
        (
            |provider| provider.audiences = vec!["other-api".into()],
            false,
        ),
        (
            |provider| provider.issuer = "https://new.example/".into(),
            false,
        ),
        (|provider| provider.algorithms.truncate(1), false),
        (|provider| provider.clock_skew = Duration::ZERO, false),
        (
            |provider| provider.binding = outrigger_config::model::TokenBinding::Required,
            false,
        ),
    ];
    let text = good();
    for (change, stays) in changes {
        let mut bench = Bench::new(10).verified(&text, None);
        bench.with_provider(change);
        assert_eq!(bench.get(&text).is_some(), stays);
        assert_eq!(bench.cache.len(), usize::from(stays));
    }
    // Another provider finds nothing, and takes nothing away.
    let mut bench = Bench::new(10).verified(&text, None);
    bench.with_provider(|provider| provider.name = "partner".into());
    assert_eq!(bench.get(&text), None);
    bench.with_provider(|_| {});
    assert_eq!(bench.get(&text), Some(Ok(())));
}

#[test]
fn what_is_used_stays_and_the_rest_makes_room() {
    let texts: Vec<String> = (0..30)
        .map(|number| token(&claims_with("sub", number.to_string().into())))
        .collect();
    let mut bench = Bench::new(10);
    for text in &texts {
        bench = bench.verified(text, None);
        assert_eq!(
            bench.get(&texts[0]),
            Some(Ok(())),
            "the first is used all the time"
        );
        assert!(bench.cache.len() <= 10);
    }
    assert_eq!(bench.cache.len(), 10);
    let kept = texts
        .iter()
        .filter(|text| bench.get(text).is_some())
        .count();
    assert_eq!(kept, 10);
    assert_eq!(bench.get(&texts[29]), Some(Ok(())));
    // Verified twice (two requests at once), kept once.
    bench = bench.verified(&texts[29], None);
    assert_eq!(bench.cache.len(), 10);
}

#[test]
fn a_cache_for_one_holds_one() {
    let (first, second) = (good(), token(&claims_with("sub", "bob".into())));
    let mut bench = Bench::new(1).verified(&first, None).verified(&second, None);
    assert_eq!(
        (bench.get(&first), bench.get(&second)),
        (None, Some(Ok(())))
    );
}

#[test]
fn large_tokens_have_a_bound_of_their_own() {
    let mut bench = Bench::new(1_000);
    for number in 0..400 {
        let text = token(&claims_with(
            "fill",
            format!("{number}{}", "x".repeat(11_000)).into(),
        ));
        bench = bench.verified(&text, None);
    }
    assert!(
        (250..300).contains(&bench.cache.len()),
        "{}",
        bench.cache.len()
    );
}
