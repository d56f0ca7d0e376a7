//! Results of requests to servers other than the upstream of the route: the service of `extAuth`,
//! Redis, and the upstream of mirrored requests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Decisions of the service of one route's `extAuth`.
#[derive(Default)]
pub(crate) struct ExtAuthCounters(pub(super) [AtomicU64; ExtAuthResult::ALL.len()]);

/// The result of a request to such a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtAuthResult {
    /// The request continues.
    Allowed,
    /// The service's response is sent to the client.
    Denied,
    /// There was no response.
    Failed,
}

impl ExtAuthResult {
    pub(super) const ALL: [(Self, &str); 3] = [
        (Self::Allowed, "allowed"),
        (Self::Denied, "denied"),
        (Self::Failed, "failed"),
    ];
}

impl ExtAuthCounters {
    /// Counts a result.
    pub(crate) fn asked(&self, result: ExtAuthResult) {
        self.0[result as usize].fetch_add(1, Relaxed);
    }
}

/// Results of Redis requests.
#[derive(Default)]
pub(crate) struct RedisCounters(pub(super) [AtomicU64; RedisResult::ALL.len()]);

/// The result of a Redis request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedisResult {
    /// A reply arrived.
    Ok,
    /// An error reply, or the connection failed.
    Failed,
    /// No reply in time.
    Timeout,
    /// Not sent: Redis was not reachable a moment ago.
    Unavailable,
}

impl RedisResult {
    pub(super) const ALL: [(Self, &str); 4] = [
        (Self::Ok, "ok"),
        (Self::Failed, "failed"),
        (Self::Timeout, "timeout"),
        (Self::Unavailable, "unavailable"),
    ];
}

impl RedisCounters {
    /// Counts a result.
    pub(crate) fn count(&self, result: RedisResult) {
        self.0[result as usize].fetch_add(1, Relaxed);
    }
}

/// Results of one route's mirrored requests.
#[derive(Default)]
pub(crate) struct MirrorCounters(pub(super) [AtomicU64; MirrorResult::ALL.len()]);

/// The result of a mirrored request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MirrorResult {
    /// A response arrived; its status does not matter.
    Answered,
    /// There was no response.
    Failed,
    /// Not sent: too many were in flight.
    Dropped,
    /// Not sent: its body is too long.
    TooLarge,
}

impl MirrorResult {
    pub(super) const ALL: [(Self, &str); 4] = [
        (Self::Answered, "completed"),
        (Self::Failed, "failed"),
        (Self::Dropped, "dropped"),
        (Self::TooLarge, "too_large"),
    ];
}

impl MirrorCounters {
    /// Counts a result.
    pub(crate) fn ended(&self, result: MirrorResult) {
        self.0[result as usize].fetch_add(1, Relaxed);
    }
}
