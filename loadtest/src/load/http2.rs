//! HTTP/2, with prior knowledge or by ALPN: several streams share one connection, which runs as a
//! separate task. The streams themselves are not tasks.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::rc::Rc;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::Request;
use tokio::sync::Mutex;
use tokio::task::spawn_local;

use super::connect::Dialer;
use super::failure::{Failure, is_unprocessed};
use super::lane::{Broken, Client, Lane};
use super::tally::Answer;
use super::verify::announced;
use crate::content::{CHECKSUM_HEADER, Content};

/// Flow-control window for the peer; with the default of 64 KiB the result would depend on round
/// trips.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 1 << 24;

/// One of the streams that share a connection.
#[derive(Clone)]
pub(super) struct Http2 {
    dialer: Rc<Dialer>,
    /// Locked while a connection is being opened, so that the streams open only one.
    shared: Rc<Mutex<Option<Open>>>,
    /// This stream's own handle on the connection.
    own: Option<Open>,
}

#[derive(Clone)]
struct Open {
    sender: SendRequest<Bytes>,
    state: Rc<State>,
}

/// The state of a connection.
#[derive(Default)]
struct State {
    /// Whether it has received a response.
    proven: Cell<bool>,
    closed: Cell<bool>,
}

impl Client for Http2 {
    async fn attempt(&mut self, lane: &Lane, number: u64) -> Result<Answer, Broken> {
        if lane.run.plan.connection_per_request {
            return Open::new(&self.dialer, lane)
                .await?
                .exchange(lane, number)
                .await;
        }
        let mut open = match self.own.take() {
            Some(open) if !open.state.closed.get() => open,
            _ => self.connection(lane).await?,
        };
        let result = open.exchange(lane, number).await;
        if matches!(result, Err(Broken::Unsent | Broken::Unprocessed(_))) {
            self.forget(&open).await;
        } else {
            self.own = Some(open);
        }
        result
    }

    async fn is_open(&mut self, _: &Lane) -> bool {
        self.shared
            .lock()
            .await
            .as_ref()
            .is_some_and(|open| !open.state.closed.get())
    }
}

impl Http2 {
    pub(super) fn new(dialer: Dialer) -> Self {
        Self {
            dialer: Rc::new(dialer),
            shared: Rc::default(),
            own: None,
        }
    }

    async fn connection(&self, lane: &Lane) -> Result<Open, Broken> {
        let mut shared = self.shared.lock().await;
        match &*shared {
            Some(open) if !open.state.closed.get() => Ok(open.clone()),
            _ => Ok(shared.insert(Open::new(&self.dialer, lane).await?).clone()),
        }
    }

    /// Makes the next attempt open a new connection; in-flight requests on the old one may finish.
    async fn forget(&self, broken: &Open) {
        let mut shared = self.shared.lock().await;
        if shared
            .as_ref()
            .is_some_and(|open| Rc::ptr_eq(&open.state, &broken.state))
        {
            *shared = None;
        }
    }
}

impl Open {
    async fn new(dialer: &Dialer, lane: &Lane) -> Result<Self, Broken> {
        let stream = dialer.connect(lane).await?;
        let (sender, connection) = Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .enable_push(false)
            .handshake(stream)
            .await
            .map_err(|error| Broken::Failed(Failure::of(&error)))?;
        let state = Rc::<State>::default();
        let known = Rc::clone(&state);
        spawn_local(async move {
            // Its errors reach every in-flight request.
            let _ = connection.await;
            known.closed.set(true);
        });
        Ok(Self { sender, state })
    }

    async fn exchange(&mut self, lane: &Lane, number: u64) -> Result<Answer, Broken> {
        let (head, mut content) = lane.run.template.request(number).into_parts();
        let first = content.next_frame();
        if let Err(error) = poll_fn(|cx| self.sender.poll_ready(cx)).await {
            return Err(self.broken(false, &error));
        }
        let request = Request::from_parts(head, ());
        let (response, mut stream) = match self.sender.send_request(request, first.is_none()) {
            Ok(streams) => streams,
            Err(error) => return Err(self.broken(false, &error)),
        };
        let answer = self.receive(lane, response);
        let Some(first) = first else {
            return answer.await;
        };
        // The response has the reason why nothing more can be sent.
        let sending = async {
            let _ = send(&mut stream, first, content).await;
            pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            never = sending => match never {},
            answer = answer => answer,
        }
    }

    async fn receive(&self, lane: &Lane, response: ResponseFuture) -> Result<Answer, Broken> {
        let response = response.await.map_err(|error| self.broken(true, &error))?;
        self.state.proven.set(true);
        let status = response.status();
        let mut inspection = lane
            .run
            .verifier
            .inspect(status, announced(response.headers(), CHECKSUM_HEADER));
        inspection.grpc(response.headers());
        let mut body = response.into_body();
        while let Some(data) = next(&mut body)
            .await
            .map_err(|error| Broken::Failed(Failure::of(&error)))?
        {
            inspection.data(&data);
        }
        if let Some(trailers) = body
            .trailers()
            .await
            .map_err(|error| Broken::Failed(Failure::of(&error)))?
        {
            inspection.trailers(&trailers);
        }
        Ok(Answer {
            status: Some(status),
            length: inspection.length(),
            verdict: inspection.verdict(),
        })
    }

    fn broken(&self, sent: bool, error: &h2::Error) -> Broken {
        let failure = Failure::of(error);
        match self.state.proven.get() {
            true if !sent => Broken::Unsent,
            _ if is_unprocessed(error) => Broken::Unprocessed(failure),
            _ => Broken::Failed(failure),
        }
    }
}

/// The next bytes of a body; their flow-control credit is returned at once.
async fn next(body: &mut RecvStream) -> Result<Option<Bytes>, h2::Error> {
    let Some(data) = body.data().await.transpose()? else {
        return Ok(None);
    };
    body.flow_control().release_capacity(data.len())?;
    Ok(Some(data))
}

/// Sends a body. A frame is sent when there is credit for a part of it, except the first one, which
/// is sent with the head.
async fn send(
    stream: &mut SendStream<Bytes>,
    first: Bytes,
    mut content: Content,
) -> Result<(), h2::Error> {
    let mut frame = first;
    while let Some(next) = content.next_frame() {
        stream.send_data(std::mem::replace(&mut frame, next), false)?;
        stream.reserve_capacity(1);
        while stream.capacity() == 0 {
            match poll_fn(|cx| stream.poll_capacity(cx)).await {
                Some(capacity) => capacity?,
                // The peer stopped reading.
                None => return Ok(()),
            };
        }
    }
    stream.send_data(frame, true)
}
