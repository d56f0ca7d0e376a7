//! One timer for the deadlines of a task.
//!
//! A timer that is made, entered and taken out again for each request costs more than all the rest of a timeout. This
//! one stays where it is while deadlines only move away from it: when it rings too early, the task is polled, asks
//! again, and it is set anew. So it costs a busy connection nothing, and rings for nothing once in a timeout.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use tokio::{
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

use super::limit;

/// Whether a timer that fires before the deadline stays where it is.
const KEEPS_EARLIER: bool = limit("alarm", 1) > 0;

/// A timer that is moved only when a deadline comes closer. All who ask must be polled when it rings, so they
/// belong to one task; each tells its own deadline.
#[derive(Default)]
pub struct Alarm(Option<Set>);

struct Set {
    timer: Pin<Box<Sleep>>,
    /// The task that it wakes.
    waker: Waker,
}

impl Set {
    /// Whether it rings for this task at `deadline` or before.
    fn covers(&self, deadline: Instant, cx: &Context<'_>) -> bool {
        (if KEEPS_EARLIER {
            self.timer.deadline() <= deadline
        } else {
            self.timer.deadline() == deadline
        }) && self.waker.will_wake(cx.waker())
            && !self.timer.is_elapsed()
    }
}

impl Alarm {
    /// Ready when `deadline` has passed.
    pub fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(set) if set.covers(deadline, cx) => return Poll::Pending,
            Some(set) => {
                if !KEEPS_EARLIER || set.timer.is_elapsed() || deadline < set.timer.deadline() {
                    set.timer.as_mut().reset(deadline);
                }
                if !set.waker.will_wake(cx.waker()) {
                    set.waker.clone_from(cx.waker());
                }
            }
            none => {
                *none = Some(Set {
                    timer: Box::pin(sleep_until(deadline)),
                    waker: cx.waker().clone(),
                });
            }
        }
        let Some(set) = &mut self.0 else {
            return Poll::Pending;
        };
        loop {
            // Tokio makes a task that has used up its budget wait before the timer is even set.
            let timer = poll_fn(|cx| set.timer.as_mut().poll(cx));
            ready!(pin!(unconstrained(timer)).poll(cx));
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            set.timer.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        task::coop::{consume_budget, has_budget_remaining},
        time::{advance, timeout},
    };

    use super::*;

    async fn rings(alarm: &mut Alarm, deadline: Instant) -> bool {
        poll_fn(|cx| Poll::Ready(alarm.poll(deadline, cx).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_the_deadline_that_is_asked_for_and_not_before() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut alarm = Alarm::default();
        for (now, deadline, expected) in [
            (0, 10, false),
            (9, 10, false),
            (9, 20, false), // it still stands at 10
            (11, 20, false),
            (19, 20, false),
            (21, 20, true),
            (21, 30, false),
            (22, 25, false), // closer
            (24, 25, false),
            (26, 25, true),
            (26, 26, true),
            (26, 40, false),
        ] {
            advance(at(now) - Instant::now()).await;
            assert_eq!(
                rings(&mut alarm, at(deadline)).await,
                expected,
                "at {now} for {deadline}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_has_used_up_its_turn_is_woken_all_the_same() {
        let mut alarm = Alarm::default();
        let deadline = Instant::now() + Duration::from_secs(1);
        let waits = poll_fn(|cx| {
            while has_budget_remaining() {
                let _ = pin!(consume_budget()).poll(cx);
            }
            alarm.poll(deadline, cx)
        });
        timeout(Duration::from_secs(60), waits)
            .await
            .expect("woken");
        assert!(Instant::now() >= deadline);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_task_to_poll_is_woken_whatever_was_polled_before() {
        let mut alarm = Alarm::default();
        let start = Instant::now();
        assert!(!rings(&mut alarm, start + Duration::from_secs(1)).await);
        let other = tokio::spawn(async move {
            poll_fn(|cx| alarm.poll(start + Duration::from_secs(5), cx)).await;
            start.elapsed()
        });
        assert_eq!(other.await.unwrap().as_secs(), 5);
    }
}
