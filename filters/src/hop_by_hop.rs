//! Hop-by-hop header fields (RFC 9110 section 7.6.1), of requests and of responses.
//!
//! Fields nominated by `Connection` are removed first, before the proxy adds any of its own. A
//! nomination never removes Host, Authorization, framing fields, or fields that the caller keeps: a
//! client must not be able to remove a header that the app trusts (CVE-2024-45410, CVE-2025-48865).
//! `Upgrade: h2c` and HTTP2-Settings are dropped and never followed. Content-Length and
//! Transfer-Encoding are left to the codec, which writes them for each message. `Trailer` is kept:
//! the trailers of an HTTP/1 message are forwarded only if they are announced.
//!
//! One pass over the names finds these fields; a message without any costs only that pass.

use http::{HeaderMap, HeaderName, HeaderValue, header};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// The content of the removed fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// `TE` listed `trailers`, so the client accepts them: gRPC servers require `te: trailers`.
    pub te_trailers: bool,
    /// The one `Upgrade` that `Connection` nominated, unless it contains `h2c`.
    pub upgrade: Option<HeaderValue>,
}

/// Removes the fields of a response. [`Hop::upgrade`] is for a 101 to insert again.
pub fn strip_response(headers: &mut HeaderMap) -> Hop {
    let mut found = Found::default();
    headers.keys().for_each(|name| found.see(name));
    found.strip(headers, |_| false)
}

/// Whether a field with this name is hop-by-hop, whatever `Connection` contains.
pub fn ends_here(name: &HeaderName) -> bool {
    Found::bit(name) != 0
}

/// The hop-by-hop fields that a pass over the names of a message has found, one bit each.
#[derive(Debug, Default)]
pub struct Found(u8);

impl Found {
    const CONNECTION: u8 = 1;
    const TE: u8 = 1 << 1;
    const UPGRADE: u8 = 1 << 2;
    const KEEP_ALIVE: u8 = 1 << 3;
    const PROXY_CONNECTION: u8 = 1 << 4;
    const PROXY_AUTHENTICATE: u8 = 1 << 5;
    const PROXY_AUTHORIZATION: u8 = 1 << 6;
    const HTTP2_SETTINGS: u8 = 1 << 7;

    const ALL: [(u8, HeaderName); 8] = [
        (Self::CONNECTION, header::CONNECTION),
        (Self::TE, header::TE),
        (Self::UPGRADE, header::UPGRADE),
        (Self::KEEP_ALIVE, KEEP_ALIVE),
        (Self::PROXY_CONNECTION, PROXY_CONNECTION),
        (Self::PROXY_AUTHENTICATE, header::PROXY_AUTHENTICATE),
        (Self::PROXY_AUTHORIZATION, header::PROXY_AUTHORIZATION),
        (Self::HTTP2_SETTINGS, HTTP2_SETTINGS),
    ];

    /// Checks one name.
    pub fn see(&mut self, name: &HeaderName) {
        self.0 |= Self::bit(name);
    }

    /// Removes the fields of a message. `keep` names fields that a nomination must not remove,
    /// besides those of the module's page.
    pub fn strip(&self, headers: &mut HeaderMap, keep: impl Fn(&str) -> bool) -> Hop {
        let mut hop = Hop::default();
        if self.0 == 0 {
            return hop;
        }
        if self.has(Self::TE) {
            hop.te_trailers = headers
                .get_all(header::TE)
                .iter()
                .any(|value| lists(value, b"trailers"));
        }
        if self.has(Self::CONNECTION) && connection(headers, keep) && self.has(Self::UPGRADE) {
            hop.upgrade = upgrade(headers);
        }
        self.remove(headers);
        hop
    }

    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.0 != 0
    }

    fn bit(name: &HeaderName) -> u8 {
        // Called for every field of every message: the length alone excludes most of them.
        if !matches!(name.as_str().len(), 2 | 7 | 10 | 14 | 16 | 18 | 19) {
            return 0;
        }
        match *name {
            header::CONNECTION => Self::CONNECTION,
            header::TE => Self::TE,
            header::UPGRADE => Self::UPGRADE,
            header::PROXY_AUTHENTICATE => Self::PROXY_AUTHENTICATE,
            header::PROXY_AUTHORIZATION => Self::PROXY_AUTHORIZATION,
            _ => match name.as_str() {
                "keep-alive" => Self::KEEP_ALIVE,
                "proxy-connection" => Self::PROXY_CONNECTION,
                "http2-settings" => Self::HTTP2_SETTINGS,
                _ => 0,
            },
        }
    }

    fn has(&self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    fn remove(&self, headers: &mut HeaderMap) {
        for (bit, name) in &Self::ALL {
            if self.has(*bit) {
                headers.remove(name);
            }
        }
    }
}

/// Removes the fields that `Connection` nominates; returns whether `upgrade` was nominated.
fn connection(headers: &mut HeaderMap, keep: impl Fn(&str) -> bool) -> bool {
    let mut upgrade = false;
    let mut line = 0;
    // The values are cloned one by one (a reference count each), because the map changes in the
    // loop.
    while let Some(value) = headers
        .get_all(header::CONNECTION)
        .iter()
        .nth(line)
        .cloned()
    {
        line += 1;
        for token in tokens(&value) {
            match token {
                token if token.eq_ignore_ascii_case(b"upgrade") => upgrade = true,
                token if is_listed_elsewhere(token) => {}
                token => nominated(headers, token, &keep),
            }
        }
    }
    upgrade
}

/// Connection options and fields that [`Found`] removes anyway, once they were read.
fn is_listed_elsewhere(token: &[u8]) -> bool {
    ["close", "keep-alive", "te", "connection"]
        .iter()
        .any(|name| token.eq_ignore_ascii_case(name.as_bytes()))
}

fn nominated(headers: &mut HeaderMap, token: &[u8], keep: &impl Fn(&str) -> bool) {
    // A token that is no field name nominates nothing; the lookup first avoids allocating a name
    // that is not there.
    let Some(token) = std::str::from_utf8(token)
        .ok()
        .filter(|token| headers.contains_key(*token))
    else {
        return;
    };
    let Ok(name) = HeaderName::from_bytes(token.as_bytes()) else {
        return;
    };
    if !is_protected(&name) && !keep(name.as_str()) {
        headers.remove(name);
    }
}

fn is_protected(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::HOST
            | header::AUTHORIZATION
            | header::CONTENT_LENGTH
            | header::TRANSFER_ENCODING
            | header::TRAILER
    )
}

/// The one `Upgrade` value, unless it contains h2c (`docs/security.md` 3).
fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(header::UPGRADE).iter();
    match (values.next(), values.next()) {
        (Some(value), None) if !lists(value, b"h2c") && !value.is_empty() => Some(value.clone()),
        _ => None,
    }
}

fn lists(value: &HeaderValue, token: &[u8]) -> bool {
    tokens(value).any(|listed| listed.eq_ignore_ascii_case(token))
}

/// The elements of a comma-separated list, without empty ones (RFC 9110 section 5.6.1).
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip_request(headers: &mut HeaderMap, keep: impl Fn(&str) -> bool) -> Hop {
        let mut found = Found::default();
        headers.keys().for_each(|name| found.see(name));
        found.strip(headers, keep)
    }

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_message_without_hop_by_hop_fields_is_left_alone() {
        let mut headers = map(&[
            ("host", "a"),
            ("trailer", "x"),
            ("content-length", "1"),
            ("x", "y"),
        ]);
        let before = headers.clone();
        assert_eq!(strip_request(&mut headers, |_| false), Hop::default());
        assert_eq!(headers, before);
        assert_eq!(strip_response(&mut headers), Hop::default());
        assert_eq!(headers, before);
    }

    #[test]
    fn every_hop_by_hop_field_is_removed_in_both_directions() {
        let fields = [
            ("connection", "keep-alive, X-Hop ,,close"),
            ("Connection", "x-other"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authenticate", "Basic"),
            ("proxy-authorization", "Basic x"),
            ("te", "gzip"),
            ("upgrade", "websocket"),
            ("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
            ("x-hop", "1"),
            ("x-hop", "2"),
            ("x-other", "1"),
            ("x-stays", "1"),
        ];
        let mut request = map(&fields);
        assert_eq!(strip_request(&mut request, |_| false), Hop::default());
        assert_eq!(names(&request), ["x-stays"]);
        let mut response = map(&fields);
        strip_response(&mut response);
        assert_eq!(names(&response), ["x-stays"]);
    }

    /// `docs/security.md` 7, CVE-2024-45410, CVE-2025-48865.
    #[test]
    fn a_nomination_never_removes_host_authorization_framing_or_what_the_proxy_owns() {
        let mut headers = map(&[
            (
                "connection",
                "Host, Authorization, Content-Length, Transfer-Encoding, X-Forwarded-For, cookie",
            ),
            ("connection", "x-request-id"),
            ("host", "a"),
            ("authorization", "Bearer x"),
            ("content-length", "1"),
            ("transfer-encoding", "chunked"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-request-id", "1"),
            ("cookie", "a=b"),
        ]);
        strip_request(&mut headers, |name| name.starts_with("x-"));
        assert_eq!(
            names(&headers),
            [
                "authorization",
                "content-length",
                "host",
                "transfer-encoding",
                "x-forwarded-for",
                "x-request-id"
            ]
        );
    }

    #[test]
    fn te_says_whether_trailers_are_welcome() {
        for (value, expected) in [
            ("trailers", true),
            ("gzip, Trailers", true),
            ("gzip", false),
            ("xtrailers", false),
        ] {
            for connection in ["te", "close"] {
                let mut headers = map(&[("te", value), ("connection", connection)]);
                assert_eq!(
                    strip_request(&mut headers, |_| false).te_trailers,
                    expected,
                    "{value}"
                );
                assert!(headers.is_empty());
            }
        }
    }

    /// `docs/security.md` 3.
    #[test]
    fn an_upgrade_needs_its_nomination_and_is_never_h2c() {
        for (fields, expected) in [
            (
                &[("connection", "Upgrade"), ("upgrade", "websocket")][..],
                Some("websocket"),
            ),
            (
                &[
                    ("connection", "keep-alive, upgrade"),
                    ("upgrade", "websocket"),
                ],
                Some("websocket"),
            ),
            (&[("connection", "close"), ("upgrade", "websocket")], None),
            (&[("upgrade", "websocket")], None),
            (&[("connection", "upgrade")], None),
            (
                &[
                    ("connection", "upgrade, http2-settings"),
                    ("upgrade", "h2c"),
                ],
                None,
            ),
            (
                &[("connection", "upgrade"), ("upgrade", "websocket, H2C")],
                None,
            ),
            (
                &[
                    ("connection", "upgrade"),
                    ("upgrade", "websocket"),
                    ("upgrade", "h2c"),
                ],
                None,
            ),
            (&[("connection", "upgrade"), ("upgrade", "")], None),
        ] {
            let mut headers = map(fields);
            let hop = strip_request(&mut headers, |_| false);
            assert_eq!(
                hop.upgrade.as_ref().map(|value| value.to_str().unwrap()),
                expected,
                "{fields:?}"
            );
            assert!(headers.is_empty(), "{fields:?}");
        }
    }

    #[test]
    fn junk_in_connection_nominates_nothing_and_does_no_harm() {
        let mut headers = map(&[("connection", ",;=\"a\", : , x y"), ("x", "1")]);
        headers.append(
            "connection",
            HeaderValue::from_bytes(b"\xff\xfe, \x80").unwrap(),
        );
        headers.append(
            "connection",
            HeaderValue::from_bytes(&[b'a'; 60_000]).unwrap(),
        );
        headers.append(
            "connection",
            HeaderValue::from_bytes(&b"x,".repeat(30_000)).unwrap(),
        );
        strip_request(&mut headers, |_| false);
        assert!(headers.is_empty());
    }
}
