//! `concurrency`: at most so many requests of a route at once, and a short queue in front.
//!
//! A [`Gate`] is shared by all workers. Who gets in at once and who leaves while nobody waits each change one atomic;
//! a lock is held for a few instructions where a place is handed on, and only the one who gets it is woken, in the order in
//! which they came, whatever worker they are on. A place is kept until the last byte of the answer came from the upstream.
//!
//! # Errors
//!
//! 503 with `Retry-After` when the queue is full, or a place did not get free in time.

mod step;

pub use step::{ConcurrencyStep, goes_on};

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use outrigger_config::model::Concurrency;
use tokio::{sync::Semaphore, time::timeout};

/// The places of one route. It outlives a reload that does not change it.
#[derive(Debug)]
pub struct Gate {
    model: Concurrency,
    state: AtomicU64,
    /// A permit for each place that was handed to one who waits; they are taken in the order in which they came.
    handed: Semaphore,
    /// Held by whoever changes both `state` and `handed`.
    handing: Mutex<()>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Permit(Arc<Gate>);

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// What stands in [`Gate::state`], each in one half of it.
#[derive(Debug, Clone, Copy)]
struct State {
    /// Places that are taken, those that were handed on among them.
    taken: u32,
    /// Those who wait and were handed none yet.
    waiting: u32,
}

/// One that waits, until it has a place or is dropped.
struct Waiting<'a>(Option<&'a Gate>);

impl State {
    fn read(packed: u64) -> Self {
        Self {
            taken: packed as u32,
            waiting: (packed >> 32) as u32,
        }
    }

    fn packed(self) -> u64 {
        u64::from(self.waiting) << 32 | u64::from(self.taken)
    }

    /// One place more, where one is free and nobody waits for it.
    fn enter(self, max: u32) -> Option<Self> {
        (self.waiting == 0 && self.taken < max).then_some(Self {
            taken: self.taken + 1,
            ..self
        })
    }

    /// One that waits more, where so many may.
    fn wait(self, queue: u32) -> Option<Self> {
        (self.waiting < queue).then_some(Self {
            waiting: self.waiting + 1,
            ..self
        })
    }

    /// One that waits less.
    fn called(self) -> Option<Self> {
        Some(Self {
            waiting: self.waiting.checked_sub(1)?,
            ..self
        })
    }

    /// One place less.
    fn leave(self) -> Self {
        Self {
            taken: self.taken.saturating_sub(1),
            ..self
        }
    }
}

impl Gate {
    /// A gate that nobody has passed.
    pub fn new(model: &Concurrency) -> Self {
        Self {
            model: model.clone(),
            state: AtomicU64::new(0),
            handed: Semaphore::new(0),
            handing: Mutex::new(()),
        }
    }

    /// As accepted.
    pub fn model(&self) -> &Concurrency {
        &self.model
    }

    /// Requests that have a place now.
    pub fn in_flight(&self) -> u32 {
        State::read(self.state.load(Relaxed)).taken
    }

    /// Requests that wait for one now.
    pub fn waiting(&self) -> u32 {
        State::read(self.state.load(Relaxed)).waiting
    }

    /// Whether a place is free now, without taking it.
    pub fn has_room(&self) -> bool {
        State::read(self.state.load(Relaxed))
            .enter(self.model.max)
            .is_some()
    }

    /// A place that is free now. Nobody overtakes those who wait.
    pub fn enter(self: &Arc<Self>) -> Option<Permit> {
        self.change(|state| state.enter(self.model.max)).ok()?;
        Some(Permit(Arc::clone(self)))
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// Too many wait already, or no place got free within `queueTimeout`.
    pub async fn wait(self: &Arc<Self>) -> Result<Permit, Full> {
        let (max, queue) = (self.model.max, self.model.queue);
        let before = self
            .change(|state| state.enter(max).or_else(|| state.wait(queue)))
            .map_err(|_| Full)?;
        if before.enter(max).is_some() {
            return Ok(Permit(Arc::clone(self))); // one has just become free
        }
        let mut waiting = Waiting(Some(self));
        let limit: Duration = self.model.queue_timeout;
        match timeout(limit, self.handed.acquire()).await {
            Ok(Ok(handed)) => {
                handed.forget();
                waiting.0 = None;
                Ok(Permit(Arc::clone(self)))
            }
            Ok(Err(_)) | Err(_) => Err(Full),
        }
    }

    /// Changes the state and gives the one before; as an error when it is to stay. No memory is guarded by it.
    fn change(&self, to: impl Fn(State) -> Option<State>) -> Result<State, State> {
        let changed = self.state.fetch_update(Relaxed, Relaxed, |packed| {
            to(State::read(packed)).map(State::packed)
        });
        changed.map(State::read).map_err(State::read)
    }

    fn leave(&self) {
        if self
            .change(|state| (state.waiting == 0).then(|| state.leave()))
            .is_err()
        {
            self.hand_on();
        }
    }

    /// A place becomes that of the first who waits.
    fn hand_on(&self) {
        let _handing = self.handing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.change(|state| Some(state.called().unwrap_or_else(|| state.leave())));
        if before.is_ok_and(|before| before.waiting > 0) {
            self.handed.add_permits(1);
        }
    }

    /// One that waited does so no more. When none is left that was not handed a place, one of those was meant for it; which
    /// of them does not matter.
    fn give_up(&self) {
        let handing = self.handing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.change(State::called).is_err()
            && let Ok(handed) = self.handed.try_acquire()
        {
            handed.forget();
            drop(handing);
            self.leave();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(gate) = self.0 {
            gate.give_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Poll};

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
            "nobody waits without a queue"
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
        assert_eq!((gate.in_flight(), gate.waiting()), (1, 1));
        drop(first);
        assert_eq!((gate.in_flight(), gate.waiting()), (1, 0));
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
