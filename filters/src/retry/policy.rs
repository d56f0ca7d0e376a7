//! Whether a failure is retried.

use http::{HeaderMap, HeaderName, Method, StatusCode};
use outrigger_config::model::{Backoff, Retry, RetryCondition, RetryMethods};

/// The client declares that sending the request twice is safe (an IETF draft has this name; Stripe
/// and others use it).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Set by a peer proxy on a rejection for overload.
static OVERLOADED: HeaderName = HeaderName::from_static("x-outrigger-overloaded");

/// The status of a gRPC response that failed immediately.
static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// How an attempt failed, as far as retries depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be made.
    NotConnected,
    /// The endpoint rejected the stream before it processed anything.
    Refused,
    /// The connection ended before a byte of the request was written.
    Unsent,
    /// A pooled connection broke without a response, under a GET, HEAD or OPTIONS without a body.
    Stale,
    /// The connection broke, or the response was not valid HTTP.
    Broken,
    /// The attempt timed out.
    TimedOut,
    /// A retry would not help: the client's side failed, or there is no endpoint.
    Final,
}

/// Why a request is retried: a label, so a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// No connection could be made.
    ConnectFailure,
    /// The stream was rejected.
    RefusedStream,
    /// Nothing of the request was written.
    Unsent,
    /// A pooled connection broke under a safe request.
    Stale,
    /// The connection broke.
    Reset,
    /// `backendRequest` timed out.
    Timeout,
    /// The status is listed.
    Code,
    /// The gRPC status is listed.
    GrpcCode,
}

impl RetryReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::ConnectFailure,
        Self::RefusedStream,
        Self::Unsent,
        Self::Stale,
        Self::Reset,
        Self::Timeout,
        Self::Code,
        Self::GrpcCode,
    ];

    /// The name in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectFailure => "connect_failure",
            Self::RefusedStream => "refused_stream",
            Self::Unsent => "not_sent",
            Self::Stale => "reused_connection_closed",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Code => "code",
            Self::GrpcCode => "grpc_code",
        }
    }
}

/// The reason for a retry without `retry` in the route: only if the attempt provably changed
/// nothing.
pub fn unasked(failure: Failure) -> Option<RetryReason> {
    match failure {
        Failure::NotConnected => Some(RetryReason::ConnectFailure),
        Failure::Refused => Some(RetryReason::RefusedStream),
        Failure::Unsent => Some(RetryReason::Unsent),
        Failure::Stale => Some(RetryReason::Stale),
        Failure::Broken | Failure::TimedOut | Failure::Final => None,
    }
}

/// Whether it is safe to send a request twice: by its method (RFC 9110 section 9.2.2), or because
/// it has a key.
pub fn is_idempotent(method: &Method, headers: &HeaderMap) -> bool {
    has_idempotent_method(method) || headers.contains_key(IDEMPOTENCY_KEY)
}

fn has_idempotent_method(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// The `retry` block of a route, compiled.
#[derive(Debug)]
pub struct Policy {
    attempts: u32,
    conditions: Vec<RetryCondition>,
    codes: Vec<StatusCode>,
    /// As they are written in the header.
    grpc_codes: Vec<String>,
    methods: RetryMethods,
    backoff: Backoff,
    buffer_bytes: usize,
}

impl Policy {
    /// The policy of a route.
    pub fn new(retry: &Retry) -> Self {
        Self {
            attempts: retry.attempts,
            conditions: retry.conditions.clone(),
            codes: retry.codes.clone(),
            grpc_codes: retry
                .grpc_codes
                .iter()
                .map(|code| code.number().to_string())
                .collect(),
            methods: retry.methods.clone(),
            backoff: retry.backoff,
            buffer_bytes: retry.buffer_bytes,
        }
    }

    /// The most attempts after the first.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How long to wait before an attempt.
    pub fn backoff(&self) -> Backoff {
        self.backoff
    }

    /// The most bytes of a body that are buffered.
    pub fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// Whether such a request may be retried after a byte of it was written.
    pub fn takes(&self, method: &Method, headers: &HeaderMap) -> bool {
        let by_method = match &self.methods {
            RetryMethods::Idempotent => has_idempotent_method(method),
            RetryMethods::Any => true,
            RetryMethods::Only(methods) => methods.contains(method),
        };
        by_method || headers.contains_key(IDEMPOTENCY_KEY)
    }

    /// Whether a failure is retried; `taken` is the result of [`Policy::takes`].
    pub fn after_failure(&self, failure: Failure, taken: bool) -> Option<RetryReason> {
        let (condition, reason, changed_nothing) = match failure {
            // Always retried, whatever the configuration: the same as a connection that closed a
            // moment earlier.
            Failure::Unsent => return Some(RetryReason::Unsent),
            Failure::Stale => return Some(RetryReason::Stale),
            Failure::Final => return None,
            Failure::NotConnected => (
                RetryCondition::ConnectFailure,
                RetryReason::ConnectFailure,
                true,
            ),
            Failure::Refused => (
                RetryCondition::RefusedStream,
                RetryReason::RefusedStream,
                true,
            ),
            Failure::Broken => (RetryCondition::Reset, RetryReason::Reset, false),
            Failure::TimedOut => (RetryCondition::Timeout, RetryReason::Timeout, false),
        };
        ((changed_nothing || taken) && self.conditions.contains(&condition)).then_some(reason)
    }

    /// Whether a response is retried. A peer proxy's response for overload never is: that peer
    /// works, and needs less load.
    pub fn after_answer(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        taken: bool,
    ) -> Option<RetryReason> {
        let reason = if self.codes.contains(&status) {
            RetryReason::Code
        } else if !self.grpc_codes.is_empty() && self.has_grpc_code(headers) {
            RetryReason::GrpcCode
        } else {
            return None; // the usual case, before any lookup
        };
        let asks_for_less = || {
            headers
                .get(&OVERLOADED)
                .is_some_and(|value| value == "true")
        };
        (taken && !asks_for_less()).then_some(reason)
    }

    fn has_grpc_code(&self, headers: &HeaderMap) -> bool {
        let status = headers.get(&GRPC_STATUS);
        status.is_some_and(|status| self.grpc_codes.iter().any(|code| status == code.as_str()))
    }
}
