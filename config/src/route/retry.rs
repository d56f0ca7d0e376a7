//! `retry` of a route and of `defaults`: when a failed request is retried.

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
    /// When a failed request is retried. Without this block: once, and only requests that provably
    /// never reached an endpoint.
    RetryBlock {
        /// Maximum retries, 1 to 10. Default 1.
        "attempts" attempts: Int<1, 10>,
        /// Response statuses that are retried, 400 to 599. Default none.
        "codes" codes: Vec<At<Int<400, 599>>>,
        /// Failures that are retried: `connectFailure`, `refusedStream`, `reset` (the connection
        /// broke, or the response was not HTTP), `timeout` (that of `backendRequest`). Default all
        /// four.
        "conditions" conditions: Vec<At<Word<RetryCondition>>>,
        /// gRPC statuses that are retried, when they are in the response head. gRPC calls are POST,
        /// so `methods` must include POST, or the call must have an `Idempotency-Key`. Default
        /// none.
        "grpcCodes" grpc_codes: Vec<At<Word<GrpcCode>>>,
        /// Requests that may be retried after a byte of them was written: `idempotent` (GET, HEAD,
        /// OPTIONS, TRACE, PUT, DELETE), `any`, or a list of methods. A request with an
        /// `Idempotency-Key` may always be retried. Default idempotent.
        "methods" methods: MethodsValue,
        /// Wait time before a retry.
        "backoff" backoff: BackoffBlock,
        /// Maximum bytes of a request body that are buffered for a retry, up to 16MiB; a longer
        /// body is streamed and the request is not retried. Default 64KiB.
        "bufferBytes" buffer_bytes: Size,
    }
}

block! {
    /// Wait time before a retry: random between 0 and `base`, doubled with every retry, at most
    /// `max`. A longer Retry-After of the response takes precedence.
    BackoffBlock {
        /// Wait time before the first retry. Default 25ms.
        "base" base: Time,
        /// Maximum wait time, at least `base`. Default 250ms.
        "max" max: Time,
    }
}

/// `idempotent`, `any`, or a list of methods.
#[derive(Debug, Clone)]
pub(crate) enum MethodsValue {
    Word(MethodSet),
    List(Vec<At<String>>),
}

/// A named set of methods.
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

/// `retry` of a route. Without it, only requests that provably never reached an endpoint are
/// retried, once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// Maximum retries, 1-10. Default 1.
    pub attempts: u32,
    /// Failures that are retried. Default all four.
    pub conditions: Vec<RetryCondition>,
    /// Statuses that are retried, 400-599. Default none.
    pub codes: Vec<StatusCode>,
    /// gRPC statuses that are retried, when they are in the response head. Default none.
    pub grpc_codes: Vec<GrpcCode>,
    /// Methods that may be retried after a byte of the request was written; a request with
    /// `Idempotency-Key` may always be retried.
    pub methods: RetryMethods,
    /// Wait time before a retry.
    pub backoff: Backoff,
    /// Maximum bytes of a request body that are buffered. Default 64 KiB.
    pub buffer_bytes: usize,
}

/// A failure that is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetryCondition {
    /// The connection failed.
    ConnectFailure,
    /// The endpoint refused the stream before it processed it.
    RefusedStream,
    /// The connection broke, or the response was not HTTP.
    Reset,
    /// `timeouts.backendRequest` expired.
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

/// Methods that may be retried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryMethods {
    /// Those of RFC 9110 section 9.2.2: GET, HEAD, OPTIONS, TRACE, PUT, DELETE. The default.
    Idempotent,
    /// All.
    Any,
    /// These; not empty.
    Only(Vec<Method>),
}

/// Wait time before a retry: random up to `base`, doubled with every retry, at most `max`.
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

/// One retry handles most transient failures; more make an outage worse.
const ATTEMPTS: u64 = 1;

/// Most bodies of API calls fit; a hundred of them in flight need little memory.
const BUFFER: u64 = 64 << 10;

/// Envoy's default.
const BASE: Duration = Duration::from_millis(25);

/// Ten times `base`, as in Envoy.
const MAX: Duration = Duration::from_millis(250);

/// Validates the retries of a route; omitted keys come from `defaults`. `None` when both are
/// absent.
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
        let help = "add a condition or a code, or remove the block";
        report.warning(
            place,
            "never-retries",
            "`retry` has no condition and no code",
            help,
        );
    }
    check_last_retry(
        &retry,
        attempts.map_or(place, |written| &written.place),
        timeouts,
        report,
    );
    Some(retry)
}

/// A last retry that can never start means that one of three numbers is wrong.
fn check_last_retry(retry: &Retry, place: &Place, timeouts: &RouteTimeouts, report: &mut Report) {
    let (Some(one), Some(all)) = (timeouts.backend_request, timeouts.request) else {
        return;
    };
    let before_last = one.saturating_mul(retry.attempts);
    if before_last > all {
        let message = format!(
            "the last retry never starts: {} tries of `backendRequest` take longer than `request`",
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

/// Keywords of a list, without duplicates.
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
            let message = format!("{} means that the request is wrong", status.as_u16());
            let help = "a retry usually gets the same response; ignore this warning if the status has another meaning for this upstream";
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
        "duplicate item",
        "remove one of them",
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
    // Only one of the two may be set.
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
            "raise `max` or lower `base`",
        );
    }
    Backoff { base, max }
}

/// Renders the accepted value.
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
