//! The body of a stream as it arrives.
//!
//! Flow control counts bytes, but `h2` keeps a record of some hundred bytes for every frame that was not read yet. A
//! peer that sends a window of tiny frames to a slow reader would cost a hundred times its bytes. So the connection
//! counts small frames, and after [`SMALL_FRAMES`] of them the pieces that wait in `h2` are copied together here
//! ([`Streams::bring_together`]). The window is given back only when a reader takes them, so the peer is held back as
//! before, and no stream ends the connection of the others.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream};
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::{SMALL, SMALL_FRAMES};

/// Small pieces that wait are handed on together, up to so many bytes.
const TOGETHER: usize = 16 * 1024;

/// Trailers that are remembered until they are read.
const TRAILERS: usize = 256;

/// What of a body has arrived together with its head.
pub(crate) enum Arrived {
    /// There is none.
    Nothing,
    /// All of it.
    Whole(Bytes, Option<HeaderMap>),
    /// Not all of it.
    Some(Incoming),
}

/// A body that is still arriving.
pub(crate) struct Incoming {
    body: Rc<RefCell<Receiving>>,
    streams: Rc<Streams>,
    place: usize,
}

struct Receiving {
    recv: RecvStream,
    streams: Rc<Streams>,
    /// What arrived with the head; read first.
    first: Bytes,
    /// Small pieces, copied together; read next.
    kept: BytesMut,
    /// Bytes still to come, where the head says.
    left: Option<u64>,
    /// Only trailers may follow.
    data_ended: bool,
    /// What was found with the head.
    failed: Option<h2::Error>,
    /// The reader, while it waits.
    waiting: Option<Waker>,
}

/// The bodies that arrive on one connection.
#[derive(Default)]
pub(crate) struct Streams {
    bodies: RefCell<Vec<Option<Rc<RefCell<Receiving>>>>>,
    free: RefCell<Vec<usize>>,
    small: Cell<usize>,
    /// Streams whose trailers have arrived, and how many fields they have.
    trailers: RefCell<Vec<(u32, usize)>>,
}

/// Looks at the body of a stream whose head has just arrived; `left` bytes are announced.
pub(crate) fn begin(recv: RecvStream, left: Option<u64>, streams: &Rc<Streams>) -> Arrived {
    if recv.is_end_stream() {
        return Arrived::Nothing;
    }
    let mut body = Receiving {
        recv,
        streams: Rc::clone(streams),
        first: Bytes::new(),
        kept: BytesMut::new(),
        left,
        data_ended: false,
        failed: None,
        waiting: None,
    };
    match body.take_whole() {
        Ok(Some((data, trailers))) => Arrived::Whole(data, trailers),
        Ok(None) => Arrived::Some(streams.add(body)),
        Err(error) => {
            // It is reported where the body is read: the head stands for itself.
            body.failed = Some(error);
            Arrived::Some(streams.add(body))
        }
    }
}

impl Streams {
    /// A small frame of DATA has arrived.
    pub(crate) fn saw_small_frame(&self) {
        self.small.set(self.small.get() + 1);
    }

    /// Trailers of so many fields have arrived.
    pub(crate) fn saw_trailers(&self, stream: u32, fields: usize) {
        let mut trailers = self.trailers.borrow_mut();
        if trailers.len() == TRAILERS {
            trailers.remove(0); // that stream was reset before they were read
        }
        trailers.push((stream, fields));
    }

    /// Whether these are all fields of the trailers that have arrived; asked once, when they are read.
    fn are_whole(&self, stream: u32, trailers: &HeaderMap) -> bool {
        let mut all = self.trailers.borrow_mut();
        let place = all.iter().position(|(one, _)| *one == stream);
        place.is_none_or(|place| all.swap_remove(place).1 == trailers.len())
    }

    /// Whether [`Self::bring_together`] is due.
    pub(crate) fn is_due(&self) -> bool {
        self.small.get() >= SMALL_FRAMES
    }

    /// Copies the pieces together that wait in `h2`.
    pub(crate) fn bring_together(&self) {
        self.small.set(0);
        for body in self.bodies.borrow().iter().flatten() {
            body.borrow_mut().bring_together();
        }
    }

    fn add(self: &Rc<Self>, body: Receiving) -> Incoming {
        let body = Rc::new(RefCell::new(body));
        let mut bodies = self.bodies.borrow_mut();
        let place = self.free.borrow_mut().pop().unwrap_or(bodies.len());
        match bodies.get_mut(place) {
            Some(free) => *free = Some(Rc::clone(&body)),
            None => bodies.push(Some(Rc::clone(&body))),
        }
        Incoming { body, streams: Rc::clone(self), place }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.streams.bodies.borrow_mut()[self.place] = None;
        self.streams.free.borrow_mut().push(self.place);
    }
}

impl Incoming {
    /// The next piece of the body, or its trailers.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        self.body.borrow_mut().poll_frame(cx)
    }

    /// Whether the whole body was read.
    pub(crate) fn is_end_stream(&self) -> bool {
        let body = self.body.borrow();
        let taken = body.first.is_empty() && body.kept.is_empty() && body.failed.is_none();
        taken && body.recv.is_end_stream()
    }

    /// Bytes still to come, where the head says.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body.borrow().left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Receiving {
    /// All of the body, if it is one piece that has arrived with the head, as nearly all of gRPC.
    fn take_whole(&mut self) -> Result<Option<(Bytes, Option<HeaderMap>)>, h2::Error> {
        let cx = &mut Context::from_waker(Waker::noop());
        let data = match self.recv.poll_data(cx) {
            Poll::Ready(Some(data)) => data?,
            Poll::Ready(None) => {
                self.data_ended = true;
                Bytes::new()
            }
            Poll::Pending => return Ok(None),
        };
        let trailers = match self.recv.is_end_stream() {
            true => Some(None),
            false if data.len() <= TOGETHER => self.trailers_behind(cx)?,
            false => None,
        };
        match trailers {
            Some(trailers) => {
                self.release(data.len());
                Ok(Some((data, trailers)))
            }
            None => {
                self.first = data;
                Ok(None)
            }
        }
    }

    /// The trailers, if nothing but them follows and they have arrived.
    fn trailers_behind(&mut self, cx: &mut Context<'_>) -> Result<Option<Option<HeaderMap>>, h2::Error> {
        if !self.data_ended {
            match self.recv.poll_data(cx) {
                Poll::Ready(None) => self.data_ended = true,
                Poll::Ready(Some(more)) => self.kept.extend_from_slice(&more?),
                Poll::Pending => {}
            }
        }
        if !self.data_ended {
            return Ok(None);
        }
        match self.poll_trailers(cx) {
            Poll::Ready(trailers) => trailers.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<HeaderMap>, h2::Error>> {
        let trailers = ready!(self.recv.poll_trailers(cx))?;
        let stream = self.recv.stream_id().as_u32();
        match &trailers {
            // `h2` drops pseudo-header fields, with which the message is malformed (RFC 9113 section 8.1).
            Some(trailers) if !self.streams.are_whole(stream, trailers) => {
                Poll::Ready(Err(Reason::PROTOCOL_ERROR.into()))
            }
            _ => Poll::Ready(Ok(trailers)),
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            self.release(first.len());
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if !self.kept.is_empty() {
            return Poll::Ready(Some(Ok(self.take_kept())));
        }
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if !self.data_ended {
            match self.recv.poll_data(cx) {
                Poll::Ready(Some(Ok(data))) => return Poll::Ready(Some(Ok(self.take(data)))),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => self.data_ended = true,
                Poll::Pending => {
                    self.wait(cx);
                    return Poll::Pending;
                }
            }
        }
        let trailers = ready!(self.poll_trailers(cx)).transpose();
        Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)))
    }

    /// Keeps the reader's waker: looking at the stream for another reason would replace it.
    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.waiting {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waiting = Some(cx.waker().clone()),
        }
    }

    /// A piece that was read; a small one with those that wait behind it.
    fn take(&mut self, data: Bytes) -> Frame<Bytes> {
        if data.len() < SMALL && !self.recv.is_end_stream() {
            let cx = &mut Context::from_waker(Waker::noop()); // the reader comes again before it waits
            if let Some(second) = self.next_piece(cx) {
                self.kept.extend_from_slice(&data);
                self.kept.extend_from_slice(&second);
                while self.kept.len() < TOGETHER
                    && let Some(next) = self.next_piece(cx)
                {
                    self.kept.extend_from_slice(&next);
                }
                return self.take_kept();
            }
        }
        self.release(data.len());
        Frame::data(data)
    }

    /// The next piece, if there is one now. An error is found again by the next one who asks.
    fn next_piece(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        if self.data_ended {
            return None;
        }
        match self.recv.poll_data(cx) {
            Poll::Ready(Some(data)) => data.ok(),
            Poll::Ready(None) => {
                self.data_ended = true;
                None
            }
            Poll::Pending => None,
        }
    }

    fn take_kept(&mut self) -> Frame<Bytes> {
        let data = self.kept.split().freeze();
        if self.recv.is_end_stream() {
            self.kept = BytesMut::new(); // nothing follows that its room could be for
        }
        self.release(data.len());
        Frame::data(data)
    }

    fn bring_together(&mut self) {
        let waker = self.waiting.clone().unwrap_or_else(|| Waker::noop().clone());
        let cx = &mut Context::from_waker(&waker);
        while let Some(data) = self.next_piece(cx) {
            self.kept.extend_from_slice(&data);
        }
        // What the reader would be woken for has been taken from `h2` already.
        if (!self.kept.is_empty() || self.data_ended)
            && let Some(waiting) = self.waiting.take()
        {
            waiting.wake();
        }
    }

    /// A reader takes these bytes: the peer may send as many more.
    fn release(&mut self, bytes: usize) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(bytes as u64);
        }
        if bytes > 0 {
            // It fails for more than was received, and these were.
            let _ = self.recv.flow_control().release_capacity(bytes);
        }
    }
}
