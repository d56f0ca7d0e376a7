//! For whom a request counts.

use std::net::IpAddr;

/// What a bucket is found by. Requests without the header, claim or certificate count together under
/// [`Key::Missing`], so that leaving it out is no way around a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key<'a> {
    /// A limit without key.
    Everybody,
    /// An address, IPv6 by /64.
    Address(IpAddr),
    /// A header's or certificate's text.
    Text(&'a [u8]),
    /// A claim's text, and who vouches for it: two issuers may have a user of one name.
    Claim {
        /// The token's issuer.
        issuer: &'a str,
        /// The claim.
        value: &'a str,
    },
    /// There is none.
    Missing,
}

impl Key<'_> {
    /// The key of a client address. One IPv6 client has a whole /64 to choose from (RFC 6177 section 2).
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
