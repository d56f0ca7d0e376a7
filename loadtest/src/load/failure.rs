//! Failures of a request, and the classification of HTTP library errors.

use std::error::Error;
use std::fmt::{self, Write};
use std::io;

/// The closed set of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// The connection failed.
    Connect,
    /// TLS failed: an invalid certificate, an alert of the peer, a protocol other than the
    /// requested one.
    Tls,
    /// A session that could have been resumed was not.
    NotResumed,
    /// The connection or the stream was reset.
    Reset,
    /// The connection was closed normally, but before the response was complete.
    Closed,
    /// A reused connection was closed before the first byte of a response, and the request was not
    /// retried.
    Stale,
    /// The response was not complete before the timeout.
    Timeout,
    /// Unexpected status.
    Status(u16),
    /// The call ended with a `grpc-status` other than 0.
    GrpcStatus(u32),
    /// The body has the wrong length.
    Length,
    /// The body has the right length but wrong bytes.
    Checksum,
    /// The response violates HTTP.
    Protocol,
}

/// One failed request.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    pub(super) detail: String,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    /// Classifies an error by the first known cause in its chain.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let kind = causes(error)
            .find_map(kind_of)
            .unwrap_or(FailureKind::Protocol);
        Self {
            kind,
            detail: explain(error),
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("connect"),
            Self::Tls => f.write_str("tls"),
            Self::NotResumed => f.write_str("not resumed"),
            Self::Reset => f.write_str("reset"),
            Self::Closed => f.write_str("closed"),
            Self::Stale => f.write_str("stale"),
            Self::Timeout => f.write_str("timeout"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::GrpcStatus(status) => write!(f, "grpc status {status}"),
            Self::Length => f.write_str("length"),
            Self::Checksum => f.write_str("checksum"),
            Self::Protocol => f.write_str("protocol"),
        }
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// An error with all its causes on one line.
fn explain(error: &(dyn Error + 'static)) -> String {
    causes(error)
        .skip(1)
        .fold(error.to_string(), |mut text, cause| {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {cause}");
            text
        })
}

fn kind_of(error: &(dyn Error + 'static)) -> Option<FailureKind> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return kind_of_io(error);
    }
    error.downcast_ref::<h2::Error>().and_then(kind_of_h2)
}

fn kind_of_io(error: &io::Error) -> Option<FailureKind> {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Some(FailureKind::Reset),
        io::ErrorKind::UnexpectedEof => Some(FailureKind::Closed),
        _ if is_of_tls(error) => Some(FailureKind::Tls),
        _ => None,
    }
}

fn kind_of_h2(error: &h2::Error) -> Option<FailureKind> {
    match error.get_io() {
        Some(error) => kind_of_io(error),
        None if error.is_remote() && (error.is_reset() || error.is_go_away()) => {
            Some(FailureKind::Reset)
        }
        None => Some(FailureKind::Protocol),
    }
}

/// Whether the peer did not process the request: refused, or above the last stream of a GOAWAY (RFC
/// 9113 §8.7). Such a request may be retried whatever its method.
pub(super) fn is_unprocessed(error: &(dyn Error + 'static)) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<h2::Error>())
        .any(|error| {
            let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            let left_out = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
            error.is_remote() && (refused || left_out)
        })
}

/// Whether a connection error is a TLS error: an invalid certificate, an alert, a broken record.
fn is_of_tls(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>())
}
