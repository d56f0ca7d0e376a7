//! What [`evaluate`] says where no real socket shows it: certificates, steps that only a service outside decides, and time.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "tests are named as sentences, and a failure is a panic"
)]

use std::{
    cell::RefCell,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderValue, request::Parts};
use outrigger_config::model::{Config, ListenerId, ProviderId, RouteId, UpstreamId};
use outrigger_decision::{
    Conditions, Decision, ForwardedIdentity, KeySource, Outcome, Runtime, Subject, Tls, Trace,
    auth::Verifiers,
    evaluate,
    router::RouteTable,
    trace::{ACTION, INTAKE, ROUTE, Said},
};
use outrigger_filters::{
    claim_headers::ClaimHeaders,
    client_address, cors,
    jwt::{KeySet, Keys, Providers, TokenCache},
    rate_limit::{Limit, RateLimitStep},
    service::Request,
    step::{Counting, Step, Steps, Verdict},
};
use tokio::time::Instant;

const PEER: [u8; 4] = [192, 0, 2, 1];

struct NoKeys;

impl Keys for NoKeys {
    fn with<R>(&self, _: ProviderId, read: impl FnOnce(Option<&KeySet>) -> R) -> R {
        read(None)
    }
}

impl KeySource for NoKeys {
    fn may_renew(&self, _: ProviderId) -> bool {
        true
    }

    async fn renew(&self, _: ProviderId) {}
}

/// A step that only a service outside decides.
struct Asks;

impl Step for Asks {
    fn on_request(&self, _: &mut Request) -> Verdict {
        Verdict::wait(async { Verdict::Pass })
    }
}

/// A configuration with steps of the test's own.
struct Bench {
    config: Config,
    table: RouteTable,
    verifiers: Rc<Verifiers<NoKeys>>,
    steps: Steps,
    authorization: Option<HeaderValue>,
}

impl Bench {
    fn new(text: &str, steps: Vec<Box<dyn Step>>) -> Self {
        let loaded = outrigger_config::load_str("test.yaml", text, &|_: &str| None);
        let config = loaded.unwrap().config;
        let providers = Arc::new(Providers::new(&config.jwt_providers));
        let cache = Rc::<RefCell<TokenCache>>::default();
        Self {
            table: RouteTable::new(&config, ListenerId(0)),
            verifiers: Rc::new(Verifiers::new(providers, NoKeys, cache)),
            steps: steps.into_iter().collect(),
            authorization: None,
            config,
        }
    }

    fn decide(
        &self,
        tls: Option<Tls<'_>>,
        head: Parts,
        now: Instant,
        counting: Counting,
    ) -> Decision {
        self.trace(tls, head, now, counting, ())
    }

    fn trace<T: Trace>(
        &self,
        tls: Option<Tls<'_>>,
        head: Parts,
        now: Instant,
        counting: Counting,
        trace: T,
    ) -> Decision {
        let peer_value = client_address::peer_value(PEER.into());
        let subject = Subject {
            listener: ListenerId(0),
            peer: PEER.into(),
            peer_value: &peer_value,
            tls,
        };
        let conditions = Conditions {
            now,
            time: SystemTime::UNIX_EPOCH,
            draw: &|_| 0,
            has_body: false,
            counting,
        };
        evaluate(self, &subject, head, &conditions, trace)
    }
}

impl Runtime for Bench {
    type Keys = NoKeys;

    fn config(&self) -> &Config {
        &self.config
    }

    fn table(&self, _: ListenerId) -> &RouteTable {
        &self.table
    }

    fn claim_headers(&self, _: ListenerId) -> Option<&ClaimHeaders> {
        None
    }

    /// Names below one domain share a certificate.
    fn is_one_certificate(&self, _: ListenerId, one: &str, other: &str) -> bool {
        let domain = |name: &str| name.split_once('.').map(|(_, rest)| rest.to_owned());
        domain(one) == domain(other)
    }

    fn verifiers(&self) -> &Rc<Verifiers<NoKeys>> {
        &self.verifiers
    }

    fn cors(&self, _: RouteId) -> Option<&cors::Policy> {
        None
    }

    fn steps(&self, _: RouteId) -> Steps {
        self.steps.clone()
    }

    fn authorization(&self, _: UpstreamId) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

fn get(host: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = http::Request::builder().uri("/a").header("host", host);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn reason(decision: &Decision) -> &'static str {
    match &decision.outcome {
        Outcome::Refuse(error) => error.reason().as_str(),
        Outcome::Answer(_) => "answered",
        Outcome::Forward(_) => "",
    }
}

const OPEN: &str = "app: { port: 8080 }\nlisteners: [{ port: 0 }]\n";

#[test]
fn a_host_with_another_certificate_is_misdirected_unless_a_trusted_peer_sends_it() {
    let trusting = "app: { port: 8080 }\nlisteners: [{ port: 0, clientAddress: { trustedCIDRs: [192.0.2.0/24] } }]\n";
    for (text, host, expected) in [
        (OPEN, "a.one.example", ""),
        (OPEN, "B.One.Example:443", ""),
        (OPEN, "a.two.example", "tls.misdirected"),
        (trusting, "a.two.example", ""),
    ] {
        let forwarded = ForwardedIdentity::default();
        let tls = Tls {
            server_name: Some("a.one.example"),
            identity: None,
            forwarded: &forwarded,
        };
        let head = get(host, &[]);
        let decision =
            Bench::new(text, Vec::new()).decide(Some(tls), head, Instant::now(), Counting::No);
        assert_eq!(reason(&decision), expected, "{host}");
        let proto = decision.own.unwrap().forwarded.unwrap().proto;
        assert_eq!(proto, "https");
    }
}

/// A trace that keeps which stages said something, and whether they passed the request.
#[derive(Default)]
struct Heard(RefCell<Vec<(&'static str, &'static str)>>);

impl Trace for &Heard {
    fn stage(self, stage: &'static str, said: Said<'_>) {
        let said = match said {
            Said::Pass => "pass",
            Said::Refuse(_) => "refuse",
            Said::Answer(_) => "answer",
            Said::Unknown => "unknown",
        };
        self.0.borrow_mut().push((stage, said));
    }
}

#[test]
fn what_only_a_service_outside_knows_is_left_open_and_named() {
    let bench = Bench::new(OPEN, vec![Asks.boxed()]);
    let heard = Heard::default();
    let decision = bench.trace(None, get("a", &[]), Instant::now(), Counting::No, &heard);
    assert_eq!(
        (reason(&decision), &decision.undecided[..]),
        ("", &["Asks"][..])
    );
    let expected = [
        (INTAKE, "pass"),
        (ROUTE, "pass"),
        ("Asks", "unknown"),
        (ACTION, "pass"),
    ];
    assert_eq!(heard.0.take(), expected);
}

#[test]
fn a_limit_counts_only_what_is_to_count_and_goes_by_the_time_that_it_is_given() {
    let text = format!(
        "{OPEN}rateLimits: {{ l: {{ requests: 1, per: 1h, key: clientIP }} }}\nroutes: [{{ name: r, rateLimits: [l] }}]\n"
    );
    let limit = {
        let loaded = outrigger_config::load_str("test.yaml", &text, &|_: &str| None).unwrap();
        Arc::new(Limit::new(&loaded.config.rate_limits[0]))
    };
    let bench = Bench::new(&text, vec![RateLimitStep::new(vec![limit]).boxed()]);
    let now = Instant::now();
    let hour = Duration::from_secs(3600);
    for (at, counting, expected) in [
        (now, Counting::No, ""),
        (now, Counting::No, ""),
        (now, Counting::Yes, ""),
        (now, Counting::No, "rate_limit.exceeded"),
        (now, Counting::Yes, "rate_limit.exceeded"),
        (now + hour, Counting::No, ""),
        (now + hour, Counting::Yes, ""),
        (now + hour, Counting::Yes, "rate_limit.exceeded"),
    ] {
        let decision = bench.decide(None, get("a", &[]), at, counting);
        assert_eq!(reason(&decision), expected);
        assert_eq!(decision.rule.is_some(), !expected.is_empty());
    }
}

#[test]
fn an_upstream_gets_the_credentials_of_the_proxy_in_place_of_the_clients() {
    let mut bench = Bench::new(OPEN, Vec::new());
    bench.authorization = Some(HeaderValue::from_static("Bearer ours"));
    let head = get("a", &[("authorization", "Bearer theirs")]);
    let decision = bench.decide(None, head, Instant::now(), Counting::No);
    let sent = decision.fields();
    let shown: Vec<_> = sent
        .iter()
        .filter(|(name, _)| name == "authorization")
        .collect();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].1, "Bearer ours");
}
