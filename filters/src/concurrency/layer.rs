//! The shell around [`Gate`]: a request that is let in has its place in the exchange, until its answer is whole or the
//! exchange ends. Whoever hands the answer on gives the place back ([`goes_on`]), so that no future is wrapped for it.

use std::{
    rc::Rc,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use http::{Response, StatusCode};
use tower::{Layer, Service};

use super::Gate;
use crate::{
    error::Error,
    service::{Body, Next, Request, ResponseFuture, later},
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

/// Whether the upstream still works on it: its body is not whole, or a tunnel begins.
pub fn goes_on(response: &Response<Body>) -> bool {
    matches!(response.body(), Body::Boxed(_)) || response.status() == StatusCode::SWITCHING_PROTOCOLS
}

impl<S: Next> Service<Request> for Limited<S> {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let context = Rc::clone(&request.context);
        if let Some(permit) = self.gate.enter() {
            context.hold(permit);
            return self.inner.call(request);
        }
        let mut this = self.clone();
        later(async move {
            let permit = this.gate.wait().await.map_err(|_| Error::ConcurrencyFull)?;
            context.hold(permit);
            this.inner.call(request).await
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use outrigger_config::model::Concurrency;
    use tower::service_fn;

    use super::*;
    use crate::service::BoxService;

    fn layer(queue: u32) -> (Arc<Gate>, ConcurrencyLayer) {
        let gate = Arc::new(Gate::new(&Concurrency::new(1, queue, Duration::from_millis(100))));
        (Arc::clone(&gate), ConcurrencyLayer::new(gate))
    }

    fn request() -> Request {
        http::Request::new(Body::Empty).into()
    }

    #[test]
    fn an_answer_goes_on_while_its_body_comes_or_a_tunnel_begins() {
        for (body, status, expected) in [
            (Body::boxed(Body::from("x")), 200, true),
            (Body::from("x"), 200, false),
            (Body::Empty, 204, false),
            (Body::Empty, 101, true),
        ] {
            let response = Response::builder().status(status).body(body).unwrap();
            assert_eq!(goes_on(&response), expected, "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_lasts_as_long_as_its_exchange_or_until_it_is_released() {
        let (gate, layer) = layer(1);
        let mut hanging =
            layer.layer(BoxService::new(service_fn(async |_: Request| std::future::pending().await)));
        let first = request();
        let context = Rc::clone(&first.context);
        let call = hanging.call(first);
        assert_eq!(gate.in_flight(), 1);
        let mut second = std::pin::pin!(hanging.call(request()));
        let mut poll = async || std::future::poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx))).await;
        assert!(poll().await.is_pending());
        assert!(matches!(hanging.clone().call(request()).await, Err(Error::ConcurrencyFull)));
        context.release();
        assert!(poll().await.is_pending(), "let in, and on its way");
        assert_eq!((gate.in_flight(), gate.waiting()), (1, 0));
        drop((call, context));
        assert_eq!(gate.in_flight(), 1, "the second one's");
    }

    #[tokio::test(start_paused = true)]
    async fn an_exchange_that_ends_leaves_its_place() {
        let (gate, layer) = layer(0);
        let mut failing = layer.layer(BoxService::new(service_fn(async |_: Request| Err(Error::BodyIdle))));
        assert!(failing.call(request()).await.is_err());
        assert_eq!(gate.in_flight(), 0);
    }
}
