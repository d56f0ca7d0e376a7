//! Circuit breaker of an upstream: limits on requests, connections, and requests that wait for a
//! connection.
//!
//! All workers share the counts; a request takes no lock. A request that waits for a connection
//! gets one that another request on its worker returns, or a permit to open one, in order of
//! arrival. Idle connections of all workers are closed to make room for it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use outrigger_config::model::CircuitBreaker;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, futures::Notified};

/// Requests and connections of one upstream.
pub(crate) struct Breaker {
    upstream: Arc<str>,
    limits: CircuitBreaker,
    requests: AtomicU32,
    pending: AtomicU32,
    connections: Arc<Semaphore>,
    /// A request waits, so an idle connection should be closed.
    wanted: Notify,
}

/// The permit for one connection, held while it is open.
pub(crate) struct ConnectionPermit(
    #[allow(dead_code, reason = "it counts by being there")] OwnedSemaphorePermit,
);

/// One waiting request.
pub(crate) struct PendingRequest<'a>(&'a Breaker);

/// Too many requests wait already.
#[derive(Debug)]
pub(crate) struct Full {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The current counts, for the log.
    pub state: Box<str>,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the limits on open connections and on pending requests are both reached")
    }
}

impl std::error::Error for Full {}

impl Breaker {
    /// A breaker without requests and connections.
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

    /// Counts one more request until [`Self::leave`]; `false` at the limit.
    pub(crate) fn enter(&self) -> bool {
        enter(&self.requests, self.limits.max_requests)
    }

    /// The current count of requests, for the log.
    pub(crate) fn too_many(&self) -> Box<str> {
        format!("requests in flight: {}", self.requests.load(Relaxed)).into()
    }

    /// A request ended.
    pub(crate) fn leave(&self) {
        self.requests.fetch_sub(1, Relaxed);
    }

    /// A permit to open a connection, if one is left.
    pub(crate) fn try_permit(&self) -> Option<ConnectionPermit> {
        Arc::clone(&self.connections)
            .try_acquire_owned()
            .ok()
            .map(ConnectionPermit)
    }

    /// Whether [`Self::try_permit`] would succeed.
    pub(crate) fn has_permit(&self) -> bool {
        self.connections.available_permits() > 0
    }

    /// Waits for a permit.
    pub(crate) async fn permit(&self) -> ConnectionPermit {
        match Arc::clone(&self.connections).acquire_owned().await {
            Ok(permit) => ConnectionPermit(permit),
            Err(_) => std::future::pending().await, // the semaphore is never closed
        }
    }

    /// Counts one more waiting request, and asks for idle connections to be closed.
    ///
    /// # Errors
    /// Too many requests wait already.
    pub(crate) fn wait(&self) -> Result<PendingRequest<'_>, Full> {
        if !enter(&self.pending, self.limits.max_pending_requests) {
            let [open, _, waiting] = self.in_use();
            let state = format!("connections open: {open}, requests waiting: {waiting}");
            return Err(Full {
                upstream: Arc::clone(&self.upstream),
                state: state.into(),
            });
        }
        self.wanted.notify_waiters();
        Ok(PendingRequest(self))
    }

    /// Whether a request waits.
    pub(crate) fn is_wanted(&self) -> bool {
        self.pending.load(Relaxed) > 0
    }

    /// Ready when the next request starts to wait, counted from this call on.
    pub(crate) fn wanted(&self) -> Notified<'_> {
        self.wanted.notified()
    }

    /// Connections, requests, and waiting requests, now.
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

impl Drop for PendingRequest<'_> {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Relaxed);
    }
}

/// Counts one more, unless the limit is reached.
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
        let permits = [breaker.try_permit(), breaker.try_permit()];
        assert!(permits.iter().all(Option::is_some) && breaker.try_permit().is_none());
        assert!(!breaker.is_wanted());
        let waiting = breaker.wait().unwrap();
        assert!(breaker.wait().is_err() && breaker.is_wanted());
        assert_eq!(breaker.in_use(), [2, 3, 1]);
        drop((waiting, permits));
        assert_eq!(breaker.in_use(), [0, 3, 0]);
        assert!(breaker.try_permit().is_some());
    }
}
