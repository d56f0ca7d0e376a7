//! Accepts connections and serves HTTP/1.1 and HTTP/2 (prior knowledge) on the same socket.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, UnixListener};
use tokio::time::sleep;

use super::abort::{Socket, Wishes};
use super::{Shared, quick, routes};
use crate::stream::Stream;

/// Where an origin listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address; port 0 lets the kernel choose.
    Tcp(SocketAddr),
    /// A Unix socket at this path; a stale file of an earlier run is replaced.
    Unix(PathBuf),
}

/// Pause after a failed accept, so that a lack of descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// HTTP/2 flow-control window for uploads; with the default of 64 KiB the result would depend on
/// round trips.
const WINDOW: u32 = 1 << 20;

/// More streams than any load test opens, so that the origin is never the limit.
const MOST_STREAMS: u32 = 1024;

/// A bound socket.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    pub(super) async fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            Listen::Unix(path) => {
                remove_stale(path)?;
                Ok(Self::Unix(UnixListener::bind(path)?, path.clone()))
            }
        }
    }

    /// The actual address: with the port that the kernel selected.
    pub(super) fn bound(&self) -> io::Result<Listen> {
        match self {
            Self::Tcp(listener) => Ok(Listen::Tcp(listener.local_addr()?)),
            Self::Unix(_, path) => Ok(Listen::Unix(path.clone())),
        }
    }

    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => Stream::tcp(listener.accept().await?.0),
            Self::Unix(listener, _) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // A missing file is fine.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Removes a stale socket file; any other file stays and makes the bind fail.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = path
        .symlink_metadata()
        .is_ok_and(|found| found.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// Serves until dropped.
pub(super) async fn accept_loop(listener: &Listener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok(stream) => {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve(stream: Stream, shared: Arc<Shared>) {
    let _open = shared.counters.connection();
    // Peers that close early end here, as below.
    let Ok(Some((stream, read))) = quick::serve(stream, &shared).await else {
        return;
    };
    let wishes = Wishes::default();
    let io = TokioIo::new(Socket::new(stream, wishes.clone()).having_read(read));
    let service = service_fn(move |request| {
        let (shared, wishes) = (Arc::clone(&shared), wishes.clone());
        async move { routes::answer(&shared, &wishes, request).await }
    });
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http2()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(MOST_STREAMS);
    // Peers that close early, and routes that abort on purpose, end here; the counters have
    // recorded the request.
    let _ = http.serve_connection_with_upgrades(io, service).await;
}
