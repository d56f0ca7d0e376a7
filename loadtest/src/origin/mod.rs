//! The origin: a server with predictable responses, including failures on demand.
//!
//! It runs on its own thread and runtime, so that a test's runtime cannot delay it, and can be
//! stopped as abruptly as a killed process and restarted on the same port. Its paths:
//!
//! | path | response |
//! |---|---|
//! | `/` | 13 bytes |
//! | `/bytes/N` | N bytes with `content-length` and `x-body-crc32` |
//! | `/chunked/N` | N bytes without `content-length`, with `x-body-crc32` |
//! | `/echo` | the request body as it arrives, with its `content-type` |
//! | `/sink` | `{"bytes":N,"crc32":"…"}` of the request body; 400 if it differs from its `x-body-crc32` |
//! | `/headers` | the request's method, target, version and headers as JSON |
//! | `/delay/MS` | 13 bytes after MS milliseconds |
//! | `/drip/N/MS` | N chunks, MS apart |
//! | `/sse/N/MS` | N server-sent events, MS apart |
//! | `/trailers` | a body and the trailer `x-checksum` (on HTTP/1.1 only if the request has `te: trailers`) |
//! | `/status/CODE` | that status |
//! | `/abort/N` | a longer content-length, N bytes, then a RST |
//! | `/close-before` | the connection closes without a byte (HTTP/2: the stream is reset) |
//! | `/early` | 413 without reading the body |
//! | `/informational` | 103, then 200 (HTTP/1.1) |
//! | `/ws` | WebSocket echo |
//! | `/` and any other, by POST with `content-type: application/grpc` | the message comes back, `grpc-status` in the trailers |
//! | `/stats` | the counters; not counted itself |

pub(crate) mod abort;
pub(crate) mod body;
mod listener;
mod quick;
mod routes;
mod stats;
mod websocket;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;

use http::HeaderValue;
use tokio::runtime::Builder as RuntimeBuilder;
use tokio::sync::{oneshot, watch};

pub use self::listener::Listen;
use self::listener::{Listener, accept_loop};
pub use self::routes::HELLO;
use self::stats::Counters;
pub use self::stats::Stats;

/// A running (or stopped) origin. Dropping it stops it.
#[derive(Debug)]
pub struct Origin {
    listen: Listen,
    shared: Arc<Shared>,
    running: Option<Running>,
}

/// Settings of an [`Origin`].
#[derive(Debug, Clone)]
pub struct OriginBuilder {
    listen: Listen,
    name: Option<HeaderValue>,
}

/// State that all connections share, also over restarts.
#[derive(Debug)]
struct Shared {
    counters: Arc<Counters>,
    name: Option<HeaderValue>,
    stalled: watch::Sender<bool>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
}

impl OriginBuilder {
    /// Listens there instead of on a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, listen: Listen) -> Self {
        self.listen = listen;
        self
    }

    /// Adds `x-origin: NAME` to responses, to distinguish several origins.
    ///
    /// # Panics
    /// If the name is not a valid header value.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(HeaderValue::from_str(name).expect("a name that fits in a header"));
        self
    }

    /// Binds and starts serving.
    ///
    /// # Errors
    /// When the address cannot be bound or no thread can be started.
    pub async fn start(self) -> io::Result<Origin> {
        let shared = Shared {
            counters: Arc::default(),
            name: self.name,
            stalled: watch::Sender::new(false),
        };
        let mut origin = Origin {
            listen: self.listen,
            shared: Arc::new(shared),
            running: None,
        };
        origin.restart().await?;
        Ok(origin)
    }
}

impl Origin {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be bound or no thread can be started.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// An origin that is not started yet.
    #[must_use]
    pub fn builder() -> OriginBuilder {
        let listen = Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        OriginBuilder { listen, name: None }
    }

    /// The address, with the port that the kernel selected.
    #[must_use]
    pub fn listen(&self) -> &Listen {
        &self.listen
    }

    /// Its TCP address.
    ///
    /// # Panics
    /// If it listens on a Unix socket.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match &self.listen {
            Listen::Tcp(address) => *address,
            Listen::Unix(path) => panic!("{} has no TCP address", path.display()),
        }
    }

    /// `http://ADDRESS/PATH`; on a Unix socket the host is `localhost`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        match &self.listen {
            Listen::Tcp(address) => format!("http://{address}{path}"),
            Listen::Unix(_) => format!("http://localhost{path}"),
        }
    }

    /// Requests received so far, without `/stats`.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.stats().requests
    }

    /// Requests whose first path segment is `segment`.
    #[must_use]
    pub fn hits_of(&self, segment: &str) -> u64 {
        self.stats().by_segment.get(segment).copied().unwrap_or(0)
    }

    /// All counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }

    /// Accepts requests but does not respond until [`resume`](Self::resume).
    pub fn stall(&self) {
        self.shared.stalled.send_replace(true);
    }

    /// Responds again, first to waiting requests.
    pub fn resume(&self) {
        self.shared.stalled.send_replace(false);
    }

    /// Closes the listener and all connections at once, as if the process had been killed. Returns
    /// when the port is free; does nothing when already stopped.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = running.stop.send(());
            // An error means the same: the thread is gone.
            let _ = running.stopped.await;
        }
    }

    /// Restarts on the same address, keeping the counters. Stops first if it is running.
    ///
    /// # Errors
    /// When another process has taken the address meanwhile.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.stop().await;
        let (bound, outcome) = oneshot::channel();
        let (stop, stopping) = oneshot::channel();
        let (finished, stopped) = oneshot::channel();
        let (listen, shared) = (self.listen.clone(), Arc::clone(&self.shared));
        thread::Builder::new()
            .name("origin".to_owned())
            .spawn(move || {
                serve_thread(&listen, shared, bound, stopping);
                let _ = finished.send(());
            })?;
        self.listen = outcome.await.map_err(io::Error::other)??;
        self.running = Some(Running { stop, stopped });
        Ok(())
    }
}

impl Shared {
    async fn wait_while_stalled(&self) {
        if *self.stalled.borrow() {
            // The sender lives as long as `self`, so this ends only by `resume`.
            let _ = self.stalled.subscribe().wait_for(|stalled| !stalled).await;
        }
    }
}

/// Runs until the origin is stopped; everything that it opened is closed when this returns.
fn serve_thread(
    listen: &Listen,
    shared: Arc<Shared>,
    bound: oneshot::Sender<io::Result<Listen>>,
    stopping: oneshot::Receiver<()>,
) {
    let runtime = match RuntimeBuilder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = bound.send(Err(error));
            return;
        }
    };
    runtime.block_on(async {
        let listener = match Listener::bind(listen).await {
            Ok(listener) => listener,
            Err(error) => {
                let _ = bound.send(Err(error));
                return;
            }
        };
        if bound.send(listener.bound()).is_ok() {
            tokio::select! {
                () = accept_loop(&listener, shared) => {}
                _ = stopping => {}
            }
        }
    });
}
