//! TLS towards clients: server certificates, trust in client certificates, and the identity of
//! trusted clients. The parts that both sides share, and TLS towards servers, are in
//! `outrigger-transport`.
//!
//! A listener's [`server::Tls`] is built on the control thread from the accepted configuration;
//! each handshake uses the current one. It also holds what survives a reload: ticket keys stay
//! while the trust in clients stays the same. Live connections detect a change of trust by a
//! different [`verify::Trust`].

pub(crate) mod certificates;
mod describe;
pub(crate) mod failure;
pub(crate) mod identity;
pub(crate) mod report;
pub(crate) mod server;
mod tickets;
pub(crate) mod verify;
