//! HTTP/2 towards an endpoint, over [`crate::codec::http2`]: a proxy must see what a client library hides, as the peer's
//! limit on streams, the last stream of a GOAWAY, and reset codes.
//!
//! Each connection has one task ([`connection`]). A request is sent, and its answer read, by the request's own future
//! ([`exchange`]): there is no task and no channel for a stream. Which connection a stream goes to is decided in
//! [`super::pool`].

mod connection;
mod exchange;

pub(crate) use self::{
    connection::{Connection, Driver, handshake},
    exchange::{Answered, Exchange, Failure},
};
