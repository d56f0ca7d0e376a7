//! One attempt at an endpoint, from the choice to the last byte of the response, and its result for
//! outlier detection and balancing.
//!
//! Failures are those that [Envoy
//! counts](https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier): a
//! status of 500 and above (for gRPC the statuses with that meaning), a failed connect, a reset
//! connection, a protocol error, a timeout. A client that disconnects says nothing about the
//! endpoint.

use std::{rc::Rc, sync::Arc};

use http::{HeaderMap, StatusCode};
use outrigger_filters::{context::Context, error::Error, grpc};

use super::{
    clock,
    endpoint::Endpoint,
    outlier::{Change, Entry},
    registry::Upstream,
};

/// Counts one request as in flight until it is dropped, with the last byte of the response body.
pub(crate) struct InFlight {
    endpoint: Arc<Endpoint>,
    /// `None` for the app: it is the only endpoint, so there is nothing to detect.
    watched: Option<Watched>,
}

struct Watched {
    upstream: Arc<Upstream>,
    context: Context,
    entry: Entry,
    stage: Stage,
    /// Start of the attempt, where its duration counts for balancing; otherwise 0. The lower half
    /// of the microseconds is enough for an hour, and keeps the futures of requests small.
    begun: u32,
}

/// Progress of the attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No response head yet.
    Waiting,
    /// A successful head arrived; the body may still fail.
    Answering,
    /// The result is recorded.
    Done,
}

impl InFlight {
    /// Starts to count.
    pub(crate) fn begin(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.enter();
        Self {
            endpoint: Arc::clone(endpoint),
            watched: None,
        }
    }

    /// Starts to count and to record the result; `now` in microseconds.
    pub(crate) fn watch(
        endpoint: &Arc<Endpoint>,
        upstream: &Arc<Upstream>,
        context: &Context,
        entry: Entry,
        now: impl FnOnce() -> u64,
    ) -> Self {
        endpoint.enter();
        let watched = Watched {
            upstream: Arc::clone(upstream),
            context: Rc::clone(context),
            entry,
            stage: Stage::Waiting,
            begun: if upstream.reads_latency() {
                now() as u32 | 1
            } else {
                0
            },
        };
        Self {
            endpoint: Arc::clone(endpoint),
            watched: Some(watched),
        }
    }

    /// Records the head of the response.
    pub(crate) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        let Some(watched) = &mut self.watched else {
            return;
        };
        if status.is_server_error() || watched.grpc_failed(headers) {
            let why = FailureReason::Status(status);
            watched.failed(&self.endpoint, &why);
            return;
        }
        if watched.begun > 0 {
            let now = clock::micros();
            self.endpoint
                .latency
                .record_response(watched.took(now), now);
        }
        if watched.entry == Entry::Probe {
            // Recorded now, so that other requests need not wait for the end of a long body.
            watched.succeeded(&self.endpoint);
        } else if watched.stage == Stage::Waiting {
            watched.stage = Stage::Answering;
        }
    }

    /// Records the trailers of the response.
    pub(crate) fn trailers(&mut self, trailers: &HeaderMap) {
        if let Some(watched) = &mut self.watched
            && watched.grpc_failed(trailers)
        {
            watched.failed(&self.endpoint, &FailureReason::Grpc);
        }
    }

    /// Records a failed attempt. Errors that the endpoint did not cause are ignored.
    pub(crate) fn failed(&mut self, error: &Error) {
        if let Some(watched) = &mut self.watched
            && is_of_endpoint(error)
        {
            watched.failed(&self.endpoint, &FailureReason::Error(error));
        }
    }
}

/// The failure, for the log.
enum FailureReason<'a> {
    Status(StatusCode),
    Grpc,
    Timeout,
    Error(&'a Error),
}

impl std::fmt::Display for FailureReason<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "responded with status {}", status.as_u16()),
            Self::Grpc => f.write_str("responded with a gRPC status that means a server failure"),
            Self::Timeout => f.write_str("timed out"),
            Self::Error(error) => write!(f, "failed: {error}"),
        }
    }
}

fn is_of_endpoint(error: &Error) -> bool {
    matches!(
        error,
        Error::ConnectFailed { .. } | Error::UpstreamClosed { .. } | Error::UpstreamProtocol { .. }
    )
}

impl Watched {
    /// Microseconds since the start of the attempt.
    fn took(&self, now: u64) -> u64 {
        let took = (now as u32).wrapping_sub(self.begun);
        if took > u32::MAX / 2 {
            0
        } else {
            u64::from(took)
        } // the lowest bit may be ahead
    }

    fn grpc_failed(&self, headers: &HeaderMap) -> bool {
        self.context.is_grpc.get()
            && headers
                .get("grpc-status")
                .is_some_and(grpc::is_server_error)
    }

    fn succeeded(&mut self, endpoint: &Endpoint) {
        if std::mem::replace(&mut self.stage, Stage::Done) == Stage::Done {
            return;
        }
        endpoint.failures.record(false);
        if let Some(Change::Returned) = endpoint.outlier.succeeded(self.entry, clock::micros) {
            endpoint.begin_slowly(clock::micros());
            self.upstream.counters.report(
                &endpoint.address.label,
                "responds again and is back in use".to_owned(),
            );
        }
    }

    fn failed(&mut self, endpoint: &Endpoint, why: &FailureReason<'_>) {
        if std::mem::replace(&mut self.stage, Stage::Done) == Stage::Done {
            return;
        }
        endpoint.failures.record(true);
        let now = clock::micros();
        if self.begun > 0 {
            endpoint.latency.record_failure(self.took(now), now);
        }
        let Some(settings) = &self.upstream.model.outlier_detection else {
            return;
        };
        let may_eject = || self.upstream.may_eject(endpoint);
        let change = endpoint
            .outlier
            .failed(self.entry, now, settings, may_eject);
        if let Some(Change::Ejected(errors, span)) = change {
            self.upstream.counters.ejected();
            let errors = match self.entry {
                Entry::Probe => "the probe request failed".to_owned(),
                _ => format!("{errors} consecutive failures"),
            };
            let text = format!(
                "ejected for {} s: {errors}; the last one {why}",
                span.as_secs_f64()
            );
            self.upstream.counters.report(&endpoint.address.label, text);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.endpoint.leave();
        let Some(watched) = &mut self.watched else {
            return;
        };
        watched
            .upstream
            .breaker
            .as_ref()
            .inspect(|breaker| breaker.leave());
        match watched.stage {
            Stage::Done => {}
            // The response was complete, or the client disconnected.
            Stage::Answering => watched.succeeded(&self.endpoint),
            Stage::Waiting if watched.context.timed_out.get() => {
                watched.failed(&self.endpoint, &FailureReason::Timeout);
            }
            Stage::Waiting => self.endpoint.outlier.gave_up(watched.entry),
        }
    }
}
