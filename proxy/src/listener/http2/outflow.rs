//! What one HTTP/2 connection holds of the answers to its client.
//!
//! h2 takes of each stream what its window lets pass, whether the socket takes anything or not. A client that opens all
//! windows and reads nothing would have us hold the whole of it for every stream. So the streams of a connection
//! share a bound, and each may hold one piece beyond it: those that stand still keep the others from nothing but speed.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use outrigger_filters::{error::Error, service::Body};

/// Bytes that a connection holds before its streams wait: as many as its client may send us unasked.
const MOST: usize = 256 * 1024;

/// The streams of a connection together.
#[derive(Default)]
pub(super) struct Outflow {
    held: Cell<usize>,
    waiting: RefCell<Vec<Waker>>,
}

impl Outflow {
    /// The body of an answer on this connection.
    pub(super) fn bound(self: &Rc<Self>, inner: Body) -> Bounded {
        let stream = Stream { connection: Rc::clone(self), held: Cell::new(0), waiting: Cell::default() };
        Bounded { inner, stream: Rc::new(stream) }
    }
}

/// One stream.
struct Stream {
    connection: Rc<Outflow>,
    held: Cell<usize>,
    /// Woken when nothing of this stream is held.
    waiting: Cell<Option<Waker>>,
}

impl Stream {
    fn must_wait(&self) -> bool {
        self.held.get() > 0 && self.connection.held.get() >= MOST
    }

    fn wait(&self, waker: &Waker) {
        self.waiting.set(Some(waker.clone()));
        let mut all = self.connection.waiting.borrow_mut();
        if !all.iter().any(|one| one.will_wake(waker)) {
            all.push(waker.clone());
        }
    }

    fn holds(&self, more: usize) {
        self.held.set(self.held.get() + more);
        self.connection.held.set(self.connection.held.get() + more);
    }

    fn lets_go(&self, some: usize) {
        self.held.set(self.held.get() - some);
        let left = self.connection.held.get() - some;
        self.connection.held.set(left);
        if self.held.get() == 0
            && let Some(waker) = self.waiting.take()
        {
            waker.wake();
        }
        if left <= MOST / 2 {
            self.connection.waiting.borrow_mut().drain(..).for_each(Waker::wake);
        }
    }
}

/// The body of an answer, which waits while too much is held.
pub(super) struct Bounded {
    inner: Body,
    stream: Rc<Stream>,
}

impl Bounded {
    /// Whether it waits for the client to take what was sent.
    pub(super) fn must_wait(&self) -> bool {
        self.stream.must_wait()
    }
}

impl HttpBody for Bounded {
    type Data = Held;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Held>, Error>>> {
        if self.stream.must_wait() {
            self.stream.wait(cx.waker());
            return Poll::Pending;
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let hold = |bytes: Bytes| {
            self.stream.holds(bytes.len());
            Held { size: bytes.len(), bytes, stream: Some(Rc::clone(&self.stream)) }
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(hold))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A piece of an answer, until it is written or given up.
#[derive(Default)]
pub(super) struct Held {
    bytes: Bytes,
    size: usize,
    /// None for a piece without bytes.
    stream: Option<Rc<Stream>>,
}

impl Buf for Held {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.bytes.copy_to_bytes(length)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            stream.lets_go(self.size);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::Relaxed},
        },
        task::Wake,
    };

    use http_body_util::StreamBody;

    use super::*;

    /// A waker that counts.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn counted() -> (Arc<Count>, Waker) {
        let count = Arc::<Count>::default();
        (Arc::clone(&count), Waker::from(count))
    }

    const PIECE: usize = 16 * 1024;

    /// A body without end.
    fn endless(outflow: &Rc<Outflow>) -> Bounded {
        let frames = futures_util::stream::repeat_with(|| Ok(Frame::data(Bytes::from(vec![0; PIECE]))));
        outflow.bound(Body::boxed(StreamBody::new(frames)))
    }

    fn take(body: &mut Bounded, waker: &Waker) -> Option<Held> {
        match Pin::new(body).poll_frame(&mut Context::from_waker(waker)) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
            Poll::Ready(_) => panic!("the body ended"),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_connection_holds_so_much_and_each_stream_one_piece_more() {
        let outflow = Rc::<Outflow>::default();
        let (_, waker) = counted();
        let mut greedy = endless(&outflow);
        let held: Vec<Held> = std::iter::from_fn(|| take(&mut greedy, &waker)).take(1000).collect();
        assert_eq!(held.len() * PIECE, MOST);
        for _ in 0..100 {
            let mut other = endless(&outflow);
            let piece = take(&mut other, &waker);
            assert!(piece.is_some(), "the others may hold one");
            assert!(take(&mut other, &waker).is_none(), "and wait for it to be written");
            drop(piece);
            assert!(take(&mut other, &waker).is_some());
        }
        drop(held);
        assert_eq!(outflow.held.get(), 0);
    }

    #[test]
    fn who_waits_is_woken_once_when_there_is_room_or_when_its_own_is_written() {
        let outflow = Rc::<Outflow>::default();
        let ((greedy_woken, greedy_waker), (other_woken, other_waker)) = (counted(), counted());
        let woken = |count: &Count| count.0.load(Relaxed);
        let (mut greedy, mut other) = (endless(&outflow), endless(&outflow));
        let mut held: Vec<Held> =
            std::iter::from_fn(|| take(&mut greedy, &greedy_waker)).take(1000).collect();
        let own = take(&mut other, &other_waker).unwrap();
        assert!(take(&mut other, &other_waker).is_none());
        drop(own);
        assert_eq!((woken(&greedy_woken), woken(&other_woken)), (0, 1));
        while woken(&greedy_woken) == 0 {
            held.pop().expect("it is woken before all is written");
        }
        assert!(held.len() * PIECE <= MOST / 2);
        assert!(take(&mut greedy, &greedy_waker).is_some());
    }

    #[test]
    fn what_is_given_up_is_held_no_more() {
        let outflow = Rc::<Outflow>::default();
        let (_, waker) = counted();
        let mut body = endless(&outflow);
        let mut piece = take(&mut body, &waker).unwrap();
        drop(body);
        piece.advance(100);
        assert_eq!(outflow.held.get(), PIECE);
        drop(piece);
        assert_eq!(outflow.held.get(), 0);
    }
}
