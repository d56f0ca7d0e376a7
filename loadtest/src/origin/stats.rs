//! Counters of the origin. Shared by all its connections and kept over a restart.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

/// At most this many distinct names are counted, so that a scan of random paths cannot fill the memory.
const MOST_NAMES: usize = 1_000;

/// Name for all further paths.
const OTHER: &str = "(other)";

/// A copy of the counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests whose head arrived, without those for `/stats`.
    pub requests: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub open_connections: u64,
    /// Requests by first path segment; the root is `""`.
    pub by_segment: BTreeMap<String, u64>,
}

impl Stats {
    /// The same as JSON, the response of `/stats`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        json!({
            "requests": self.requests,
            "connections": self.connections,
            "open_connections": self.open_connections,
            "by_segment": self.by_segment,
        })
    }
}

/// The counters themselves.
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    connections: AtomicU64,
    open_connections: AtomicU64,
    by_segment: Mutex<BTreeMap<String, u64>>,
}

impl Counters {
    pub(super) fn request(&self, segment: &str) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut by_segment = self
            .by_segment
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_segment.get_mut(segment) {
            *count += 1;
        } else {
            let name = if by_segment.len() < MOST_NAMES {
                segment
            } else {
                OTHER
            };
            *by_segment.entry(name.to_owned()).or_default() += 1;
        }
    }

    /// Counts a connection until the guard is dropped.
    pub(super) fn connection(self: &Arc<Self>) -> OpenConnection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.open_connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }

    pub(super) fn snapshot(&self) -> Stats {
        Stats {
            requests: self.requests.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            open_connections: self.open_connections.load(Ordering::Relaxed),
            by_segment: self
                .by_segment
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }
}

/// Guard of one open connection.
#[derive(Debug)]
pub(super) struct OpenConnection(Arc<Counters>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open_connections.fetch_sub(1, Ordering::Relaxed);
    }
}
