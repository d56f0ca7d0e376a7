//! The key of a bucket: what a limit counts requests by.

use std::net::IpAddr;

/// The key of a bucket. Requests without the header, claim or certificate share one bucket,
/// [`Key::Missing`], so that omitting it does not bypass a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key<'a> {
    /// A limit without key.
    Global,
    /// An address, IPv6 by /64.
    Address(IpAddr),
    /// A header's or certificate's text.
    Text(&'a [u8]),
    /// A claim's text and the issuer: two issuers may have a user with the same name.
    Claim {
        /// The token's issuer.
        issuer: &'a str,
        /// The claim.
        value: &'a str,
    },
    /// The request has no such header, claim or certificate.
    Missing,
}

impl Key<'_> {
    /// The key of a client address. One IPv6 client can use a whole /64 (RFC 6177 section 2).
    pub fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6((u128::from(address) & (u128::MAX << 64)).into()),
            address => address,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_counts_by_its_network_and_a_mapped_one_as_ipv4() {
        let key = |text: &str| Key::address(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
