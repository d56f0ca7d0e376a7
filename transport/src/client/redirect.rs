//! Which redirects are followed: those to the same scheme, host and port.

use http::{StatusCode, Uri};

/// Whether a status redirects to another URL with the same meaning (RFC 9110 section 15.4).
pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

pub(super) fn is_https(url: &Uri) -> bool {
    url.scheme_str() == Some("https")
}

/// The port of a URL, or the default port of its scheme.
pub(super) fn port(url: &Uri) -> u16 {
    url.port_u16()
        .unwrap_or_else(|| if is_https(url) { 443 } else { 80 })
}

/// The target of a redirect, when it has the same scheme, host and port.
pub(super) fn followed(url: &Uri, location: &str) -> Option<Uri> {
    let target: Uri = match location.as_bytes() {
        [b'/', b'/', ..] | [] => return None,
        [b'/', ..] => {
            let mut parts = url.clone().into_parts();
            parts.path_and_query = Some(location.parse().ok()?);
            Uri::from_parts(parts).ok()?
        }
        _ => location.parse().ok()?,
    };
    let same = target.scheme() == url.scheme()
        && target
            .host()
            .zip(url.host())
            .is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
        && port(&target) == port(url)
        && !target
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'));
    same.then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/security.md 14.
    #[test]
    fn a_redirect_is_followed_to_the_same_scheme_host_and_port_alone() {
        let url: Uri = "https://id.example/keys?a=1".parse().unwrap();
        for (location, expected) in [
            ("/v2/keys?b=2", Some("https://id.example/v2/keys?b=2")),
            ("https://id.example/other", Some("https://id.example/other")),
            (
                "https://ID.example:443/other",
                Some("https://ID.example:443/other"),
            ),
            ("https://id.example:8443/other", None),
            ("http://id.example/other", None),
            ("https://evil.example/keys", None),
            ("https://id.example.evil/keys", None),
            ("https://id.example@evil.example/keys", None),
            ("https://user@id.example/keys", None),
            ("//evil.example/keys", None),
            ("keys", None),
            ("", None),
            ("javascript:alert(1)", None),
        ] {
            let target = followed(&url, location).map(|target| target.to_string());
            assert_eq!(target.as_deref(), expected, "{location}");
        }
    }
}
