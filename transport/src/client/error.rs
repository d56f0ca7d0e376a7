//! Errors of the HTTP client.

use std::{io, time::Duration};

use http::Uri;

use crate::tls::message;

/// Why a request has no response.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path cannot be appended to the base URL.
    #[error("{path:?} is not a valid URL path")]
    Path {
        /// The path.
        path: String,
    },
    /// A file cannot be read, or its secret cannot be sent in a header.
    #[error("the credentials cannot be read: {0}")]
    Credentials(io::Error),
    /// The host has no address, or no address accepts connections.
    #[error("no connection to {host}: {source}")]
    Connect {
        /// The host of the base URL.
        host: String,
        /// The last error.
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("no TLS with {host}: {}", message::of_io(.source))]
    Tls {
        /// The host of the base URL.
        host: String,
        /// The cause.
        source: io::Error,
    },
    /// The response was not complete within the timeout. The server may have processed the request.
    #[error("no complete response within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// A redirect to another host, or too many redirects.
    #[error("{url} redirects to {location}, which is not followed")]
    Redirect {
        /// The URL that sent the redirect.
        url: Uri,
        /// The target of the redirect.
        location: String,
    },
    /// The body is longer than the limit.
    #[error("{url} sent a body of more than {limit} bytes")]
    TooLarge {
        /// The URL that sent the body.
        url: Uri,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The connection failed, or the response is not HTTP. The server may have processed the
    /// request.
    #[error("{url} violated HTTP: {source}")]
    Protocol {
        /// The requested URL.
        url: Uri,
        /// The error of the HTTP library.
        source: hyper::Error,
    },
}
