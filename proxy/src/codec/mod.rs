//! What messages are made of: HTTP/1.1 (RFC 9112), the same for the clients (`listener::http1`) and for the endpoints
//! (`upstream::http1`), and [`http2`].
//!
//! [`lines`] finds the lines of a head, [`decode`] reads bodies and [`encode`] writes them, [`fields`] reads and writes single fields, [`names`] knows those
//! that were read before, [`target`] encodes what no target may have, [`outgoing`] is what waits to be written. Bytes go
//! in, and what they mean comes out in one way or not at all. [`spare`] keeps heads and maps that are used again.

pub(crate) mod date;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod fields;
pub(crate) mod http2;
pub(crate) mod lines;
pub(crate) mod names;
pub(crate) mod outgoing;
pub(crate) mod spare;
pub(crate) mod target;
