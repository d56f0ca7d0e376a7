//! Takes chunks from the spool, has a sink send them, and acknowledges them: one task for each sink.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};

use super::{Attempt, Backoff, Batch, BatchSettings, Sink};
use crate::{counters::SinkCounters, spool::Spool};

/// What the tasks of the shipper tell each other; all are on one thread.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// There are more chunks.
    pub(crate) pushed: Notify,
    /// A sink has acknowledged something.
    pub(crate) acknowledged: Notify,
}

/// One sink's way from the spool to its server.
pub(crate) struct Delivery {
    pub(crate) name: String,
    pub(crate) sink: Sink,
    pub(crate) batch: BatchSettings,
    pub(crate) spool: Rc<RefCell<Spool>>,
    pub(crate) signals: Rc<Signals>,
    pub(crate) counters: Arc<SinkCounters>,
}

impl Delivery {
    /// Runs until it is dropped; what is in flight then is sent again.
    pub(crate) async fn run(mut self) {
        loop {
            let mut batch = self.collect().await;
            self.send(&mut batch).await;
            let now = Instant::now();
            let mut spool = self.spool.borrow_mut();
            for (number, chunk) in batch.chunks() {
                spool.acknowledge(&self.name, *number, chunk, now);
            }
            drop(spool);
            self.signals.acknowledged.notify_one();
        }
    }

    /// Waits for chunks until the batch is large or old enough.
    async fn collect(&self) -> Batch {
        let mut batch = Batch::default();
        let mut deadline = None;
        loop {
            // Before the look: what comes in between must not be missed.
            let pushed = self.signals.pushed.notified();
            while batch.bytes() < self.batch.bytes && batch.left() < self.batch.records {
                let Some((number, chunk)) = self.spool.borrow_mut().next(&self.name) else {
                    break;
                };
                batch.push(number, chunk);
                deadline = deadline.or_else(|| Some(Instant::now() + self.batch.age));
            }
            let full = batch.bytes() >= self.batch.bytes || batch.left() >= self.batch.records;
            // Chunks without records have nothing to wait for.
            if full || (!batch.is_empty() && batch.is_done()) {
                return batch;
            }
            match deadline {
                None => pushed.await,
                Some(at) => {
                    if timeout_at(at, pushed).await.is_err() {
                        return batch;
                    }
                }
            }
        }
    }

    /// Sends until nothing of the batch is left.
    async fn send(&mut self, batch: &mut Batch) {
        let mut backoff = Backoff::default();
        while !batch.is_done() {
            let attempt = self.sink.send(batch).await;
            let (records, bytes) = batch.take_sent();
            self.counters.sent.fetch_add(records, Relaxed);
            self.counters.sent_bytes.fetch_add(bytes, Relaxed);
            match attempt {
                Attempt::Progress => {
                    backoff.reset();
                    self.recovered();
                }
                Attempt::Retry { after, reason } => {
                    if records > 0 {
                        backoff.reset();
                    }
                    self.counters.retries.fetch_add(1, Relaxed);
                    self.failed(reason);
                    sleep(backoff.next(after)).await;
                }
            }
        }
    }

    /// Each problem is logged when it begins.
    fn failed(&self, reason: String) {
        if !self.counters.failing.swap(true, Relaxed) {
            tracing::warn!(sink = %self.name, %reason, "logs: the sink takes nothing; it is tried again, and reading goes on while the buffer has room");
        }
        let mut last = self
            .counters
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *last = Some(reason);
    }

    fn recovered(&self) {
        if self.counters.failing.swap(false, Relaxed) {
            tracing::info!(sink = %self.name, "logs: the sink takes records again");
            let mut last = self
                .counters
                .last_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *last = None;
        }
    }
}
