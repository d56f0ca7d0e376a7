//! The client's address, and X-Forwarded-For towards the app.
//!
//! X-Forwarded-For is read only from a peer in `trustedCIDRs`. Then the client is the rightmost
//! entry that is not itself trusted; if all are trusted, the leftmost. An entry that is no address
//! ends the search: no trusted hop vouches for the entries left of it, so the client is the last
//! address that was read, at least the peer. IPv4-mapped addresses count as IPv4. Ports
//! (`192.0.2.1:80`, `[::1]:80`) are ignored. `Forwarded` and X-Real-IP are never read.

use std::{io::Write, net::IpAddr, net::SocketAddr};

use bytes::Bytes;
use http::HeaderValue;
use outrigger_config::model::Cidr;

/// The address of a request's client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress {
    /// The client's address; never an IPv4-mapped one.
    pub address: IpAddr,
    /// Whether the peer of the connection is trusted.
    pub peer_trusted: bool,
}

/// Determines the client from the peer of the connection and the X-Forwarded-For lines, in the
/// order of the lines.
pub fn decide<'a>(
    peer: IpAddr,
    trusted: &[Cidr],
    forwarded_for: impl DoubleEndedIterator<Item = &'a HeaderValue>,
) -> ClientAddress {
    let mut address = peer.to_canonical();
    let peer_trusted = is_trusted(trusted, address);
    if peer_trusted {
        for entry in forwarded_for.rev().flat_map(entries_from_the_right) {
            let Some(next) = parse(entry) else { break };
            address = next;
            if !is_trusted(trusted, address) {
                break;
            }
        }
    }
    ClientAddress {
        address,
        peer_trusted,
    }
}

/// X-Forwarded-For towards the app for a peer that is not trusted: the peer alone. It is the same
/// for every request of a connection, so create it once.
pub fn peer_value(peer: IpAddr) -> HeaderValue {
    let mut text = Vec::with_capacity(40);
    push_address(&mut text, peer);
    header_value(text)
}

/// X-Forwarded-For towards the app for a trusted peer: the value from the peer, then the peer.
pub fn appended_value<'a>(
    peer: IpAddr,
    forwarded_for: impl Iterator<Item = &'a HeaderValue> + Clone,
) -> HeaderValue {
    let received: usize = forwarded_for.clone().map(|value| value.len() + 2).sum();
    let mut text = Vec::with_capacity(received + 40);
    for value in forwarded_for.filter(|value| !value.is_empty()) {
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b", ");
    }
    push_address(&mut text, peer);
    header_value(text)
}

/// The value with the peer appended if the peer is trusted, else the peer alone.
pub fn forwarded_for_value<'a>(
    peer: IpAddr,
    peer_trusted: bool,
    forwarded_for: impl Iterator<Item = &'a HeaderValue> + Clone,
) -> HeaderValue {
    if peer_trusted {
        appended_value(peer, forwarded_for)
    } else {
        peer_value(peer)
    }
}

fn is_trusted(trusted: &[Cidr], address: IpAddr) -> bool {
    trusted.iter().any(|range| range.contains(address))
}

/// The elements of one line, last first, without empty ones (RFC 9110 section 5.6.1).
fn entries_from_the_right(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .rsplit(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|entry| !entry.is_empty())
}

fn parse(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = match bare {
        Some(bare) => IpAddr::V6(bare.parse().ok()?),
        None => text
            .parse()
            .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
            .ok()?,
    };
    Some(address.to_canonical())
}

fn push_address(text: &mut Vec<u8>, address: IpAddr) {
    // Writing into a Vec cannot fail.
    let _ = write!(text, "{}", address.to_canonical());
}

/// Reuses the buffer without a copy.
fn header_value(text: Vec<u8>) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text))
        .expect("received values and an address hold no control bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn values(lines: &[&str]) -> Vec<HeaderValue> {
        lines
            .iter()
            .map(|line| HeaderValue::from_bytes(line.as_bytes()).unwrap())
            .collect()
    }

    fn trusted() -> Vec<Cidr> {
        vec![Cidr::new(ip("10.0.0.0"), 8), Cidr::new(ip("fd00::"), 8)]
    }

    /// `docs/security.md` 8.
    #[test]
    fn a_stranger_is_its_own_client_whatever_it_says() {
        let lines = values(&["1.1.1.1, 10.0.0.1"]);
        for (peer, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            let decided = decide(ip(peer), &trusted(), lines.iter());
            assert_eq!(
                decided,
                ClientAddress {
                    address: ip(expected),
                    peer_trusted: false
                }
            );
        }
        assert!(!decide(ip("10.0.0.1"), &[], lines.iter()).peer_trusted);
    }

    /// `docs/security.md` 8.
    #[test]
    fn behind_a_trusted_peer_the_client_is_the_rightmost_untrusted_entry() {
        for (lines, expected) in [
            (&[][..], "10.9.9.9"),
            (&[""], "10.9.9.9"),
            (&["192.0.2.1"], "192.0.2.1"),
            (&["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
            (&["6.6.6.6, 192.0.2.1, 10.1.1.1,10.2.2.2"], "192.0.2.1"),
            (&["6.6.6.6", "192.0.2.1", "10.1.1.1"], "192.0.2.1"),
            (&["10.3.3.3, 10.1.1.1"], "10.3.3.3"),
            (&["192.0.2.1, , 10.1.1.1,"], "192.0.2.1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1, ::ffff:10.1.1.1"], "192.0.2.1"),
            (&["2001:db8::1, fd00::7"], "2001:db8::1"),
            (&["192.0.2.1:1234, [fd00::1]:80, [fd00::2]"], "192.0.2.1"),
        ] {
            let lines = values(lines);
            let decided = decide(ip("::ffff:10.9.9.9"), &trusted(), lines.iter());
            assert_eq!(
                decided,
                ClientAddress {
                    address: ip(expected),
                    peer_trusted: true
                },
                "{lines:?}"
            );
        }
    }

    #[test]
    fn an_entry_that_is_no_address_ends_the_walk_at_the_last_one_read() {
        for (line, expected) in [
            ("unknown", "10.9.9.9"),
            ("192.0.2.1, unknown", "10.9.9.9"),
            ("192.0.2.1, _hidden, 10.1.1.1", "10.1.1.1"),
            ("192.0.2.1, 10.1.1", "10.9.9.9"),
            ("192.0.2.1, 010.1.1.1", "10.9.9.9"),
            ("192.0.2.1, \u{e9}", "10.9.9.9"),
            ("192.0.2.1, [10.1.1.1]", "10.9.9.9"),
            ("192.0.2.1, \"10.1.1.1\"", "10.9.9.9"),
            ("192.0.2.1, 10.1.1.1/8", "10.9.9.9"),
        ] {
            let lines = values(&[line]);
            assert_eq!(
                decide(ip("10.9.9.9"), &trusted(), lines.iter()).address,
                ip(expected),
                "{line}"
            );
        }
    }

    /// `docs/security.md` 8.
    #[test]
    fn forwarded_for_is_appended_for_a_trusted_peer_and_else_replaced() {
        let lines = values(&["6.6.6.6", "", "192.0.2.1, x"]);
        let value = |trusted| forwarded_for_value(ip("::ffff:10.9.9.9"), trusted, lines.iter());
        assert_eq!(value(true), "6.6.6.6, 192.0.2.1, x, 10.9.9.9");
        assert_eq!(value(false), "10.9.9.9");
        assert_eq!(
            forwarded_for_value(ip("fd00::1"), true, [].iter()),
            "fd00::1"
        );
    }
}
