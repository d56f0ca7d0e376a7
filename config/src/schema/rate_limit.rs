//! An entry of `rateLimits`.

use super::{Either, Int, OneOrMany, Time, Word, block::block, words::PlainKey};
use crate::model::Mode;

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
    }
    required ["requests", "per", "key"]
    later ["store"]
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
