//! Places on the heap for futures, used again by the next request.
//!
//! The allocator has a handful of pieces of each size at hand, and searches for the next ones: with as many requests
//! under way as a busy worker has, every box of every request is searched for. So a place goes back to where it came from
//! when its future is dropped, and stays there for the next future of that type. A worker keeps at most [`MOST`] of them.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::Future,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

/// Kept empty by one worker, over all types.
pub const MOST: usize = 256;

thread_local! {
    static KEPT: Cell<usize> = const { Cell::new(0) };
}

/// Places for futures of one type, on one thread.
pub struct Places<F>(Rc<Home<F>>);

struct Home<F>(RefCell<Vec<Pin<Box<Place<F>>>>>);

pin_project! {
    /// A place, with a future in it or empty.
    pub struct Place<F> {
        #[pin]
        future: Option<F>,
        home: Weak<Home<F>>,
    }
}

/// A future in its place, whose type may be forgotten.
pub struct Placed<P: Settled + ?Sized>(Option<Pin<Box<P>>>);

/// What has a place. Nobody else implements it.
pub trait Settled: Future {
    /// Drops the future and takes the place back to where it came from.
    fn leave(self: Pin<Box<Self>>);
}

impl<F> Default for Places<F> {
    fn default() -> Self {
        Self(Rc::new(Home(RefCell::new(Vec::new()))))
    }
}

impl<F> fmt::Debug for Places<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places")
            .field("empty", &self.0.0.borrow().len())
            .finish()
    }
}

impl<F: Future> Places<F> {
    /// Gives a future a place.
    pub fn settle(&self, future: F) -> Placed<Place<F>> {
        let empty = self.0.0.borrow_mut().pop();
        Placed(Some(match empty {
            Some(mut place) => {
                KEPT.set(KEPT.get() - 1);
                place.as_mut().project().future.set(Some(future));
                place
            }
            None => Box::pin(Place {
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

impl<F: Future + 'static> Placed<Place<F>> {
    /// A future in a place of its own, which nobody uses again.
    pub fn alone(future: F) -> Self {
        Self(Some(Box::pin(Place {
            future: Some(future),
            home: Weak::new(),
        })))
    }

    /// Forgets the type.
    pub fn erase<T>(mut self) -> Placed<dyn Settled<Output = T>>
    where
        F: Future<Output = T>,
    {
        Placed(
            self.0
                .take()
                .map(|place| -> Pin<Box<dyn Settled<Output = T>>> { place }),
        )
    }
}

impl<F: Future> Future for Place<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().future.as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Pending, // an empty place is nobody's
        }
    }
}

impl<F: Future> Settled for Place<F> {
    fn leave(mut self: Pin<Box<Self>>) {
        self.as_mut().project().future.set(None);
        if let Some(home) = self.home.upgrade().filter(|_| KEPT.get() < MOST) {
            KEPT.set(KEPT.get() + 1);
            home.0.borrow_mut().push(self);
        }
    }
}

impl<P: Settled + ?Sized> Future for Placed<P> {
    type Output = P::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<P::Output> {
        match &mut self.0 {
            Some(place) => place.as_mut().poll(cx),
            None => Poll::Pending, // only while it is dropped
        }
    }
}

impl<P: Settled + ?Sized> Drop for Placed<P> {
    fn drop(&mut self) {
        if let Some(place) = self.0.take() {
            place.leave();
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

    fn kept<F>(places: &Places<F>) -> usize {
        places.0.0.borrow().len()
    }

    #[tokio::test]
    async fn a_place_is_used_again_after_its_future_is_gone() {
        let places = Places::default();
        let dropped = Rc::new(Cell::new(0));
        let future = |held: Dropped| async move { drop(held) };
        for turn in 0..5 {
            let first = places.settle(future(Dropped(Rc::clone(&dropped))));
            let second = places.settle(future(Dropped(Rc::clone(&dropped)))).erase();
            first.await;
            drop(second); // never asked
            assert_eq!((dropped.get(), kept(&places)), (2 * turn + 2, 2));
        }
        assert_eq!(KEPT.get(), 2);
        drop(places);
        assert_eq!(KEPT.get(), 0);
    }

    #[tokio::test]
    async fn a_place_whose_home_is_gone_is_freed_with_its_future() {
        let places = Places::default();
        let future = places.settle(ready(7));
        drop(places);
        assert_eq!(future.await, 7);
        assert_eq!(Placed::alone(ready(8)).erase().await, 8);
        assert_eq!(KEPT.get(), 0);
    }

    #[test]
    fn only_so_many_are_kept() {
        let places = Places::default();
        let busy: Vec<_> = (0..2 * MOST)
            .map(|number| places.settle(ready(number)))
            .collect();
        drop(busy);
        assert_eq!((kept(&places), KEPT.get()), (MOST, MOST));
        drop(places);
        assert_eq!(KEPT.get(), 0);
    }

    #[test]
    fn a_future_that_panics_leaves_its_place_in_order() {
        let places = Places::default();
        let mut future = Box::pin(places.settle(async { panic!("on purpose") }));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let polled = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            future.as_mut().poll(&mut context)
        }));
        assert!(polled.is_err());
        drop(future);
        assert_eq!(kept(&places), 1);
    }
}
