//! One configured limit: what it counts requests by, and what happens over the limit.

use std::time::Duration;

use http::HeaderMap;
use outrigger_config::model::{ClaimPath, Mode, RateLimit, RateLimitKey};

use super::{Key, Limiter, bucket::Nanos};
use crate::{context::Exchange, error::Error, host, reason::Reason, service::Request};

/// One limit with its buckets. It survives a reload that does not change it.
#[derive(Debug)]
pub struct Limit {
    model: RateLimit,
    limiter: Limiter,
    issuer: ClaimPath,
}

impl Limit {
    /// A limit whose buckets are full.
    pub fn new(model: &RateLimit) -> Self {
        Self {
            model: model.clone(),
            limiter: Limiter::new(model),
            issuer: ClaimPath::new(["iss".into()]),
        }
    }

    /// The accepted configuration.
    pub fn model(&self) -> &RateLimit {
        &self.model
    }

    /// Counts a request at the moment when its head was complete.
    ///
    /// # Errors
    /// The request is over the limit, and the mode is not `report`.
    pub fn admit(&self, request: &Request, now: Nanos) -> Result<(), Error> {
        let counted = self.with_key(&request.head.headers, &request.context, |key| {
            self.limiter.admit(key, now)
        });
        counted.or_else(|wait| self.refuse(&request.context, wait))
    }

    /// The result of [`admit`](Self::admit), without counting the request.
    ///
    /// # Errors
    /// The request would be over the limit.
    pub fn peek(&self, request: &Request, now: Nanos) -> Result<(), Error> {
        let counted = self.with_key(&request.head.headers, &request.context, |key| {
            self.limiter.peek(key, now)
        });
        counted.or_else(|wait| self.refuse(&request.context, wait))
    }

    /// Calls `count` with the key of a request.
    pub fn with_key<R>(
        &self,
        headers: &HeaderMap,
        context: &Exchange,
        count: impl Fn(&Key<'_>) -> R,
    ) -> R {
        match &self.model.key {
            RateLimitKey::Global => count(&Key::Global),
            RateLimitKey::ClientAddress => count(&Key::address(context.client_address.get())),
            RateLimitKey::Header(name) => {
                let mut values = host::values(headers, name, context.scheme.get());
                match (values.next(), values.next()) {
                    (None, _) => count(&Key::Missing),
                    (Some(value), None) => count(&Key::Text(&value)),
                    // Repeated fields form one list (RFC 9110 section 5.3), so that every value
                    // counts.
                    (Some(first), Some(second)) => {
                        let all: Vec<_> = [first, second].into_iter().chain(values).collect();
                        count(&Key::Text(&all.join(&b", "[..])))
                    }
                }
            }
            RateLimitKey::Claim(claim) => {
                let counted = context.with_claim(claim, &self.issuer, |issuer, value| {
                    count(&Key::Claim { issuer, value })
                });
                counted.unwrap_or_else(|| count(&Key::Missing))
            }
            RateLimitKey::SubjectAltName => {
                let identity = context.identity.as_deref();
                let name = identity
                    .and_then(|one| one.spiffe_id().or_else(|| one.subject_alt_names().next()));
                count(&name.map_or(Key::Missing, |name| Key::Text(name.as_bytes())))
            }
        }
    }

    /// Handles a request over the limit, for which the next token is available after `retry_after`.
    ///
    /// # Errors
    /// The request is rejected.
    pub fn refuse(&self, context: &Exchange, retry_after: Duration) -> Result<(), Error> {
        context.refused_by(&self.model.name);
        match self.model.mode {
            Mode::Enforce => Err(Error::TryLater {
                reason: Reason::RateLimitExceeded,
                retry_after,
            }),
            Mode::Report => {
                context.would_deny(Reason::RateLimitExceeded);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, sync::Arc};

    use outrigger_config::model::RateLimitKey;
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::{
        claims::tests::{TestClaims, path},
        identity::Identity,
        recycle::Alarm,
        service::Body,
    };

    /// One request an hour.
    fn limit(key: RateLimitKey) -> Limit {
        Limit::new(&RateLimit::new(
            "l".into(),
            1,
            Duration::from_secs(3600),
            key,
        ))
    }

    fn request(fields: &[(&'static str, &str)]) -> Request {
        let mut request = http::Request::new(Body::Empty);
        for (name, value) in fields {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        request.into()
    }

    fn claiming(claims: serde_json::Value) -> Request {
        let request = request(&[]);
        request.context.claim(TestClaims(claims));
        request
    }

    fn presenting(identity: Option<Identity>) -> Request {
        let peer: IpAddr = [127, 0, 0, 1].into();
        let context = Exchange::begin(
            Instant::now(),
            peer,
            identity.map(Arc::new),
            Alarm::default(),
        );
        Request {
            context,
            ..request(&[])
        }
    }

    /// Whether each of these requests, in turn, is let in.
    fn admitted<const N: usize>(limit: &Limit, requests: [Request; N]) -> [bool; N] {
        requests.map(|request| limit.admit(&request, 0).is_ok())
    }

    #[test]
    fn each_value_of_a_header_has_a_bucket_and_those_without_share_one() {
        let limit = limit(RateLimitKey::Header("x-tenant".parse().unwrap()));
        let requests = [
            request(&[("x-tenant", "a")]),
            request(&[("x-tenant", "b")]),
            request(&[("x-tenant", "a")]),
            request(&[]),
            request(&[("x-other", "c")]),
            request(&[("x-tenant", "a"), ("x-tenant", "b")]),
            request(&[("x-tenant", "a, b")]),
        ];
        assert_eq!(
            admitted(&limit, requests),
            [true, true, false, true, false, true, false]
        );
    }

    #[test]
    fn a_look_takes_nothing_and_says_what_counting_would_say() {
        for key in [
            RateLimitKey::Global,
            RateLimitKey::Header("x-tenant".parse().unwrap()),
        ] {
            let limit = limit(key);
            let one = || request(&[("x-tenant", "a")]);
            assert!((0..3).all(|_| limit.peek(&one(), 0).is_ok()));
            assert!(limit.admit(&one(), 0).is_ok());
            assert!((0..3).all(|_| limit.peek(&one(), 0).is_err()));
            assert!(limit.admit(&one(), 0).is_err());
        }
    }

    #[test]
    fn a_claim_counts_for_each_issuer_and_an_array_by_its_first_element() {
        let limit = limit(RateLimitKey::Claim(path(&["org", "id"])));
        let requests = [
            claiming(json!({ "iss": "a", "org": { "id": "x" } })),
            claiming(json!({ "iss": "b", "org": { "id": "x" } })),
            claiming(json!({ "iss": "a", "org": { "id": ["x", "y"] } })),
            claiming(json!({ "iss": "a", "org": { "id": 7 } })),
            claiming(json!({ "iss": "a", "org": { "id": "7" } })),
            claiming(json!({ "iss": "a", "org": {} })),
            request(&[]),
        ];
        assert_eq!(
            admitted(&limit, requests),
            [true, true, false, true, false, true, false]
        );
    }

    #[test]
    fn a_certificate_counts_by_its_spiffe_id_before_other_names() {
        let limit = limit(RateLimitKey::SubjectAltName);
        let names = |uris: &[&str], dns: &[&str]| {
            let all = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
            Some(Identity {
                uris: all(uris),
                dns_names: all(dns),
                ..Identity::default()
            })
        };
        let requests = [
            presenting(names(&["https://x", "spiffe://a/b"], &["c.example"])),
            presenting(names(&["spiffe://a/b"], &[])),
            presenting(names(&["https://x"], &[])),
            presenting(names(&[], &["c.example"])),
            presenting(names(&[], &[])),
            presenting(None),
        ];
        assert_eq!(
            admitted(&limit, requests),
            [true, false, true, true, true, false]
        );
    }

    #[test]
    fn the_address_key_is_per_client_and_the_global_key_is_shared() {
        let from = |address: [u8; 4]| {
            let request = request(&[]);
            request.context.client_address.set(address.into());
            request
        };
        let addresses = || {
            [
                from([192, 0, 2, 1]),
                from([192, 0, 2, 2]),
                from([192, 0, 2, 1]),
            ]
        };
        assert_eq!(
            admitted(&limit(RateLimitKey::ClientAddress), addresses()),
            [true, true, false]
        );
        assert_eq!(
            admitted(&limit(RateLimitKey::Global), addresses()),
            [true, false, false]
        );
    }

    #[test]
    fn a_report_lets_through_and_says_so() {
        let mut model = RateLimit::new(
            "l".into(),
            1,
            Duration::from_secs(3600),
            RateLimitKey::Global,
        );
        model.mode = Mode::Report;
        let limit = Limit::new(&model);
        let (first, second) = (request(&[]), request(&[]));
        assert!(limit.admit(&first, 0).is_ok() && limit.admit(&second, 0).is_ok());
        assert_eq!(
            (first.context.would_denies(), first.context.rule()),
            (vec![], None)
        );
        assert_eq!(
            (second.context.would_denies(), second.context.rule()),
            (vec![Reason::RateLimitExceeded], Some("l"))
        );
    }
}
