//! Errors of key fetches.

use std::io;

use http::Uri;
use outrigger_config::jwks::JwksError;
use outrigger_transport::client;

use crate::telemetry::metrics::FetchResult;

/// Why there are no new keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the bearer token cannot be read: {0}")]
    Credentials(io::Error),
    #[error("{url} is not https, and allowInsecure is not set")]
    Insecure { url: Uri },
    #[error("no complete response within jwks.timeout")]
    Timeout,
    #[error("{url} responded with status {status}")]
    Status { url: Uri, status: u16 },
    #[error(
        "{url} redirects to {location}, which is not followed: only redirects to the same host are, at most three"
    )]
    Redirect { url: Uri, location: String },
    #[error("{url} sent a response of more than 1 MiB")]
    TooLarge { url: Uri },
    /// The connection, TLS or HTTP failed.
    #[error("{0}")]
    Http(client::Error),
    #[error("the discovery document at {url} cannot be used: {why}")]
    Discovery { url: Uri, why: String },
    #[error("the response of {url} cannot be used: {source}")]
    Keys { url: Uri, source: JwksError },
}

impl From<client::Error> for FetchError {
    fn from(error: client::Error) -> Self {
        match error {
            client::Error::Credentials(error) => Self::Credentials(error),
            client::Error::Timeout(_) => Self::Timeout,
            client::Error::Redirect { url, location } => Self::Redirect { url, location },
            client::Error::TooLarge { url, .. } => Self::TooLarge { url },
            other => Self::Http(other),
        }
    }
}

impl FetchError {
    /// The value of the metric label; a closed set.
    pub(super) fn result(&self) -> FetchResult {
        match self {
            Self::Credentials(_) => FetchResult::Credentials,
            Self::Http(client::Error::Connect { .. }) => FetchResult::Connect,
            Self::Http(client::Error::Tls { .. }) => FetchResult::Tls,
            Self::Http(_) => FetchResult::Protocol,
            Self::Timeout => FetchResult::Timeout,
            Self::Status { .. } => FetchResult::Status,
            Self::Insecure { .. } | Self::Redirect { .. } => FetchResult::Redirect,
            Self::TooLarge { .. } => FetchResult::TooLarge,
            Self::Discovery { .. } => FetchResult::Discovery,
            Self::Keys { .. } => FetchResult::Keys,
        }
    }
}
