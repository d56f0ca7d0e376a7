//! The steps of every request, whatever its route: from a complete head to the last byte of the
//! response.
//!
//! The order is that of `docs/architecture.md`: 0 request id and access-log guard, 1 limits and framing, 2 client
//! address, 3 owned headers, 5 metrics, 7 route, 8 CORS, then the route's [`crate::chain`], and 23 and 8 on the way back.

pub(crate) mod record;
mod request_body;
mod response_body;

use std::{
    future::{self, Future},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Method, Response, StatusCode, Version, header, request::Parts};
use http_body::Body as _;
use outrigger_config::model::{ListenerId, ProviderId, RouteId};
use outrigger_decision::{
    Runtime,
    choice::{self, Entered},
    intake::{self, Facts},
    respond as decision,
    router::Choice,
};
use outrigger_filters::{
    concurrency,
    context::Context as ExchangeContext,
    cors,
    error::Error,
    recycle::heads,
    service::{self, Body, ResponseFuture},
};

pub(crate) use self::request_body::Received;
use self::{record::Record, request_body::RequestBody, response_body::ResponseBody};
use crate::{
    connection::{client::Client, tunnel::Tunnel},
    forward::UpgradedSlot,
    respond::{self, Reset, Unparsed},
    view::View,
};

/// Starts to handle one request: everything before the first wait.
pub(crate) fn handle(client: &Rc<Client>, mut head: Parts, body: Received) -> Answer {
    let (view, listener) = client.listener.current(&client.worker);
    #[cfg(test)]
    assert_ne!(
        head.uri.path(),
        "/panic",
        "for the tests of what a panic ends"
    );
    let format = ResponseFormat {
        version: head.version,
        only_head: head.method == Method::HEAD,
    };
    let record = Record::begin(client, &view, listener, &head);
    let begun = match admit(client, &view, listener, &record, &mut head) {
        Ok(()) => route(client, &view, listener, &record, head, body),
        Err(error) => {
            intake::note_refused(&head.headers, record.exchange());
            Begun::Refused(error)
        }
    };
    Answer {
        format,
        begun,
        record: Some(record),
    }
}

/// The facts about a request that its response depends on.
#[derive(Clone, Copy)]
struct ResponseFormat {
    version: Version,
    only_head: bool,
}

/// The future of a response. Each connection has a place for it, so it is small and not boxed.
pub(crate) struct Answer {
    format: ResponseFormat,
    /// Declared before the record, and so dropped before it: a body that failed reports it when it
    /// is dropped.
    begun: Begun,
    /// `None` once there is a response.
    record: Option<Record>,
}

/// The state of a request.
enum Begun {
    /// The route's chain handles it.
    Answering(ResponseFuture),
    /// The route depends on a token that newer keys may verify, so it waits for them. A preflight
    /// never does.
    AwaitsKeys(Pin<Box<dyn Future<Output = (Option<Choice>, service::Request)>>>),
    /// The request was rejected.
    Refused(Error),
}

impl From<Result<ResponseFuture, Error>> for Begun {
    fn from(entered: Result<ResponseFuture, Error>) -> Self {
        entered.map_or_else(Self::Refused, Self::Answering)
    }
}

impl Answer {
    /// The context of the request.
    pub(crate) fn exchange(&self) -> ExchangeContext {
        Rc::clone(
            self.record
                .as_ref()
                .expect("an answer that was not polled has its record")
                .exchange(),
        )
    }
}

impl Future for Answer {
    /// [`Reset`] for an HTTP/2 request that is malformed.
    type Output = Result<Response<Body>, Reset>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let record = this
            .record
            .as_ref()
            .expect("an answer is not polled again once it is there");
        let answered = ready!(this.begun.poll(record, cx));
        let record = this.record.take();
        record.map_or(Poll::Pending, |record| {
            Poll::Ready(conclude(record, this.format, answered))
        })
    }
}

impl Begun {
    fn poll(
        &mut self,
        record: &Record,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<Body>, Error>> {
        loop {
            match self {
                Self::Answering(answer) => match Pin::new(answer).poll(cx) {
                    Poll::Ready(answered) => return Poll::Ready(answered),
                    Poll::Pending if is_late(record, cx) => return Poll::Ready(self.give_up()),
                    Poll::Pending => return Poll::Pending,
                },
                Self::AwaitsKeys(chosen) => {
                    let (choice, request) = match chosen.as_mut().poll(cx) {
                        Poll::Ready(chosen) => chosen,
                        Poll::Pending if is_late(record, cx) => return Poll::Ready(self.give_up()),
                        Poll::Pending => return Poll::Pending,
                    };
                    *self = enter(record, choice, false, request).into();
                }
                Self::Refused(error) => {
                    return Poll::Ready(Err(std::mem::replace(error, Error::NoRoute)));
                }
            }
        }
    }

    fn give_up(&mut self) -> Result<Response<Body>, Error> {
        // Dropped before the response is created, and with it everything that it held of the
        // upstream.
        *self = Self::Refused(Error::GrpcTimeout);
        Err(Error::GrpcTimeout)
    }
}

/// Whether the deadline of a gRPC call has passed, which applies to the whole call.
fn is_late(record: &Record, cx: &mut Context<'_>) -> bool {
    let exchange = record.exchange();
    exchange
        .deadline
        .get()
        .is_some_and(|deadline| exchange.poll_deadline(deadline, cx).is_ready())
}

/// Creates the response to the client from the result of the chain.
fn conclude(
    record: Record,
    format: ResponseFormat,
    answered: Result<Response<Body>, Error>,
) -> Result<Response<Body>, Reset> {
    let response = match answered {
        Ok(response) => response,
        Err(error) => {
            record.failed(&error);
            let (request_id, is_grpc) = (record.request_id(), record.exchange().is_grpc.get());
            respond::respond(&error, format.version, is_grpc, request_id)
                .inspect_err(|_| record.reset())?
        }
    };
    let exchange = record.exchange();
    if !concurrency::goes_on(&response) {
        exchange.release();
    }
    if exchange.expects.get()
        && format.version < Version::HTTP_2
        && exchange.bytes_in.get() == 0
        && !exchange.is_request_complete()
    {
        // It was never told to go on, so what it sends next could be the body or another request.
        record.client.close_after_response();
    }
    let response = if format.only_head {
        without_body(response)
    } else {
        response
    };
    Ok(finish(record, format.version, response))
}

/// Counts and logs a head that was rejected before it was parsed.
pub(crate) fn refuse_unparsed(client: &Rc<Client>, refusal: Unparsed) {
    let (view, listener) = client.listener.current(&client.worker);
    client.worker.metrics.reject(refusal.reason);
    let record = Record::unparsed(client, &view, listener, refusal.version);
    record.exchange().blame(refusal.reason);
    match refusal.status {
        Some(status) => record.answered(status.as_u16()),
        None => record.not_answered(),
    }
}

/// 1 to 3: checks a head, makes it canonical, and stores the facts about its client.
fn admit(
    client: &Client,
    view: &View,
    listener: ListenerId,
    record: &Record,
    head: &mut Parts,
) -> Result<(), Error> {
    let mut facts = Facts::default();
    let admitted = intake::admit(head, &client.subject(listener), view, &mut facts);
    facts.write(record.exchange(), || client.worker.request_ids.next());
    admitted
}

/// 7: chooses the route.
fn route(
    client: &Rc<Client>,
    view: &Rc<View>,
    listener: ListenerId,
    record: &Record,
    head: Parts,
    body: Received,
) -> Begun {
    let context = record.exchange();
    let (limits, owned) = (
        view.config().listener(listener),
        view.identity_trailers(listener),
    );
    let body = RequestBody::wrap(body, head.version, client, context, limits, owned);
    let request = service::Request {
        head: heads::store(head),
        body,
        context: Rc::clone(context),
    };
    let preflight = cors::preflight(&request.head);
    let (choice, newer_keys) = choice::choose(&**view, listener, &request, preflight.as_ref(), ());
    match newer_keys {
        Some(provider) => {
            let chosen = choose_with_newer_keys(Rc::clone(view), listener, provider, request);
            Begun::AwaitsKeys(Box::pin(chosen))
        }
        None => enter(record, choice, preflight.is_some(), request).into(),
    }
}

/// 7 again, after the provider's keys were renewed.
async fn choose_with_newer_keys(
    view: Rc<View>,
    listener: ListenerId,
    mut provider: ProviderId,
    request: service::Request,
) -> (Option<Choice>, service::Request) {
    let mut renewed = Vec::new();
    loop {
        view.verifiers().newer_keys(provider).await;
        renewed.push(provider);
        match choice::choose(&*view, listener, &request, None, ()) {
            (_, Some(other)) if !renewed.contains(&other) => provider = other,
            (choice, _) => return (choice, request),
        }
    }
}

/// 8 and on: responds to a preflight, or calls the route's chain.
fn enter(
    record: &Record,
    choice: Option<Choice>,
    preflight: bool,
    request: service::Request,
) -> Result<ResponseFuture, Error> {
    let view = &*record.view;
    match choice::enter(view, choice.as_ref(), preflight, &request)? {
        Entered::Steps(route, grant) => {
            if let Some(grant) = grant {
                record.grant(grant);
            }
            Ok(view.chain(route).answer(request))
        }
        Entered::Preflight(grant, response) => {
            record.grant(grant);
            Ok(service::later(future::ready(Ok(*response))))
        }
    }
}

/// Removes the body of a response to HEAD, and keeps the length that a GET would have had.
fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact().filter(|_| !body.is_end_stream()) {
        head.headers
            .entry(header::CONTENT_LENGTH)
            .or_insert_with(|| HeaderValue::from(length));
    }
    Response::from_parts(head, Body::Empty)
}

/// 23, 8 and 0: response headers, CORS, `Connection: close` if the connection ends, and the guard
/// that sees the last byte.
fn finish(record: Record, version: Version, mut response: Response<Body>) -> Response<Body> {
    let route: Option<RouteId> = record.exchange().route.get().copied();
    let route = route.map(|id| record.view.config().route(id));
    let (mut stream_idle, mut upgrade_idle) = (None, None);
    if let Some(route) = route {
        (stream_idle, upgrade_idle) = (route.timeouts.stream_idle, route.timeouts.upgrade_idle);
    }
    let grant = record.take_grant();
    decision::finish(record.exchange(), route, grant, response.headers_mut());
    // A 101 is the last response of its connection, and needs its own Connection field.
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if version < Version::HTTP_2 && record.client.check_closing() && !switches {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    record.answered(response.status().as_u16());
    record.exchange().progress.begin_response();
    if let Some(upgraded) = response
        .extensions_mut()
        .remove::<UpgradedSlot>()
        .and_then(|slot| slot.take())
    {
        let client = Rc::clone(&record.client);
        let upgrade = response.headers().get(header::UPGRADE);
        let is_websocket =
            upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
        client.upgrade(Tunnel {
            upstream: upgraded,
            guard: Box::new(record),
            idle: upgrade_idle,
            has_frames: is_websocket,
        });
        return response;
    }
    response.map(|body| ResponseBody::wrap(body, record, stream_idle, version))
}
