//! What the tasks of a run share: with all threads, and with those of one thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{Semaphore, watch};

use super::failure::Failure;
use super::hold::{Holding, turnstile};
use super::http1::head::Memo;
use super::plan::{Endpoint, Plan, Template};
use super::schedule::Schedule;
use super::tally::{Answer, Tally};
use super::tls::Tls;
use super::traffic::Traffic;
use super::verify::Verifier;

/// Bytes that an HTTP/1.1 connection reads at once.
const READ_BUFFER: usize = 128 * 1024;

/// State that all threads of a run share.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) plan: Plan,
    pub(super) endpoint: Endpoint,
    pub(super) tls: Option<Tls>,
    pub(super) template: Template,
    pub(super) verifier: Verifier,
    pub(super) schedule: Schedule,
    pub(super) holding: Holding,
    pub(super) ended: AtomicU64,
    pub(super) failed: AtomicU64,
}

/// State that all tasks of one thread share.
pub(super) struct Lane {
    pub(super) run: Arc<Run>,
    pub(super) halt: watch::Receiver<bool>,
    pub(super) traffic: Rc<Traffic>,
    pub(super) tally: RefCell<Tally>,
    /// The read buffer of HTTP/1.1 connections, used in turn.
    pub(super) read_buffer: RefCell<Box<[u8]>>,
    pub(super) heads: RefCell<Memo>,
    /// Limits concurrent opens of held connections.
    pub(super) turnstile: Semaphore,
}

/// A place from which requests are sent, one at a time: an HTTP/1.1 connection or an HTTP/2 stream.
/// It opens its connection when it needs one. Dropping an attempt must leave it ready for the next.
pub(super) trait Client {
    async fn attempt(&mut self, lane: &Lane, number: u64) -> Result<Answer, Broken>;

    /// Whether a connection is open and idle.
    async fn is_open(&mut self, lane: &Lane) -> bool;
}

/// Why an attempt had no response.
#[derive(Debug)]
pub(super) enum Broken {
    /// The reused connection was already closed and nothing was sent: try again.
    Unsent,
    /// The reused connection was closed before the first byte of a response: safe requests may be
    /// retried.
    Stale(Failure),
    /// The peer returned the request unprocessed: any request may be retried.
    Unprocessed(Failure),
    /// Other failures.
    Failed(Failure),
}

impl Lane {
    pub(super) fn new(run: Arc<Run>, halt: watch::Receiver<bool>) -> Self {
        Self {
            run,
            halt,
            traffic: Rc::default(),
            tally: RefCell::new(Tally::new()),
            read_buffer: RefCell::new(vec![0; READ_BUFFER].into_boxed_slice()),
            heads: RefCell::default(),
            turnstile: turnstile(),
        }
    }
}
