//! Addresses and URLs of servers that the proxy itself asks or sends to.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use crate::{
    block::problem::{Place, Report},
    part::hostname::is_dns_name,
};

/// Where an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EndpointAddress {
    /// A literal address.
    Socket(SocketAddr),
    /// A host name, resolved while running.
    Host {
        /// The name.
        name: Arc<str>,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(Arc<PathBuf>),
}

impl EndpointAddress {
    /// Whether nobody else can sit on the way.
    pub(crate) fn is_here(&self) -> bool {
        match self {
            Self::Socket(address) => address.ip().is_loopback(),
            // A name may lead anywhere, but for the one that may not (RFC 6761 section 6.3).
            Self::Host { name, .. } => matches!(&**name, "localhost" | "localhost."),
            Self::Unix(_) => true,
        }
    }
}

/// One endpoint as configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct EndpointSpec {
    /// Where it is.
    pub address: EndpointAddress,
    /// Host and port as a Host header would carry them (port left out when it is the scheme's).
    pub authority: Arc<str>,
    /// Relative share, 1-1000. Default 1.
    pub weight: u32,
}

impl EndpointSpec {
    /// An endpoint that an answer named.
    pub fn resolved(address: SocketAddr, authority: Arc<str>, weight: u32) -> Self {
        Self {
            address: EndpointAddress::Socket(address),
            authority,
            weight,
        }
    }
}

/// A URL in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    /// Whether the scheme is https.
    pub(crate) secure: bool,
    /// Where it is.
    pub(crate) address: EndpointAddress,
    /// Host and port as a Host header carries them: lower case, without the scheme's own port.
    pub(crate) authority: String,
    /// Path, query and fragment as they were written; may be empty.
    pub(crate) tail: &'a str,
}

/// Why a text is no such URL.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Neither http nor https; what stands behind the scheme.
    Scheme(String),
    /// A user or password.
    User,
    /// No host, or none that exists.
    Host,
    /// A port that is none.
    Port,
}

/// Reads `http[s]://host[:port]` and what follows.
pub(crate) fn parse(url: &str) -> Result<Url<'_>, Refusal> {
    parse_with(url, &[("http", 80), ("https", 443)])
}

/// The same for schemes with these ports.
pub(crate) fn parse_with<'a>(url: &'a str, schemes: &[(&str, u16)]) -> Result<Url<'a>, Refusal> {
    let (scheme, rest) = url
        .split_once("://")
        .ok_or_else(|| Refusal::Scheme(url.to_owned()))?;
    let known = schemes
        .iter()
        .find(|(name, _)| scheme.eq_ignore_ascii_case(name));
    let (name, own) = *known.ok_or_else(|| Refusal::Scheme(rest.to_owned()))?;
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(Refusal::User);
    }
    let (host, port) = split_port(authority)?;
    let port = port.unwrap_or(own);
    let address = address(host, port)?;
    let host = host.to_ascii_lowercase();
    let authority = if port == own {
        host
    } else {
        format!("{host}:{port}")
    };
    Ok(Url {
        secure: matches!(name, "https" | "rediss"),
        address,
        authority,
        tail,
    })
}

/// Takes the port off an authority.
pub(crate) fn split_port(authority: &str) -> Result<(&str, Option<u16>), Refusal> {
    let colon = authority
        .rfind(':')
        .filter(|at| !authority[*at..].contains(']'));
    let Some(colon) = colon else {
        return Ok((authority, None));
    };
    let digits = &authority[colon + 1..];
    let port = digits
        .parse()
        .ok()
        .filter(|port| *port > 0 && !digits.starts_with('+'));
    port.map(|port| (&authority[..colon], Some(port)))
        .ok_or(Refusal::Port)
}

/// Reads a host: a name, an IPv4 address, or an IPv6 address in brackets.
pub(crate) fn address(host: &str, port: u16) -> Result<EndpointAddress, Refusal> {
    if let Some(inner) = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        let ip: Ipv6Addr = inner.parse().map_err(|_| Refusal::Host)?;
        return Ok(EndpointAddress::Socket(SocketAddr::new(ip.into(), port)));
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return if ip.is_ipv4() {
            Ok(EndpointAddress::Socket(SocketAddr::new(ip, port)))
        } else {
            Err(Refusal::Host)
        };
    }
    // `10.0.0` or `1.2.3.4.5` is a mistyped address, not a name.
    let name = host.strip_suffix('.').unwrap_or(host);
    let numeric = name
        .split('.')
        .next_back()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if numeric || !is_dns_name(name) {
        return Err(Refusal::Host);
    }
    Ok(EndpointAddress::Host {
        name: host.to_ascii_lowercase().into(),
        port,
    })
}

impl Refusal {
    /// Reports it; `form` is how such a URL is written.
    pub(crate) fn report(&self, url: &str, form: &str, place: &Place, report: &mut Report) {
        let (message, help) = match self {
            Self::Scheme(rest) => {
                let scheme = form.split("://").next().unwrap_or_default();
                match scheme {
                    "https" => (
                        format!("{url:?} does not begin with https://"),
                        format!("write https://{rest}"),
                    ),
                    plain => (
                        format!("{url:?} begins with neither {plain}:// nor {plain}s://"),
                        format!("write {plain}://{rest}, or {plain}s://{rest} where TLS is spoken"),
                    ),
                }
            }
            Self::User => {
                report.hide(place.span);
                (
                    "a URL here has no user or password".to_owned(),
                    "remove everything up to `@`".to_owned(),
                )
            }
            Self::Host => (
                format!("{url:?} has no valid host"),
                format!("write {form}"),
            ),
            Self::Port => (
                format!("{url:?} has no valid port"),
                "a port is a number from 1 to 65535".to_owned(),
            ),
        };
        report.error(place, "bad-url", message, help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_addresses_authorities_and_tails() {
        let socket = |text: &str| EndpointAddress::Socket(text.parse().unwrap());
        let host = |name: &str, port| EndpointAddress::Host {
            name: name.into(),
            port,
        };
        for (url, expected) in [
            (
                "http://a.example",
                Ok((false, host("a.example", 80), "a.example", "")),
            ),
            (
                "HTTP://A.Example:80",
                Ok((false, host("a.example", 80), "a.example", "")),
            ),
            (
                "https://a:443/x?y#z",
                Ok((true, host("a", 443), "a", "/x?y#z")),
            ),
            ("HTTPS://a:80?y", Ok((true, host("a", 80), "a:80", "?y"))),
            (
                "http://a:8080/",
                Ok((false, host("a", 8080), "a:8080", "/")),
            ),
            (
                "http://10.0.0.1:81",
                Ok((false, socket("10.0.0.1:81"), "10.0.0.1:81", "")),
            ),
            ("http://[::1]", Ok((false, socket("[::1]:80"), "[::1]", ""))),
            (
                "http://[::1]:81",
                Ok((false, socket("[::1]:81"), "[::1]:81", "")),
            ),
            (
                "http://svc.local.:80",
                Ok((false, host("svc.local.", 80), "svc.local.", "")),
            ),
            ("a:8080", Err(Refusal::Scheme("a:8080".to_owned()))),
            ("ftp://a", Err(Refusal::Scheme("a".to_owned()))),
            ("http://u:p@a", Err(Refusal::User)),
            ("http://", Err(Refusal::Host)),
            ("http://::1", Err(Refusal::Host)),
            ("http://a b", Err(Refusal::Host)),
            ("http://10.0.0", Err(Refusal::Host)),
            ("http://a:0", Err(Refusal::Port)),
            ("http://a:x", Err(Refusal::Port)),
            ("http://a:65536", Err(Refusal::Port)),
            ("http://a:+80", Err(Refusal::Port)),
        ] {
            let found = parse(url);
            let found = found.map(|url| (url.secure, url.address, url.authority, url.tail));
            let expected = expected
                .map(|(secure, at, authority, tail)| (secure, at, authority.to_owned(), tail));
            assert_eq!(found, expected, "{url}");
        }
    }
}
