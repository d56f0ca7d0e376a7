//! The end of a chain: sends a request to an endpoint and returns its response.
//!
//! Messages are encoded again, raw bytes are never relayed. Without `retry` a request is sent a
//! second time only if the first attempt provably changed nothing:
//! - no connection was established
//! - a pooled connection was closed before a byte of the request was written
//! - the peer rejected the stream
//! - a GET, HEAD or OPTIONS without body was sent on a pooled connection that broke before a
//!   response
//!
//! Everything else about several attempts is in [`tries`].

mod answer;
mod prepare;
mod tries;

use std::{cell::RefCell, future::poll_fn, rc::Rc, sync::Arc};

use http::{HeaderMap, Response, StatusCode};
use http_body::Body as _;
use outrigger_config::model::{Config, Route, WeightedBackend};
use outrigger_decision::{backends::Backends, wire::Wire};
use outrigger_filters::{
    context::Context,
    error::Error,
    hop_by_hop,
    retry::{self, Failure},
    service::{self, Body, HttpService},
};

use self::{
    answer::AnswerBody,
    prepare::{AttemptHeaders, Prepared},
    tries::Plan,
};
use crate::{
    codec,
    upstream::{
        http1, http2,
        in_flight::InFlight,
        local::{LocalUpstream, Picked, Tried},
        pool::{Lease, Pool, Stream, Upgraded},
    },
};

/// The upstreams for the requests of one route.
struct Targets {
    backends: Backends,
    upstreams: Rc<[Rc<LocalUpstream>]>,
}

/// The upgraded connection behind a 101, as a response extension. The `Rc` never leaves its worker.
#[derive(Clone)]
pub(crate) struct UpgradedSlot(send_wrapper::SendWrapper<Rc<RefCell<Option<Upgraded>>>>);

impl UpgradedSlot {
    fn new(upgraded: Upgraded) -> Self {
        Self(send_wrapper::SendWrapper::new(Rc::new(RefCell::new(Some(
            upgraded,
        )))))
    }

    /// Takes the connection.
    pub(crate) fn take(&self) -> Option<Upgraded> {
        self.0.borrow_mut().take()
    }
}

/// Forwards to `backends`. The future of each call is neither named nor boxed: it is part of that
/// of the chain around it.
pub(crate) fn service(
    config: &Config,
    route: &Route,
    backends: &[WeightedBackend],
    upstreams: Rc<[Rc<LocalUpstream>]>,
) -> impl HttpService<Future: 'static> + use<> {
    let targets = Rc::new(Targets::new(config, route, backends, upstreams));
    tower::service_fn(move |request| {
        let (call, body) = targets.begin(request);
        let sending = send(call, body);
        let size = size_of_val(&sending);
        debug_assert!(
            size <= 512,
            "{size} bytes: every request copies this future once"
        );
        sending
    })
}

/// The same with `retry`, `hedge` or a timeout for each attempt.
pub(crate) fn repeating(
    config: &Config,
    route: &Route,
    backends: &[WeightedBackend],
    upstreams: Rc<[Rc<LocalUpstream>]>,
) -> impl HttpService<Future: 'static> + use<> {
    let plan = Rc::new(Plan::new(route, backends));
    let targets = Rc::new(Targets::new(config, route, backends, upstreams));
    tower::service_fn(move |request| {
        let (call, body) = targets.begin(request);
        let sending = tries::send(call, body, Rc::clone(&plan));
        let size = size_of_val(&sending);
        debug_assert!(
            size <= 896,
            "{size} bytes: every request copies this future once"
        );
        sending
    })
}

/// Whether a route needs [`repeating`].
pub(crate) fn repeats(route: &Route) -> bool {
    route.retry.is_some() || route.hedge.is_some() || route.timeouts.backend_request.is_some()
}

/// A request whose upstream is chosen.
struct Call {
    upstream: Rc<LocalUpstream>,
    endpoint_host: bool,
    context: Context,
    prepared: Prepared,
}

/// Why one attempt failed.
struct Failed {
    /// The error for the client if there is no other attempt.
    error: Error,
    /// The failure as the retry policy sees it.
    failure: Failure,
}

impl Targets {
    fn new(
        config: &Config,
        route: &Route,
        backends: &[WeightedBackend],
        upstreams: Rc<[Rc<LocalUpstream>]>,
    ) -> Self {
        Self {
            backends: Backends::new(config, route, backends),
            upstreams,
        }
    }

    /// Everything before the first wait. Separate from the future below, so that the future stays
    /// small.
    fn begin(&self, request: service::Request) -> (Call, Body) {
        let id = self
            .backends
            .choose(&request, |total| fastrand::u32(..total));
        let upstream = Rc::clone(&self.upstreams[id.0 as usize]);
        let service::Request {
            head,
            body,
            context,
        } = request;
        context.upstream.set(Some(id));
        upstream.shared.budget.earn();
        context.hash_key.set(
            upstream
                .shared
                .key(&head.headers, context.client_address.get()),
        );
        let prepared = prepare::prepare(
            head,
            &body,
            &upstream.shared.model,
            upstream.authorization.as_ref(),
            &context,
        );
        (
            Call {
                upstream,
                endpoint_host: self.backends.endpoint_host,
                context,
                prepared,
            },
            body,
        )
    }
}

#[expect(
    clippy::manual_async_fn,
    reason = "an async fn has room for its arguments twice"
)]
fn send(call: Call, mut body: Body) -> impl Future<Output = Result<Response<Body>, Error>> {
    async move {
        let mut tried = Tried::default();
        loop {
            let Picked { pool, in_flight } = call.upstream.pick(&tried, &call.context)?;
            let mut in_flight = Some(in_flight);
            let attempt = Attempt {
                pool: &pool,
                call: &call,
                may_reuse: tried.is_empty(),
                number: None,
            };
            attempt.announce();
            match attempt.run(&mut body, &mut in_flight).await {
                Ok(response) => {
                    call.prepared.let_go();
                    return Ok(response);
                }
                Err(Failed { error, failure }) => {
                    let first = tried.is_empty() && !call.prepared.gone.get();
                    let reason = retry::unasked(failure).filter(|_| first);
                    if !reason.is_some_and(|reason| call.upstream.may_retry(reason)) {
                        return Err(error);
                    }
                    tried.add(pool.endpoint());
                }
            }
        }
    }
}

/// One attempt at one endpoint.
struct Attempt<'a> {
    pool: &'a Rc<Pool>,
    call: &'a Call,
    /// Whether a pooled connection may be used; not after an attempt whose pooled connection broke.
    may_reuse: bool,
    /// The number of the attempt, if the route sends it.
    number: Option<u32>,
}

impl Attempt<'_> {
    fn announce(&self) {
        let context = &self.call.context;
        context.attempts.set(context.attempts.get() + 1);
        *context.endpoint.borrow_mut() = Some(Arc::clone(&self.pool.endpoint().address.label));
    }

    fn headers(&self) -> AttemptHeaders<'_> {
        let model = &self.call.upstream.shared.model;
        let host = self
            .call
            .endpoint_host
            .then(|| model.host(&self.pool.endpoint().address.spec));
        AttemptHeaders {
            host,
            number: self.number,
        }
    }

    /// Runs until the response head; the body takes `in_flight` over.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn has room for its arguments twice"
    )]
    fn run(
        &self,
        body: &mut Body,
        in_flight: &mut Option<InFlight>,
    ) -> impl Future<Output = Result<Response<Body>, Failed>> {
        async move {
            match self.call.prepared.sending.wire {
                Wire::Http1 => self.http1(body, in_flight).await,
                Wire::Http2 => Box::pin(self.http2(body, in_flight)).await,
            }
        }
    }

    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn has room for its arguments twice"
    )]
    fn http1(
        &self,
        body: &mut Body,
        in_flight: &mut Option<InFlight>,
    ) -> impl Future<Output = Result<Response<Body>, Failed>> {
        async move {
            let Call {
                context, prepared, ..
            } = self.call;
            if !prepared.sending.repeatable {
                // Such a request has one attempt only, so let the runtime first notice connections
                // that have just closed.
                tokio::task::yield_now().await;
            }
            let pooled = if self.may_reuse {
                self.pool.checkout()
            } else {
                None
            };
            let mut lease = match pooled {
                Some(lease) => lease,
                None => Box::pin(self.pool.open()).await.map_err(|error| {
                    Self::failed(Failure::NotConnected, self.connect_failed(error, in_flight))
                })?,
            };
            let mut sending = prepared.write(self.headers(), context, |head, own| {
                lease.connection().begin(head, body, own)
            });
            let mut informational = 0;
            let limit = self.most_fields();
            let answered = poll_fn(|cx| {
                prepared.with_answer_fields(|fields| {
                    lease.connection().poll_response(
                        cx,
                        body,
                        fields,
                        &mut sending,
                        &mut informational,
                        limit,
                    )
                })
            })
            .await;
            if answered.is_ok() && !prepared.keeps {
                // It keeps the client's head alive, and with it the buffer that the next request is
                // read into.
                context.own.take();
            }
            match answered {
                Ok(response) if response.head.status == StatusCode::SWITCHING_PROTOCOLS => {
                    match prepared.sending.upgrade {
                        true => {
                            answered_with(in_flight, response.head.status, &response.head.headers);
                            Ok(self.upgraded(response.head, lease.into_upgraded()))
                        }
                        false => {
                            let error = self.protocol("101 without a request to upgrade".into());
                            failed_with(in_flight, &error);
                            Err(Self::failed(Failure::Broken, error))
                        }
                    }
                }
                Ok(http1::Response {
                    mut head,
                    has_hop_fields,
                    body: reading,
                    sent,
                }) => {
                    answered_with(in_flight, head.status, &head.headers);
                    answer::clean(&mut head, has_hop_fields);
                    let rest = (!sent).then(|| (std::mem::take(body), sending));
                    let body = AnswerBody::http1(reading, rest, lease, in_flight.take(), self);
                    Ok(Response::from_parts(head, body))
                }
                Err(failure) => Err(self.broke(failure, &mut lease, in_flight)),
            }
        }
    }

    /// A request may be sent again if nothing of it was written, or if it is safe and the
    /// connection was a pooled one.
    fn broke(
        &self,
        failure: http1::Failure,
        lease: &mut Lease,
        in_flight: &mut Option<InFlight>,
    ) -> Failed {
        let closed = matches!(failure, http1::Failure::Closed(_));
        let kind = if closed && !lease.connection().has_written() {
            Failure::Unsent
        } else if closed && self.call.prepared.sending.repeatable && lease.is_reused() {
            Failure::Stale
        } else {
            Failure::Broken
        };
        let error = answer::failure(
            failure,
            &self.pool.endpoint().address.label,
            &self.call.context,
        );
        if !(closed && lease.is_reused()) {
            failed_with(in_flight, &error); // any endpoint may close a connection that was idle
        }
        Self::failed(kind, error)
    }

    /// A failure of the client's side is final, whatever it looks like on the upstream's side.
    fn failed(failure: Failure, error: Error) -> Failed {
        let upstreams = matches!(
            error,
            Error::ConnectFailed { .. }
                | Error::UpstreamClosed { .. }
                | Error::UpstreamProtocol { .. }
        );
        Failed {
            error,
            failure: if upstreams { failure } else { Failure::Final },
        }
    }

    async fn http2(
        &self,
        body: &mut Body,
        in_flight: &mut Option<InFlight>,
    ) -> Result<Response<Body>, Failed> {
        let prepared = &self.call.prepared;
        let stream = self.pool.stream().await.map_err(|error| {
            Self::failed(Failure::NotConnected, self.connect_failed(error, in_flight))
        })?;
        let mut exchange = match stream.send(&prepared.method(), body.is_end_stream(), |block| {
            prepared.write_http2(self.headers(), &self.call.context, block);
        }) {
            Ok(exchange) => exchange,
            Err(error) if error.is_io() || error.is_unprocessed() => {
                return Err(Self::failed(Failure::Unsent, self.closed(error.into())));
            }
            Err(error) => return Err(self.broke_http2(error, &stream, in_flight)),
        };
        if self.call.context.expects.get() && !self.call.context.is_request_complete() {
            exchange.hold();
        }
        match poll_fn(|cx| exchange.poll(cx, body)).await {
            Ok(http2::Answered { head, .. })
                if head.headers.len() > usize::from(self.most_fields()) =>
            {
                let error = self.protocol(http1::too_many(self.most_fields().into()));
                failed_with(in_flight, &error);
                Err(Self::failed(Failure::Broken, error))
            }
            Ok(http2::Answered {
                mut head,
                body: arrived,
                rest,
            }) => {
                answered_with(in_flight, head.status, &head.headers);
                if !prepared.keeps {
                    self.call.context.own.take(); // as over HTTP/1.1
                }
                let mut hop = hop_by_hop::Found::default();
                head.headers.keys().for_each(|name| hop.see(name));
                answer::clean(&mut head, hop.any());
                if let Some(rest) = rest {
                    let upload = answer::upload(rest, std::mem::take(body));
                    self.call.context.leave_upload(Box::pin(upload));
                }
                Ok(Response::from_parts(
                    head,
                    AnswerBody::http2(arrived, stream, in_flight.take(), self),
                ))
            }
            Err(http2::Failure::RequestBody(error)) => {
                let error = self
                    .call
                    .context
                    .body_failure
                    .borrow_mut()
                    .take()
                    .unwrap_or(error);
                failed_with(in_flight, &error);
                Err(Self::failed(Failure::Broken, error))
            }
            Err(http2::Failure::Stream(error)) => {
                match exchange.body_again(std::mem::take(body)) {
                    Some(again) => *body = again,
                    None => prepared.gone.set(true),
                }
                Err(self.broke_http2(error, &stream, in_flight))
            }
        }
    }

    /// A request may be sent again if the endpoint did not process it, or if it is safe and the
    /// connection was a pooled one.
    fn broke_http2(
        &self,
        error: codec::http2::Error,
        stream: &Stream,
        in_flight: &mut Option<InFlight>,
    ) -> Failed {
        let unseen = error.is_unprocessed();
        let stale = stream.is_reused() && error.is_io();
        let kind = if unseen {
            Failure::Unsent
        } else if error.is_refused() {
            Failure::Refused
        } else if stale && self.may_reuse && self.call.prepared.sending.repeatable {
            Failure::Stale
        } else {
            Failure::Broken
        };
        let error = answer::http2_failure(
            error,
            &self.pool.endpoint().address.label,
            &self.call.context,
        );
        if !(unseen || stale) {
            failed_with(in_flight, &error);
        }
        Self::failed(kind, error)
    }

    fn upgraded(&self, mut head: http::response::Parts, upgraded: Upgraded) -> Response<Body> {
        answer::clean_upgrade(&mut head);
        head.extensions.insert(UpgradedSlot::new(upgraded));
        Response::from_parts(head, Body::Empty)
    }

    fn connect_failed(&self, error: std::io::Error, in_flight: &mut Option<InFlight>) -> Error {
        let error = answer::connect_failed(error, &self.pool.endpoint().address.label);
        failed_with(in_flight, &error);
        error
    }

    fn closed(&self, cause: outrigger_filters::error::Cause) -> Error {
        Error::UpstreamClosed {
            endpoint: Arc::clone(&self.pool.endpoint().address.label),
            cause,
        }
    }

    /// The most header fields of a response.
    fn most_fields(&self) -> u16 {
        self.call.upstream.shared.model.limits.headers
    }

    fn protocol(&self, problem: http1::Problem) -> Error {
        Error::UpstreamProtocol {
            endpoint: Arc::clone(&self.pool.endpoint().address.label),
            cause: problem.into(),
        }
    }
}

/// Records the head of a response.
fn answered_with(in_flight: &mut Option<InFlight>, status: StatusCode, fields: &HeaderMap) {
    if let Some(in_flight) = in_flight {
        in_flight.answered(status, fields);
    }
}

/// Records a failed attempt.
fn failed_with(in_flight: &mut Option<InFlight>, error: &Error) {
    if let Some(in_flight) = in_flight {
        in_flight.failed(error);
    }
}
