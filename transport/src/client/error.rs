//! Why there is no response.

use std::{io, time::Duration};

use http::Uri;

use crate::tls::words;

/// Why a request has no response.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path cannot be put behind the base URL.
    #[error("{path:?} is no path of a URL")]
    Path {
        /// The path.
        path: String,
    },
    /// A file cannot be read, or its secret cannot be sent in a header.
    #[error("the credentials cannot be read: {0}")]
    Credentials(io::Error),
    /// The host has no address, or none accepts connections.
    #[error("no connection to {host}: {source}")]
    Connect {
        /// The host of the base URL.
        host: String,
        /// What failed last.
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("no TLS with {host}: {}", words::of_io(.source))]
    Tls {
        /// The host of the base URL.
        host: String,
        /// What failed.
        source: io::Error,
    },
    /// The response was not complete in time. The server may have acted on the request.
    #[error("no whole response within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// A redirect to another host, or one too many.
    #[error("{url} redirects to {location}, which is not followed")]
    Redirect {
        /// What answered so.
        url: Uri,
        /// Where it leads to.
        location: String,
    },
    /// The body is longer than the limit.
    #[error("{url} sent a body of more than {limit} bytes")]
    TooLarge {
        /// What sent it.
        url: Uri,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The connection broke, or the response is not HTTP. The server may have acted on the request.
    #[error("{url} broke HTTP: {source}")]
    Protocol {
        /// What was asked for.
        url: Uri,
        /// What the HTTP library says.
        source: hyper::Error,
    },
}
