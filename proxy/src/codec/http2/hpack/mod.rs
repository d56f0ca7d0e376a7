//! HPACK, the header compression of HTTP/2 (RFC 7541).
//!
//! [`Decoder`] supports all of HPACK: indexes, a dynamic table and Huffman codes. [`encoder`] uses
//! only the static table and plain literals. Whether a message is valid is decided elsewhere: a
//! malformed header is marked, and only an [`Error`] closes the connection.

mod decoder;
pub(crate) mod encoder;
mod entry;
pub(crate) mod fuzzing;
mod huffman;
mod static_table;
mod table;

#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

pub(crate) use self::decoder::Decoder;

/// One header of a header block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// A pseudo-header (RFC 9113 section 8.3) with its value as sent.
    Pseudo(Pseudo, Bytes),
    /// Any other header. The value is sensitive if it was sent as a never-indexed literal.
    Regular(HeaderName, HeaderValue),
    /// A header that no HTTP/2 message may contain: the name is empty, has an upper-case letter or
    /// is not a token, or the value has a control character.
    Malformed,
}

/// The name of a pseudo-header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pseudo {
    Method,
    Scheme,
    Authority,
    Path,
    Status,
    /// Of an extended CONNECT (RFC 8441).
    Protocol,
    /// An unknown name.
    Unknown,
}

impl Pseudo {
    /// The pseudo-header with this name, without its colon.
    fn named(name: &[u8]) -> Self {
        match name {
            b"method" => Self::Method,
            b"scheme" => Self::Scheme,
            b"authority" => Self::Authority,
            b"path" => Self::Path,
            b"status" => Self::Status,
            b"protocol" => Self::Protocol,
            _ => Self::Unknown,
        }
    }
}

/// The block cannot be decoded: COMPRESSION_ERROR, the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Error(&'static str);

impl Error {
    /// The reason.
    pub(crate) fn reason(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Error {}
