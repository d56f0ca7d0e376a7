//! `retry` of a route and of `defaults`: what is sent again when a try fails.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value as Json, json};

use crate::{
    block::{
        At, Int, Read, Reader, Size, Time, Word, Words, block,
        field::{narrow, number, size_between, time},
        inline_schema, json,
        node::{Node, Value},
        problem::{Place, Report},
        show::{self, Object},
        words,
    },
    part::method,
    route::timeouts::RouteTimeouts,
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
    const WORDS: &'static [(&'static str, Self)] =
        &[("idempotent", Self::Idempotent), ("any", Self::Any)];
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

/// `retry` of a route. Without it only what provably never reached an endpoint goes again, once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// Tries after the first, 1-10. Default 1.
    pub attempts: u32,
    /// Failures that are worth another try. Default all four.
    pub conditions: Vec<RetryCondition>,
    /// Statuses that are, 400-599. Default none.
    pub codes: Vec<StatusCode>,
    /// gRPC statuses that are, where they stand in the head. Default none.
    pub grpc_codes: Vec<GrpcCode>,
    /// Requests that may go again after a byte of them was written; one with `Idempotency-Key` always may.
    pub methods: RetryMethods,
    /// How long to wait before a try.
    pub backoff: Backoff,
    /// How much of a request's body is kept. Default 64 KiB.
    pub buffer_bytes: usize,
}

/// A failure that is worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetryCondition {
    /// No connection could be made.
    ConnectFailure,
    /// The endpoint refused the stream before it did anything with it.
    RefusedStream,
    /// The connection broke, or what came over it was no HTTP.
    Reset,
    /// `timeouts.backendRequest` was over.
    Timeout,
}

impl RetryCondition {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::ConnectFailure,
        Self::RefusedStream,
        Self::Reset,
        Self::Timeout,
    ];
}

/// Which methods may go again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryMethods {
    /// Those of RFC 9110 section 9.2.2: GET, HEAD, OPTIONS, TRACE, PUT, DELETE. The default.
    Idempotent,
    /// All.
    Any,
    /// These; not empty.
    Only(Vec<Method>),
}

/// How long to wait before a try: a random time up to `base`, doubled with every try, at most `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// Default 25 ms.
    pub base: Duration,
    /// Default 250 ms; not below `base`.
    pub max: Duration,
}

impl Backoff {
    /// From `base` up to `max`.
    pub fn new(base: Duration, max: Duration) -> Self {
        Self { base, max }
    }
}

/// A gRPC status other than OK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // https://grpc.io/docs/guides/status-codes/
pub enum GrpcCode {
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

words! {
    RetryCondition {
        "connectFailure" => ConnectFailure, "refusedStream" => RefusedStream, "reset" => Reset, "timeout" => Timeout,
    }
    GrpcCode {
        "cancelled" => Cancelled, "unknown" => Unknown, "invalidArgument" => InvalidArgument,
        "deadlineExceeded" => DeadlineExceeded, "notFound" => NotFound, "alreadyExists" => AlreadyExists,
        "permissionDenied" => PermissionDenied, "resourceExhausted" => ResourceExhausted,
        "failedPrecondition" => FailedPrecondition, "aborted" => Aborted, "outOfRange" => OutOfRange,
        "unimplemented" => Unimplemented, "internal" => Internal, "unavailable" => Unavailable,
        "dataLoss" => DataLoss, "unauthenticated" => Unauthenticated,
    }
}

impl GrpcCode {
    /// The number in `grpc-status`.
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// One more try takes most of what is passing; more make an outage worse.
const ATTEMPTS: u64 = 1;

/// Most bodies of API calls fit; a hundred of them in flight are no burden.
const BUFFER: u64 = 64 << 10;

/// Envoy's default.
const BASE: Duration = Duration::from_millis(25);

/// Ten times `base`, as in Envoy.
const MAX: Duration = Duration::from_millis(250);

/// Checks what a route repeats; keys that it leaves out come from `defaults`. `None` where neither says anything.
pub(crate) fn accept(
    route: Option<&At<RetryBlock>>,
    inherited: Option<&At<RetryBlock>>,
    timeouts: &RouteTimeouts,
    report: &mut Report,
) -> Option<Retry> {
    let place = &route.or(inherited)?.place;
    let blocks = || {
        [route, inherited]
            .into_iter()
            .flatten()
            .map(|block| &block.value)
    };
    let attempts = blocks().find_map(|block| block.attempts.as_ref());
    let codes = blocks().find_map(|block| block.codes.as_ref());
    let retry = Retry {
        attempts: narrow(number(&attempts.cloned(), ATTEMPTS)),
        conditions: match blocks().find_map(|block| block.conditions.as_ref()) {
            Some(written) => words(written, report),
            None => RetryCondition::ALL.to_vec(),
        },
        codes: codes.map_or_else(Vec::new, |written| statuses(written, report)),
        grpc_codes: match blocks().find_map(|block| block.grpc_codes.as_ref()) {
            Some(written) => words(written, report),
            None => Vec::new(),
        },
        methods: methods(blocks().find_map(|block| block.methods.as_ref()), report),
        backoff: backoff(blocks().find_map(|block| block.backoff.as_ref()), report),
        buffer_bytes: size_between(
            &blocks()
                .find_map(|block| block.buffer_bytes.as_ref())
                .cloned(),
            BUFFER,
            (0, 16 << 20),
            "0B to 16MiB",
            report,
        ),
    };
    if retry.conditions.is_empty() && retry.codes.is_empty() && retry.grpc_codes.is_empty() {
        let help = "name a condition or a code, or remove the block";
        report.warning(
            place,
            "never-retries",
            "nothing is worth another try here",
            help,
        );
    }
    fits_into_request(
        &retry,
        attempts.map_or(place, |written| &written.place),
        timeouts,
        report,
    );
    Some(retry)
}

/// A last try that never begins is a mistake in one of three numbers.
fn fits_into_request(retry: &Retry, place: &Place, timeouts: &RouteTimeouts, report: &mut Report) {
    let (Some(one), Some(all)) = (timeouts.backend_request, timeouts.request) else {
        return;
    };
    let before_last = one.saturating_mul(retry.attempts);
    if before_last > all {
        let message = format!(
            "the last retry never begins: {} tries of `backendRequest` take longer than `request`",
            retry.attempts
        );
        report.warning(
            place,
            "retries-too-long",
            message,
            "lower `attempts` or `backendRequest`",
        );
    }
}

/// Words of a list, each once.
fn words<T: Copy + PartialEq>(written: &At<Vec<At<Word<T>>>>, report: &mut Report) -> Vec<T> {
    let mut once = Vec::with_capacity(written.value.len());
    for item in &written.value {
        if once.contains(&item.value.0) {
            named_twice(&item.place, report);
        } else {
            once.push(item.value.0);
        }
    }
    once
}

fn statuses(written: &At<Vec<At<Int<400, 599>>>>, report: &mut Report) -> Vec<StatusCode> {
    let mut once = Vec::with_capacity(written.value.len());
    for item in &written.value {
        let Ok(status) = StatusCode::from_u16(narrow(item.value.0)) else {
            continue;
        };
        if once.contains(&status) {
            named_twice(&item.place, report);
            continue;
        }
        if status.is_client_error() {
            let message = format!("{} says that the request is at fault", status.as_u16());
            let help = "the same request mostly gets the same answer; keep it where this upstream means something else";
            report.warning(&item.place, "retries-client-error", message, help);
        }
        once.push(status);
    }
    once
}

fn named_twice(place: &Place, report: &mut Report) {
    report.error(
        place,
        "duplicate-reference",
        "this stands in the list already",
        "name it once",
    );
}

fn methods(written: Option<&At<MethodsValue>>, report: &mut Report) -> RetryMethods {
    let Some(At { value, place }) = written else {
        return RetryMethods::Idempotent;
    };
    match value {
        MethodsValue::Word(MethodSet::Idempotent) => RetryMethods::Idempotent,
        MethodsValue::Word(MethodSet::Any) => RetryMethods::Any,
        MethodsValue::List(list) => {
            let list = At {
                value: list.clone(),
                place: place.clone(),
            };
            RetryMethods::Only(method::list(Some(&list), report))
        }
    }
}

fn backoff(block: Option<&At<BackoffBlock>>, report: &mut Report) -> Backoff {
    let none = BackoffBlock::default();
    let block = block.map_or(&none, |block| &block.value);
    let base = time(&block.base, BASE);
    // Only one of the two may be written.
    let max = time(&block.max, MAX.max(base));
    if let Some(written) = block
        .max
        .as_ref()
        .or(block.base.as_ref())
        .filter(|_| max < base)
    {
        let message = "`max` is shorter than `base` (default 25ms)";
        report.error(
            &written.place,
            "backoff-order",
            message,
            "lengthen `max` or shorten `base`",
        );
    }
    Backoff { base, max }
}

/// Shows what was accepted.
pub(crate) fn show(retry: &Retry) -> Object {
    let codes: Vec<Json> = retry
        .codes
        .iter()
        .map(|code| code.as_u16().into())
        .collect();
    let backoff = Object::new()
        .with("base", show::time(retry.backoff.base))
        .with("max", show::time(retry.backoff.max));
    let methods: Json = match &retry.methods {
        RetryMethods::Idempotent => "idempotent".into(),
        RetryMethods::Any => "any".into(),
        RetryMethods::Only(list) => list.iter().map(|method| method.as_str()).collect(),
    };
    Object::new()
        .with("attempts", retry.attempts)
        .with("codes", codes)
        .with(
            "conditions",
            retry
                .conditions
                .iter()
                .copied()
                .map(show::word)
                .collect::<Vec<_>>(),
        )
        .with(
            "grpcCodes",
            retry
                .grpc_codes
                .iter()
                .copied()
                .map(show::word)
                .collect::<Vec<_>>(),
        )
        .with("methods", methods)
        .with("backoff", backoff)
        .with("bufferBytes", show::size(retry.buffer_bytes as u64))
}
