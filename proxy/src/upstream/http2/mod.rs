//! HTTP/2 towards an endpoint: the `h2` crate, driven here, because a proxy must see what a client library hides: the
//! peer's limit on streams, the last stream of a GOAWAY, reset codes.
//!
//! Each connection has one task ([`connection`]). A request is sent, and its answer read, by the request's own future
//! ([`exchange`]): there is no task and no channel for a stream. [`wire`] is the socket as `h2` sees it. Which connection
//! a stream goes to is decided in [`super::pool`].

mod connection;
mod exchange;
mod wire;

pub(crate) use self::{
    connection::{Connection, Driver, handshake},
    exchange::{Answered, Exchange, Failure},
};
