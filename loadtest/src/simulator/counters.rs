//! Counters of received requests: by endpoint, and by request over all endpoints.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// Counters of one endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Received {
    /// Requests, without health checks.
    pub requests: u64,
    /// Responses with status 200 that were started.
    pub good: u64,
    /// Responses with another status.
    pub failed: u64,
    /// Requests without a response.
    pub hung: u64,
    /// Connections reset on purpose.
    pub reset: u64,
    /// Health checks.
    pub checks: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub open_connections: u64,
}

/// Repetitions of the same request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Different requests, by their number.
    pub distinct: u64,
    /// Total arrivals of numbered requests.
    pub total: u64,
    /// Arrivals of the most repeated request.
    pub most: u64,
    /// Requests that arrived more than once.
    pub repeated: u64,
    /// Different requests that got a 200 at least once.
    pub answered: u64,
    /// Requests without a number, which cannot be distinguished.
    pub unnumbered: u64,
}

/// All counters at one point in time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// By endpoint, in the given order.
    pub endpoints: Vec<(String, Received)>,
    /// By request.
    pub attempts: Attempts,
}

impl Counts {
    /// Requests over all endpoints, without health checks.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.endpoints
            .iter()
            .map(|(_, received)| received.requests)
            .sum()
    }

    /// The share of requests that each endpoint received, in percent.
    #[must_use]
    pub fn shares(&self) -> Vec<f64> {
        let all = self.requests().max(1) as f64;
        self.endpoints
            .iter()
            .map(|(_, received)| received.requests as f64 * 100.0 / all)
            .collect()
    }

    /// All of it as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let endpoints: Vec<_> = self
            .endpoints
            .iter()
            .map(|(name, received)| received.to_json(name))
            .collect();
        let Attempts {
            distinct,
            total,
            most,
            repeated,
            answered,
            unnumbered,
        } = self.attempts;
        json!({
            "requests": self.requests(),
            "endpoints": endpoints,
            "attempts": {
                "distinct": distinct, "total": total, "most": most, "repeated": repeated, "answered": answered,
                "unnumbered": unnumbered,
            },
        })
    }
}

impl Received {
    fn to_json(self, name: &str) -> Value {
        json!({
            "name": name,
            "requests": self.requests,
            "good": self.good,
            "failed": self.failed,
            "hung": self.hung,
            "reset": self.reset,
            "checks": self.checks,
            "connections": self.connections,
            "open_connections": self.open_connections,
        })
    }
}

/// The counters themselves.
#[derive(Debug)]
pub(super) struct Counters {
    names: Vec<String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    received: Vec<Received>,
    seen: HashMap<u64, Seen>,
    unnumbered: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    times: u64,
    answered: bool,
}

impl Counters {
    pub(super) fn new(names: Vec<String>) -> Self {
        let received = vec![Received::default(); names.len()];
        Self {
            names,
            state: Mutex::new(State {
                received,
                ..State::default()
            }),
        }
    }

    /// Resets all counters to zero, except the number of open connections.
    pub(super) fn reset(&self) {
        let mut state = self.lock();
        for received in &mut state.received {
            *received = Received {
                open_connections: received.open_connections,
                ..Received::default()
            };
        }
        state.seen.clear();
        state.unnumbered = 0;
    }

    pub(super) fn count(&self, endpoint: usize, what: impl FnOnce(&mut Received)) {
        what(&mut self.lock().received[endpoint]);
    }

    pub(super) fn request(&self, endpoint: usize, id: Option<u64>) {
        let mut state = self.lock();
        state.received[endpoint].requests += 1;
        match id {
            Some(id) => state.seen.entry(id).or_default().times += 1,
            None => state.unnumbered += 1,
        }
    }

    pub(super) fn good(&self, endpoint: usize, id: Option<u64>) {
        let mut state = self.lock();
        state.received[endpoint].good += 1;
        if let Some(seen) = id.and_then(|id| state.seen.get_mut(&id)) {
            seen.answered = true;
        }
    }

    pub(super) fn snapshot(&self) -> Counts {
        let state = self.lock();
        let mut attempts = Attempts {
            unnumbered: state.unnumbered,
            ..Attempts::default()
        };
        for seen in state.seen.values() {
            attempts.distinct += 1;
            attempts.total += seen.times;
            attempts.most = attempts.most.max(seen.times);
            attempts.repeated += u64::from(seen.times > 1);
            attempts.answered += u64::from(seen.answered);
        }
        Counts {
            endpoints: self
                .names
                .iter()
                .cloned()
                .zip(state.received.iter().copied())
                .collect(),
            attempts,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
