//! Load balancing, and how failing endpoints are handled.

mod breaker;
mod health;
mod outliers;
mod policies;
mod probes;
mod state;

use std::sync::{
    Arc,
    atomic::{AtomicU16, AtomicUsize, Ordering},
};

use crate::support::{
    Proxy,
    wire::{App, Wire, status},
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// An endpoint that responds with a configurable status, and counts requests.
struct Backend {
    app: App,
    status: Arc<AtomicU16>,
    hits: Arc<AtomicUsize>,
}

impl Backend {
    fn start(status: u16) -> Self {
        let (status, hits) = (
            Arc::new(AtomicU16::new(status)),
            Arc::<AtomicUsize>::default(),
        );
        let (now, count) = (Arc::clone(&status), Arc::clone(&hits));
        let app = App::start(move |mut wire, _| {
            while !wire.head().is_empty() {
                count.fetch_add(1, Ordering::SeqCst);
                let status = now.load(Ordering::SeqCst);
                if !wire.try_send(format!(
                    "HTTP/1.1 {status} Told\r\ncontent-length: 2\r\n\r\nok"
                )) {
                    return;
                }
            }
        });
        Self { app, status, hits }
    }

    fn answer_with(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    fn url(&self) -> String {
        format!("http://{}", self.app.address)
    }
}

/// A file with one upstream `u`.
fn yaml(urls: &[String], settings: &str) -> String {
    let urls: Vec<_> = urls
        .iter()
        .map(|url| format!("{{ url: \"{url}\" }}"))
        .collect();
    format!(
        "workers: 1\nlisteners: [{{ port: 0 }}]\nupstreams:\n  u: {{ endpoints: [{}]{settings} }}\n\
         routes: [{{ name: u, backendRefs: [u] }}]\n",
        urls.join(", ")
    )
}

/// The statuses of so many requests on one connection.
fn statuses(proxy: &Proxy, count: usize) -> Vec<u16> {
    let mut wire = Wire::connect(proxy.inbound());
    (0..count).map(|_| status(&wire.ask(GET).0)).collect()
}

fn failures(statuses: &[u16]) -> usize {
    statuses.iter().filter(|status| **status != 200).count()
}
