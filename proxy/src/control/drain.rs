//! Drain and end (kubernetes.md L5 to L8).
//!
//! A drain makes the pod not ready at once and goes on serving; after `shutdownDelay` inbound connections end with
//! their next answer. The process stays: at pod termination SIGTERM comes only after the app has ended, and until
//! then the app may need its outbound listeners. SIGTERM without a drain does both.

use std::{pin::Pin, time::Duration};

use tokio::{
    sync::oneshot,
    time::{Instant, Sleep, sleep, sleep_until, timeout_at},
};

use super::{Control, Ended, shared::Phase, signal::Signal};
use crate::worker::Command;

/// How often an ending drain looks whether connections are left.
const LOOK: Duration = Duration::from_millis(50);

/// What comes next in a drain.
#[derive(Default)]
pub(super) struct Drain {
    timer: Option<Pin<Box<Sleep>>>,
    /// When inbound connections were asked to end.
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
    /// Begins to drain; once more changes nothing.
    pub(super) fn begin_drain(&mut self) {
        if self.shared.phase() >= Phase::Draining {
            return;
        }
        let delay = self.config().lifecycle.shutdown_delay;
        tracing::info!(?delay, "draining: not ready any more, still serving");
        self.shared.set_phase(Phase::Draining);
        self.drain.step_at(Instant::now() + delay);
    }

    /// First asks inbound connections to end, then waits until none is left.
    pub(super) async fn drain_step(&mut self) {
        let since = match self.drain.ending_since {
            Some(since) => since,
            None => {
                tracing::info!("draining: inbound connections end with their next answer");
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

    /// Ends the process: what is in flight gets `drainTimeout`. A second signal ends it at once.
    pub(super) async fn end(mut self, signal: Signal) -> Ended {
        let wait = signal == Signal::Terminate && self.shared.phase() < Phase::Draining;
        self.begin_drain();
        if wait {
            let delay = self.config().lifecycle.shutdown_delay;
            if self.waits_out(sleep(delay)).await.is_none() {
                return Ended::Forced;
            }
        }
        self.shared.set_phase(Phase::Ending);
        let deadline = Instant::now() + self.config().lifecycle.drain_timeout;
        let mut finished = Vec::new();
        for worker in &self.workers {
            let (done, wait) = oneshot::channel();
            worker.send(Command::Finish(done)).await;
            finished.push(wait);
        }
        let all = async {
            for wait in finished {
                if timeout_at(deadline, wait).await.is_err() {
                    tracing::warn!("drainTimeout passed with requests in flight; they are cut");
                }
            }
        };
        if self.waits_out(all).await.is_none() {
            return Ended::Forced;
        }
        self.log.flush(self.config().lifecycle.log_flush_timeout);
        tracing::info!("ended");
        Ended::Gracefully
    }

    /// Waits for `work`; `None` when another signal came first.
    async fn waits_out(&mut self, work: impl Future<Output = ()>) -> Option<()> {
        tokio::select! {
            () = work => Some(()),
            _ = self.signals.next_ending() => None,
        }
    }
}
