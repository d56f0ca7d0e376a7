//! The socket of a connection and its read buffer, shared by the connection task and the body of
//! the current request.
//!
//! A body reads the socket itself when it is polled, so that the slower side sets the pace, without
//! a buffer in between. The two never read at the same time: the task does not read until the body
//! has ended or was dropped. It is woken then, also when another task reads the body, that of an
//! HTTP/2 connection to an upstream.

use std::{
    cell::{Cell, RefCell},
    io,
    mem::MaybeUninit,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncReadExt, ReadBuf},
    time::Instant,
};

use super::io::ClientIo;
use crate::codec::{
    decode::{Decoder, Step},
    outgoing::Outgoing,
};

/// Size of a read while a head is expected.
const READ: usize = 4 * 1024;

/// With less free space than this, a read gets a new buffer.
const MIN_FREE: usize = 1024;

/// Size of a read while a body is expected.
const READ_BODY: usize = 64 * 1024;

/// Size of a read while the client should not send anything.
const READ_UNEXPECTED: usize = 256;

/// Bytes of an unused body that are discarded, so that the connection can be reused.
const DISCARD_LIMIT: usize = 64 * 1024;

/// Why a body was not complete.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It is invalid or ambiguous.
    Malformed(&'static str),
    /// The client disconnected, or the connection has ended.
    Gone(io::Error),
}

/// Whether the client is to get `100 Continue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Continue {
    /// It does not wait for it, or has got it.
    No,
    /// It waits, and the body was not read yet.
    Waits,
    /// It waits, and the body is being read.
    Due,
}

/// The shared socket and read buffer; see the module page.
pub(crate) struct Link {
    inner: RefCell<Inner>,
    go_on: Cell<Continue>,
    /// A body exists that may read the socket.
    lent: Cell<bool>,
    /// When the body was last polled after the response was complete.
    last_polled: Cell<Option<Instant>>,
    /// Whether the connection task is running; otherwise its waker, for the body.
    running: Cell<bool>,
    task: Cell<Option<Waker>>,
}

struct Inner {
    /// `None` after the end of the connection.
    io: Option<ClientIo>,
    /// Bytes that were read and not parsed yet.
    read: BytesMut,
    decoder: Decoder,
    /// The number of the request that the decoder belongs to.
    message: u64,
    broken: bool,
    /// The buffer has grown beyond its usual size.
    grown: bool,
}

impl Link {
    pub(crate) fn new(mut io: ClientIo) -> Rc<Self> {
        let read = io.take_front();
        Rc::new(Self {
            inner: RefCell::new(Inner {
                io: Some(io),
                read,
                decoder: Decoder::empty(),
                message: 0,
                broken: false,
                grown: false,
            }),
            go_on: Cell::new(Continue::No),
            lent: Cell::new(false),
            last_polled: Cell::new(None),
            running: Cell::new(false),
            task: Cell::new(None),
        })
    }

    /// The connection task starts to run.
    pub(crate) fn enter(&self) {
        self.running.set(true);
    }

    /// The connection task goes to sleep; an active body wakes it.
    pub(crate) fn leave(&self, cx: &Context<'_>) {
        self.running.set(false);
        if self.lent.get() {
            // Cloning a waker costs an atomic operation: keep the old one if it wakes the same
            // task.
            let task = self.task.take().filter(|task| task.will_wake(cx.waker()));
            self.task
                .set(Some(task.unwrap_or_else(|| cx.waker().clone())));
        }
    }

    fn wake(&self) {
        if !self.running.get()
            && let Some(task) = self.task.take()
        {
            task.wake();
        }
    }

    /// Uses `room` as the read buffer; bytes that were read before are moved into it.
    pub(crate) fn lend_buffer(&self, room: &mut BytesMut) {
        let read = &mut self.inner.borrow_mut().read;
        room.reserve(READ.max(read.len()));
        room.extend_from_slice(read);
        *read = std::mem::take(room);
    }

    /// Takes the empty read buffer back, unless it has grown.
    pub(crate) fn take_buffer(&self) -> BytesMut {
        let inner = &mut *self.inner.borrow_mut();
        let read = std::mem::take(&mut inner.read);
        if std::mem::take(&mut inner.grown) {
            BytesMut::new()
        } else {
            read
        }
    }

    /// Whether all bytes that were read are parsed.
    pub(crate) fn is_drained(&self) -> bool {
        self.inner.borrow().read.is_empty()
    }

    /// Whether the kernel has unread bytes.
    pub(crate) fn has_unread(&self) -> bool {
        self.inner
            .borrow()
            .io
            .as_ref()
            .is_some_and(ClientIo::has_unread)
    }

    /// Lets `take` consume bytes from the front of the read buffer.
    pub(crate) fn with_read<R>(&self, take: impl FnOnce(&mut BytesMut) -> R) -> R {
        take(&mut self.inner.borrow_mut().read)
    }

    /// Reads more of a head.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.inner.borrow_mut().poll_read(cx, READ)
    }

    /// Starts the body of the next request.
    pub(crate) fn begin(self: &Rc<Self>, decoder: Decoder, expects: bool) -> Option<Incoming> {
        let mut inner = self.inner.borrow_mut();
        // A body of an earlier request recognizes by this number that the decoder is not its own
        // any more.
        inner.message += 1;
        let whole = decoder.is_done();
        inner.decoder = decoder;
        if whole {
            return None;
        }
        self.go_on.set(if expects {
            Continue::Waits
        } else {
            Continue::No
        });
        self.lent.set(true);
        self.last_polled.set(None);
        Some(Incoming {
            link: Rc::clone(self),
            message: inner.message,
        })
    }

    /// Whether `100 Continue` is to be sent now; true once.
    pub(crate) fn take_continue(&self) -> bool {
        let due = self.go_on.get() == Continue::Due;
        if due {
            self.go_on.set(Continue::No);
        }
        due
    }

    /// The final response begins, so `100 Continue` is no longer sent.
    pub(crate) fn response_started(&self) {
        if self.go_on.get() == Continue::Waits {
            self.go_on.set(Continue::No);
        }
    }

    /// Whether the request was read to its last byte.
    pub(crate) fn is_read(&self) -> bool {
        self.inner.borrow().decoder.is_done()
    }

    /// Whether the body may still be polled.
    pub(crate) fn has_reader(&self) -> bool {
        let inner = self.inner.borrow();
        self.lent.get() && !inner.decoder.is_done() && !inner.broken
    }

    /// Restarts the time limit of a body whose response is complete.
    pub(crate) fn restart_body_timer(&self) {
        self.last_polled.set(Some(Instant::now()));
    }

    /// When the body was last polled after the response was complete.
    pub(crate) fn last_polled(&self) -> Option<Instant> {
        self.last_polled.get()
    }

    /// Discards available bytes of an unused body; returns whether the body ended.
    pub(crate) fn discard_body(&self, cx: &mut Context<'_>) -> bool {
        self.inner.borrow_mut().discard_body(cx)
    }

    /// Ready when the client closed or reset the connection. Other bytes stay for the next request;
    /// until they are read, a close behind them is not seen.
    pub(crate) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let inner = &mut *self.inner.borrow_mut();
        if !inner.read.is_empty() {
            return Poll::Pending;
        }
        let Some(io) = &mut inner.io else {
            return Poll::Ready(());
        };
        let mut overheard = [MaybeUninit::uninit(); READ_UNEXPECTED];
        let mut buf = ReadBuf::uninit(&mut overheard);
        match ready!(Pin::new(io).poll_read(cx, &mut buf)) {
            Ok(()) if !buf.filled().is_empty() => {
                // A pipelined request. It must not be lost, and reading it would let the client
                // send without limit.
                inner.read.extend_from_slice(buf.filled());
                Poll::Pending
            }
            Ok(()) | Err(_) => Poll::Ready(()),
        }
    }

    /// Writes to the socket.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        out: &mut Outgoing,
    ) -> Poll<io::Result<()>> {
        match &mut self.inner.borrow_mut().io {
            Some(io) => out.poll_write(cx, io),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Takes the socket, with unparsed bytes in front. A body that is still being read gets an
    /// error.
    pub(crate) fn take_io(&self) -> Option<ClientIo> {
        let mut inner = self.inner.borrow_mut();
        let read = std::mem::take(&mut inner.read).freeze();
        let mut io = inner.io.take()?;
        io.put_back(read);
        Some(io)
    }
}

impl Inner {
    fn poll_read(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        let Some(io) = &mut self.io else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if self.read.capacity() - self.read.len() < room.min(MIN_FREE) {
            self.read.reserve(room);
            self.grown |= room > READ || self.read.len() > READ;
        }
        pin!(io.read_buf(&mut self.read)).poll(cx)
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.broken {
            return Poll::Ready(None);
        }
        loop {
            match self.decoder.next(&mut self.read) {
                Ok(Step::Frame(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(Step::Done) => return Poll::Ready(None),
                Ok(Step::More) => {}
                Err(problem) => return Poll::Ready(Some(Err(Broken::Malformed(problem)))),
            }
            // No more than the body needs, so that a small body does not allocate a large buffer.
            let room = self.decoder.left().map_or(READ_BODY, |left| {
                left.clamp(READ as u64, READ_BODY as u64) as usize
            });
            match ready!(self.poll_read(cx, room)) {
                Ok(0) => {
                    let error = io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "closed within a request body",
                    );
                    return Poll::Ready(Some(Err(Broken::Gone(error))));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(Broken::Gone(error)))),
            }
        }
    }

    fn discard_body(&mut self, cx: &mut Context<'_>) -> bool {
        let mut thrown = 0;
        while thrown < DISCARD_LIMIT && !self.decoder.is_done() {
            match self.poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => thrown += frame.data_ref().map_or(0, Bytes::len),
                Poll::Ready(None) => break,
                Poll::Ready(Some(Err(_))) | Poll::Pending => return false,
            }
        }
        self.decoder.is_done()
    }
}

/// The body of a request, read from its connection when it is polled.
pub(crate) struct Incoming {
    link: Rc<Link>,
    message: u64,
}

impl Incoming {
    /// The next frame. Before the first, it triggers `100 Continue` if the client waits for it.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let link = &*self.link;
        let mut inner = link.inner.borrow_mut();
        if inner.message != self.message {
            // It has ended: otherwise the link would still have its decoder.
            return Poll::Ready(None);
        }
        if link.last_polled.get().is_some() {
            link.restart_body_timer();
        }
        if link.go_on.get() == Continue::Waits {
            link.go_on.set(Continue::Due);
            link.wake();
        }
        let polled = inner.poll_frame(cx);
        if let Poll::Ready(Some(Err(_))) = &polled {
            inner.broken = true;
        }
        if inner.broken || inner.decoder.is_done() {
            link.wake();
        }
        polled
    }

    /// Whether the body was read to its end.
    pub(crate) fn is_end_stream(&self) -> bool {
        let inner = self.link.inner.borrow();
        inner.message != self.message || inner.decoder.is_done()
    }

    /// Bytes still to come, as far as known.
    pub(crate) fn size_hint(&self) -> SizeHint {
        let inner = self.link.inner.borrow();
        match inner.message == self.message {
            true => inner
                .decoder
                .left()
                .map_or_else(SizeHint::default, SizeHint::with_exact),
            false => SizeHint::with_exact(0),
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if self.link.inner.borrow().message == self.message {
            self.link.lent.set(false);
            self.link.wake();
        }
    }
}
