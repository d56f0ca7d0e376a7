//! The end of a chain that sends a request to an endpoint and brings the answer back.
//!
//! Messages are written anew, raw bytes are never relayed. A request is sent a second time only when the first try
//! provably changed nothing: no connection, a pooled connection that was closed before a byte of it was written,
//! a stream the peer refused, or a bodiless GET, HEAD or OPTIONS on a pooled connection that broke before an answer.

mod answer;
mod expect;
mod prepare;

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use outrigger_config::model::{Config, Direction, Route, UpstreamId, WeightedBackend};
use outrigger_filters::{context::Context, error::Error, service::Body};
use tower::Service;

use self::{
    answer::AnswerBody,
    prepare::{Prepared, Wire},
};
use crate::{
    snapshot::LocalUpstream,
    upstream::{
        balance::Endpoints,
        endpoint::{Endpoint, InFlight},
        pool::{Pool, SendError, Upgraded},
    },
};

/// Sends requests of one route to its upstreams.
#[derive(Clone)]
pub(crate) struct Forward(Rc<Targets>);

struct Targets {
    /// Running sums of the weights, and the upstream each belongs to.
    backends: Vec<(u32, UpstreamId)>,
    upstreams: Rc<[Rc<LocalUpstream>]>,
    direction: Direction,
    rewrites_host: bool,
}

/// What a 101 leaves for the connection task, in a response extension. The `Rc` never leaves its worker.
#[derive(Clone)]
pub(crate) struct UpgradedSlot(send_wrapper::SendWrapper<Rc<RefCell<Option<Upgraded>>>>);

impl UpgradedSlot {
    fn new(upgraded: Upgraded) -> Self {
        Self(send_wrapper::SendWrapper::new(Rc::new(RefCell::new(Some(upgraded)))))
    }

    /// Takes it.
    pub(crate) fn take(&self) -> Option<Upgraded> {
        self.0.borrow_mut().take()
    }
}

impl Forward {
    /// Forwards to `backends`.
    pub(crate) fn new(
        config: &Config,
        route: &Route,
        backends: &[WeightedBackend],
        upstreams: Rc<[Rc<LocalUpstream>]>,
    ) -> Self {
        let backends = backends
            .iter()
            .filter(|one| one.weight > 0)
            .scan(0, |sum, one| {
                *sum += one.weight;
                Some((*sum, one.upstream))
            })
            .collect();
        let direction =
            route.listeners.first().map_or(Direction::Inbound, |id| config.listener(*id).direction);
        let rewrites_host = route.url_rewrite.hostname.is_some();
        Self(Rc::new(Targets { backends, upstreams, direction, rewrites_host }))
    }
}

impl Service<Request<Body>> for Forward {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>>>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let targets = Rc::clone(&self.0);
        Box::pin(async move { targets.send(request).await })
    }
}

/// Why one try brought no answer.
enum Failed {
    /// Nothing changed at the endpoint; here is the request again.
    Harmless(Box<Request<Body>>, Error),
    /// The end.
    Final(Error),
}

impl Targets {
    fn backend(&self) -> UpstreamId {
        let (total, last) = self.backends[self.backends.len() - 1];
        if self.backends.len() == 1 {
            return last;
        }
        let point = fastrand::u32(..total);
        let index = self.backends.partition_point(|(sum, _)| *sum <= point);
        self.backends[index].1
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let id = self.backend();
        let upstream = &self.upstreams[id.0 as usize];
        let context = request.extensions().get::<Context>().cloned().expect("the edge begins every exchange");
        context.upstream.set(Some(id));
        let mut prepared = prepare::prepare(request, &upstream.shared.model, &context);
        let mut avoid = None;
        loop {
            let endpoints = EndpointsOf(&upstream.shared.endpoints);
            let chosen = upstream.shared.balancer.choose(&endpoints, avoid);
            let index = chosen
                .ok_or_else(|| Error::NoEndpoint { upstream: Arc::clone(&upstream.shared.model.name) })?;
            let attempt = Attempt { pool: &upstream.pools[index], context: &context, first: avoid.is_none() };
            attempt.announce();
            if self.direction == Direction::Outbound && !self.rewrites_host {
                prepared.set_host(&attempt.pool.endpoint().spec.authority);
            }
            match attempt.run(prepared).await {
                Ok(response) => return Ok(response),
                Err(Failed::Harmless(request, _)) if avoid.is_none() => {
                    upstream.counters.repeated();
                    avoid = Some(index);
                    prepared = prepare::again(*request, &upstream.shared.model, &context);
                }
                Err(Failed::Harmless(_, error) | Failed::Final(error)) => return Err(error),
            }
        }
    }
}

struct EndpointsOf<'a>(&'a [Arc<Endpoint>]);

impl Endpoints for EndpointsOf<'_> {
    fn is_available(&self, index: usize) -> bool {
        self.0[index].is_available()
    }

    fn in_flight(&self, index: usize) -> u32 {
        self.0[index].in_flight()
    }
}

/// One try at one endpoint.
struct Attempt<'a> {
    pool: &'a Rc<Pool>,
    context: &'a Context,
    first: bool,
}

impl Attempt<'_> {
    fn announce(&self) {
        self.context.attempts.set(self.context.attempts.get() + 1);
        *self.context.endpoint.borrow_mut() = Some(Arc::clone(&self.pool.endpoint().label));
    }

    async fn run(&self, prepared: Prepared) -> Result<Response<Body>, Failed> {
        let in_flight = InFlight::begin(self.pool.endpoint());
        match prepared.wire {
            Wire::Http1 => self.http1(prepared, in_flight).await,
            Wire::Http2 => self.http2(prepared.request, in_flight).await,
        }
    }

    async fn http1(&self, prepared: Prepared, in_flight: InFlight) -> Result<Response<Body>, Failed> {
        let Prepared { request, upgrade, .. } = prepared;
        if !prepare::is_repeatable(&request) {
            // Such a request gets one chance, so let the runtime first hear of connections that have just closed.
            tokio::task::yield_now().await;
        }
        // A second try does not gamble on another old connection.
        let pooled = if self.first { self.pool.checkout() } else { None };
        let mut lease = match pooled {
            Some(lease) => lease,
            None => match self.pool.open().await {
                Ok(lease) => lease,
                Err(error) => return Err(Failed::Harmless(Box::new(request), self.connect_failed(error))),
            },
        };
        let copy = (lease.is_reused() && self.first).then(|| prepare::copy_for_repeat(&request)).flatten();
        match lease.send(request).await {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                if !upgrade {
                    return Err(Failed::Final(self.protocol("101 without a request to upgrade")));
                }
                let Some(upgraded) = lease.into_upgraded() else {
                    return Err(Failed::Final(self.protocol("the connection did not end its HTTP part")));
                };
                Ok(self.upgraded(response, upgraded))
            }
            Ok(response) => self.answer(response, |body| AnswerBody::http1(body, lease, in_flight, self)),
            Err(SendError::Unsent(request)) => {
                let cause = "closed before the request was sent";
                Err(Failed::Harmless(request, self.closed(cause.into())))
            }
            Err(SendError::Failed(error)) => match copy {
                Some(request) if !error.is_parse() => {
                    Err(Failed::Harmless(Box::new(request), self.closed(error.into())))
                }
                _ => Err(Failed::Final(self.failed(error))),
            },
        }
    }

    async fn http2(&self, request: Request<Body>, in_flight: InFlight) -> Result<Response<Body>, Failed> {
        let stream = match self.pool.stream().await {
            Ok(stream) => stream,
            Err(error) => return Err(Failed::Harmless(Box::new(request), self.connect_failed(error))),
        };
        let copy = if self.first { prepare::copy_for_repeat(&request) } else { None };
        match stream.send(request).await {
            Ok(response) => self.answer(response, |body| AnswerBody::http2(body, stream, in_flight, self)),
            Err(SendError::Unsent(request)) => {
                let cause = "closed before the request was sent";
                Err(Failed::Harmless(request, self.closed(cause.into())))
            }
            Err(SendError::Failed(error)) => match copy {
                Some(request)
                    if answer::is_refused_stream(&error)
                        || (stream.is_reused() && answer::is_broken_connection(&error)) =>
                {
                    Err(Failed::Harmless(Box::new(request), self.closed(error.into())))
                }
                _ => Err(Failed::Final(self.failed(error))),
            },
        }
    }

    fn answer(
        &self,
        response: Response<Incoming>,
        body: impl FnOnce(Incoming) -> Body,
    ) -> Result<Response<Body>, Failed> {
        let (mut head, incoming) = response.into_parts();
        if let Some(problem) = answer::ambiguous(&head) {
            return Err(Failed::Final(self.protocol(problem))); // dropping the body closes the connection
        }
        answer::clean(&mut head);
        Ok(Response::from_parts(head, body(incoming)))
    }

    fn upgraded(&self, response: Response<Incoming>, upgraded: Upgraded) -> Response<Body> {
        let (mut head, _) = response.into_parts();
        answer::clean_upgrade(&mut head);
        head.extensions.insert(UpgradedSlot::new(upgraded));
        Response::from_parts(head, Body::Empty)
    }

    fn connect_failed(&self, error: std::io::Error) -> Error {
        Error::ConnectFailed { endpoint: Arc::clone(&self.pool.endpoint().label), cause: error.into() }
    }

    fn closed(&self, cause: outrigger_filters::error::Cause) -> Error {
        Error::UpstreamClosed { endpoint: Arc::clone(&self.pool.endpoint().label), cause }
    }

    fn protocol(&self, problem: &'static str) -> Error {
        Error::UpstreamProtocol { endpoint: Arc::clone(&self.pool.endpoint().label), cause: problem.into() }
    }

    fn failed(&self, error: hyper::Error) -> Error {
        answer::failure(error, &self.pool.endpoint().label, self.context)
    }
}
