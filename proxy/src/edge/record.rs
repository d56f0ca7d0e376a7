//! The guard of one exchange: however a request ends, its end is counted and logged once.

use std::{borrow::Cow, cell::Cell, rc::Rc};

use http::{HeaderValue, Method, Uri, Version, header, request::Parts};
use outrigger_config::model::{ListenerId, Scheme};
use outrigger_filters::{
    access_log::{self, Record as Line},
    context::{Context, Exchange, RequestId},
    cors::Grant,
    error::Error,
    host,
    reason::Reason,
};
use tokio::time::Instant;

use crate::{
    connection::{client::Client, tunnel::Guard},
    view::View,
};

/// The status in log and metrics if the client went away before there was a response (nginx's
/// code).
const CLIENT_GONE: u16 = 499;

/// The status in log and metrics if the stream was reset, or its connection closed, instead of a
/// response.
const NO_ANSWER: u16 = 0;

/// One exchange, from its head to the last byte of its response.
pub(crate) struct Record {
    context: Context,
    /// The connection.
    pub(super) client: Rc<Client>,
    /// The configuration at its start.
    pub(super) view: Rc<View>,
    listener: ListenerId,
    status: Cell<u16>,
    /// The parts of the head for the access log; kept only for requests that are logged.
    logged: Option<Box<LoggedHead>>,
    /// The CORS headers of the response; boxed, because few requests have them.
    grant: Cell<Option<Box<Grant>>>,
    /// Whether the head could be parsed; otherwise no request is counted on the connection.
    parsed: bool,
}

struct LoggedHead {
    method: Method,
    uri: Uri,
    host: Option<HeaderValue>,
    version: Version,
}

impl LoggedHead {
    /// The host of the request, which on HTTP/2 is in the target. In canonical form, or as received
    /// if it is not a valid host. A password before `@` is not logged, even if the request is
    /// rejected for it.
    fn host(&self, scheme: Scheme) -> Option<Cow<'_, str>> {
        let authority = self.uri.authority().map(http::uri::Authority::as_str);
        let text = authority.or_else(|| self.host.as_ref()?.to_str().ok())?;
        let text = text.rsplit('@').next()?;
        Some(if host::is_authority(text) {
            host::canonical(text, scheme)
        } else {
            Cow::Borrowed(text)
        })
    }
}

impl Record {
    /// Starts with a parsed head.
    pub(crate) fn begin(
        client: &Rc<Client>,
        view: &Rc<View>,
        listener: ListenerId,
        head: &Parts,
    ) -> Self {
        client.begin_request();
        let logged = view.is_sampled().then(|| {
            Box::new(LoggedHead {
                method: head.method.clone(),
                uri: head.uri.clone(),
                host: head.headers.get(header::HOST).cloned(),
                version: head.version,
            })
        });
        Self::new(client, view, listener, logged, true)
    }

    /// Starts with a head that could not be parsed.
    pub(crate) fn unparsed(
        client: &Rc<Client>,
        view: &Rc<View>,
        listener: ListenerId,
        version: Version,
    ) -> Self {
        let logged = view.is_sampled().then(|| {
            Box::new(LoggedHead {
                method: Method::default(),
                uri: Uri::default(),
                host: None,
                version,
            })
        });
        Self::new(client, view, listener, logged, false)
    }

    fn new(
        client: &Rc<Client>,
        view: &Rc<View>,
        listener: ListenerId,
        logged: Option<Box<LoggedHead>>,
        parsed: bool,
    ) -> Self {
        let identity = client.identity(view, listener);
        Self {
            context: Exchange::begin(Instant::now(), client.peer, identity, client.alarm.take()),
            client: Rc::clone(client),
            view: Rc::clone(view),
            listener,
            status: Cell::new(CLIENT_GONE),
            logged,
            grant: Cell::new(None),
            parsed,
        }
    }

    /// The context of the request.
    pub(crate) fn exchange(&self) -> &Context {
        &self.context
    }

    /// The request id, generated now if the head was rejected before.
    pub(crate) fn request_id(&self) -> &RequestId {
        self.context
            .request_id
            .get_or_init(|| self.client.worker.request_ids.next())
    }

    /// Stores the CORS headers of the response.
    pub(crate) fn grant(&self, grant: Box<Grant>) {
        self.grant.set(Some(grant));
    }

    /// Takes the CORS headers of the response.
    pub(crate) fn take_grant(&self) -> Option<Box<Grant>> {
        self.grant.take()
    }

    /// Records the status of the response.
    pub(crate) fn answered(&self, status: u16) {
        self.status.set(status);
    }

    /// Records that the stream is reset and there is no response.
    pub(crate) fn reset(&self) {
        self.not_answered();
    }

    /// Records that the stream or its connection ends without a response.
    pub(super) fn not_answered(&self) {
        self.answered(NO_ANSWER);
    }

    /// Records a failure: the reason for log and metrics, and a warning if the proxy or the
    /// upstream caused it.
    pub(crate) fn failed(&self, error: &Error) {
        self.context.blame_error(error);
        match error {
            Error::Malformed(_)
            | Error::Connect
            | Error::HeadersTooLarge
            | Error::TargetTooLong
            | Error::BodyTooLarge
            | Error::BodyIdle
            | Error::Misdirected => self.client.worker.metrics.reject(error.reason()),
            _ => {}
        }
        if !matches!(error, Error::NoRoute | Error::ClientGone(_)) {
            tracing::debug!(request_id = self.request_id().as_str(), %error, "request failed");
        }
    }

    /// Records that the response has no reader any more: the client went away, or the process
    /// ended.
    pub(crate) fn client_went_away(&self) {
        match self.client.listener.is_cut() {
            true => self.drained(),
            false if self.client.is_slow_reader() => self.context.blame(Reason::TimeoutSlowRead),
            false => self.context.blame(Reason::ClientGone),
        }
    }

    /// Records that the request was still in flight when `drainTimeout` had passed.
    pub(crate) fn drained(&self) {
        self.context.blame(Reason::DrainTimeout);
    }

    /// Records that the client does not read this response, although its connection is alive.
    pub(crate) fn stalled(&self) {
        self.client.worker.metrics.reject(Reason::TimeoutSlowRead);
        self.context.blame(Reason::TimeoutSlowRead);
    }

    fn write(&self, head: &LoggedHead, took: std::time::Duration, would_deny: &[Reason]) {
        let config = self.view.config();
        let exchange = &self.context;
        let endpoint = exchange.endpoint.borrow();
        let host = head.host(exchange.scheme.get());
        let line = Line {
            time: std::time::SystemTime::now(),
            request_id: exchange
                .request_id
                .get()
                .map(RequestId::as_str)
                .unwrap_or_default(),
            listener: &config.listener(self.listener).name,
            route: exchange
                .route
                .get()
                .map(|route| &*config.route(*route).name),
            client_address: exchange.client_address.get(),
            method: self.parsed.then(|| head.method.as_str()),
            host: host.as_deref(),
            path: self.parsed.then(|| head.uri.path()),
            protocol: head.version,
            status: self.status.get(),
            flag: exchange.flag().as_str(),
            reason: exchange.reason.get().map_or("", Reason::as_str),
            detail: exchange.detail(),
            would_deny: would_deny.first().map_or("", |reason| reason.as_str()),
            rule: exchange.rule(),
            upstream: exchange.upstream.get().map(|id| &*config.upstream(id).name),
            endpoint: endpoint.as_deref(),
            attempts: exchange.attempts.get(),
            bytes_in: exchange.bytes_in.get(),
            bytes_out: exchange.bytes_out.get(),
            duration: took,
        };
        let format = config.telemetry.access_log.format;
        self.client
            .worker
            .log
            .line(|out| access_log::write(format, &line, out));
    }
}

impl Guard for Record {
    fn context(&self) -> &Context {
        self.exchange()
    }

    fn failed(&self, error: &Error) {
        Self::failed(self, error);
    }

    fn drained(&self) {
        Self::drained(self);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let now = Instant::now();
        self.context.release();
        self.context.progress.end_response(now);
        self.client.alarm.set(self.context.alarm.take());
        if self.parsed {
            self.client.end_request(now);
        }
        if self.status.get() == CLIENT_GONE {
            // The stream may have been reset for a malformed body before there was a response.
            if let Some(error @ Error::Malformed(Reason::RequestBody)) =
                self.context.body_failure.take()
            {
                self.failed(&error);
                self.reset();
            }
            self.client_went_away();
        } else if self.client.listener.is_cut() {
            self.client_went_away(); // also a tunnel, which does not report how it ended
        }
        let took = now.saturating_duration_since(self.context.started);
        let (route, upstream) = (
            self.context.route.get().copied(),
            self.context.upstream.get(),
        );
        let series = self.view.series(self.listener, route, upstream);
        series.record(self.status.get(), self.context.flag(), took);
        let would_deny = self.context.would_denies();
        would_deny
            .iter()
            .for_each(|reason| series.would_deny(*reason));
        if let Some(head) = &self.logged {
            self.write(head, took, &would_deny);
        }
    }
}
