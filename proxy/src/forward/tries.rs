//! Several tries for one request: again after a failure (`retry`), beside one that takes long (`hedge`), each within
//! its own time (`timeouts.backendRequest`). Routes that have none of these never come here.
//!
//! All tries read one head, and each has a body of its own, so that a try can be dropped at any moment: over HTTP/1.1
//! that closes its connection, over HTTP/2 it resets its stream. All tries are polled inside the request's own future;
//! when the client goes, all go. An answer is only looked at up to its head here: once it is handed on there is no
//! other try.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::{Duration, SystemTime},
};

use http::Response;
use outrigger_config::model::{Route, UpstreamId, WeightedBackend};
use outrigger_decision::tries;
use outrigger_filters::{
    context::Context,
    error::Error,
    hedge::Hedging,
    recycle::line::Turn,
    retry::{self, BodyTurn, Failure, Kept, Policy, RetryReason},
    service::Body,
};
use tokio::time::Instant;

use super::{Attempt, Call, Failed};
use crate::upstream::{
    endpoint::Endpoint,
    in_flight::InFlight,
    local::{Picked, Tried},
    pool::Pool,
};

/// Kept of a body that only `hedge` wants to send twice.
const HEDGED_BODY: usize = 64 * 1024;

/// Without a request timeout, an endpoint that asks for a longer pause than this is not waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a route says about several tries, with what its worker has measured.
pub(super) struct Plan {
    policy: Option<Policy>,
    /// By upstream.
    hedging: Vec<(UpstreamId, Hedging)>,
    /// One try.
    per_try: Option<Duration>,
    /// All of them.
    request: Option<Duration>,
    /// Whether requests carry the number of the attempt.
    counts: bool,
}

impl Plan {
    pub(super) fn new(route: &Route, backends: &[WeightedBackend]) -> Self {
        let hedging = |hedge| {
            backends
                .iter()
                .map(|one| (one.upstream, Hedging::new(hedge)))
                .collect()
        };
        Self {
            policy: route.retry.as_ref().map(Policy::new),
            hedging: route.hedge.as_ref().map_or_else(Vec::new, hedging),
            per_try: route.timeouts.backend_request,
            request: route.timeouts.request,
            counts: tries::counts(route),
        }
    }

    fn hedging(&self, upstream: Option<UpstreamId>) -> Option<&Hedging> {
        self.hedging
            .iter()
            .find(|(id, _)| Some(*id) == upstream)
            .map(|(_, hedging)| hedging)
    }
}

/// Sends a request until there is an answer to hand on, or nothing more to try.
pub(super) fn send(
    call: Call,
    body: Body,
    plan: Rc<Plan>,
) -> impl Future<Output = Result<Response<Body>, Error>> {
    let mut tries = Tries::begin(call, body, plan);
    async move {
        loop {
            let mut one = tries.next()?;
            // In a block of its own, so that the future has no room for an answer beside a pause.
            let pause = {
                let started = Instant::now();
                let answered = match tries.hedging() {
                    None => one.run(&tries.call, tries.plan.per_try, started).await,
                    Some(hedging) => match tries.hedge(&mut one, started, hedging).await {
                        Hedged::First(answered) => answered,
                        Hedged::Second(answered, second) => {
                            one = *second;
                            answered
                        }
                    },
                };
                match tries.again(&answered) {
                    Some(pause) => {
                        tries.take_back(one, answered.is_ok());
                        pause
                    }
                    None => {
                        tries.finish(one.turn, answered.is_ok());
                        return answered.map_err(|failed| failed.error);
                    }
                }
            };
            tries.wait(pause).await;
        }
    }
}

/// The head of an answer, or why there is none.
type Answered = Result<Response<Body>, Failed>;

/// How one attempt, or two beside each other, ended, and which one decided that.
enum Hedged {
    First(Answered),
    /// In a box, because it is rare and would make every future larger.
    Second(Answered, Box<Try>),
}

/// Which of two attempts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    First,
    Second,
}

/// The tries of one request.
struct Tries {
    call: Call,
    /// Where none is kept, and until a try takes it.
    body: Body,
    plan: Rc<Plan>,
    tried: Tried,
    retries: u32,
    may_reuse: bool,
    /// Whether `retry` takes such a request after a byte of it was written.
    taken: bool,
    /// Whether there may be a second try beside the first.
    hedged: bool,
    /// Only where another try may need the body.
    kept: Option<Kept>,
}

/// One try, with what it needs beside the head.
struct Try {
    pool: Rc<Pool>,
    /// Until an answer's body has it.
    in_flight: Option<InFlight>,
    body: Body,
    /// Which turn of a kept body it has.
    turn: Option<BodyTurn>,
    /// The number of the attempt, for endpoints that get it (`x-outrigger-attempt-count`).
    number: Option<u32>,
    may_reuse: bool,
}

impl Tries {
    fn begin(mut call: Call, mut body: Body, plan: Rc<Plan>) -> Self {
        let prepared = &mut call.prepared;
        let hedges = plan.hedging(call.context.upstream.get()).is_some();
        let may = prepared.tries(plan.policy.as_ref(), hedges);
        prepared.keeps = may.keeps;
        let kept = prepared.keeps.then(|| {
            let limit = plan
                .policy
                .as_ref()
                .map_or(HEDGED_BODY, Policy::buffer_bytes);
            Kept::new(std::mem::take(&mut body), limit)
        });
        Self {
            call,
            body,
            plan,
            tried: Tried::default(),
            retries: 0,
            may_reuse: true,
            taken: may.taken,
            hedged: may.hedged,
            kept,
        }
    }

    /// The next try.
    ///
    /// # Errors
    /// There is no endpoint.
    fn next(&mut self) -> Result<Try, Error> {
        let picked = self.call.upstream.pick(&self.tried, &self.call.context)?;
        let (body, turn) = match &self.kept {
            Some(kept) => kept.next_try(),
            None => (std::mem::take(&mut self.body), None),
        };
        Ok(self.a_try(picked, body, turn))
    }

    fn a_try(&self, picked: Picked, body: Body, turn: Option<BodyTurn>) -> Try {
        let number = self
            .plan
            .counts
            .then(|| self.call.context.attempts.get() + 1);
        let Picked { pool, in_flight } = picked;
        let one = Try {
            pool,
            in_flight: Some(in_flight),
            body,
            turn,
            number,
            may_reuse: self.may_reuse,
        };
        one.attempt(&self.call).announce();
        one
    }

    /// When a second try beside the next one may begin, if it may.
    fn hedging(&self) -> Option<&Hedging> {
        let hedging = self.plan.hedging(self.call.context.upstream.get());
        hedging.filter(|_| self.hedged && self.retries == 0)
    }

    /// One attempt, and a second one at another endpoint when the first takes long.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn has room for its arguments twice"
    )]
    fn hedge(
        &self,
        one: &mut Try,
        started: Instant,
        hedging: &Hedging,
    ) -> impl Future<Output = Hedged> {
        async move {
            hedging.earn();
            let (asked, context) = (Rc::clone(&one.pool), &self.call.context);
            let mut first = pin!(one.run(&self.call, self.plan.per_try, started));
            let mut delay = Delay {
                hedging,
                context,
                started,
                turn: None,
            };
            let alone = |cx: &mut TaskContext<'_>| match first.as_mut().poll(cx) {
                Poll::Ready(answered) => Poll::Ready(Some(answered)),
                Poll::Pending => delay.poll(cx).map(|()| None),
            };
            if let Some(answered) = poll_fn(alone).await {
                if answered.is_ok() {
                    hedging.measured(since_sent(context, started));
                }
                return Hedged::First(answered);
            }
            // Rare, so it is in a box: other requests have no room for it.
            let hedged = Box::pin(self.beside(first, asked.endpoint(), hedging)).await;
            // The attempt that lost took at least this long.
            hedging.measured(since_sent(context, started));
            hedged
        }
    }

    /// The first try goes on, and another one beside it where there may be one.
    async fn beside(
        &self,
        mut first: Pin<&mut impl Future<Output = Answered>>,
        asked: &Endpoint,
        hedging: &Hedging,
    ) -> Hedged {
        let Some(mut second) = self.second(asked, hedging) else {
            return Hedged::First(first.await);
        };
        let (answered, winner) = {
            let running = second.run(&self.call, self.plan.per_try, Instant::now());
            self.race(first.as_mut(), pin!(running)).await
        };
        self.call
            .upstream
            .shared
            .counters
            .hedged(winner == Which::Second);
        let ended = match winner {
            Which::First => asked,
            Which::Second => second.pool.endpoint(),
        };
        *self.call.context.endpoint.borrow_mut() = Some(Arc::clone(&ended.address.label));
        match winner {
            Which::First => Hedged::First(answered),
            Which::Second => Hedged::Second(answered, Box::new(second)),
        }
    }

    /// The second try, if there may be one: at another endpoint, with the whole request at hand, within the share of
    /// the route and the budget of the upstream.
    fn second(&self, asked: &Endpoint, hedging: &Hedging) -> Option<Try> {
        let kept = self.kept.as_ref().filter(|kept| kept.is_complete())?;
        let mut tried = Tried::default();
        tried.add(asked);
        let picked = self.call.upstream.pick(&tried, &self.call.context).ok()?;
        if tried.has(picked.pool.endpoint()) || !hedging.spend() || !self.call.upstream.may_hedge()
        {
            return None;
        }
        let (body, turn) = kept.beside();
        Some(self.a_try(picked, body, turn))
    }

    /// The first of two attempts with a response, or else the one that failed last.
    async fn race(
        &self,
        mut first: Pin<&mut impl Future<Output = Answered>>,
        mut second: Pin<&mut impl Future<Output = Answered>>,
    ) -> (Answered, Which) {
        let (mut first_failed, mut second_failed) = (false, false);
        poll_fn(|cx| {
            if !first_failed && let Poll::Ready(answered) = first.as_mut().poll(cx) {
                if second_failed || self.is_answer(&answered) {
                    return Poll::Ready((answered, Which::First));
                }
                first_failed = true;
            }
            if !second_failed && let Poll::Ready(answered) = second.as_mut().poll(cx) {
                if first_failed || self.is_answer(&answered) {
                    return Poll::Ready((answered, Which::Second));
                }
                second_failed = true;
            }
            Poll::Pending
        })
        .await
    }

    fn is_answer(&self, answered: &Answered) -> bool {
        answered.is_ok() && self.reason(answered).is_none()
    }

    /// Why another try may end better.
    fn reason(&self, answered: &Answered) -> Option<RetryReason> {
        match (answered, &self.plan.policy) {
            (Ok(answer), Some(policy)) => {
                policy.after_answer(answer.status(), answer.headers(), self.taken)
            }
            (Ok(_), None) => None,
            (Err(failed), Some(policy)) => policy.after_failure(failed.failure, self.taken),
            (Err(failed), None) => retry::unasked(failed.failure),
        }
    }

    /// How long to wait before another try, when there is to be one; it is counted then.
    fn again(&self, answered: &Answered) -> Option<Duration> {
        let reason = self.reason(answered)?;
        let attempts = self.plan.policy.as_ref().map_or(1, Policy::attempts);
        let at_hand = match &self.kept {
            Some(kept) => kept.is_whole(),
            // Nothing of a body was read by a try that wrote nothing.
            None => !self.call.prepared.gone.get(),
        };
        if self.retries >= attempts || !at_hand {
            return None;
        }
        let pause = self.pause(reason, answered);
        let in_time = match (self.call.context.request_complete(), self.plan.request) {
            (Some(complete), Some(limit)) => Instant::now() + pause < complete + limit,
            (_, None) => pause <= PATIENCE,
            (None, Some(limit)) => pause < limit,
        };
        (in_time && self.call.upstream.may_retry(reason)).then_some(pause)
    }

    fn pause(&self, reason: RetryReason, answered: &Answered) -> Duration {
        let Some(policy) = &self.plan.policy else {
            return Duration::ZERO;
        };
        if matches!(reason, RetryReason::Unsent | RetryReason::Stale) {
            return Duration::ZERO; // an old connection says nothing about the endpoint
        }
        let pause = retry::pause(policy.backoff(), self.retries, fastrand::f64());
        let asked = answered.as_ref().ok();
        let asked =
            asked.and_then(|answer| retry::retry_after(answer.headers(), SystemTime::now()));
        asked.map_or(pause, |asked| pause.max(asked))
    }

    /// What a try that failed, or whose answer is not taken, leaves for the next one. The body of that answer is not
    /// read: its connection closes, unless all of it came with the head.
    fn take_back(&mut self, one: Try, answered: bool) {
        self.tried.add(one.pool.endpoint());
        self.retries += 1;
        self.may_reuse = answered;
        self.body = one.body;
    }

    async fn wait(&self, pause: Duration) {
        if !pause.is_zero() {
            let until = Instant::now() + pause;
            poll_fn(|cx| self.call.context.poll_deadline(until, cx)).await;
        }
    }

    /// The attempt with this turn was the last one.
    fn finish(self, turn: Option<BodyTurn>, answered: bool) {
        if let Some(kept) = &self.kept {
            // A connection that still sends for an attempt that failed stops.
            kept.settle(turn.filter(|_| answered));
        }
        // They hold on to the client's head, and with it to the buffer that the next request is to be read into.
        self.call.context.own.take();
        self.call.prepared.let_go();
    }
}

/// The time in which the first attempt runs alone.
struct Delay<'a> {
    hedging: &'a Hedging,
    context: &'a Context,
    started: Instant,
    /// Once the time is known.
    turn: Option<Turn<'a>>,
}

impl Delay<'_> {
    /// Ready when a second attempt may begin.
    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        if let Some(turn) = &self.turn {
            return turn.poll(cx);
        }
        if let Some((delay, complete)) = self.hedging.delay().zip(self.context.poll_complete(cx)) {
            let at = complete.max(self.started) + delay;
            self.turn = Some(self.hedging.line.join(at, cx));
        }
        Poll::Pending
    }
}

/// How long a try that began at `started` has been waited for: from its last byte, or its begin when that is later.
fn since_sent(context: &Context, started: Instant) -> Duration {
    context
        .request_complete()
        .map_or(Duration::ZERO, |complete| {
            Instant::now().saturating_duration_since(complete.max(started))
        })
}

impl Try {
    fn attempt<'a>(&'a self, call: &'a Call) -> Attempt<'a> {
        Attempt {
            pool: &self.pool,
            call,
            may_reuse: self.may_reuse,
            number: self.number,
        }
    }

    /// Runs it, from `started` on, to the head of an answer, or until its time is over.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn has room for its arguments twice"
    )]
    fn run(
        &mut self,
        call: &Call,
        limit: Option<Duration>,
        started: Instant,
    ) -> impl Future<Output = Answered> {
        async move {
            let context = &call.context;
            let answered = {
                let attempt = Attempt {
                    pool: &self.pool,
                    call,
                    may_reuse: self.may_reuse,
                    number: self.number,
                };
                let mut running = pin!(attempt.run(&mut self.body, &mut self.in_flight));
                poll_fn(|cx| {
                    if let Poll::Ready(answered) = running.as_mut().poll(cx) {
                        return Poll::Ready(answered);
                    }
                    let Some((limit, complete)) = limit.zip(context.poll_complete(cx)) else {
                        return Poll::Pending;
                    };
                    context
                        .poll_deadline(complete.max(started) + limit, cx)
                        .map(|()| {
                            context.timed_out.set(true); // tells what happened to the try that ends here
                            Err(Failed {
                                error: Error::BackendTimeout,
                                failure: Failure::TimedOut,
                            })
                        })
                })
                .await
            };
            self.in_flight = None;
            context.timed_out.set(false);
            answered
        }
    }
}
