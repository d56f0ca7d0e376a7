//! What HTTP/1.1 messages are made of (RFC 9112), the same for both of our own codecs: that of the clients
//! (`listener::http1`) and that of the endpoints (`upstream::http1`).
//!
//! [`decode`] reads bodies, [`fields`] reads and writes single fields, [`names`] knows those
//! that were read before, [`target`] encodes what no target may have, [`outgoing`] is what waits to be written. Bytes go
//! in, and what they mean comes out in one way or not at all.

pub(crate) mod date;
pub(crate) mod decode;
pub(crate) mod fields;
pub(crate) mod http2;
pub(crate) mod names;
pub(crate) mod outgoing;
pub(crate) mod target;
