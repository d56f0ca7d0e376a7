//! The shell around [`Gate`]: it holds a place as long as the call.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
};

use futures_util::future::Either;
use http::{Response, StatusCode};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::{Gate, Permit};
use crate::{
    context::Context,
    error::Error,
    service::{Body, HttpService, Request},
};

/// Lets in as many requests as there are places.
#[derive(Debug, Clone)]
pub struct ConcurrencyLayer(Arc<Gate>);

impl ConcurrencyLayer {
    /// Requests that pass this gate.
    pub fn new(gate: Arc<Gate>) -> Self {
        Self(gate)
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { gate: Arc::clone(&self.0), inner }
    }
}

/// Lets in as many requests as there are places.
#[derive(Debug, Clone)]
pub struct Limited<S> {
    gate: Arc<Gate>,
    inner: S,
}

pin_project! {
    /// An answer in the making that has a place.
    pub struct Admitted<F> {
        permit: Option<Permit>,
        context: Context,
        #[pin]
        inner: F,
    }
}

impl<F> Admitted<F> {
    fn new(permit: Permit, context: Context, inner: F) -> Self {
        Self { permit: Some(permit), context, inner }
    }
}

impl<F: Future<Output = Result<Response<Body>, Error>>> Future for Admitted<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answered = ready!(this.inner.poll(cx));
        let permit = this.permit.take();
        if answered.as_ref().is_ok_and(goes_on) {
            this.context.hold(permit);
        }
        Poll::Ready(answered)
    }
}

/// Whether the upstream still works on it: its body is not whole, or a tunnel begins.
fn goes_on(response: &Response<Body>) -> bool {
    matches!(response.body(), Body::Boxed(_)) || response.status() == StatusCode::SWITCHING_PROTOCOLS
}

type Waiting = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>>>>;

impl<S: HttpService> Service<Request> for Limited<S>
where
    S::Future: 'static,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = Either<Admitted<S::Future>, Waiting>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let context = Rc::clone(&request.context);
        if let Some(permit) = self.gate.enter() {
            return Either::Left(Admitted::new(permit, context, self.inner.call(request)));
        }
        let mut this = self.clone();
        Either::Right(Box::pin(async move {
            let permit = this.gate.wait().await.map_err(|_| Error::ConcurrencyFull)?;
            Admitted::new(permit, context, this.inner.call(request)).await
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use outrigger_config::model::Concurrency;
    use tower::service_fn;

    use super::*;

    fn layer(queue: u32) -> (Arc<Gate>, ConcurrencyLayer) {
        let gate = Arc::new(Gate::new(&Concurrency::new(1, queue, Duration::from_millis(100))));
        (Arc::clone(&gate), ConcurrencyLayer::new(gate))
    }

    fn request() -> Request {
        http::Request::new(Body::Empty).into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_goes_on_keeps_the_place_and_one_that_is_whole_does_not() {
        let (gate, layer) = layer(0);
        for (body, status, kept) in [
            (Body::boxed(Body::from("x")), 200, 1),
            (Body::from("x"), 200, 0),
            (Body::Empty, 204, 0),
            (Body::Empty, 101, 1),
        ] {
            let response = Response::builder().status(status).body(body).unwrap();
            let answer = std::cell::Cell::new(Some(response));
            let answer = Rc::new(answer);
            let mut service = layer.layer(service_fn(move |_: Request| {
                let answer = answer.take().expect("asked once");
                async move { Ok::<_, Error>(answer) }
            }));
            let request = request();
            let context = Rc::clone(&request.context);
            let response = service.call(request).await.unwrap();
            assert_eq!(gate.in_flight(), kept, "{status}");
            drop((response, context));
            assert_eq!(gate.in_flight(), 0, "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_and_a_call_that_is_given_up_leave_their_place() {
        let (gate, layer) = layer(0);
        let mut failing = layer.layer(service_fn(async |_: Request| Err(Error::BodyIdle)));
        assert!(failing.call(request()).await.is_err());
        assert_eq!(gate.in_flight(), 0);
        let mut hanging = layer.layer(service_fn(async |_: Request| std::future::pending().await));
        let call = hanging.call(request());
        assert_eq!(gate.in_flight(), 1);
        assert!(matches!(failing.call(request()).await, Err(Error::ConcurrencyFull)));
        drop(call);
        assert_eq!(gate.in_flight(), 0);
    }
}
