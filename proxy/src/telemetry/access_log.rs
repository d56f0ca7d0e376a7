//! Carries access-log lines from the workers to stdout without ever holding a request up.
//!
//! Each worker collects lines in a buffer of its own and hands it over when it is large or a little later; one
//! thread writes. The queue between them is bounded: when stdout does not take lines any more, they are dropped and
//! counted, and traffic goes on (`docs/security.md` 20).

use std::{
    cell::{Cell, RefCell},
    io::Write,
    rc::Rc,
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use tokio::time::Instant;

use super::metrics::Metrics;

/// A buffer is handed over when it holds so much.
const CHUNK: usize = 32 * 1024;

/// A line waits at most so long for others.
const LINGER: Duration = Duration::from_millis(50);

/// Chunks between workers and the writer: 2 MiB.
const QUEUE: usize = 64;

/// How often a flush looks whether the queue has room again.
const FLUSH_LOOK: Duration = Duration::from_millis(5);

enum Message {
    Lines(Vec<u8>),
    Flush(SyncSender<()>),
}

/// The writer's end that workers share.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: SyncSender<Message>,
    metrics: Arc<Metrics>,
}

impl Writer {
    /// Starts the writing thread on `output`.
    ///
    /// # Errors
    /// No thread could be started.
    pub(crate) fn start(output: impl Write + Send + 'static, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (queue, messages) = sync_channel(QUEUE);
        thread::Builder::new().name("access-log".into()).spawn({
            let metrics = Arc::clone(&metrics);
            move || write_all(&messages, output, &metrics)
        })?;
        Ok(Self { queue, metrics })
    }

    /// Waits until everything handed over so far was written, at most for `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let (done, written) = sync_channel(1);
        let mut message = Message::Flush(done);
        while let Err(TrySendError::Full(back)) = self.queue.try_send(message) {
            if Instant::now() >= deadline {
                return;
            }
            thread::sleep(FLUSH_LOOK);
            message = back;
        }
        let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }

    fn hand_over(&self, lines: Vec<u8>) {
        if let Err(
            TrySendError::Full(Message::Lines(lines)) | TrySendError::Disconnected(Message::Lines(lines)),
        ) = self.queue.try_send(Message::Lines(lines))
        {
            lost(&lines, &self.metrics);
        }
    }
}

fn lost(lines: &[u8], metrics: &Metrics) {
    let count = lines.iter().filter(|&&byte| byte == b'\n').count() as u64;
    metrics.access_log_dropped.fetch_add(count, Relaxed);
}

fn write_all(messages: &Receiver<Message>, mut output: impl Write, metrics: &Metrics) {
    while let Ok(message) = messages.recv() {
        match message {
            Message::Lines(lines) => {
                // A closed stdout loses lines, never the process.
                if output.write_all(&lines).and_then(|()| output.flush()).is_err() {
                    lost(&lines, metrics);
                }
            }
            Message::Flush(done) => drop(done.try_send(())),
        }
    }
}

/// One worker's lines.
pub(crate) struct LocalLog {
    writer: Writer,
    lines: RefCell<Vec<u8>>,
    lingering: Cell<bool>,
}

impl LocalLog {
    /// An empty buffer in front of `writer`.
    pub(crate) fn new(writer: Writer) -> Self {
        Self { writer, lines: RefCell::default(), lingering: Cell::new(false) }
    }

    /// Appends what `write` writes: one line with its end.
    pub(crate) fn line(self: &Rc<Self>, write: impl FnOnce(&mut Vec<u8>)) {
        let mut lines = self.lines.borrow_mut();
        write(&mut lines);
        if lines.len() >= CHUNK {
            drop(lines);
            self.hand_over();
        } else if !self.lingering.replace(true) {
            let this = Rc::clone(self);
            tokio::task::spawn_local(async move {
                tokio::time::sleep(LINGER).await;
                this.lingering.set(false);
                this.hand_over();
            });
        }
    }

    /// Hands over what was collected.
    pub(crate) fn hand_over(&self) {
        let lines = std::mem::take(&mut *self.lines.borrow_mut());
        if !lines.is_empty() {
            self.writer.hand_over(lines);
        }
    }
}
