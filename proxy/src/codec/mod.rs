//! HTTP codecs: HTTP/1.1 (RFC 9112), the same for clients (`listener::http1`) and endpoints
//! (`upstream::http1`), and [`http2`].
//!
//! [`lines`] finds the lines of a head, [`decode`] reads bodies and [`encode`] writes them,
//! [`fields`] parses and writes single headers, [`target`] encodes characters that a target must
//! not contain, [`outgoing`] is the output buffer. Input has one interpretation, or is rejected.

pub(crate) mod date;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod fields;
pub(crate) mod http2;
pub(crate) mod lines;
pub(crate) mod outgoing;
pub(crate) mod target;
