//! What came of asking others beside the upstream: the service of `extAuth`, redis, and the upstream of copies.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What the service of one route's `extAuth` decided.
#[derive(Default)]
pub(crate) struct ExtAuthCounters(pub(super) [AtomicU64; ExtAuthResult::ALL.len()]);

/// How a question to such a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtAuthResult {
    /// The request goes on.
    Allowed,
    /// The service's answer is the client's.
    Denied,
    /// There was no answer.
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
    /// A question ended.
    pub(crate) fn asked(&self, result: ExtAuthResult) {
        self.0[result as usize].fetch_add(1, Relaxed);
    }
}

/// What came of asking redis.
#[derive(Default)]
pub(crate) struct RedisCounters(pub(super) [AtomicU64; RedisResult::ALL.len()]);

/// How a question to redis ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedisResult {
    /// With an answer.
    Ok,
    /// With an error, or the connection broke.
    Failed,
    /// Not in time.
    Timeout,
    /// Before it was asked: redis could not be reached a moment ago.
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
    /// A question ended.
    pub(crate) fn asked(&self, result: RedisResult) {
        self.0[result as usize].fetch_add(1, Relaxed);
    }
}

/// What came of the copies of one route's requests.
#[derive(Default)]
pub(crate) struct MirrorCounters(pub(super) [AtomicU64; MirrorResult::ALL.len()]);

/// How a copy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MirrorResult {
    /// With an answer, whatever it was.
    Answered,
    /// Without one.
    Failed,
    /// Not made: too many were under way.
    Dropped,
    /// Not made: its body is too long.
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
    /// A copy ended.
    pub(crate) fn ended(&self, result: MirrorResult) {
        self.0[result as usize].fetch_add(1, Relaxed);
    }
}
