//! HTTP/2, with prior knowledge or by ALPN: several streams share one connection, which runs as a task of its own.

use std::cell::Cell;
use std::rc::Rc;

use http_body_util::BodyExt;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;
use tokio::task::spawn_local;

use super::connect::Dialer;
use super::failure::{Failure, is_unprocessed};
use super::tally::Answer;
use super::turn::{Broken, Client, Lane};
use super::verify::announced;
use crate::content::{CHECKSUM_HEADER, Content};

/// Credit given to the peer; the default of 64 KiB would measure round trips.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 1 << 24;

/// One of the streams that share a connection.
#[derive(Clone)]
pub(super) struct Http2 {
    dialer: Rc<Dialer>,
    /// Locked while a connection is being opened, so that the streams open one and not one each.
    shared: Rc<Mutex<Option<Open>>>,
}

#[derive(Clone)]
struct Open {
    sender: SendRequest<Content>,
    /// Whether an answer has come on this connection.
    proven: Rc<Cell<bool>>,
}

impl Client for Http2 {
    async fn attempt(&mut self, lane: &Lane, number: u64) -> Result<Answer, Broken> {
        let mut open = self.connection(lane).await?;
        let result = open.exchange(lane, number).await;
        if lane.run.plan.connection_per_request
            || matches!(result, Err(Broken::Unsent | Broken::Unprocessed(_)))
        {
            self.forget(&open).await;
        }
        result
    }

    async fn is_open(&mut self, _: &Lane) -> bool {
        self.shared.lock().await.as_ref().is_some_and(|open| !open.sender.is_closed())
    }
}

impl Http2 {
    pub(super) fn new(dialer: Dialer) -> Self {
        Self { dialer: Rc::new(dialer), shared: Rc::default() }
    }

    async fn connection(&self, lane: &Lane) -> Result<Open, Broken> {
        if lane.run.plan.connection_per_request {
            return Open::new(&self.dialer, lane).await;
        }
        let mut shared = self.shared.lock().await;
        match &*shared {
            Some(open) if !open.sender.is_closed() => Ok(open.clone()),
            _ => Ok(shared.insert(Open::new(&self.dialer, lane).await?).clone()),
        }
    }

    /// Lets the next attempt open a new connection; what is in flight on the old one may finish.
    async fn forget(&self, broken: &Open) {
        let mut shared = self.shared.lock().await;
        if shared.as_ref().is_some_and(|open| Rc::ptr_eq(&open.proven, &broken.proven)) {
            *shared = None;
        }
    }
}

impl Open {
    async fn new(dialer: &Dialer, lane: &Lane) -> Result<Self, Broken> {
        let stream = dialer.connect(lane).await?;
        let (sender, connection) = http2::Builder::new(LocalExecutor)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Broken::Failed(Failure::of(&error)))?;
        // Its errors reach every request that is in flight.
        spawn_local(connection);
        Ok(Self { sender, proven: Rc::default() })
    }

    async fn exchange(&mut self, lane: &Lane, number: u64) -> Result<Answer, Broken> {
        let response = match self.sender.try_send_request(lane.run.template.request(number)).await {
            Ok(response) => response,
            Err(mut error) => {
                let sent = error.take_message().is_none();
                return Err(self.broken(sent, error.error()));
            }
        };
        self.proven.set(true);
        let status = response.status();
        let mut inspection =
            lane.run.verifier.inspect(status, announced(response.headers(), CHECKSUM_HEADER));
        inspection.grpc(response.headers());
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            inspection.frame(&frame.map_err(|error| Broken::Failed(Failure::of(&error)))?);
        }
        Ok(Answer { status: Some(status), length: inspection.length(), verdict: inspection.verdict() })
    }

    fn broken(&self, sent: bool, error: &hyper::Error) -> Broken {
        let failure = Failure::of(error);
        match self.proven.get() {
            true if !sent => Broken::Unsent,
            _ if is_unprocessed(error) => Broken::Unprocessed(failure),
            _ => Broken::Failed(failure),
        }
    }
}

/// Runs hyper's tasks on the thread they were made on.
#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F> Executor<F> for LocalExecutor
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}
