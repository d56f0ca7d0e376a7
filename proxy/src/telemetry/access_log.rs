//! Passes access-log lines from the workers to stdout without ever delaying a request.
//!
//! Each worker collects lines in its own buffer, and passes the buffer on when it is large or after
//! a short time. One thread writes, and waits while stdout is full. The queue between them is
//! bounded: when it is full too, lines are dropped and counted, and traffic continues
//! (`docs/security.md` 20). A line is written completely or not at all.

use std::{
    cell::{Cell, RefCell},
    io::{self, ErrorKind, Write},
    rc::Rc,
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::metrics::Metrics;

/// A buffer is passed on at this size.
const CHUNK: usize = 32 * 1024;

/// A line waits at most this long for others.
const LINGER: Duration = Duration::from_millis(50);

/// Buffers between workers and the writer: 2 MiB.
const QUEUE: usize = 64;

/// How often a flush checks whether the queue has room again.
const FLUSH_LOOK: Duration = Duration::from_millis(5);

enum Message {
    Lines(Vec<u8>),
    /// Lines of the log shipper, and who waits for them to be written.
    Shipped(Vec<u8>, oneshot::Sender<io::Result<()>>),
    Flush(SyncSender<()>),
}

/// The sending side of the writer's queue, shared by workers.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: SyncSender<Message>,
    metrics: Arc<Metrics>,
}

impl Writer {
    /// Starts the writer thread on `output`.
    ///
    /// # Errors
    /// The thread could not be started.
    pub(crate) fn start(
        output: impl Write + Send + 'static,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let (queue, messages) = sync_channel(QUEUE);
        thread::Builder::new().name("access-log".into()).spawn({
            let metrics = Arc::clone(&metrics);
            move || write_all(&messages, output, &metrics)
        })?;
        Ok(Self { queue, metrics })
    }

    /// Waits until all lines that were passed on so far are written, at most for `limit`.
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

    /// Has the thread write whole lines beside the access log, and says when they are written. A full queue is an error.
    pub(crate) fn ship(&self, lines: Vec<u8>, done: oneshot::Sender<io::Result<()>>) {
        if let Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) =
            self.queue.try_send(Message::Shipped(lines, done))
            && let Message::Shipped(_, done) = message
        {
            let _ = done.send(Err(ErrorKind::WouldBlock.into()));
        }
    }

    fn hand_over(&self, lines: Vec<u8>) {
        if let Err(
            TrySendError::Full(Message::Lines(lines))
            | TrySendError::Disconnected(Message::Lines(lines)),
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

fn write_all(messages: &Receiver<Message>, output: impl Write, metrics: &Metrics) {
    let mut sink = Sink {
        output,
        rest: Vec::new(),
        failure_logged: false,
    };
    while let Ok(message) = messages.recv() {
        match message {
            Message::Lines(lines) => sink.write(lines, metrics),
            Message::Shipped(lines, done) => drop(done.send(sink.ship(lines))),
            Message::Flush(done) => drop(done.try_send(())),
        }
    }
}

/// The output of the writer thread.
struct Sink<W> {
    output: W,
    /// The rest of a partly written line; it is written before anything else.
    rest: Vec<u8>,
    /// Whether a failure was logged: one line is enough, the metric counts the others.
    failure_logged: bool,
}

impl<W: Write> Sink<W> {
    /// Writes complete lines, and counts those that are lost because the output fails.
    fn write(&mut self, lines: Vec<u8>, metrics: &Metrics) {
        let within_line = !self.rest.is_empty();
        let lines = if within_line {
            [std::mem::take(&mut self.rest), lines].concat()
        } else {
            lines
        };
        let (written, end) = self.write_some(&lines);
        let Err(error) = end else { return };
        let mut left = &lines[written..];
        if written
            .checked_sub(1)
            .map_or(within_line, |last| lines[last] != b'\n')
        {
            let line = left
                .iter()
                .position(|&byte| byte == b'\n')
                .map_or(left.len(), |end| end + 1);
            self.rest.extend_from_slice(&left[..line]);
            left = &left[line..];
        }
        lost(left, metrics);
        self.log_failure(&error);
    }

    /// Writes whole lines of the log shipper, which writes them again after a failure.
    fn ship(&mut self, lines: Vec<u8>) -> io::Result<()> {
        let before = std::mem::take(&mut self.rest);
        let start = before.len();
        let lines = [before, lines].concat();
        let (written, end) = self.write_some(&lines);
        if end.is_err() {
            // The rest of a line that was begun comes before anything else.
            let begun = written
                .checked_sub(1)
                .map_or(start > 0, |last| lines[last] != b'\n');
            if begun {
                let left = &lines[written..];
                let line = left.iter().position(|&byte| byte == b'\n');
                self.rest = left[..line.map_or(left.len(), |end| end + 1)].to_vec();
            }
        }
        end
    }

    /// Writes up to the first error; returns the number of bytes, and the error.
    fn write_some(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        while written < bytes.len() {
            match self.output.write(&bytes[written..]) {
                Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return (written, Err(error)),
            }
        }
        (written, self.output.flush())
    }

    /// Logs a failure once. A closed stdout loses lines, but never stops the process.
    fn log_failure(&mut self, error: &io::Error) {
        if std::mem::replace(&mut self.failure_logged, true) {
            return;
        }
        match error.kind() {
            ErrorKind::BrokenPipe => {
                tracing::warn!("stdout is closed: access-log lines are dropped")
            }
            _ => tracing::warn!(%error, "stdout cannot be written: access-log lines are dropped"),
        }
    }
}

/// One worker's buffer of lines.
pub(crate) struct LocalLog {
    writer: Writer,
    lines: RefCell<Vec<u8>>,
    lingering: Cell<bool>,
}

impl LocalLog {
    /// An empty buffer in front of `writer`.
    pub(crate) fn new(writer: Writer) -> Self {
        Self {
            writer,
            lines: RefCell::default(),
            lingering: Cell::new(false),
        }
    }

    /// Appends what `write` writes: one line with its line end.
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

    /// Passes the buffer on.
    pub(crate) fn hand_over(&self) {
        let lines = std::mem::take(&mut *self.lines.borrow_mut());
        if !lines.is_empty() {
            self.writer.hand_over(lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts a scripted number of bytes at each write, or fails.
    struct Scripted {
        takes: std::vec::IntoIter<Option<usize>>,
        taken: Vec<u8>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self
                .takes
                .next()
                .unwrap_or(Some(usize::MAX))
                .ok_or(ErrorKind::StorageFull)?;
            let count = count.min(bytes.len());
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_output_that_fails_now_and_then_gets_whole_lines_and_the_others_are_counted() {
        const CHUNKS: [&str; 3] = ["one\ntwo\nthree\n", "four\n", "five\n"];
        for (takes, expected, dropped) in [
            (vec![Some(1); 100], "one\ntwo\nthree\nfour\nfive\n", 0),
            (vec![Some(6), None], "one\ntwo\nfour\nfive\n", 1),
            (vec![Some(6), None, None, Some(1)], "one\ntwo\nfive\n", 2),
            (vec![Some(6), None, Some(2), None], "one\ntwo\nfive\n", 2),
            (
                vec![Some(6), None, Some(4), None],
                "one\ntwo\nfour\nfive\n",
                1,
            ),
            (vec![Some(4), None], "one\nfour\nfive\n", 2),
            (vec![None, None], "five\n", 4),
        ] {
            let metrics = Metrics::default();
            let output = Scripted {
                takes: takes.clone().into_iter(),
                taken: Vec::new(),
            };
            let mut sink = Sink {
                output,
                rest: Vec::new(),
                failure_logged: false,
            };
            for chunk in CHUNKS {
                sink.write(chunk.into(), &metrics);
            }
            let taken = String::from_utf8(sink.output.taken).unwrap();
            assert_eq!(
                (&*taken, metrics.access_log_dropped.load(Relaxed)),
                (expected, dropped),
                "{takes:?}"
            );
        }
    }
}
