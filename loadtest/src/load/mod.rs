//! The load generator: executes a [`Plan`], verifies every response, and counts in a [`Report`].
//!
//! Connections are spread over threads, each with its own runtime, so that the load neither depends
//! on the caller's runtime nor delays it. See [`Plan`] for closed loop and constant rate.

mod alarm;
mod connect;
mod failure;
mod handshake;
mod hold;
mod http1;
mod http2;
mod lane;
mod plan;
mod report;
mod schedule;
mod tally;
mod tls;
mod traffic;
mod turn;
mod verify;

use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder as RuntimeBuilder, Runtime};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use self::connect::Dialer;
pub use self::failure::FailureKind;
use self::handshake::Handshake;
pub use self::hold::Held;
use self::hold::Holding;
use self::http1::Http1;
use self::http2::Http2;
use self::lane::{Client, Lane, Run};
pub use self::plan::{Expect, ID_HEADER, Plan, PlanError, Protocol};
pub use self::report::{Handshakes, PERCENTILES, Report};
use self::schedule::Schedule;
use self::tally::Tally;
pub use self::tls::{TlsError, TlsPlan};
use self::verify::Verifier;

/// Executes a plan to its end.
///
/// # Errors
/// When the plan cannot be started; later failures are in the report.
pub async fn run(plan: Plan) -> Result<Report, PlanError> {
    Ok(start(plan)?.finish().await)
}

/// Executes a plan until its end or until `stop` completes, whichever is first.
///
/// # Errors
/// As for [`run`].
pub async fn run_until(plan: Plan, stop: impl Future<Output = ()>) -> Result<Report, PlanError> {
    let running = start(plan)?;
    let halt = running.halt.clone();
    let report = running.finish();
    tokio::pin!(report);
    tokio::select! {
        report = &mut report => return Ok(report),
        () = stop => {
            halt.send_replace(true);
        }
    }
    Ok(report.await)
}

/// Starts to execute a plan on separate threads. Resolves the host before it returns, which may
/// block.
///
/// # Errors
/// When the plan cannot be started.
pub fn start(plan: Plan) -> Result<Running, PlanError> {
    plan.check_numbers()?;
    plan.check_combinations()?;
    let uri = plan.uri()?;
    let count = plan.threads.min(plan.connections);
    let (endpoint, tls, template) = (plan.endpoint(&uri)?, plan.tls(&uri)?, plan.template(&uri)?);
    // Last: a runtime cannot be dropped where futures run.
    let runtimes: Vec<_> = (0..count)
        .map(|_| runtime())
        .collect::<Result<_, _>>()
        .map_err(PlanError::Start)?;
    let run = Arc::new(Run {
        endpoint,
        tls,
        template,
        verifier: Verifier::new(&plan),
        schedule: Schedule::new(&plan, Instant::now()),
        holding: Holding::new(plan.connections),
        ended: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        plan,
    });
    let halt = watch::Sender::new(false);
    let mut threads = Vec::with_capacity(count);
    for (index, runtime) in runtimes.into_iter().enumerate() {
        let (sender, tally) = oneshot::channel();
        let (run, halt) = (Arc::clone(&run), halt.subscribe());
        let connections = share(run.plan.connections, count, index);
        let before: usize = (0..index)
            .map(|index| share(run.plan.connections, count, index))
            .sum();
        let places = before..before + connections;
        let work = move || {
            // The receiver is gone when the run was dropped.
            let _ = sender.send(work_thread(&runtime, run, halt, places));
        };
        let handle = thread::Builder::new()
            .name(format!("load-{index}"))
            .spawn(work)
            .map_err(PlanError::Start)?;
        threads.push(Thread { handle, tally });
    }
    Ok(Running { run, halt, threads })
}

/// A run in progress. When it is dropped, no further requests are started.
#[derive(Debug)]
pub struct Running {
    run: Arc<Run>,
    halt: watch::Sender<bool>,
    threads: Vec<Thread>,
}

#[derive(Debug)]
struct Thread {
    handle: thread::JoinHandle<()>,
    tally: oneshot::Receiver<Tally>,
}

/// Progress of a run, warm-up included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Requests that ended, successful or not.
    pub ended: u64,
    /// Requests that failed.
    pub failed: u64,
    /// With [`Plan::hold`], once all connections have been tried: how many are open.
    pub held: Option<Held>,
}

impl Running {
    /// Progress of the run.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            ended: self.run.ended.load(Ordering::Relaxed),
            failed: self.run.failed.load(Ordering::Relaxed),
            held: self.run.plan.hold.and_then(|_| self.run.holding.held()),
        }
    }

    /// Whether all threads have ended, so that [`finish`](Self::finish) returns at once.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.threads
            .iter()
            .all(|thread| thread.handle.is_finished())
    }

    /// Starts no further requests; [`finish`](Self::finish) waits for those in flight.
    pub fn stop(&self) {
        self.halt.send_replace(true);
    }

    /// Waits for the last response and merges the results.
    ///
    /// # Panics
    /// If a load thread panicked.
    pub async fn finish(self) -> Report {
        let mut tallies = Vec::with_capacity(self.threads.len());
        for thread in self.threads {
            tallies.push(thread.tally.await.expect("a load thread panicked"));
        }
        let run = &self.run;
        let held = run.plan.hold.and_then(|_| run.holding.held());
        let resumes = || run.plan.tls.as_ref().is_some_and(|tls| tls.resume);
        let resumption = run.tls.as_ref().map(|_| resumes());
        Tally::report(tallies, &run.schedule, held, resumption)
    }
}

fn runtime() -> io::Result<Runtime> {
    RuntimeBuilder::new_current_thread().enable_all().build()
}

/// The share of `total` for one of `parts`.
fn share(total: usize, parts: usize, index: usize) -> usize {
    total / parts + usize::from(index < total % parts)
}

/// Runs one thread's connections to their end.
fn work_thread(
    runtime: &Runtime,
    run: Arc<Run>,
    halt: watch::Receiver<bool>,
    places: Range<usize>,
) -> Tally {
    let lane = Rc::new(Lane::new(run, halt));
    // Not a LocalRuntime: it is no faster here, and could only be built on the thread, too late to
    // reject the plan.
    let tasks = LocalSet::new();
    tasks.block_on(runtime, work_places(Rc::clone(&lane), places));
    let ended = Instant::now();
    // Closes HTTP/2 connections, which are separate tasks.
    drop(tasks);
    let traffic = &lane.traffic;
    let mut tally = lane.tally.replace(Tally::new());
    tally.ended = Some(ended);
    tally.connections = traffic.connections.get();
    tally.handshakes = Handshakes {
        completed: traffic.handshakes.get(),
        resumed: traffic.resumed.get(),
    };
    tally.bytes_received = traffic.received.get();
    tally.bytes_sent = traffic.sent.get();
    tally
}

async fn work_places(lane: Rc<Lane>, places: Range<usize>) {
    let mut tasks = JoinSet::new();
    for place in places {
        let dialer = Dialer::new(&lane.run, place);
        match (lane.run.plan.protocol, lane.run.plan.hold) {
            _ if lane.run.plan.handshakes => work(&mut tasks, &lane, Handshake::new(dialer)),
            (Protocol::Http1, None) => work(&mut tasks, &lane, Http1::new(dialer)),
            (Protocol::Http1, Some(time)) => {
                hold(&mut tasks, &lane, Http1::new(dialer), place, time)
            }
            (Protocol::Http2 { .. }, Some(time)) => {
                hold(&mut tasks, &lane, Http2::new(dialer), place, time)
            }
            (Protocol::Http2 { streams }, None) => {
                let connection = Http2::new(dialer);
                (0..streams).for_each(|_| work(&mut tasks, &lane, connection.clone()));
            }
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a load task panicked");
    }
}

fn work(tasks: &mut JoinSet<()>, lane: &Rc<Lane>, client: impl Client + 'static) {
    let lane = Rc::clone(lane);
    tasks.spawn_local(async move { lane.work(client).await });
}

fn hold(
    tasks: &mut JoinSet<()>,
    lane: &Rc<Lane>,
    client: impl Client + 'static,
    place: usize,
    time: Duration,
) {
    let lane = Rc::clone(lane);
    tasks.spawn_local(async move { lane.hold(client, place as u64, time).await });
}
