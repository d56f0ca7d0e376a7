//! The ends of a chain that answer by themselves: redirects and fixed answers.

use std::{
    future::{Ready, ready},
    rc::Rc,
    task::{Context as TaskContext, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use outrigger_config::model::{DirectResponse, Redirect};
use outrigger_filters::{
    error::Error,
    host,
    redirect::{self, Origin},
    service::{Body, Request},
};
use tower::Service;

/// Answers with a redirect.
#[derive(Clone)]
pub(crate) struct RedirectAnswer(Rc<Redirect>);

impl RedirectAnswer {
    /// `requestRedirect`.
    pub(crate) fn new(redirect: &Redirect) -> Self {
        Self(Rc::new(redirect.clone()))
    }

    fn answer(&self, request: &Request) -> Result<Response<Body>, Error> {
        let head = &request.head;
        let authority = head
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let origin = Origin {
            scheme: request.context.scheme.get().as_str(),
            host: authority.map(host::host_of),
            port: authority.and_then(host::port_of),
            path: head.uri.path(),
            query: head.uri.query(),
            prefix_len: request.context.prefix_len.get(),
        };
        let location = redirect::location(&self.0, &origin).map_err(Error::Malformed)?;
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = self.0.status;
        response.headers_mut().insert(header::LOCATION, location);
        Ok(response)
    }
}

/// Answers with a fixed status and body.
#[derive(Clone)]
pub(crate) struct DirectAnswer {
    status: StatusCode,
    body: Bytes,
}

impl DirectAnswer {
    /// `directResponse`.
    pub(crate) fn new(answer: &DirectResponse) -> Self {
        Self {
            status: answer.status,
            body: Bytes::copy_from_slice(answer.body.as_bytes()),
        }
    }

    fn answer(&self) -> Response<Body> {
        let mut response = Response::new(Body::Full(self.body.clone()));
        *response.status_mut() = self.status;
        if !self.body.is_empty() {
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, text);
        }
        response
    }
}

impl Service<Request> for RedirectAnswer {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Ready<Result<Response<Body>, Error>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        ready(self.answer(&request))
    }
}

impl Service<Request> for DirectAnswer {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Ready<Result<Response<Body>, Error>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        ready(Ok(Self::answer(self)))
    }
}
