//! Addresses and URLs of servers that the proxy connects to.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use crate::{
    block::problem::{Place, Report},
    part::hostname::is_dns_name,
};

/// The address of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EndpointAddress {
    /// A literal address.
    Socket(SocketAddr),
    /// A host name, resolved at runtime.
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
    /// Whether the connection stays on this host, so that it cannot be intercepted.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Socket(address) => address.ip().is_loopback(),
            // Only `localhost` is guaranteed to be this host (RFC 6761 section 6.3); other names
            // may resolve to any address.
            Self::Host { name, .. } => matches!(&**name, "localhost" | "localhost."),
            Self::Unix(_) => true,
        }
    }
}

/// One endpoint as configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct EndpointSpec {
    /// Its address.
    pub address: EndpointAddress,
    /// Host and port as in a Host header (without the default port of the scheme).
    pub authority: Arc<str>,
    /// Relative share, 1-1000. Default 1.
    pub weight: u32,
}

impl EndpointSpec {
    /// An endpoint from a DNS response.
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
    /// The address.
    pub(crate) address: EndpointAddress,
    /// Host and port as in a Host header: lower case, without the default port of the scheme.
    pub(crate) authority: String,
    /// Path, query and fragment as written; may be empty.
    pub(crate) tail: &'a str,
}

/// Why a text is not such a URL.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UrlError {
    /// Another scheme than http or https, with the rest of the URL.
    Scheme(String),
    /// A user or password.
    User,
    /// No host, or an invalid one.
    Host,
    /// An invalid port.
    Port,
}

/// Parses `http[s]://host[:port]` and the rest.
pub(crate) fn parse(url: &str) -> Result<Url<'_>, UrlError> {
    parse_with(url, &[("http", 80), ("https", 443)])
}

/// The same for schemes with these ports.
pub(crate) fn parse_with<'a>(url: &'a str, schemes: &[(&str, u16)]) -> Result<Url<'a>, UrlError> {
    let (scheme, rest) = url
        .split_once("://")
        .ok_or_else(|| UrlError::Scheme(url.to_owned()))?;
    let known = schemes
        .iter()
        .find(|(name, _)| scheme.eq_ignore_ascii_case(name));
    let (name, own) = *known.ok_or_else(|| UrlError::Scheme(rest.to_owned()))?;
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(UrlError::User);
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

/// Splits the port off an authority.
pub(crate) fn split_port(authority: &str) -> Result<(&str, Option<u16>), UrlError> {
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
        .ok_or(UrlError::Port)
}

/// Parses a host: a name, an IPv4 address, or an IPv6 address in brackets.
pub(crate) fn address(host: &str, port: u16) -> Result<EndpointAddress, UrlError> {
    if let Some(inner) = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        let ip: Ipv6Addr = inner.parse().map_err(|_| UrlError::Host)?;
        return Ok(EndpointAddress::Socket(SocketAddr::new(ip.into(), port)));
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return if ip.is_ipv4() {
            Ok(EndpointAddress::Socket(SocketAddr::new(ip, port)))
        } else {
            Err(UrlError::Host)
        };
    }
    // `10.0.0` or `1.2.3.4.5` is a mistyped address, not a name.
    let name = host.strip_suffix('.').unwrap_or(host);
    let numeric = name
        .split('.')
        .next_back()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if numeric || !is_dns_name(name) {
        return Err(UrlError::Host);
    }
    Ok(EndpointAddress::Host {
        name: host.to_ascii_lowercase().into(),
        port,
    })
}

impl UrlError {
    /// Reports it; `form` is an example of such a URL.
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
                        format!("write {plain}://{rest}, or {plain}s://{rest} with TLS"),
                    ),
                }
            }
            Self::User => {
                report.hide(place.span);
                (
                    "a user or password in a URL is not allowed here".to_owned(),
                    "remove everything up to `@`".to_owned(),
                )
            }
            Self::Host => (
                format!("{url:?} has no valid host"),
                format!("write {form}"),
            ),
            Self::Port => (
                format!("{url:?} has no valid port"),
                "write a port from 1 to 65535".to_owned(),
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
            ("a:8080", Err(UrlError::Scheme("a:8080".to_owned()))),
            ("ftp://a", Err(UrlError::Scheme("a".to_owned()))),
            ("http://u:p@a", Err(UrlError::User)),
            ("http://", Err(UrlError::Host)),
            ("http://::1", Err(UrlError::Host)),
            ("http://a b", Err(UrlError::Host)),
            ("http://10.0.0", Err(UrlError::Host)),
            ("http://a:0", Err(UrlError::Port)),
            ("http://a:x", Err(UrlError::Port)),
            ("http://a:65536", Err(UrlError::Port)),
            ("http://a:+80", Err(UrlError::Port)),
        ] {
            let found = parse(url);
            let found = found.map(|url| (url.secure, url.address, url.authority, url.tail));
            let expected = expected
                .map(|(secure, at, authority, tail)| (secure, at, authority.to_owned(), tail));
            assert_eq!(found, expected, "{url}");
        }
    }
}
