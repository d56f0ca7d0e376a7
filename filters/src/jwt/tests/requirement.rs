//! What routes ask for.

use std::cell::{Cell, RefCell};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use outrigger_config::model::{Credential, JwtProvider, ProviderId, Requirement, TokenLocation};
use serde_json::Value;

use super::forge::*;
use crate::{
    error::Error,
    jwt::{Examination, KeySet, Keys, Memo, NoToken, Outcome, Providers, Thumbprint, TokenCache},
};

const CORP: ProviderId = ProviderId(0);
const PARTNER: ProviderId = ProviderId(1);
const COOKIE: ProviderId = ProviderId(2);

/// The keys of three providers, and how often they were asked for.
struct KeyRing {
    sets: [Option<KeySet>; 3],
    asked: Cell<usize>,
}

impl Keys for KeyRing {
    fn with<R>(&self, provider: ProviderId, read: impl FnOnce(Option<&KeySet>) -> R) -> R {
        self.asked.set(self.asked.get() + 1);
        read(self.sets[provider.0 as usize].as_ref())
    }
}

struct Gate {
    providers: Providers,
    keys: KeyRing,
    cache: RefCell<TokenCache>,
}

impl Gate {
    fn new() -> Self {
        let named = |name: &str, issuer: &str| {
            let mut provider = provider();
            (provider.name, provider.issuer) = (name.into(), issuer.into());
            provider
        };
        let mut cookie: JwtProvider = named("cookie", "https://cookie.example/");
        cookie.from = vec![TokenLocation::Cookie("session".into())];
        Self {
            providers: Providers::new(&[
                named("corp", ISSUER),
                named("partner", "https://partner.example/"),
                cookie,
            ]),
            keys: KeyRing {
                sets: [Some(all_keys()), Some(all_keys()), Some(all_keys())],
                asked: Cell::new(0),
            },
            cache: RefCell::default(),
        }
    }

    fn examine<'a>(
        &'a self,
        headers: &'a HeaderMap,
        memo: &'a Memo,
        certificate: Option<&'a Thumbprint>,
    ) -> Examination<'a, KeyRing> {
        let Self {
            providers,
            keys,
            cache,
        } = self;
        Examination {
            providers,
            keys,
            cache,
            memo,
            headers,
            now: now(),
            certificate,
        }
    }

    /// What a requirement comes to: `ok` with the providers of its tokens, a status with its reason, or `keys`.
    fn ask(
        &self,
        requirement: &Requirement,
        headers: &HeaderMap,
        certificate: Option<&Thumbprint>,
    ) -> String {
        match self
            .examine(headers, &Memo::default(), certificate)
            .require(requirement)
        {
            Outcome::Allowed(tokens) => {
                let names: Vec<&str> = tokens
                    .iter()
                    .map(|granted| &**granted.token.provider())
                    .collect();
                format!("ok {}", names.join(" ")).trim_end().to_owned()
            }
            Outcome::Refused(error) => {
                format!("{} {}", error.status().as_u16(), error.reason().as_str())
            }
            Outcome::NeedsKeys(provider) => format!("keys {}", provider.0),
        }
    }
}

fn of(issuer: &str) -> String {
    token(&claims_with("iss", issuer.into()))
}

fn corp() -> String {
    of(ISSUER)
}

fn partner() -> String {
    of("https://partner.example/")
}

fn expired() -> String {
    token(&claims_with("exp", (NOW - 1_000).into()))
}

fn unknown_kid() -> String {
    signers()
        .p256
        .token(r#"{"alg":"ES256","kid":"new"}"#, &claims().to_string())
}

fn head(bearer: Option<&str>, cookie: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name: HeaderName, value: String| {
        headers.insert(name, HeaderValue::try_from(value).unwrap())
    };
    if let Some(token) = bearer {
        put(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if let Some(token) = cookie {
        put(header::COOKIE, format!("session={token}"));
    }
    headers
}

fn any_of(credentials: &[Credential]) -> Requirement {
    Requirement::AnyOf(credentials.to_vec())
}

fn all_of(credentials: &[Credential]) -> Requirement {
    Requirement::AllOf(credentials.to_vec())
}

const TOKEN: Credential = Credential::Token(CORP);
const PARTNERS: Credential = Credential::Token(PARTNER);
const COOKIES: Credential = Credential::Token(COOKIE);
const MTLS: Credential = Credential::Mtls;

#[test]
fn every_requirement_against_every_kind_of_request() {
    let gate = Gate::new();
    let (corp, partner, expired) = (corp(), partner(), expired());
    let (stranger, cookie) = (
        of("https://attacker.example/"),
        of("https://cookie.example/"),
    );
    let optional = |providers: &[ProviderId]| Requirement::Optional(providers.to_vec());
    let bearer = |token: &str| head(Some(token), None);
    let both = |token: &str, cookie: &str| head(Some(token), Some(cookie));
    let certificate = Some(&CERTIFICATE);
    for (requirement, headers, certificate, expected) in [
        (Requirement::None, bearer("nonsense"), None, "ok"),
        (
            any_of(&[TOKEN]),
            head(None, None),
            None,
            "401 auth.missing_token",
        ),
        (any_of(&[TOKEN]), bearer(&corp), None, "ok corp"),
        (any_of(&[TOKEN]), bearer(&expired), None, "401 auth.expired"),
        (
            any_of(&[TOKEN]),
            bearer("nonsense"),
            None,
            "401 auth.token_segments",
        ),
        (
            any_of(&[TOKEN]),
            bearer(&partner),
            None,
            "401 auth.unknown_issuer",
        ),
        (
            any_of(&[TOKEN]),
            bearer(&token(&claims_with("iss", Value::Null))),
            None,
            "401 auth.issuer_missing",
        ),
        (any_of(&[TOKEN]), bearer(&unknown_kid()), None, "keys 0"),
        (
            any_of(&[TOKEN]),
            head(None, None),
            certificate,
            "401 auth.missing_token",
        ),
        (any_of(&[TOKEN, PARTNERS]), bearer(&corp), None, "ok corp"),
        (
            any_of(&[TOKEN, PARTNERS]),
            bearer(&partner),
            None,
            "ok partner",
        ),
        (
            any_of(&[PARTNERS, TOKEN]),
            bearer(&partner),
            None,
            "ok partner",
        ),
        (
            any_of(&[PARTNERS, TOKEN]),
            bearer(&expired),
            None,
            "401 auth.expired",
        ),
        (
            any_of(&[TOKEN, PARTNERS]),
            bearer(&stranger),
            None,
            "401 auth.unknown_issuer",
        ),
        (
            any_of(&[TOKEN, PARTNERS]),
            bearer(&unknown_kid()),
            None,
            "keys 0",
        ),
        (
            any_of(&[TOKEN, COOKIES]),
            both(&expired, &cookie),
            None,
            "ok cookie",
        ),
        (
            any_of(&[TOKEN, COOKIES]),
            both(&corp, "nonsense"),
            None,
            "ok corp",
        ),
        (
            any_of(&[TOKEN, COOKIES]),
            both(&expired, "nonsense"),
            None,
            "401 auth.expired",
        ),
        (
            any_of(&[COOKIES]),
            bearer(&corp),
            None,
            "401 auth.missing_token",
        ),
        (
            any_of(&[MTLS]),
            head(None, None),
            None,
            "403 auth.certificate_missing",
        ),
        (any_of(&[MTLS]), head(None, None), certificate, "ok"),
        (any_of(&[MTLS]), bearer(&corp), certificate, "ok"),
        (
            any_of(&[TOKEN, MTLS]),
            head(None, None),
            None,
            "401 auth.missing_token",
        ),
        (any_of(&[TOKEN, MTLS]), head(None, None), certificate, "ok"),
        (any_of(&[TOKEN, MTLS]), bearer(&corp), None, "ok corp"),
        (
            any_of(&[TOKEN, MTLS]),
            bearer(&corp),
            certificate,
            "ok corp",
        ),
        (
            any_of(&[TOKEN, MTLS]),
            bearer(&expired),
            None,
            "401 auth.expired",
        ),
        (any_of(&[TOKEN, MTLS]), bearer(&expired), certificate, "ok"),
        (
            any_of(&[TOKEN, MTLS]),
            bearer(&unknown_kid()),
            certificate,
            "ok",
        ),
        (
            all_of(&[TOKEN, MTLS]),
            bearer(&corp),
            certificate,
            "ok corp",
        ),
        (
            all_of(&[TOKEN, MTLS]),
            bearer(&corp),
            None,
            "403 auth.certificate_missing",
        ),
        (
            all_of(&[MTLS, TOKEN]),
            head(None, None),
            certificate,
            "401 auth.missing_token",
        ),
        (
            all_of(&[MTLS, TOKEN]),
            head(None, None),
            None,
            "401 auth.missing_token",
        ),
        (
            all_of(&[TOKEN, MTLS]),
            bearer(&expired),
            None,
            "401 auth.expired",
        ),
        (
            all_of(&[TOKEN, COOKIES]),
            both(&corp, &cookie),
            None,
            "ok corp cookie",
        ),
        (
            all_of(&[TOKEN, COOKIES]),
            bearer(&corp),
            None,
            "401 auth.missing_token",
        ),
        (
            all_of(&[TOKEN, PARTNERS]),
            bearer(&corp),
            None,
            "401 auth.unknown_issuer",
        ),
        (optional(&[CORP]), head(None, None), None, "ok"),
        (optional(&[CORP]), bearer(&corp), None, "ok corp"),
        (
            optional(&[CORP]),
            bearer(&expired),
            None,
            "401 auth.expired",
        ),
        (
            optional(&[CORP]),
            bearer("nonsense"),
            None,
            "401 auth.token_segments",
        ),
        (
            optional(&[CORP]),
            bearer(&partner),
            None,
            "401 auth.unknown_issuer",
        ),
        (optional(&[CORP]), bearer(&unknown_kid()), None, "keys 0"),
        (
            optional(&[CORP, PARTNER]),
            bearer(&partner),
            None,
            "ok partner",
        ),
        (
            optional(&[CORP, PARTNER]),
            bearer(&stranger),
            None,
            "401 auth.unknown_issuer",
        ),
        (
            optional(&[CORP, PARTNER, COOKIE]),
            both(&partner, &cookie),
            None,
            "ok partner cookie",
        ),
        (
            optional(&[CORP, PARTNER, COOKIE]),
            both(&corp, "nonsense"),
            None,
            "401 auth.token_segments",
        ),
        (
            optional(&[CORP, COOKIE]),
            both(&expired, &cookie),
            None,
            "401 auth.expired",
        ),
    ] {
        // The second time the cache knows what the first time verified.
        for time in ["first", "second"] {
            let outcome = gate.ask(&requirement, &headers, certificate);
            assert_eq!(
                outcome, expected,
                "{requirement:?} {headers:?} {certificate:?} the {time} time"
            );
        }
    }
}

/// docs/security.md 14: no keys is a 503, but only for a token that might be good.
#[test]
fn without_keys_only_what_could_be_good_is_told_so() {
    let mut gate = Gate::new();
    let (headers, requirement) = (head(Some(&corp()), None), any_of(&[TOKEN, PARTNERS]));
    assert_eq!(gate.ask(&requirement, &headers, None), "ok corp");
    gate.keys.sets[0] = None;
    assert_eq!(
        gate.ask(&requirement, &headers, None),
        "503 auth.no_keys",
        "also for what was verified before"
    );
    assert_eq!(
        gate.ask(&requirement, &head(Some(&expired()), None), None),
        "401 auth.expired"
    );
    assert_eq!(
        gate.ask(&requirement, &head(Some("a.b.c"), None), None),
        "401 auth.token_encoding"
    );
    assert_eq!(
        gate.ask(&requirement, &head(Some(&partner()), None), None),
        "ok partner"
    );
    assert_eq!(
        gate.ask(&any_of(&[TOKEN, MTLS]), &headers, Some(&CERTIFICATE)),
        "ok"
    );
    let outcome = gate
        .examine(&headers, &Memo::default(), None)
        .require(&requirement);
    let Outcome::Refused(Error::NoKeys { provider }) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(&*provider, "corp");
}

/// docs/security.md 14: after newer keys came the same request goes on; without them it ends.
#[test]
fn an_unknown_kid_is_asked_about_once_more_and_then_settled() {
    let mut gate = Gate::new();
    let (headers, memo) = (head(Some(&unknown_kid()), None), Memo::default());
    let outcome = gate
        .examine(&headers, &memo, None)
        .require(&any_of(&[TOKEN]));
    assert!(matches!(outcome, Outcome::NeedsKeys(CORP)), "{outcome:?}");
    let error = outcome.settle().unwrap_err();
    assert_eq!(
        (error.status().as_u16(), error.reason().as_str()),
        (401, "auth.unknown_kid")
    );

    gate.keys.sets[0] = Some(key_set(&[signers().p256.jwk("new")]));
    let tokens = gate
        .examine(&headers, &memo, None)
        .require(&any_of(&[TOKEN]))
        .settle()
        .unwrap();
    assert_eq!(tokens.iter().count(), 1);
}

#[test]
fn a_token_is_verified_once_for_a_request_with_several_steps() {
    for (text, good) in [
        (corp(), true),
        (expired(), false),
        (of("https://attacker.example/"), false),
    ] {
        let (gate, memo, headers) = (Gate::new(), Memo::default(), head(Some(&text), None));
        let gone = HeaderMap::new();
        let first = gate.examine(&headers, &memo, None).any([CORP].into_iter());
        let asked = gate.keys.asked.get();
        // The header was removed meanwhile, as before a later step.
        let second = gate.examine(&gone, &memo, None).any([CORP].into_iter());
        assert_eq!((first.is_ok(), second.is_ok()), (good, good));
        assert_eq!(first.err(), second.err());
        assert_eq!(gate.keys.asked.get(), asked, "the keys were read again");
    }
}

#[test]
fn every_place_is_read_on_its_own() {
    let cookie = of("https://cookie.example/");
    for bearer in [
        "nonsense",
        &of("https://attacker.example/"),
        &expired(),
        &unknown_kid(),
    ] {
        let headers = head(Some(bearer), Some(&cookie));
        assert_eq!(
            Gate::new().ask(&any_of(&[TOKEN, COOKIES]), &headers, None),
            "ok cookie",
            "{bearer}"
        );
        let headers = head(Some(&corp()), Some(bearer));
        assert_eq!(
            Gate::new().ask(&any_of(&[COOKIES, TOKEN]), &headers, None),
            "ok corp",
            "{bearer}"
        );
    }
}

#[test]
fn route_choice_may_ask_all_providers() {
    let gate = Gate::new();
    let any = |headers: &HeaderMap| {
        gate.examine(headers, &Memo::default(), None)
            .any(gate.providers.ids())
    };
    let granted = any(&head(Some(&partner()), None)).unwrap();
    assert_eq!(
        (granted.provider, &**granted.token.provider()),
        (PARTNER, "partner")
    );
    assert_eq!(any(&head(None, None)).unwrap_err(), NoToken::Absent);
    assert_eq!(
        any(&head(Some(&unknown_kid()), None)).unwrap_err(),
        NoToken::UnknownKid(CORP)
    );
}

#[test]
fn of_two_providers_with_one_issuer_the_one_whose_audience_fits_takes_the_token() {
    let mut second = provider();
    (second.name, second.audiences) = ("second".into(), vec!["second-api".into()]);
    let mut gate = Gate::new();
    gate.providers = Providers::new(&[provider(), second, provider()]);
    let headers = head(Some(&token(&claims_with("aud", "second-api".into()))), None);
    for _ in 0..2 {
        assert_eq!(
            gate.ask(&any_of(&[TOKEN, PARTNERS]), &headers, None),
            "ok second"
        );
        assert_eq!(
            gate.ask(&any_of(&[TOKEN]), &headers, None),
            "401 auth.audience_mismatch"
        );
    }
}
