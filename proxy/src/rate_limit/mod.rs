//! Steps 9 and 13 for limits with `store: redis`: one limit for all pods.
//!
//! The decision is the same as in [`outrigger_filters::rate_limit`], made by a script in Redis. All
//! such limits of a step are checked in one round trip. The name of a bucket in Redis consists of
//! the limit's name, its settings, and a digest of the key, so that no client data is stored in
//! Redis.

mod client;
mod resp;

use std::{fmt::Write, rc::Rc, sync::Arc};

use aws_lc_rs::digest::{Context as Digest, SHA256};
use outrigger_config::model::{Mode, OnError, RateLimit};
use outrigger_filters::{
    context::Exchange,
    error::Error,
    rate_limit::{Key, Limit},
    service::Request,
    step::{Counting, Step, Verdict},
};
use tokio::time::Instant;

use self::client::{Bucket, PendingReply};

pub(crate) use client::Client;

/// Rejects requests that exceed one of several limits that all pods share.
pub(crate) struct SharedLimitStep(Rc<Shared>);

struct Shared {
    limits: Vec<Names>,
    client: Rc<Client>,
}

/// A limit, and the constant part of its buckets' names and sizes.
struct Names {
    limit: Arc<Limit>,
    prefix: String,
    interval: Arc<str>,
    depth: Arc<str>,
}

impl SharedLimitStep {
    /// A step with these limits, which uses the worker's Redis connection.
    pub(crate) fn new(limits: Vec<Arc<Limit>>, client: Rc<Client>) -> Self {
        Self(Rc::new(Shared {
            limits: limits.into_iter().map(Names::of).collect(),
            client,
        }))
    }
}

impl Names {
    fn of(limit: Arc<Limit>) -> Self {
        let RateLimit {
            name,
            requests,
            per,
            burst,
            ..
        } = limit.model();
        let per_request =
            |tokens: u32| per.as_secs_f64() * 1e6 * f64::from(tokens) / f64::from(*requests);
        Self {
            // A changed limit starts with new buckets, as it does without Redis.
            prefix: format!("outrigger:{name}:{requests}/{}/{burst}", per.as_millis()),
            interval: per_request(1).to_string().into(),
            depth: per_request(*burst).to_string().into(),
            limit,
        }
    }

    fn bucket(&self, key: &Key<'_>) -> Bucket {
        let mut name = self.prefix.clone();
        if *key != Key::Global {
            name.push(':');
            let digest = digest(key);
            for byte in &digest.as_ref()[..16] {
                let _ = write!(name, "{byte:02x}"); // writing into a String cannot fail
            }
        }
        Bucket {
            key: name,
            interval: Arc::clone(&self.interval),
            depth: Arc::clone(&self.depth),
        }
    }
}

/// The same on every pod. A client cannot construct a key whose digest collides with another's.
fn digest(key: &Key<'_>) -> aws_lc_rs::digest::Digest {
    let mut digest = Digest::new(&SHA256);
    match key {
        Key::Global => {}
        Key::Address(address) => digest.update(format!("a{address}").as_bytes()),
        Key::Text(text) => {
            digest.update(b"t");
            digest.update(text);
        }
        Key::Claim { issuer, value } => {
            digest.update(format!("c{}:", issuer.len()).as_bytes());
            digest.update(issuer.as_bytes());
            digest.update(value.as_bytes());
        }
        Key::Missing => digest.update(b"m"),
    }
    digest.finish()
}

impl Shared {
    fn request_tokens(&self, request: &Request) -> Vec<PendingReply> {
        let (headers, context) = (&request.head.headers, &request.context);
        let ask = |names: &Names| {
            names.limit.with_key(headers, context, |key| {
                self.client.request_token(names.bucket(key))
            })
        };
        self.limits.iter().map(ask).collect()
    }

    /// Waits for the results in order.
    ///
    /// # Errors
    /// The first limit that rejects.
    async fn admit(
        &self,
        replies: Vec<PendingReply>,
        since: Instant,
        context: &Exchange,
    ) -> Result<(), Error> {
        for (names, reply) in self.limits.iter().zip(replies) {
            match self.client.wait(reply, since).await {
                Some(Ok(())) => {}
                Some(Err(wait)) => names.limit.refuse(context, wait)?,
                None if self.client.model().on_error == OnError::Allow => {}
                None if names.limit.model().mode == Mode::Report => {}
                None => return Err(Error::RateLimitUnavailable),
            }
        }
        Ok(())
    }
}

impl Step for SharedLimitStep {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let (since, replies) = (Instant::now(), self.0.request_tokens(request));
        let (shared, context) = (Rc::clone(&self.0), Rc::clone(&request.context));
        Verdict::wait(async move { shared.admit(replies, since, &context).await.into() })
    }

    /// Redis alone knows, and to ask it is to count.
    fn peek(&self, _: &mut Request, _: Counting) -> Option<Verdict> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use outrigger_config::model::RateLimitKey;

    use super::*;

    fn names(requests: u32, per: Duration) -> Names {
        let model = RateLimit::new("l".into(), requests, per, RateLimitKey::ClientAddress);
        Names::of(Arc::new(Limit::new(&model)))
    }

    #[test]
    fn a_bucket_is_named_by_limit_size_and_a_digest_of_the_key() {
        let names = names(3, Duration::from_secs(1));
        let bucket = names.bucket(&Key::Address([192, 0, 2, 1].into()));
        assert_eq!(&bucket.key[..21], "outrigger:l:3/1000/3:");
        assert_eq!(bucket.key.len(), 21 + 32);
        assert_eq!(
            (&*bucket.interval, &*bucket.depth),
            ("333333.3333333333", "1000000")
        );
        assert_eq!(names.bucket(&Key::Global).key, "outrigger:l:3/1000/3");
    }

    #[test]
    fn no_two_kinds_of_keys_have_one_digest() {
        let keys = [
            Key::Address([192, 0, 2, 1].into()),
            Key::Text(b"192.0.2.1"),
            Key::Text(b"m"),
            Key::Missing,
            Key::Claim {
                issuer: "a",
                value: "bc",
            },
            Key::Claim {
                issuer: "ab",
                value: "c",
            },
        ];
        let digests: Vec<_> = keys
            .iter()
            .map(|key| digest(key).as_ref().to_vec())
            .collect();
        for (index, one) in digests.iter().enumerate() {
            assert!(!digests[..index].contains(one), "{:?}", keys[index]);
        }
    }
}
