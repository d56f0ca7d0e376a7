//! What the sinks that speak HTTP share: the client, compression, and what a status means.

use std::{
    fmt,
    io::{self, Write},
    sync::Arc,
    time::{Duration, SystemTime},
};

use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use outrigger_config::model::SecretSource;
use outrigger_transport::{
    client::{Client, Error, InvalidBase, Response, Settings},
    credentials::Credentials,
    dns::Resolver,
    tls::client::{Handshaker, TrustError},
};

use super::Attempt;

/// The longest answer that is read: one with an error for each of thousands of items has megabytes.
const LONGEST_ANSWER: usize = 32 << 20;

/// Text of an answer that is shown.
const SHOWN: usize = 200;

/// How a server is reached.
#[derive(Clone)]
pub struct HttpSettings {
    /// Where its API begins.
    pub url: Uri,
    /// TLS, with `https`.
    pub tls: Option<Arc<outrigger_config::model::ClientTls>>,
    /// What proves who sends.
    pub credentials: Option<Credentials>,
    /// An API key of Elasticsearch, in place of them.
    pub api_key: Option<ApiKey>,
    /// For one request, with its answer.
    pub timeout: Duration,
    /// Whether bodies are compressed.
    pub gzip: bool,
}

/// What stands behind `Authorization: ApiKey`. A file is read whenever it is needed.
#[derive(Clone)]
pub struct ApiKey(pub SecretSource);

/// Why a sink cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Its URL.
    #[error(transparent)]
    Url(#[from] InvalidBase),
    /// No server could be trusted.
    #[error(transparent)]
    Tls(#[from] TrustError),
}

/// A server that is posted to.
pub(super) struct Post {
    client: Client,
    api_key: Option<ApiKey>,
    gzip: bool,
}

/// What a status says about the whole request.
pub(super) enum Verdict {
    /// The answer says more.
    Success,
    /// Its size or one of its records: a smaller one may be taken.
    Smaller(String),
    /// Later again.
    Later(Attempt),
}

impl HttpSettings {
    pub(super) fn client(&self, resolver: &Arc<Resolver>) -> Result<Post, Unusable> {
        let tls = self.tls.as_deref().map(Handshaker::build).transpose()?;
        let settings = Settings {
            base: self.url.clone(),
            tls,
            credentials: self.credentials.clone(),
            timeout: self.timeout,
            max_body: LONGEST_ANSWER,
            redirects: 0,
            keep_alive: true,
        };
        let client = Client::new(settings, Arc::clone(resolver))?;
        Ok(Post {
            client,
            api_key: self.api_key.clone(),
            gzip: self.gzip,
        })
    }
}

impl fmt::Debug for HttpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSettings")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Post {
    /// Sends a body.
    pub(super) async fn send(
        &self,
        path: &str,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Result<Response, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(key) = &self.api_key {
            let value = key.header().map_err(Error::Credentials)?;
            headers.insert(header::AUTHORIZATION, value);
        }
        let body = if self.gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            compressed(&body)
        } else {
            body
        };
        self.client.post(path, headers, body.into()).await
    }
}

impl ApiKey {
    fn header(&self) -> io::Result<HeaderValue> {
        let key = match &self.0 {
            SecretSource::File(path) => std::fs::read(path)?,
            SecretSource::Env { value, .. } => value.expose().to_vec(),
        };
        let value = [b"ApiKey ", key.trim_ascii()].concat();
        let mut value = HeaderValue::from_bytes(&value)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// Speed before size: the level takes a tenth of the time of the default one.
fn compressed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

/// What a status means for a request of many records.
pub(super) fn verdict(response: &Response) -> Verdict {
    let status = response.status;
    if status.is_success() {
        return Verdict::Success;
    }
    let reason = reason(response);
    match status {
        StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::BAD_REQUEST
        | StatusCode::UNPROCESSABLE_ENTITY => Verdict::Smaller(reason),
        _ => Verdict::Later(Attempt::Retry {
            after: retry_after(&response.headers),
            reason,
        }),
    }
}

/// The status with the beginning of the body.
pub(super) fn reason(response: &Response) -> String {
    let text = String::from_utf8_lossy(&response.body);
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    format!("{} {text}", response.status)
}

/// Seconds, or a date (RFC 9110 §10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}
