//! The thin shell around [`super::target`] and [`super::host`].

use std::{
    rc::Rc,
    task::{Context as TaskContext, Poll},
};

use http::Response;
use outrigger_config::model::UrlRewrite;
use tower::{Layer, Service};

use crate::{
    error::{Error, Malformed},
    service::{Body, Next, Request, ResponseFuture, refused},
};

/// Rewrites target and Host of requests.
#[derive(Debug, Clone)]
pub struct RewriteLayer(Rc<UrlRewrite>);

impl RewriteLayer {
    /// `urlRewrite` of a route.
    pub fn new(rewrite: &UrlRewrite) -> Self {
        Self(Rc::new(rewrite.clone()))
    }
}

impl<S> Layer<S> for RewriteLayer {
    type Service = Rewrite<S>;

    fn layer(&self, inner: S) -> Rewrite<S> {
        Rewrite { rewrite: Rc::clone(&self.0), inner }
    }
}

/// Rewrites target and Host of requests. The path is the canonical one: the edge made it so.
#[derive(Debug, Clone)]
pub struct Rewrite<S> {
    rewrite: Rc<UrlRewrite>,
    inner: S,
}

impl<S> Rewrite<S> {
    fn apply(&self, request: &mut Request) -> Result<(), Malformed> {
        let (head, prefix_len) = (&mut request.head, request.context.prefix_len.get());
        if let Some(target) = super::target(&self.rewrite, prefix_len, head.uri.path(), &head.uri)? {
            head.uri = target;
        }
        super::host(&self.rewrite, &mut head.headers);
        Ok(())
    }
}

impl<S: Next> Service<Request> for Rewrite<S> {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        match self.apply(&mut request) {
            Ok(()) => self.inner.call(request),
            Err(malformed) => refused(Error::Malformed(malformed)),
        }
    }
}
