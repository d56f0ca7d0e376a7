//! First tries that wait for the moment at which a second one may begin, behind one timer.
//!
//! Nineteen of twenty first tries end before that moment, so a timer for each would be set and taken away for nothing.
//! Those of one route and upstream wait equally long, so they stand in a line: only the first of it is timed, and an
//! attempt that has ended leaves. When the wait becomes shorter, new entries stay behind older ones, so they are woken
//! late by at most the difference.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use tokio::time::{Instant, sleep_until};

/// A line on one worker.
#[derive(Debug, Default)]
pub struct Line(Rc<Standing>);

#[derive(Debug, Default)]
struct Standing {
    /// In order; who has ended has no waker.
    waiting: RefCell<VecDeque<(Instant, Option<Waker>)>>,
    /// How many have left at the front.
    left: Cell<u64>,
    /// A task watches the clock.
    watched: Cell<bool>,
}

/// A place in a line, until it is dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    line: &'a Standing,
    number: u64,
}

impl Line {
    /// Stands at the end, until `at`; the task that asks is woken then.
    ///
    /// # Panics
    /// Outside of a `LocalSet`, where no task can watch the clock.
    pub fn join(&self, at: Instant, cx: &Context<'_>) -> Turn<'_> {
        let line = &*self.0;
        let mut waiting = line.waiting.borrow_mut();
        let number = line.left.get() + waiting.len() as u64;
        waiting.push_back((at, Some(cx.waker().clone())));
        drop(waiting);
        if !line.watched.replace(true) {
            tokio::task::spawn_local(watch(Rc::clone(&self.0)));
        }
        Turn { line, number }
    }
}

impl Turn<'_> {
    /// Ready when it has come.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let Some(index) = self.number.checked_sub(self.line.left.get()) else {
            return Poll::Ready(());
        };
        let mut waiting = self.line.waiting.borrow_mut();
        if let Some((_, Some(waker))) = waiting.get_mut(index as usize) {
            waker.clone_from(cx.waker());
        }
        Poll::Pending
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Some(index) = self.number.checked_sub(self.line.left.get()) else {
            return;
        };
        // What a waker drops or wakes may come back here, so nothing is borrowed meanwhile.
        let gone = self
            .line
            .waiting
            .borrow_mut()
            .get_mut(index as usize)
            .and_then(|(_, waker)| waker.take());
        drop(gone);
        while self.line.leave(|(_, waker)| waker.is_none()).is_some() {}
    }
}

impl Standing {
    /// The first one leaves, if `goes` says so.
    fn leave(&self, goes: impl Fn(&(Instant, Option<Waker>)) -> bool) -> Option<Option<Waker>> {
        let mut waiting = self.waiting.borrow_mut();
        waiting.front().filter(|first| goes(first))?;
        self.left.set(self.left.get() + 1);
        waiting.pop_front().map(|(_, waker)| waker)
    }

    /// When the first one's turn comes.
    fn next(&self) -> Option<Instant> {
        self.waiting.borrow().front().map(|(at, _)| *at)
    }

    /// Wakes every entry that is due at `now`.
    fn call(&self, now: Instant) {
        while let Some(called) = self.leave(|(at, waker)| waker.is_none() || *at <= now) {
            called.into_iter().for_each(Waker::wake);
        }
    }
}

/// Runs until no entry waits: the next one starts it again.
async fn watch(line: Rc<Standing>) {
    while let Some(next) = line.next() {
        sleep_until(next).await;
        line.call(Instant::now());
    }
    line.watched.set(false);
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use tokio::{
        task::{LocalSet, spawn_local},
        time::{sleep, timeout},
    };

    use super::*;

    /// How long an entry waited that was due after `millis`.
    async fn waits(line: Rc<Line>, millis: u64) -> u128 {
        let begun = Instant::now();
        let mut turn = None;
        poll_fn(|cx| {
            turn.get_or_insert_with(|| line.join(begun + Duration::from_millis(millis), cx))
                .poll(cx)
        })
        .await;
        begun.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_called_in_its_time_and_no_task_watches_an_empty_line() {
        let line = Rc::new(Line::default());
        LocalSet::new()
            .run_until(async {
                for _ in 0..3 {
                    let first = spawn_local(waits(Rc::clone(&line), 10));
                    sleep(Duration::from_millis(4)).await;
                    let second = spawn_local(waits(Rc::clone(&line), 10));
                    let times = (first.await.unwrap(), second.await.unwrap());
                    assert!(
                        (10..=11).contains(&times.0) && (10..=11).contains(&times.1),
                        "{times:?}"
                    );
                    sleep(Duration::from_millis(5)).await;
                    assert!(!line.0.watched.get() && line.0.waiting.borrow().is_empty());
                }
            })
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_ended_leaves_and_does_not_keep_the_others() {
        let line = Rc::new(Line::default());
        LocalSet::new()
            .run_until(async {
                let last = spawn_local(waits(Rc::clone(&line), 30));
                let gone: Vec<_> = (0..5)
                    .map(|_| spawn_local(waits(Rc::clone(&line), 30)))
                    .collect();
                let behind = spawn_local(waits(Rc::clone(&line), 40));
                tokio::task::yield_now().await;
                assert_eq!(line.0.waiting.borrow().len(), 7);
                gone.iter().for_each(|one| one.abort());
                for one in gone {
                    assert!(one.await.unwrap_err().is_cancelled());
                }
                assert!((30..=31).contains(&last.await.unwrap()));
                assert_eq!(line.0.waiting.borrow().len(), 1);
                assert!((40..=41).contains(&behind.await.unwrap()));
            })
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_wait_is_told_behind_those_who_came_before() {
        let line = Rc::new(Line::default());
        LocalSet::new()
            .run_until(async {
                let long = spawn_local(waits(Rc::clone(&line), 20));
                tokio::task::yield_now().await;
                let short = spawn_local(waits(Rc::clone(&line), 5));
                let both = async { (long.await.unwrap(), short.await.unwrap()) };
                let (long, short) = timeout(Duration::from_secs(1), both)
                    .await
                    .expect("both are called");
                assert!(
                    (20..=21).contains(&long) && (20..=21).contains(&short),
                    "{long} and {short}"
                );
            })
            .await;
    }
}
