//! One GET over a connection of its own: what a fetch of keys needs of HTTP, and no more.

use std::{io, sync::Arc};

use ::http::{HeaderValue, Request, Response, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use outrigger_config::jwks::MAX_BYTES;
use outrigger_transport::{dns::Resolver, race};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::error::FetchError;

/// A response head over this is refused.
const HEAD_BYTES: usize = 16 * 1024;

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
}

/// Gets `url`, whose host is verified when there is `tls`.
///
/// # Errors
/// No whole answer, or a body over 1 MiB.
pub(super) async fn get(
    url: &Uri,
    tls: Option<Arc<ClientConfig>>,
    bearer: Option<HeaderValue>,
    resolver: &Resolver,
) -> Result<Answer, FetchError> {
    let host = url
        .host()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let port = url
        .port_u16()
        .unwrap_or_else(|| if tls.is_some() { 443 } else { 80 });
    let connected = async { race::connect(resolver.sockets(&host, port).await?).await };
    let (stream, _) = connected.await.map_err(|source| FetchError::Connect {
        host: host.clone(),
        source,
    })?;
    let Some(tls) = tls else {
        return exchange(url, stream, bearer).await;
    };
    let name = ServerName::try_from(host.clone()).map_err(io::Error::other);
    let encrypted = match name {
        Ok(name) => TlsConnector::from(tls).connect(name, stream).await,
        Err(error) => Err(error),
    };
    exchange(
        url,
        encrypted.map_err(|source| FetchError::Tls { host, source })?,
        bearer,
    )
    .await
}

async fn exchange<S>(
    url: &Uri,
    stream: S,
    bearer: Option<HeaderValue>,
) -> Result<Answer, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let protocol = |source| FetchError::Protocol {
        url: url.clone(),
        source,
    };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES);
    let (mut sender, connection) = builder
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(protocol)?;
    let driven = Driven(tokio::spawn(async move { drop(connection.await) }));
    let response = sender
        .send_request(request(url, bearer))
        .await
        .map_err(protocol)?;
    let answer = read(url, response).await;
    drop(driven);
    answer
}

/// Ends the connection's task with the fetch, however that ends.
struct Driven(tokio::task::JoinHandle<()>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn request(url: &Uri, bearer: Option<HeaderValue>) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() = target.parse().unwrap_or_default();
    let headers = request.headers_mut();
    let authority = url.authority().map_or("", |authority| authority.as_str());
    if let Ok(host) = HeaderValue::from_str(authority) {
        headers.insert(header::HOST, host);
    }
    headers.insert(
        header::ACCEPT,
        HeaderValue::from_static("application/json, application/jwk-set+json"),
    );
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("outrigger/", env!("CARGO_PKG_VERSION"))),
    );
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if let Some(bearer) = bearer {
        headers.insert(header::AUTHORIZATION, bearer);
    }
    request
}

async fn read(url: &Uri, response: Response<Incoming>) -> Result<Answer, FetchError> {
    let (head, mut incoming) = response.into_parts();
    let location = head
        .headers
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok());
    let mut answer = Answer {
        status: head.status.as_u16(),
        location: location.map(str::to_owned),
        body: Vec::new(),
    };
    if answer.status != 200 {
        return Ok(answer); // nobody reads what it says
    }
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|source| FetchError::Protocol {
            url: url.clone(),
            source,
        })?;
        let data = frame.into_data().unwrap_or_default();
        if answer.body.len() + data.len() > MAX_BYTES {
            return Err(FetchError::TooLarge { url: url.clone() });
        }
        answer.body.extend_from_slice(&data);
    }
    Ok(answer)
}
