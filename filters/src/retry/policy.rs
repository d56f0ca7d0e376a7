//! Whether a failure is worth another try.

use http::{HeaderMap, HeaderName, Method, StatusCode};
use outrigger_config::model::{Backoff, Retry, RetryCondition, RetryMethods};

/// The client's word that the same request twice is one request (the IETF's draft of this name, Stripe and others).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a peer proxy says about a refusal for overload.
static OVERLOADED: HeaderName = HeaderName::from_static("x-outrigger-overloaded");

/// Where a gRPC answer that failed at once has its status.
static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// How a try failed, as far as it matters for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be made.
    NotConnected,
    /// The endpoint refused the stream before it did anything with it.
    Refused,
    /// The connection ended before a byte of the request was written.
    Unsent,
    /// A connection from an earlier request broke without an answer, under a GET, HEAD or OPTIONS without a body.
    Stale,
    /// The connection broke, or what came over it was no HTTP.
    Broken,
    /// The time for one try was over.
    TimedOut,
    /// No other try would end better: the client's side failed, or there is no endpoint.
    Final,
}

/// Why there is another try: a label, so a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// No connection could be made.
    ConnectFailure,
    /// The stream was refused.
    RefusedStream,
    /// Nothing was written.
    Unsent,
    /// An old connection broke under a safe request.
    Stale,
    /// The connection broke.
    Reset,
    /// `backendRequest`.
    Timeout,
    /// The status.
    Code,
    /// The gRPC status.
    GrpcCode,
}

impl RetryReason {
    /// All, in the order of their numbers.
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

    /// As it stands in labels.
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

/// What goes again without being asked for: what provably changed nothing.
pub fn unasked(failure: Failure) -> Option<RetryReason> {
    match failure {
        Failure::NotConnected => Some(RetryReason::ConnectFailure),
        Failure::Refused => Some(RetryReason::RefusedStream),
        Failure::Unsent => Some(RetryReason::Unsent),
        Failure::Stale => Some(RetryReason::Stale),
        Failure::Broken | Failure::TimedOut | Failure::Final => None,
    }
}

/// Whether a request may be sent twice by what it says itself: its method (RFC 9110 section 9.2.2), or a key.
pub fn is_idempotent(method: &Method, headers: &HeaderMap) -> bool {
    has_idempotent_method(method) || headers.contains_key(IDEMPOTENCY_KEY)
}

fn has_idempotent_method(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// The `retry` block of a route, ready to be asked.
#[derive(Debug)]
pub struct Policy {
    attempts: u32,
    conditions: Vec<RetryCondition>,
    codes: Vec<StatusCode>,
    /// As the header has them.
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

    /// Tries after the first.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How long to wait before a try.
    pub fn backoff(&self) -> Backoff {
        self.backoff
    }

    /// How much of a body is kept.
    pub fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// Whether such a request may go again after a byte of it was written.
    pub fn takes(&self, method: &Method, headers: &HeaderMap) -> bool {
        let by_method = match &self.methods {
            RetryMethods::Idempotent => has_idempotent_method(method),
            RetryMethods::Any => true,
            RetryMethods::Only(methods) => methods.contains(method),
        };
        by_method || headers.contains_key(IDEMPOTENCY_KEY)
    }

    /// Whether a failure is worth another try; `taken` is what [`Policy::takes`] said of the request.
    pub fn after_failure(&self, failure: Failure, taken: bool) -> Option<RetryReason> {
        let (condition, reason, changed_nothing) = match failure {
            // Nobody can ask for less: it is as if the connection had been closed a moment earlier.
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

    /// Whether an answer is worth another try. One that a peer proxy gave for overload never is: it is alive, and
    /// asks for less.
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
            return None; // most answers, before anything is looked up
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
