//! A small HTTP client for the control thread: one server, HTTP/1.1, one reused connection.
//!
//! Every part of a response has a limit: the time, the head, the body. Redirects are followed only
//! when the caller enables them, and only to the same scheme, host and port, so that no other
//! server receives the credentials. A request is retried in two cases only, in which the server
//! cannot process it twice: no byte of it was sent, or its method is idempotent and a reused
//! connection closed without a response. There is no cache, no cookie and no proxy. A body is sent
//! unchanged; a caller that compresses it sets `Content-Encoding`.
//!
//! It runs on any Tokio runtime, also a single-threaded one, and spawns one task for each open
//! connection.

mod connection;
mod error;
mod redirect;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response as Head, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

pub use self::{connection::Connection, error::Error};
use self::{
    connection::FailedRequest,
    redirect::{followed, is_https, is_redirect, port},
};
use crate::{credentials::Credentials, dns::Resolver, race, tls::client::Handshaker};

/// `User-Agent` of requests that the proxy itself sends.
pub const USER_AGENT: &str = concat!("outrigger/", env!("CARGO_PKG_VERSION"));

/// A longer response head is a connection error.
const HEAD_BYTES: usize = 16 * 1024;

/// An idle connection is not reused after this time: firewalls on the path drop its state silently.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

/// The server, and the settings of requests to it.
#[derive(Clone)]
pub struct Settings {
    /// `http` or `https`, host, port, and the prefix of every path.
    pub base: Uri,
    /// TLS settings; required for `https`, unused for `http`.
    pub tls: Option<Handshaker>,
    /// Credentials of the requests. `http` sends them in clear text; the configuration must reject
    /// that combination.
    pub credentials: Option<Credentials>,
    /// From the start of a request to the end of its response, including DNS lookup, connect and
    /// redirects.
    pub timeout: Duration,
    /// Longest response body, in bytes.
    pub max_body: usize,
    /// How many consecutive redirects of a GET or HEAD are followed. With 0, a redirect is returned
    /// to the caller.
    pub redirects: usize,
    /// Whether the connection is kept for the next request; otherwise each request sends
    /// `Connection: close`.
    pub keep_alive: bool,
}

/// The base URL is invalid.
#[derive(Debug, thiserror::Error)]
#[error("{base}: {why}")]
pub struct InvalidBase {
    base: Uri,
    why: &'static str,
}

/// Sends requests to one server. Each concurrent request opens a connection; one of them is kept.
pub struct Client {
    settings: Settings,
    host: String,
    authority: HeaderValue,
    resolver: Arc<Resolver>,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    connection: Connection,
    since: Instant,
}

/// A complete response.
#[derive(Debug)]
pub struct Response {
    /// The status; any status is a response.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The URL that sent it, after all redirects.
    pub url: Uri,
    /// Its body. With a status other than 2xx it is truncated at the limit.
    pub body: Bytes,
}

/// A response whose body is not read yet. Dropping it closes the connection.
pub struct PendingResponse<'a> {
    /// The status; any status is a response.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The URL that sent it, after all redirects.
    pub url: Uri,
    body: Incoming,
    connection: Connection,
    client: &'a Client,
    deadline: Instant,
}

impl Client {
    /// A client without a connection; the first request opens one. `resolver` resolves host names.
    ///
    /// # Errors
    /// The base URL is not http or https, has no host, or is https without TLS settings.
    pub fn new(settings: Settings, resolver: Arc<Resolver>) -> Result<Self, InvalidBase> {
        let base = &settings.base;
        let invalid = |why| InvalidBase {
            base: settings.base.clone(),
            why,
        };
        match base.scheme_str() {
            Some("http") => {}
            Some("https") if settings.tls.is_some() => {}
            Some("https") => return Err(invalid("https needs TLS settings")),
            _ => return Err(invalid("the scheme must be http or https")),
        }
        let (Some(host), Some(authority)) = (base.host(), base.authority()) else {
            return Err(invalid("the host is missing"));
        };
        if authority.as_str().contains('@') {
            return Err(invalid("a user in the URL is not supported"));
        }
        let authority = HeaderValue::from_str(authority.as_str())
            .map_err(|_| invalid("the host cannot be sent in a header"))?;
        Ok(Self {
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            authority,
            settings,
            resolver,
            kept: Mutex::default(),
        })
    }

    /// GET. See [`Self::send`] for `path` and errors.
    ///
    /// # Errors
    /// There is no complete response.
    pub async fn get(&self, path: &str, headers: HeaderMap) -> Result<Response, Error> {
        let answer = self.send(Method::GET, path, headers, Bytes::new()).await?;
        answer.read().await
    }

    /// POST. See [`Self::send`] for `path` and errors.
    ///
    /// # Errors
    /// There is no complete response.
    pub async fn post(
        &self,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, Error> {
        let answer = self.send(Method::POST, path, headers, body).await?;
        answer.read().await
    }

    /// Sends a request and reads the head of its response. `path` is appended to the path of the
    /// base URL; an empty `path` means the base URL itself, with its query. `headers` are added to
    /// Host, User-Agent, Content-Length and the credentials.
    ///
    /// # Errors
    /// There is no response. A status is never an error.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<PendingResponse<'_>, Error> {
        let deadline = Instant::now() + self.settings.timeout;
        let mut url = self.url(path)?;
        let headers = self.headers(headers)?;
        let follows = method == Method::GET || method == Method::HEAD;
        let mut redirects = if follows { self.settings.redirects } else { 0 };
        loop {
            let request = request(&method, &url, headers.clone(), body.clone());
            let answer = timeout_at(deadline, self.exchange(request, &url)).await;
            let (head, connection) =
                answer.map_err(|_| Error::Timeout(self.settings.timeout))??;
            let answer = self.answer(head, connection, url, deadline);
            if !follows || self.settings.redirects == 0 || !is_redirect(answer.status) {
                return Ok(answer);
            }
            url = answer.redirect(redirects > 0)?;
            redirects -= 1;
        }
    }

    fn url(&self, path: &str) -> Result<Uri, Error> {
        let base = &self.settings.base;
        if path.is_empty() {
            return Ok(base.clone());
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        let target = format!("{}{slash}{path}", base.path().trim_end_matches('/'));
        let mut parts = base.clone().into_parts();
        parts.path_and_query = target.parse().ok();
        Uri::from_parts(parts).map_err(|_| Error::Path {
            path: path.to_owned(),
        })
    }

    /// The headers of a request. The caller's headers do not replace those that the client sets.
    fn headers(&self, mut headers: HeaderMap) -> Result<HeaderMap, Error> {
        headers.insert(header::HOST, self.authority.clone());
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if !self.settings.keep_alive {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(credentials) = &self.settings.credentials {
            let (name, value) = credentials.header().map_err(Error::Credentials)?;
            headers.insert(name, value);
        }
        Ok(headers)
    }

    /// Sends a request on the kept connection, or on a new one.
    async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        url: &Uri,
    ) -> Result<(Head<Incoming>, Connection), Error> {
        let protocol = |source| Error::Protocol {
            url: url.clone(),
            source,
        };
        if let Some(mut kept) = self.take_kept() {
            let again = request.method().is_idempotent().then(|| request.clone());
            match kept.try_send(request).await {
                Ok(head) => return Ok((head, kept)),
                Err(FailedRequest { error, unsent }) => {
                    request = unsent.or(again).ok_or_else(|| protocol(error))?;
                }
            }
        }
        let mut connection = self.connect(url).await?;
        let head = connection.send(request).await.map_err(protocol)?;
        Ok((head, connection))
    }

    async fn connect(&self, url: &Uri) -> Result<Connection, Error> {
        let host = || self.host.clone();
        let connect = |source| Error::Connect {
            host: host(),
            source,
        };
        let port = port(&self.settings.base);
        let addresses = self.resolver.sockets(&self.host, port).await;
        let connected = race::connect(addresses.map_err(connect)?).await;
        let (stream, _) = connected.map_err(connect)?;
        let opened = match &self.settings.tls {
            Some(tls) if is_https(url) => {
                let handshake = tls.handshake(stream, &self.host).await;
                let source = |source| Error::Tls {
                    host: host(),
                    source,
                };
                Connection::http1(handshake.map_err(source)?, HEAD_BYTES).await
            }
            _ => Connection::http1(stream, HEAD_BYTES).await,
        };
        opened.map_err(|source| Error::Protocol {
            url: url.clone(),
            source,
        })
    }

    fn answer(
        &self,
        head: Head<Incoming>,
        connection: Connection,
        url: Uri,
        deadline: Instant,
    ) -> PendingResponse<'_> {
        let (head, body) = head.into_parts();
        PendingResponse {
            status: head.status,
            headers: head.headers,
            url,
            body,
            connection,
            client: self,
            deadline,
        }
    }

    fn take_kept(&self) -> Option<Connection> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good =
            |kept: &Kept| kept.since.elapsed() < LONGEST_IDLE && !kept.connection.is_closed();
        kept.take().filter(is_good).map(|kept| kept.connection)
    }

    fn keep(&self, connection: Connection) {
        if self.settings.keep_alive {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            *kept = Some(Kept {
                connection,
                since: Instant::now(),
            });
        }
    }
}

fn request(method: &Method, url: &Uri, headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method.clone();
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() = target.parse().unwrap_or_default();
    *request.headers_mut() = headers;
    request
}

impl PendingResponse<'_> {
    /// Reads the body. After its end the connection is kept for another request.
    ///
    /// # Errors
    /// The body timed out, was incomplete, or is longer than the limit while the status is 2xx.
    pub async fn read(self) -> Result<Response, Error> {
        let limit = self.client.settings.max_body;
        let Self {
            status,
            headers,
            url,
            mut body,
            connection,
            client,
            deadline,
        } = self;
        let mut read = Vec::new();
        loop {
            let frame = timeout_at(deadline, body.frame()).await;
            let Some(frame) = frame.map_err(|_| Error::Timeout(client.settings.timeout))? else {
                client.keep(connection);
                break;
            };
            let data = match frame {
                Ok(frame) => frame.into_data().unwrap_or_default(),
                Err(source) => return Err(Error::Protocol { url, source }),
            };
            let room = limit - read.len();
            read.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                match status.is_success() {
                    true => return Err(Error::TooLarge { url, limit }),
                    false => break, // the status is error enough
                }
            }
        }
        Ok(Response {
            status,
            headers,
            url,
            body: read.into(),
        })
    }

    /// The target of a redirect.
    fn redirect(self, may_follow: bool) -> Result<Uri, Error> {
        let location = self.headers.get(header::LOCATION);
        let location = location.and_then(|location| location.to_str().ok());
        let location = location.unwrap_or_default().to_owned();
        let target = followed(&self.url, &location).filter(|_| may_follow);
        target.ok_or(Error::Redirect {
            url: self.url,
            location,
        })
    }
}
