//! HTTP/2 towards an endpoint, over [`crate::codec::http2`]. A proxy needs what client libraries
//! hide: the peer's limit on streams, the last stream of a GOAWAY, and reset codes.
//!
//! Each connection has one task ([`connection`]). The request's own future sends the request and
//! reads the response ([`exchange`]): a stream has no task and no channel. [`super::pool`] chooses
//! the connection of a stream.

mod connection;
mod exchange;

pub(crate) use self::{
    connection::{Connection, Driver, handshake},
    exchange::{Answered, Exchange, Failure},
};
