//! Address ranges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::block::problem::{Place, Report};

/// An address range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Cidr {
    /// The network address, host bits zero.
    pub network: IpAddr,
    /// Prefix length, 0-32 or 0-128.
    pub prefix: u8,
}

impl Cidr {
    /// The range that contains `network`; host bits are cleared, and a prefix longer than the
    /// address is shortened.
    pub fn new(network: IpAddr, prefix: u8) -> Self {
        match network {
            IpAddr::V4(address) => {
                let prefix = prefix.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                Self {
                    network: IpAddr::V4((u32::from(address) & mask).into()),
                    prefix,
                }
            }
            IpAddr::V6(address) => {
                let prefix = prefix.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                Self {
                    network: IpAddr::V6((u128::from(address) & mask).into()),
                    prefix,
                }
            }
        }
    }

    /// Whether the range contains `address`. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix);
                u32::from(network).checked_shr(shift) == u32::from(address).checked_shr(shift)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix);
                u128::from(network).checked_shr(shift) == u128::from(address).checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// Parses `10.0.0.0/8` or `fd00::/8`.
pub(crate) fn accept(text: &str, place: &Place, report: &mut Report) -> Option<Cidr> {
    match parse(text) {
        Ok(cidr) => Some(cidr),
        Err(help) => {
            report.error(
                place,
                "bad-cidr",
                format!("{text:?} is not an address range"),
                help,
            );
            None
        }
    }
}

fn parse(text: &str) -> Result<Cidr, String> {
    const EXAMPLE: &str = "write it as 10.0.0.0/8 or fd00::/8";
    let Some((address, prefix)) = text.split_once('/') else {
        return Err(match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => format!("write {text}/32 for this one address"),
            Ok(IpAddr::V6(_)) => format!("write {text}/128 for this one address"),
            Err(_) => EXAMPLE.to_owned(),
        });
    };
    let address: IpAddr = address.parse().map_err(|_| EXAMPLE.to_owned())?;
    let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix
        .parse()
        .ok()
        .filter(|prefix| *prefix <= bits && text.bytes().last().is_some_and(|b| b.is_ascii_digit()))
        .ok_or_else(|| format!("the number after `/` must be 0 to {bits}"))?;
    let network = masked(address, prefix);
    if address.to_canonical() != address {
        return Err("write an IPv4 range as IPv4".to_owned());
    }
    if network != address {
        return Err(format!(
            "bits after the prefix are set; write {network}/{prefix}"
        ));
    }
    Ok(Cidr { network, prefix })
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(ip) => {
            Ipv4Addr::from(u32::from(ip) & u32::MAX.checked_shl(32 - prefix).unwrap_or(0)).into()
        }
        IpAddr::V6(ip) => {
            Ipv6Addr::from(u128::from(ip) & u128::MAX.checked_shl(128 - prefix).unwrap_or(0)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_mistakes_are_explained() {
        for (text, expected) in [
            ("10.0.0.0/8", Ok(("10.0.0.0", 8))),
            ("0.0.0.0/0", Ok(("0.0.0.0", 0))),
            ("192.168.1.7/32", Ok(("192.168.1.7", 32))),
            ("fd00::/8", Ok(("fd00::", 8))),
            ("::/0", Ok(("::", 0))),
            (
                "10.1.0.0/8",
                Err("bits after the prefix are set; write 10.0.0.0/8"),
            ),
            ("10.0.0.1", Err("write 10.0.0.1/32 for this one address")),
            ("::1", Err("write ::1/128 for this one address")),
            ("10.0.0.0/33", Err("the number after `/` must be 0 to 32")),
            ("10.0.0.0/", Err("the number after `/` must be 0 to 32")),
            ("::ffff:10.0.0.0/104", Err("write an IPv4 range as IPv4")),
            ("internal", Err("write it as 10.0.0.0/8 or fd00::/8")),
        ] {
            let expected = expected
                .map(|(ip, prefix): (&str, u8)| Cidr {
                    network: ip.parse().unwrap(),
                    prefix,
                })
                .map_err(str::to_owned);
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_range_contains_its_addresses_also_when_they_are_mapped() {
        let range = parse("10.0.0.0/8").unwrap();
        for (ip, inside) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.0", false),
            ("::10.1.2.3", false),
        ] {
            assert_eq!(range.contains(ip.parse().unwrap()), inside, "{ip}");
        }
        assert!(
            parse("0.0.0.0/0")
                .unwrap()
                .contains("8.8.8.8".parse().unwrap())
        );
    }
}
