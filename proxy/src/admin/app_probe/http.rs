//! An HTTP probe as the kubelet sends it: a GET for which 200 to 399 is success. At most ten
//! redirects to the same host are followed.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use outrigger_transport::probe::Cause;
use tokio::task::JoinSet;

use super::connect;

/// Redirects that are followed (`maxRedirects` of `pkg/probe/http/http.go`).
const REDIRECTS: usize = 10;

pub(super) async fn get(
    port: u16,
    target: &str,
    headers: &HeaderMap,
    user_agent: Option<&HeaderValue>,
) -> Result<(), Cause> {
    let mut at = Place {
        port,
        target: target.to_owned(),
    };
    for _ in 0..=REDIRECTS {
        let (status, location) = at.ask(headers, user_agent).await?;
        if !status.is_success() && !status.is_redirection() {
            return Err(format!("{} answered {}", at.target, status.as_u16()).into());
        }
        // Other statuses from 300 to 399 are final responses.
        let follows = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        match location.filter(|_| follows) {
            None => return Ok(()),
            Some(location) => match at.next(&location)? {
                Some(next) => at = next,
                None => return Ok(()),
            },
        }
    }
    Err(format!("more than {REDIRECTS} redirects").into())
}

/// The target of a request: always on 127.0.0.1.
struct Place {
    port: u16,
    target: String,
}

impl Place {
    async fn ask(
        &self,
        headers: &HeaderMap,
        user_agent: Option<&HeaderValue>,
    ) -> Result<(StatusCode, Option<String>), Cause> {
        let stream = connect(self.port).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Dropping this future closes the connection, also after a timeout.
        let mut driver = JoinSet::new();
        driver.spawn(async move { drop(connection.await) });
        let mut request = Request::builder()
            .uri(&self.target)
            .body(Full::<Bytes>::default())?;
        let found = request.headers_mut();
        found.clone_from(headers);
        if let Some(agent) = user_agent {
            found
                .entry(header::USER_AGENT)
                .or_insert_with(|| agent.clone());
        }
        found
            .entry(header::ACCEPT)
            .or_insert(HeaderValue::from_static("*/*"));
        let host = HeaderValue::from_str(&format!("127.0.0.1:{}", self.port))?;
        found.entry(header::HOST).or_insert(host);
        found.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let answer = sender.send_request(request).await?;
        let location = answer.headers().get(header::LOCATION);
        let location = location.and_then(|location| location.to_str().ok());
        Ok((answer.status(), location.map(str::to_owned)))
    }

    /// The target of a redirect; `None` for another host, which counts as success without a
    /// request.
    fn next(&self, location: &str) -> Result<Option<Self>, Cause> {
        let uri: Uri = match location.strip_prefix("//") {
            Some(rest) => format!("http://{rest}").parse()?,
            None if location.contains("://") || location.starts_with('/') => location.parse()?,
            // Relative to the folder of the path.
            None => {
                let path = self.target.split(['?', '#']).next().unwrap_or("/");
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                format!("{folder}/{location}").parse()?
            }
        };
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let target = if target.is_empty() { "/" } else { target }.to_owned();
        let Some(host) = uri.host() else {
            return Ok(Some(Self {
                port: self.port,
                target,
            }));
        };
        if host != "127.0.0.1" {
            return Ok(None);
        }
        if uri.scheme_str() == Some("https") {
            return Err(format!("it redirects to {location}, and no probe speaks TLS").into());
        }
        Ok(Some(Self {
            port: uri.port_u16().unwrap_or(80),
            target,
        }))
    }
}
