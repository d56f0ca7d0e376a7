//! Why there are no new keys.

use std::io;

use ::http::Uri;
use outrigger_config::jwks::JwksError;
use outrigger_transport::tls;

use crate::telemetry::metrics::FetchResult;

/// Why there are no new keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the bearer token cannot be read: {0}")]
    Credentials(io::Error),
    #[error("{url} is not https, and there is no allowInsecure")]
    Insecure { url: Uri },
    #[error("no connection to {host}: {source}")]
    Connect { host: String, source: io::Error },
    #[error("no TLS with {host}: {}", tls::words::of_io(.source))]
    Tls { host: String, source: io::Error },
    #[error("no whole answer within jwks.timeout")]
    Timeout,
    #[error("{url} answered {status}")]
    Status { url: Uri, status: u16 },
    #[error(
        "{url} redirects to {location}, which is not followed: only the same host is, three times"
    )]
    Redirect { url: Uri, location: String },
    #[error("{url} answered more than 1 MiB")]
    TooLarge { url: Uri },
    #[error("{url} broke HTTP: {source}")]
    Protocol { url: Uri, source: hyper::Error },
    #[error("the discovery document at {url} cannot be used: {why}")]
    Discovery { url: Uri, why: String },
    #[error("what {url} answered cannot be used: {source}")]
    Keys { url: Uri, source: JwksError },
}

impl FetchError {
    /// As a label has it; a closed set.
    pub(super) fn result(&self) -> FetchResult {
        match self {
            Self::Credentials(_) => FetchResult::Credentials,
            Self::Connect { .. } => FetchResult::Connect,
            Self::Tls { .. } => FetchResult::Tls,
            Self::Timeout => FetchResult::Timeout,
            Self::Status { .. } => FetchResult::Status,
            Self::Insecure { .. } | Self::Redirect { .. } => FetchResult::Redirect,
            Self::TooLarge { .. } => FetchResult::TooLarge,
            Self::Protocol { .. } => FetchResult::Protocol,
            Self::Discovery { .. } => FetchResult::Discovery,
            Self::Keys { .. } => FetchResult::Keys,
        }
    }
}
