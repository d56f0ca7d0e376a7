//! Protocol used with an upstream.

use crate::block::words;

/// Protocol used with an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1, and HTTP/2 for gRPC requests. The default.
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 with prior knowledge, without TLS.
    H2c,
}

words! {
    Protocol { "auto" => Auto, "http1" => Http1, "h2c" => H2c }
}
