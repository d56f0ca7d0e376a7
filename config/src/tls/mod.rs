//! TLS: the files of a listener or upstream, read and validated.
//!
//! A mistake that would make every handshake fail is an error: a key that belongs to another
//! certificate, a CA file without a CA. Expiry is a warning, because an expired certificate is
//! replaced by the next rotation, and a restart in between must not take down the plain listeners.

pub(crate) mod certificate;
pub(crate) mod client;
pub(crate) mod names;
pub(crate) mod pem;
pub(crate) mod trust;
pub(crate) mod x509;
