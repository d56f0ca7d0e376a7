//! The PROXY protocol header, versions 1 and 2, with which a load balancer sends the address of the
//! client (<https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>).
//!
//! The header precedes everything else on a connection, so exactly its bytes must be removed. What
//! the specification leaves to the receiver is rejected: datagrams, Unix sockets, numbers not in
//! their shortest form. The fields after the addresses of version 2 are skipped, and a header is at
//! most [`MOST`] bytes long.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest accepted header, in bytes.
pub const MOST: usize = V2_HEAD + 4096;

/// The longest line of version 1, in bytes.
const V1_MOST: usize = 107;
const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEAD: usize = 16;

/// A whole header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its length in bytes; the connection's own data follows.
    pub length: usize,
    /// The client's address; `None` if the peer itself is the client (UNKNOWN, LOCAL).
    pub source: Option<IpAddr>,
}

/// Why the start of a connection is not a valid header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// There is no header.
    #[error("the connection does not begin with a PROXY header")]
    Absent,
    /// A line of version 1 that is too long or malformed.
    #[error("the PROXY line is malformed")]
    Line,
    /// An unknown version or command of version 2.
    #[error("the PROXY header has an unknown version or command")]
    Command,
    /// Addresses of another kind than TCP over IPv4 or IPv6.
    #[error("the PROXY header has addresses that are not TCP over IPv4 or IPv6")]
    Family,
    /// Longer than [`MOST`], or too short for its addresses.
    #[error("the PROXY header has a length that cannot be")]
    Length,
}

/// Parses a header from the start of a connection; `None` while more bytes are needed.
///
/// # Errors
/// The header is missing or invalid, whatever bytes follow.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Broken> {
    if begins(bytes, V2_START) {
        return if bytes.len() < V2_HEAD {
            Ok(None)
        } else {
            version2(bytes)
        };
    }
    if !begins(bytes, V1_START) {
        return Err(Broken::Absent);
    }
    let line = &bytes[..bytes.len().min(V1_MOST)];
    match line.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) => version1(&line[..end]).map(Some),
        None if line.len() == V1_MOST => Err(Broken::Line),
        None => Ok(None),
    }
}

/// Whether the bytes so far agree with `start`.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    let common = bytes.len().min(start.len());
    bytes[..common] == start[..common]
}

fn version1(line: &[u8]) -> Result<Header, Broken> {
    let text = std::str::from_utf8(line).map_err(|_| Broken::Line)?;
    let length = line.len() + 2;
    let mut words = text.split(' ').skip(1);
    let source = match words.next() {
        // The rest of the line is ignored, as the specification requires.
        Some("UNKNOWN") => {
            return Ok(Header {
                length,
                source: None,
            });
        }
        Some("TCP4") => addresses::<Ipv4Addr>(&mut words)?,
        Some("TCP6") => addresses::<Ipv6Addr>(&mut words)?,
        _ => return Err(Broken::Line),
    };
    match words.next() {
        None => Ok(Header {
            length,
            source: Some(source),
        }),
        Some(_) => Err(Broken::Line),
    }
}

/// Parses source and destination address, then their ports; returns the source address.
fn addresses<'a, A>(words: &mut impl Iterator<Item = &'a str>) -> Result<IpAddr, Broken>
where
    A: std::str::FromStr + Into<IpAddr>,
{
    let mut address = || {
        words
            .next()
            .and_then(|word| word.parse::<A>().ok())
            .ok_or(Broken::Line)
    };
    let (source, _) = (address()?, address()?);
    for _ in 0..2 {
        let word = words.next().ok_or(Broken::Line)?;
        let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        let shortest = word == "0" || !word.starts_with('0');
        if !digits || !shortest || word.parse::<u16>().is_err() {
            return Err(Broken::Line);
        }
    }
    Ok(source.into().to_canonical())
}

fn version2(bytes: &[u8]) -> Result<Option<Header>, Broken> {
    const LOCAL: u8 = 0x20;
    const PROXY: u8 = 0x21;
    const UNSPECIFIED: u8 = 0x00;
    const TCP4: u8 = 0x11;
    const TCP6: u8 = 0x21;
    let [command, family, high, low] = [bytes[12], bytes[13], bytes[14], bytes[15]];
    if !matches!(command, LOCAL | PROXY) {
        return Err(Broken::Command);
    }
    let rest = usize::from(u16::from_be_bytes([high, low]));
    let needed = match (command, family) {
        // The peer is the client itself; the addresses are ignored.
        (LOCAL, _) | (PROXY, UNSPECIFIED) => 0,
        (_, TCP4) => 12,
        (_, TCP6) => 36,
        _ => return Err(Broken::Family),
    };
    let length = V2_HEAD + rest;
    if length > MOST || rest < needed {
        return Err(Broken::Length);
    }
    let Some(body) = bytes.get(V2_HEAD..length) else {
        return Ok(None);
    };
    let source = match needed {
        12 => body.first_chunk::<4>().map(|bytes| IpAddr::from(*bytes)),
        36 => body
            .first_chunk::<16>()
            .map(|bytes| IpAddr::from(*bytes).to_canonical()),
        _ => None,
    };
    Ok(Some(Header { length, source }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [V2_START, &[command, family][..], &length, body].concat()
    }

    fn source(address: &str) -> Option<IpAddr> {
        Some(address.parse().unwrap())
    }

    /// Valid headers, and the addresses that they contain.
    fn good() -> Vec<(Vec<u8>, Option<IpAddr>)> {
        let v4 = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 1, 187];
        let v6 = |source: &str| {
            let octets = source.parse::<Ipv6Addr>().unwrap().octets();
            [
                &octets[..],
                &Ipv6Addr::LOCALHOST.octets(),
                &[0x12, 0x34, 1, 187],
            ]
            .concat()
        };
        let longest = "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                       65535 65535\r\n";
        let unknown = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_MOST - 16));
        vec![
            (
                b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 443\r\n".to_vec(),
                source("192.0.2.1"),
            ),
            (
                b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n".to_vec(),
                source("255.255.255.255"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n".to_vec(),
                source("2001:db8::1"),
            ),
            (
                b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n".to_vec(),
                source("192.0.2.1"),
            ),
            (
                longest.as_bytes().to_vec(),
                source("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (
                b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(),
                None,
            ),
            (unknown.into_bytes(), None),
            (v2(0x21, 0x11, &v4), source("192.0.2.1")),
            (v2(0x21, 0x21, &v6("2001:db8::1")), source("2001:db8::1")),
            (v2(0x21, 0x21, &v6("::ffff:192.0.2.1")), source("192.0.2.1")),
            // Fields behind the addresses: an authority and one that is cut off; they mean nothing here.
            (
                v2(
                    0x21,
                    0x11,
                    &[&v4[..], b"\x02\0\x01a", b"\x03\0\x09"].concat(),
                ),
                source("192.0.2.1"),
            ),
            (
                v2(0x21, 0x11, &[&v4[..], &[0; 4096 - 12]].concat()),
                source("192.0.2.1"),
            ),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x11, &v4), None),
            (v2(0x20, 0x31, &[7; 216]), None),
            (v2(0x21, 0x00, &[]), None),
            (v2(0x21, 0x00, &[1, 2, 3]), None),
        ]
    }

    #[test]
    fn a_header_is_read_to_the_byte_wherever_it_is_cut() {
        for (bytes, source) in good() {
            let whole = Header {
                length: bytes.len(),
                source,
            };
            assert_eq!(parse(&bytes), Ok(Some(whole)), "{bytes:?}");
            let followed = [&bytes[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
            assert_eq!(parse(&followed), Ok(Some(whole)), "{followed:?}");
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "{:?}", &bytes[..cut]);
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let line = |text: &str| (text.as_bytes().to_vec(), Broken::Line);
        let too_long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_MOST - 15));
        let cases = [
            (b"GET / HTTP/1.1\r\n".to_vec(), Broken::Absent),
            (b"P ".to_vec(), Broken::Absent),
            (b"proxy TCP4 ".to_vec(), Broken::Absent),
            (b"\x16\x03\x01".to_vec(), Broken::Absent),
            (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), Broken::Absent),
            line("PROXY \r\n"),
            line("PROXY TCP4\r\n"),
            line("PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n"),
            line("PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3\r\n"),
            line("PROXY TCP4 192.0.2.1 10.0.0.1 1 2 \r\n"),
            line("PROXY TCP4  192.0.2.1 10.0.0.1 1 2\r\n"),
            line("PROXY TCP4 192.0.2.1 10.0.0.1 1 65536\r\n"),
            line("PROXY TCP4 192.0.2.1 10.0.0.1 01 2\r\n"),
            line("PROXY TCP4 192.0.2.1 10.0.0.1 +1 2\r\n"),
            line("PROXY TCP4 192.0.2.1 10.0.0.1 1 -2\r\n"),
            line("PROXY TCP4 192.0.2.01 10.0.0.1 1 2\r\n"),
            line("PROXY TCP4 192.0.2 10.0.0.1 1 2\r\n"),
            line("PROXY TCP4 ::1 ::1 1 2\r\n"),
            line("PROXY TCP6 192.0.2.1 10.0.0.1 1 2\r\n"),
            line("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"),
            line("PROXY UDP4 192.0.2.1 10.0.0.1 1 2\r\n"),
            line("PROXY tcp4 192.0.2.1 10.0.0.1 1 2\r\n"),
            line("PROXY TCP4 192.0.2.1 10.0.0.1 1 2\n\r\n"),
            line("PROXY TCP4\t192.0.2.1 10.0.0.1 1 2\r\n"),
            (too_long.into_bytes(), Broken::Line),
            (
                vec![b'P', b'R', b'O', b'X', b'Y', b' ', 0xff, b'\r', b'\n'],
                Broken::Line,
            ),
            ([V1_START, &[b'x'; 200]].concat(), Broken::Line),
            (v2(0x11, 0x11, &[0; 12]), Broken::Command),
            (v2(0x31, 0x11, &[0; 12]), Broken::Command),
            (v2(0x22, 0x11, &[0; 12]), Broken::Command),
            (v2(0x21, 0x12, &[0; 12]), Broken::Family),
            (v2(0x21, 0x22, &[0; 36]), Broken::Family),
            (v2(0x21, 0x31, &[0; 216]), Broken::Family),
            (v2(0x21, 0x41, &[0; 12]), Broken::Family),
            (v2(0x21, 0x01, &[0; 12]), Broken::Family),
            (v2(0x21, 0x11, &[0; 11]), Broken::Length),
            (v2(0x21, 0x21, &[0; 35]), Broken::Length),
            (v2(0x20, 0x00, &[0; 4097]), Broken::Length),
            (v2(0x21, 0x11, &[0; 65535]), Broken::Length),
        ];
        for (bytes, broken) in cases {
            assert_eq!(
                parse(&bytes),
                Err(broken),
                "{:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
        // The length of a header that cannot be is not waited for.
        assert_eq!(
            parse(&v2(0x21, 0x11, &[0; 65535])[..16]),
            Err(Broken::Length)
        );
    }
}
