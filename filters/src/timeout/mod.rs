//! `timeouts.request`: how long an upstream may take until its response head.
//!
//! It runs from the last byte of the request (during the upload only `bodyIdle` runs) to the
//! response head, over all attempts together; the forwarder applies the time of one attempt,
//! `backendRequest`. After the head, only `streamIdle` limits the bodies, so an exchange that makes
//! progress in either direction is never cut.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context as TaskContext, Poll, ready},
    time::Duration,
};

use http::Response;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::{
    context::Context,
    error::Error,
    service::{Body, HttpService, Request},
};

/// Wraps a service in a [`Timeout`].
#[derive(Debug, Clone, Copy)]
pub struct TimeoutLayer {
    limit: Duration,
}

impl TimeoutLayer {
    /// A timeout of `limit`.
    pub fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout {
            limit: self.limit,
            inner,
        }
    }
}

/// Fails with a timeout error if the response head is not there in time.
#[derive(Debug, Clone)]
pub struct Timeout<S> {
    limit: Duration,
    inner: S,
}

impl<S: HttpService> Service<Request> for Timeout<S> {
    type Response = Response<Body>;
    type Error = Error;
    type Future = TimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let context = Rc::clone(&request.context);
        TimeoutFuture {
            limit: self.limit,
            context,
            inner: self.inner.call(request),
        }
    }
}

pin_project! {
    /// The future of the response.
    pub struct TimeoutFuture<F> {
        limit: Duration,
        context: Context,
        #[pin]
        inner: F,
    }
}

impl<F: Future<Output = Result<Response<Body>, Error>>> Future for TimeoutFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(answer) = this.inner.poll(cx) {
            return Poll::Ready(answer);
        }
        let Some(complete) = this.context.poll_complete(cx) else {
            return Poll::Pending;
        };
        ready!(this.context.poll_deadline(complete + *this.limit, cx));
        this.context.timed_out.set(true);
        Poll::Ready(Err(Error::RequestTimeout))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, advance};
    use tower::service_fn;

    use super::*;

    fn request() -> Request {
        http::Request::new(Body::Empty).into()
    }

    async fn never(_: Request) -> Result<Response<Body>, Error> {
        std::future::pending().await
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_upstream_is_given_up_at_the_limit_and_not_before() {
        let mut service = TimeoutLayer::new(Duration::from_secs(15)).layer(service_fn(never));
        let request = request();
        request.context.complete_request(Instant::now());
        let mut answer = std::pin::pin!(service.call(request));
        let mut poll =
            async || std::future::poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
        assert!(poll().await.is_pending());
        advance(Duration::from_millis(14_999)).await;
        assert!(poll().await.is_pending());
        advance(Duration::from_millis(2)).await;
        assert!(matches!(
            poll().await,
            Poll::Ready(Err(Error::RequestTimeout))
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_starts_with_the_last_byte_of_the_request() {
        let request = request();
        let context = Rc::clone(&request.context);
        let mut service = TimeoutLayer::new(Duration::from_secs(1)).layer(service_fn(never));
        let mut answer = std::pin::pin!(service.call(request));
        let mut poll =
            async || std::future::poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
        for _ in 0..100 {
            assert!(poll().await.is_pending());
            advance(Duration::from_secs(1)).await;
        }
        context.complete_request(Instant::now());
        assert!(poll().await.is_pending());
        advance(Duration::from_millis(1_001)).await;
        assert!(!context.timed_out.get());
        assert!(matches!(
            poll().await,
            Poll::Ready(Err(Error::RequestTimeout))
        ));
        assert!(
            context.timed_out.get(),
            "so that the endpoint is known to be slow"
        );
    }
}
