//! `requestRedirect`: the Location of the response, after `HTTPRequestRedirectFilter` of the
//! Gateway API.
//!
//! Missing parts are taken from the request: its scheme, its host, its port (or the well-known port
//! of a configured scheme), its canonical path, its query. A well-known port is omitted. Without
//! any host (HTTP/1.0) the reference is relative, and never begins with `//`, which a browser would
//! read as another host.

use bytes::Bytes;
use http::HeaderValue;
use outrigger_config::model::Redirect;

use crate::{path::push_replaced, reason::Reason};

/// The parts of the request that a redirect uses.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// `http` or `https`, as the client used it.
    pub scheme: &'a str,
    /// The host as the client sent it, without port.
    pub host: Option<&'a str>,
    /// The port in Host, if there is one.
    pub port: Option<u16>,
    /// The canonical path.
    pub path: &'a str,
    /// The query, unchanged.
    pub query: Option<&'a str>,
    /// The length of the matched prefix without a trailing slash.
    pub prefix_len: Option<usize>,
}

/// The value of Location.
///
/// # Errors
/// [`Reason::RequestTarget`] if request and redirect together form no valid header value; with a
/// checked request this cannot happen.
pub fn location(redirect: &Redirect, request: &Origin<'_>) -> Result<HeaderValue, Reason> {
    let scheme = redirect.scheme.as_deref().unwrap_or(request.scheme);
    let mut text =
        String::with_capacity(128 + request.path.len() + request.query.map_or(0, str::len));
    let host = redirect.hostname.as_deref().or(request.host);
    if let Some(host) = host {
        text.extend([scheme, "://", host]);
        if let Some(port) = port(redirect, request).filter(|port| Some(*port) != well_known(scheme))
        {
            text.push(':');
            text.push_str(itoa::Buffer::new().format(port));
        }
    }
    let start = text.len();
    match &redirect.path {
        Some(change) => push_replaced(&mut text, change, request.prefix_len, request.path),
        None => text.push_str(request.path),
    }
    if host.is_none() {
        make_relative(&mut text, start);
    }
    if let Some(query) = request.query {
        text.extend(["?", query]);
    }
    // Also rejects a control byte, so that nothing can end the header early.
    HeaderValue::from_maybe_shared(Bytes::from(text)).map_err(|_| Reason::RequestTarget)
}

/// The configured port; else that of a configured scheme; else the request's.
fn port(redirect: &Redirect, request: &Origin<'_>) -> Option<u16> {
    redirect
        .port
        .or_else(|| request.port.filter(|_| redirect.scheme.is_none()))
}

fn well_known(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

fn make_relative(text: &mut String, start: usize) {
    let slashes = text[start..]
        .bytes()
        .take_while(|byte| *byte == b'/')
        .count();
    if slashes > 1 {
        text.replace_range(start..start + slashes - 1, "");
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use outrigger_config::model::PathRewrite;

    use super::*;

    const REQUEST: Origin<'_> = Origin {
        scheme: "http",
        host: Some("a.example"),
        port: None,
        path: "/foo/bar",
        query: Some("q=1"),
        prefix_len: Some(4),
    };

    fn redirect(change: impl FnOnce(&mut Redirect)) -> Redirect {
        let mut redirect = Redirect::new(StatusCode::FOUND);
        change(&mut redirect);
        redirect
    }

    #[test]
    fn absent_parts_come_from_the_request() {
        let same = redirect(|_| {});
        assert_eq!(
            location(&same, &REQUEST).unwrap(),
            "http://a.example/foo/bar?q=1"
        );
        let on_8080 = Origin {
            port: Some(8080),
            query: None,
            ..REQUEST
        };
        assert_eq!(
            location(&same, &on_8080).unwrap(),
            "http://a.example:8080/foo/bar"
        );
        let host = redirect(|to| to.hostname = Some("b.example".into()));
        assert_eq!(
            location(&host, &on_8080).unwrap(),
            "http://b.example:8080/foo/bar"
        );
        let status = redirect(|to| to.path = Some(PathRewrite::ReplaceFull("/x".into())));
        assert_eq!(
            location(&status, &REQUEST).unwrap(),
            "http://a.example/x?q=1"
        );
    }

    #[test]
    fn a_named_scheme_brings_its_own_port_and_a_well_known_port_is_left_out() {
        for (scheme, port, request_port, expected) in [
            (Some("https"), None, Some(8080), "https://a.example"),
            (Some("https"), Some(443), None, "https://a.example"),
            (
                Some("https"),
                Some(8443),
                Some(8080),
                "https://a.example:8443",
            ),
            (Some("https"), Some(80), None, "https://a.example:80"),
            (Some("http"), None, Some(8080), "http://a.example"),
            (None, Some(80), Some(8080), "http://a.example"),
            (None, Some(443), None, "http://a.example:443"),
            (None, None, Some(80), "http://a.example"),
            (None, None, Some(443), "http://a.example:443"),
        ] {
            let to = redirect(|to| {
                to.scheme = scheme.map(Into::into);
                to.port = port;
            });
            let request = Origin {
                port: request_port,
                path: "/",
                query: None,
                ..REQUEST
            };
            assert_eq!(
                location(&to, &request).unwrap(),
                format!("{expected}/"),
                "{scheme:?} {port:?}"
            );
        }
    }

    #[test]
    fn a_prefix_is_replaced_as_in_a_rewrite() {
        let to = redirect(|to| to.path = Some(PathRewrite::ReplacePrefixMatch("/xyz/".into())));
        assert_eq!(
            location(&to, &REQUEST).unwrap(),
            "http://a.example/xyz/bar?q=1"
        );
    }

    #[test]
    fn without_a_host_the_reference_is_relative_and_cannot_name_another_host() {
        let same = redirect(|_| {});
        for (path, expected) in [
            ("/a", "/a?q=1"),
            ("//evil.example/a", "/evil.example/a?q=1"),
            ("///", "/?q=1"),
        ] {
            assert_eq!(
                location(
                    &same,
                    &Origin {
                        host: None,
                        path,
                        ..REQUEST
                    }
                )
                .unwrap(),
                expected
            );
        }
    }

    #[test]
    fn a_line_end_never_reaches_the_header() {
        let request = Origin {
            query: Some("a\r\nset-cookie: b"),
            ..REQUEST
        };
        assert_eq!(
            location(&redirect(|_| {}), &request),
            Err(Reason::RequestTarget)
        );
    }
}
