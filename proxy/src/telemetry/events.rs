//! What workers report to the control thread, which writes it to the operational log.
//!
//! Writing a line may block on stderr, and nothing on a worker blocks. So a worker only leaves an event in a bounded queue.
//! Lines have a rate, and the next line says how many events were lost before it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};

/// Events that wait to be logged.
const QUEUE: usize = 64;

/// Lines in each interval.
const LINES: u32 = 20;
const INTERVAL: Duration = Duration::from_secs(1);

/// Where events are left.
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
    /// Leaves one, or counts that the queue is full.
    pub(crate) fn report(&self, event: E) {
        if self.queue.try_send(event).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

/// An event as a line of the operational log.
pub(crate) trait Logged {
    /// Writes it; `lost` events before it were not logged.
    fn log(&self, lost: Lost);
}

/// How many events were not logged; at the end of a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost(pub(crate) u64);

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => Ok(()),
            lost => write!(f, "; {lost} more before it were not logged"),
        }
    }
}

/// Writes events to the operational log.
pub(crate) struct Reporter<E> {
    queue: mpsc::Receiver<E>,
    lost: Arc<AtomicU64>,
    rate: Rate,
}

impl<E: Logged> Reporter<E> {
    /// A reporter, and where events for it are left.
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

    /// The next event; never, when there is no place left to report one.
    pub(crate) async fn next(&mut self) -> E {
        match self.queue.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// Logs it, unless there were too many.
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
    /// The upstream.
    pub upstream: Arc<str>,
    /// The endpoint.
    pub endpoint: Arc<str>,
    /// How, and why.
    pub text: String,
}

impl Logged for EndpointEvent {
    fn log(&self, lost: Lost) {
        let (upstream, endpoint) = (&self.upstream, &self.endpoint);
        tracing::warn!(%upstream, %endpoint, "{}{lost}", self.text);
    }
}

/// So many lines in each interval.
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
        assert_eq!(Lost(3).to_string(), "; 3 more before it were not logged");
    }
}
