//! Drain and shutdown (`docs/operations.md` L5 to L8).
//!
//! A drain makes the pod not ready at once and continues to serve; after `shutdownDelay`, inbound
//! connections close after their next response. The process stays: at pod termination SIGTERM comes
//! only after the app has ended, and until then the app may need its outbound listeners. SIGTERM
//! without a drain does both steps. SIGTERM shortly after the start of a drain waits for the rest
//! of `shutdownDelay`, since load balancers may not have noticed the drain yet.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, Sleep, sleep_until, timeout_at},
};

use super::{
    Control, Ended,
    shared::{Phase, Request},
    signal::Signal,
};
use crate::serve::Command;

/// How often a drain checks whether connections are left.
const LOOK: Duration = Duration::from_millis(50);

/// How long after `drainTimeout` a worker may still report that it is done.
const STUCK: Duration = Duration::from_secs(1);

/// What the access log has at least to reach stdout, when the log files took all the time.
const FLUSH_LEAST: Duration = Duration::from_millis(100);

/// The next step of a drain.
#[derive(Default)]
pub(super) struct Drain {
    timer: Option<Pin<Box<Sleep>>>,
    /// The end of `shutdownDelay`.
    delayed_until: Option<Instant>,
    /// When inbound connections were asked to close.
    ending_since: Option<Instant>,
}

impl Drain {
    /// Waits for the next step; for ever while there is none.
    pub(super) async fn next(&mut self) {
        match &mut self.timer {
            Some(timer) => timer.as_mut().await,
            None => std::future::pending().await,
        }
    }

    fn step_at(&mut self, at: Instant) {
        self.timer = Some(Box::pin(sleep_until(at)));
    }
}

impl Control {
    /// Starts a drain; a second call changes nothing.
    pub(super) fn begin_drain(&mut self) {
        if self.shared.phase() >= Phase::Draining {
            return;
        }
        let delay = self.config().lifecycle.shutdown_delay;
        tracing::info!(?delay, "draining: no longer ready, still serving");
        self.shared.set_phase(Phase::Draining);
        let end = Instant::now() + delay;
        self.drain.delayed_until = Some(end);
        self.drain.step_at(end);
    }

    /// First asks inbound connections to close, then waits until none is left.
    pub(super) async fn drain_step(&mut self) {
        let since = match self.drain.ending_since {
            Some(since) => since,
            None => {
                tracing::info!("draining: inbound connections close after their next response");
                for worker in &self.workers {
                    worker.send(Command::EndInbound).await;
                }
                *self.drain.ending_since.insert(Instant::now())
            }
        };
        let timeout = self.config().lifecycle.drain_timeout;
        if self.listeners.inbound_connections() == 0 || since.elapsed() >= timeout {
            tracing::info!(left = self.listeners.inbound_connections(), "drained");
            self.shared.set_phase(Phase::Drained);
            self.drain.timer = None;
        } else {
            self.drain.step_at(Instant::now() + LOOK);
        }
    }

    /// Ends the process: requests in flight get `drainTimeout`. A second signal ends it at once.
    pub(super) async fn end(mut self, signal: Signal) -> Ended {
        self.begin_drain();
        if let Some(end) = self
            .drain
            .delayed_until
            .filter(|_| signal == Signal::Terminate)
            && self.wait_or_signal(sleep_until(end)).await.is_none()
        {
            return Ended::Forced;
        }
        self.shared.set_phase(Phase::Ending);
        self.listeners.release_sockets();
        let deadline = Instant::now() + self.config().lifecycle.drain_timeout;
        let mut finished = Vec::new();
        for worker in &self.workers {
            let (done, wait) = oneshot::channel();
            worker.send(Command::Finish(deadline, done)).await;
            finished.push(wait);
        }
        let all = async {
            let mut cut = 0;
            for wait in finished {
                // A worker that does not report in time is stuck, and ends with the process.
                cut += timeout_at(deadline + STUCK, wait)
                    .await
                    .map_or(0, |answer| answer.unwrap_or(0));
            }
            if cut > 0 {
                tracing::warn!(
                    connections = cut,
                    "drainTimeout elapsed with requests in flight; they are cut"
                );
            }
        };
        if self.wait_or_signal(all).await.is_none() {
            return Ended::Forced;
        }
        let limit = self.config().lifecycle.log_flush_timeout;
        let flushed = Instant::now() + limit;
        let mut logs = self.logs.take();
        if self.wait_or_signal(logs.end(limit)).await.is_none() {
            return Ended::Forced;
        }
        let left = flushed.saturating_duration_since(Instant::now());
        self.log.flush(left.max(FLUSH_LEAST));
        tracing::info!("shut down");
        Ended::Gracefully
    }

    /// Waits for `work`; `None` when another signal came first. Admin requests get a response
    /// meanwhile.
    async fn wait_or_signal(&mut self, work: impl Future<Output = ()>) -> Option<()> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                () = &mut work => return Some(()),
                _ = self.signals.next_ending() => return None,
                Some(request) = self.requests.recv() => match request {
                    Request::Drain(done) => drop(done.send(())),
                    Request::Reload(done) => drop(done.send(Some("the proxy is shutting down".to_owned()))),
                },
            }
        }
    }
}
