//! The server name of a TLS handshake.

use rustls_pki_types::{InvalidDnsNameError, ServerName};

/// The server name of a host, which may be an IP address, with or without brackets.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    // A certificate's name has no dot of the root (RFC 6066 section 3).
    let plain = plain.strip_suffix('.').unwrap_or(plain);
    ServerName::try_from(plain.to_owned())
}

/// The host part of an authority.
pub(super) fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_authority_is_without_port() {
        for (authority, host) in [
            ("a.example", "a.example"),
            ("a.example:8443", "a.example"),
            ("10.0.0.1:8443", "10.0.0.1"),
            ("[fd00::7]", "[fd00::7]"),
            ("[fd00::7]:8443", "[fd00::7]"),
        ] {
            assert_eq!(host_of(authority), host);
        }
    }
}
