//! An entry of `rateLimits`.

use crate::{
    block::{Either, Int, OneOrMany, Time, Word, block},
    part::words::{Mode, OnError},
    schema::{
        SecretSpec, UpstreamTlsBlock,
        words::{PlainKey, SharedStore},
    },
};

block! {
    /// A limit: a token bucket for each key. Routes name it in their `rateLimits`.
    RateLimitBlock {
        /// Requests that come back in `per`, 1 to 1000000.
        "requests" requests: Int<1, 1_000_000>,
        /// The time in which they come back, 1ms to 24h.
        "per" per: Time,
        /// Requests that may come at once, 1 to 1000000. Default: `requests`.
        "burst" burst: Int<1, 1_000_000>,
        /// For whom it counts: `clientIP` (IPv6 by /64), `global` (everybody together), `subjectAltName` (the client's certificate), a header or a claim.
        "key" key: Either<Word<PlainKey>, RateLimitKeyBlock>,
        /// `enforce`, or `report`: the request goes on, and is logged and counted. Default enforce.
        "mode" mode: Word<Mode>,
        /// `redis`: one limit for all pods, kept by the server of `redis`. Default: each pod counts alone.
        "store" store: Word<SharedStore>,
    }
    required ["requests", "per", "key"]
}

block! {
    /// The server that limits with `store: redis` are kept by, Redis 6 or newer.
    RedisBlock {
        /// `redis://host:port`, or `redis://host:port/number` for another database than 0; `rediss://` with TLS. Default port 6379.
        "url" url: String,
        /// The user of `password`. Default: redis's own, `default`.
        "username" username: String,
        /// What it is told at the beginning of each connection (AUTH). A file is read again when it changes.
        "password" password: SecretSpec,
        /// TLS towards it, where the URL begins with `rediss`: who is believed, and what is shown.
        "tls" tls: UpstreamTlsBlock,
        /// How long a request waits for its answers, connect included, over 0. Default 50ms.
        "timeout" timeout: Time,
        /// What happens without an answer: `allow`, or `deny` (503). Default allow.
        "onError" on_error: Word<OnError>,
    }
    required ["url"]
}

block! {
    /// Each value has a bucket of its own; requests without one share a bucket.
    RateLimitKeyBlock {
        /// The name of a header.
        "header" header: String,
        /// A claim of the verified token, written as in `claimHeaders`.
        "claim" claim: OneOrMany<String>,
    }
    one_of ["header", "claim"]
}
