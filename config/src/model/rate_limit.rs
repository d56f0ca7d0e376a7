//! Rate limits: how many requests in what time, counted for whom.

use std::{sync::Arc, time::Duration};

use http::HeaderName;

use crate::{
    model::{ClientTls, SecretText},
    part::{
        claim::ClaimPath,
        url::EndpointSpec,
        words::{Mode, OnError},
    },
};

/// One entry of `rateLimits`: a token bucket for each key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimit {
    /// Unique name.
    pub name: Arc<str>,
    /// Requests that come back in `per`, 1-1 000 000.
    pub requests: u32,
    /// The time in which they come back, 1 ms to 1 day.
    pub per: Duration,
    /// Requests that may come at once, 1-1 000 000. Default `requests`.
    pub burst: u32,
    /// For whom it counts.
    pub key: RateLimitKey,
    /// Whether a request over the limit is refused or only counted.
    pub mode: Mode,
    /// Who keeps the buckets.
    pub store: Store,
}

/// Who keeps the buckets of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Each pod for itself. The default.
    Pod,
    /// Redis, for all pods.
    Redis,
}

/// `redis`: the server of limits that all pods share.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redis {
    /// Where it is.
    pub endpoint: EndpointSpec,
    /// TLS, where it is spoken.
    pub tls: Option<Arc<ClientTls>>,
    /// The user of the password, where it is another than redis's own.
    pub username: Option<Arc<str>>,
    /// What each connection begins with.
    pub password: Option<SecretText>,
    /// The number of the database. Default 0.
    pub database: u16,
    /// How long a request waits for it. Default 50 ms.
    pub timeout: Duration,
    /// What happens without an answer. Default allow.
    pub on_error: OnError,
}

impl RateLimit {
    /// A limit whose burst is what comes back in `per`; the fields are public for the rest.
    pub fn new(name: Arc<str>, requests: u32, per: Duration, key: RateLimitKey) -> Self {
        Self { name, requests, per, burst: requests, key, mode: Mode::Enforce, store: Store::Pod }
    }
}

/// For whom a limit counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RateLimitKey {
    /// For everybody together.
    Global,
    /// For each client address; IPv6 by /64, since one client has that many addresses.
    ClientAddress,
    /// For each value of a header; requests without it count together, so that leaving it out is no way around.
    Header(HeaderName),
    /// For each value of a verified claim of one issuer; requests without it count together.
    Claim(ClaimPath),
    /// For each first name of a client certificate, a SPIFFE ID before others; requests without one count together.
    SubjectAltName,
}

impl RateLimitKey {
    /// Whether the key is only known after authentication.
    pub fn needs_identity(&self) -> bool {
        matches!(self, Self::Claim(_) | Self::SubjectAltName)
    }
}
