//! A failing upstream: several endpoints, each on its own port and as slow, broken or dead as its
//! [`Behaviour`] defines, and a control port that reports what they received.
//!
//! It runs on its own thread and runtime. All random numbers come from one seed, so that a run can
//! be repeated; the outcome of a request still depends on the order of arrival.

mod answer;
mod behaviour;
mod control;
mod counters;
mod endpoint;
mod latency;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;

use tokio::net::TcpListener;
use tokio::runtime::Builder as RuntimeBuilder;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

pub use self::answer::CHECK_PATH;
pub use self::behaviour::{Behaviour, Drip, Fail, Reset, ResetAt};
use self::counters::Counters;
pub use self::counters::{Attempts, Counts, Received};
use self::endpoint::Endpoint;
pub use self::latency::Latency;

/// An endpoint to simulate.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Its name in the counters.
    pub name: String,
    /// Its port on 127.0.0.1; 0 lets the kernel choose.
    pub port: u16,
    /// Its behavior.
    pub behaviour: Behaviour,
}

/// A running simulator. Dropping it kills all endpoints.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    control: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: Option<oneshot::Receiver<io::Result<()>>>,
}

/// State that the control port and the endpoints share.
#[derive(Debug)]
struct Shared {
    names: Vec<String>,
    endpoints: Vec<Arc<Endpoint>>,
    counters: Arc<Counters>,
}

impl Shared {
    /// Resets the counters, and restarts all schedules.
    fn reset(&self) {
        self.counters.reset();
        for endpoint in &self.endpoints {
            endpoint.change(Behaviour::clone(&endpoint.behaviour()));
        }
    }
}

impl Simulator {
    /// Starts all endpoints, and the control port on this port of 127.0.0.1 (0 lets the kernel
    /// select one).
    ///
    /// # Errors
    /// When a port is in use or no thread can be started.
    pub async fn start(specs: Vec<Spec>, control: u16, seed: u64) -> io::Result<Self> {
        let (started, outcome) = oneshot::channel();
        let (stop, stopping) = oneshot::channel();
        let (finished, ended) = oneshot::channel();
        thread::Builder::new()
            .name("simulator".to_owned())
            .spawn(move || {
                // The receiver is gone when the simulator was dropped.
                let _ = finished.send(serve_thread(specs, control, seed, started, stopping));
            })?;
        match outcome.await {
            Ok((shared, control)) => Ok(Self {
                shared,
                control,
                stop: Some(stop),
                ended: Some(ended),
            }),
            Err(_) => match ended.await {
                Ok(Err(error)) => Err(error),
                _ => Err(io::Error::other(
                    "the simulator's thread ended during its start",
                )),
            },
        }
    }

    /// The address of the control port.
    #[must_use]
    pub fn control(&self) -> SocketAddr {
        self.control
    }

    /// Names and addresses of the endpoints, in the given order.
    #[must_use]
    pub fn endpoints(&self) -> Vec<(String, SocketAddr)> {
        let addresses = self
            .shared
            .endpoints
            .iter()
            .map(|endpoint| endpoint.address());
        self.shared.names.iter().cloned().zip(addresses).collect()
    }

    /// All counters.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counters.snapshot()
    }

    /// Resets the counters, and restarts all schedules.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Changes the behavior of an endpoint; its schedule starts again.
    ///
    /// # Panics
    /// If there is no endpoint with this index.
    pub fn change(&self, endpoint: usize, behaviour: Behaviour) {
        self.shared.endpoints[endpoint].change(behaviour);
    }

    /// Kills all endpoints and waits until their ports are free.
    ///
    /// # Errors
    /// When an endpoint could not listen on its port again and the simulator ended by itself.
    pub async fn stop(mut self) -> io::Result<()> {
        if let Some(stop) = self.stop.take() {
            // An error means the same: the thread is gone.
            let _ = stop.send(());
        }
        match self.ended.take() {
            Some(ended) => ended.await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    }
}

type Started = oneshot::Sender<(Arc<Shared>, SocketAddr)>;

fn serve_thread(
    specs: Vec<Spec>,
    control: u16,
    seed: u64,
    started: Started,
    stopping: oneshot::Receiver<()>,
) -> io::Result<()> {
    let runtime = RuntimeBuilder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let names: Vec<_> = specs.iter().map(|spec| spec.name.clone()).collect();
        let counters = Arc::new(Counters::new(names.clone()));
        let endpoints = specs.into_iter().enumerate().map(|(index, spec)| {
            Endpoint::new(
                index,
                spec.port,
                spec.behaviour,
                seed,
                Arc::clone(&counters),
            )
            .map(Arc::new)
        });
        let endpoints = endpoints.collect::<io::Result<Vec<_>>>()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, control)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            names,
            endpoints,
            counters,
        });
        let mut lives = JoinSet::new();
        for endpoint in &shared.endpoints {
            lives.spawn(Arc::clone(endpoint).run());
        }
        // Every endpoint listens before its address is returned.
        tokio::task::yield_now().await;
        if started.send((Arc::clone(&shared), address)).is_err() {
            return Ok(());
        }
        tokio::select! {
            () = control::serve(listener, shared) => Ok(()),
            Some(ended) = lives.join_next() => ended.map_err(io::Error::other)?,
            _ = stopping => Ok(()),
        }
    })
}
