//! `concurrency`: at most so many requests of a route at once, and a short queue in front.
//!
//! A [`Gate`] is shared by all workers and counts with a semaphore: who gets in at once changes one atomic, who leaves
//! holds a lock for a few instructions, and only somebody who waits is woken across threads, in the order in which
//! they came, whatever worker they are on. A place is kept until the last byte of the answer came from the upstream.
//!
//! # Errors
//!
//! 503 with `Retry-After` when the queue is full, or a place did not get free in time.

mod layer;

pub use layer::ConcurrencyLayer;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use outrigger_config::model::Concurrency;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The places of one route. It outlives a reload that does not change it.
#[derive(Debug)]
pub struct Gate {
    model: Concurrency,
    places: Arc<Semaphore>,
    waiting: AtomicU32,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    _place: OwnedSemaphorePermit,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Counts one that waits.
struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Gate {
    /// A gate that nobody has passed.
    pub fn new(model: &Concurrency) -> Self {
        let places = Arc::new(Semaphore::new(model.max as usize));
        Self { model: model.clone(), places, waiting: AtomicU32::new(0) }
    }

    /// As accepted.
    pub fn model(&self) -> &Concurrency {
        &self.model
    }

    /// Requests that have a place now.
    pub fn in_flight(&self) -> u32 {
        let free = u32::try_from(self.places.available_permits()).unwrap_or(u32::MAX);
        self.model.max.saturating_sub(free)
    }

    /// Requests that wait for one now.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }

    /// A place that is free now. Nobody overtakes those who wait.
    pub fn enter(&self) -> Option<Permit> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Permit { _place: place })
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// Too many wait already, or no place got free within `queueTimeout`.
    pub async fn wait(&self) -> Result<Permit, Full> {
        let room = |waiting| (waiting < self.model.queue).then_some(waiting + 1);
        self.waiting.fetch_update(Relaxed, Relaxed, room).map_err(|_| Full)?;
        let _waiting = Waiting(&self.waiting);
        let limit: Duration = self.model.queue_timeout;
        match timeout(limit, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(Permit { _place: place }),
            Ok(Err(_)) | Err(_) => Err(Full),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Poll};

    use tokio::time::{Instant, advance};

    use super::*;

    fn gate(max: u32, queue: u32) -> Gate {
        Gate::new(&Concurrency::new(max, queue, Duration::from_millis(100)))
    }

    /// Polls once.
    async fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        let mut future = Some(future);
        std::future::poll_fn(|cx| Poll::Ready(future.take().expect("polled once").poll(cx))).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_taken_and_given_back() {
        let gate = gate(2, 0);
        let (first, second) = (gate.enter().unwrap(), gate.enter().unwrap());
        assert!(gate.enter().is_none());
        assert_eq!((gate.in_flight(), gate.waiting()), (2, 0));
        assert_eq!(gate.wait().await.unwrap_err(), Full, "nobody waits without a queue");
        drop(first);
        assert!(gate.enter().is_some());
        drop(second);
        assert_eq!(gate.in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_let_in_in_order_and_not_overtaken() {
        let gate = gate(1, 2);
        let place = gate.enter().unwrap();
        let (mut first, mut second) = (pin!(gate.wait()), pin!(gate.wait()));
        assert!(poll(first.as_mut()).await.is_pending() && poll(second.as_mut()).await.is_pending());
        assert_eq!(gate.waiting(), 2);
        assert_eq!(gate.wait().await.unwrap_err(), Full, "the queue is full");
        drop(place);
        assert!(gate.enter().is_none(), "the place is the first one's");
        assert!(poll(second.as_mut()).await.is_pending());
        let Poll::Ready(Ok(place)) = poll(first.as_mut()).await else { panic!("its turn") };
        drop(place);
        assert!(poll(second.as_mut()).await.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_or_goes_away_leaves_the_queue() {
        let gate = gate(1, 1);
        let _place = gate.enter().unwrap();
        let begun = Instant::now();
        assert_eq!(gate.wait().await.unwrap_err(), Full);
        assert!(begun.elapsed() >= Duration::from_millis(100));
        {
            let mut gone = pin!(gate.wait());
            assert!(poll(gone.as_mut()).await.is_pending());
            assert_eq!(gate.waiting(), 1);
        }
        assert_eq!(gate.waiting(), 0);
        advance(Duration::from_secs(1)).await;
    }
}
