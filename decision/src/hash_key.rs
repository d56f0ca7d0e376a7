//! The hash key of a request for `consistentHash`.

use std::net::IpAddr;

use http::{HeaderMap, header};
use outrigger_config::model::HashOn;

/// The hash of what `on` selects; `None` when the request does not have it.
pub fn of_request(on: &HashOn, headers: &HeaderMap, client: IpAddr) -> Option<u64> {
    match on {
        HashOn::Header(name) => {
            let mut values = headers.get_all(name).iter();
            let first = FNV.add(values.next()?.as_bytes());
            // Two header lines must not hash like one line with both values.
            Some(mix(values
                .fold(first, |sum, value| sum.add(&[0]).add(value.as_bytes()))
                .0))
        }
        HashOn::Cookie(name) => cookie(headers, name.as_bytes()).map(hash),
        HashOn::ClientIp => Some(match client {
            IpAddr::V4(address) => hash(&address.octets()),
            IpAddr::V6(address) => hash(&address.octets()),
        }),
    }
}

/// The first cookie of this name with a value.
fn cookie<'a>(headers: &'a HeaderMap, name: &[u8]) -> Option<&'a [u8]> {
    let fields = headers.get_all(header::COOKIE).iter();
    let mut pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"=")?;
        (!value.is_empty()).then_some(value)
    })
}

/// FNV-1a; [`mix`] spreads its result over all bits. Not keyed, since all proxies must agree.
#[derive(Clone, Copy)]
struct Fnv(u64);

const FNV: Fnv = Fnv(0xcbf2_9ce4_8422_2325);

impl Fnv {
    fn add(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }
}

/// The hash of some bytes, the same in every process.
pub fn hash(bytes: &[u8]) -> u64 {
    mix(FNV.add(bytes).0)
}

/// Spreads every bit over all others (the last step of SplitMix64).
pub fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (
                    name.parse::<http::HeaderName>().unwrap(),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn a_request_without_what_is_named_has_no_key() {
        let client = [192, 0, 2, 1].into();
        let key = |on: &HashOn, fields: &[_]| of_request(on, &headers(fields), client);
        let (header, cookie) = (
            HashOn::Header(http::HeaderName::from_static("x-tenant")),
            HashOn::Cookie("sid".into()),
        );
        assert_eq!(key(&header, &[("x-other", "a")]), None);
        assert_eq!(key(&header, &[("x-tenant", "a")]), Some(hash(b"a")));
        assert_ne!(
            key(&header, &[("x-tenant", "a"), ("x-tenant", "b")]),
            Some(hash(b"a"))
        );
        for none in [&[][..], &[("cookie", "xsid=1; sid=; sidx=2")]] {
            assert_eq!(key(&cookie, none), None);
        }
        for one in [
            &[("cookie", "a=b; sid=7")][..],
            &[("cookie", "a=b"), ("cookie", "sid=7;c=d")],
        ] {
            assert_eq!(key(&cookie, one), Some(hash(b"7")));
        }
        assert_eq!(key(&HashOn::ClientIp, &[]), Some(hash(&[192, 0, 2, 1])));
    }

    #[test]
    fn the_hash_is_the_same_in_every_process() {
        assert_eq!(
            FNV.add(b"a").0,
            0xaf63_dc4c_8601_ec8c,
            "as published for FNV-1a"
        );
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf, "as published for SplitMix64");
    }
}
