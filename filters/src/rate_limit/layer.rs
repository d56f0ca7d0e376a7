//! The thin shell around [`Limit`].

use std::{
    rc::Rc,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use http::Response;
use tower::{Layer, Service};

use super::{Limit, limiter::nanos};
use crate::{
    error::Error,
    service::{Body, Next, Request, ResponseFuture, refused},
};

/// Refuses what is over one of several limits, in their order: each counts only what those before it let through.
#[derive(Debug, Clone)]
pub struct RateLimitLayer(Rc<[Arc<Limit>]>);

impl RateLimitLayer {
    /// These limits.
    pub fn new(limits: impl Into<Rc<[Arc<Limit>]>>) -> Self {
        Self(limits.into())
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimited<S>;

    fn layer(&self, inner: S) -> RateLimited<S> {
        RateLimited { limits: Rc::clone(&self.0), inner }
    }
}

/// Refuses what is over one of several limits.
#[derive(Debug, Clone)]
pub struct RateLimited<S> {
    limits: Rc<[Arc<Limit>]>,
    inner: S,
}

impl<S: Next> Service<Request> for RateLimited<S> {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let now = nanos(request.context.started);
        match self.limits.iter().try_for_each(|limit| limit.admit(&request, now)) {
            Ok(()) => self.inner.call(request),
            Err(error) => refused(error),
        }
    }
}
