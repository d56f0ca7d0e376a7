//! HTTP/2 streams whose client takes nothing, while its connection is alive.
//!
//! Such a stream waits for its window to open and never looks at its body again, so no clock in the body can end it.
//! hyper spawns each stream through the executor: there the stream is given up, and h2 resets it.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use hyper::rt::Executor;
use tokio::{
    task_local,
    time::{Instant, Sleep, sleep_until},
};

task_local! {
    static CURRENT: Taking;
}

/// Since when it is the client's turn to take something; `None` while the app is waited for.
#[derive(Clone, Default)]
pub(crate) struct Taking(Rc<Turn>);

#[derive(Default)]
struct Turn {
    since: Cell<Option<Instant>>,
    over: Cell<bool>,
}

impl Taking {
    /// That of the stream whose task this is; there is none on HTTP/1.1.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// There is something to take from now on.
    pub(crate) fn begin(&self) {
        self.0.since.set(Some(Instant::now()));
    }

    /// There is nothing to take.
    pub(crate) fn end(&self) {
        self.0.since.set(None);
    }

    /// Whether the stream is given up.
    pub(crate) fn is_over(&self) -> bool {
        self.0.over.get()
    }
}

/// Spawns streams on the current worker, and gives up those that take nothing for `limit`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamExecutor {
    /// `timeouts.bodyIdle` of the listener.
    pub limit: Option<Duration>,
}

impl<F: Future + 'static> Executor<F> for StreamExecutor {
    fn execute(&self, stream: F) {
        match self.limit {
            Some(limit) => drop(tokio::task::spawn_local(until_stalled(stream, limit))),
            None => drop(tokio::task::spawn_local(async move { drop(stream.await) })),
        }
    }
}

async fn until_stalled(stream: impl Future, limit: Duration) {
    let taking = Taking::default();
    let mut stream = pin!(CURRENT.scope(taking.clone(), stream));
    // Made only when a stream waits for its client.
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(deadline) = taking.0.since.get().map(|since| since + limit) else { return Poll::Pending };
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx).map(|()| taking.0.over.set(true))
    })
    .await;
}
