//! The end of a chain that sends a request to an endpoint and brings the answer back.
//!
//! Messages are written anew, raw bytes are never relayed. A request is sent a second time only when the first try
//! provably changed nothing: no connection, a pooled connection that was closed before a byte of it was written,
//! a stream the peer refused, or a bodiless GET, HEAD or OPTIONS on a pooled connection that broke before an answer.

mod answer;
mod prepare;

use std::{cell::RefCell, future::poll_fn, rc::Rc, sync::Arc};

use http::{Request, Response, StatusCode, header};
use outrigger_config::model::{Config, Direction, Route, UpstreamId, WeightedBackend};
use outrigger_filters::{
    context::Context,
    error::Error,
    service::{self, Body, HttpService},
};

use self::{
    answer::AnswerBody,
    prepare::{Prepared, Wire},
};
use crate::upstream::{
    http1::{self, Failure},
    in_flight::InFlight,
    local::{LocalUpstream, Picked, Tried},
    pool::{Lease, Pool, SendError, Upgraded},
};

/// Where the requests of one route go.
struct Targets {
    /// Running sums of the weights, and the upstream each belongs to.
    backends: Vec<(u32, UpstreamId)>,
    upstreams: Rc<[Rc<LocalUpstream>]>,
    /// Host on outbound routes is the endpoint's, unless the route names one.
    endpoint_host: bool,
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

/// Forwards to `backends`. The future of each call has no name and no box: it lies in that of the chain around it.
pub(crate) fn service(
    config: &Config,
    route: &Route,
    backends: &[WeightedBackend],
    upstreams: Rc<[Rc<LocalUpstream>]>,
) -> impl HttpService<Future: 'static> + use<> {
    let targets = Rc::new(Targets::new(config, route, backends, upstreams));
    tower::service_fn(move |request| {
        let sending = send(targets.begin(request));
        debug_assert!(size_of_val(&sending) <= 1024, "every request copies this future once");
        sending
    })
}

/// A request on its way to an upstream that was chosen.
struct Call {
    upstream: Rc<LocalUpstream>,
    endpoint_host: bool,
    context: Context,
    prepared: Prepared,
}

/// Why one try brought no answer.
enum Failed {
    /// Nothing changed at the endpoint, and the request is as it was.
    Harmless(Error),
    /// The end.
    Final(Error),
}

impl Targets {
    fn new(
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
        let endpoint_host = direction == Direction::Outbound && route.url_rewrite.hostname.is_none();
        Self { backends, upstreams, endpoint_host }
    }

    fn backend(&self) -> UpstreamId {
        let (total, last) = self.backends[self.backends.len() - 1];
        if self.backends.len() == 1 {
            return last;
        }
        let point = fastrand::u32(..total);
        let index = self.backends.partition_point(|(sum, _)| *sum <= point);
        self.backends[index].1
    }

    /// Everything before the first wait. Not part of the future below, which stays small without it.
    fn begin(&self, request: service::Request) -> Call {
        let id = self.backend();
        let upstream = Rc::clone(&self.upstreams[id.0 as usize]);
        let service::Request { head, body, context } = request;
        context.upstream.set(Some(id));
        let mut prepared =
            prepare::prepare(Request::from_parts(head, body), &upstream.shared.model, &context);
        if let Some(authorization) = &upstream.authorization {
            prepared.request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        Call { upstream, endpoint_host: self.endpoint_host, context, prepared }
    }
}

async fn send(mut call: Call) -> Result<Response<Body>, Error> {
    let mut tried = Tried::default();
    loop {
        let Picked { pool, in_flight } = call.upstream.pick(&tried, &call.context)?;
        let attempt = Attempt { pool: &pool, context: &call.context, first: tried.is_empty() };
        attempt.announce();
        if call.endpoint_host {
            call.prepared.set_host(call.upstream.shared.model.host(&pool.endpoint().spec));
        }
        match attempt.run(&mut call.prepared, in_flight).await {
            Ok(response) => return Ok(response),
            Err(Failed::Harmless(_)) if tried.is_empty() => {
                call.upstream.shared.counters.repeated();
                tried.add(pool.endpoint());
            }
            Err(Failed::Harmless(error) | Failed::Final(error)) => return Err(error),
        }
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

    async fn run(&self, prepared: &mut Prepared, in_flight: InFlight) -> Result<Response<Body>, Failed> {
        match prepared.wire {
            Wire::Http1 => self.http1(prepared, in_flight).await,
            Wire::Http2 => Box::pin(self.http2(prepared, in_flight)).await,
        }
    }

    async fn http1(
        &self,
        prepared: &mut Prepared,
        mut in_flight: InFlight,
    ) -> Result<Response<Body>, Failed> {
        if !prepared.repeatable {
            // Such a request gets one chance, so let the runtime first hear of connections that have just closed.
            tokio::task::yield_now().await;
        }
        // A second try does not gamble on another old connection.
        let pooled = if self.first { self.pool.checkout() } else { None };
        let mut lease = match pooled {
            Some(lease) => lease,
            None => Box::pin(self.pool.open())
                .await
                .map_err(|error| Failed::Harmless(self.connect_failed(error, &mut in_flight)))?,
        };
        let request = &mut prepared.request;
        let mut sending = lease.connection().begin(request, self.context.own.borrow().as_ref());
        let mut informational = 0;
        let answered =
            poll_fn(|cx| lease.connection().poll_response(cx, request, &mut sending, &mut informational))
                .await;
        if answered.is_ok() {
            // It holds on to the client's head, and with it to the buffer that the next request is to be read into.
            self.context.own.take();
        }
        match answered {
            Ok(response) if response.head.status == StatusCode::SWITCHING_PROTOCOLS => match prepared.upgrade
            {
                true => {
                    in_flight.answered(response.head.status, &response.head.headers);
                    Ok(self.upgraded(response.head, lease.into_upgraded()))
                }
                false => {
                    let error = self.protocol("101 without a request to upgrade");
                    in_flight.failed(&error);
                    Err(Failed::Final(error))
                }
            },
            Ok(http1::Response { mut head, has_hop_fields, body, sent }) => {
                in_flight.answered(head.status, &head.headers);
                answer::clean(&mut head, has_hop_fields);
                let rest = (!sent).then(|| (std::mem::take(request.body_mut()), sending));
                Ok(Response::from_parts(head, AnswerBody::http1(body, rest, lease, in_flight, self)))
            }
            Err(failure) => Err(self.broke(failure, prepared.repeatable, &mut lease, &mut in_flight)),
        }
    }

    /// A request of which nothing was written can go again; so can a safe one on an old connection.
    fn broke(
        &self,
        failure: Failure,
        repeatable: bool,
        lease: &mut Lease,
        in_flight: &mut InFlight,
    ) -> Failed {
        let closed = matches!(failure, Failure::Closed(_));
        let unsent = !lease.connection().has_written();
        let again = closed && (unsent || (repeatable && lease.is_reused() && self.first));
        let error = answer::failure(failure, &self.pool.endpoint().label, self.context);
        if !(closed && lease.is_reused()) {
            in_flight.failed(&error); // any endpoint may close a connection that was idle
        }
        if again { Failed::Harmless(error) } else { Failed::Final(error) }
    }

    async fn http2(
        &self,
        prepared: &mut Prepared,
        mut in_flight: InFlight,
    ) -> Result<Response<Body>, Failed> {
        let stream = self
            .pool
            .stream()
            .await
            .map_err(|error| Failed::Harmless(self.connect_failed(error, &mut in_flight)))?;
        let copy = prepared.repeatable.then(|| prepare::copy_for_repeat(&prepared.request));
        match stream.send(std::mem::take(&mut prepared.request)).await {
            Ok(response) => {
                let (mut head, body) = response.into_parts();
                in_flight.answered(head.status, &head.headers);
                answer::clean(&mut head, true);
                Ok(Response::from_parts(head, AnswerBody::http2(body, stream, in_flight, self)))
            }
            Err(SendError::Unsent(request)) => {
                prepared.request = *request;
                Err(Failed::Harmless(self.closed("closed before the request was sent".into())))
            }
            Err(SendError::Failed(error)) => {
                let stale = stream.is_reused() && answer::is_broken_connection(&error);
                let harmless = answer::is_refused_stream(&error) || (stale && self.first);
                let error = answer::http2_failure(error, &self.pool.endpoint().label, self.context);
                if !stale {
                    in_flight.failed(&error);
                }
                match copy.filter(|_| harmless) {
                    Some(request) => {
                        prepared.request = request;
                        Err(Failed::Harmless(error))
                    }
                    None => Err(Failed::Final(error)),
                }
            }
        }
    }

    fn upgraded(&self, mut head: http::response::Parts, upgraded: Upgraded) -> Response<Body> {
        answer::clean_upgrade(&mut head);
        head.extensions.insert(UpgradedSlot::new(upgraded));
        Response::from_parts(head, Body::Empty)
    }

    fn connect_failed(&self, error: std::io::Error, in_flight: &mut InFlight) -> Error {
        let error = answer::connect_failed(error, &self.pool.endpoint().label);
        in_flight.failed(&error);
        error
    }

    fn closed(&self, cause: outrigger_filters::error::Cause) -> Error {
        Error::UpstreamClosed { endpoint: Arc::clone(&self.pool.endpoint().label), cause }
    }

    fn protocol(&self, problem: &'static str) -> Error {
        Error::UpstreamProtocol { endpoint: Arc::clone(&self.pool.endpoint().label), cause: problem.into() }
    }
}
