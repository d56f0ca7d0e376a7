//! `concurrency`: at most so many requests of a route at once, and a short queue in front.
//!
//! A [`Gate`] is shared by all workers. A request that enters or leaves while no other waits
//! changes one atomic. A lock is held for a few instructions when a permit is handed to a waiting
//! request; only that request is woken, in order of arrival, on whatever worker it is. A permit is
//! kept until the last byte of the response arrived from the upstream.
//!
//! # Errors
//!
//! 503 with `Retry-After` when the queue is full, or no permit became free in time.

mod step;

pub use step::{ConcurrencyStep, goes_on};

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use outrigger_config::model::Concurrency;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The permits of one route. It outlives a reload that does not change it.
#[derive(Debug)]
pub struct Gate {
    model: Concurrency,
    /// Shared with each [`Permit`].
    free: Arc<Semaphore>,
    /// Requests in the queue. It guards no memory.
    queued: AtomicU32,
}

/// Permission to send one request, until it is dropped.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// A request in the queue, until it is dropped.
struct Queued<'a>(&'a Gate);

impl Gate {
    /// A gate that no request has passed.
    pub fn new(model: &Concurrency) -> Self {
        let max = usize::try_from(model.max).unwrap_or(usize::MAX);
        Self {
            model: model.clone(),
            free: Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))),
            queued: AtomicU32::new(0),
        }
    }

    /// As accepted.
    pub fn model(&self) -> &Concurrency {
        &self.model
    }

    /// Requests that hold a permit now, or were assigned one in the queue.
    pub fn in_flight(&self) -> u32 {
        let free = u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX);
        self.model.max.saturating_sub(free)
    }

    /// Requests in the queue now, with those that were assigned a permit and have not run since.
    pub fn waiting(&self) -> u32 {
        self.queued.load(Relaxed)
    }

    /// Whether a permit is free now, without taking it.
    pub fn has_room(&self) -> bool {
        self.free.available_permits() > 0
    }

    /// A permit that is free now.
    pub fn enter(&self) -> Option<Permit> {
        Arc::clone(&self.free).try_acquire_owned().ok().map(Permit)
    }

    /// Waits for a permit.
    ///
    /// # Errors
    /// The queue is full, or no permit became free within `queueTimeout`.
    pub async fn wait(&self) -> Result<Permit, Full> {
        if let Some(permit) = self.enter() {
            return Ok(permit); // one has just become free
        }
        let _queued = self.join().ok_or(Full)?;
        let acquired = timeout(
            self.model.queue_timeout,
            Arc::clone(&self.free).acquire_owned(),
        );
        match acquired.await {
            Ok(Ok(permit)) => Ok(Permit(permit)),
            Ok(Err(_)) | Err(_) => Err(Full),
        }
    }

    fn join(&self) -> Option<Queued<'_>> {
        self.queued
            .fetch_update(Relaxed, Relaxed, |queued| {
                (queued < self.model.queue).then_some(queued + 1)
            })
            .ok()
            .map(|_| Queued(self))
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.queued.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, sync::atomic::AtomicU64, task::Poll, time::Duration};

    use tokio::time::{Instant, advance};

    use super::*;

    fn gate(max: u32, queue: u32) -> Arc<Gate> {
        Arc::new(Gate::new(&Concurrency::new(
            max,
            queue,
            Duration::from_millis(100),
        )))
    }

    /// Polls once.
    async fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        let mut future = Some(future);
        std::future::poll_fn(|cx| Poll::Ready(future.take().expect("polled once").poll(cx))).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_taken_and_given_back() {
        let gate = gate(2, 0);
        assert!(
            gate.has_room() && gate.in_flight() == 0,
            "looking takes none"
        );
        let (first, second) = (gate.enter().unwrap(), gate.enter().unwrap());
        assert!(!gate.has_room());
        assert!(gate.enter().is_none());
        assert_eq!((gate.in_flight(), gate.waiting()), (2, 0));
        assert_eq!(
            gate.wait().await.unwrap_err(),
            Full,
            "no request waits without a queue"
        );
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
        assert!(
            poll(first.as_mut()).await.is_pending() && poll(second.as_mut()).await.is_pending()
        );
        assert_eq!(gate.waiting(), 2);
        assert_eq!(gate.wait().await.unwrap_err(), Full, "the queue is full");
        drop(place);
        assert!(gate.enter().is_none(), "the place is the first one's");
        assert!(poll(second.as_mut()).await.is_pending());
        let Poll::Ready(Ok(place)) = poll(first.as_mut()).await else {
            panic!("its turn")
        };
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

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_handed_to_one_who_has_just_given_up_goes_to_the_next_or_is_free() {
        let gate = gate(1, 2);
        let place = gate.enter().unwrap();
        let mut first = Box::pin(gate.wait());
        let mut second = pin!(gate.wait());
        assert!(
            poll(first.as_mut()).await.is_pending() && poll(second.as_mut()).await.is_pending()
        );
        drop(place); // the first one's, which never takes it
        assert_eq!((gate.in_flight(), gate.waiting()), (1, 2));
        drop(first);
        assert_eq!((gate.in_flight(), gate.waiting()), (1, 1));
        let Poll::Ready(Ok(place)) = poll(second.as_mut()).await else {
            panic!("its turn")
        };
        let mut third = Box::pin(gate.wait());
        assert!(poll(third.as_mut()).await.is_pending());
        drop(place);
        drop(third);
        assert_eq!((gate.in_flight(), gate.waiting()), (0, 0));
        assert!(gate.enter().is_some());
    }

    /// Comes 200 times; every third one of them loses patience at some moment.
    async fn comes_and_goes(gate: &Arc<Gate>, inside: &AtomicU64, number: u64) {
        for turn in 0..200 {
            let waits = async {
                match gate.enter() {
                    Some(place) => Ok(place),
                    None => gate.wait().await,
                }
            };
            let patience = Duration::from_micros((number * 31 + turn * 17) % 200);
            let place = match number % 3 {
                0 => timeout(patience, waits).await.unwrap_or(Err(Full)),
                _ => waits.await,
            };
            if let Ok(_place) = place {
                assert!(inside.fetch_add(1, Relaxed) < gate.model().max.into());
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Relaxed);
            }
        }
    }

    #[test]
    fn workers_never_let_in_more_than_there_are_places_and_lose_none() {
        let gate = Arc::new(Gate::new(&Concurrency::new(
            3,
            1_000,
            Duration::from_secs(60),
        )));
        let inside = AtomicU64::new(0);
        let worker = |numbers: std::ops::Range<u64>| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            let all = numbers.map(|number| comes_and_goes(&gate, &inside, number));
            runtime.block_on(futures_util::future::join_all(all));
        };
        std::thread::scope(|scope| {
            for numbers in [0..8, 8..16, 16..24] {
                scope.spawn(|| worker(numbers));
            }
        });
        assert_eq!((gate.in_flight(), gate.waiting()), (0, 0));
        let all: Vec<_> = (0..3).map(|_| gate.enter().unwrap()).collect();
        assert!(gate.enter().is_none());
        drop(all);
    }
}
