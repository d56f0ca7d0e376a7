//! What is told about endpoints, in the operational log and at a scrape.
//!
//! A worker only leaves a note: writing a line may wait for whoever reads stderr, and nothing on a worker waits. The
//! queue is bounded, and the next line says how many notes found no room in it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::sync::mpsc;

/// Notes that wait to be told.
const QUEUE: usize = 64;

/// What became of an endpoint.
#[derive(Debug)]
pub(crate) struct Note {
    /// The upstream.
    pub upstream: Arc<str>,
    /// The endpoint.
    pub endpoint: Arc<str>,
    /// What, and why.
    pub text: String,
}

/// Where notes are left.
#[derive(Debug, Clone)]
pub(crate) struct Notes {
    queue: mpsc::Sender<Note>,
    lost: Arc<AtomicU64>,
}

impl Notes {
    /// Leaves one, or counts that there is no room for it.
    pub(crate) fn leave(&self, note: Note) {
        if self.queue.try_send(note).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

/// Who tells them.
pub(crate) struct Teller {
    queue: mpsc::Receiver<Note>,
    lost: Arc<AtomicU64>,
}

impl Teller {
    /// A teller, and where notes for it are left.
    pub(crate) fn new() -> (Self, Notes) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let lost = Arc::<AtomicU64>::default();
        (
            Self {
                queue,
                lost: Arc::clone(&lost),
            },
            Notes {
                queue: sender,
                lost,
            },
        )
    }

    /// The next note; for ever when nobody can leave one.
    pub(crate) async fn next(&mut self) -> Note {
        match self.queue.recv().await {
            Some(note) => note,
            None => std::future::pending().await,
        }
    }

    /// Tells it.
    pub(crate) fn tell(&self, note: &Note) {
        let (upstream, endpoint) = (&note.upstream, &note.endpoint);
        let lost = match self.lost.swap(0, Relaxed) {
            0 => String::new(),
            lost => format!("; {lost} more before it were not logged"),
        };
        tracing::warn!(%upstream, %endpoint, "{}{lost}", note.text);
    }
}

/// What an upstream says of itself when somebody scrapes.
pub(crate) struct Reading {
    /// Its name.
    pub upstream: Arc<str>,
    /// What is known of its endpoints.
    pub endpoints: Vec<EndpointReading>,
    /// Connections, requests, and requests that wait, where that has limits.
    pub in_use: Option<[u32; 3]>,
}

impl Reading {
    /// The endpoints, each with the name of the upstream; one that stands in a list twice is told once.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, &EndpointReading)> {
        let is_first = |&(index, one): &(usize, &EndpointReading)| {
            !self.endpoints[..index]
                .iter()
                .any(|earlier| earlier.endpoint == one.endpoint)
        };
        self.endpoints
            .iter()
            .enumerate()
            .filter(is_first)
            .map(|(_, one)| (&*self.upstream, one))
    }
}

/// What is known of an endpoint.
pub(crate) struct EndpointReading {
    /// As the access log shows it.
    pub endpoint: Arc<str>,
    /// Whether it is ejected.
    pub ejected: bool,
    /// Whether it is healthy; `None` where nobody asks.
    pub healthy: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_has_a_bound_and_what_finds_no_room_is_counted() {
        let (mut teller, notes) = Teller::new();
        for _ in 0..QUEUE + 5 {
            notes.leave(Note {
                upstream: "u".into(),
                endpoint: "e".into(),
                text: "ejected".to_owned(),
            });
        }
        assert_eq!(teller.lost.load(Relaxed), 5);
        assert_eq!(teller.queue.try_recv().unwrap().text, "ejected");
    }
}
