//! What is sent again when a try fails, and how much of that an upstream takes.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::block::Percent;

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
    pub const ALL: [Self; 4] = [Self::ConnectFailure, Self::RefusedStream, Self::Reset, Self::Timeout];
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

impl GrpcCode {
    /// The number in `grpc-status`.
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// `retryBudget` of an upstream: all that is sent to it a second time, by all routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryBudget {
    /// So many of 100 requests may go again. Default 20.
    pub percent: Percent,
    /// So many in a second may go again in any case. Default 10.
    pub min_per_second: u32,
}

impl RetryBudget {
    /// A budget.
    pub fn new(percent: Percent, min_per_second: u32) -> Self {
        Self { percent, min_per_second }
    }
}

/// `hedge` of a route: a second try beside one that takes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hedge {
    /// When the second begins.
    pub after: HedgeAfter,
    /// At most so many of 100 requests get one. Default 5.
    pub max_percent: Percent,
}

impl Hedge {
    /// A second try after this time.
    pub fn new(after: HedgeAfter, max_percent: Percent) -> Self {
        Self { after, max_percent }
    }
}

/// When a second try begins beside the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HedgeAfter {
    /// After this time, over 0.
    Time(Duration),
    /// When it takes longer than so many of 100 have, 50-99.
    Percentile(u8),
}
