//! The loop of a task: wait for the next slot, send the request, record the result. The same for
//! both protocols.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::failure::{Failure, FailureKind};
use super::lane::{Broken, Client, Lane};
use super::schedule::Slot;
use super::tally::Answer;

/// Pause of a connection in a closed loop after a failed connect: a refusal takes only
/// microseconds.
const CONNECT_PAUSE: Duration = Duration::from_millis(10);

impl Lane {
    /// Executes slots until there are no more.
    pub(super) async fn work(&self, mut client: impl Client) {
        let schedule = &self.run.schedule;
        let mut turns = schedule.turns(self.halt.clone());
        let mut limit = TimeLimit::new();
        while let Some(slot) = turns.next().await {
            if schedule.is_paced() {
                self.tally.borrow_mut().send_lag(slot, Instant::now());
            }
            let outcome = self.request(&mut client, &mut limit, slot).await;
            let refused = matches!(&outcome, Err(failure) if failure.kind == FailureKind::Connect);
            self.enter(slot, Instant::now(), outcome);
            if refused && !schedule.is_paced() {
                sleep(CONNECT_PAUSE).await;
            }
        }
    }

    async fn request(
        &self,
        client: &mut impl Client,
        limit: &mut TimeLimit,
        slot: Slot,
    ) -> Result<Answer, Failure> {
        let timeout = self.run.plan.timeout;
        let deadline = slot.intended + timeout;
        if Instant::now() >= deadline {
            let detail = format!("no connection was free for {timeout:?}");
            return Err(Failure::new(FailureKind::Timeout, detail));
        }
        let answer = limit
            .until(deadline, self.attempts(client, slot.number))
            .await;
        let late = || {
            Failure::new(
                FailureKind::Timeout,
                format!("no complete response within {timeout:?}"),
            )
        };
        answer.unwrap_or_else(|| Err(late()))
    }

    /// Sends the request, with one retry if it is allowed.
    async fn attempts(&self, client: &mut impl Client, number: u64) -> Result<Answer, Failure> {
        let mut retried = false;
        loop {
            let (failure, may_retry) = match client.attempt(self, number).await {
                Ok(answer) => return Ok(answer),
                Err(Broken::Failed(failure)) => return Err(failure),
                Err(Broken::Unsent) => continue,
                Err(Broken::Stale(failure)) => (failure, self.run.plan.may_retry()),
                Err(Broken::Unprocessed(failure)) => (failure, self.run.plan.retry_stale),
            };
            self.tally.borrow_mut().stale();
            if retried || !may_retry {
                return Err(Failure {
                    kind: FailureKind::Stale,
                    ..failure
                });
            }
            retried = true;
        }
    }

    /// Sends one request and keeps its connection open until `time` has passed since the last one
    /// was opened.
    pub(super) async fn hold(&self, mut client: impl Client, number: u64, time: Duration) {
        let holding = &self.run.holding;
        let (slot, finished, outcome) = {
            // Never closed.
            let _turn = self.turnstile.acquire().await;
            let slot = Slot {
                intended: Instant::now(),
                measured: true,
                number,
            };
            let outcome = self.request(&mut client, &mut TimeLimit::new(), slot).await;
            (slot, Instant::now(), outcome)
        };
        let verified = outcome.as_ref().is_ok_and(|answer| answer.verdict.is_ok());
        holding.tried(verified);
        if !verified {
            self.enter(slot, finished, outcome);
            return;
        }
        let mut halt = self.halt.clone();
        tokio::select! {
            () = async { holding.all_tried().await; sleep(time).await } => {}
            // An error means that the report is not needed any more.
            _ = halt.wait_for(|halted| *halted) => {}
        }
        let outcome = if client.is_open(self).await {
            outcome
        } else {
            holding.lost();
            Err(Failure::new(
                FailureKind::Closed,
                "the peer closed a held connection",
            ))
        };
        self.enter(slot, finished, outcome);
    }

    fn enter(&self, slot: Slot, finished: Instant, outcome: Result<Answer, Failure>) {
        let failed = self
            .tally
            .borrow_mut()
            .record(&self.run.schedule, slot, finished, outcome);
        self.run.ended.fetch_add(1, Ordering::Relaxed);
        if failed {
            self.run.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One timer for all requests of a task: moving a deadline costs far less than a new timer.
struct TimeLimit(Pin<Box<Sleep>>);

impl TimeLimit {
    fn new() -> Self {
        Self(Box::pin(sleep_until(Instant::now())))
    }

    /// `None` when the deadline expired.
    async fn until<F: Future>(&mut self, deadline: Instant, future: F) -> Option<F::Output> {
        self.0.as_mut().reset(deadline);
        tokio::select! {
            biased;
            output = future => Some(output),
            () = &mut self.0 => None,
        }
    }
}
