//! Listeners: sockets, connections and their timeouts.
//!
//! [`bind`] opens sockets on the control thread; [`accept`] runs on every worker, and [`open`]
//! holds all listeners of a worker. [`arrival`] is a connection before its first request: it reads
//! the [`proxy_protocol`] header and performs the TLS [`handshake`]; both wait for the [`first`]
//! byte. [`protocol`] detects the protocol and passes the connection to [`http1`] or [`http2`];
//! [`tunnel`] joins two sockets after an upgrade. The connection as its requests use it is in
//! [`crate::connection`].

pub(crate) mod accept;
mod arrival;
pub(crate) mod bind;
mod first;
mod handshake;
pub(crate) mod http1;
mod http2;
pub(crate) mod open;
mod protocol;
mod proxy_protocol;
mod tunnel;
