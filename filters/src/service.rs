//! The service type of the chain, its request, and its body.
//!
//! A request never leaves its worker thread, so neither services nor futures need `Send`, and the
//! box at the end of a chain is an `Rc`.

use std::{
    cell::RefCell,
    fmt,
    future::{Future, ready},
    pin::Pin,
    rc::Rc,
    task::{Context as TaskContext, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tower::Service;

use crate::{
    context::Context,
    error::Error,
    recycle::{Recycle, Slots, Stored},
};

/// A request on its way through a chain.
pub struct Request {
    /// Method, target, version and fields; boxed, because every step of a chain moves the request.
    pub head: Box<Parts>,
    /// The body.
    pub body: Body,
    /// State that the steps share.
    pub context: Context,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("head", &self.head)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl From<http::Request<Body>> for Request {
    /// From a client on this machine, now.
    fn from(request: http::Request<Body>) -> Self {
        let (head, body) = request.into_parts();
        let (now, peer) = (tokio::time::Instant::now(), [127, 0, 0, 1].into());
        let context = crate::context::Exchange::begin(now, peer, None, Default::default());
        Self {
            head: Box::new(head),
            body,
            context,
        }
    }
}

/// Implemented for every service that fits into the chain.
///
/// Such a service is always ready: a request that cannot be served now fails with an error, and never waits in
/// `poll_ready`. So the chain never calls `poll_ready`, which saves every call a state.
pub trait HttpService:
    Service<Request, Response = Response<Body>, Error = Error> + Clone + 'static
{
}

impl<S> HttpService for S where
    S: Service<Request, Response = Response<Body>, Error = Error> + Clone + 'static
{
}

/// An answer in the making, in its slot on the heap: what passes a request on hands it back as it is. Nothing is moved, and
/// only the request itself polls it.
pub type ResponseFuture = Stored<dyn Recycle<Output = Result<Response<Body>, Error>>>;

/// A plain-text response; without a content type if the text is empty.
pub fn text(status: StatusCode, text: Bytes) -> Response<Body> {
    let plain = (!text.is_empty()).then_some("text/plain; charset=utf-8");
    let mut response = Response::new(Body::Full(text));
    *response.status_mut() = status;
    if let Some(plain) = plain.map(HeaderValue::from_static) {
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
    }
    response
}

/// The result of a step that rejects the request.
pub fn refused(error: Error) -> ResponseFuture {
    later(ready(Err(error)))
}

/// The result of a step that has to wait.
pub fn later(
    answer: impl Future<Output = Result<Response<Body>, Error>> + 'static,
) -> ResponseFuture {
    Stored::alone(answer).erase()
}

/// The type behind the pointer of a [`BoxService`].
pub(crate) trait Answering {
    /// Handles one request.
    fn answer(&self, request: Request) -> ResponseFuture;
}

/// The end of a chain, which owns the places of its futures. It is called in place: it never waits before it returns the future.
struct Leaf<S: HttpService> {
    service: RefCell<S>,
    slots: Slots<S::Future>,
}

impl<S> Answering for Leaf<S>
where
    S: HttpService,
    S::Future: 'static,
{
    fn answer(&self, request: Request) -> ResponseFuture {
        self.slots
            .store(self.service.borrow_mut().call(request))
            .erase()
    }
}

/// A chain, or the end of one, behind one pointer.
#[derive(Clone)]
pub struct BoxService(Rc<dyn Answering>);

impl BoxService {
    /// Boxes the end of a chain.
    pub fn new<S>(service: S) -> Self
    where
        S: HttpService,
        S::Future: 'static,
    {
        Self(Rc::new(Leaf {
            service: RefCell::new(service),
            slots: Slots::default(),
        }))
    }

    /// Boxes what answers in place.
    pub(crate) fn over(service: impl Answering + 'static) -> Self {
        Self(Rc::new(service))
    }

    /// Handles one request.
    pub fn answer(&self, request: Request) -> ResponseFuture {
        self.0.answer(request)
    }
}

impl Service<Request> for BoxService {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> ResponseFuture {
        self.answer(request)
    }
}

impl fmt::Debug for BoxService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxService").finish_non_exhaustive()
    }
}

/// A body of the chain's own making: guards, timeouts, upstream leases.
pub type BoxBody = Pin<Box<dyn HttpBody<Data = Bytes, Error = Error>>>;

/// The one body, for requests and responses.
#[derive(Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// All of it at once.
    Full(Bytes),
    /// The same with the trailers behind it.
    Trailed(Box<(Bytes, HeaderMap)>),
    /// Wrapped by a step of the chain.
    Boxed(BoxBody),
}

impl Body {
    /// A body that is all there.
    pub fn whole(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        match trailers {
            Some(trailers) => Self::Trailed(Box::new((data, trailers))),
            None if data.is_empty() => Self::Empty,
            None => Self::Full(data),
        }
    }

    /// Boxes a body.
    pub fn boxed(body: impl HttpBody<Data = Bytes, Error = Error> + 'static) -> Self {
        Self::Boxed(Box::pin(body))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Body::Empty",
            Self::Full(_) => "Body::Full",
            Self::Trailed(_) => "Body::Trailed",
            Self::Boxed(_) => "Body::Boxed",
        })
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::Full(Bytes::from_static(text.as_bytes()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(_) => match std::mem::take(&mut *self) {
                Self::Full(bytes) if !bytes.is_empty() => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                _ => Poll::Ready(None),
            },
            Self::Trailed(whole) => {
                let (data, trailers) = &mut **whole;
                if !data.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(std::mem::take(data)))));
                }
                let trailers = std::mem::take(trailers);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Self::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Trailed(_) => false,
            Self::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Trailed(_) => SizeHint::default(), // a message of a known length has no room for trailers in HTTP/1.1
            Self::Boxed(body) => body.size_hint(),
        }
    }
}
