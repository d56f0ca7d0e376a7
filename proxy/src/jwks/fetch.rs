//! One fetch of a provider's keys: by their URL, or by the issuer's discovery document.

use std::{io, sync::Arc};

use ::http::{HeaderValue, Uri};
use outrigger_config::{
    jwks,
    model::{KeySource, RemoteKeys, SecretSource},
    strict_json::Json,
};
use outrigger_filters::jwt::KeySet;
use outrigger_transport::{dns::Resolver, tls};
use rustls::ClientConfig;
use tokio::time::timeout;

use super::{cell::KeyCell, error::FetchError, http};

/// How many redirects in a row are followed.
const MAX_REDIRECTS: usize = 3;

/// A discovery document is flat; members that nobody reads may be a little deeper.
const MAX_DEPTH: usize = 16;

/// Fetches the keys of `cell` within `jwks.timeout`.
///
/// # Errors
/// Why there are none.
pub(super) async fn fetch(
    cell: &KeyCell,
    remote: &RemoteKeys,
    trust: &mut Trust,
    resolver: &Resolver,
) -> Result<KeySet, FetchError> {
    let fetching = Fetch::begin(remote, trust, resolver)?.keys(cell);
    timeout(remote.timeout, fetching)
        .await
        .map_err(|_| FetchError::Timeout)?
}

/// Whom to believe, made when it is first needed.
#[derive(Default)]
pub(super) struct Trust(Option<Arc<ClientConfig>>);

struct Fetch<'a> {
    remote: &'a RemoteKeys,
    trust: &'a mut Trust,
    resolver: &'a Resolver,
    bearer: Option<HeaderValue>,
}

impl<'a> Fetch<'a> {
    fn begin(
        remote: &'a RemoteKeys,
        trust: &'a mut Trust,
        resolver: &'a Resolver,
    ) -> Result<Self, FetchError> {
        let bearer = remote
            .bearer_token
            .as_ref()
            .map(bearer)
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

    /// OpenID Connect Discovery 1.0 section 4: `jwks_uri` of a document that names this very issuer.
    async fn discover(&mut self, issuer: &str) -> Result<Uri, FetchError> {
        let text = format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        );
        let url = text.parse().map_err(|_| FetchError::Discovery {
            url: Uri::default(),
            why: format!("the issuer {issuer:?} is no URL"),
        })?;
        let (url, body) = self.get(url).await?;
        jwks_uri(&body, issuer).map_err(|why| FetchError::Discovery { url, why })
    }

    /// The body at `url`, and where it was in the end.
    async fn get(&mut self, mut url: Uri) -> Result<(Uri, Vec<u8>), FetchError> {
        for _ in 0..=MAX_REDIRECTS {
            let encrypted = is_https(&url);
            if !encrypted && !self.remote.allow_insecure {
                return Err(FetchError::Insecure { url });
            }
            let tls = if encrypted {
                Some(self.trust.of(self.remote, &url)?)
            } else {
                None
            };
            let bearer = self.bearer.clone().filter(|_| encrypted);
            let answer = http::get(&url, tls, bearer, self.resolver).await?;
            match answer.status {
                200 => return Ok((url, answer.body)),
                301 | 302 | 303 | 307 | 308 => {
                    let location = answer.location.unwrap_or_default();
                    url =
                        followed(&url, &location).ok_or(FetchError::Redirect { url, location })?;
                }
                status => return Err(FetchError::Status { url, status }),
            }
        }
        let location = "yet another place".to_owned();
        Err(FetchError::Redirect { url, location })
    }
}

impl Trust {
    fn of(&mut self, remote: &RemoteKeys, url: &Uri) -> Result<Arc<ClientConfig>, FetchError> {
        if let Some(made) = &self.0 {
            return Ok(Arc::clone(made));
        }
        let host = url.host().unwrap_or_default().to_owned();
        let made = tls::client::trusting(&remote.ca_certificates);
        let made = made.map_err(|error| FetchError::Tls {
            host,
            source: error.into(),
        })?;
        Ok(Arc::clone(self.0.insert(made)))
    }
}

/// A file is read at every fetch: the kubelet puts a new token there long before the old one ends.
fn bearer(source: &SecretSource) -> io::Result<HeaderValue> {
    let secret = match source {
        SecretSource::File(path) => std::fs::read(path)?,
        SecretSource::Env { value, .. } => value.expose().to_vec(),
    };
    let mut value =
        HeaderValue::from_bytes(&[b"Bearer ", secret.trim_ascii()].concat()).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "it has bytes that no header may have",
            )
        })?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_https(url: &Uri) -> bool {
    url.scheme_str() == Some("https")
}

/// Where a redirect leads to, when that is the same scheme, host and port.
fn followed(url: &Uri, location: &str) -> Option<Uri> {
    let target: Uri = match location.as_bytes() {
        [b'/', b'/', ..] | [] => return None,
        [b'/', ..] => {
            let mut parts = url.clone().into_parts();
            parts.path_and_query = Some(location.parse().ok()?);
            Uri::from_parts(parts).ok()?
        }
        _ => location.parse().ok()?,
    };
    let port = |uri: &Uri| {
        uri.port_u16()
            .or_else(|| Some(if is_https(uri) { 443 } else { 80 }))
    };
    let same = target.scheme() == url.scheme()
        && target
            .host()
            .zip(url.host())
            .is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
        && port(&target) == port(url)
        && !target
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'));
    same.then_some(target)
}

/// What a discovery document says about the keys.
fn jwks_uri(document: &[u8], issuer: &str) -> Result<Uri, String> {
    let json = Json::parse(document, MAX_DEPTH).map_err(|error| error.to_string())?;
    let object = json.as_object().ok_or("it is no JSON object")?;
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
    parsed.ok_or_else(|| format!("its jwks_uri {uri:?} is no URL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/security.md 14.
    #[test]
    fn a_redirect_is_followed_to_the_same_scheme_host_and_port_alone() {
        let url: Uri = "https://id.example/keys?a=1".parse().unwrap();
        for (location, expected) in [
            ("/v2/keys?b=2", Some("https://id.example/v2/keys?b=2")),
            ("https://id.example/other", Some("https://id.example/other")),
            (
                "https://ID.example:443/other",
                Some("https://ID.example:443/other"),
            ),
            ("https://id.example:8443/other", None),
            ("http://id.example/other", None),
            ("https://evil.example/keys", None),
            ("https://id.example.evil/keys", None),
            ("https://id.example@evil.example/keys", None),
            ("https://user@id.example/keys", None),
            ("//evil.example/keys", None),
            ("keys", None),
            ("", None),
            ("javascript:alert(1)", None),
        ] {
            let target = followed(&url, location).map(|target| target.to_string());
            assert_eq!(target.as_deref(), expected, "{location}");
        }
    }

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
                Err("no URL"),
            ),
            (
                r#"{"issuer":"a","issuer":"https://id.example/","jwks_uri":"https://k.example/k"}"#,
                Err(""),
            ),
            ("[]", Err("no JSON object")),
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
