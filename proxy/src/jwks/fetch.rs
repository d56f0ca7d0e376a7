//! One fetch of a provider's keys: by their URL, or through the issuer's discovery document.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use outrigger_config::{
    jwks,
    model::{ClientTls, KeySource, RemoteKeys},
    strict_json::Json,
};
use outrigger_filters::jwt::KeySet;
use outrigger_transport::{
    client::{self, Client, Settings},
    credentials::Credentials,
    dns::Resolver,
    tls::client::Handshaker,
};
use tokio::time::timeout;

use super::{cell::KeyCell, error::FetchError};

/// How many consecutive redirects are followed.
const MAX_REDIRECTS: usize = 3;

/// A discovery document is flat; unused members may be nested a little deeper.
const MAX_DEPTH: usize = 16;

/// Fetches the keys of `cell` within `jwks.timeout`.
///
/// # Errors
/// The fetch failed, or returned no usable keys.
pub(super) async fn fetch(
    cell: &KeyCell,
    remote: &RemoteKeys,
    trust: &mut Trust,
    resolver: &Arc<Resolver>,
) -> Result<KeySet, FetchError> {
    let fetching = Fetch::begin(remote, trust, resolver)?.keys(cell);
    timeout(remote.timeout, fetching)
        .await
        .map_err(|_| FetchError::Timeout)?
}

/// TLS settings and trusted roots, built on first use.
#[derive(Default)]
pub(super) struct Trust(Option<Handshaker>);

struct Fetch<'a> {
    remote: &'a RemoteKeys,
    trust: &'a mut Trust,
    resolver: &'a Arc<Resolver>,
    /// Read once per fetch, also for the discovery document.
    bearer: Option<(HeaderName, HeaderValue)>,
}

impl<'a> Fetch<'a> {
    fn begin(
        remote: &'a RemoteKeys,
        trust: &'a mut Trust,
        resolver: &'a Arc<Resolver>,
    ) -> Result<Self, FetchError> {
        let bearer = remote.bearer_token.clone().map(Credentials::Bearer);
        let bearer = bearer
            .map(|bearer| bearer.header())
            .transpose()
            .map_err(FetchError::Credentials)?;
        Ok(Self {
            remote,
            trust,
            resolver,
            bearer,
        })
    }

    async fn keys(mut self, cell: &KeyCell) -> Result<KeySet, FetchError> {
        let url = match &cell.source {
            KeySource::Url(url, _) => url.clone(),
            _ => self.discover(&cell.issuer).await?,
        };
        let (url, body) = self.get(url).await?;
        match jwks::parse(&body) {
            Ok(set) => {
                for skipped in &set.skipped {
                    tracing::debug!(provider = %cell.name, "a key that cannot be used: {skipped}");
                }
                Ok(KeySet::public(set))
            }
            Err(source) => Err(FetchError::Keys { url, source }),
        }
    }

    /// OpenID Connect Discovery 1.0 section 4: `jwks_uri` of the document of exactly this issuer.
    async fn discover(&mut self, issuer: &str) -> Result<Uri, FetchError> {
        let text = format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        );
        let url = text.parse().map_err(|_| FetchError::Discovery {
            url: Uri::default(),
            why: format!("the issuer {issuer:?} is not a valid URL"),
        })?;
        let (url, body) = self.get(url).await?;
        jwks_uri(&body, issuer).map_err(|why| FetchError::Discovery { url, why })
    }

    /// The body at `url`, and the final URL after redirects.
    async fn get(&mut self, url: Uri) -> Result<(Uri, Bytes), FetchError> {
        let encrypted = url.scheme_str() == Some("https");
        if !encrypted && !self.remote.allow_insecure {
            return Err(FetchError::Insecure { url });
        }
        let tls = if encrypted {
            Some(self.trust.of(self.remote, &url)?)
        } else {
            None
        };
        let settings = Settings {
            base: url.clone(),
            tls,
            credentials: None,
            timeout: self.remote.timeout,
            max_body: jwks::MAX_BYTES,
            redirects: MAX_REDIRECTS,
            keep_alive: false,
        };
        let client = Client::new(settings, Arc::clone(self.resolver));
        let client = client.map_err(|error| FetchError::Discovery {
            url,
            why: error.to_string(),
        })?;
        let headers = headers(self.bearer.clone().filter(|_| encrypted));
        let answer = client.send(Method::GET, "", headers, Bytes::new()).await?;
        match answer.status.as_u16() {
            200 => {
                let response = answer.read().await?;
                Ok((response.url, response.body))
            }
            status => Err(FetchError::Status {
                url: answer.url,
                status,
            }),
        }
    }
}

impl Trust {
    fn of(&mut self, remote: &RemoteKeys, url: &Uri) -> Result<Handshaker, FetchError> {
        if let Some(made) = &self.0 {
            return Ok(made.clone());
        }
        let mut settings = ClientTls::default();
        settings.ca_certificates.clone_from(&remote.ca_certificates);
        let made = Handshaker::build(&settings).map_err(|error| client::Error::Tls {
            host: url.host().unwrap_or_default().to_owned(),
            source: error.into(),
        })?;
        Ok(self.0.insert(made).clone())
    }
}

fn headers(bearer: Option<(HeaderName, HeaderValue)>) -> HeaderMap {
    let accepted = HeaderValue::from_static("application/json, application/jwk-set+json");
    let mut headers = HeaderMap::from_iter([(header::ACCEPT, accepted)]);
    headers.extend(bearer);
    headers
}

/// The `jwks_uri` of a discovery document.
fn jwks_uri(document: &[u8], issuer: &str) -> Result<Uri, String> {
    let json = Json::parse(document, MAX_DEPTH).map_err(|error| error.to_string())?;
    let object = json.as_object().ok_or("it is not a JSON object")?;
    let text = |name| {
        object
            .get(name)
            .and_then(Json::as_str)
            .ok_or_else(|| format!("it has no {name}"))
    };
    let told = text("issuer")?;
    if told != issuer {
        return Err(format!(
            "its issuer is {told:?} and not {issuer:?}; they must be equal byte by byte"
        ));
    }
    let uri = text("jwks_uri")?;
    let parsed = uri
        .parse::<Uri>()
        .ok()
        .filter(|uri| uri.host().is_some() && uri.scheme().is_some());
    parsed.ok_or_else(|| format!("its jwks_uri {uri:?} is not a valid URL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discovery_document_names_the_very_issuer_and_its_keys() {
        let issuer = "https://id.example/";
        for (document, expected) in [
            (
                r#"{"issuer":"https://id.example/","jwks_uri":"https://keys.example/k","x":[{"y":1}]}"#,
                Ok("https://keys.example/k"),
            ),
            (
                r#"{"issuer":"https://id.example","jwks_uri":"https://keys.example/k"}"#,
                Err("byte by byte"),
            ),
            (
                r#"{"issuer":"https://evil.example/","jwks_uri":"https://keys.example/k"}"#,
                Err("evil"),
            ),
            (r#"{"jwks_uri":"https://keys.example/k"}"#, Err("no issuer")),
            (r#"{"issuer":"https://id.example/"}"#, Err("no jwks_uri")),
            (
                r#"{"issuer":"https://id.example/","jwks_uri":7}"#,
                Err("no jwks_uri"),
            ),
            (
                r#"{"issuer":"https://id.example/","jwks_uri":"/keys"}"#,
                Err("not a valid URL"),
            ),
            (
                r#"{"issuer":"a","issuer":"https://id.example/","jwks_uri":"https://k.example/k"}"#,
                Err(""),
            ),
            ("[]", Err("not a JSON object")),
            ("<!doctype html>", Err("")),
            ("", Err("")),
        ] {
            match (jwks_uri(document.as_bytes(), issuer), expected) {
                (Ok(uri), Ok(expected)) => assert_eq!(uri.to_string(), expected),
                (Err(why), Err(part)) => assert!(why.contains(part), "{document}: {why}"),
                (got, _) => panic!("{document}: {got:?}"),
            }
        }
    }
}
