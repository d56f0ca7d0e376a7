//! TLS: the crypto library, trusted certificates, and the meaning of errors. [`client`] is the
//! client side.

pub mod anchors;
pub mod certificate;
pub mod client;
pub mod message;
pub mod problem;
pub mod rejection;

use std::sync::{Arc, LazyLock};

use rustls::{
    CipherSuite,
    crypto::{CryptoProvider, aws_lc_rs},
};

/// The one crypto provider: aws-lc, with X25519MLKEM768 as the preferred key exchange.
static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|one| place(one.suite()));
    Arc::new(provider)
});

/// AES-128 first, as in Go and BoringSSL: no known attack is closer to breaking it than AES-256,
/// and the processor computes its hash (SHA-256) in hardware. SHA-384 took 15 % of the instructions
/// of a handshake (`docs/performance.md`). Otherwise the library's order is kept.
fn place(suite: CipherSuite) -> u8 {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => 0,
        CipherSuite::TLS13_AES_256_GCM_SHA384 | CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => 1,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => 2,
        _ => 3,
    }
}

/// The crypto provider of all TLS connections of this process.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_of_equally_good_suites_comes_first_and_tls_1_3_before_1_2() {
        let suites: Vec<_> = provider()
            .cipher_suites
            .iter()
            .map(|one| one.suite())
            .collect();
        assert_eq!(suites[0], CipherSuite::TLS13_AES_128_GCM_SHA256);
        let older = provider()
            .cipher_suites
            .iter()
            .position(|one| one.tls13().is_none())
            .unwrap();
        assert!(
            provider().cipher_suites[older..]
                .iter()
                .all(|one| one.tls13().is_none())
        );
        assert_eq!(
            suites.len(),
            aws_lc_rs::default_provider().cipher_suites.len()
        );
        let places: Vec<_> = suites.iter().map(|suite| place(*suite)).collect();
        assert!(places.is_sorted(), "{suites:?}");
    }
}
