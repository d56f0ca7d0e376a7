//! TLS: certificates that are shown, certificates that are believed, and who a believed one is.
//!
//! A listener's [`server::Tls`] is built on the control thread from the accepted configuration; each handshake uses the
//! one of that moment. What outlives a reload is in there too: ticket keys stay while the trust in clients stays the
//! same, and a change of trust is told to live connections by a different [`verify::Trust`].

pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod describe;
pub(crate) mod failure;
pub(crate) mod identity;
pub(crate) mod notes;
pub(crate) mod server;
mod tickets;
pub(crate) mod verify;

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// The one crypto library: aws-lc, with X25519MLKEM768 as the first choice of a key exchange.
static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// What all TLS of this process is made with.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}
