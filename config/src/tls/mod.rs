//! TLS: the files that a listener or an upstream names, read and checked.
//!
//! What would make every handshake fail is an error: a key of another certificate, a CA that is none. What time does to
//! a certificate is a warning, because time may also mend it: an expired one is replaced by the next rotation, and a
//! restart in between must not take the plain listeners down with it.

pub(crate) mod certificate;
pub(crate) mod client;
pub(crate) mod names;
pub(crate) mod pem;
pub(crate) mod trust;
pub(crate) mod x509;
