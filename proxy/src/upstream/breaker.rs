//! How much may be under way to an upstream: requests, connections, and requests that wait for a connection.
//!
//! The counts are shared by all workers, without a lock on the way of a request. Whoever waits for a connection is given
//! one that its own worker gives back, or else the right to open one, first come first served; idle connections of all
//! workers make room for it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use outrigger_config::model::CircuitBreaker;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, futures::Notified};

/// What is under way to one upstream.
pub(crate) struct Breaker {
    upstream: Arc<str>,
    limits: CircuitBreaker,
    requests: AtomicU32,
    pending: AtomicU32,
    connections: Arc<Semaphore>,
    /// Somebody waits, and an idle connection may go.
    wanted: Notify,
}

/// The right to one connection, for as long as it is open.
pub(crate) struct Claim(
    #[allow(dead_code, reason = "it counts by being there")] OwnedSemaphorePermit,
);

/// One request that waits.
pub(crate) struct Pending<'a>(&'a Breaker);

/// Too many wait already.
#[derive(Debug)]
pub(crate) struct Full {
    /// For the upstream of this name.
    pub upstream: Arc<str>,
    /// What is under way, as numbers.
    pub state: Box<str>,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("as many connections as may be are open, and as many requests as may wait do")
    }
}

impl std::error::Error for Full {}

impl Breaker {
    /// Nothing is under way.
    pub(crate) fn new(upstream: &Arc<str>, limits: &CircuitBreaker) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            limits: limits.clone(),
            requests: AtomicU32::new(0),
            pending: AtomicU32::new(0),
            connections: Arc::new(Semaphore::new(limits.max_connections as usize)),
            wanted: Notify::new(),
        }
    }

    /// Whether one more request may go; if so it counts until [`Self::leave`].
    pub(crate) fn enter(&self) -> bool {
        enter(&self.requests, self.limits.max_requests)
    }

    /// Why no more may go, as numbers.
    pub(crate) fn too_many(&self) -> Box<str> {
        format!("requests under way: {}", self.requests.load(Relaxed)).into()
    }

    /// A request ended.
    pub(crate) fn leave(&self) {
        self.requests.fetch_sub(1, Relaxed);
    }

    /// The right to open a connection, if there is one left.
    pub(crate) fn try_claim(&self) -> Option<Claim> {
        Arc::clone(&self.connections)
            .try_acquire_owned()
            .ok()
            .map(Claim)
    }

    /// Whether [`Self::try_claim`] would give it.
    pub(crate) fn may_claim(&self) -> bool {
        self.connections.available_permits() > 0
    }

    /// Waits for it.
    pub(crate) async fn claim(&self) -> Claim {
        match Arc::clone(&self.connections).acquire_owned().await {
            Ok(permit) => Claim(permit),
            Err(_) => std::future::pending().await, // it is never closed
        }
    }

    /// Counts one more that waits, and asks for idle connections to go.
    ///
    /// # Errors
    /// There are too many.
    pub(crate) fn wait(&self) -> Result<Pending<'_>, Full> {
        if !enter(&self.pending, self.limits.max_pending_requests) {
            let [open, _, waiting] = self.in_use();
            let state = format!("connections open: {open}, requests waiting: {waiting}");
            return Err(Full {
                upstream: Arc::clone(&self.upstream),
                state: state.into(),
            });
        }
        self.wanted.notify_waiters();
        Ok(Pending(self))
    }

    /// Whether anybody waits.
    pub(crate) fn is_wanted(&self) -> bool {
        self.pending.load(Relaxed) > 0
    }

    /// Ready when the next one begins to wait, counted from this call on.
    pub(crate) fn wanted(&self) -> Notified<'_> {
        self.wanted.notified()
    }

    /// Connections, requests, and requests that wait, now.
    pub(crate) fn in_use(&self) -> [u32; 3] {
        let free = u32::try_from(self.connections.available_permits()).unwrap_or(u32::MAX);
        let open = self.limits.max_connections.saturating_sub(free);
        [
            open,
            self.requests.load(Relaxed),
            self.pending.load(Relaxed),
        ]
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Relaxed);
    }
}

/// One more, unless that is too many.
fn enter(count: &AtomicU32, most: u32) -> bool {
    let fits = count.fetch_add(1, Relaxed) < most;
    if !fits {
        count.fetch_sub(1, Relaxed);
    }
    fits
}

#[cfg(test)]
mod tests {
    use outrigger_config::load_str;

    use super::*;

    fn breaker(limits: &str) -> Breaker {
        let yaml = format!(
            "upstreams: {{ u: {{ endpoints: [{{ url: http://a }}], circuitBreaker: {{ {limits} }} }} }}\n\
             routes: [{{ name: r, backendRefs: [u] }}]"
        );
        let config = load_str("outrigger.yaml", &yaml, &|_: &str| None)
            .unwrap()
            .config;
        Breaker::new(
            &"u".into(),
            config.upstreams[0].circuit_breaker.as_ref().unwrap(),
        )
    }

    #[test]
    fn each_limit_holds_and_what_ends_makes_room() {
        let breaker = breaker("maxConnections: 2, maxRequests: 3, maxPendingRequests: 1");
        assert_eq!(
            [
                breaker.enter(),
                breaker.enter(),
                breaker.enter(),
                breaker.enter()
            ],
            [true, true, true, false]
        );
        breaker.leave();
        assert!(breaker.enter() && !breaker.enter());
        let claims = [breaker.try_claim(), breaker.try_claim()];
        assert!(claims.iter().all(Option::is_some) && breaker.try_claim().is_none());
        assert!(!breaker.is_wanted());
        let waiting = breaker.wait().unwrap();
        assert!(breaker.wait().is_err() && breaker.is_wanted());
        assert_eq!(breaker.in_use(), [2, 3, 1]);
        drop((waiting, claims));
        assert_eq!(breaker.in_use(), [0, 3, 0]);
        assert!(breaker.try_claim().is_some());
    }
}
