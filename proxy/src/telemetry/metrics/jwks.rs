//! Metrics of the keys of token providers.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::SystemTime,
};

/// The keys of one token provider, and the results of fetching them.
#[derive(Default)]
pub(crate) struct JwksCounters {
    pub(super) fetches: [AtomicU64; FetchResult::ALL.len()],
    pub(super) keys: AtomicU64,
    /// Seconds since the epoch; 0 before keys were first loaded.
    pub(super) loaded: AtomicU64,
}

/// The result of a fetch of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // each is explained by its error
pub(crate) enum FetchResult {
    Ok,
    Credentials,
    Connect,
    Tls,
    Timeout,
    Status,
    Redirect,
    TooLarge,
    Protocol,
    Discovery,
    Keys,
}

impl FetchResult {
    pub(super) const ALL: [(Self, &str); 11] = [
        (Self::Ok, "ok"),
        (Self::Credentials, "credentials"),
        (Self::Connect, "connect"),
        (Self::Tls, "tls"),
        (Self::Timeout, "timeout"),
        (Self::Status, "status"),
        (Self::Redirect, "redirect"),
        (Self::TooLarge, "too_large"),
        (Self::Protocol, "protocol"),
        (Self::Discovery, "discovery"),
        (Self::Keys, "keys"),
    ];
}

impl JwksCounters {
    /// Counts the result of a fetch.
    pub(crate) fn fetched(&self, result: FetchResult) {
        self.fetches[result as usize].fetch_add(1, Relaxed);
    }

    /// Stores the number of new keys, and the time.
    pub(crate) fn loaded(&self, keys: usize) {
        self.keys.store(keys as u64, Relaxed);
        self.loaded.store(now(), Relaxed);
    }
}

/// Seconds since the epoch.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
