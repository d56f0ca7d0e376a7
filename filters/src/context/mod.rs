//! State of one request that its steps share, besides the request itself.
//!
//! | field | written by | read by |
//! |---|---|---|
//! | `identity` | edge, from the connection | auth, authorize |
//! | `client_address`, `request_id`, `own`, `hop`, `is_grpc`, `expects` | edge | forward, request headers, respond, access log |
//! | `scheme` | edge | route choice, redirect, everything that compares hosts, access log |
//! | `memo` of `access` | route choice, auth | the same |
//! | `tokens`, `claims` of `access` | auth | authorize, `extAuth`, rate limits, the step that hands over to the app |
//! | `would_deny` of `access` | auth, authorize, rate limits | access log, metrics |
//! | `granted` of `access` | `extAuth` | the step that hands over to the app, edge on the way back |
//! | `rule` of `access` | authorize, rate limits | access log |
//! | `route`, `prefix_len` | edge, after the route choice | rewrite, redirect, access log, metrics |
//! | `upstream`, `endpoint`, `attempts` | forward | access log |
//! | `request_complete`, `body_failure` | request body | timeout, forward |
//! | `progress` | edge, body guards | body guards |
//! | `alarm` | edge | timeout |
//! | `deadline` | edge, from `grpc-timeout` | edge |
//! | `held` | concurrency | edge, which gives it back |
//! | `hash_key` | forward | balancing |
//! | `timed_out` | timeout, forward | outlier detection and load reports of the endpoint |
//! | `reason` | respond, body guards | access log, metrics |
//! | `bytes_in`, `bytes_out` | body guards | access log |
//! | `stalled` | the client's side | response body |
//! | `body_wanted` | request body | the client's side, for 100-continue |
//! | `upload` | forward, when the response begins before the request ends | the response's body, the client's side |
//!
//! The context is a field of [`crate::service::Request`]: an extension of `http::Request` would
//! allocate a map for every request, and requires `Send + Sync`, which nothing here needs.

mod granted;
pub mod id;
pub mod progress;

use std::{
    cell::{Cell, OnceCell, RefCell},
    future::Future,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context as TaskContext, Poll, Waker},
    time::SystemTime,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use outrigger_config::model::{ClaimPath, RouteId, Scheme, UpstreamId};
use tokio::time::Instant;

use crate::{
    claims::Claims,
    concurrency::Permit,
    error::Error,
    hop_by_hop::Hop,
    identity::Identity,
    jwt::{Memo, Tokens, VerifiedToken},
    owned_headers::Own,
    reason::{Flag, Reason},
    recycle::Alarm,
};

pub use granted::Granted;
pub use id::RequestId;
use progress::Progress;

/// A point in time on the monotonic clock.
pub type Moment = Instant;

/// A reference to the [`Exchange`].
pub type Context = Rc<Exchange>;

/// One request and its response, from the last byte of the head to the last byte of the response.
pub struct Exchange {
    /// When the head was complete.
    pub started: Instant,
    /// The client's identity, from its verified certificate; the same for all requests of a
    /// connection.
    pub identity: Option<Arc<Identity>>,
    /// The client's address: the peer, or the rightmost untrusted entry of X-Forwarded-For.
    pub client_address: Cell<IpAddr>,
    /// The scheme that the client uses, towards the proxy or towards the trusted peer in front of
    /// it.
    pub scheme: Cell<Scheme>,
    /// The request id, sent to the app and to the client in the proxy's own responses.
    pub request_id: OnceCell<RequestId>,
    /// Headers that the proxy adds to the request, until they are inserted.
    pub own: RefCell<Option<Own>>,
    /// What the request's hop-by-hop fields contained.
    pub hop: OnceCell<Hop>,
    /// The request is a gRPC call.
    pub is_grpc: Cell<bool>,
    /// The client sent `Expect: 100-continue` and waits before it sends its body.
    pub expects: Cell<bool>,
    /// The chosen route.
    pub route: OnceCell<RouteId>,
    /// Length of the path prefix that the route matched, without a trailing slash.
    pub prefix_len: Cell<Option<usize>>,
    /// The chosen upstream.
    pub upstream: Cell<Option<UpstreamId>>,
    /// The endpoint of the last attempt, as the log shows it.
    pub endpoint: RefCell<Option<Arc<str>>>,
    /// Attempts so far.
    pub attempts: Cell<u32>,
    /// The timer for everything that waits in the request's task.
    pub alarm: RefCell<Alarm>,
    /// The deadline of a gRPC call, after which the client does not need the response.
    pub deadline: Cell<Option<Instant>>,
    held: Cell<Option<Permit>>,
    /// The hash of the request, where its upstream balances by one.
    pub hash_key: Cell<Option<u64>>,
    /// A timeout ended the current attempt before its response.
    pub timed_out: Cell<bool>,
    /// When its bodies last made progress.
    pub progress: Progress,
    request_complete: Cell<Option<Instant>>,
    awaits_complete: Cell<Option<Waker>>,
    /// Why reading the request body failed; everything that fails because of it reports this error.
    pub body_failure: RefCell<Option<Error>>,
    /// Why the exchange did not end with an unchanged response of the upstream.
    pub reason: Cell<Option<Reason>>,
    /// State that only few requests need; created on first use.
    access: OnceCell<Box<Access>>,
    /// Bytes of the request body so far.
    pub bytes_in: Cell<u64>,
    /// Bytes of the response body so far.
    pub bytes_out: Cell<u64>,
    /// The client stopped reading the response, and the stream was aborted.
    pub stalled: Cell<bool>,
    /// The upstream side has requested the body.
    body_wanted: Cell<bool>,
    /// The rest of a request whose response has already begun.
    upload: RefCell<Option<Upload>>,
}

/// Sends the rest of a request.
pub type Upload = Pin<Box<dyn Future<Output = ()>>>;

/// What authentication and authorization found out, and what is to be told of a request that failed.
#[derive(Default)]
struct Access {
    /// Only set if it is not the time of the clock.
    time: OnceCell<SystemTime>,
    memo: Memo,
    tokens: RefCell<Tokens>,
    claims: RefCell<Vec<Arc<dyn Claims>>>,
    would_deny: RefCell<Vec<Reason>>,
    rule: OnceCell<Arc<str>>,
    detail: OnceCell<Box<str>>,
    granted: RefCell<Granted>,
}

impl Exchange {
    /// A new exchange with this peer.
    pub fn begin(
        started: Instant,
        peer: IpAddr,
        identity: Option<Arc<Identity>>,
        alarm: Alarm,
    ) -> Context {
        Rc::new(Self {
            started,
            identity,
            client_address: Cell::new(peer),
            scheme: Cell::default(),
            request_id: OnceCell::new(),
            own: RefCell::new(None),
            hop: OnceCell::new(),
            is_grpc: Cell::new(false),
            expects: Cell::new(false),
            route: OnceCell::new(),
            prefix_len: Cell::new(None),
            upstream: Cell::new(None),
            endpoint: RefCell::new(None),
            attempts: Cell::new(0),
            alarm: RefCell::new(alarm),
            deadline: Cell::new(None),
            held: Cell::new(None),
            hash_key: Cell::new(None),
            timed_out: Cell::new(false),
            progress: Progress::new(started),
            request_complete: Cell::new(None),
            awaits_complete: Cell::new(None),
            body_failure: RefCell::new(None),
            reason: Cell::new(None),
            access: OnceCell::new(),
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
            stalled: Cell::new(false),
            body_wanted: Cell::new(false),
            upload: RefCell::new(None),
        })
    }

    /// The wall clock, for what tokens say; the time that was set, where one was.
    pub fn wall_time(&self) -> SystemTime {
        let set = self.access.get().and_then(|access| access.time.get());
        set.copied().unwrap_or_else(SystemTime::now)
    }

    /// Sets the wall clock for this exchange, once: an evaluation has a time of its own.
    pub fn set_wall_time(&self, time: SystemTime) {
        let _ = self.access().time.set(time);
    }

    /// The last byte of the request came at `now`; the timeouts run from here.
    pub fn complete_request(&self, now: Instant) {
        if !self.is_request_complete() {
            self.request_complete.set(Some(now));
        }
        if let Some(waiting) = self.awaits_complete.take() {
            waiting.wake();
        }
    }

    /// Whether the last byte of the request has arrived.
    pub fn is_request_complete(&self) -> bool {
        self.request_complete.get().is_some()
    }

    /// When the last byte of the request arrived, if it has.
    pub fn request_complete(&self) -> Option<Instant> {
        self.request_complete.get()
    }

    /// When the last byte of the request arrived. Until then the task is woken at that moment:
    /// towards HTTP/2 the body is read by a task of the upstream connection, so the task that waits
    /// for the response would not notice it.
    pub fn poll_complete(&self, cx: &TaskContext<'_>) -> Option<Instant> {
        let complete = self.request_complete.get();
        if complete.is_none() {
            self.awaits_complete.set(Some(cx.waker().clone()));
        }
        complete
    }

    /// Ready when `deadline` has passed; the task is woken at that time.
    pub fn poll_deadline(&self, deadline: Instant, cx: &mut TaskContext<'_>) -> Poll<()> {
        self.alarm.borrow_mut().poll(deadline, cx)
    }

    /// Records that the upstream side needs the request body.
    pub fn want_body(&self) {
        self.body_wanted.set(true);
    }

    /// Whether the upstream side needs the request body: then a client that waits for it gets `100
    /// Continue`.
    pub fn is_body_wanted(&self) -> bool {
        self.body_wanted.get()
    }

    /// Stores the rest of the request, to be sent by what polls the response.
    pub fn leave_upload(&self, upload: Upload) {
        *self.upload.borrow_mut() = Some(upload);
    }

    /// Sends what can be sent of the rest of the request. Called by everything that is polled while
    /// the response is in flight, also while the client reads none of it: the endpoint may wait for
    /// more of the request.
    pub fn poll_upload(&self, cx: &mut TaskContext<'_>) {
        let Ok(mut upload) = self.upload.try_borrow_mut() else {
            return;
        };
        if upload
            .as_mut()
            .is_some_and(|upload| upload.as_mut().poll(cx).is_ready())
        {
            *upload = None;
        }
    }

    /// Removes the rest of the request from the exchange.
    pub fn take_upload(&self) -> Option<Upload> {
        self.upload
            .try_borrow_mut()
            .ok()
            .and_then(|mut upload| upload.take())
    }

    /// Keeps a permit until it is released, or the exchange ends.
    pub fn hold(&self, permit: Permit) {
        self.held.set(Some(permit));
    }

    /// Releases the permit, if there is one.
    pub fn release(&self) {
        self.held.take();
    }

    /// Inserts the proxy's own request headers, once.
    pub fn insert_own(&self, headers: &mut HeaderMap) {
        if let Some(own) = self.own.take() {
            own.insert(headers);
        }
    }

    /// The response flag.
    pub fn flag(&self) -> Flag {
        self.reason.get().map_or(Flag::None, Reason::flag)
    }

    /// Records why the exchange failed; the first reason is kept.
    pub fn blame(&self, reason: Reason) {
        if self.reason.get().is_none() {
            self.reason.set(Some(reason));
        }
    }

    /// The same, from an error.
    pub fn blame_error(&self, error: &Error) {
        let first = self.reason.get().is_none();
        if let Some(detail) = first.then(|| error.detail()).flatten() {
            let _ = self.access().detail.set(Box::from(&*detail));
        }
        self.blame(error.reason());
    }

    /// Details of the reason, if there are any.
    pub fn detail(&self) -> Option<&str> {
        self.access.get()?.detail.get().map(|detail| &**detail)
    }

    fn access(&self) -> &Access {
        self.access.get_or_init(Box::default)
    }

    /// The verification results of this request's tokens, so that each token is verified once.
    pub fn memo(&self) -> &Memo {
        &self.access().memo
    }

    /// Records the tokens that authenticated the request.
    pub fn let_in(&self, tokens: Tokens) {
        let access = self.access();
        let token = |token: &Arc<VerifiedToken>| Arc::clone(token) as Arc<dyn Claims>;
        access
            .claims
            .borrow_mut()
            .extend(tokens.iter().map(|granted| token(&granted.token)));
        *access.tokens.borrow_mut() = tokens;
    }

    /// Takes the tokens that authenticated the request.
    pub fn take_tokens(&self) -> Tokens {
        self.access
            .get()
            .map(|access| access.tokens.take())
            .unwrap_or_default()
    }

    /// The value for the app under this name of `claimHeaders`, from the first token that has it.
    pub fn claim_header(&self, name: &HeaderName) -> Option<HeaderValue> {
        let tokens = self.access.get()?.tokens.borrow();
        let mut fields = tokens.iter().flat_map(|granted| granted.token.headers());
        fields
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.clone())
    }

    #[cfg(test)]
    pub(crate) fn claim(&self, claims: impl Claims + 'static) {
        self.access().claims.borrow_mut().push(Arc::new(claims));
    }

    /// Records that the `extAuth` service allowed the request, with these headers.
    pub fn grant(&self, granted: Granted) {
        if granted != Granted::default() {
            *self.access().granted.borrow_mut() = granted;
        }
    }

    /// Takes the headers that the `extAuth` service sent for the app.
    pub fn take_for_app(&self) -> Vec<(HeaderName, HeaderValue)> {
        let Some(access) = self.access.get() else {
            return Vec::new();
        };
        std::mem::take(&mut access.granted.borrow_mut().for_app)
    }

    /// Takes the cookies that the `extAuth` service sent for the client.
    pub fn take_cookies(&self) -> Vec<HeaderValue> {
        let Some(access) = self.access.get() else {
            return Vec::new();
        };
        std::mem::take(&mut access.granted.borrow_mut().cookies)
    }

    /// Records a rejection that `mode: report` does not enforce.
    pub fn would_deny(&self, reason: Reason) {
        self.access().would_deny.borrow_mut().push(reason);
    }

    /// Takes the rejections that were not enforced.
    pub fn would_denies(&self) -> Vec<Reason> {
        self.access
            .get()
            .map(|access| access.would_deny.take())
            .unwrap_or_default()
    }

    /// Records the rule or limit that rejected the request, or would have.
    pub fn refused_by(&self, rule: &Arc<str>) {
        let _ = self.access().rule.set(Arc::clone(rule));
    }

    /// The rule or limit that rejected the request, or would have.
    pub fn rule(&self) -> Option<&str> {
        self.access.get()?.rule.get().map(|rule| &**rule)
    }

    /// Calls `read` with the issuer and the first value of a claim, from the first token that has
    /// it.
    pub fn with_claim<R>(
        &self,
        claim: &ClaimPath,
        issuer: &ClaimPath,
        read: impl Fn(&str, &str) -> R,
    ) -> Option<R> {
        let claims = self.access.get()?.claims.borrow();
        claims.iter().find_map(|token| {
            let mut seen = None;
            token.any(claim, &mut |value| {
                token.any(issuer, &mut |issuer| {
                    seen = Some(read(issuer, value));
                    true
                })
            });
            seen
        })
    }

    fn any_token(&self, holds: impl FnMut(&Arc<dyn Claims>) -> bool) -> bool {
        self.access
            .get()
            .is_some_and(|access| access.claims.borrow().iter().any(holds))
    }
}

/// All tokens that authenticated the request, combined: a claim is present if one of them has it.
impl Claims for Exchange {
    fn has(&self, claim: &ClaimPath) -> bool {
        self.any_token(|token| token.has(claim))
    }

    fn any(&self, claim: &ClaimPath, holds: &mut dyn FnMut(&str) -> bool) -> bool {
        self.any_token(|token| token.any(claim, &mut *holds))
    }

    fn has_scope(&self, scope: &str) -> bool {
        self.any_token(|token| token.has_scope(scope))
    }
}
