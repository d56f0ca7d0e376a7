//! The load for a URL, and the expected responses.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};

use super::tls::{Tls, TlsError, TlsPlan};
use crate::content::{self, CHECKSUM_HEADER, Content};

/// Header with the number of a request, which lets an upstream recognize a repeated request.
pub const ID_HEADER: &str = "x-load-id";

/// Maximum size of a gRPC message, which is held in memory.
const LARGEST_MESSAGE: u64 = 64 << 20;

/// Maximum number of source addresses.
const MOST_SOURCES: u32 = 1_000_000;

/// The complete description of a run. Start from [`Plan::new`] and change fields.
#[derive(Debug, Clone)]
pub struct Plan {
    /// An `http://` or `https://` URL.
    pub url: String,
    /// Connect to this Unix socket; host and path come from the URL.
    pub unix: Option<PathBuf>,
    /// TLS settings; required for an `https://` URL, not allowed for an `http://` URL. Default
    /// none.
    pub tls: Option<TlsPlan>,
    /// HTTP version. Default HTTP/1.1.
    pub protocol: Protocol,
    /// Number of open connections. Default 16.
    pub connections: usize,
    /// Number of threads. Default 1.
    pub threads: usize,
    /// Requests per second over all connections; `None` (the default) sends the next request after
    /// the last response.
    pub rate: Option<f64>,
    /// Duration of the run, without the warm-up. If neither this nor `requests` is given: 10 s.
    pub duration: Option<Duration>,
    /// Number of requests, without those of the warm-up.
    pub requests: Option<u64>,
    /// Duration of the warm-up, which is not counted. Default none.
    pub warmup: Duration,
    /// Request method. Default GET.
    pub method: Method,
    /// Additional request headers; `host` replaces the one from the URL.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Size of the generated request body, which is announced with its checksum. Default none.
    pub body_size: Option<u64>,
    /// Opens a new connection for every request. Default off.
    pub connection_per_request: bool,
    /// Makes unary gRPC calls: POST with a message of `body_size` bytes, which must come back with
    /// `grpc-status: 0`. Requires HTTP/2. Default off.
    pub grpc: bool,
    /// Makes TLS handshakes and no requests; the report counts handshakes as requests. Default off.
    pub handshakes: bool,
    /// Bearer tokens for `authorization`, sent in turn. Default none.
    pub bearer_tokens: Vec<HeaderValue>,
    /// Opens all connections, sends one request on each, and keeps them open for this time. Default
    /// off.
    pub hold: Option<Duration>,
    /// Number of source addresses, used in turn, starting with 127.0.0.1; the peer must be in
    /// 127.0.0.0/8 too. Default: the kernel's choice.
    pub source_addresses: Option<u32>,
    /// Numbers the requests from this value, in the header [`ID_HEADER`]; a retry has the same
    /// number. Default none.
    pub first_id: Option<u64>,
    /// Retries a safe request once when a reused connection is closed. Default on.
    pub retry_stale: bool,
    /// Timeout from the (scheduled) start of a request to the last byte of its response. Default 10
    /// s.
    pub timeout: Duration,
    /// The expected response. Default: 200, and the checksum that the response itself announces.
    pub expect: Expect,
}

/// HTTP version of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, one request at a time on each connection.
    Http1,
    /// HTTP/2, with prior knowledge or by ALPN.
    Http2 {
        /// Concurrent requests on each connection.
        streams: usize,
    },
}

impl Protocol {
    /// Its name in ALPN.
    fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 { .. } => b"h2",
        }
    }
}

/// The expected response. A checksum in `x-body-crc32` or `x-checksum` is always verified.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    /// Acceptable statuses; empty means only 200.
    pub statuses: Vec<StatusCode>,
    /// Length of the body in bytes.
    pub length: Option<u64>,
    /// SHA-256 of the body.
    pub sha256: Option<[u8; 32]>,
    /// Length and checksum must be those of the first response.
    pub same: bool,
}

/// Why a plan cannot be executed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The URL is invalid.
    #[error("{url:?} is not a URL")]
    Url {
        /// The URL as given.
        url: String,
        /// What is wrong with it.
        #[source]
        source: http::uri::InvalidUri,
    },
    /// The URL is not of the form `http://host[:port]/path` or `https://host[:port]/path`.
    #[error("{0:?}: only http://host[:port]/path and https://host[:port]/path are supported")]
    NotHttp(String),
    /// Two settings of the plan conflict.
    #[error("{0}")]
    Combination(&'static str),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The `host` header cannot be the authority of an HTTP/2 request.
    #[error("header host: {0:?} is not a host name")]
    Host(HeaderValue),
    /// The host cannot be resolved.
    #[error("cannot resolve {host}")]
    Resolve {
        /// Host and port.
        host: String,
        /// The error of the resolver.
        #[source]
        source: io::Error,
    },
    /// A count is zero, or a rate is not a positive number.
    #[error("{0} must be greater than zero")]
    NotPositive(&'static str),
    /// A thread or its runtime could not be started.
    #[error("cannot start a load thread")]
    Start(#[source] io::Error),
}

/// The target of connections.
#[derive(Debug, Clone)]
pub(super) enum Endpoint {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// The request, which is sent repeatedly.
#[derive(Debug, Clone)]
pub(super) struct Template {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    body_size: u64,
    /// The whole body, when it is a gRPC message.
    message: Option<Bytes>,
    first_id: Option<u64>,
    /// Values of `authorization`, used in turn.
    credentials: Vec<HeaderValue>,
    /// The head in HTTP/1.1 form, without the empty line.
    wire: Vec<u8>,
}

impl Plan {
    /// GET over 16 HTTP/1.1 connections, as fast as possible, for 10 s.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            unix: None,
            tls: None,
            protocol: Protocol::Http1,
            connections: 16,
            threads: 1,
            rate: None,
            duration: None,
            requests: None,
            warmup: Duration::ZERO,
            method: Method::GET,
            headers: Vec::new(),
            body_size: None,
            connection_per_request: false,
            hold: None,
            source_addresses: None,
            grpc: false,
            handshakes: false,
            bearer_tokens: Vec::new(),
            first_id: None,
            retry_stale: true,
            timeout: Duration::from_secs(10),
            expect: Expect::default(),
        }
    }

    /// The effective duration: 10 s when the plan has no limit. Held connections have their own.
    #[must_use]
    pub fn effective_duration(&self) -> Option<Duration> {
        match (self.duration, self.requests) {
            (None, None) if self.hold.is_none() => Some(Duration::from_secs(10)),
            (duration, _) => duration,
        }
    }

    /// Descriptors that are open at a time: one per connection, and at a constant rate one timer
    /// per place.
    #[must_use]
    pub fn descriptors(&self) -> u64 {
        let streams = match self.protocol {
            Protocol::Http1 => 1,
            Protocol::Http2 { streams } => streams,
        };
        let timers = if self.rate.is_some() {
            self.connections.saturating_mul(streams)
        } else {
            0
        };
        self.connections.saturating_add(timers) as u64
    }

    /// Rejects conflicting settings.
    pub(super) fn check_combinations(&self) -> Result<(), PlanError> {
        let http2 = self.protocol != Protocol::Http1;
        let resumes = self.tls.as_ref().is_some_and(|tls| tls.resume);
        let has_authorization = self.headers.iter().any(|(name, _)| name == AUTHORIZATION);
        let wrong = [
            (
                self.handshakes && self.tls.is_none(),
                "--handshakes requires https://",
            ),
            (
                self.hold.is_some()
                    && (self.duration.is_some()
                        || self.requests.is_some()
                        || self.rate.is_some()
                        || !self.warmup.is_zero()
                        || self.handshakes
                        || self.connection_per_request),
                "--hold sends one request on each connection; omit --duration, --requests, --rate, --warmup, \
                 --handshakes and --connection-per-request",
            ),
            (
                self.source_addresses
                    .is_some_and(|count| !(1..=MOST_SOURCES).contains(&count)),
                "--source-addresses: must be 1 to 1000000",
            ),
            (self.grpc && !http2, "gRPC requires HTTP/2"),
            (
                self.grpc && self.body_size.is_some_and(|size| size > LARGEST_MESSAGE),
                "--body-size: a gRPC message has at most 64m",
            ),
            (
                self.handshakes && http2,
                "--handshakes sends no requests; omit --http2",
            ),
            (
                resumes && !self.handshakes && !self.connection_per_request,
                "--resume requires --handshakes or --connection-per-request: a keep-alive connection has only one handshake",
            ),
            (
                has_authorization && !self.bearer_tokens.is_empty(),
                "--bearer-file and a header authorization cannot be used together",
            ),
        ];
        match wrong.into_iter().find(|(applies, _)| *applies) {
            Some((_, problem)) => Err(PlanError::Combination(problem)),
            None => Ok(()),
        }
    }

    pub(super) fn check_numbers(&self) -> Result<(), PlanError> {
        let streams = match self.protocol {
            Protocol::Http1 => 1,
            Protocol::Http2 { streams } => streams,
        };
        let positive = [
            ("connections", self.connections > 0),
            ("threads", self.threads > 0),
            ("streams", streams > 0),
            (
                "rate",
                self.rate.is_none_or(|rate| rate.is_finite() && rate > 0.0),
            ),
            ("timeout", !self.timeout.is_zero()),
        ];
        match positive.iter().find(|(_, holds)| !holds) {
            Some((name, _)) => Err(PlanError::NotPositive(name)),
            None => Ok(()),
        }
    }

    /// Resolves the URL's host; the first address is used for the whole run.
    pub(super) fn endpoint(&self, uri: &Uri) -> Result<Endpoint, PlanError> {
        if let Some(path) = &self.unix {
            if self.source_addresses.is_some() {
                return Err(PlanError::Combination(
                    "--source-addresses: not possible with a Unix socket",
                ));
            }
            return Ok(Endpoint::Unix(path.clone()));
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri
            .port_u16()
            .unwrap_or_else(|| if is_https(uri) { 443 } else { 80 });
        let failed = |source| PlanError::Resolve {
            host: format!("{host}:{port}"),
            source,
        };
        let first = (host, port).to_socket_addrs().map_err(failed)?.next();
        let address = first.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        if self.source_addresses.is_some() && !(address.is_ipv4() && address.ip().is_loopback()) {
            return Err(PlanError::Combination(
                "--source-addresses: the peer is not in 127.0.0.0/8",
            ));
        }
        Ok(Endpoint::Tcp(address))
    }

    pub(super) fn uri(&self) -> Result<Uri, PlanError> {
        let uri: Uri = self.url.parse().map_err(|source| PlanError::Url {
            url: self.url.clone(),
            source,
        })?;
        let known = uri.scheme() == Some(&Scheme::HTTP) || is_https(&uri);
        let complete = known && uri.host().is_some_and(|host| !host.is_empty());
        if complete {
            Ok(uri)
        } else {
            Err(PlanError::NotHttp(self.url.clone()))
        }
    }

    /// TLS if the URL requires it.
    pub(super) fn tls(&self, uri: &Uri) -> Result<Option<Tls>, PlanError> {
        match (&self.tls, is_https(uri)) {
            (None, false) => Ok(None),
            (None, true) => Err(PlanError::Combination(
                "https:// requires the CA of the peer (--ca FILE)",
            )),
            (Some(_), false) => Err(PlanError::Combination(
                "--ca, --server-name, --cert, --key and --resume require https://",
            )),
            (Some(tls), true) => {
                let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
                Ok(Some(Tls::new(tls, self.protocol.alpn(), host)?))
            }
        }
    }

    /// The request: origin-form with `host` on HTTP/1.1, pseudo-headers on HTTP/2.
    pub(super) fn template(&self, uri: &Uri) -> Result<Template, PlanError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        let (mut method, message) = (self.method.clone(), self.message());
        if message.is_some() {
            method = Method::POST;
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert(TE, HeaderValue::from_static("trailers"));
        } else if let Some(size) = self.body_size {
            let announced = content::hex(content::checksum(size));
            headers.insert(
                CHECKSUM_HEADER,
                HeaderValue::from_str(&announced).expect("hexadecimal digits"),
            );
        }
        let authority = uri.authority().map_or("", Authority::as_str);
        let host = match headers.remove(HOST) {
            Some(host) => host,
            None => HeaderValue::from_str(authority)
                .map_err(|_| PlanError::NotHttp(self.url.clone()))?,
        };
        let path = uri
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        let (version, uri) = match self.protocol {
            Protocol::Http1 => {
                headers.insert(HOST, host);
                if self.connection_per_request {
                    headers.insert(CONNECTION, HeaderValue::from_static("close"));
                }
                (Version::HTTP_11, Uri::from(path))
            }
            Protocol::Http2 { .. } => (Version::HTTP_2, absolute(uri.scheme(), &host, path)?),
        };
        let body_size = self.body_size.unwrap_or(0);
        // RFC 9110 §8.6: methods that usually have a body send a length of zero. gRPC never does.
        let expected = [Method::POST, Method::PUT, Method::PATCH].contains(&method);
        if message.is_none() && (self.body_size.is_some() || expected) {
            headers
                .entry(CONTENT_LENGTH)
                .or_insert_with(|| HeaderValue::from(body_size));
        }
        let first_id = self.first_id;
        let credentials = self.bearer_tokens.iter().map(bearer).collect();
        let wire = Vec::new();
        let mut template = Template {
            method,
            uri,
            version,
            headers,
            body_size,
            message,
            first_id,
            credentials,
            wire,
        };
        template.wire = template.render();
        Ok(template)
    }

    /// The source address of this place.
    pub(super) fn source(&self, place: usize) -> Option<Ipv4Addr> {
        let offset = place as u64 % u64::from(self.source_addresses?);
        Some(Ipv4Addr::from_bits(
            Ipv4Addr::LOCALHOST.to_bits() + offset as u32,
        ))
    }

    /// The message of every call, including its prefix.
    pub(super) fn message(&self) -> Option<Bytes> {
        let length = self.body_size.unwrap_or(0).min(LARGEST_MESSAGE) as u32;
        self.grpc.then(|| content::message(length))
    }

    /// RFC 9110 §9.2.1: repeating these changes nothing at the origin.
    pub(super) fn may_retry(&self) -> bool {
        self.retry_stale && self.method.is_safe() && !self.grpc
    }
}

fn bearer(token: &HeaderValue) -> HeaderValue {
    let value = [b"Bearer ", token.as_bytes()].concat();
    HeaderValue::from_bytes(&value).expect("a value behind a word is one")
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme() == Some(&Scheme::HTTPS)
}

fn absolute(
    scheme: Option<&Scheme>,
    host: &HeaderValue,
    path: PathAndQuery,
) -> Result<Uri, PlanError> {
    let authority =
        Authority::try_from(host.as_bytes()).map_err(|_| PlanError::Host(host.clone()))?;
    Uri::builder()
        .scheme(scheme.cloned().unwrap_or(Scheme::HTTP))
        .authority(authority)
        .path_and_query(path)
        .build()
        .map_err(|_| PlanError::Host(host.clone()))
}

impl Template {
    /// Start line and headers (RFC 9112 §3 and §5).
    fn render(&self) -> Vec<u8> {
        let mut wire = format!("{} {} HTTP/1.1\r\n", self.method, self.uri).into_bytes();
        let mut field = |name: &HeaderName, value: &HeaderValue| {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                wire.extend_from_slice(part);
            }
        };
        for (name, value) in &self.headers {
            field(name, value);
        }
        wire
    }

    /// The head of the request with this number in the schedule, in HTTP/1.1 form; `rendered` is
    /// the buffer for it.
    pub(super) fn head<'a>(&self, number: u64, rendered: &'a mut Vec<u8>) -> &'a [u8] {
        rendered.clear();
        rendered.extend_from_slice(&self.wire);
        if let Some(first) = self.first_id {
            // Writing to a vector cannot fail.
            let _ = write!(rendered, "{ID_HEADER}: {}\r\n", first.wrapping_add(number));
        }
        if let Some(value) = self.credential(number) {
            for part in [b"authorization: ", value.as_bytes(), b"\r\n"] {
                rendered.extend_from_slice(part);
            }
        }
        rendered.extend_from_slice(b"\r\n");
        rendered
    }

    fn credential(&self, number: u64) -> Option<&HeaderValue> {
        let count = self.credentials.len() as u64;
        self.credentials.get(number.checked_rem(count)? as usize)
    }

    /// The body of every request.
    pub(super) fn content(&self) -> Content {
        match &self.message {
            Some(message) => Content::of(message.clone()),
            None => Content::new(self.body_size),
        }
    }

    /// The request with this number in the schedule.
    pub(super) fn request(&self, number: u64) -> Request<Content> {
        let mut request = Request::new(self.content());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers.clone();
        if let Some(first) = self.first_id {
            let id = HeaderValue::from(first.wrapping_add(number));
            request
                .headers_mut()
                .insert(HeaderName::from_static(ID_HEADER), id);
        }
        if let Some(value) = self.credential(number) {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        request
    }
}
