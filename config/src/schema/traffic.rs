//! What a route does with its traffic beside sending it on: `concurrency`, `fault` and `requestMirror`.

use crate::block::{Either, Int, Share, Time, block};

block! {
    /// At most so many requests of the route at once, over all workers.
    ConcurrencyBlock {
        /// Requests that are with the upstream at once, 1 to 1000000.
        "max" max: Int<1, 1_000_000>,
        /// Requests that may wait for their turn, 0 to 1000000. Default 0: one too many is refused at once.
        "queue" queue: Int<0, 1_000_000>,
        /// How long one waits, over 0. Default 100ms.
        "queueTimeout" queue_timeout: Time,
    }
    required ["max"]
}

block! {
    /// Delays and failures on purpose, for game days.
    FaultBlock {
        /// How long a request is held back, over 0.
        "delay" delay: Time,
        /// How many of 100 requests are held back.
        "delayPercent" delay_percent: Share,
        /// The status of an answer that the upstream is not asked for, 400 to 599.
        "abortStatus" abort_status: Int<400, 599>,
        /// How many of 100 requests get it.
        "abortPercent" abort_percent: Share,
    }
}

block! {
    /// A copy of some requests goes to another upstream; nobody waits for it, and its answer is thrown away.
    MirrorBlock {
        /// The upstream; the plain name, or a map with it.
        "backendRef" backend_ref: Either<String, MirrorBackendBlock>,
        /// How many of 100 requests are copied. Default 100.
        "percent" percent: Share,
    }
    required ["backendRef"]
}

block! {
    /// An upstream.
    MirrorBackendBlock {
        /// Name of an upstream, or `app`.
        "name" name: String,
    }
    required ["name"]
}
