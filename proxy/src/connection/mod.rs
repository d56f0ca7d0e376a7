//! One client connection as its requests see it, and its listener as the connection sees that.
//!
//! [`listener`] is what all connections of a listener share; [`permit`] is a connection's place in the limits, and [`seats`]
//! says which connection makes room for another one. [`client`] is a connection from its handshake on, [`secured`] what TLS
//! found out. [`io`] is the socket, [`stall`] what its clocks watch, [`link`] the socket within reach of a request's body;
//! [`tunnel`] is what a 101 leaves behind.

pub(crate) mod client;
mod failures;
pub(crate) mod io;
pub(crate) mod link;
pub(crate) mod listener;
pub(crate) mod permit;
pub(crate) mod seats;
pub(crate) mod secured;
pub(crate) mod stall;
pub(crate) mod tunnel;
