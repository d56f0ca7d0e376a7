//! HTTP/1.1: one connection, one request at a time. The connection is polled inside the request's own future; no
//! task is spawned for either.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use http_body_util::BodyExt;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::connect::Counted;
use super::failure::{Failure, FailureKind};
use super::tally::Answer;
use super::turn::{Broken, Client, Lane};
use crate::content::Content;

/// A client with at most one open connection.
#[derive(Default)]
pub(super) struct Http1 {
    idle: Option<Open>,
}

struct Open {
    sender: SendRequest<Content>,
    driver: Driver,
    received: Rc<Cell<u64>>,
    reused: bool,
}

/// The half of a connection that does the reading and writing, until it has ended.
struct Driver(Option<http1::Connection<TokioIo<Counted>, Content>>);

impl Client for Http1 {
    /// The connection is only put back after a complete exchange, so whatever breaks off also closes it.
    async fn attempt(&mut self, lane: &Lane, number: u64) -> Result<Answer, Broken> {
        let mut open = match self.idle.take() {
            Some(open) => open,
            None => Open::new(lane).await?,
        };
        let answer = open.exchange(lane, number).await?;
        if !lane.run.plan.connection_per_request && open.is_reusable().await {
            self.idle = Some(open);
        }
        Ok(answer)
    }
}

impl Open {
    async fn new(lane: &Lane) -> Result<Self, Broken> {
        let stream = lane.connect().await?;
        let received = stream.received();
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Broken::Failed(Failure::of(&error)))?;
        Ok(Self { sender, driver: Driver(Some(connection)), received, reused: false })
    }

    async fn exchange(&mut self, lane: &Lane, number: u64) -> Result<Answer, Broken> {
        let before = self.received.get();
        let response =
            match self.driver.run(self.sender.try_send_request(lane.run.template.request(number))).await {
                Ok(response) => response,
                Err(mut error) => {
                    let sent = error.take_message().is_none();
                    return Err(self.broken(before, sent, Failure::of(error.error())));
                }
            };
        let mut inspection = lane.run.verifier.inspect(&response);
        let status = response.status();
        let mut body = response.into_body();
        while let Some(frame) = self.driver.run(body.frame()).await {
            inspection.frame(&frame.map_err(|error| Broken::Failed(Failure::of(&error)))?);
        }
        Ok(Answer { status, length: inspection.length(), verdict: inspection.verdict() })
    }

    fn broken(&self, received_before: u64, sent: bool, failure: Failure) -> Broken {
        let silent = self.received.get() == received_before;
        let ended = matches!(failure.kind, FailureKind::Closed | FailureKind::Reset);
        match self.reused {
            true if !sent => Broken::Unsent,
            true if silent && ended => Broken::Stale(failure),
            _ => Broken::Failed(failure),
        }
    }

    /// False after `Connection: close` and when the peer has closed already.
    async fn is_reusable(&mut self) -> bool {
        self.reused = true;
        self.driver.run(self.sender.ready()).await.is_ok()
    }
}

impl Driver {
    /// Drives the connection until `future`, which waits for something from it, is done. The end of the connection
    /// ends all such futures.
    async fn run<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            if let Some(connection) = &mut self.0
                && Pin::new(connection).poll(cx).is_ready()
            {
                self.0 = None;
            }
            future.as_mut().poll(cx)
        })
        .await
    }
}
