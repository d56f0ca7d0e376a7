//! Events that workers report to the control thread, which writes them to the operational log.
//!
//! Writing a line may block on stderr, and a worker must not block. So a worker only puts an event
//! into a bounded queue. Lines are rate-limited, and the next line says how many events before it
//! were not logged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};

/// Capacity of the queue.
const QUEUE: usize = 64;

/// Most lines in each interval.
const LINES: u32 = 20;
const INTERVAL: Duration = Duration::from_secs(1);

/// The sending side of the queue.
#[derive(Debug)]
pub(crate) struct Events<E> {
    queue: mpsc::Sender<E>,
    lost: Arc<AtomicU64>,
}

impl<E> Clone for Events<E> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            lost: Arc::clone(&self.lost),
        }
    }
}

impl<E> Events<E> {
    /// Queues an event, or counts it as lost when the queue is full.
    pub(crate) fn report(&self, event: E) {
        if self.queue.try_send(event).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

/// An event as a line of the operational log.
pub(crate) trait Logged {
    /// Writes the line; `lost` events before it were not logged.
    fn log(&self, lost: Lost);
}

/// How many events were not logged; printed at the end of a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost(pub(crate) u64);

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => Ok(()),
            lost => write!(f, "; {lost} earlier events were not logged"),
        }
    }
}

pub(crate) struct Reporter<E> {
    queue: mpsc::Receiver<E>,
    lost: Arc<AtomicU64>,
    rate: Rate,
}

impl<E: Logged> Reporter<E> {
    /// A reporter, and the sending side of its queue.
    pub(crate) fn new() -> (Self, Events<E>) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let lost = Arc::<AtomicU64>::default();
        let events = Events {
            queue: sender,
            lost: Arc::clone(&lost),
        };
        let rate = Rate::default();
        (Self { queue, lost, rate }, events)
    }

    /// The next event; waits for ever when there is no sender left.
    pub(crate) async fn next(&mut self) -> E {
        match self.queue.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// Logs an event, unless the rate limit is reached.
    pub(crate) fn log(&mut self, event: &E) {
        if self.rate.admits(Instant::now()) {
            event.log(Lost(self.lost.swap(0, Relaxed)));
        } else {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

/// The state of an endpoint changed.
#[derive(Debug)]
pub(crate) struct EndpointEvent {
    pub upstream: Arc<str>,
    pub endpoint: Arc<str>,
    /// The change and its reason.
    pub text: String,
}

impl Logged for EndpointEvent {
    fn log(&self, lost: Lost) {
        let (upstream, endpoint) = (&self.upstream, &self.endpoint);
        tracing::warn!(%upstream, %endpoint, "{}{lost}", self.text);
    }
}

/// A rate limit on lines.
#[derive(Debug, Default)]
struct Rate {
    since: Option<Instant>,
    lines: u32,
}

impl Rate {
    fn admits(&mut self, now: Instant) -> bool {
        let is_over = |since| now.duration_since(since) >= INTERVAL;
        if self.since.is_none_or(is_over) {
            (self.since, self.lines) = (Some(now), 0);
        }
        self.lines += 1;
        self.lines <= LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> EndpointEvent {
        let (upstream, endpoint) = ("u".into(), "e".into());
        let text = "ejected".to_owned();
        EndpointEvent {
            upstream,
            endpoint,
            text,
        }
    }

    #[test]
    fn the_queue_is_bounded_and_lost_events_are_counted() {
        let (mut reporter, events) = Reporter::new();
        for _ in 0..QUEUE + 5 {
            events.report(event());
        }
        assert_eq!(reporter.lost.load(Relaxed), 5);
        assert_eq!(reporter.queue.try_recv().unwrap().text, "ejected");
    }

    #[test]
    fn lines_have_a_rate() {
        let (mut rate, now) = (Rate::default(), Instant::now());
        let admitted = (0..100).filter(|_| rate.admits(now)).count();
        assert_eq!(admitted, LINES as usize);
        assert!(rate.admits(now + INTERVAL));
    }

    #[test]
    fn a_line_says_what_was_lost_before_it() {
        assert_eq!(Lost(0).to_string(), "");
        assert_eq!(Lost(3).to_string(), "; 3 earlier events were not logged");
    }
}
