//! Listeners: sockets, connections and their clocks.
//!
//! [`bind`] opens sockets on the control thread; [`accept`] runs on every worker, and [`open`] has all listeners of one.
//! [`arrival`] is a connection that is no client yet: [`proxy_protocol`] says where it comes from, [`handshake`] shakes
//! hands, and both wait for the [`first`] byte. [`protocol`] decides what is spoken and hands over to [`http1`] or [`http2`]; [`tunnel`] joins two sockets after
//! an upgrade. What a connection is to its requests lies in [`crate::connection`].

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
