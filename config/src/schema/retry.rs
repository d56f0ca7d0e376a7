//! `retry` and `hedge` of routes, `retryBudget` of upstreams.

use std::time::Duration;

use serde_json::json;

use crate::{
    block::{
        At, Int, Read, Reader, Share, Size, Time, Word, Words, block, inline_schema, json,
        node::{Node, Value},
        problem::Place,
        value::{TIME_PATTERN, parse_time},
    },
    model::{GrpcCode, RetryCondition},
};

block! {
    /// What is sent again when a try fails. Absent: only what provably never reached an endpoint, once.
    RetryBlock {
        /// Tries after the first, 1 to 10. Default 1.
        "attempts" attempts: Int<1, 10>,
        /// Statuses of an answer that are worth another try, 400 to 599. Default none.
        "codes" codes: Vec<At<Int<400, 599>>>,
        /// Failures that are worth another try: `connectFailure`, `refusedStream`, `reset` (the connection broke, or what came over it was no HTTP), `timeout` (that of `backendRequest`). Default all four.
        "conditions" conditions: Vec<At<Word<RetryCondition>>>,
        /// gRPC statuses that are worth another try, where the head of the answer has them. gRPC calls are POST, so `methods` must take that, or the call an `Idempotency-Key`. Default none.
        "grpcCodes" grpc_codes: Vec<At<Word<GrpcCode>>>,
        /// Requests that may go again once a byte of them was written: `idempotent` (GET, HEAD, OPTIONS, TRACE, PUT, DELETE), `any`, or a list of methods. One with an `Idempotency-Key` always may. Default idempotent.
        "methods" methods: MethodsValue,
        /// How long to wait before a try.
        "backoff" backoff: BackoffBlock,
        /// How much of a request's body is kept for another try, up to 16MiB; a longer one streams on and is not sent again. Default 64KiB.
        "bufferBytes" buffer_bytes: Size,
    }
}

block! {
    /// How long to wait before a try: a random time between nothing and `base`, doubled with every try, at most `max`. A Retry-After that is longer counts.
    BackoffBlock {
        /// Before the first retry. Default 25ms.
        "base" base: Time,
        /// At most, not below `base`. Default 250ms.
        "max" max: Time,
    }
}

block! {
    /// A second try at another endpoint beside one that takes long; the first answer wins. For idempotent requests that are there to the last byte, and within the upstream's `retryBudget`.
    HedgeBlock {
        /// When the second try begins: a duration over 0, or `p50` to `p99`: when it takes longer than so many of 100 have taken (after 100 requests).
        "after" after: AfterValue,
        /// At most so many of 100 requests get a second try. Default 5.
        "maxPercent" max_percent: Share,
    }
    required ["after"]
}

block! {
    /// How much an upstream is sent a second time, by all routes and for whatever reason.
    RetryBudgetBlock {
        /// So many of 100 requests. Default 20.
        "percent" percent: Share,
        /// So many in a second in any case, 0 to 100000. Default 10.
        "minPerSecond" min_per_second: Int<0, 100_000>,
    }
}

/// `idempotent`, `any`, or a list of methods.
#[derive(Debug, Clone)]
pub(crate) enum MethodsValue {
    Word(MethodSet),
    List(Vec<At<String>>),
}

/// A set of methods that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MethodSet {
    Idempotent,
    Any,
}

impl Words for MethodSet {
    const WORDS: &'static [(&'static str, Self)] = &[("idempotent", Self::Idempotent), ("any", Self::Any)];
}

impl Read for MethodsValue {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        match node.value {
            Value::List(_) => Vec::read(node, place, reader).map(Self::List),
            _ => Word::read(node, place, reader).map(|word: Word<MethodSet>| Self::Word(word.0)),
        }
    }
}

inline_schema!([] MethodsValue, |generator| {
    let word = generator.subschema_for::<Word<MethodSet>>();
    json::object(json!({ "anyOf": [word, generator.subschema_for::<Vec<String>>()] }))
});

/// A duration, or a percentile of what was measured.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AfterValue {
    Time(Duration),
    Percentile(u8),
}

impl Read for AfterValue {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        const HELP: &str = "write a duration such as 50ms, or p50 to p99";
        let Value::Text(text) = &node.value else {
            reader.mismatch(node, place, "a duration or a percentile", HELP);
            return None;
        };
        let (text, _) = reader.substituted(text, place)?;
        let after =
            parse_percentile(&text).map(Self::Percentile).or_else(|| parse_time(&text).map(Self::Time));
        if after.is_none() {
            let message = format!("{text:?} is neither a duration nor a percentile from p50 to p99");
            reader.invalid(place, "bad-duration", message, HELP.to_owned());
        }
        after
    }
}

fn parse_percentile(text: &str) -> Option<u8> {
    let number = text.strip_prefix('p').filter(|digits| digits.len() == 2)?.parse().ok()?;
    (50..=99).contains(&number).then_some(number)
}

inline_schema!([] AfterValue, |_generator| json::text(&format!("(p[5-9][0-9]|{TIME_PATTERN})")));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_p50_to_p99() {
        for (text, number) in [
            ("p50", Some(50)),
            ("p95", Some(95)),
            ("p99", Some(99)),
            ("p49", None),
            ("p100", None),
            ("p5", None),
            ("95", None),
            ("P95", None),
            ("p+9", None),
            ("p99.9", None),
        ] {
            assert_eq!(parse_percentile(text), number, "{text}");
        }
    }
}
