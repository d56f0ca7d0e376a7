//! One client connection as its requests use it, and the listener as its connections use it.
//!
//! [`listener`] is the state that all connections of a listener share. [`permit`] counts a
//! connection under the limits, and [`seats`] selects the connections that are evicted. [`client`]
//! is a connection after its handshake, [`secured`] its TLS state. [`io`] is the socket, [`stall`]
//! its state for timeouts, [`link`] the socket as a request body uses it. [`tunnel`] is the
//! upstream side of an upgraded connection.

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
