//! `Expect: 100-continue` from end to end: the body waits until the upstream asks for it (RFC 9110 section 10.1.1).
//!
//! The client is only told to go on when its body is first read, and that is when the upstream said 100 or kept
//! silent for a while; an upstream that refuses by the head alone is never sent the body. Informational answers are
//! counted here as well, since hyper has one callback for them; the pool ends a connection that sends too many.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use outrigger_filters::{error::Error, service::Body};
use tokio::time::{Sleep, sleep};

use super::prepare::Wire;

/// An upstream that says nothing gets the body after this time, as curl does it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the request has a body that waits to be asked for.
pub(super) fn wants_continue(request: &Request<Body>) -> bool {
    let expect = request.headers().get(header::EXPECT);
    expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Holds the body back. Over HTTP/2 hyper shows no informational answers, so there the body goes at once.
pub(super) fn gate(mut request: Request<Body>, wire: Wire) -> Request<Body> {
    if wire == Wire::Http2 || request.body().is_end_stream() {
        request.headers_mut().remove(header::EXPECT);
        return request;
    }
    let signal = Arc::<Signal>::default();
    request.extensions_mut().insert(Arc::clone(&signal));
    request.map(|inner| Body::boxed(Gated { inner, signal, timer: None, open: false }))
}

/// Counts informational answers in `seen`, and opens the gate of a body that waits for one.
pub(super) fn watch_informational(request: &mut Request<Body>, seen: Arc<AtomicUsize>) {
    let gate = request.extensions().get::<Arc<Signal>>().cloned();
    hyper::ext::on_informational(request, move |answer| {
        seen.fetch_add(1, Relaxed);
        if let Some(gate) = &gate
            && answer.status() == StatusCode::CONTINUE
        {
            gate.open();
        }
    });
}

/// hyper wants the callback to be `Send`; it is only ever called on this worker, so the lock is never contended.
#[derive(Default)]
struct Signal {
    open: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Signal {
    fn open(&self) {
        self.open.store(true, Relaxed);
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }
}

struct Gated {
    inner: Body,
    signal: Arc<Signal>,
    timer: Option<Pin<Box<Sleep>>>,
    open: bool,
}

impl Gated {
    fn poll_open(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        if self.signal.open.load(Relaxed) {
            self.open = true;
        }
        if self.open {
            return Poll::Ready(());
        }
        *self.signal.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        std::task::ready!(timer.as_mut().poll(cx));
        self.open = true;
        Poll::Ready(())
    }
}

impl HttpBody for Gated {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        std::task::ready!(self.poll_open(cx));
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
