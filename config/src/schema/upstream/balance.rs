//! `loadBalancer` of an upstream.

use crate::{
    block::{Either, Int, Time, Word, block},
    model::LoadBalancerPolicy,
    part::words::ClientIp,
};

block! {
    /// How an endpoint is chosen.
    LoadBalancerBlock {
        /// `leastRequest` (whose turn it is by weight, unless one drawn beside it is less busy), `peakEwma` (the same by time and load), `roundRobin`, `random`, or `consistentHash` (the same endpoint for requests that are alike, while it has no more than its share). Default leastRequest.
        "policy" policy: Word<LoadBalancerPolicy>,
        /// What `consistentHash` goes by: `clientIP`, or a header or cookie. Requests without it go anywhere. Required with that policy.
        "hashOn" hash_on: Either<Word<ClientIp>, HashOnBlock>,
        /// For how long an endpoint that came later, or is back again, takes less than its share, from a tenth on. Not with consistentHash. Default 0s, which is off.
        "slowStart" slow_start: Time,
        /// When fewer endpoints than this share are well, all are used: those that are left would fail next. 0 to 100. Default 50; 0 never.
        "panicPercent" panic_percent: Int<0, 100>,
    }
}

block! {
    /// What consistentHash goes by.
    HashOnBlock {
        /// The values of this request header.
        "header" header: String,
        /// The value of this cookie.
        "cookie" cookie: String,
    }
    one_of ["header", "cookie"]
}
