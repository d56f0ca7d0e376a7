//! The thin shell around [`super::apply`], for requests on their way to an upstream.

use std::{
    rc::Rc,
    task::{Context, Poll},
};

use http::Response;
use outrigger_config::model::HeaderChanges;
use tower::{Layer, Service};

use crate::{
    error::Error,
    service::{Body, Next, Request, ResponseFuture},
};

/// Changes the headers of requests.
#[derive(Debug, Clone)]
pub struct RequestHeadersLayer(Rc<HeaderChanges>);

impl RequestHeadersLayer {
    /// `requestHeaders` of a route.
    pub fn new(changes: &HeaderChanges) -> Self {
        Self(Rc::new(changes.clone()))
    }
}

impl<S> Layer<S> for RequestHeadersLayer {
    type Service = RequestHeaders<S>;

    fn layer(&self, inner: S) -> RequestHeaders<S> {
        RequestHeaders { changes: Rc::clone(&self.0), inner }
    }
}

/// Changes the headers of requests.
#[derive(Debug, Clone)]
pub struct RequestHeaders<S> {
    changes: Rc<HeaderChanges>,
    inner: S,
}

impl<S: Next> Service<Request> for RequestHeaders<S> {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> ResponseFuture {
        request.context.insert_own(&mut request.head.headers); // a route may change these as well
        super::apply(&self.changes, &mut request.head.headers);
        self.inner.call(request)
    }
}
