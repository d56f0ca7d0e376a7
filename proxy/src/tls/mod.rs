//! TLS towards clients: certificates that are shown, certificates that are believed, and the identity of a believed one.
//! What both sides share, and TLS towards servers, is in `outrigger-transport`.
//!
//! A listener's [`server::Tls`] is built on the control thread from the accepted configuration; each handshake uses the
//! one of that moment. What outlives a reload is in there too: ticket keys stay while the trust in clients stays the
//! same, and a change of trust is told to live connections by a different [`verify::Trust`].

pub(crate) mod certificates;
mod describe;
pub(crate) mod failure;
pub(crate) mod identity;
pub(crate) mod report;
pub(crate) mod server;
mod tickets;
pub(crate) mod verify;
