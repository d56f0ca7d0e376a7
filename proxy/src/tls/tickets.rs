//! Session tickets of listeners with client authentication.
//!
//! A ticket contains the client's chain, and a resumed handshake sends no certificate. A session
//! whose chain has expired meanwhile must not be resumed. Rejecting it after the handshake would
//! lock out a client that has a new certificate and an old ticket. So each ticket contains the time
//! until which its chain is valid, and is ignored later: the client then performs a full handshake
//! with its current certificate.

use std::{fmt, sync::Arc};

use rustls::server::ProducesTickets;
use rustls_pki_types::UnixTime;

use super::verify;

/// Tickets with the expiry of their chain in front.
pub(crate) struct ChainTickets {
    inner: Arc<dyn ProducesTickets>,
}

impl ChainTickets {
    /// Encrypts and decrypts with `inner`.
    pub(crate) fn new(inner: Arc<dyn ProducesTickets>) -> Self {
        Self { inner }
    }
}

impl fmt::Debug for ChainTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainTickets").finish_non_exhaustive()
    }
}

impl ProducesTickets for ChainTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.inner.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        // Outside of a handshake the chain is unknown, so there is no ticket.
        let end = verify::chain_end()?;
        self.inner.encrypt(&[&end.to_be_bytes(), plain].concat())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let mut plain = self.inner.decrypt(cipher)?;
        let end = u64::from_be_bytes(*plain.first_chunk()?);
        if end < UnixTime::now().as_secs() {
            return None;
        }
        verify::resume_chain(end); // the next ticket has the same chain
        Some(plain.split_off(size_of::<u64>()))
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs::Ticketer;

    use super::*;
    use crate::tls::verify::observe;

    async fn handshake<T>(body: impl FnOnce() -> T) -> T {
        observe(async { body() }).await.0
    }

    /// `docs/security.md` 16.
    #[tokio::test]
    async fn a_ticket_is_good_while_its_chain_is_and_hands_its_end_on() {
        let tickets = ChainTickets::new(Ticketer::new().unwrap());
        assert_eq!(tickets.encrypt(b"outside of a handshake"), None);
        let now = UnixTime::now().as_secs();
        let ticket = handshake(|| {
            verify::resume_chain(now + 1000);
            tickets.encrypt(b"session").unwrap()
        });
        let ticket = ticket.await;
        assert_ne!(ticket, b"session");
        let next = handshake(|| {
            assert_eq!(tickets.decrypt(&ticket).unwrap(), b"session");
            assert_eq!(verify::chain_end(), Some(now + 1000));
            tickets.encrypt(b"next").unwrap()
        });
        let next = next.await;
        handshake(|| assert_eq!(tickets.decrypt(&next).unwrap(), b"next")).await;
        let old = handshake(|| {
            verify::resume_chain(now - 10);
            tickets.encrypt(b"session").unwrap()
        });
        let old = old.await;
        handshake(|| {
            assert_eq!(tickets.decrypt(&old), None);
            assert_eq!(tickets.decrypt(b"nonsense"), None);
        })
        .await;
    }
}
