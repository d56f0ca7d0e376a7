//! The loop of a task: wait for the next slot, send the request, record the result. The same for
//! both protocols.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::connect::Traffic;
use super::failure::{Failure, FailureKind};
use super::hold::{Holding, turnstile};
use super::http1::{Memo, READ_BUFFER};
use super::plan::{Endpoint, Plan, Template};
use super::schedule::{Schedule, Slot};
use super::tally::{Answer, Tally};
use super::tls::Tls;
use super::verify::Verifier;

/// Pause of a connection in a closed loop after a failed connect: a refusal takes only
/// microseconds.
const CONNECT_PAUSE: Duration = Duration::from_millis(10);

/// State that all threads of a run share.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) plan: Plan,
    pub(super) endpoint: Endpoint,
    pub(super) tls: Option<Tls>,
    pub(super) template: Template,
    pub(super) verifier: Verifier,
    pub(super) schedule: Schedule,
    pub(super) holding: Holding,
    pub(super) ended: AtomicU64,
    pub(super) failed: AtomicU64,
}

/// State that all tasks of one thread share.
pub(super) struct Lane {
    pub(super) run: Arc<Run>,
    pub(super) halt: watch::Receiver<bool>,
    pub(super) traffic: Rc<Traffic>,
    pub(super) tally: RefCell<Tally>,
    /// The read buffer of HTTP/1.1 connections, used in turn.
    pub(super) read_buffer: RefCell<Box<[u8]>>,
    pub(super) heads: RefCell<Memo>,
    /// Limits concurrent opens of held connections.
    pub(super) turnstile: Semaphore,
}

/// A place from which requests are sent, one at a time: an HTTP/1.1 connection or an HTTP/2 stream.
/// It opens its connection when it needs one. Dropping an attempt must leave it ready for the next.
pub(super) trait Client {
    async fn attempt(&mut self, lane: &Lane, number: u64) -> Result<Answer, Broken>;

    /// Whether a connection is open and idle.
    async fn is_open(&mut self, lane: &Lane) -> bool;
}

/// Why an attempt had no response.
#[derive(Debug)]
pub(super) enum Broken {
    /// The reused connection was already closed and nothing was sent: try again.
    Unsent,
    /// The reused connection was closed before the first byte of a response: safe requests may be
    /// retried.
    Stale(Failure),
    /// The peer returned the request unprocessed: any request may be retried.
    Unprocessed(Failure),
    /// Other failures.
    Failed(Failure),
}

impl Lane {
    pub(super) fn new(run: Arc<Run>, halt: watch::Receiver<bool>) -> Self {
        Self {
            run,
            halt,
            traffic: Rc::default(),
            tally: RefCell::new(Tally::new()),
            read_buffer: RefCell::new(vec![0; READ_BUFFER].into_boxed_slice()),
            heads: RefCell::default(),
            turnstile: turnstile(),
        }
    }

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

    pub(super) async fn request(
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

    pub(super) fn enter(&self, slot: Slot, finished: Instant, outcome: Result<Answer, Failure>) {
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
pub(super) struct TimeLimit(Pin<Box<Sleep>>);

impl TimeLimit {
    pub(super) fn new() -> Self {
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
