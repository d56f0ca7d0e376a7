//! Slots on the heap for futures, used again by the next request.
//!
//! The allocator caches a few chunks of each size and searches for others: with as many requests in flight as a busy worker
//! has, each box of each request is searched for. So a slot goes back to its [`Slots`] when its future is dropped, and stays
//! there for the next future of that type. A thread keeps at most 256 of them.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::Future,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::limit;

/// The most empty slots of one thread, over all types.
const MOST: usize = limit("slots", 256);

thread_local! {
    static KEPT: Cell<usize> = const { Cell::new(0) };
}

/// Slots for futures of one type, on one thread.
pub struct Slots<F>(Rc<Home<F>>);

struct Home<F>(RefCell<Vec<Pin<Box<Slot<F>>>>>);

pin_project! {
    /// A slot, with a future in it or empty.
    pub struct Slot<F> {
        #[pin]
        future: Option<F>,
        home: Weak<Home<F>>,
    }
}

/// A future in its slot, whose type may be erased.
pub struct Stored<P: Recycle + ?Sized>(Option<Pin<Box<P>>>);

/// A slot behind a pointer. Only [`Slot`] implements it.
pub trait Recycle: Future {
    /// Drops the future and gives the slot back.
    fn give_back(self: Pin<Box<Self>>);
}

impl<F> Default for Slots<F> {
    fn default() -> Self {
        Self(Rc::new(Home(RefCell::new(Vec::new()))))
    }
}

impl<F> fmt::Debug for Slots<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots")
            .field("empty", &self.0.0.borrow().len())
            .finish()
    }
}

impl<F: Future> Slots<F> {
    /// Stores a future.
    pub fn store(&self, future: F) -> Stored<Slot<F>> {
        let empty = self.0.0.borrow_mut().pop();
        Stored(Some(match empty {
            Some(mut slot) => {
                KEPT.set(KEPT.get() - 1);
                slot.as_mut().project().future.set(Some(future));
                slot
            }
            None => Box::pin(Slot {
                future: Some(future),
                home: Rc::downgrade(&self.0),
            }),
        }))
    }
}

impl<F> Drop for Home<F> {
    fn drop(&mut self) {
        KEPT.set(KEPT.get() - self.0.borrow().len());
    }
}

impl<F: Future + 'static> Stored<Slot<F>> {
    /// A future in a slot of its own, which is freed with it.
    pub fn alone(future: F) -> Self {
        Self(Some(Box::pin(Slot {
            future: Some(future),
            home: Weak::new(),
        })))
    }

    /// Erases the type.
    pub fn erase<T>(mut self) -> Stored<dyn Recycle<Output = T>>
    where
        F: Future<Output = T>,
    {
        Stored(
            self.0
                .take()
                .map(|slot| -> Pin<Box<dyn Recycle<Output = T>>> { slot }),
        )
    }
}

impl<F: Future> Future for Slot<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().future.as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Pending, // an empty slot is not polled
        }
    }
}

impl<F: Future> Recycle for Slot<F> {
    fn give_back(mut self: Pin<Box<Self>>) {
        self.as_mut().project().future.set(None);
        if let Some(home) = self.home.upgrade().filter(|_| KEPT.get() < MOST) {
            KEPT.set(KEPT.get() + 1);
            home.0.borrow_mut().push(self);
        }
    }
}

impl<P: Recycle + ?Sized> Future for Stored<P> {
    type Output = P::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<P::Output> {
        match &mut self.0 {
            Some(slot) => slot.as_mut().poll(cx),
            None => Poll::Pending, // only while it is dropped
        }
    }
}

impl<P: Recycle + ?Sized> Drop for Stored<P> {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            slot.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::ready, panic};

    use super::*;

    /// Counts how often it is dropped.
    struct Dropped(Rc<Cell<usize>>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    fn kept<F>(slots: &Slots<F>) -> usize {
        slots.0.0.borrow().len()
    }

    #[tokio::test]
    async fn a_slot_is_used_again_after_its_future_is_dropped() {
        let slots = Slots::default();
        let dropped = Rc::new(Cell::new(0));
        let future = |held: Dropped| async move { drop(held) };
        for turn in 0..5 {
            let first = slots.store(future(Dropped(Rc::clone(&dropped))));
            let second = slots.store(future(Dropped(Rc::clone(&dropped)))).erase();
            first.await;
            drop(second); // never polled
            assert_eq!((dropped.get(), kept(&slots)), (2 * turn + 2, 2));
        }
        assert_eq!(KEPT.get(), 2);
        drop(slots);
        assert_eq!(KEPT.get(), 0);
    }

    #[tokio::test]
    async fn a_slot_whose_home_is_gone_is_freed_with_its_future() {
        let slots = Slots::default();
        let future = slots.store(ready(7));
        drop(slots);
        assert_eq!(future.await, 7);
        assert_eq!(Stored::alone(ready(8)).erase().await, 8);
        assert_eq!(KEPT.get(), 0);
    }

    #[test]
    fn only_so_many_are_kept() {
        let slots = Slots::default();
        let busy: Vec<_> = (0..2 * MOST)
            .map(|number| slots.store(ready(number)))
            .collect();
        drop(busy);
        assert_eq!((kept(&slots), KEPT.get()), (MOST, MOST));
        drop(slots);
        assert_eq!(KEPT.get(), 0);
    }

    #[test]
    fn a_future_that_panics_leaves_its_slot_usable() {
        let slots = Slots::default();
        let mut future = Box::pin(slots.store(async { panic!("on purpose") }));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let polled = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            future.as_mut().poll(&mut context)
        }));
        assert!(polled.is_err());
        drop(future);
        assert_eq!(kept(&slots), 1);
    }
}
