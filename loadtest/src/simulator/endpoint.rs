//! One endpoint: a port that is open while the endpoint is alive, and its connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::answer::answer;
use super::behaviour::Behaviour;
use super::counters::Counters;
use crate::origin::abort::{Socket, Wishes};
use crate::stream::Stream;

/// Accept queue of the kernel: more than any scenario opens at once.
const BACKLOG: u32 = 4096;

/// Pause after a failed accept, so that a lack of descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// The shared state of one endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) index: usize,
    pub(super) counters: Arc<Counters>,
    life: watch::Sender<Arc<Life>>,
    rng: Mutex<Rng>,
    /// Bound but never listening: it reserves the port while the endpoint is dead.
    reserved: TcpSocket,
    address: SocketAddr,
}

/// A behavior and the start of its schedule.
#[derive(Debug)]
struct Life {
    behaviour: Arc<Behaviour>,
    since: Instant,
    slots: Option<Arc<Semaphore>>,
}

impl Life {
    fn new(behaviour: Behaviour) -> Arc<Self> {
        let slots = behaviour.slots.map(|slots| Arc::new(Semaphore::new(slots)));
        Arc::new(Self {
            behaviour: Arc::new(behaviour),
            since: Instant::now(),
            slots,
        })
    }
}

impl Endpoint {
    /// Reserves a port: a free one of 127.0.0.1 when `port` is 0.
    pub(super) fn new(
        index: usize,
        port: u16,
        behaviour: Behaviour,
        seed: u64,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let reserved = TcpSocket::new_v4()?;
        reserved.set_reuseaddr(true)?;
        reserved.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        let address = reserved.local_addr()?;
        let life = watch::Sender::new(Life::new(behaviour));
        // Endpoints must not draw the same random numbers.
        let rng = Mutex::new(Rng::with_seed(
            seed.wrapping_add(index as u64 * 0x9e37_79b9),
        ));
        Ok(Self {
            index,
            counters,
            life,
            rng,
            reserved,
            address,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn behaviour(&self) -> Arc<Behaviour> {
        Arc::clone(&self.life.borrow().behaviour)
    }

    /// Changes the behavior; the schedule starts again.
    pub(super) fn change(&self, behaviour: Behaviour) {
        self.life.send_replace(Life::new(behaviour));
    }

    pub(super) fn draw<T>(&self, from: impl FnOnce(&mut Rng) -> T) -> T {
        from(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for a free slot if concurrency is limited.
    pub(super) async fn slot(&self, behaviour: &Behaviour) -> Option<OwnedSemaphorePermit> {
        behaviour.slots?;
        let slots = self.life.borrow().slots.clone()?;
        slots.acquire_owned().await.ok()
    }

    /// Starts and stops the endpoint by its schedule, forever.
    pub(super) async fn run(self: Arc<Self>) -> io::Result<()> {
        let mut changes = self.life.subscribe();
        loop {
            let life = Arc::clone(&changes.borrow_and_update());
            let since = life.since.elapsed();
            let turn = life
                .behaviour
                .next_turn(since)
                .map(|turn| life.since + turn);
            if life.behaviour.is_up(since) {
                let listener = self.listen()?;
                self.serve_until(&listener, &mut changes, turn).await;
            } else {
                tokio::select! {
                    () = until(turn) => {}
                    _ = changes.changed() => {}
                }
            }
        }
    }

    fn listen(&self) -> io::Result<TcpListener> {
        let socket = TcpSocket::new_v4()?;
        // Both sockets need the option, or the kernel rejects the second.
        socket.set_reuseaddr(true)?;
        socket.bind(self.reserved.local_addr()?)?;
        socket.listen(BACKLOG)
    }

    /// Serves until it must die; then all its connections are reset. A change that leaves it alive
    /// does not affect open connections.
    async fn serve_until(
        self: &Arc<Self>,
        listener: &TcpListener,
        changes: &mut watch::Receiver<Arc<Life>>,
        mut turn: Option<Instant>,
    ) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = until(turn) => return,
                _ = changes.changed() => {
                    let life = Arc::clone(&changes.borrow_and_update());
                    turn = match life.behaviour.is_up(life.since.elapsed()) {
                        true => life.behaviour.next_turn(life.since.elapsed()).map(|turn| life.since + turn),
                        false => Some(Instant::now()),
                    };
                }
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(Arc::clone(self).serve(stream));
                    }
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                },
            }
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let _open = Open::new(&self);
        let Ok(stream) = Stream::tcp(stream) else {
            return;
        };
        // A process that is killed resets its connections.
        let wishes = Wishes::reset_when_killed();
        let io = TokioIo::new(Socket::new(stream, wishes.clone()));
        let (endpoint, ending) = (Arc::clone(&self), wishes.clone());
        let service = service_fn(move |request| {
            let (endpoint, wishes) = (Arc::clone(&endpoint), wishes.clone());
            async move { answer(&endpoint, &wishes, request).await }
        });
        // Peers that close early, and behaviors that abort, end here; the counters have recorded
        // the request.
        let builder = auto::Builder::new(TokioExecutor::new());
        let mut connection = pin!(builder.serve_connection(io, service));
        let _ = connection.as_mut().await;
        ending.ended();
    }
}

/// Never completes when there is no such time.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Counts a connection while it is open.
struct Open(Arc<Endpoint>);

impl Open {
    fn new(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.counters.count(endpoint.index, |received| {
            received.connections += 1;
            received.open_connections += 1;
        });
        Self(Arc::clone(endpoint))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0
            .counters
            .count(self.0.index, |received| received.open_connections -= 1);
    }
}
