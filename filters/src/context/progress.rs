//! When an exchange last made progress, for the timeouts of its two bodies.
//!
//! Until the response head arrives, only the request can make progress, and its own timeout limits
//! how long it may be idle. From then on the exchange is idle when neither body makes progress. The
//! response body watches that, because either it is polled or the client reads nothing, which has a
//! timeout of its own. After the end of the response only the rest of the request is left.

use std::{
    cell::Cell,
    task::{Context, Waker},
};

use tokio::time::Instant;

/// The state of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// The head has not arrived.
    Awaited,
    /// The head has arrived, the last byte has not.
    Begun,
    /// The response was sent completely, or aborted.
    Ended,
}

/// See the module.
pub struct Progress {
    response: Cell<Response>,
    moved: Cell<Instant>,
    awaits_end: Cell<Option<Waker>>,
}

impl Progress {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            response: Cell::new(Response::Awaited),
            moved: Cell::new(now),
            awaits_end: Cell::new(None),
        }
    }

    /// The state of the response.
    pub fn response(&self) -> Response {
        self.response.get()
    }

    /// Records that the response head has arrived.
    pub fn begin_response(&self) {
        self.response.set(Response::Begun);
    }

    /// Records the end of the response, and wakes the task that waits for more of the request.
    pub fn end_response(&self, now: Instant) {
        self.response.set(Response::Ended);
        self.moved.set(now);
        if let Some(waiting) = self.awaits_end.take() {
            waiting.wake();
        }
    }

    /// Wakes the task at the end of the response: the request is often read by a task of its own.
    pub fn await_end(&self, cx: &Context<'_>) {
        let waker = self
            .awaits_end
            .take()
            .filter(|waker| waker.will_wake(cx.waker()));
        self.awaits_end
            .set(Some(waker.unwrap_or_else(|| cx.waker().clone())));
    }

    /// Records progress of one of the bodies.
    pub fn move_at(&self, now: Instant) {
        self.moved.set(now);
    }

    /// When one of the bodies last made progress. It is not tracked before the response head.
    pub fn moved(&self) -> Instant {
        self.moved.get()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, rc::Rc, task::Poll, time::Duration};

    use tokio::{task::LocalSet, time::timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_task_that_awaits_the_end_of_the_response_is_woken() {
        let progress = Rc::new(Progress::new(Instant::now()));
        progress.begin_response();
        let waiting = Rc::clone(&progress);
        let local = LocalSet::new();
        let ended = local.spawn_local(async move {
            poll_fn(|cx| match waiting.response() {
                Response::Ended => Poll::Ready(()),
                Response::Awaited | Response::Begun => {
                    waiting.await_end(cx);
                    Poll::Pending
                }
            })
            .await;
        });
        local.run_until(tokio::task::yield_now()).await;
        progress.end_response(Instant::now());
        timeout(Duration::from_secs(1), local.run_until(ended))
            .await
            .expect("woken")
            .unwrap();
    }
}
